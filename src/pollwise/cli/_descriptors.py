"""Waits until a file descriptor can be read or written without blocking."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

__all__ = ["wait_readable", "wait_writable"]


async def wait_readable(descriptor: int) -> None:
    """Return when data or the end of the file can be read."""
    loop = asyncio.get_running_loop()
    await _ready(descriptor, loop.add_reader, loop.remove_reader)


async def wait_writable(descriptor: int) -> None:
    """Return when data can be written, or the reader has closed the pipe."""
    loop = asyncio.get_running_loop()
    await _ready(descriptor, loop.add_writer, loop.remove_writer)


async def _ready(descriptor: int, add: Callable[..., None], remove: Callable[[int], object]) -> None:
    ready = asyncio.Event()
    try:
        add(descriptor, ready.set)
    except (NotImplementedError, PermissionError):  # on Windows; for a regular file, which is always ready
        return
    try:
        await ready.wait()
    finally:
        remove(descriptor)
