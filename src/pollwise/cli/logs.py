"""The log on stderr.

Rule 1: warnings and errors are shown, one line each, and why a single request such as for a result is sent again: no event
says that. -v shows all of pollwise's own log, with the time of day (local) and tracebacks.
Rule 2: a log line can contain foreign text, so every line is made safe (safe_text.py).
Rule 3: the handler is installed only while a command runs, so a program that calls `main` keeps its own logging.
"""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Callable, Iterator

from pollwise.cli.safe_text import safe

__all__ = ["log_to_stderr"]

_LONGEST_LINE = 2000
_TRIES = "pollwise.runtime.single_call"  # its records of the level INFO


class _SafeFormatter(logging.Formatter):
    """One safe line for each record; with `tracebacks`, more lines, which are also safe."""

    tracebacks = False

    def format(self, record: logging.LogRecord) -> str:
        said = f"{record.levelname.lower()}: {safe(record.getMessage(), _LONGEST_LINE)}"
        if not self.tracebacks:
            return f"pollwise: {said}"
        head = f"pollwise: {self.formatTime(record, '%H:%M:%S')}.{record.msecs:03.0f} {said}"
        trace = "" if record.exc_info is None else self.formatException(record.exc_info)
        return "\n".join([f"{head} [{record.name}]", *(_indented(line) for line in trace.splitlines())])


class _StderrHandler(logging.Handler):
    """Writes to the current `sys.stderr`, because live rows replace it."""

    def emit(self, record: logging.LogRecord) -> None:
        with contextlib.suppress(OSError):  # a closed stderr does not end the command
            print(self.format(record), file=sys.stderr, flush=True)


@contextlib.contextmanager
def log_to_stderr() -> Iterator[Callable[[], None]]:
    """Show the log while the block runs. Yields a function that shows all of it (-v)."""
    root, ours, tries = logging.getLogger(), logging.getLogger("pollwise"), logging.getLogger(_TRIES)
    formatter, handler, levels_before = _SafeFormatter(), _StderrHandler(), (ours.level, tries.level)
    handler.setFormatter(formatter)

    def show_all() -> None:
        formatter.tracebacks = True
        ours.setLevel(logging.DEBUG)

    root.addHandler(handler)
    tries.setLevel(logging.INFO)
    try:
        yield show_all
    finally:
        root.removeHandler(handler)
        for logger, level in zip((ours, tries), levels_before, strict=True):
            logger.setLevel(level)


def _indented(line: str) -> str:
    return " " * (len(line) - len(line.lstrip(" "))) + safe(line, _LONGEST_LINE)
