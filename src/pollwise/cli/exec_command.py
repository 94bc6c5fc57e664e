"""`--exec`: a command that runs when a watch or a batch is over.

Rule 1: no shell runs. The text is split into arguments as a POSIX shell splits it, and nothing in it is replaced. The facts
about the end are in environment variables, because a text of a server must never become code.
Rule 2: a text that cannot be a command is refused before the first request. So is a program that does not exist.
Rule 3: the command does not get the environment variables with the credentials of the endpoints.
Rule 4: its stdout and stderr are the stderr of pollwise, and its stdin is empty, because stdout has the events and stdin may have
the jobs.
Rule 5: the exit status of pollwise stays as it is, unless that is 0 and the command fails.
Rule 6: a signal that ends pollwise before all is over runs no command. A signal during the command ends it with SIGTERM.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Collection, Mapping
from typing import Annotated, Final

import attrs
from cyclopts import Parameter

from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.safe_text import safe
from pollwise.cli.terminal import print_note

__all__ = ["FACTS", "ExecCommand", "ExecOptions"]

FACTS: Final = frozenset(
    f"POLLWISE_{name}"
    for name in (
        *("COMMAND", "EXIT_STATUS", "OUTCOME", "ELAPSED_S", "POLLS"),
        *("ENDPOINT", "ACCOUNT", "JOB", "REASON"),
        *("JOBS", "SUCCEEDED", "FAILED", "CANCELLED", "ABANDONED", "RESULTS", "REPORT", "LEDGER"),
    )
)
"""The environment variables about the end. The command does not inherit any of them from pollwise."""

_SHELL_WORDS: Final = frozenset({"|", "||", "&", "&&", ";", "<", ">", ">>", "2>", "2>>", "2>&1", "&>"})


@attrs.frozen
class ExecCommand:
    """A command that was checked. `words` are the program, with its path, and its arguments."""

    words: tuple[str, ...]

    @classmethod
    def parse(cls, text: str) -> ExecCommand:
        """Split the text as a POSIX shell does. Raises UsageError if no program can be run."""
        if "\0" in text:
            raise UsageError("--exec cannot have a null character")
        try:
            words = shlex.split(text)
        except ValueError as error:
            raise UsageError(f"--exec has a quote that is not closed, or ends in a backslash ({error})") from None
        if not words or not words[0]:
            raise UsageError("--exec needs a command, such as --exec 'notify-send done'")
        for word in words:
            if word in _SHELL_WORDS:
                raise UsageError(f"--exec runs no shell, so {word} does nothing; write --exec \"sh -c '...'\"")
        program = shutil.which(words[0])
        if program is None:
            raise UsageError(
                f"--exec: there is no program {safe(words[0], 200)} that can be run; check the name and PATH. For what a"
                " shell brings, write --exec \"sh -c '...'\""
            )
        return cls((os.path.abspath(program), *words[1:]))  # noqa: PTH100  a link stays a link: it may be a program's name

    async def run(self, status: ExitStatus, facts: Mapping[str, str], hidden: Collection[str] = ()) -> ExitStatus:
        """Run it to its end, and return the exit status of pollwise.

        Args:
            status: The exit status without a command.
            facts: More environment variables for it, each one of `FACTS`.
            hidden: Environment variables that it does not get.
        """
        kept = {name: value for name, value in os.environ.items() if name not in FACTS and name not in hidden}
        environment = {**kept, "POLLWISE_EXIT_STATUS": str(int(status)), **facts}
        with contextlib.suppress(OSError):
            sys.stdout.flush()
        output = _stderr()
        try:
            process = self._start(output, environment)
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else error
            return _failed(status, f"could not be started ({why})")
        ended = await _ended(process)
        return status if ended == 0 else _failed(status, _how(ended))

    def _start(self, output: int, environment: Mapping[str, str]) -> subprocess.Popen[bytes]:
        """Start it without asyncio, which kills a process if the start is cancelled."""
        return subprocess.Popen(  # noqa: S603  the user has named it, and no shell reads it
            self.words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment
        )


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ExecOptions:
    """What to do when all is over."""

    command: Annotated[str | None, Parameter(name="--exec", metavar="COMMAND", show_default=False)] = None
    """Run this command when all is over, without a shell; POLLWISE_OUTCOME and other variables say how it ended."""

    def parsed(self) -> ExecCommand | None:
        """The command, if there is one. Raises UsageError."""
        return None if self.command is None else ExecCommand.parse(self.command)


def _stderr() -> int:
    """The descriptor of stderr, or the null device for a stream in memory, such as that of an embedding program."""
    with contextlib.suppress(OSError, ValueError):
        sys.stderr.flush()
        return sys.stderr.fileno()
    return subprocess.DEVNULL


async def _ended(process: subprocess.Popen[bytes]) -> int:
    """The exit status of the process, negative for a signal. If this call is cancelled, the process is ended first."""
    waiting = asyncio.ensure_future(asyncio.to_thread(process.wait))
    try:
        return await asyncio.shield(waiting)
    except asyncio.CancelledError:
        process.terminate()
        await waiting  # a second signal ends pollwise at once
        raise


def _failed(status: ExitStatus, how: str) -> ExitStatus:
    print_note(f"pollwise: the command of --exec {how}")
    return ExitStatus.EXEC_FAILED if status == ExitStatus.SUCCEEDED else status


def _how(ended: int) -> str:
    if ended > 0:
        return f"ended with status {ended}"
    try:
        return f"was ended by {signal.Signals(-ended).name}"
    except ValueError:
        return f"was ended by signal {-ended}"
