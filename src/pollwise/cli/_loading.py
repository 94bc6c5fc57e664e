"""The time while the command `pollwise` is loaded: from `begin` to `end`, which is called before the command runs.

Rule 1: Ctrl-C ends the process with 130, without a traceback. Afterwards run.py handles the signals.
Rule 2: there is no garbage collection, because nothing that an import makes is garbage. That saves a tenth of the time.
Rule 3: only the process of the command. A program that calls `main` with arguments keeps its own settings.
Rule 4: this module imports nothing that takes time. A Ctrl-C before it, while Python itself starts, is not covered.
"""

from __future__ import annotations

import gc
import os
import signal
import threading
from types import FrameType

__all__ = ["begin", "end"]

_paused: list[bool] = []  # not empty while this module has switched the garbage collection off


def begin() -> None:
    """End the process on Ctrl-C. A signal that is ignored, as in a background job of a script, stays ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)
    if gc.isenabled():
        gc.disable()
        _paused.append(True)


def end() -> None:
    """Give Ctrl-C and the garbage collection back to Python. A second call does nothing."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if _paused:
        _paused.clear()
        gc.enable()


def _exit(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
