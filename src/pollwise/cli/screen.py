"""Where events are shown: JSON lines for programs, plain lines for pipes, live rows for a terminal.

Rule 1: events go to stdout, everything about the command itself to stderr.
Rule 2: each line is flushed at once.
Rule 3: without a terminal, or on one that cannot move its cursor (TERM=dumb), no escape code is ever written.
"""

from __future__ import annotations

import os
import sys
from types import TracebackType
from typing import Any, Protocol, Self

from rich.text import Text

from pollwise.cli.event_text import AnyEndpoint, AnyEvent, event_line
from pollwise.cli.jsonlines import event_to_json
from pollwise.cli.stdout import StdoutWriter

__all__ = ["JsonScreen", "LineScreen", "Screen", "open_screen"]


class Screen(Protocol):
    """Shows events while its `async with` is open."""

    @property
    def persistent(self) -> bool:
        """True where what was shown stays to be read; false for live rows, which leave when the screen closes."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def add_job(self, endpoint: AnyEndpoint, job: Any, /) -> None:
        """Tell that a job is going to be watched."""
        ...

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Show one event."""
        ...

    async def print_text(self, text: Text, /) -> None:
        """Tell a person something that is no event."""
        ...


class _StreamScreen:
    """What the two screens without live rows have in common."""

    def __init__(self) -> None:
        self._output = StdoutWriter()

    @property
    def persistent(self) -> bool:
        return True

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        return None

    def add_job(self, endpoint: AnyEndpoint, job: Any, /) -> None:
        """Nothing to tell before the first event."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        raise NotImplementedError

    async def print_text(self, text: Text, /) -> None:
        raise NotImplementedError


class JsonScreen(_StreamScreen):
    """One JSON object a line, and nothing else."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Print the event as JSON."""
        await self._output.line(event_to_json(endpoint, event))

    async def print_text(self, text: Text, /) -> None:
        """A program has no use for it."""


class LineScreen(_StreamScreen):
    """One plain line an event."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Print the event in words."""
        await self._output.line(event_line(endpoint, event))

    async def print_text(self, text: Text, /) -> None:
        """Print the words without their colours."""
        await self._output.line(text.plain)


def open_screen(*, json: bool) -> Screen:
    """The screen that suits stdout, or JSON lines if those were asked for."""
    if json:
        return JsonScreen()
    if not sys.stdout.isatty() or os.environ.get("TERM", "").lower() in {"dumb", "unknown"}:
        return LineScreen()
    from pollwise.cli.live_screen import LiveScreen  # noqa: PLC0415  rich's live display is only paid for where it is used

    return LiveScreen()
