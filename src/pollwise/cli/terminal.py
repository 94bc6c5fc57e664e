"""The terminal while rows are drawn on it.

Rule 1: keys are not echoed while rows are drawn, because an echo moves the cursor. Ctrl-C and Ctrl-Z keep their meaning.
Rule 2: a terminal is left with its echo, with its cursor shown, and with the cursor below the rows. That also holds if the
process ends at once, or is stopped with Ctrl-Z. Only SIGKILL and a crash of Python leave it as it is.
Rule 3: a command in the background of a shell changes nothing on the terminal.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import sys
import textwrap
import threading
from types import FrameType
from typing import IO, Any

if sys.platform != "win32":  # Windows has no settings of a terminal
    import termios

__all__ = ["RowsTerminal", "leave_at_once", "print_note"]

_HIDE_CURSOR, _SHOW_CURSOR = b"\x1b[?25l", b"\x1b[?25h"
_COMMAND = re.compile("`[^`]*`")
_WRAP = b"\x1b[?7h"
_open: list[RowsTerminal] = []


class RowsTerminal:
    """The terminal behind a stream. Every call does nothing if the stream is none.

    Attributes:
        rows: How many rows the last frame had. The cursor is in the first of them.
    """

    def __init__(self, stream: IO[str]) -> None:
        self.rows = 0
        self._descriptor = _descriptor(stream)
        self._settings: list[Any] | None = None
        self._handles_stop = False

    @property
    def in_background(self) -> bool:
        """True if a shell has another command in the foreground."""
        if self._descriptor is None or not hasattr(os, "tcgetpgrp"):
            return False
        try:
            return os.tcgetpgrp(self._descriptor) != os.getpgrp()
        except OSError:  # not the controlling terminal of this process
            return False

    def size(self, columns: int, lines: int) -> tuple[int, int]:
        """The columns and lines of the terminal, but not more than these, which the environment may state."""
        if self._descriptor is None:
            return columns, lines
        try:
            actual = os.get_terminal_size(self._descriptor)
        except OSError:
            return columns, lines
        return min(columns, actual.columns or columns), min(lines, actual.lines or lines)

    def open(self) -> None:
        """Stop the echo of keys, until `close`."""
        if self._descriptor is None:
            return
        _open.append(self)
        self._stop_echo()
        usual = hasattr(signal, "SIGTSTP") and threading.current_thread() is threading.main_thread()
        if usual and signal.getsignal(signal.SIGTSTP) is signal.SIG_DFL:
            signal.signal(signal.SIGTSTP, self._on_stop)
            self._handles_stop = True

    def close(self) -> None:
        """Echo keys again."""
        if self._handles_stop:
            signal.signal(signal.SIGTSTP, signal.SIG_DFL)
            self._handles_stop = False
        self._start_echo()
        if self in _open:
            _open.remove(self)

    def leave(self) -> None:
        """Echo keys again, show the cursor and move it below the rows. Nothing of rich is used, so a signal may call it."""
        if self._descriptor is None:
            return
        down = b"\x1b[%dB" % (self.rows - 1) if self.rows > 1 else b""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, down + (b"\r\n" if self.rows else b"") + _WRAP + _SHOW_CURSOR)
        self.rows = 0
        self._start_echo()

    def _on_stop(self, number: int, _frame: FrameType | None) -> None:
        """Leave the terminal to the shell while this process is stopped."""
        self.leave()
        signal.signal(number, signal.SIG_DFL)
        os.kill(os.getpid(), number)  # returns when the process is continued
        signal.signal(number, self._on_stop)
        self._stop_echo()
        if self._descriptor is not None and not self.in_background:
            with contextlib.suppress(OSError):
                os.write(self._descriptor, _HIDE_CURSOR)

    def _stop_echo(self) -> None:
        if sys.platform == "win32" or self._descriptor is None or self.in_background:
            return  # a change in the background would stop this process (SIGTTOU)
        with contextlib.suppress(termios.error):
            settings = termios.tcgetattr(self._descriptor)
            if settings[3] & termios.ECHO:
                self._settings = [*settings]
                settings[3] &= ~termios.ECHO
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, settings)

    def _start_echo(self) -> None:
        if sys.platform == "win32" or self._settings is None or self._descriptor is None or self.in_background:
            return
        with contextlib.suppress(termios.error):
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._settings)
        self._settings = None


def leave_at_once() -> None:
    """Restore each terminal without another frame. For a process that ends at once."""
    for terminal in _open:
        terminal.leave()


def print_note(text: str) -> None:
    """Print a line to stderr. On a terminal it is wrapped between words. A stderr that is closed or full is ignored."""
    with contextlib.suppress(OSError, ValueError):
        if sys.stderr.isatty():
            columns = os.get_terminal_size(sys.stderr.fileno()).columns
            if columns >= 20:  # a narrower one is wrapped by the terminal itself
                text = _wrapped(text, columns - 1)
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)


def _wrapped(text: str, columns: int) -> str:
    """The text with line ends between its words, but not inside of a command in backquotes, which a user copies."""
    whole = _COMMAND.sub(lambda command: command[0].replace(" ", "\xa0"), text)
    return textwrap.fill(whole, columns, break_long_words=False, break_on_hyphens=False).replace("\xa0", " ")


def _descriptor(stream: IO[str]) -> int | None:
    try:
        return stream.fileno() if stream.isatty() else None
    except (OSError, ValueError):  # a stream in memory, such as that of an embedding program
        return None
