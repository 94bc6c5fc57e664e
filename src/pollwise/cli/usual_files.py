"""The files of declarations and profiles that are read if the user names none.

Rule 1: a file that another user can change is refused, because a declaration decides where credentials go. Root can change
every file. `--endpoints` reads any file, because the user has named it.
Rule 2: a relative `XDG_CONFIG_HOME` is ignored, as the XDG Base Directory Specification says. So is a home that is not known,
such as that of a user ID without a name in a container.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path

from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe

__all__ = ["present_files", "read_files", "unsafe_reason", "usual_files"]


def usual_files() -> list[Path]:
    """Where declarations are if the user names no file, in the order of reading. They may not exist."""
    files = [Path("pollwise.toml")]
    config = Path(os.environ.get("XDG_CONFIG_HOME", ""))
    if not config.is_absolute():
        try:
            config = Path.home() / ".config"
        except RuntimeError:  # as `pathlib` documents it
            return files
    return [*files, config / "pollwise" / "endpoints.toml"]


def present_files() -> list[Path]:
    """Those that exist.

    Raises:
        UsageError: Another user can change one of them.
    """
    found = [path for path in usual_files() if path.is_file()]
    for path in found:
        _check_safe(path)
    return found


def read_files(named: Path | None) -> dict[str, Path]:
    """The files of declarations and profiles that a command reads, by what the user calls them. No result may replace one.

    Args:
        named: The file of `--endpoints`, if there is one.
    """
    if named is None:
        return {str(path): path for path in usual_files()}
    others = [path for path in usual_files() if os.path.realpath(path) != os.path.realpath(named)]
    return {"--endpoints": named, **{str(path): path for path in others}}


def unsafe_reason(path: Path) -> str | None:
    """Why this file is not to be trusted, as the end of a sentence. None if no other user can change it."""
    if not hasattr(os, "geteuid"):  # Windows
        return None
    state = path.stat()
    if state.st_uid not in {0, os.geteuid()}:
        return "belongs to another user"
    return "can be written by every user" if state.st_mode & stat.S_IWOTH else None


def _check_safe(path: Path) -> None:
    why = unsafe_reason(path)
    if why is not None:
        raise UsageError(
            f"{safe(path)} {why}, so it is not read: a declaration decides where credentials go."
            f" If you trust it, add --endpoints {safe(path)}"
        )
