"""Live rows: the state of each job, on a terminal.

Rule 1: at most fifty rows, and never more than fit the terminal. Finished jobs are hidden first, and are still counted.
Rule 2: a frame is drawn four times a second, for any number of events. An event alone draws nothing.
Rule 3: a job alone has a line for its keys, one for its progress, and lines for its message. Of several jobs each has one row.
Rule 4: the state and the keys are in every row. The others are left out of a narrow one: first the polls, then the bar, the
time and the message. If there is no bar, the message has its place, too.
Rule 5: the rows are removed when the screen closes, because a summary follows. After an error or Ctrl-C no summary follows,
so the rows stay.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from pollwise.cli.event_text import (
    ENDED,
    AnyEndpoint,
    AnyEvent,
    EventView,
    counts_line,
    job_keys,
    label_of,
    state_text,
    view_of,
)
from pollwise.cli.live_frame import LiveFrame
from pollwise.cli.row_cells import bar, fitted, joined, keys_text, wrapped
from pollwise.cli.safe_text import clock, counted

__all__ = ["LiveRow", "LiveScreen"]

_MOST_ROWS = 50
_INDENT = "    "
_FRAME_S = 0.25
_FEWEST_BAR_CELLS, _MOST_BAR_CELLS = 8, 60
_MOST_JOB_CELLS = 44
_MOST_MESSAGE_LINES = 4  # of a job alone that is over
_STATE_CELLS, _PERCENT_CELLS, _TIME_CELLS, _POLLS_CELLS = 11, 4, 9, 5
# A row has these columns from this number of cells on.
_WITH_MESSAGE, _WITH_TIME, _WITH_POLLS = 34, 56, 96
_LEAST_MESSAGE = 20  # a bar is drawn only beside a message of this width


@attrs.define(kw_only=True)
class LiveRow:
    """One job on the screen. Times are monotonic seconds."""

    endpoint: str
    keys: Sequence[str]
    began_at: float
    view: EventView
    fraction: float | None = None
    over_at: float | None = None
    """Estimated time when the job is over, or None without an estimate."""

    def update(self, view: EventView, now: float) -> None:
        """Show an event. `retrying` and `throttled` keep the progress and the estimate."""
        self.view = view
        self.began_at = now - view.elapsed_s
        if view.fraction is not None:
            self.fraction = view.fraction
        if view.state not in {"retrying", "throttled"}:
            self.over_at = None if view.eta_s is None else now + view.eta_s

    @property
    def ended(self) -> bool:
        """True after its outcome."""
        return self.view.state in ENDED

    def time(self, now: float) -> str:
        """The estimated time left, or else the time since the watch began."""
        if self.ended:
            return clock(self.view.elapsed_s)
        if self.over_at is not None:
            return f"{clock(self.over_at - now)} left"
        return clock(now - self.began_at)


class LiveScreen:
    """Rows that change in place. Open it before it shows an event."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, markup=False, emoji=False)
        self._rows: dict[Hashable, LiveRow] = {}
        self._live = LiveFrame(self._console, self._frame)
        self._clock: asyncio.Task[None] | None = None

    @property
    def persistent(self) -> bool:
        """False: the rows are removed when the screen closes."""
        return False

    async def __aenter__(self) -> Self:
        self._live.open()
        self._clock = asyncio.create_task(self._draw(), name="pollwise screen")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        assert self._clock is not None  # noqa: S101  # set by __aenter__
        keep = True  # also if Ctrl-C comes here, because no summary follows then
        try:
            self._clock.cancel()
            await asyncio.wait((self._clock,))
            if not self._clock.cancelled():
                self._clock.result()  # raises the error of a failed drawing
            keep = error is not None
        finally:
            self._live.close(keep=keep)

    def add_job(self, endpoint: AnyEndpoint, job: Any, /) -> None:
        """Add the row of a job, which is `waiting` until its first event."""
        now = asyncio.get_running_loop().time()
        waiting = EventView(state="waiting", elapsed_s=0.0, polls=0)
        row = LiveRow(endpoint=label_of(endpoint), keys=job_keys(endpoint, job), began_at=now, view=waiting)
        self._rows.setdefault((endpoint.name, job), row)

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Change a job's row. The next frame shows it."""
        self.add_job(endpoint, event.job)
        self._rows[endpoint.name, event.job].update(view_of(event), asyncio.get_running_loop().time())

    async def print_text(self, text: Text, /) -> None:
        """Print above the rows, or after them once the screen is closed."""
        columns, _ = self._live.size
        first, *rest = text.wrap(self._console, max(len(_INDENT) + 8, columns - len(_INDENT)))
        self._console.print(first, *(Text(_INDENT) + line for line in rest), sep="\n", crop=False, no_wrap=True)

    async def _draw(self) -> None:
        while True:
            await asyncio.sleep(_FRAME_S)
            self._live.draw()

    def _frame(self, columns: int, lines: int) -> RenderableType:
        rows = list(self._rows.values())
        now = asyncio.get_running_loop().time()
        ascii_only = self._console.options.ascii_only
        if len(rows) == 1:
            return Group(*_alone(self._console, rows[0], columns, now, ascii_only=ascii_only))
        names = list(dict.fromkeys(row.endpoint for row in rows))
        room = lines - len(names) - len(_counts(rows, hidden=len(rows)).wrap(self._console, columns))
        shown = _rows_to_show(rows, max(1, min(_MOST_ROWS, room)))
        layout = _Columns.of(rows, columns, now)
        parts: list[RenderableType] = []
        for name in names:
            parts.append(layout.title(name))
            parts += [layout.row(row, now, ascii_only=ascii_only) for row in shown if row.endpoint == name]
        if rows:
            parts.append(_counts(rows, hidden=len(rows) - len(shown)))
        return Group(*parts)


