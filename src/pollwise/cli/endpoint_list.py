"""`pollwise endpoint list`: the endpoints that have a name, in the order in which names are looked up.

Rule: no package is imported, so the keys of its jobs are not known here.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from pollwise.cli.endpoint_names import further_form
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.job_forms import KEYS
from pollwise.cli.options import CommonOptions
from pollwise.cli.safe_text import safe
from pollwise.cli.usual_files import present_files
from pollwise.cli.vendors import FURTHER
from pollwise.endpoints.catalog import catalog
from pollwise.endpoints.declared import load_declarations
from pollwise.endpoints.installed import installed

__all__ = ["list_names", "names_of"]


@attrs.frozen
class _Listed:
    """An endpoint with a name.

    Attributes:
        name: The name.
        source: `included`, `file`, `package` or `catalog`.
        where: The file, the package or the page; None for an included one.
        keys: The types of a job's keys by their names; None for a package, which is not imported.
    """

    name: str
    source: str
    where: str | None
    keys: Mapping[str, str] | None

    def fields(self) -> dict[str, Any]:
        """The endpoint as JSON."""
        keys = None if self.keys is None else dict(self.keys)
        return {"name": self.name, "source": self.source, "where": self.where, "keys": keys}

    def text(self) -> str:
        """The endpoint in one line."""
        where = {"included": "included", "file": f"declared in {self.where}", "package": f"of the package {self.where}"}
        if self.keys is None:
            return f"{self.name}: {where[self.source]}"
        keys = ", ".join(f"{key} ({kind})" for key, kind in self.keys.items())
        return f"{self.name}: keys {keys}; {where.get(self.source, self.where)}"


async def list_names(file: Path | None, options: CommonOptions) -> ExitStatus:
    """Print the endpoints of this file, or of all places: a line for each, or all as one JSON document.

    Raises:
        ConfigurationError: A file is wrong.
        UsageError: Another user can change a file of the usual places.
    """
    if options.writes_documents:
        document = [listed.fields() for listed in _of(file)]
        await options.writer(stream=False).line(json.dumps(document, ensure_ascii=True))
        return ExitStatus.SUCCEEDED
    for listed in _of(file):
        print(safe(listed.text(), 300))
    return ExitStatus.SUCCEEDED


def names_of(file: Path | None) -> Iterator[str]:
    """The names alone. Raises what `list_names` raises."""
    return (listed.name for listed in _of(file))


def _of(file: Path | None) -> Iterable[_Listed]:
    return _all() if file is None else _of_file(file)


def _all() -> Iterator[_Listed]:
    for name, keys in KEYS.items():
        yield _Listed(name, "included", None, dict.fromkeys(keys, "str"))
    for name in FURTHER:
        yield _Listed(name, "included", None, dict.fromkeys(further_form(name).columns, "str"))
    for path in present_files():
        yield from _of_file(path)
    for name, there in installed().items():
        yield _Listed(name, "package", there.package, None)
    for name, entry in catalog().items():
        yield _Listed(name, "catalog", entry.page, entry.declaration.job)


def _of_file(path: Path) -> Iterator[_Listed]:
    for name, declared in load_declarations(path).items():
        yield _Listed(name, "file", str(path), declared.job)
