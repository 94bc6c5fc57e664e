"""Live rows: the state of each job, on a terminal.

Rule 1: at most fifty rows, and never more than fit the terminal. Finished jobs are hidden first, and are still counted.
Rule 2: a frame is drawn four times a second, for any number of events. An event alone draws nothing.
Rule 3: every frame fits 80 columns; a narrower terminal loses the notes first.
Rule 4: the cursor is always shown again when the screen closes. The rows are then removed, because a summary follows.
After an error or Ctrl-C no summary follows, so the rows stay.
"""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from types import TracebackType
from typing import Any, Self

import attrs
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pollwise.cli.event_text import ENDED, AnyEndpoint, AnyEvent, EventView, appearance_of, job_keys, label_of, view_of
from pollwise.cli.safe_text import clock, shorten_keys

__all__ = ["LiveRow", "LiveScreen"]

_MOST_ROWS = 50
_INDENT = "    "
_FRAME_S = 0.25
_WORD_CELLS, _BAR_CELLS, _PERCENT_CELLS, _TIME_CELLS, _POLLS_CELLS = 14, 10, 4, 10, 5
_TAKEN_CELLS = _WORD_CELLS + _BAR_CELLS + _PERCENT_CELLS + _TIME_CELLS + _POLLS_CELLS + 6  # 6: one between two columns
_FEWEST_JOB_CELLS, _MOST_JOB_CELLS = 12, 44


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
        self._live: Live | None = None
        self._clock: asyncio.Task[None] | None = None

    @property
    def persistent(self) -> bool:
        """False: the rows are removed when the screen closes."""
        return False

    async def __aenter__(self) -> Self:
        self._live = Live(
            console=self._console,
            get_renderable=self._frame,
            auto_refresh=False,
            transient=True,
            redirect_stdout=False,
            redirect_stderr=sys.stderr.isatty(),  # on a terminal a log line is printed above the rows
            vertical_overflow="crop",
        )
        self._live.start()
        self._clock = asyncio.create_task(self._draw(self._live), name="pollwise screen")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        assert self._live is not None  # noqa: S101  # set by __aenter__
        assert self._clock is not None  # noqa: S101
        try:
            self._clock.cancel()
            await asyncio.wait((self._clock,))
            if not self._clock.cancelled():
                self._clock.result()  # raises the error of a failed drawing
        finally:
            self._live.transient = error is None  # after an error or Ctrl-C the rows stay
            self._live.stop()

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
        first, *rest = text.wrap(self._console, max(20, self._console.width - len(_INDENT)))
        self._console.print(first, *(Text(_INDENT) + line for line in rest), sep="\n")

    async def _draw(self, live: Live) -> None:
        while True:
            live.refresh()
            await asyncio.sleep(_FRAME_S)

    def _frame(self) -> RenderableType:
        rows = list(self._rows.values())
        names = list(dict.fromkeys(row.endpoint for row in rows))
        room = min(_MOST_ROWS, self._console.height - len(names) - 3)
        shown = _rows_to_show(rows, max(1, room))
        now = asyncio.get_running_loop().time()
        parts: list[RenderableType] = []
        parts.extend(self._table(name, [row for row in shown if row.endpoint == name], now) for name in names)
        if len(rows) > 1:
            parts.append(_counts(rows, hidden=len(rows) - len(shown)))
        return Group(*parts)

    def _table(self, name: str, rows: Iterable[LiveRow], now: float) -> Table:
        spare = self._console.width - _TAKEN_CELLS
        job_cells = min(max(_FEWEST_JOB_CELLS, 2 * spare // 3), _MOST_JOB_CELLS)
        table = Table.grid(padding=(0, 1), pad_edge=False)
        table.show_header = True
        table.add_column(Text(name, style="bold"), width=_WORD_CELLS, no_wrap=True, overflow="ellipsis")
        table.add_column(Text("job", style="dim"), width=job_cells, no_wrap=True, overflow="ellipsis")
        table.add_column("", width=_BAR_CELLS, no_wrap=True)
        for title, cells in (("done", _PERCENT_CELLS), ("time", _TIME_CELLS), ("polls", _POLLS_CELLS)):
            table.add_column(Text(title, style="dim"), width=cells, no_wrap=True, justify="right")
        table.add_column("", width=max(1, spare - job_cells), no_wrap=True, overflow="ellipsis")
        for row in rows:
            table.add_row(*self._cells(row, job_cells, now))
        return table

    def _cells(self, row: LiveRow, job_cells: int, now: float) -> Iterable[RenderableType]:
        view = row.view
        appearance = appearance_of(view.state)
        symbol = appearance.ascii_symbol if self._console.options.ascii_only else appearance.symbol
        yield Text(f"{symbol} {view.state}", style=appearance.style)
        yield Text(shorten_keys(row.keys, job_cells))
        yield _bar(row)
        yield Text("" if row.fraction is None else f"{int(row.fraction * 100)}%")
        yield Text(row.time(now))
        yield Text(str(view.polls), style="dim")
        yield Text(view.note, style="dim")


def _bar(row: LiveRow) -> RenderableType:
    if row.fraction is not None:
        return ProgressBar(total=1.0, completed=row.fraction)
    if row.ended or row.view.state in {"waiting", "queued"}:
        return Text("")
    return ProgressBar(total=1.0, completed=0.0, pulse=True)


def _rows_to_show(rows: list[LiveRow], room: int) -> list[LiveRow]:
    """At most `room` rows, in their order: the open jobs first, then the latest of the ended ones."""
    if len(rows) <= room:
        return rows
    ranked = sorted(range(len(rows)), key=lambda index: (rows[index].ended, -index if rows[index].ended else index))
    return [rows[index] for index in sorted(ranked[:room])]


def _counts(rows: Iterable[LiveRow], *, hidden: int) -> Text:
    """One line that counts every row, shown or not."""
    counts = Counter(row.view.state for row in rows)
    text = Text(", ").join(
        Text(f"{number} {state}", style=appearance_of(state).style) for state, number in counts.most_common()
    )
    if hidden:
        text.append(f"  ({hidden} not shown)", style="dim")
    return text
