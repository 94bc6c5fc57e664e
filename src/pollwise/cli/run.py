"""Runs one command: from its arguments to its exit status.

Rule 1: every end has an exit status (exit_status.py) and at most one line on stderr; -v adds the traceback of a bug.
Declarations and profiles with several problems have a line for each.
Rule 2: Ctrl-C and SIGTERM cancel the command, which closes what it opened. A second signal ends the process at once.
Rule 3: if the reader of stdout has closed it, the command ends without a message.
Rule 4: what only some commands need is imported when it is needed, so `--help` takes a tenth of a second.
"""

# ruff: noqa: PLC0415  rule 4

from __future__ import annotations

import contextlib
import inspect
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from functools import partial
from types import FrameType
from typing import Any, NoReturn

from cyclopts import CycloptsError, MissingArgumentError

from pollwise.cli import _loading
from pollwise.cli.app import app
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.streams import print_error, with_streams
from pollwise.cli.terminal import leave_at_once

__all__ = ["run"]

_VALUE = re.compile(r"(option: -[\w-]+)=\S*")  # the value of an unknown option, which may be a secret
_SHOW_CURSOR = b"\x1b[?25h"


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit status."""
    return with_streams(lambda: _run(arguments))


def _run(arguments: Sequence[str]) -> int:
    try:
        command, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
    except CycloptsError as error:
        return _usage_error(_usage_text(error))
    except UsageError as error:
        return _usage_error(*_problems(error))
    _loading.end()
    work = partial(command, *bound.args, **bound.kwargs)
    if not inspect.iscoroutinefunction(command):  # those of cyclopts: the help, and what a shell completes
        work()
        return ExitStatus.SUCCEEDED
    from pollwise.cli.logs import log_to_stderr

    with log_to_stderr() as show_all_logs:
        if getattr(bound.arguments.get("options"), "verbose", False):
            show_all_logs()
        return _run_command(work)


def _run_command(work: Callable[[], Coroutine[Any, Any, int]]) -> int:
    try:
        return _run_async(work())
    except UsageError as error:
        return _usage_error(*_problems(error))
    except OSError:
        raise  # from writing the output; errors from reading became a UsageError or a LedgerError before
    except Exception as error:  # noqa: BLE001  the next function decides whether it is a bug
        return _ended_by(error)


def _ended_by(error: BaseException) -> int:
    """The exit status of a command that this error has ended, after a line for the user."""
    import logging

    from pollwise.cli.error_text import error_text
    from pollwise.errors import ConfigurationError
    from pollwise.ledger import LedgerError, LedgerMissing

    if isinstance(error, (ConfigurationError, LedgerMissing)):
        problems = getattr(error, "problems", ())  # of `DeclarationErrors`
        return _usage_error(*(map(str, problems) if problems else [error_text(error)]))
    log = logging.getLogger(__name__)
    if isinstance(error, LedgerError):
        log.debug("the ledger ended the command", exc_info=error)
        print_error(error_text(error))
        return ExitStatus.OUTPUT
    log.debug("a bug ended the command", exc_info=error)
    print_error(f"{type(error).__name__}: {error}. This is a bug in pollwise; -v shows where.")
    return ExitStatus.BUG


def _run_async(command: Coroutine[Any, Any, int]) -> int:
    import asyncio

    with asyncio.Runner() as runner:
        try:
            return runner.run(_interruptible(command))
        except asyncio.CancelledError as error:
            return _ended_by(error)


async def _interruptible(command: Coroutine[Any, Any, int]) -> int:
    """Run the command. A signal cancels it, and its exit status is then 128 + the signal's number, as in a shell."""
    import asyncio

    task = asyncio.create_task(command, name="pollwise command")
    loop = asyncio.get_running_loop()
    received: list[int] = []

    def on_signal(number: int, _frame: FrameType | None) -> None:
        received.append(number)
        if len(received) > 1:
            _exit_at_once(number)
        loop.call_soon_threadsafe(task.cancel)

    with _handling(on_signal):
        try:
            return await task
        except asyncio.CancelledError:
            if not received:
                raise
            return 128 + received[0]


@contextlib.contextmanager
def _handling(on_signal: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle SIGINT and SIGTERM. A signal that is ignored, as after `nohup`, stays ignored.

    Not with `loop.add_signal_handler`: its handlers wait for the loop. These also run while the loop is blocked.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGINT, signal.SIGTERM):
            if signal.getsignal(number) is not signal.SIG_IGN:
                before[number] = signal.signal(number, on_signal)
    try:
        yield
    finally:
        for handled, handler in before.items():
            signal.signal(handled, handler)


def _exit_at_once(number: int) -> NoReturn:
    """End the process without cleaning up; only leave the terminal as it was, with its cursor shown."""
    leave_at_once()
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    os._exit(128 + number)


def _usage_text(error: CycloptsError) -> str:
    """What is wrong with the arguments, and the command that shows the help."""
    argument = error.argument
    if isinstance(error, MissingArgumentError) and argument is not None and argument.name.startswith("-"):
        name = argument.parameter.metavar
        text = f"{argument.name} needs a value{'' if name is None else f': {argument.name} {name}'}."
    else:
        text = _VALUE.sub(r"\1", str(error).strip())
    text = text if text.endswith((".", "?", "!")) else f"{text}."
    return f"{text} Try: {' '.join(['pollwise', *(error.command_chain or ()), '--help'])}"


def _problems(error: UsageError) -> Sequence[str]:
    problems: Sequence[str] = getattr(error, "problems", ())  # of `ProfileErrors`
    return problems or (str(error),)


def _usage_error(*texts: str) -> ExitStatus:
    for text in texts:
        print_error(text)
    return ExitStatus.USAGE
