"""`pollwise endpoint list`: the endpoints that have a name, in the order in which names are looked up.

Rule: no package is imported, so the keys of its jobs are not known here.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from pollwise.cli.endpoint_check import keys_text
from pollwise.cli.endpoint_names import further_form
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.job_forms import KEYS
from pollwise.cli.safe_text import safe
from pollwise.cli.usual_files import present_files
from pollwise.cli.vendors import FURTHER
from pollwise.endpoints.catalog import catalog
from pollwise.endpoints.declared import load_declarations
from pollwise.endpoints.installed import installed

__all__ = ["list_names"]


def list_names(file: Path | None) -> ExitStatus:
    """Print a line for each endpoint of this file, or of all places: its name, the keys of a job, and where it is from.

    Raises:
        ConfigurationError: A file is wrong.
        UsageError: Another user can change a file of the usual places.
    """
    for line in _all() if file is None else _of_file(file):
        print(safe(line, 300))
    return ExitStatus.SUCCEEDED


def _all() -> Iterator[str]:
    for name, keys in KEYS.items():
        yield f"{name}: keys {', '.join(f'{key} (str)' for key in keys)}; included"
    for name in FURTHER:
        yield f"{name}: keys {', '.join(f'{key} (str)' for key in further_form(name).columns)}; included"
    for path in present_files():
        yield from _of_file(path)
    for name, there in installed().items():
        yield f"{name}: of the package {there.package}"
    for name, entry in catalog().items():
        yield f"{name}: keys {keys_text(entry.declaration)}; {entry.page}"


def _of_file(path: Path) -> Iterator[str]:
    for name, declared in load_declarations(path).items():
        yield f"{name}: keys {keys_text(declared)}; declared in {path}"
