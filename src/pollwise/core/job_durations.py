"""How long the jobs of one endpoint take, learnt from open and from ended jobs.

An age is in seconds since the watch of a job began. A poll shows that a job runs at an age, or that it was over by then.
So the end of a job is known to lie between two ages, and that of an open job after one age.

Rule 1: an update costs the same for any number of jobs, and so does reading. Only counts are kept.
Rule 2: ages are in bins of 5 %, and the begins of open jobs in at most 32 bins.
Rule 3: in a curve, an end is spread over the ages between which it came, by the hazards of all jobs. That is the
self-consistent estimate of B. W. Turnbull, "The empirical distribution function with arbitrarily grouped, censored and
truncated data", Journal of the Royal Statistical Society B 38 (1976).

`core/forecast.py` learns the same for the scheduler. It forgets, and has a prior for ages that no job has reached. This
file does neither: a poll at the wrong time costs little, but a user plans by the time left.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from itertools import accumulate

import attrs

from pollwise.core.log_normal_fit import Fit, fit_log_normal

__all__ = ["EDGES", "Curve", "JobDurations"]

_FIRST_S = 0.5  # the end of the first bin
_RATIO = 1.05  # each bin ends so much later than the one before
_BINS = 325  # up to about six weeks
_MOST_BEGINS = 32
_BEGIN_S = 1.0  # the width of a bin of begins, at first
_ROUNDS = 20  # of spreading the ends
_LEAST = 1e-12  # a smaller probability counts as this
_GUESS_S = 60.0  # before the first round, half of the jobs are over at this age
_NARROW_BINS = 8  # an end between ages that differ by a third or less is known well
_MOST = 0.5  # the share of ends that have to be known well for a curve
_FEWEST = 20  # and their number
_AT_RISK = 20.0  # jobs that show enough of an age, or `_AT_RISK_SHARE` of the open jobs if those are fewer
_AT_RISK_SHARE = 0.3

EDGES = [0.0, *(_FIRST_S * _RATIO**n for n in range(_BINS))]
"""The ages at which bins begin, in seconds."""


def _bin(age_s: float) -> int:
    """The bin of an age: bin n holds EDGES[n] <= age < EDGES[n + 1]."""
    return max(0, min(_BINS, bisect_right(EDGES, age_s)) - 1)


def _seen_bin(seen_s: float) -> int:
    """The bin of the age at which a job was last seen; 0 if it was not seen, and only then."""
    return max(1, _bin(seen_s)) if seen_s > 0.0 else 0


@attrs.frozen
class Curve:
    """The cumulative hazard of jobs by age: exp(-hazard) is the share that still runs.

    Attributes:
        hazards: The cumulative hazard at each of EDGES, up to the last age that enough jobs have reached: the frontier.
        ends: How many ends the curve comes from.
        log_likelihood: How likely it makes what was seen.
    """

    hazards: list[float]
    ends: int
    log_likelihood: float

    @property
    def frontier_s(self) -> float:
        """The age at the end of the curve."""
        return EDGES[len(self.hazards) - 1]

    def at(self, age_s: float) -> float:
        """The cumulative hazard at this age; beyond the frontier that of the frontier."""
        n = bisect_right(EDGES, age_s) - 1
        if n >= len(self.hazards) - 1:
            return self.hazards[-1]
        before, after = self.hazards[n], self.hazards[n + 1]
        return before + (after - before) * (age_s - EDGES[n]) / (EDGES[n + 1] - EDGES[n])

    def age_of(self, hazard: float) -> float:
        """The first age with this cumulative hazard, which is above 0 and at most that of the frontier."""
        n = next(n for n, value in enumerate(self.hazards) if value >= hazard)
        before, after = self.hazards[n - 1], self.hazards[n]
        return EDGES[n - 1] + (EDGES[n] - EDGES[n - 1]) * (hazard - before) / (after - before)


class JobDurations:
    """How long the jobs of one endpoint take.

    Attributes:
        begin_s: The width of a bin of begins, in seconds.
        ended: How many jobs have ended.
        open: How many jobs are open, by the bin of their begin and the bin of the age at which they were last seen. Bin 0
            has those that were not seen yet.
    """

    __slots__ = ("_abandoned", "_begins", "_ends", "begin_s", "ended", "open")

    def __init__(self) -> None:
        self.open: Counter[tuple[int, int]] = Counter()
        self.begin_s = _BEGIN_S
        self.ended = 0
        self._begins: Counter[int] = Counter()
        self._ends: Counter[tuple[int, int]] = Counter()  # by the bins of the two ages
        self._abandoned: Counter[int] = Counter()  # by the bin of the age at which they were last seen

    # --- updates ------------------------------------------------------------------------------

    def add(self, began_at: float, seen_s: float) -> None:
        """A job is open, and was last seen at this age, or was not seen yet (0)."""
        begin = math.floor(began_at / self.begin_s)
        self.open[begin, _seen_bin(seen_s)] += 1
        self._begins[begin] += 1
        while len(self._begins) > _MOST_BEGINS:
            self._widen()

    def see(self, began_at: float, before_s: float, seen_s: float) -> None:
        """An open job, last seen at the age `before_s`, runs at the age `seen_s`."""
        begin, before, seen = math.floor(began_at / self.begin_s), _seen_bin(before_s), _seen_bin(seen_s)
        if seen != before:
            self._take(begin, before)
            self.open[begin, seen] += 1

    def end(self, began_at: float, before_s: float, seen_s: float, took_s: float) -> None:
        """An open job, here last seen at `before_s`, ran at the age `seen_s`, or was not seen (0). By `took_s` it was over."""
        self._remove(began_at, before_s)
        self.learn(seen_s, took_s)

    def learn(self, seen_s: float, took_s: float) -> None:
        """A job that was not added ran at the first age, or was not seen (0), and was over by the second."""
        self.ended += 1
        since = _seen_bin(seen_s)
        self._ends[since, max(since, _bin(took_s))] += 1

    def abandon(self, began_at: float, before_s: float) -> None:
        """An open job, last seen at this age, is not watched any more."""
        self._remove(began_at, before_s)
        self._abandoned[_seen_bin(before_s)] += 1

    def _remove(self, began_at: float, before_s: float) -> None:
        begin = math.floor(began_at / self.begin_s)
        self._take(begin, _seen_bin(before_s))
        self._begins[begin] -= 1
        if not self._begins[begin]:
            del self._begins[begin]

    def _take(self, begin: int, seen: int) -> None:
        self.open[begin, seen] -= 1
        if not self.open[begin, seen]:
            del self.open[begin, seen]

    def _widen(self) -> None:
        self.begin_s *= 2
        cells, self.open, self._begins = self.open, Counter(), Counter()
        for (begin, seen), count in cells.items():
            self.open[begin // 2, seen] += count
            self._begins[begin // 2] += count

    # --- reading ------------------------------------------------------------------------------

    @property
    def unseen(self) -> int:
        """How many open jobs were not seen yet."""
        return sum(count for (_, seen), count in self.open.items() if seen == 0)

    @property
    def are_known_well(self) -> bool:
        """Whether enough ends came soon after their jobs were last seen, so that `curve` is exact."""
        narrow = sum(count for (since, until), count in self._ends.items() if until - since <= _NARROW_BINS)
        return narrow >= _FEWEST and narrow > _MOST * self.ended

    def fit(self, sure: float) -> Fit:
        """The log-normal distribution of the jobs, as from `fit_log_normal`."""
        between = {(since, until + 1): count for (since, until), count in self._ends.items()}
        return fit_log_normal(between, dict(enumerate(self._last_seen())), EDGES, sure)

    def log_likelihood(self, survival: Sequence[float]) -> float:
        """How likely what was seen is, if these are the shares of jobs that run at the edges."""
        found = sum(
            count * math.log(max(survival[since] - survival[until + 1], _LEAST))
            for (since, until), count in self._ends.items()
        )
        running = enumerate(self._last_seen())
        return found + sum(count * math.log(max(survival[seen], _LEAST)) for seen, count in running if count)

    def curve(self) -> Curve:
        """What the jobs show of the ages that enough of them have reached."""
        last_seen = self._last_seen()
        outlived = [*_from_the_end(last_seen)[1:], 0]  # a job that was seen in a bin may have ended in it
        survival = [1.0 / (1.0 + edge / _GUESS_S) for edge in EDGES]
        at_risk = [0.0]
        for _ in range(_ROUNDS):
            ends = self._spread(survival)
            at_risk = [some + others for some, others in zip(_from_the_end(ends), outlived, strict=True)]
            survival = list(accumulate(zip(ends[:-1], at_risk[:-1], strict=True), _outliving, initial=1.0))
        least = 1.0 / (2.0 * at_risk[0] + 2.0)  # a smaller share cannot be told from 0 with this number of jobs
        frontier = self._frontier(at_risk, last_seen)
        hazards = [-math.log(max(share, least)) for share in survival[: frontier + 1]]
        return Curve(hazards, self.ended, self.log_likelihood(survival))

    def _last_seen(self) -> list[int]:
        """How many jobs without an end were last seen in each bin."""
        last_seen = [0] * (_BINS + 1)
        for (_, seen), count in self.open.items():
            last_seen[seen] += count
        for seen, count in self._abandoned.items():
            last_seen[seen] += count
        return last_seen

    def _spread(self, survival: list[float]) -> list[float]:
        """How many ends each bin has, if they are spread as the survival says."""
        ends, steps = [0.0] * (_BINS + 1), [0.0] * (_BINS + 1)
        for (since, until), count in self._ends.items():
            died = survival[since] - survival[until + 1]
            if died > _LEAST:
                steps[since] += count / died
                steps[until + 1] -= count / died
            else:
                ends[until] += count
        for n, weight in enumerate(accumulate(steps[:-1])):
            ends[n] += max(0.0, weight * (survival[n] - survival[n + 1]))
        return ends

    def _frontier(self, at_risk: list[float], last_seen: list[int]) -> int:
        """The last edge that enough jobs have reached."""
        need = min(_AT_RISK, max(1.0, _AT_RISK_SHARE * self.open.total()))
        for n in range(1, _BINS + 1):
            # of a bin in which most open jobs were last seen, some ends are known already, and others are not
            known_in_part = n > 1 and last_seen[n - 1] > at_risk[n - 1]
            if at_risk[n] < need or known_in_part:
                return n - 1
        return _BINS


def _from_the_end(values: Sequence[float]) -> list[float]:
    """For each index the sum of the values from it on."""
    return list(accumulate(reversed(values)))[::-1]


def _outliving(alive: float, bin_: tuple[float, float]) -> float:
    """The share of jobs that run after a bin, from the share before it, the ends in it, and the jobs at risk."""
    ends, at_risk = bin_
    return alive * (1.0 - min(1.0, ends / at_risk)) if at_risk > 0.0 else 0.0
