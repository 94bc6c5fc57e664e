"""Replaces fields of a status for a test.

Rule: an override replaces a field, or adds one to an existing object. It never creates an object.
"""

from __future__ import annotations

import copy
import enum
from collections.abc import Mapping
from typing import Any, Final

__all__ = ["ABSENT", "Absent", "with_overrides"]


class Absent(enum.Enum):
    """The type of `ABSENT`."""

    ABSENT = "absent"


ABSENT: Final = Absent.ABSENT
"""In place of a value: the field is omitted."""


def with_overrides(document: dict[str, Any], overrides: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the document with these fields.

    Args:
        document: A status.
        overrides: Values by path, such as `task_status.status` or `errors.0.error_code`.
    """
    if not overrides:
        return document
    changed = copy.deepcopy(document)
    for path, value in overrides.items():
        *above, field = path.split(".")
        parent = _at(changed, above)
        if isinstance(parent, dict):
            if value is ABSENT:
                parent.pop(field, None)
            else:
                parent[field] = value
    return changed


def _at(document: Any, path: list[str]) -> Any:
    for name in path:
        if isinstance(document, list) and name.isdecimal() and int(name) < len(document):
            document = document[int(name)]
        else:
            document = document.get(name) if isinstance(document, dict) else None
    return document
