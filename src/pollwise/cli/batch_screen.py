"""Shows a batch on a terminal, in a pipe, and as JSON lines.

Rule 1: a frame fits one screen for any number of jobs: counts of all jobs, and a few jobs by name. A frame costs the same
for ten jobs and for a hundred thousand.
Rule 2: in a pipe, stdout gets a line for each outcome. Stderr gets a line with the progress every 30 seconds.
Rule 3: with JSON, stdout gets a line for each outcome, and stderr gets nothing.
Rule 4: a host that fails for every job is one line, and not one for each job.
Rule 5: each run shows every outcome, also those of earlier runs.
"""

from __future__ import annotations

import asyncio
import contextlib
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from rich.cells import cell_len
from rich.console import Console, Group, RenderableType
from rich.text import Text

from pollwise.cli.batch_progress import BatchProgress, JobLine, RequestCounter, recent_text, remaining_text
from pollwise.cli.event_text import ENDED, AnyEndpoint, AnyEvent, counts_line, state_text
from pollwise.cli.ledger_summary import STATES
from pollwise.cli.live_screen import LiveScreen
from pollwise.cli.row_cells import bar, fitted, joined, keys_text, wrapped
from pollwise.cli.safe_text import clock, counted, safe
from pollwise.cli.screen import JsonScreen, LineScreen, Screen, open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.runtime.host_outages import line_since

__all__ = ["LiveBatch", "PlainBatch", "counts_text", "open_batch_screen", "progress_text"]

_EVERY_S = 30.0
_STATE_CELLS, _TIME_CELLS, _POLLS_CELLS = 12, 6, 5
_MOST_JOBS, _MOST_JOB_CELLS, _MOST_NAME_CELLS = 6, 60, 40
_WITH_MESSAGE, _WITH_POLLS = 50, 96  # from this number of cells on, a row of a job has these columns
_MOST_HOSTS, _HOST_LINES = 3, 2  # hosts that are down, and lines for each of them
_FEWEST_ENDPOINTS, _ENDPOINTS_SHARE = 2, 4  # endpoints with a line: at least 2, at most a quarter of the lines
_ENDPOINTS_WITH_TIMES = 2  # from this number of endpoints on, each has its time left
_MOST_REASON_LINES = 2  # in the last table, that of the jobs that did not succeed
_TITLE_LINES = 2  # of a table of jobs: an empty line, and its title


def open_batch_screen(
    progress: BatchProgress,
    budgets: Mapping[str, RateBudget],
    *,
    json: bool,
    quiet: bool = False,
    output: StdoutWriter | None = None,
) -> Screen:
    """JSON lines with `json`; else the live progress on a terminal, and plain lines in a pipe or a file.

    With `quiet` there is no progress. `output` writes the JSON lines.
    """
    screen = open_screen(json=json, quiet=quiet, output=output)
    if quiet or isinstance(screen, JsonScreen):
        return screen
    return PlainBatch(progress) if isinstance(screen, LineScreen) else LiveBatch(progress, budgets)


def counts_text(progress: BatchProgress, states: Iterable[str] = STATES) -> Text:
    """How many jobs have each of these states; a state without jobs is left out."""
    return counts_line({state: progress.counts[state] for state in states})


def progress_text(progress: BatchProgress, now: float) -> str:
    """The progress of the batch in one line."""
    share = int(100 * progress.ended / max(1, progress.total))
    facts = [f"{progress.ended:,} of {progress.total:,} over ({share} %)", counts_text(progress).plain]
    recent = sum(counter.recent(now) for counter in progress.request_counters.values())
    facts.append(f"{counted(recent, 'request')} in the last minute")
    if progress.ended < progress.total:
        facts.append(remaining_text(progress.remaining(now)))
    return "; ".join(facts)


class PlainBatch(LineScreen):
    """One plain line for each outcome on stdout, and the progress on stderr every 30 seconds."""

    def __init__(self, progress: BatchProgress) -> None:
        super().__init__()
        self._progress = progress
        self._clock: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        self._clock = asyncio.create_task(self._print_progress(), name="pollwise progress")
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None, /
    ) -> None:
        if self._clock is not None:
            self._clock.cancel()
            await asyncio.wait((self._clock,))

    async def _print_progress(self) -> None:
        now = asyncio.get_running_loop().time
        while True:
            await asyncio.sleep(_EVERY_S)
            with contextlib.suppress(OSError):  # a closed stderr does not end the batch
                print(f"pollwise: {progress_text(self._progress, now())}", file=sys.stderr, flush=True)


