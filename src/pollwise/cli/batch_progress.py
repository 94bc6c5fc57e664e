"""The progress of a batch: counts of all jobs, and a few jobs by name.

Rule 1: an update of one job costs the same for any number of jobs; so does reading the progress.
Rule 2: the jobs by name are those watched longest, the last changed, and the unsuccessful ones with their reasons.
Rule 3: times are monotonic seconds, and are arguments.
Rule 4: keys are not safe to print here; batch_screen.py makes them safe.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Mapping
from itertools import islice
from math import ceil, floor, inf

import attrs

from pollwise.cli.endpoint_progress import EndpointProgress
from pollwise.cli.event_text import ENDED
from pollwise.cli.stored_error import StoredError
from pollwise.core.rate_budget import RateBudget
from pollwise.core.remaining_time import Remaining, latest, useful
from pollwise.ledger import Concluded, Conclusion, OutcomeKind

__all__ = ["BatchProgress", "JobLine", "RequestCounter", "recent_text", "remaining_text"]

_CANDIDATES = 50
_REMEMBERED = 20
_MINUTE_S = 60
_HOUR_S = 3600
_LATELY_S = 300  # the time over which the rate of requests is measured
# seconds below which a time is shown in a unit, the seconds of a step, the steps of the unit, and its name
_UNITS = (
    (90.0, 1.0, 1, "s"),
    (10_800.0, 60.0, 1, "min"),
    (36_000.0, 360.0, 10, "h"),
    (172_800.0, 3_600.0, 1, "h"),
    (inf, 86_400.0, 1, "days"),
)


@attrs.frozen
class JobLine:
    """One job on the screen. `at` is the time when it began or ended; `note` is its reason, and may be empty."""

    endpoint: str
    keys: Mapping[str, str]
    state: str
    at: float
    polls: int
    note: str = ""


@attrs.define
class _OpenJob:
    endpoint: str
    keys: Mapping[str, str]
    began_at: float
    state: str
    polls: int = 0
    seen_s: float = 0.0


class RequestCounter:
    """The requests of one token: how many in all, and how many lately."""

    def __init__(self) -> None:
        self.sent = 0
        self._seconds: deque[list[int]] = deque()  # second, requests; the newest last

    def add(self, now: float) -> None:
        """Count one request that is sent now."""
        self.sent += 1
        second = floor(now)
        if self._seconds and self._seconds[-1][0] == second:
            self._seconds[-1][1] += 1
            return
        self._seconds.append([second, 1])
        while self._seconds[0][0] <= now - _HOUR_S:
            self._seconds.popleft()

    def recent(self, now: float, span_s: float = _MINUTE_S) -> int:
        """The requests of the last `span_s` seconds, an hour at most; those of the oldest second may be left out."""
        since = now - min(span_s, _HOUR_S)
        count = 0
        for second, requests in reversed(self._seconds):
            if second <= since:
                break
            count += requests
        return count


def _recent_span_s(budget: RateBudget) -> float:
    """The time over which recent requests are counted: whole windows of the limit, of a minute in all, or more.

    So the count cannot exceed the limit, unless more requests were sent than it allows.
    """
    if budget.limit is None or budget.per_s is None or budget.per_s > _HOUR_S:
        return _MINUTE_S
    return budget.per_s * ceil(_MINUTE_S / budget.per_s)


def recent_text(counter: RequestCounter, budget: RateBudget, now: float) -> tuple[str, str]:
    """The recent requests, and what the limit allows in the same time: `37 in 60 s`, `of 60`."""
    span_s = _recent_span_s(budget)
    recent = f"{counter.recent(now, span_s):,} in {_span_text(span_s)}"
    if budget.limit is None or budget.per_s is None:
        return recent, "no limit known"
    if budget.per_s > _HOUR_S:
        return recent, f"limit {budget.limit:,} in {_span_text(budget.per_s)}"
    return recent, f"of {budget.limit * round(span_s / budget.per_s):,}"


def _span_text(seconds: float) -> str:
    if seconds >= 2 * _HOUR_S:
        return f"{seconds / _HOUR_S:,.3g} h"
    return f"{seconds / _MINUTE_S:.3g} min" if seconds >= 10 * _MINUTE_S else f"{seconds:.0f} s"


class BatchProgress:
    """The progress of a batch that a screen shows.

    Args:
        total: How many jobs the batch has.
        endpoints: The names of their endpoints.
        now: The time when it began.
        jobs: How many jobs each endpoint has. Without that the time left is not known before all jobs were added.
        budgets: The budget of each endpoint, by its name.

    Attributes:
        counts: How many jobs have each state; jobs that are not watched yet are `waiting`.
        known: How many of them had ended before this run.
        request_counters: The requests of each endpoint, by its name.
    """

    def __init__(
        self,
        total: int,
        endpoints: Iterable[str],
        now: float,
        *,
        jobs: Mapping[str, int] | None = None,
        budgets: Mapping[str, RateBudget] | None = None,
    ) -> None:
        self.total = total
        self._budgets = budgets or {}
        self.request_counters = {endpoint: RequestCounter() for endpoint in endpoints}
        self._numbers_known = jobs is not None
        self._endpoints = {name: EndpointProgress((jobs or {}).get(name)) for name in self.request_counters}
        self.began_at = now
        self.known = 0
        self.counts: Counter[str] = Counter(waiting=total)
        self._open: dict[int, _OpenJob] = {}
        self._latest: deque[tuple[int, JobLine]] = deque(maxlen=_REMEMBERED)
        self._unsuccessful: deque[JobLine] = deque(maxlen=_REMEMBERED)

    @property
    def ended(self) -> int:
        """How many jobs have an outcome."""
        return sum(self.counts[state] for state in ENDED)

    # --- updates ----------------------------------------------------------------------------

    def add_open(
        self,
        number: int,
        endpoint: str,
        keys: Mapping[str, str],
        state: str,
        began_at: float,
        polls: int,
        seen_s: float | None = None,
    ) -> None:
        """Add a job that is watched from now on. `number` is its ID in later calls.

        `seen_s` is the age of its watch when the job was last seen to run, or None if it was not.
        """
        if number not in self._open:
            self._open[number] = _OpenJob(endpoint, keys, began_at, state, polls, seen_s or 0.0)
            self._move("waiting", state)
            if endpoint in self._endpoints:
                self._endpoints[endpoint].add_open(began_at, seen_s or 0.0)

    def add_known(self, state: str, known: Concluded | None = None) -> None:
        """Add a job that had ended before this run. `known` is its row, from which its duration is learnt."""
        self.known += 1
        self._move("waiting", state)
        if known is not None and known.endpoint in self._endpoints:
            self._endpoints[known.endpoint].add_known(known.seen_s or 0.0, known.elapsed_s)

    def changed(self, number: int, state: str, polls: int, now: float, seen_s: float | None = None) -> None:
        """Set the state and the polls of a watched job. Ignores an unknown `number`.

        `seen_s` is the age of its watch when the job was last seen to run, or None if it was not.
        """
        job = self._open.get(number)
        if job is None:
            return
        job.polls = polls
        if seen_s is not None and seen_s > job.seen_s:
            if job.endpoint in self._endpoints:
                self._endpoints[job.endpoint].see(job.began_at, job.seen_s, seen_s)
            job.seen_s = seen_s
        if state != job.state:
            self._move(job.state, state)
            job.state = state
            self._latest.append((number, JobLine(job.endpoint, job.keys, state, now, polls)))

    def conclude_job(self, number: int, state: str, polls: int, end: Conclusion | None, now: float) -> None:
        """End a watched job. `end` is its row's conclusion, or None if it has no error. Ignores an unknown `number`."""
        job = self._open.pop(number, None)
        if job is None:
            return
        self._move(job.state, state)
        error = None if end is None else StoredError.of_row(job.endpoint, job.keys, end)
        line = JobLine(job.endpoint, job.keys, state, now, polls, "" if error is None else error.reason())
        self._latest.append((number, line))
        if state != "succeeded":
            self._unsuccessful.append(line)
        if job.endpoint in self._endpoints:
            self._learn(self._endpoints[job.endpoint], job, state, end, now)

    @staticmethod
    def _learn(endpoint: EndpointProgress, job: _OpenJob, state: str, end: Conclusion | None, now: float) -> None:
        if state == OutcomeKind.ABANDONED.value:
            endpoint.abandon(job.began_at, job.seen_s)
        elif end is None:
            endpoint.end(job.began_at, job.seen_s, job.seen_s, now - job.began_at)
        else:
            endpoint.end(job.began_at, job.seen_s, end.seen_s or 0.0, end.elapsed_s)

    def _move(self, before: str, after: str) -> None:
        self.counts[before] -= 1
        self.counts[after] += 1

    # --- what to show -----------------------------------------------------------------------

    def longest(self, count: int) -> list[JobLine]:
        """The open jobs that are watched longest.

        Only the jobs that were added first are compared, so the result is not exact after a restart.
        """
        first = sorted(islice(self._open.values(), _CANDIDATES), key=lambda job: job.began_at)
        return [JobLine(job.endpoint, job.keys, job.state, job.began_at, job.polls) for job in first[:count]]

    def latest(self, count: int) -> list[JobLine]:
        """The jobs whose state changed last, the newest first, each job once."""
        newest: dict[int, JobLine] = {}
        for number, line in reversed(self._latest):
            newest.setdefault(number, line)
        return list(newest.values())[:count]

    def unsuccessful(self, count: int) -> list[JobLine]:
        """The jobs that did not succeed in this run, the newest first."""
        return list(reversed(self._unsuccessful))[:count]

    def remaining(self, now: float) -> Remaining | None:
        """How long until all jobs are over: as long as the slowest endpoint takes. None where that is not known."""
        if not self._endpoints:
            return None
        return useful(latest([self._remaining(endpoint, now) for endpoint in self._endpoints]), now - self.began_at)

    def remaining_of(self, endpoint: str, now: float) -> Remaining | None:
        """How long until all jobs of this endpoint are over. None where that is not known."""
        return useful(self._remaining(endpoint, now), now - self.began_at)

    def _remaining(self, endpoint: str, now: float) -> Remaining | None:
        jobs = self._endpoints[endpoint]
        if not self._numbers_known and sum(one.added for one in self._endpoints.values()) < self.total:
            return None
        elapsed_s = now - self.began_at
        recent_per_s = self.request_counters[endpoint].recent(now, _LATELY_S) / max(1.0, min(_LATELY_S, elapsed_s))
        return jobs.remaining(now, elapsed_s, self._budgets.get(endpoint), recent_per_s)


def remaining_text(remaining: Remaining | None) -> str:
    """`3-5 min left`, or that it is not known. The range is rounded outwards, to steps of the unit of its upper end."""
    if remaining is None:
        return "time left unknown"
    step_s, steps, unit = next(
        (step_s, steps, unit) for below_s, step_s, steps, unit in _UNITS if remaining.high_s < below_s
    )
    low, high = floor(remaining.low_s / step_s), max(1, ceil(remaining.high_s / step_s))
    if low <= 0:
        return f"at most {high / steps:,g} {unit} left"
    return f"{high / steps:,g} {unit} left" if low == high else f"{low / steps:,g}-{high / steps:,g} {unit} left"
