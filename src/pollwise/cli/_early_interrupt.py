"""Ctrl-C while the command `pollwise` is loaded: the process ends with 130, without a traceback.

The root of the package is imported before the command's own code, and takes nearly all of the loading time. So the root
imports this module first, and calls `end` after its last import.

Rule 1: only the command. In a program that imports pollwise, Ctrl-C raises KeyboardInterrupt, as always.
Rule 2: only until `end`. `pollwise.cli.main` catches the KeyboardInterrupt of what the command imports after that.
Rule 3: this module imports nothing that takes time. A Ctrl-C before it, while Python itself starts, is not covered. The
same holds for the about 1 ms between `end` and `main`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from types import FrameType

__all__ = ["end"]

_SCRIPTS = frozenset({"pollwise", "pollwise.exe", "pollwise-script.py"})  # what an installer writes


def _is_the_command() -> bool:
    """Whether this process was started as `python -m pollwise`, or by the console script."""
    arguments: list[str] = getattr(sys, "argv", None) or [""]  # an embedding program may have none
    if arguments[0] == "-m":  # the value while Python imports the package of the module that it runs
        return sys.orig_argv[-len(arguments)] == "pollwise"
    return arguments[0].replace("\\", "/").rpartition("/")[2] in _SCRIPTS


def _exit(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)


def end() -> None:
    """Give Ctrl-C back to Python."""
    if _handled:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_handled = (
    _is_the_command()
    and threading.current_thread() is threading.main_thread()
    and signal.getsignal(signal.SIGINT) is signal.default_int_handler  # ignored behind `nohup`
)
if _handled:
    signal.signal(signal.SIGINT, _exit)
