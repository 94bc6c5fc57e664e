"""stdout and stderr of a command, and how it ends if they cannot be written.

Rule: this file imports nothing that takes time, because `pollwise --version` uses it.
"""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.safe_text import safe

__all__ = ["print_error", "with_streams"]

_CREDENTIALS = re.compile(r"://[^\s:@/]*:\S*@")  # up to the last @: a password may have any character


def with_streams(command: Callable[[], int]) -> int:
    """Run the command and return its exit status. An output that cannot be written has a status of its own."""
    try:
        with _usable_streams():
            status = command()
            sys.stdout.flush()  # here, because a BrokenPipeError is still caught below
    except BrokenPipeError:
        _discard_stdout()
        return ExitStatus.BROKEN_PIPE
    except OSError as error:
        print_error(f"the output cannot be written ({_os_error_text(error)})")
        _discard_stdout()
        return ExitStatus.OUTPUT
    except KeyboardInterrupt:
        return ExitStatus.INTERRUPTED
    return status


def print_error(text: str) -> None:
    """Print one line on stderr, with no password of a URL, which a misplaced argument may have. A closed stderr is no error."""
    with contextlib.suppress(OSError):
        shown = _CREDENTIALS.sub("://***@", safe(text, 4000))
        print(f"pollwise: {safe(shown, 1000)}", file=sys.stderr, flush=True)


def _os_error_text(error: OSError) -> str:
    """The system's message, after the file's name if it is not stdout."""
    message = error.strerror or str(error)
    return message if error.filename is None else f"{error.filename}: {message}"


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
