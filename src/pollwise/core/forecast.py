"""When a job is probably over, and what a poll of it is worth.

Rule 1: the worth of a poll is the expected detection delay, in seconds: the chance that the job is over, integrated over
the time since it was last seen running. With a constant hazard `h` it is about `h·a²/2` after `a` seconds without a poll.
It grows without bound, so no watch starves.
Rule 2: the chance comes from the job's own progress, or from the durations of the endpoint's jobs, running jobs included.
The durations are used if the job reports no progress, or if they have predicted the ends better. Before any job has
ended, a prior is used: the longer a job has run, the longer it will probably run.
Rule 3: a forecast changes only the order and the time of polls. `Pacing` bounds the delays, and the scheduler limits the
time without a poll.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from itertools import accumulate, pairwise
from operator import mul

from pollwise.core.estimates import Estimates

__all__ = ["LEVELS_TO_DOUBLE", "Durations", "Forecast", "level_of", "worth_of"]

_FIRST_S = 0.25  # the end of the first bin of durations
_RATIO = 1.05  # each bin is this much longer than the one before
_BINS = 340  # up to about six weeks
_LOG_RATIO = math.log(_RATIO)
_PRIOR_JOBS = 0.1  # weight of the prior, in jobs: a job of age t ends in the next dt with chance dt/t
_HEADSTART_S = 2.0  # seconds that a job is assumed to have run before its watch began
_MEMORY = 1_000  # after this many ends, all earlier ones count half

_ENDS_TO_GO_BY = 5  # durations are used after this many ends
_ENDS_TO_KNOW = 15.0  # this many ends at an age or later allow a prediction for that age
_SOME = 0.035  # a smaller chance counts as none
_RARE = 0.1  # smallest chance that a job with progress has been over for too long, to poll it for fairness
_UNFAIR = 0.0035  # expected delay beyond the patience, as a share of it, that polls a job for fairness
_STRAGGLE = 1.5  # a straggler takes up to this many times as long as its group of jobs
_SMEAR = 3  # bins: an end makes other ends likely at ages up to a sixth younger or older
_LEAST_ETA_S = 0.05  # a shorter ETA counts as this
_GAIN_MEMORY = 0.005  # weight of the newest poll in the score of progress against durations
_LEAST_CHANCE = 1e-4  # a smaller chance counts as this in the score
LEVELS_TO_DOUBLE = 2  # levels of worth in a factor of two
_LEAST_WORTH = 1e-3  # a smaller worth has the lowest level
_LEAST_LEVEL = -10 * LEVELS_TO_DOUBLE

_EDGES = [0.0, *(_FIRST_S * _RATIO**n for n in range(_BINS))]
_OLDEST_S = _EDGES[-1]  # a higher age counts as this
_WIDTHS = [end - begin for begin, end in pairwise(_EDGES)]
_PRIOR_TIMES = [_PRIOR_JOBS * width for width in _WIDTHS]
_PRIOR_ENDS = [
    time / ((begin + end) / 2 + _HEADSTART_S) for time, (begin, end) in zip(_PRIOR_TIMES, pairwise(_EDGES), strict=True)
]


def _bin(age_s: float) -> int:
    """The bin of an age: bin n holds _EDGES[n] <= age < _EDGES[n + 1]."""
    if age_s < _FIRST_S:
        return 0
    n = 1 + int(math.log(age_s / _FIRST_S) / _LOG_RATIO)
    return n if n < _BINS else _BINS - 1


class Durations:
    """How long the jobs of one endpoint take: a hazard for every age, from ended and from running jobs.

    Ages are seconds since the watch began. An end is only known to lie between two polls. It is distributed over that
    time by the hazards known so far.
    """

    __slots__ = (
        "_ahead",
        "_beyond",
        "_ends",
        "_hazards",
        "_outgrown",
        "_seen",
        "_stale",
        "_survival",
        "_times",
        "ended",
        "version",
    )

    _hazards: list[float]
    _survival: list[float]  # the share of jobs that still run when the bin begins
    _ahead: list[float]  # the survival integrated from the bin's begin on, in seconds
    _beyond: list[float]  # the number of ends in this bin and later ones
    _seen: list[float]  # the smoothed hazard of observed ends, integrated up to the bin's begin

    def __init__(self) -> None:
        self._ends = [0.0] * _BINS
        self._times = [0.0] * _BINS
        # calls of `outgrew` since the last refresh; the sum up to a bin is the number of jobs that ran through it
        self._outgrown = [0] * _BINS
        self.ended = 0.0
        self.version = 0
        self._refresh()

    def ran(self, since_s: float, until_s: float) -> None:
        """A job was seen running at both ages."""
        since_s, until_s = min(since_s, _OLDEST_S), min(until_s, _OLDEST_S)
        n, last = _bin(since_s), _bin(until_s)
        self.outgrew(n, last)
        self._times[n] -= since_s - _EDGES[n]
        self._times[last] += until_s - _EDGES[last]

    def outgrew(self, first: int, last: int) -> None:
        """A job was seen running from the begin of one bin to that of another."""
        self._outgrown[first] += 1
        self._outgrown[last] -= 1

    def outliving(self, first: int, last: int) -> float:
        """The chance that a job which runs when the first bin begins still runs when the last one does."""
        alive = self._survival[first]
        return self._survival[last] / alive if alive > 0.0 else 0.0

    def over(self, since_s: float, until_s: float) -> None:
        """A job was running, or had just begun, at the first age, and was over at the second."""
        since_s, until_s = min(since_s, _OLDEST_S), min(until_s, _OLDEST_S)
        alive_then, alive_now = self._living(since_s), self._living(until_s)
        died = alive_then - alive_now
        alive = 1.0  # the share of this end after the bin's begin
        for n in range(_bin(since_s), _bin(until_s) + 1):
            begin, end = max(since_s, _EDGES[n]), min(until_s, _EDGES[n + 1])
            later = (self._living(end) - alive_now) / died if died > 0.0 else 0.0
            self._ends[n] += alive - later
            self._times[n] += (alive + later) / 2 * (end - begin)
            alive = later
        if self._is_stale():
            self._refresh()

    def learn(self, ends: Iterable[tuple[float, float]]) -> None:
        """Each of these jobs was running from age 0 to the first age, and was over at the second.

        The same as `ran` and `over` for each, and a refresh at the end. Between two refreshes only the hazards of the bins
        in which ends are distributed are computed, so a thousand ends cost some milliseconds.
        """
        hazards: dict[int, float] = {}
        through = list(accumulate(self._outgrown))
        for since_s, until_s in ends:
            first, last = _bin(since_s), _bin(until_s)
            for n in range(first, last + 1):
                if n not in hazards:
                    times = self._times[n] + through[n] * _WIDTHS[n] + _PRIOR_TIMES[n]
                    hazards[n] = (self._ends[n] + _PRIOR_ENDS[n]) / times
            self.outgrew(0, first)
            self._times[first] += min(since_s, _OLDEST_S) - _EDGES[first]
            self._distribute(min(since_s, _OLDEST_S), min(until_s, _OLDEST_S), first, last, hazards)
            if self._is_stale():
                if self.ended > _MEMORY:
                    self._refresh()
                self._stale = 0
                hazards.clear()
                through = list(accumulate(self._outgrown))
        self._refresh()

    def _distribute(self, since_s: float, until_s: float, first: int, last: int, hazards: Mapping[int, float]) -> None:
        """Add an end that came between these ages, by the hazards of their bins. `over` reads the survival instead."""
        risk, begin = 0.0, since_s
        living = []  # of the jobs that run at the first age, the share that still runs when each bin ends
        for n in range(first, last):
            risk += hazards[n] * (_EDGES[n + 1] - begin)
            begin = _EDGES[n + 1]
            living.append(math.exp(-risk))
        living_now = math.exp(-risk - hazards[last] * (until_s - begin))
        died = 1.0 - living_now
        alive, begin = 1.0, since_s  # the share of this end after the bin's begin
        for n, still in enumerate(living, first):
            later = (still - living_now) / died if died > 0.0 else 0.0
            self._ends[n] += alive - later
            self._times[n] += (alive + later) / 2 * (_EDGES[n + 1] - begin)
            alive, begin = later, _EDGES[n + 1]
        self._ends[last] += alive
        self._times[last] += alive / 2 * (until_s - begin)

    def _is_stale(self) -> bool:
        """Count one more end. Whether the hazards are to be computed anew."""
        self.ended += 1.0
        self._stale += 1
        return self._stale >= max(1.0, self.ended / 50)

    def chance(self, since_s: float, until_s: float) -> float:
        """The chance that a job seen running at the first age is over at the second."""
        alive = self._living(since_s)
        return 1.0 - self._living(until_s) / alive if alive > 0.0 else 1.0

    def suspicion(self, since_s: float, until_s: float) -> float:
        """The same chance from the observed ends alone. Each end is smoothed over the ages around it."""
        return -math.expm1(self._seen_until(since_s) - self._seen_until(until_s))

    def suspected_s(self, since_s: float, until_s: float) -> float:
        """The integral of `suspicion` over that time, in seconds."""
        silent_s = until_s - since_s  # Simpson's rule; at the beginning the chance is 0
        return silent_s / 6 * (4 * self.suspicion(since_s, since_s + silent_s / 2) + self.suspicion(since_s, until_s))

    def knows(self, age_s: float) -> bool:
        """Whether enough jobs have ended at this age or later to predict the end of a job of this age."""
        return self._beyond[_bin(age_s)] >= _ENDS_TO_KNOW

    def undetected_s(self, since_s: float, until_s: float) -> float:
        """The integral of `chance` over that time, in seconds: the expected detection delay of a poll at `until_s`."""
        alive, ahead = self._living_and_ahead(since_s)
        if alive <= 0.0:
            return until_s - since_s
        return max(0.0, until_s - since_s - (ahead - self._living_and_ahead(until_s)[1]) / alive)

    def _seen_until(self, age_s: float) -> float:
        n = _bin(age_s)
        return self._seen[n] + (self._seen[n + 1] - self._seen[n]) * (age_s - _EDGES[n]) / _WIDTHS[n]

    def _living(self, age_s: float) -> float:
        n = _bin(age_s)
        return self._survival[n] * math.exp(-self._hazards[n] * (age_s - _EDGES[n]))

    def _living_and_ahead(self, age_s: float) -> tuple[float, float]:
        """The share of jobs that still run at this age, and the integral of that share from this age on."""
        # integrated from the far end, because a difference of two large sums would lose the digits of a small one
        n = _bin(age_s)
        hazard = self._hazards[n]
        living = self._survival[n] * math.exp(-hazard * (age_s - _EDGES[n]))
        if age_s > _OLDEST_S:
            return living, (living - self._survival[n + 1]) / hazard
        return living, self._ahead[n + 1] - living * math.expm1(-hazard * (_EDGES[n + 1] - age_s)) / hazard

    def _refresh(self) -> None:
        self._stale = 0
        self.version += 1
        through = accumulate(self._outgrown)
        self._times = [time + jobs * width for time, jobs, width in zip(self._times, through, _WIDTHS, strict=True)]
        self._outgrown = [0] * _BINS
        if self.ended > _MEMORY:
            self.ended /= 2
            self._ends = [value / 2 for value in self._ends]
            self._times = [value / 2 for value in self._times]
        seen = zip(self._ends, self._times, _PRIOR_ENDS, _PRIOR_TIMES, strict=True)
        self._hazards = hazards = [(ends + few) / (times + little) for ends, times, few, little in seen]
        faded = [-hazard * width for hazard, width in zip(hazards, _WIDTHS, strict=True)]
        self._survival = survival = list(accumulate(map(math.exp, faded), mul, initial=1.0))
        lived = [
            -alive * gone / hazard
            for alive, gone, hazard in zip(survival[:-1], map(math.expm1, faded), hazards, strict=True)
        ]
        self._ahead = _summed_from_the_end(lived)
        self._beyond = _summed_from_the_end(self._ends)
        exposed = zip(_smeared(self._ends), self._times, _PRIOR_TIMES, _WIDTHS, strict=True)
        self._seen = list(
            accumulate((ends * width / (times + little) for ends, times, little, width in exposed), initial=0.0)
        )


def _summed_from_the_end(values: list[float]) -> list[float]:
    """For each index the sum of the values from it on, and a final 0."""
    return list(accumulate(reversed(values), initial=0.0))[::-1]


def _smeared(values: list[float]) -> list[float]:
    """For each index the mean of the values around it."""
    sums, last = [0.0, *accumulate(values)], len(values)
    spans = ((max(0, n - _SMEAR), min(last, n + _SMEAR + 1)) for n in range(last))
    return [(sums[end] - sums[begin]) / (end - begin) for begin, end in spans]


class Forecast:
    """What the watches of one watcher have shown about the ends of jobs."""

    __slots__ = ("_progress_gain", "_silences", "_version", "durations", "estimates")

    def __init__(self) -> None:
        self.durations = Durations()
        self.estimates = Estimates()
        self._silences: dict[int, list[float]] = {}  # by level, for the begin of each bin; 0 if not computed yet
        self._version = 0
        self._progress_gain = 0.0  # how much better progress has predicted the ends than durations did

    def has_evidence(self, eta_s: float | None) -> bool:
        """Whether a job's end can be predicted: from its progress, or from the durations of other jobs."""
        return eta_s is not None or self.durations.ended >= _ENDS_TO_GO_BY

    def ran(self, since_s: float, until_s: float, eta_s: float | None) -> None:
        """A job was running at both ages. `eta_s` was its ETA at the first age.

        The durations learn once for each bin that the job has run through, so the number of polls does not matter.
        """
        if eta_s is not None and until_s - since_s > eta_s:
            self.estimates.learn(eta_s, until_s - since_s)
        first = _bin(since_s)
        if until_s < _EDGES[first + 1]:
            return
        last, durations = _bin(until_s), self.durations
        if eta_s is not None:
            # of whole bins, as the durations are
            eta_s = eta_s if eta_s > _LEAST_ETA_S else _LEAST_ETA_S
            by_progress = 1.0 - self.estimates.chance((_EDGES[last] - _EDGES[first]) / eta_s)
            self._score(by_progress, durations.outliving(first, last))
        durations.outgrew(first, last)

    def over(self, since_s: float, until_s: float, eta_s: float | None) -> None:
        """A job was running, or had just begun, at the first age, and was over at the second."""
        if eta_s is not None:
            silent = until_s - since_s
            by_progress = self.estimates.chance(silent / max(eta_s, _LEAST_ETA_S))
            self._score(by_progress, self.durations.chance(since_s, until_s))
            self.estimates.learn(eta_s, eta_s if eta_s <= silent else silent / 2)
        self.durations.ran(_EDGES[_bin(since_s)], since_s)  # the part of a bin that `ran` left out
        self.durations.over(since_s, until_s)

    def _score(self, by_progress: float, by_duration: float) -> None:
        """Add the log ratio of the two predictions of this observation to the score, which decays slowly."""
        progress = by_progress if by_progress > _LEAST_CHANCE else _LEAST_CHANCE
        duration = by_duration if by_duration > _LEAST_CHANCE else _LEAST_CHANCE
        self._progress_gain = (1.0 - _GAIN_MEMORY) * self._progress_gain + math.log(progress / duration)

    def may_be_over(self, silent_s: float, age_s: float, eta_s: float | None, too_long_s: float) -> bool:
        """Whether to poll for fairness, because the job may have been over for more than `too_long_s`."""
        durations, beyond_s = self.durations, silent_s - too_long_s
        if not durations.knows(age_s + silent_s):
            return True
        if eta_s is None or self._progress_gain < 0.0:
            # a job that has just outlived its group may be a straggler, so a younger age is tested as well
            for age in (age_s, age_s / _STRAGGLE):
                unfair_s = durations.suspected_s(age, age + beyond_s)
                if unfair_s > _UNFAIR * too_long_s and durations.suspicion(age, age + silent_s) > _SOME:
                    return True
        elif _is_doubtful(durations.chance(age_s, age_s + silent_s), durations.chance(age_s, age_s + beyond_s)):
            return True
        if eta_s is None:
            return False
        by_progress, eta_s = self.estimates.chance, max(eta_s, _LEAST_ETA_S)
        return _is_doubtful(by_progress(silent_s / eta_s), by_progress(beyond_s / eta_s))

    def worth(self, silent_s: float, age_s: float, eta_s: float | None) -> float:
        """The worth of a poll: the expected detection delay, in seconds.

        Args:
            silent_s: Seconds since the job was last seen running.
            age_s: Its age then, in seconds since the watch began.
            eta_s: Its ETA then, in seconds, or None if it reports no progress.
        """
        if silent_s <= 0.0:
            return 0.0
        if eta_s is not None and self._progress_gain >= 0.0:
            eta_s = max(eta_s, _LEAST_ETA_S)
            return eta_s * self.estimates.summed(silent_s / eta_s)
        return self.durations.undetected_s(age_s, age_s + silent_s)

    def silence_s(self, level: int, age_s: float, eta_s: float | None, at_most_s: float) -> float:
        """Seconds without a poll after which its worth reaches `worth_of(level)`; `at_most_s` at most."""
        if eta_s is not None and self._progress_gain >= 0.0:
            eta_s = max(eta_s, _LEAST_ETA_S)
            return min(at_most_s, eta_s * self.estimates.ratio(worth_of(level) / eta_s))
        if self._version != self.durations.version:
            self._version = self.durations.version
            self._silences.clear()
        silences = self._silences.get(level)
        if silences is None:
            silences = self._silences[level] = [0.0] * len(_EDGES)
        # searched once at the begin of each bin, and interpolated between
        n = _bin(age_s)
        silence = silences[n] or self._searched(silences, level, n)
        later = silences[n + 1] or self._searched(silences, level, n + 1)
        return min(at_most_s, silence + (later - silence) * (age_s - _EDGES[n]) / _WIDTHS[n])

    def _searched(self, silences: list[float], level: int, edge: int) -> float:
        silences[edge] = silence = self._search(worth_of(level), _EDGES[edge])
        return silence

    def _search(self, worth: float, age_s: float) -> float:
        low, high = worth, _EDGES[-1] / 2
        while high > low * 1.02:
            middle = math.sqrt(low * high)
            if self.durations.undetected_s(age_s, age_s + middle) < worth:
                low = middle
            else:
                high = middle
        return high


def _is_doubtful(over: float, long_over: float) -> bool:
    """Whether the chances that the job is over, and has been over for long, call for a poll for fairness."""
    return over > _SOME and long_over > _RARE


def worth_of(level: int) -> float:
    """The worth, in seconds, at which a level begins."""
    return math.pow(2.0, level / LEVELS_TO_DOUBLE)


def level_of(worth: float) -> int:
    """The highest level that this worth reaches."""
    return math.floor(LEVELS_TO_DOUBLE * math.log2(worth)) if worth > _LEAST_WORTH else _LEAST_LEVEL
