"""What the page says: a tally put into words and drawings, and the template filled with them.

Rule 1: the template decides what stands where; this file decides what is true. Neither knows a ledger.
Rule 2: the clock, the name and the version are handed in, so the same tally gives the same page.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from datetime import UTC, datetime

import attrs
import jinja2

from pollwise.cli.event_text import look
from pollwise.cli.ledger_summary import WORDS, Tally
from pollwise.cli.report.charts import MOST_LANES, Chart, delays, durations, flow, lanes, polls
from pollwise.cli.safe_text import duration, safe

__all__ = ["render"]

_MOST_REASONS = 25


@attrs.frozen
class _Share:
    """So many jobs have this word; `percent` of all."""

    word: str
    symbol: str
    count: int
    percent: float


@attrs.frozen
class _Fact:
    """A number, and what it is of."""

    value: str
    told: str


@attrs.frozen
class _Drawing:
    """A chart with its heading, what it shows, and what stands on its axes."""

    heading: str
    told: str
    chart: Chart


def render(tally: Tally, *, name: str, now: datetime, version: str) -> str:
    """The page as HTML.

    Args:
        tally: What to show.
        name: What it is about, such as the file of the jobs.
        now: The time, aware.
        version: Of pollwise.
    """
    reasons = tally.reasons
    return _template().render(
        name=safe(name, 200),
        version=version,
        now=now.astimezone(UTC),
        total=tally.total,
        open=tally.total - tally.ended,
        headline=_headline(tally),
        shares=_shares(tally),
        facts=_facts(tally),
        when=_when(tally),
        timeline=_timeline(tally, now.timestamp()),
        histograms=_histograms(tally),
        reasons=reasons[:_MOST_REASONS],
        more_reasons=len(reasons) - len(reasons[:_MOST_REASONS]),
        unnamed=tally.unnamed,
        endpoints=tally.owners if len(tally.owners) > 1 else {},
        words=[word for word in WORDS if tally.words[word]],
        rows=tally.rows,
        look=look,
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


def _shares(tally: Tally) -> list[_Share]:
    total = max(1, tally.total)
    words = [word for word in WORDS if tally.words[word]]
    return [_Share(word, look(word).symbol, tally.words[word], 100 * tally.words[word] / total) for word in words]


def _headline(tally: Tally) -> str:
    if not tally.total:
        return "No jobs yet"
    succeeded, unfinished = tally.words["succeeded"], tally.total - tally.ended
    if succeeded == tally.total:
        return "It succeeded" if tally.total == 1 else f"All {tally.total:,} succeeded"
    if unfinished:
        return f"{tally.ended:,} of {tally.total:,} are over"
    return f"{succeeded:,} of {tally.total:,} succeeded"


def _facts(tally: Tally) -> list[_Fact]:
    took, detected = _known(tally.took), _known(tally.detected)
    each = tally.polls / max(1, tally.total)
    facts = [
        _Fact(f"{tally.polls:,}", f"requests, {each:.1f} a job"),
        _Fact(f"{max(tally.polled, default=0):,}", "requests, most for a job"),
    ]
    if took:
        facts += [
            _Fact(duration(_quantile(took, 0.5)), "until half were over"),
            _Fact(duration(_quantile(took, 0.95)), "until 95 % were over"),
            _Fact(duration(took[-1]), "for the longest of them"),
        ]
    if detected:
        facts.append(_Fact(duration(_quantile(detected, 0.5)), "within which half of the ends were seen"))
    return facts


def _known(seconds: Sequence[float]) -> list[float]:
    return sorted(each for each in seconds if not math.isnan(each))


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that so large a share is not above."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


def _when(tally: Tally) -> str:
    if not tally.total:
        return ""
    ends = [began + took for began, took in zip(tally.began, tally.took, strict=True) if not math.isnan(took)]
    first = datetime.fromtimestamp(min(tally.began), UTC)
    if not ends:
        return f"since {_moment(first)} UTC"
    last = max(first, datetime.fromtimestamp(max(ends), UTC))
    until = f"{last:%H:%M}" if last.date() == first.date() else _moment(last)
    return f"{_moment(first)} to {until} UTC ({duration((last - first).total_seconds())})"


def _moment(moment: datetime) -> str:
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _timeline(tally: Tally, now: float) -> _Drawing | None:
    if not tally.total:
        return None
    if tally.total <= min(MOST_LANES, len(tally.rows)):
        return _Drawing("Timeline", "Each job from its beginning to its end, in UTC.", lanes(tally.rows, now))
    told = "How many jobs had been taken up, and how many of them were over; blue were open. Times are in UTC."
    return _Drawing("Timeline", told, flow(tally, now))


def _histograms(tally: Tally) -> list[_Drawing]:
    drawn = [
        ("Durations", "From the first look to the outcome.", durations(tally)),
        ("Delays", "An end was seen at most so late.", delays(tally)),
        ("Requests spent", "For each job, good and bad.", polls(tally)),
    ]
    return [_Drawing(heading, told, chart) for heading, told, chart in drawn if chart is not None]
