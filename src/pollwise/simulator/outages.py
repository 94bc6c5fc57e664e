"""Outages of the whole server: one fault for every request.

Rule 1: during an outage no credential is checked, no request counts against a rate limit, no script entry is used up
and no job starts. The time of jobs continues.
Rule 2: outages nest. When the inner one ends, the outer one applies again.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from pollwise.simulator.faults import Fault, ParsedEntry, ScriptEntry

__all__ = ["REFUSED", "Outage", "OutageKind", "parse_outage"]

REFUSED: Final = "connection-refused"
"""No listener: the kernel refuses connections, and open ones are reset."""

OutageKind: TypeAlias = ParsedEntry | Literal["connection-refused"]


def parse_outage(kind: ScriptEntry) -> OutageKind:
    """The kind; a name is replaced by its fault. Raises ValueError for an unknown name."""
    if isinstance(kind, str):
        return REFUSED if kind == REFUSED else Fault(kind)
    return kind


class Outage:
    """One outage, from `begin` or `async with` to `end`. Made by `Simulator.outage`."""

    def __init__(
        self,
        kind: OutageKind,
        change: Callable[[OutageKind], Awaitable[OutageKind]],
    ) -> None:
        self._kind: OutageKind = kind
        self._change = change  # sets the server's outage and returns the previous one
        self._before: OutageKind = None
        self._active = False

    async def begin(self) -> None:
        """Start the outage. Safe to call again."""
        if not self._active:
            self._before = await self._change(self._kind)
            self._active = True

    async def end(self) -> None:
        """End the outage. Safe to call again."""
        if self._active:
            self._active = False
            await self._change(self._before)

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()
