"""Waiting for events and tasks, with a limit."""

from __future__ import annotations

import asyncio
from typing import Any

__all__ = ["cancelled", "wait_first"]


async def wait_first(*events: asyncio.Event, timeout_s: float | None = None) -> bool:
    """Wait until one of these is set. False after the time-out."""
    if any(event.is_set() for event in events):
        return True
    waits = [asyncio.create_task(event.wait(), name="pollwise-fleet-wait") for event in events]
    try:
        done, _ = await asyncio.wait(waits, timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
    finally:
        await cancelled(*waits)
    return bool(done)


async def cancelled(*tasks: asyncio.Task[Any]) -> None:
    """Cancel these tasks, and return when they have ended. What they raise is not reported."""
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
