"""Computes the shapes and labels of the page's charts, in the units of their SVG view boxes.

Rule 1: a chart contains only numbers, fixed words, and texts that were made safe before.
Rule 2: a chart has a bounded number of shapes, for any number of jobs.
Rule 3: up to `MAX_BARS` jobs have one bar each; more jobs are shown as counts over time.
Rule 4: a chart over time is drawn in two widths, because texts that shrink with a wide chart cannot be read on a phone.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import attrs

from pollwise.cli.event_text import ENDED
from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.gaps import Gaps, delays_without
from pollwise.cli.report.scales import brief, count_steps, duration_edges, poll_edges, time_steps
from pollwise.cli.safe_text import duration, shorten_keys

__all__ = [
    "MAX_BARS",
    "NARROW",
    "Band",
    "Chart",
    "Label",
    "Shape",
    "counts_over_time",
    "delays",
    "durations",
    "job_bars",
    "polls",
]

MAX_BARS = 200
NARROW = 340.0
"""The width of a chart on a phone, and of a histogram; three of those are side by side."""
_WIDTH = 1000.0
_MOST_BANDS = 40
_LETTER = 7.5  # width of a letter of a label
_BINS = 160
_MOST_NAMES = 5  # labels under the bars of a histogram
_NAME = 64.0  # width of such a label, with space around it
_LABELLED = 40  # max number of bars with the names of their jobs
_ENDED = tuple(state for state in STATES if state in ENDED)
_NO_GAPS = Gaps()


@attrs.frozen
class Shape:
    """A rectangle, or a polygon if it has `points`. `state` gives its colour; `title` is its tooltip."""

    state: str
    x: float = 0.0
    y: float = 0.0
    width: float = 0.0
    height: float = 0.0
    points: str = ""
    title: str = ""


@attrs.frozen
class Label:
    """A text on an axis, at the position `at`."""

    at: float
    text: str


@attrs.frozen
class Band:
    """A time that is shaded, from `x` on. `label` is None if it has no room; `title` is its tooltip."""

    x: float
    width: float
    label: Label | None
    title: str


@attrs.frozen(kw_only=True)
class Chart:
    """One drawing of `jobs` jobs, `width` by `height`. Its plot is between `left` and `width`, `top` and `bottom`."""

    height: float
    left: float
    top: float
    bottom: float
    shapes: Sequence[Shape]
    x_labels: Sequence[Label]
    y_labels: Sequence[Label]
    width: float = _WIDTH
    lines: bool = True
    jobs: int = 0
    bands: Sequence[Band] = ()


# --- over time --------------------------------------------------------------------------------


@attrs.frozen
class _Span:
    """A range of Unix seconds, drawn from `left` to the right edge at `width`."""

    start: float
    end: float
    left: float
    width: float

    def x(self, at: float) -> float:
        share = (at - self.start) / (self.end - self.start)
        return self.left + (self.width - self.left) * min(1.0, max(0.0, share))

    def labels(self) -> list[Label]:
        most = 8 if self.width > NARROW else 3
        return [Label(self.x(at), text) for at, text in time_steps(self.start, self.end, most)]

    def bands(self, gaps: Gaps) -> list[Band]:
        """A band for each of the longest gaps. A label that would touch the one before it is left out."""
        found, taken = [], 0.0
        for gap in gaps.longest(_MOST_BANDS):
            x0, x1, words = self.x(gap.begin), self.x(gap.end), gap.cause.value
            half = _LETTER * len(words) / 2
            at = min(max((x0 + x1) / 2, half), self.width - half)
            label = Label(_round(at), words) if at - half >= taken else None
            taken = taken if label is None else at + half + _LETTER
            title = f"{words} for {duration(gap.seconds)}"
            found.append(Band(_round(x0), _round(max(1.0, x1 - x0)), label, title))
        return found


def _span(began: Sequence[float], ends: Sequence[float], left: float, width: float) -> _Span:
    start, end = min(began), max([*ends, *began])
    return _Span(start, max(end, start + 1.0), left, width)


def job_bars(read_entries: Sequence[LedgerEntry], now: float, gaps: Gaps = _NO_GAPS, *, width: float = _WIDTH) -> Chart:
    """Each job as a bar from its beginning to its end, or until `now` (Unix seconds)."""
    ends = [now if entry.elapsed_s is None else entry.first_seen + entry.elapsed_s for entry in read_entries]
    labelled = len(read_entries) <= _LABELLED
    top = 20.0 if gaps else 0.0
    left, pitch, letters = (0.0, 6.0, 0) if not labelled else (260.0, 20.0, 34) if width > NARROW else (112.0, 20.0, 14)
    span = _span([entry.first_seen for entry in read_entries], ends, left, width)
    order = sorted(range(len(read_entries)), key=lambda index: (read_entries[index].first_seen, ends[index]))
    shapes = [
        _job_bar(read_entries[index], span, ends[index], top + 4.0 + place * pitch, pitch)
        for place, index in enumerate(order)
    ]
    bottom = top + 8.0 + len(read_entries) * pitch
    names = [
        Label(top + 4.0 + (place + 0.5) * pitch, shorten_keys(read_entries[index].keys, letters))
        for place, index in enumerate(order if labelled else ())
    ]
    return Chart(
        width=width,
        height=bottom + 26.0,
        left=left,
        top=top,
        bottom=bottom,
        shapes=shapes,
        x_labels=span.labels(),
        y_labels=names,
        lines=False,
        jobs=len(read_entries),
        bands=span.bands(gaps),
    )


def _job_bar(entry: LedgerEntry, span: _Span, end: float, y: float, pitch: float) -> Shape:
    took = "still open" if entry.elapsed_s is None else f"after {duration(entry.elapsed_s)}"
    title = f"{' / '.join(entry.keys)}: {entry.state}, {took}"
    x0 = span.x(entry.first_seen)
    width = max(2.0, span.x(end) - x0)
    x = min(x0, span.width - width)
    return Shape(entry.state, _round(x), y, _round(width), pitch * 0.7, title=title)


def counts_over_time(summary: LedgerSummary, now: float, gaps: Gaps = _NO_GAPS, *, width: float = _WIDTH) -> Chart:
    """How many jobs had begun, and how many had ended with each outcome, at each time."""
    left, top, bottom = 56.0, 26.0 if gaps else 10.0, 250.0
    ends = [began + took for began, took in zip(summary.began, summary.took, strict=True) if not math.isnan(took)]
    span = _span(summary.began, [*ends, now] if len(ends) < summary.total else ends, left, width)
    begun, ended = _binned(summary, span)
    y_labels = count_steps(summary.total)
    scale = (bottom - top) / max(1, summary.total)
    floor = [0] * (_BINS + 1)
    shapes = []
    for state in _ENDED:
        ceiling = [low + count for low, count in zip(floor, ended[state], strict=True)]
        if ceiling != floor:
            title = f"{state}: {summary.states[state]:,}"
            shapes.append(
                _area(state, span, [bottom - scale * n for n in floor], [bottom - scale * n for n in ceiling], title)
            )
        floor = ceiling
    shapes.insert(
        0, _area("running", span, [bottom - scale * n for n in floor], [bottom - scale * n for n in begun], "open")
    )
    return Chart(
        width=width,
        height=bottom + 26.0,
        left=left,
        top=top,
        bottom=bottom,
        shapes=shapes,
        x_labels=span.labels(),
        y_labels=[Label(bottom - scale * count, f"{count:,}") for count in y_labels],
        jobs=summary.total,
        bands=span.bands(gaps),
    )


def _binned(summary: LedgerSummary, span: _Span) -> tuple[list[int], dict[str, list[int]]]:
    """How many jobs had begun, and how many had ended with each outcome, at each edge of the bins."""
    width = (span.end - span.start) / _BINS

    def place(at: float) -> int:
        return min(_BINS, max(0, math.ceil((at - span.start) / width)))

    begun, ended = [0] * (_BINS + 1), {state: [0] * (_BINS + 1) for state in _ENDED}
    for began, took, code in zip(summary.began, summary.took, summary.codes, strict=True):
        begun[place(began)] += 1
        if not math.isnan(took):
            ended[STATES[code]][place(began + took)] += 1
    return list(accumulate(begun)), {state: list(accumulate(counts)) for state, counts in ended.items()}


def _area(state: str, span: _Span, low: Sequence[float], high: Sequence[float], title: str) -> Shape:
    xs = [span.left + (span.width - span.left) * place / _BINS for place in range(_BINS + 1)]
    outline = [*zip(xs, high, strict=True), *reversed(list(zip(xs, low, strict=True)))]
    return Shape(state, points=" ".join(f"{_round(x):g},{_round(y):g}" for x, y in outline), title=title)


# --- histograms -------------------------------------------------------------------------------


def durations(summary: LedgerSummary) -> Chart | None:
    """The durations of the ended jobs, by outcome; None if no job has ended."""
    return _times(summary.took, summary)


def delays(summary: LedgerSummary, gaps: Gaps = _NO_GAPS) -> Chart | None:
    """The maximum delays until the ends were detected, without gaps, by outcome; None if no delay is known."""
    return _times(delays_without(summary, gaps), summary)


def _times(seconds: Sequence[float], summary: LedgerSummary) -> Chart | None:
    known = [(each, code) for each, code in zip(seconds, summary.codes, strict=True) if not math.isnan(each)]
    if not known:
        return None
    bins = min(24, max(6, 2 * math.isqrt(len(known))))
    edges = duration_edges(max(0.0, min(known)[0]), max(known)[0], bins)
    names = [brief(edge) for edge in edges]
    titles = [f"{low} to {high}" for low, high in pairwise(names)]
    return _histogram(edges, known, titles, names, between=True)


def polls(summary: LedgerSummary) -> Chart | None:
    """The number of requests for each job; None without jobs."""
    if not summary.total:
        return None
    edges = poll_edges(min(summary.polled), max(summary.polled))
    names = [str(low) if high == low + 1 else f"{low}-{high - 1}" for low, high in pairwise(edges)]
    titles = [f"{name} request{'' if name == '1' else 's'}" for name in names]
    return _histogram(edges, list(zip(summary.polled, summary.codes, strict=True)), titles, names, between=False)


def _histogram(
    edges: Sequence[float],
    values: Sequence[tuple[float, int]],
    titles: Sequence[str],
    names: Sequence[str],
    *,
    between: bool,
) -> Chart:
    """Stacked bars. The labels are under the edges (`between` the bars), or else under the bars."""
    left, top, bottom = 50.0, 10.0, 190.0
    counts = [Counter[int]() for _ in titles]
    for value, code in values:
        counts[min(len(counts) - 1, max(0, bisect_right(edges, value) - 1))][code] += 1
    most = max(sum(count.values()) for count in counts)
    pitch, scale = (NARROW - left) / len(counts), (bottom - top) / most
    shapes = [
        shape
        for place, count in enumerate(counts)
        for shape in _stack(count, left + place * pitch, pitch, bottom, scale, titles[place])
    ]
    room = max(_NAME, _LETTER * (1 + max(map(len, names))))
    every = math.ceil(max(1.0, len(names) / _MOST_NAMES, room / pitch))
    shift = 0.0 if between else pitch / 2
    x_labels = [Label(_round(left + place * pitch + shift), name) for place, name in enumerate(names)][::every]
    if len(x_labels) > 1 and x_labels[-1].at > NARROW - room / 2 and x_labels[-1].at - x_labels[-2].at < 1.5 * room:
        del x_labels[-1]  # the edge of the chart would move it to the left, over the one before it
    y_labels = [Label(bottom - scale * count, f"{count:,}") for count in count_steps(most)]
    return Chart(
        width=NARROW,
        jobs=len(values),
        height=bottom + 26.0,
        left=left,
        top=top,
        bottom=bottom,
        shapes=shapes,
        x_labels=x_labels,
        y_labels=y_labels,
    )


def _stack(count: Counter[int], x: float, pitch: float, bottom: float, scale: float, title: str) -> Iterator[Shape]:
    gap = min(6.0, pitch * 0.12)
    y = bottom
    for code in sorted(count):
        height = count[code] * scale
        y -= height
        tooltip = f"{title}: {count[code]:,} {STATES[code]}"
        yield Shape(STATES[code], _round(x + gap / 2), _round(y), _round(pitch - gap), _round(height), title=tooltip)


def _round(number: float) -> float:
    return round(number, 1)