class LiveBatch(LiveScreen):
    """The progress, drawn in place. Open it before it shows an event."""

    def __init__(
        self, progress: BatchProgress, budgets: Mapping[str, RateBudget], console: Console | None = None
    ) -> None:
        super().__init__(console)
        self._progress = progress
        self._budgets = budgets

    def add_job(self, endpoint: AnyEndpoint, job: Any, /) -> None:
        """Do nothing: the ledger updates the progress."""

    async def show(self, endpoint: AnyEndpoint, event: AnyEvent, /) -> None:
        """Do nothing: the ledger updates the progress."""

    def _frame(self, columns: int, lines: int) -> RenderableType:
        progress, now = self._progress, asyncio.get_running_loop().time()
        parts: list[Text] = [
            _head(progress, now, columns),
            bar(progress.ended / max(1, progress.total), columns),
            counts_text(progress, [state for state in STATES if state in ENDED]),
            counts_text(progress, [state for state in STATES if state not in ENDED]),
        ]
        parts = [line for part in parts if part for line in part.wrap(self._console, columns)]
        parts += self._requests(now, columns, max(_FEWEST_ENDPOINTS, lines // _ENDPOINTS_SHARE))
        parts += self._hosts_down(now, columns)
        parts += self._jobs(now, columns, lines - len(parts))
        return Group(*parts)

    def _hosts_down(self, now: float, columns: int) -> Iterator[Text]:
        """One text for each host that fails for every job."""
        found = [outage for budget in self._budgets.values() for outage in engine_of(budget).hosts.outages(now)]
        for outage in found[:_MOST_HOSTS]:
            line = Text(safe(line_since(outage, time.time())), style="yellow")
            yield from wrapped(self._console, line, columns, _HOST_LINES)

    def _requests(self, now: float, columns: int, most: int) -> Iterator[Text]:
        """A line for each endpoint, those with the most requests if there are too many."""
        counters = self._progress.request_counters
        names = list(counters)
        if len(names) > most:
            busiest = sorted(names, key=lambda name: counters[name].sent, reverse=True)[: most - 1]
            names = [name for name in names if name in set(busiest)]
        rows = [(*_numbers(counters[name], self._budgets[name], now), self._time_left(name, now)) for name in names]
        widths = [max(map(cell_len, column)) for column in zip(*rows, strict=True)]
        labels = [safe(name) for name in names]
        name_cells = min(max(map(cell_len, labels), default=0), _MOST_NAME_CELLS, columns // 2)
        shown = _columns_that_fit(widths, columns - name_cells)
        for name, label, row in zip(names, labels, rows, strict=True):
            refused = "" if self._budgets[name].refused else "dim"
            styles = ("", "dim", "dim", "dim", refused, "")
            numbers = [fitted(row[index], widths[index], styles[index], right=True) for index in shown]
            yield joined([fitted(label, name_cells, "bold"), *numbers], "  ")
        if len(names) < len(counters):
            yield Text(f"and {counted(len(counters) - len(names), 'endpoint')} more", style="dim")

    def _time_left(self, name: str, now: float) -> str:
        """How long the jobs of an endpoint take, where the line above does not say it because there are several."""
        if len(self._progress.request_counters) < _ENDPOINTS_WITH_TIMES:
            return ""
        remaining = self._progress.remaining_of(name, now)
        return "all over" if remaining is not None and remaining.high_s == 0.0 else remaining_text(remaining)

    def _jobs(self, now: float, columns: int, spare: int) -> Iterator[Text]:
        """A few jobs by name, in at most `spare` lines. The last table to be left out is that of the unsuccessful jobs."""
        progress = self._progress
        tables = [
            ("longest", progress.longest(_MOST_JOBS), True),
            ("latest", progress.latest(_MOST_JOBS), False),
            ("not well", progress.unsuccessful(_MOST_JOBS), False),
        ]
        tables = [table for table in tables if table[1]]
        while tables and spare // len(tables) < _TITLE_LINES + 1:
            tables.pop(0)
        states = [line.state for _, lines, _ in tables for line in lines]
        state_cells = max([_STATE_CELLS, *(len(state) + 2 for state in states if columns >= _WITH_MESSAGE)])
        for left in range(len(tables), 0, -1):
            title, found, running = tables[-left]
            reason_lines = _MOST_REASON_LINES if left == 1 else 1
            lines = self._table(title, found, now, columns, spare // left, state_cells, reason_lines, running=running)
            yield from lines
            spare -= len(lines)

    def _table(
        self,
        title: str,
        found: Sequence[JobLine],
        now: float,
        columns: int,
        most: int,
        state_cells: int,
        reason_lines: int,
        *,
        running: bool,
    ) -> list[Text]:
        """A title and a few jobs, in at most `most` lines."""
        heads = [fitted(title, state_cells, "bold")]
        heads.append(fitted("for" if running else "ago", _TIME_CELLS, "dim", right=True))
        if columns >= _WITH_POLLS:
            heads.append(fitted("polls", _POLLS_CELLS, "dim", right=True))
        lines = [Text(""), joined(heads)]
        shown = found[: most - len(lines)]
        room = columns - joined(heads).cell_len - 2
        keys = [[safe(value, 120) for value in line.keys.values()] for line in shown]
        key_cells = max(cell_len(" / ".join(texts)) for texts in keys)
        if any(line.note for line in shown) and columns >= _WITH_MESSAGE:
            key_cells = min(key_cells, 2 * room // 5, _MOST_JOB_CELLS)
        key_cells = min(key_cells, room)
        for number, (line, texts) in enumerate(zip(shown, keys, strict=True)):
            room_here = most - len(lines) - (len(shown) - number - 1)
            parts = [fitted(state_text(line.state, ascii_only=self._console.options.ascii_only), state_cells)]
            parts.append(fitted(clock(now - line.at), _TIME_CELLS, "dim", right=True))
            if columns >= _WITH_POLLS:
                parts.append(fitted(f"{line.polls:,}", _POLLS_CELLS, "dim", right=True))
            row = joined([joined(parts), keys_text(texts, key_cells)], "  ")
            lines += self._with_reason(row, line.note, columns, min(reason_lines, room_here))
        return lines

    def _with_reason(self, row: Text, note: str, columns: int, most: int) -> Iterator[Text]:
        """A row, and the reason beside it in at most `most` lines."""
        cells = columns - row.cell_len - 2
        if not note or columns < _WITH_MESSAGE:
            yield row
            return
        first, *others = wrapped(self._console, Text(safe(note)), cells, most)
        yield joined([row, first], "  ")
        for other in others:
            yield Text(" " * (columns - cells)) + other


def _head(progress: BatchProgress, now: float, columns: int) -> Text:
    """How much is over on the left, and the times on the right. What does not fit is left out, the least important first."""
    done = f"{progress.ended:,} of {progress.total:,} over"
    known = f", {progress.known:,} of them in earlier runs" if progress.known else ""
    share = f"{int(100 * progress.ended / max(1, progress.total))} %"
    took = clock(now - progress.began_at)
    left = remaining_text(progress.remaining(now)) if progress.ended < progress.total else ""
    both = f"{took}, {left}" if left else took
    for fact, times in ((known, f"{share}  {both}"), (known, both), ("", both), ("", left or took)):
        text = Text(done, style="bold").append(fact, style="not bold")
        blanks = columns - text.cell_len - cell_len(times)
        if blanks > 1:
            return text.append(" " * blanks).append(times, style="not bold")
    return fitted(done, columns, "bold")


def _numbers(counter: RequestCounter, budget: RateBudget, now: float) -> tuple[str, str, str, str, str]:
    """The recent requests, their limit, what is left of the budget, the requests sent, and those that were refused."""
    recent, limit = recent_text(counter, budget, now)
    left = engine_of(budget).left(now)
    return (
        recent,
        limit,
        "" if left is None else f"{left:,} left",
        f"{counter.sent:,} sent",
        f"{budget.refused:,} refused",
    )


def _columns_that_fit(widths: Sequence[int], columns: int) -> list[int]:
    """The columns of a line of an endpoint that fit, in their order. The recent requests are the most important one."""
    shown: list[int] = []
    for index in (0, 4, 1, 5, 3, 2):
        if index < len(widths) and widths[index] and widths[index] + 2 <= columns:
            shown.append(index)
            columns -= widths[index] + 2
    return sorted(shown)
