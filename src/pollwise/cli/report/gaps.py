"""The times in which nothing was seen of a ledger's jobs.

Rule 1: nothing ran between two runs of a batch, as `run_times.py` recorded them, and since the last one while jobs are
open. If the ledger has a moment in between, another program wrote it, and it was no gap.
Rule 2: in the rest of the time, and in a ledger without recorded runs, a gap is concluded from the rows: for at least
two minutes no row has a moment, and a job was not seen from before that time until after it. Then nothing ran, or no
server answered. The rows do not tell which.
Rule 3: rare polls are no gap. So such a time must be longer, by a factor, than the mean wait between the polls of such a
job, and than the usual delay until an end was seen.
Rule 4: if all jobs continued after a gap, no row shows it, and no figure depends on it.
"""

from __future__ import annotations

import enum
import math
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from itertools import accumulate, pairwise

import attrs

from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.run_times import Run

__all__ = ["Cause", "Gap", "Gaps", "delays_without", "find_gaps"]

_LEAST_S = 3.0  # a run's end is recorded every two seconds
_LEAST_CONCLUDED_S = 120.0  # twice the usual longest wait between two polls
_RARE = 4.0  # a gap is longer than the usual wait and delay by this factor
_ENOUGH_POLLS = 4  # of a job, for a mean wait
_MARGIN_S = 2.5  # moments so near to the end of a gap belong to the run beside it
_MOST_CONCLUDED = 40
_ABANDONED = STATES.index("abandoned")


class Cause(enum.Enum):
    """What is known about a gap, in the words of its label."""

    NOTHING_RAN = "nothing ran"
    NO_REPLY = "no reply"


@attrs.frozen
class Gap:
    """A time in which nothing was seen, in Unix seconds."""

    begin: float
    end: float
    cause: Cause

    @property
    def seconds(self) -> float:
        """Its length."""
        return self.end - self.begin


class Gaps(Sequence[Gap]):
    """Gaps in the order of time. They do not overlap.

    Attributes:
        seconds: Their length in all.
    """

    def __init__(self, found: Sequence[Gap] = ()) -> None:
        self._all = sorted(found, key=lambda gap: gap.begin)
        self._begins = [gap.begin for gap in self._all]
        self._before = list(accumulate((gap.seconds for gap in self._all), initial=0.0))
        self.seconds = self._before[-1]

    def __len__(self) -> int:
        return len(self._all)

    def __getitem__(self, index: int) -> Gap:  # type: ignore[override]  # no slice is needed
        return self._all[index]

    def within(self, begin: float, end: float) -> float:
        """Seconds of this time that lie in gaps."""
        return max(0.0, self._until(end) - self._until(begin)) if self._all else 0.0

    def longest(self, most: int) -> list[Gap]:
        """The longest ones, in the order of time."""
        chosen = sorted(self._all, key=lambda gap: -gap.seconds)[:most]
        return sorted(chosen, key=lambda gap: gap.begin)

    def _until(self, at: float) -> float:
        place = bisect_right(self._begins, at)
        if not place:
            return 0.0
        last = self._all[place - 1]
        return self._before[place - 1] + min(at, last.end) - last.begin


def find_gaps(summary: LedgerSummary, runs: Sequence[Run], now: float) -> Gaps:
    """The gaps between the first beginning of a job and the last end, or `now` if jobs are open.

    Args:
        summary: The jobs.
        runs: The runs that are recorded for the ledger, oldest first.
        now: The time in Unix seconds.
    """
    if not summary.total:
        return Gaps()
    moments = _moments(summary)
    ends = (began + took for began, took, *_ in _jobs(summary) if not math.isnan(took))
    last = max(moments[-1], max(ends, default=now), now if summary.ended < summary.total else -math.inf)
    idle = [
        gap
        for gap in _between(runs, moments[0], last)
        if not _any_inside(moments, gap.begin + _MARGIN_S, gap.end - _MARGIN_S)
    ]
    return Gaps([*idle, *_concluded(summary, moments, Gaps(idle))])


def delays_without(summary: LedgerSummary, gaps: Gaps) -> Sequence[float]:
    """The delays in `summary.detected`, each without what lies in gaps."""
    if not gaps:
        return summary.detected
    return [
        detected if math.isnan(detected) else max(0.0, detected - gaps.within(began + took - detected, began + took))
        for began, took, detected, *_ in _jobs(summary)
    ]


def _moments(summary: LedgerSummary) -> list[float]:
    """All times at which the rows show that something was done, in order."""
    found = list(summary.began)
    for began, took, detected, code, _ in _jobs(summary):
        if not math.isnan(took) and code != _ABANDONED:
            found.append(began + took)
            if not math.isnan(detected):
                found.append(began + took - detected)
    return sorted(found)


def _jobs(summary: LedgerSummary) -> Iterator[tuple[float, float, float, int, int]]:
    return zip(summary.began, summary.took, summary.detected, summary.codes, summary.polled, strict=True)


def _between(runs: Sequence[Run], first: float, last: float) -> Iterator[Gap]:
    """The times between runs, and after the last one."""
    ended = math.inf
    for run in runs:
        begin, end = max(ended, first), min(run.began, last)
        if end - begin >= _LEAST_S:
            yield Gap(begin, end, Cause.NOTHING_RAN)
        ended = run.until if ended == math.inf else max(ended, run.until)
    if last - max(ended, first) >= _LEAST_S:
        yield Gap(max(ended, first), last, Cause.NOTHING_RAN)


def _any_inside(moments: Sequence[float], begin: float, end: float) -> bool:
    return bisect_left(moments, begin) < bisect_right(moments, end)


def _concluded(summary: LedgerSummary, moments: Sequence[float], idle: Gaps) -> Iterator[Gap]:
    """The gaps that the rows show."""
    silent = [span for span in pairwise(moments) if span[1] - span[0] >= _LEAST_CONCLUDED_S]
    silent = sorted(silent, key=lambda span: span[0] - span[1])[:_MOST_CONCLUDED]
    detected = sorted(each for each in summary.detected if not math.isnan(each)) if silent else []
    for begin, end in silent:
        waits = list(_waits(summary, begin, end))
        others = detected[: len(detected) - len(waits)]  # an end that was seen after the gap was seen late
        usual = max(min(waits, default=math.inf), others[len(others) // 2] if others else 0.0)
        for part in _without(begin, end, idle):
            if part[1] - part[0] >= max(_LEAST_CONCLUDED_S, _RARE * usual):
                yield Gap(*part, Cause.NO_REPLY)


def _waits(summary: LedgerSummary, begin: float, end: float) -> Iterator[float]:
    """The mean wait between the polls of each job that was not seen in this time. Infinite if there were too few."""
    for began, took, detected, _, polls in _jobs(summary):
        if began + took - detected <= begin and began + took >= end:
            # n polls have n - 1 waits, and one of them is this time
            yield (took - (end - begin)) / (polls - 2) if polls >= _ENOUGH_POLLS else math.inf


def _without(begin: float, end: float, idle: Gaps) -> Iterator[tuple[float, float]]:
    """The parts of a time that do not lie in these gaps."""
    for gap in idle:
        if gap.end > begin and gap.begin < end:
            if gap.begin > begin:
                yield begin, gap.begin
            begin = gap.end
    if end > begin:
        yield begin, end
