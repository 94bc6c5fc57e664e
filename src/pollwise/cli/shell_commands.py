"""The commands about the command itself: `completion`, `help` and `version`.

Rule: as in app.py. These commands know the others only by the application of cyclopts.
"""

from __future__ import annotations

import difflib
from typing import Literal

from cyclopts import App

from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.safe_text import safe

__all__ = ["completion", "show_help", "version"]


async def completion(shell: Literal["bash", "fish", "zsh"], /) -> int:
    """Print the script that completes commands, options, files and endpoints in a shell.

    Args:
        shell: The shell.
    """
    print(_commands().generate_completion(shell=shell))
    return ExitStatus.SUCCEEDED


async def show_help(*command: str) -> int:
    """Show the help of a command, as --help does.

    Args:
        command: The words of the command, such as `ledger show`. Without them: the help of all.
    """
    at, root = _commands(), _commands()
    for number, word in enumerate(command):
        names = [name for name in at if not name.startswith("-")]
        if word not in names:
            raise UsageError(_unknown(command[:number], word, names))
        at = at[word]
    root.help_print(list(command))
    return ExitStatus.SUCCEEDED


async def version() -> int:
    """Show the version, as --version does."""
    from pollwise.cli.version import version_text  # noqa: PLC0415  the rule

    print(version_text())
    return ExitStatus.SUCCEEDED


def _commands() -> App:
    from pollwise.cli.app import app  # noqa: PLC0415  app.py names this file

    return app


def _unknown(before: tuple[str, ...], word: str, names: list[str]) -> str:
    inside, lister = " ".join(["pollwise", *before]), " ".join(["pollwise help", *before])
    if not names:
        return f"`{inside}` has no commands. `{lister}` shows its help."
    near = difflib.get_close_matches(word, names, 1)
    hint = f" Did you mean `{inside} {near[0]}`?" if near else ""
    return f"there is no command `{inside} {safe(word, 60)}`.{hint} `{lister}` lists the commands."
