"""Lines on stdout and stderr that never block the event loop.

Rule 1: lines are written at once, whole and one after another. An error of stdout is raised.
Rule 2: a slow reader delays only the writer: polling continues, and Ctrl-C works.
Rule 3: an error of stderr ends nothing, because the result of a command is on stdout.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import select
import sys
from typing import TextIO

from pollwise.cli._descriptors import wait_writable

__all__ = ["StderrWriter", "StdoutWriter"]

# A writable pipe accepts this number of bytes without blocking; POSIX guarantees 512.
_ATOMIC_WRITE_BYTES = getattr(select, "PIPE_BUF", 512)


class StdoutWriter:
    """Writes to the current `sys.stdout`."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def line(self, text: str) -> None:
        """Write one line.

        Raises:
            BrokenPipeError: The reader closed stdout.
            OSError: It cannot be written.
        """
        async with self._lock:
            stream = self._stream()
            if _descriptor(stream) is None:
                print(text, file=stream, flush=True)
                return
            await _write(stream, f"{text}\n".encode(stream.encoding, stream.errors or "strict"))

    async def data(self, data: bytes) -> None:
        """Write bytes as they are. Raises what `line` raises."""
        async with self._lock:
            stream = self._stream()
            if _descriptor(stream) is None:
                if not hasattr(stream, "buffer"):
                    raise OSError("stdout takes texts only")
                stream.buffer.write(data)
                stream.flush()
                return
            await _write(stream, data)

    def _stream(self) -> TextIO:
        return sys.stdout


class StderrWriter(StdoutWriter):
    """Writes to the current `sys.stderr`. Its errors are ignored."""

    async def line(self, text: str) -> None:
        """Write one line."""
        with contextlib.suppress(OSError):
            await super().line(text)

    def _stream(self) -> TextIO:
        return sys.stderr


def _descriptor(stream: TextIO) -> int | None:
    """None for a stream in memory, such as that of an embedding program."""
    try:
        return stream.fileno()
    except (OSError, ValueError):
        return None


async def _write(stream: TextIO, data: bytes) -> None:
    descriptor = stream.fileno()
    stream.flush()
    rest = memoryview(data)
    while rest:
        await wait_writable(descriptor)
        try:
            rest = rest[os.write(descriptor, rest[:_ATOMIC_WRITE_BYTES]) :]
        except BlockingIOError:  # another process has filled the pipe, and the descriptor is non-blocking
            continue
