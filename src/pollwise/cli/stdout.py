"""Lines on stdout that never block the event loop.

Rule 1: a line is written at once and whole, one after another, or the error of stdout comes out.
Rule 2: a slow reader delays only the writer: polling continues, and Ctrl-C works.
"""

from __future__ import annotations

import asyncio
import os
import select
import sys

from pollwise.cli._descriptors import wait_writable

__all__ = ["StdoutWriter"]

_ATOMIC_WRITE_BYTES = getattr(
    select, "PIPE_BUF", 512
)  # what a pipe takes without blocking once it calls itself writable


class StdoutWriter:
    """stdout, as it is when a line is written."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()

    async def line(self, text: str) -> None:
        """Write one line.

        Raises:
            BrokenPipeError: The reader closed stdout.
            OSError: It cannot be written.
        """
        async with self._lock:
            stream = sys.stdout
            try:
                descriptor = stream.fileno()
            except (OSError, ValueError):  # an embedding program's, which lives in memory
                print(text, file=stream, flush=True)
                return
            stream.flush()
            rest = memoryview(f"{text}\n".encode(stream.encoding, stream.errors or "strict"))
            while rest:
                await wait_writable(descriptor)
                try:
                    rest = rest[os.write(descriptor, rest[:_ATOMIC_WRITE_BYTES]) :]
                except BlockingIOError:  # another process has taken the room, and the descriptor is non-blocking
                    continue
