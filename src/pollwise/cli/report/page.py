"""The texts and charts of a page about a `LedgerSummary`, and the template filled with them.

Rule 1: this file computes all texts and numbers, the template only places them. Neither reads a ledger.
Rule 2: the time, the name and the version are arguments, so the same summary gives the same page.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import jinja2

from pollwise.cli.event_text import appearance_of
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.charts import MAX_BARS, Chart, counts_over_time, delays, durations, job_bars, polls
from pollwise.cli.safe_text import duration, safe
from pollwise.durable.codec import utc_datetime

__all__ = ["render"]

_MOST_REASONS = 25


@attrs.frozen
class _Share:
    """`count` jobs have this state, which is `percent` of all."""

    state: str
    symbol: str
    count: int
    percent: float


@attrs.frozen
class _Fact:
    """A number and its description."""

    value: str
    description: str


@attrs.frozen
class _Drawing:
    """A chart with its heading and description."""

    heading: str
    description: str
    chart: Chart


def render(summary: LedgerSummary, *, name: str, now: datetime, version: str) -> str:
    """The page as HTML.

    Args:
        summary: The ledger to show.
        name: The title, such as the name of the file of jobs.
        now: The time, timezone-aware.
        version: The version of pollwise.
    """
    reasons = summary.reasons
    return _template().render(
        name=safe(name, 200),
        version=version,
        now=now.astimezone(UTC),
        total=summary.total,
        open=summary.total - summary.ended,
        headline=_headline(summary),
        shares=_shares(summary),
        facts=_summary_fields(summary),
        when=_when(summary),
        timeline=_timeline(summary, now.timestamp()),
        histograms=_histograms(summary),
        reasons=reasons[:_MOST_REASONS],
        more_reasons=len(reasons) - len(reasons[:_MOST_REASONS]),
        unlisted=summary.unlisted,
        endpoints=summary.states_by_label if len(summary.states_by_label) > 1 else {},
        states=[state for state in STATES if summary.states[state]],
        rows=summary.rows,
        appearance_of=appearance_of,
        duration=duration,
    )


@functools.cache
def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("pollwise.cli", "report"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("page.html.j2")


def _shares(summary: LedgerSummary) -> list[_Share]:
    total = max(1, summary.total)
    states = [state for state in STATES if summary.states[state]]
    return [
        _Share(state, appearance_of(state).symbol, summary.states[state], 100 * summary.states[state] / total)
        for state in states
    ]


def _headline(summary: LedgerSummary) -> str:
    if not summary.total:
        return "No jobs yet"
    succeeded, unfinished = summary.states["succeeded"], summary.total - summary.ended
    if succeeded == summary.total:
        return "It succeeded" if summary.total == 1 else f"All {summary.total:,} succeeded"
    if unfinished:
        return f"{summary.ended:,} of {summary.total:,} are over"
    return f"{succeeded:,} of {summary.total:,} succeeded"


def _summary_fields(summary: LedgerSummary) -> list[_Fact]:
    took, detected = _known(summary.took), _known(summary.detected)
    each = summary.polls / max(1, summary.total)
    facts = [
        _Fact(f"{summary.polls:,}", f"requests, {each:.1f} a job"),
        _Fact(f"{max(summary.polled, default=0):,}", "requests for one job, at most"),
    ]
    if took:
        facts += [
            _Fact(duration(_quantile(took, 0.5)), "until half were over"),
            _Fact(duration(_quantile(took, 0.95)), "until 95 % were over"),
            _Fact(duration(took[-1]), "for the longest job"),
        ]
    if detected:
        facts.append(_Fact(duration(_quantile(detected, 0.5)), "median delay until an end was detected"))
    return facts


def _known(seconds: Sequence[float]) -> list[float]:
    return sorted(each for each in seconds if not math.isnan(each))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of the values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _when(summary: LedgerSummary) -> str:
    if not summary.total:
        return ""
    ends = [began + took for began, took in zip(summary.began, summary.took, strict=True) if not math.isnan(took)]
    first = utc_datetime(min(summary.began))
    if not ends:
        return f"since {_moment(first)} UTC"
    last = max(first, utc_datetime(max(ends)))
    until = f"{last:%H:%M}" if last.date() == first.date() else _moment(last)
    return f"{_moment(first)} to {until} UTC ({duration((last - first).total_seconds())})"


def _moment(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _timeline(summary: LedgerSummary, now: float) -> _Drawing | None:
    if not summary.total:
        return None
    if summary.total <= min(MAX_BARS, len(summary.rows)):
        return _Drawing("Timeline", "Each job from its beginning to its end, in UTC.", job_bars(summary.rows, now))
    description = "Jobs that were watched, and jobs that were over; blue jobs were open. Times are in UTC."
    return _Drawing("Timeline", description, counts_over_time(summary, now))


def _histograms(summary: LedgerSummary) -> list[_Drawing]:
    drawn = [
        ("Durations", "From the beginning of the watch to the outcome.", durations(summary)),
        ("Delays", "Max time between the end of a job and the poll that saw it.", delays(summary)),
        ("Requests spent", "Requests for each job, failed ones included.", polls(summary)),
    ]
    return [_Drawing(heading, description, chart) for heading, description, chart in drawn if chart is not None]
