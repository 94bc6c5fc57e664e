"""Runs one command: from its arguments to its exit status.

Rule 1: every way out has its status (exit_status.py) and at most one line on stderr; -v adds the traceback of a bug.
Rule 2: Ctrl-C and SIGTERM cancel the command, which closes what it opened; a second one does not wait for that.
Rule 3: a reader of stdout that went away is no error of ours: the command ends quietly.
"""

from __future__ import annotations

import asyncio
import contextlib
import io
import logging
import os
import re
import signal
import sys
import threading
from collections.abc import Callable, Coroutine, Iterator, Sequence
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from cyclopts import CycloptsError, MissingArgumentError

from pollwise.cli.app import app
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.logs import log_to_stderr
from pollwise.cli.options import LogOptions
from pollwise.cli.safe_text import safe
from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerError, LedgerMissing

__all__ = ["run"]

_VALUE = re.compile(r"(option: -[\w-]+)=\S*")  # of an option that there is not: it may be a secret
_SHOW_CURSOR = b"\x1b[?25h"

_log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit status."""
    try:
        with _usable_streams(), log_to_stderr() as show_all_logs:
            status = _run(arguments, show_all_logs)
            sys.stdout.flush()  # here, where a reader that went away can still be noticed
    except BrokenPipeError:
        _discard_stdout()
        return ExitStatus.BROKEN_PIPE
    except OSError as error:
        _print_error(f"the output cannot be written ({_os_error_text(error)})")
        _discard_stdout()
        return ExitStatus.OUTPUT
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return status


def _run(arguments: Sequence[str], show_all_logs: Callable[[], None]) -> int:
    try:
        command, bound, _ = app.parse_args(list(arguments), print_error=False, exit_on_error=False)
        options = bound.arguments.get("options")
        if isinstance(options, LogOptions) and options.verbose:
            show_all_logs()
        result = command(*bound.args, **bound.kwargs)
        return _run_async(result) if asyncio.iscoroutine(result) else ExitStatus.SUCCEEDED
    except CycloptsError as error:
        return _usage_error(_usage_text(error))
    except (UsageError, ConfigurationError, LedgerMissing) as error:
        return _usage_error(_error_text(error))
    except LedgerError as error:
        _log.debug("the ledger ended the command", exc_info=True)
        _print_error(_error_text(error))
        return ExitStatus.OUTPUT
    except OSError:
        raise  # all others have been given names by now: this one is of what is written
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  the last place where a bug can be told in one line
        _log.debug("a bug ended the command", exc_info=True)
        _print_error(f"{type(error).__name__}: {error}. This is a bug in pollwise; -v shows where.")
        return ExitStatus.BUG


def _error_text(error: Exception) -> str:
    from pollwise.cli.error_text import error_text  # noqa: PLC0415  `--help` pays for no endpoint

    return str(error) if isinstance(error, UsageError) else error_text(error)


def _run_async(command: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner() as runner:
        return runner.run(_interruptible(command))


async def _interruptible(command: Coroutine[Any, Any, int]) -> int:
    """Run the command so that a signal cancels it, and its status is then the shell's usual one for that signal."""
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
    """Handle SIGINT and SIGTERM; one that is ignored, as behind `nohup`, stays so.

    A loop's own signal handlers would wait for the loop; these run while it is blocked as well.
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
    """Who asks twice wants no cleaning up, only a terminal with a cursor."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    os._exit(128 + number)


def _os_error_text(error: OSError) -> str:
    """What the system says, and of which file where that is not stdout."""
    said = error.strerror or str(error)
    return said if error.filename is None else f"{error.filename}: {said}"


def _usage_text(error: CycloptsError) -> str:
    """What is wrong with the arguments, and where help is."""
    said = _VALUE.sub(r"\1", str(error).strip())
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.parameter.env_var:
        said = f"{said} It may also come from the environment variable {next(iter(error.argument.parameter.env_var))}."
    said = said if said.endswith((".", "?", "!")) else f"{said}."
    return f"{said} Try: {' '.join(['pollwise', *(error.command_chain or ()), '--help'])}"


def _usage_error(text: str) -> ExitStatus:
    _print_error(text)
    return ExitStatus.USAGE


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"pollwise: {safe(text, 1000)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _usable_streams() -> Iterator[None]:
    """Streams that no text can break, for the time of a command.

    A character that the encoding lacks is shown escaped, which is no reason to die. A stream that the shell has closed
    (`>&-`) takes everything and keeps nothing: printed to None, a complaint would land on stdout.
    """
    with contextlib.ExitStack() as stack:
        for name in ("stdout", "stderr"):
            stream = getattr(sys, name)
            if stream is None:
                setattr(sys, name, stack.enter_context(Path(os.devnull).open("w", encoding="utf-8")))
                stack.callback(setattr, sys, name, None)
            elif isinstance(stream, io.TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")
        yield


def _discard_stdout() -> None:
    """Point stdout at nothing, so that the interpreter's last flush does not complain."""
    with contextlib.suppress(OSError, ValueError):  # an embedding program's stdout may have no file descriptor
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, sys.stdout.fileno())
        os.close(nothing)
