"""`pollwise version`, without the import of any other package."""

from __future__ import annotations

from importlib.metadata import version

from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.streams import with_streams

__all__ = ["print_version", "version_text"]


def version_text() -> str:
    """`pollwise 1.2.3`."""
    return f"pollwise {version('pollwise')}"


def print_version() -> int:
    """Print the installed version and return the exit status."""
    return with_streams(_print)


def _print() -> int:
    print(version_text())
    return ExitStatus.SUCCEEDED
