"""Ends all that a watcher has opened."""

from __future__ import annotations

from collections.abc import Collection, Hashable
from typing import Any, Protocol, TypeVar

from pollwise.durable.recorder import Recorder
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch

__all__ = ["Closable", "close_watcher"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Closable(Protocol):
    """The watcher's own transport."""

    async def aclose(self) -> None:
        """Close all connections."""
        ...


class Joinable(Protocol):
    """Starts of jobs."""

    async def join(self) -> None:
        """Wait until none is under way. All calls have ended."""
        ...


async def close_watcher(
    dispatcher: Dispatcher[J, S],
    submits: Joinable,
    recorder: Recorder[J, S] | None,
    transport: Closable | None,
    watches: Collection[DrivenWatch[Any, Any]],
) -> None:
    """End the watches, the starts, the recorder, the pool and the transport, in this order. All of them, if it is cancelled, too."""
    if recorder is not None:
        recorder.begin_closing()
    try:
        await dispatcher.drain(watches)
        await submits.join()
        if recorder is not None:
            await recorder.aclose()
    finally:
        try:
            await dispatcher.aclose()
        finally:
            if recorder is not None:
                recorder.detach(watches)  # what is left, if this call was cancelled before it was done
            if transport is not None:
                await transport.aclose()
