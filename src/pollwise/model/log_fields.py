"""The fields of log records, for formatters that write JSON. docs/telemetry.md lists them.

Rule: a field's name begins with `pollwise_` and is stable. A field that is not known is left out.
"""

from __future__ import annotations

from typing import Any

__all__ = ["log_fields"]


def log_fields(**facts: object) -> dict[str, Any]:
    """These facts as the argument `extra` of a log call. None is left out."""
    return {f"pollwise_{name}": fact for name, fact in facts.items() if fact is not None}
