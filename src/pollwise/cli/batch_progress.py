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

from pollwise.cli.event_text import ENDED
from pollwise.cli.stored_error import StoredError
from pollwise.core.rate_budget import RateBudget
from pollwise.core.remaining_time import Remaining
from pollwise.ledger import Conclusion

__all__ = ["BatchProgress", "JobLine", "RequestCounter", "recent_text", "remaining_text"]

_CANDIDATES = 50
_REMEMBERED = 20
_MINUTE_S = 60
_HOUR_S = 3600
_ETA_S = 120.0
_SAMPLE_S = 1.0
# The first ETA needs these seconds and these numbers of ended jobs, because an earlier estimate is not reliable.
_ETA_AFTER_S = 5.0
_ETA_FEWEST, _ETA_SHARE, _ETA_MOST = 10, 0.02, 1_000
_UNITS = ((1.0, "s", 90.0), (60.0, "min", 5_400.0), (3_600.0, "h", 172_800.0), (86_400.0, "days", inf))


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


def recent_span_s(budget: RateBudget) -> float:
    """The time over which recent requests are counted: whole windows of the limit, of a minute in all, or more.

    So the count cannot exceed the limit, unless more requests were sent than it allows.
    """
    if budget.limit is None or budget.per_s is None or budget.per_s > _HOUR_S:
        return _MINUTE_S
    return budget.per_s * ceil(_MINUTE_S / budget.per_s)


def recent_text(counter: RequestCounter, budget: RateBudget, now: float) -> tuple[str, str]:
    """The recent requests, and what the limit allows in the same time: `37 in 60 s`, `of 60`."""
    span_s = recent_span_s(budget)
    recent = f"{counter.recent(now, span_s):,} in {span_s:,.0f} s"
    if budget.limit is None or budget.per_s is None:
        return recent, "no limit known"
    if budget.per_s > _HOUR_S:
        return recent, f"limit {budget.limit:,} in {budget.per_s:,.0f} s"
    return recent, f"of {budget.limit * round(span_s / budget.per_s):,}"


class BatchProgress:
    """The progress of a batch that a screen shows.

    Args:
        total: How many jobs the batch has.
        endpoints: Their endpoints, and how many jobs each of them has. Without these numbers the time that is left is
            not known before all jobs were added.
        now: The time when it began.
        budgets: The budget of each endpoint, by its name.

    Attributes:
        counts: How many jobs have each state; jobs that are not watched yet are `waiting`.
        known: How many of them had ended before this run.
        request_counters: The requests of each endpoint, by its name.
    """

    def __init__(
        self,
        total: int,
        endpoints: Mapping[str, int] | Iterable[str],
        now: float,
        budgets: Mapping[str, RateBudget] | None = None,
    ) -> None:
        self.total = total
        self._budgets = budgets or {}
        self.began_at = now
        self.known = 0
        self.counts: Counter[str] = Counter(waiting=total)
        self.request_counters = {endpoint: RequestCounter() for endpoint in endpoints}
        self._open: dict[int, _OpenJob] = {}
        self._latest: deque[tuple[int, JobLine]] = deque(maxlen=_REMEMBERED)
        self._unsuccessful: deque[JobLine] = deque(maxlen=_REMEMBERED)
        self._samples: deque[tuple[float, int]] = deque([(now, 0)])

    @property
    def ended(self) -> int:
        """How many jobs have an outcome."""
        return sum(self.counts[state] for state in ENDED)

    # --- updates ----------------------------------------------------------------------------

    def add_open(
        self, number: int, endpoint: str, keys: Mapping[str, str], state: str, began_at: float, polls: int
    ) -> None:
        """Add a job that is watched from now on. `number` is its ID in later calls."""
        if number not in self._open:
            self._open[number] = _OpenJob(endpoint, keys, began_at, state, polls)
            self._move("waiting", state)

    def add_known(self, state: str) -> None:
        """Add a job that had ended before this run."""
        self.known += 1
        self._move("waiting", state)

    def changed(self, number: int, state: str, polls: int, now: float) -> None:
        """Set the state and the polls of a watched job. Ignores an unknown `number`."""
        job = self._open.get(number)
        if job is None:
            return
        job.polls = polls
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
        if now - self._samples[-1][0] >= _SAMPLE_S:
            self._samples.append((now, self.ended - self.known))
            while len(self._samples) > 2 and self._samples[1][0] <= now - _ETA_S:
                self._samples.popleft()

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
        ranges = [self.remaining_of(endpoint, now) for endpoint in self.request_counters]
        known = [remaining for remaining in ranges if remaining is not None]
        if not known or len(known) < len(ranges):
            return None
        return Remaining(low_s=max(one.low_s for one in known), high_s=max(one.high_s for one in known))

    def remaining_of(self, endpoint: str, now: float) -> Remaining | None:
        """How long until all jobs of this endpoint are over. None where that is not known."""
        if endpoint not in self.request_counters:
            return None
        since, then = self._samples[0]
        done = self.ended - self.known - then
        took = now - since
        enough = min(max(_ETA_FEWEST, _ETA_SHARE * self.total), _ETA_MOST)
        if self.ended - self.known < enough or took < _ETA_AFTER_S or not done:
            return None
        left_s = (self.total - self.ended) * took / done
        return Remaining(low_s=left_s / 2, high_s=left_s * 2)


def remaining_text(remaining: Remaining | None) -> str:
    """`3-5 min left`, or that it is not known. The range is rounded outwards, to whole units of its upper end."""
    if remaining is None:
        return "time left unknown"
    unit_s, unit = next((unit_s, unit) for unit_s, unit, below_s in _UNITS if remaining.high_s < below_s)
    low, high = floor(remaining.low_s / unit_s), max(1, ceil(remaining.high_s / unit_s))
    return f"{low:,}-{high:,} {unit} left" if low > 0 else f"at most {high:,} {unit} left"