@attrs.frozen(kw_only=True)
class _Columns:
    """The widths of the columns of several rows, in cells; 0 for a column that is left out.

    `rest` has what differs from row to row: the share done and the bar, if there is one, and the message.
    """

    state: int
    job: int
    time: int
    polls: int
    rest: int

    @classmethod
    def of(cls, rows: Iterable[LiveRow], columns: int, now: float) -> Self:
        """Divide the columns of a terminal."""
        keys, state, time = 1, _STATE_CELLS, _TIME_CELLS
        for row in rows:
            keys = max(keys, cell_len(" / ".join(row.keys)))
            state = max(state, len(row.view.state) + 2)
            time = max(time, len(row.time(now)))
        if columns < _WITH_TIME:
            state, time = _STATE_CELLS, -1
        polls = _POLLS_CELLS if columns >= _WITH_POLLS else -1
        spare = columns - state - 1 - (time + 1) - (polls + 1)
        if columns < _WITH_MESSAGE:
            return cls(state=state, job=spare, time=0, polls=0, rest=0)
        job = min(keys, _MOST_JOB_CELLS, spare // (3 if columns >= _WITH_TIME else 2))
        return cls(state=state, job=job, time=max(0, time), polls=max(0, polls), rest=spare - job - 2)

    def title(self, name: str) -> Text:
        """The line above the rows of an endpoint."""
        titles = fitted(name, self.state + 1 + self.job, "bold")
        parts = [fitted(word, cells, "dim", right=True) for word, cells in self._numbers("time", "polls") if cells]
        return joined([titles, *parts])

    def row(self, row: LiveRow, now: float, *, ascii_only: bool) -> Text:
        """One job."""
        parts = [
            fitted(_state(row, ascii_only=ascii_only), self.state),
            keys_text(row.keys, self.job),
        ]
        numbers = self._numbers(row.time(now), str(row.view.polls))
        parts += [fitted(text, cells, "dim", right=True) for text, cells in numbers if cells]
        return joined([joined(parts), joined(self._rest(row))], "  ")

    def _numbers(self, time: str, polls: str) -> Sequence[tuple[str, int]]:
        return ((time, self.time), (polls, self.polls))

    def _rest(self, row: LiveRow) -> Iterator[Text]:
        room = self.rest
        if row.fraction is not None and not row.ended and room >= _PERCENT_CELLS:
            yield fitted(_percent(row.fraction), _PERCENT_CELLS, right=True)
            room -= _PERCENT_CELLS + 1
            bar_cells = min(max(_FEWEST_BAR_CELLS, room // 3), _MOST_BAR_CELLS)
            if room - bar_cells - 1 >= _LEAST_MESSAGE:
                yield bar(row.fraction, bar_cells)
                room -= bar_cells + 1
        yield fitted(row.view.note, room, "" if row.ended else "dim")


def _alone(console: Console, row: LiveRow, columns: int, now: float, *, ascii_only: bool) -> Iterator[Text]:
    """The lines of a job alone: its endpoint and keys, its progress, its message."""
    keys = " / ".join(row.keys)
    if cell_len(row.endpoint) + 2 + cell_len(keys) <= columns:
        yield joined([Text(row.endpoint, style="bold"), Text(keys)], "  ")
    else:
        yield fitted(row.endpoint, columns, "bold")
        yield keys_text(row.keys, columns)
    yield _progress(row, columns, now, ascii_only=ascii_only)
    message = Text(row.view.reason, style="" if row.ended else "dim")
    if row.ended:  # a user reads it to its end; that of a running job changes soon
        yield from wrapped(console, message, columns, _MOST_MESSAGE_LINES)
    elif message:
        yield fitted(message, columns)


def _progress(row: LiveRow, columns: int, now: float, *, ascii_only: bool) -> Text:
    """The state, the bar and the numbers. In a narrow terminal the bar is left out first, then the polls and the time."""
    parts = [_state(row, ascii_only=ascii_only)]
    known = row.fraction is not None and not row.ended
    texts = [_percent(row.fraction)] if known and row.fraction is not None else []
    for text in (row.time(now), counted(row.view.polls, "poll")):
        if sum(map(cell_len, [*texts, text])) + 2 * len(texts) + 2 + parts[0].cell_len <= columns:
            texts.append(text)
    numbers = [Text(text, style="dim" if number or not known else "") for number, text in enumerate(texts)]
    room = columns - joined([*parts, *numbers], "  ").cell_len - 2
    if row.fraction is not None and known and room >= _FEWEST_BAR_CELLS:
        parts.append(bar(row.fraction, room))
    return joined([*parts, *numbers], "  ")


def _state(row: LiveRow, *, ascii_only: bool) -> Text:
    return state_text(row.view.state, ascii_only=ascii_only)


def _percent(fraction: float) -> str:
    return f"{int(fraction * 100)}%"


def _rows_to_show(rows: list[LiveRow], room: int) -> list[LiveRow]:
    """At most `room` rows, in their order: the open jobs first, then the latest of the ended ones."""
    if len(rows) <= room:
        return rows
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index].ended, -index if rows[index].ended else index))
    return [rows[index] for index in sorted(ranked[:room])]


def _counts(rows: Iterable[LiveRow], *, hidden: int) -> Text:
    """One line that counts every row, shown or not."""
    counts = Counter(row.view.state for row in rows)
    text = counts_line(counts)
    if hidden:
        text.append(f"  ({hidden:,} not shown)", style="dim")
    return text
