"""How long it probably takes until the last job of an endpoint is known to be over, as a range.

The range is meant to hold the true time in nine of ten cases: its ends are quantiles of 5 % and 95 %, if the jobs that are
open are like those that have ended.

Two things take the time, and the range has the later one:

- **The jobs themselves.** Their hazards come from `job_durations.py`, and beyond what was observed from `hazard_tails.py`.
- **The requests.** An open job needs one more request, which sees its end. Requests that see jobs run are wasted. Their
  number comes from a simulation in steps. Jobs that were not polled yet go first. The others go in an order between
  chance and perfect knowledge. The rate is that of the budget, or that of the last minutes.

Rule 1: the range is None, "unknown", if fewer than `_FEWEST_ENDS` jobs have ended, or if an end of the range is infinite.
Rule 2: `useful` makes None of a range that is too wide: its upper end is more than eight times its lower end, and more
than three times the elapsed time. So a tail that the jobs do not show is unknown, such as that of a second group of jobs.
Rule 3: times are monotonic seconds, and are arguments. The cost is the same for any number of jobs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import attrs

from pollwise.core.hazard_tails import Tail, early_and_late
from pollwise.core.job_durations import EDGES, JobDurations

__all__ = ["Rates", "Remaining", "latest", "remaining_time", "useful"]

_FEWEST_ENDS = 3
_QUANTILE = 0.05  # so much is below the range, and as much above
_MARGIN = 0.03  # of the rate of requests
_LEARNT_MARGIN = 0.2  # of a rate that was not stated
_BY_CHANCE, _PERFECT = 1.0, 0.1  # see `_Polling.running_weight`
_LONGEST_DELAY_S = 60.0  # between the end of a job and the poll that sees it, with a limit and the usual pacing
_NEVER_S = 1e8  # a longer time is infinite
_WIDE, _LONG = 8.0, 3.0  # see rule 2
_BISECTIONS = 12
# a step of the simulation: a hundredth of its length, at least a quarter of a second, and 4 % of its time so far
_STEP, _STEP_S, _GROWTH = 0.01, 0.25, 0.04
_NO_JOB = 0.5  # fewer expected jobs are none


@attrs.frozen(kw_only=True)
class Remaining:
    """The time that is left: between these two numbers of seconds, in nine of ten cases."""

    low_s: float
    high_s: float

    def after(self, seconds: float) -> Remaining:
        """What is left of it after these seconds."""
        return Remaining(low_s=max(0.0, self.low_s - seconds), high_s=max(0.0, self.high_s - seconds))


@attrs.frozen(kw_only=True)
class Rates:
    """How many requests a second can be sent, at least and at most; infinite without a limit."""

    slow: float
    fast: float

    @classmethod
    def of(cls, stated: float | None, learnt: float | None, recent: float, *, held: bool) -> Rates:
        """The rates from what is known.

        Args:
            stated: The limit, in requests a second, or None.
            learnt: The rate that the server was found to allow, or None.
            recent: The rate of the last minutes.
            held: Whether jobs wait for their first poll, so that requests are sent as fast as it is possible.
        """
        if stated is not None:
            # slower, if other clients use the token or replies take long
            slow = min(stated, recent) if held and recent > 0.0 else stated
            return cls(slow=slow * (1.0 - _MARGIN), fast=stated * (1.0 + _MARGIN))
        known = [rate for rate in (learnt, recent if held else None) if rate]
        if not known:
            return cls(slow=math.inf, fast=math.inf)
        return cls(slow=min(known) * (1.0 - _LEARNT_MARGIN), fast=max(known) * (1.0 + _LEARNT_MARGIN))


def latest(ranges: Sequence[Remaining | None]) -> Remaining | None:
    """When all of several endpoints are done; None if that of one is not known."""
    known = [one for one in ranges if one is not None]
    if len(known) < len(ranges):
        return None
    low_s, high_s = (max((getattr(one, end) for one in known), default=0.0) for end in ("low_s", "high_s"))
    return Remaining(low_s=low_s, high_s=high_s)


def useful(remaining: Remaining | None, elapsed_s: float) -> Remaining | None:
    """The range, or None if it is too wide to be of use."""
    if remaining is None:
        return None
    wide = remaining.high_s > _WIDE * remaining.low_s and remaining.high_s > _LONG * elapsed_s
    return None if wide else remaining


def remaining_time(
    durations: JobDurations,
    now: float,
    *,
    not_begun: int,
    rates: Rates,
    delay_s: float,
    at_once: int = 0,
    pause_s: float = 0.0,
) -> Remaining | None:
    """How long until the last job of an endpoint is over, or None if that is not known.

    Args:
        durations: What its jobs have shown.
        now: The time.
        not_begun: How many of its jobs are not watched yet.
        rates: How many requests can be sent.
        at_once: How many requests may be sent at once besides, because the window of the limit is not used up.
        delay_s: The mean time from the poll that last saw a job run to the one that saw its end.
        pause_s: How long no request may be sent.
    """
    cohorts = _cohorts(durations, now, not_begun)
    if not cohorts:
        return Remaining(low_s=0.0, high_s=0.0)
    if durations.ended < _FEWEST_ENDS:
        return None
    early, late = early_and_late(durations)
    fast = _Polling(rates.fast, at_once, pause_s, _PERFECT)
    # if more jobs wait, the budget may spread its requests over the window
    all_at_once = at_once >= sum(cohort.jobs for cohort in cohorts)
    slow = _Polling(rates.slow, at_once if all_at_once else 0, pause_s, _BY_CHANCE)
    low_s = min(_time_s(cohorts, tail, _QUANTILE, fast) for tail in early)
    # with a limit, most of the delay is the time for which the budget held jobs back, which the simulation has
    delay_s = delay_s if rates.slow == math.inf else min(delay_s, _LONGEST_DELAY_S)
    high_s = _time_s(cohorts, late, 1.0 - _QUANTILE, slow) + delay_s
    return None if high_s == math.inf else Remaining(low_s=min(low_s, high_s), high_s=high_s)


# --- the simulation -------------------------------------------------------------------------------


@attrs.define
class _Cohort:
    """Open jobs whose watches began at about the same time.

    Attributes:
        age_s: The age of their watches.
        unseen: How many of them were not polled.
        seen: The others, by the age at which they were last seen.
    """

    age_s: float
    unseen: int = 0
    seen: list[tuple[float, int]] = attrs.field(factory=list)

    @property
    def jobs(self) -> int:
        return self.unseen + sum(count for _, count in self.seen)

    def weight(self, tail: Tail) -> float:
        """How many jobs that began with them show as much as these."""
        return self.unseen + sum(count * math.exp(tail(seen_s)) for seen_s, count in self.seen)


def _cohorts(durations: JobDurations, now: float, not_begun: int) -> list[_Cohort]:
    found: dict[int, _Cohort] = {}
    for (begin, seen), count in durations.open.items():
        cohort = found.get(begin)
        if cohort is None:
            cohort = found[begin] = _Cohort(max(0.0, now - (begin + 0.5) * durations.begin_s))
        if seen:
            cohort.seen.append((EDGES[seen], count))
        else:
            cohort.unseen += count
    cohorts = list(found.values())
    if not_begun > 0:
        cohorts.append(_Cohort(0.0, not_begun))
    return cohorts


@attrs.frozen
class _Polling:
    """How jobs are polled.

    Attributes:
        rate: Requests a second; infinite without a limit.
        at_once: Requests that may be sent at once besides.
        pause_s: How long no request may be sent.
        running_weight: How likely a running job is chosen for a poll, relative to one that is over.
    """

    rate: float
    at_once: float
    pause_s: float
    running_weight: float


def _time_s(cohorts: Sequence[_Cohort], tail: Tail, quantile: float, polling: _Polling) -> float:
    """That quantile of the time until all jobs are over, and were seen to be."""
    weights = [(cohort.age_s, cohort.weight(tail)) for cohort in cohorts]
    jobs = sum(cohort.jobs for cohort in cohorts)

    def running(after_s: float) -> float:
        return sum(weight * math.exp(-tail(age_s + after_s)) for age_s, weight in weights)

    # all jobs are over by then with this chance, if `few` of them are expected to run
    few = -jobs * math.expm1(math.log(quantile) / jobs)
    over_s = max(polling.pause_s, _when(running, few))
    return over_s if math.inf in (polling.rate, over_s) else _polled_s(cohorts, tail, running, over_s, polling)


def _when(running: Callable[[float], float], few: float) -> float:
    """After how long so few jobs run."""
    if running(0.0) <= few:
        return 0.0
    low, high = 0.0, 1.0
    while running(high) > few:
        low, high = high, 2.0 * high
        if high > _NEVER_S:
            return math.inf
    for _ in range(_BISECTIONS):
        middle = (low + high) / 2.0
        low, high = (middle, high) if running(middle) > few else (low, middle)
    return high


def _polled_s(
    cohorts: Sequence[_Cohort], tail: Tail, running: Callable[[float], float], over_s: float, polling: _Polling
) -> float:
    """When the requests have seen the end of each job; not before `over_s`, when the last job is over."""
    jobs = sum(cohort.jobs for cohort in cohorts)
    all_unseen = unseen = float(sum(cohort.unseen for cohort in cohorts))
    still, now_s, at_once = running(polling.pause_s), polling.pause_s, polling.at_once
    over = max(0.0, jobs - still)  # jobs that are over and not yet seen to be
    least_s = max(_STEP_S, _STEP * max(0.0, jobs - at_once) / polling.rate)
    while now_s < _NEVER_S:
        step_s = max(least_s, _GROWTH * (now_s - polling.pause_s))
        later = running(now_s + step_s)
        over, still, requests = over + still - later, later, polling.rate * step_s + at_once
        alive = 0.0  # the share of unseen jobs that run
        if unseen > 0.0:
            alive = sum(one.unseen * math.exp(-tail(one.age_s + now_s + step_s)) for one in cohorts) / all_unseen
            first = min(unseen, requests)
            over -= min(over, first * (1.0 - alive))
            unseen, requests = unseen - first, requests - first
        seen_over = max(0.0, over - unseen * (1.0 - alive))
        if requests > 0.0 and seen_over > 0.0:
            polls = seen_over + polling.running_weight * max(0.0, still - unseen * alive)  # to see all of these
            sent = min(requests, polls)
            over, requests = over - sent * seen_over / polls, requests - sent
        at_once = min(at_once, requests)
        now_s += step_s
        if unseen <= 0.0 and over <= _NO_JOB and now_s >= over_s:
            return max(over_s, now_s - step_s / 2.0)
    return math.inf
