"""Outages of the whole server: what every request meets for a while.

Rule 1: while an outage lasts, the vendors decide nothing: no credential is checked, no request counted against a rate
limit, no script used up, no job started. The time of jobs goes on.
Rule 2: outages nest. The inner one ends with the outer one's manner restored.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Final, Literal, Self, TypeAlias

from pollwise.simulator.faults import Entry, Fault, ScriptEntry

__all__ = ["REFUSED", "Manner", "Outage", "read_outage"]

REFUSED: Final = "connection-refused"
"""Nothing listens: the kernel refuses connections, and those that were open are reset."""

Manner: TypeAlias = Entry | Literal["connection-refused"]


def read_outage(kind: ScriptEntry) -> Manner:
    """The kind, or `REFUSED`, a name turned into its fault. Raises ValueError for a name that is none."""
    if isinstance(kind, str):
        return REFUSED if kind == REFUSED else Fault(kind)
    return kind


class Outage:
    """One outage, from `begin` or `async with` to `end`. Made by `Simulator.outage`."""

    def __init__(
        self,
        kind: Manner,
        change: Callable[[Manner], Awaitable[Manner]],
    ) -> None:
        self._kind: Manner = kind
        self._change = change  # sets the server's manner, and returns the one before
        self._before: Manner = None
        self._lasts = False

    async def begin(self) -> None:
        """From now on every request meets it. Again: nothing."""
        if not self._lasts:
            self._before = await self._change(self._kind)
            self._lasts = True

    async def end(self) -> None:
        """The server is well again. Again: nothing."""
        if self._lasts:
            self._lasts = False
            await self._change(self._before)

    async def __aenter__(self) -> Self:
        await self.begin()
        return self

    async def __aexit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.end()
