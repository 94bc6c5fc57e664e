"""The page about a `LedgerSummary`: its texts and charts, and the template filled with them.

Rule 1: this file, figures.py and wrong.py compute all texts and numbers; the template only places them. None of them
reads a ledger.
Rule 2: the time, the name, the version and the runs are arguments, so the same summary gives the same page.
Rule 3: the page's policy names its style and its script by their hashes. Nothing else on it can run or style anything.
"""

from __future__ import annotations

import base64
import functools
import hashlib
import math
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import attrs
import jinja2

from pollwise.cli.event_text import appearance_of
from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_place import Place
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.charts import (
    MAX_BARS,
    NARROW,
    Chart,
    counts_over_time,
    delays,
    durations,
    job_bars,
    polls,
)
from pollwise.cli.report.figures import figures, gap_notes, gap_texts, when
from pollwise.cli.report.gaps import Gaps, find_gaps
from pollwise.cli.report.wrong import find_wrong, ledger_command
from pollwise.cli.run_times import Run
from pollwise.cli.safe_text import counted, duration, safe

__all__ = ["render"]

_STACK = 1000.0  # width of the bar of all states
_LEAST = 5.0  # width of the rarest one, so that it can be seen


@attrs.frozen
class _Share:
    """`count` jobs have this state, which is `percent` of all. Its bar is from `x` on."""

    state: str
    symbol: str
    count: int
    percent: float
    x: float
    width: float


@attrs.frozen
class _Drawing:
    """A chart with its heading and description, and the same chart for a phone."""

    heading: str
    description: str
    chart: Chart
    narrow: Chart | None = None


def render(
    summary: LedgerSummary,
    *,
    name: str,
    now: datetime,
    version: str,
    ledger: Place | None = None,
    runs: Sequence[Run] = (),
    damaged: int = 0,
    unfinished: int = 0,
) -> str:
    """The page as HTML.

    Args:
        summary: The ledger to show.
        name: The title, such as the name of the file of jobs.
        now: The time, timezone-aware.
        version: The version of pollwise.
        ledger: The ledger, for the commands on the page; without one they say LEDGER.
        runs: The recorded runs of the batch, oldest first.
        damaged: The number of damaged rows, which `summary` does not count.
        unfinished: The number of starts of which the job is not known.
    """
    path = ledger or Path("LEDGER")
    gaps = find_gaps(summary, runs, now.timestamp())
    rows = summary.rows
    return _template().render(
        name=safe(name, 200),
        version=version,
        now=now.astimezone(UTC),
        total=summary.total,
        open=summary.total - summary.ended,
        headline=_headline(summary),
        shares=_shares(summary),
        wrong=find_wrong(summary, path, damaged=damaged, unfinished=unfinished),
        figures=figures(summary, gaps) if summary.total else [],
        figure_notes=gap_notes(summary, gaps),
        when=when(summary, gaps, now.timestamp()),
        timeline=_timeline(summary, now.timestamp(), gaps),
        gap_texts=gap_texts(gaps, recorded_since=runs[0].began if runs else math.inf),
        histograms=_histograms(summary, gaps),
        endpoints=summary.states_by_label if len(summary.states_by_label) > 1 else {},
        states=[state for state in STATES if summary.states[state]],
        rows=rows,
        listed=_listed(rows),
        listed_text=_listed_text(summary, len(rows)),
        labels=_labels(rows),
        export=ledger_command("export", path, " --include-open"),
        appearance_of=appearance_of,
        duration=duration,
    )


def _folder_text(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pollwise.cli", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = _folder_text("page.css"), _folder_text("filter.js")
    environment.globals |= {
        "style": style,
        "script": script,
        "style_hash": _hash(style),
        "script_hash": _hash(script),
    }
    return environment.get_template("page.html.j2")


def _hash(text: str) -> str:
    """The text's hash as a Content-Security-Policy names it (W3C CSP Level 3, 2.3.1)."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _shares(summary: LedgerSummary) -> list[_Share]:
    counts = [(state, summary.states[state]) for state in STATES if summary.states[state]]
    room = _STACK - _LEAST * len(counts)
    x, shares = 0.0, []
    for state, count in counts:
        share = count / summary.total
        width = _LEAST + room * share
        shares.append(_Share(state, appearance_of(state).symbol, count, 100 * share, round(x, 1), round(width, 1)))
        x += width
    return shares


def _headline(summary: LedgerSummary) -> str:
    if not summary.total:
        return "No jobs yet"
    succeeded, unfinished = summary.states["succeeded"], summary.total - summary.ended
    if succeeded == summary.total:
        return "It succeeded" if summary.total == 1 else f"All {summary.total:,} succeeded"
    if unfinished:
        if summary.total == 1:
            return "It is still open"
        return f"{summary.ended:,} of {summary.total:,} are over"
    return f"{succeeded:,} of {summary.total:,} succeeded"


# --- the list of jobs -------------------------------------------------------------------------


def _listed(rows: Sequence[LedgerEntry]) -> Mapping[str, int]:
    """How many listed jobs have each state."""
    states = [row.state for row in rows]
    return {state: states.count(state) for state in STATES if state in states}


def _labels(rows: Sequence[LedgerEntry]) -> Mapping[str, int]:
    """The endpoints of the listed jobs, each with its place."""
    return {label: place for place, label in enumerate(dict.fromkeys(row.endpoint_label for row in rows))}


def _listed_text(summary: LedgerSummary, listed: int) -> str:
    order = "jobs that did not succeed first, then open jobs, then the others, each in the order of recording."
    if listed == summary.total:
        return f"All {counted(listed, 'job')}: {order}" if listed > 1 else ""
    return f"{listed:,} of {summary.total:,} jobs: {order} {summary.total - listed:,} are not listed."


# --- charts -----------------------------------------------------------------------------------


def _timeline(summary: LedgerSummary, now: float, gaps: Gaps) -> _Drawing | None:
    if not summary.total:
        return None
    shaded = " Gaps are shaded." if gaps else ""
    if summary.total <= min(MAX_BARS, len(summary.rows)):
        description = f"Each job from its beginning to its end, in UTC.{shaded}"
        wide, narrow = (job_bars(summary.rows, now, gaps), job_bars(summary.rows, now, gaps, width=NARROW))
    else:
        description = f"Jobs that were watched, and jobs that were over; blue jobs were open. In UTC.{shaded}"
        wide, narrow = (counts_over_time(summary, now, gaps), counts_over_time(summary, now, gaps, width=NARROW))
    return _Drawing("Timeline", description, wide, narrow)


def _histograms(summary: LedgerSummary, gaps: Gaps) -> list[_Drawing]:
    included, without = (", gaps included", ", without gaps") if gaps else ("", "")
    drawn = [
        ("Durations", f"From the beginning of the watch to the outcome{included}, of {{n}}.", durations(summary)),
        (
            "Delays",
            f"Max time between the end of a job and the poll that saw it{without}, of {{n}}.",
            delays(summary, gaps),
        ),
        ("Requests spent", "Requests for each job, failed ones included, of {n}.", polls(summary)),
    ]
    return [
        _Drawing(heading, description.format(n=counted(chart.jobs, "job")), chart)
        for heading, description, chart in drawn
        if chart is not None
    ]
