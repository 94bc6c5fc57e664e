"""Runs one command: from its arguments to its exit status.

Rule 1: every end has an exit status (exit_status.py) and at most one line on stderr; -v adds the traceback of a bug. Declarations
with several problems have a line for each.
Rule 2: Ctrl-C and SIGTERM cancel the command, which closes what it opened. A second signal ends the process at once.
Rule 3: if the reader of stdout has closed it, the command ends without a message.
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

_VALUE = re.compile(r"(option: -[\w-]+)=\S*")  # the value of an unknown option, which may be a secret
_SHOW_CURSOR = b"\x1b[?25h"

_log = logging.getLogger(__name__)


def run(arguments: Sequence[str]) -> int:
    """Run the command that the arguments name and return its exit status."""
    try:
        with _usable_streams(), log_to_stderr() as show_all_logs:
            status = _run(arguments, show_all_logs)
            sys.stdout.flush()  # here, because a BrokenPipeError is still caught below
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
        problems = getattr(error, "problems", ())  # of `DeclarationErrors`; `--help` imports no endpoint
        return _usage_error(*(map(str, problems) if problems else [_error_text(error)]))
    except LedgerError as error:
        _log.debug("the ledger ended the command", exc_info=True)
        _print_error(_error_text(error))
        return ExitStatus.OUTPUT
    except OSError:
        raise  # from writing the output; errors from reading became a UsageError or a LedgerError before
    except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001  a bug: one line instead of a traceback
        _log.debug("a bug ended the command", exc_info=True)
        _print_error(f"{type(error).__name__}: {error}. This is a bug in pollwise; -v shows where.")
        return ExitStatus.BUG


def _error_text(error: Exception) -> str:
    from pollwise.cli.error_text import error_text  # noqa: PLC0415  `--help` imports no endpoint

    return str(error) if isinstance(error, UsageError) else error_text(error)


def _run_async(command: Coroutine[Any, Any, int]) -> int:
    with asyncio.Runner() as runner:
        return runner.run(_interruptible(command))


async def _interruptible(command: Coroutine[Any, Any, int]) -> int:
    """Run the command. A signal cancels it, and its exit status is then 128 + the signal's number, as in a shell."""
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
    """End the process without cleaning up; only show the terminal's cursor again."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stdout.isatty():
            os.write(sys.stdout.fileno(), _SHOW_CURSOR)
    os._exit(128 + number)


def _os_error_text(error: OSError) -> str:
    """The system's message, after the file's name if it is not stdout."""
    message = error.strerror or str(error)
    return message if error.filename is None else f"{error.filename}: {message}"


def _usage_text(error: CycloptsError) -> str:
    """What is wrong with the arguments, and the command that shows the help."""
    text = _VALUE.sub(r"\1", str(error).strip())
    if isinstance(error, MissingArgumentError) and error.argument is not None and error.argument.parameter.env_var:
        text = f"{text} It may also come from the environment variable {next(iter(error.argument.parameter.env_var))}."
    text = text if text.endswith((".", "?", "!")) else f"{text}."
    return f"{text} Try: {' '.join(['pollwise', *(error.command_chain or ()), '--help'])}"


def _usage_error(*texts: str) -> ExitStatus:
    for text in texts:
        _print_error(text)
    return ExitStatus.USAGE


def _print_error(text: str) -> None:
    with contextlib.suppress(OSError):
        print(f"pollwise: {safe(text, 1000)}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def _usable_streams() -> Iterator[None]:
    """Make stdout and stderr accept every text while the command runs.

    A character that the encoding lacks is shown escaped. A stream that the shell has closed (`>&-`) is None in Python,
    and `print(file=None)` writes to stdout. So the null device replaces it.
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
    """Redirect stdout to the null device, so that the interpreter's last flush does not fail."""
    with contextlib.suppress(OSError, ValueError):  # an embedding program's stdout may have no file descriptor
        null_device = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null_device, sys.stdout.fileno())
        os.close(null_device)
