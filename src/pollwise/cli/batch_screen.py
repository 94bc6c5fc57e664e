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
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

from rich.console import Console, Group, RenderableType
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from pollwise.cli.batch_progress import BatchProgress, JobLine
from pollwise.cli.event_text import ENDED, AnyEndpoint, AnyEvent, appearance_of
from pollwise.cli.ledger_summary import STATES
from pollwise.cli.live_screen import LiveScreen
from pollwise.cli.safe_text import clock, duration, safe, shorten_keys
from pollwise.cli.screen import JsonScreen, LineScreen, Screen, open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.runtime.host_outages import line_since

__all__ = ["LiveBatch", "PlainBatch", "counts_text", "open_batch_screen", "progress_text"]

_EVERY_S = 30.0
_WORD_CELLS, _TIME_CELLS, _POLLS_CELLS = 12, 8, 5
_LEAST_LINES, _MOST_LINES = 1, 6
_OTHER_LINES = 12  # lines of a frame that show neither an endpoint nor a job
_MOST_HOSTS, _HOST_LINES = 3, 2  # hosts that are down, and lines for each of them


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
    texts = [
        Text(f"{progress.counts[state]:,} {state}", style=appearance_of(state).style)
        for state in states
        if progress.counts[state]
    ]
    return Text(", ").join(texts)


def progress_text(progress: BatchProgress, now: float) -> str:
    """The progress of the batch in one line."""
    share = int(100 * progress.ended / max(1, progress.total))
    facts = [f"{progress.ended:,} of {progress.total:,} over ({share} %)", counts_text(progress).plain]
    rate = sum(counter.per_minute(now) for counter in progress.request_counters.values())
    facts.append(f"{rate:,.0f} requests a minute")
    eta_s = progress.eta_s(now)
    if eta_s is not None:
        facts.append(f"about {duration(eta_s)} left")
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

    def _frame(self) -> RenderableType:
        progress, now = self._progress, asyncio.get_running_loop().time()
        hosts = self._hosts_down(now)
        spare = self._console.height - _OTHER_LINES - len(progress.request_counters) - _HOST_LINES * len(hosts)
        room = min(_MOST_LINES, max(_LEAST_LINES, spare // 3))
        ended = [state for state in STATES if state in ENDED]
        parts: list[RenderableType] = [
            _head(progress, now, self._console.width),
            _bar(progress),
            counts_text(progress, ended),
            counts_text(progress, [state for state in STATES if state not in ENDED]),
            self._requests(now),
            *hosts,
        ]
        jobs = [
            ("longest", progress.longest(room), True),
            ("latest", progress.latest(room), False),
            ("not well", progress.unsuccessful(room), False),
        ]
        parts += [self._jobs(title, lines, now, running=running) for title, lines, running in jobs if lines]
        return Group(*parts)

    def _hosts_down(self, now: float) -> list[Text]:
        """A line for each host that fails for every job."""
        found = [outage for budget in self._budgets.values() for outage in engine_of(budget).hosts.outages(now)]
        lines = [Text(safe(line_since(outage, time.time())), style="yellow") for outage in found[:_MOST_HOSTS]]
        for line in lines:
            line.truncate(_HOST_LINES * self._console.width - _HOST_LINES * 8, overflow="ellipsis")
        return lines

    def _requests(self, now: float) -> Table:
        table = Table.grid(padding=(0, 2), pad_edge=False)
        for _ in range(6):
            table.add_column(no_wrap=True, overflow="ellipsis")
        for name, counter in self._progress.request_counters.items():
            budget = self._budgets[name]
            table.add_row(
                Text(name, style="bold"),
                Text(f"{counter.per_minute(now):,.0f}/min"),
                Text(_limit(budget), style="dim"),
                Text("" if (left := engine_of(budget).left(now)) is None else f"{left:,} left", style="dim"),
                Text(f"{counter.sent:,} sent", style="dim"),
                Text(f"{budget.refused:,} refused", style="yellow" if budget.refused else "dim"),
            )
        return table

    def _jobs(self, title: str, lines: Iterable[JobLine], now: float, *, running: bool) -> Table:
        spare = self._console.width - _WORD_CELLS - _TIME_CELLS - _POLLS_CELLS - 4
        job_cells = min(max(12, spare if running else spare // 2), 60)
        table = Table.grid(padding=(0, 1), pad_edge=False)
        table.show_header = True
        table.add_column(Text(f"\n{title}", style="bold"), width=_WORD_CELLS, no_wrap=True, overflow="ellipsis")
        table.add_column("", width=job_cells, no_wrap=True, overflow="ellipsis")
        for column, cells in (("for" if running else "ago", _TIME_CELLS), ("polls", _POLLS_CELLS)):
            table.add_column(Text(f"\n{column}", style="dim"), width=cells, no_wrap=True, justify="right")
        table.add_column("", width=max(1, spare - job_cells), no_wrap=True, overflow="ellipsis")
        for line in lines:
            table.add_row(*self._line(line, job_cells, now))
        return table

    def _line(self, line: JobLine, job_cells: int, now: float) -> Iterator[Text]:
        appearance = appearance_of(line.state)
        symbol = appearance.ascii_symbol if self._console.options.ascii_only else appearance.symbol
        yield Text(f"{symbol} {line.state}", style=appearance.style)
        yield Text(shorten_keys([safe(value, 120) for value in line.keys.values()], job_cells))
        yield Text(clock(now - line.at), style="dim")
        yield Text(f"{line.polls}", style="dim")
        yield Text(line.note, style="dim")


def _head(progress: BatchProgress, now: float, width: int) -> Text:
    done = f"{progress.ended:,} of {progress.total:,} over"
    known = f", {progress.known:,} of them before" if progress.known else ""
    eta_s = progress.eta_s(now)
    time = clock(now - progress.began_at) + ("" if eta_s is None else f", about {duration(eta_s)} left")
    text = Text(done, style="bold").append(known, style="dim")
    text.append(" " * max(2, width - len(text) - len(time)))
    return text.append(time, style="not bold")


def _bar(progress: BatchProgress) -> Table:
    bar = Table.grid(expand=True)  # a bar alone does not end its line
    bar.add_row(ProgressBar(total=max(1, progress.total), completed=progress.ended))
    return bar


def _limit(budget: RateBudget) -> str:
    if budget.limit is None or budget.per_s is None:
        return "no limit known"
    return f"of {60 * budget.limit / budget.per_s:,.0f}"
