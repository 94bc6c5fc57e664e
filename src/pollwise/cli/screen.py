"""The outputs of events: JSON lines for programs, plain lines for pipes, live rows for a terminal.

Rule 1: events go to stdout, messages about the command to stderr. If stdout has the result of a job, events go to stderr.
Rule 2: each line is flushed at once.
Rule 3: a quiet screen shows only outcomes.
Rule 4: no escape code is written without a terminal, or on a terminal that cannot move its cursor (TERM=dumb).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from types import TracebackType
from typing import Any, Protocol, Self

from rich.text import Text

from pollwise.cli.event_text import AnyEndpoint, AnyEvent, event_line
from pollwise.cli.jsonlines import event_to_json
from pollwise.cli.stdout import StderrWriter, StdoutWriter
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded

__all__ = ["JsonScreen", "LineScreen", "Screen", "open_screen"]


def _all(_event: AnyEvent) -> bool:
    return True


def _outcome(event: AnyEvent) -> bool:
    return isinstance(event, (Succeeded, Failed, Cancelled, Abandoned))


def _unsuccessful(event: AnyEvent) -> bool:
    return isinstance(event, (Failed, Cancelled, Abandoned))


class Screen(Protocol):
    """Shows events while its `async with` is open."""

    @property
    def persistent(self) -> bool:
        """True if the output stays readable; False for live rows, which are removed when the screen closes."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None: ...

    def add_job(self, endpoint: AnyEndpoint, job: Any, /) -> None:
        """Add a job that will be watched."""
        ...

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Show one event."""
        ...

    async def print_text(self, text: Text, /) -> None:
        """Show a text that is not an event, such as a summary."""
        ...


class _StreamScreen:
    """The common base of the two screens without live rows."""

    def __init__(self, output: StdoutWriter | None = None, shown: Callable[[AnyEvent], bool] = _all) -> None:
        self._output = StdoutWriter() if output is None else output
        self._shown = shown

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
        """Do nothing: nothing is printed before the first event."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        raise NotImplementedError

    async def print_text(self, text: Text, /) -> None:
        raise NotImplementedError


class JsonScreen(_StreamScreen):
    """One JSON object for each event, and nothing else."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Print the event as JSON."""
        if self._shown(event):
            await self._output.line(event_to_json(endpoint, event))

    async def print_text(self, text: Text, /) -> None:
        """Do nothing: programs read only events."""


class LineScreen(_StreamScreen):
    """One plain line for each event."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Print the event as text."""
        if self._shown(event):
            await self._output.line(event_line(endpoint, event))

    async def print_text(self, text: Text, /) -> None:
        """Print the text without its colours."""
        await self._output.line(text.plain)


def open_screen(
    *, json: bool, on_stderr: bool = False, quiet: bool = False, output: StdoutWriter | None = None
) -> Screen:
    """JSON lines with `json`; else live rows on a terminal, and plain lines in a pipe or a file.

    Args:
        json: JSON lines.
        on_stderr: Show the events on stderr, because stdout has the result.
        quiet: Show only outcomes, and on stderr only those without success. There are no live rows.
        output: Writes the JSON lines of stdout.
    """
    stream, texts = (sys.stderr, StderrWriter()) if on_stderr else (sys.stdout, StdoutWriter())
    shown = (_unsuccessful if on_stderr else _outcome) if quiet else _all
    if json:
        return JsonScreen(texts if on_stderr or output is None else output, shown)
    if quiet or not stream.isatty() or os.environ.get("TERM", "").lower() in {"dumb", "unknown"}:
        return LineScreen(texts, shown)
    from rich.console import Console  # noqa: PLC0415  other screens need no import of rich's live display

    from pollwise.cli.live_screen import LiveScreen  # noqa: PLC0415

    return LiveScreen(Console(stderr=True, highlight=False, markup=False, emoji=False) if on_stderr else None)
