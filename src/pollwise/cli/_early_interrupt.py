"""Ctrl-C while the command `pollwise` is loaded: the process ends with 130, without a traceback.

Rule 1: only the process of the command. A program that calls `main` with arguments handles its own Ctrl-C.
Rule 2: only from `begin` to `end`, which is called before the command runs; run.py handles the signals then.
Rule 3: this module imports nothing that takes time. A Ctrl-C before it, while Python itself starts, is not covered.
"""

from __future__ import annotations

import os
import signal
import threading
from types import FrameType

__all__ = ["begin", "end"]


def begin() -> None:
    """End the process on Ctrl-C. A signal that is ignored, as after `nohup`, stays ignored."""
    is_main = threading.current_thread() is threading.main_thread()
    if is_main and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def end() -> None:
    """Give Ctrl-C back to Python."""
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _exit(number: int, _frame: FrameType | None) -> None:
    os._exit(128 + number)
