"""The jobs of one endpoint of a batch, and how long the rest of them may take.

Rule 1: an update of one job costs the same for any number of jobs, and so does the time left.
Rule 2: the time left takes some milliseconds. So it is computed every `_FRESH_S`, and counted down in between.
Rule 3: the time left is unknown while a host of the endpoint is down.
"""

from __future__ import annotations

from pollwise.core.job_durations import JobDurations
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.core.remaining_time import Rates, Remaining, remaining_time

__all__ = ["EndpointProgress"]

_FRESH_S = 2.0
_DELAY_MEMORY = 0.05  # weight of the newest end in the mean delay
# requests are sent as fast as possible, if more jobs wait for their first poll, and the batch has run for so long
_HELD_JOBS, _HELD_AFTER_S = 5, 5.0


class EndpointProgress:
    """The jobs of one endpoint.

    Args:
        jobs: How many there are, or None if that is not known before all of them were added.
    """

    __slots__ = ("_added", "_computed_at", "_delay_s", "_durations", "_jobs", "_remaining")

    def __init__(self, jobs: int | None) -> None:
        self._jobs = jobs
        self._added = 0
        self._durations = JobDurations()
        self._delay_s = 0.0  # mean time from the last poll that saw a job run to the one that saw it over
        self._computed_at = -_FRESH_S
        self._remaining: Remaining | None = None

    @property
    def added(self) -> int:
        """How many jobs were added."""
        return self._added

    def add_open(self, began_at: float, seen_s: float) -> None:
        """A job is watched. It was last seen to run at this age, or was not seen (0)."""
        self._added += 1
        self._durations.add(began_at, seen_s)

    def add_known(self, seen_s: float, took_s: float) -> None:
        """A job had ended before this run: it ran at the first age, or was not seen (0), and was over by the second."""
        self._added += 1
        self._durations.learn(seen_s, took_s)

    def see(self, began_at: float, before_s: float, seen_s: float) -> None:
        """A watched job, last seen at the age `before_s`, runs at the age `seen_s`."""
        self._durations.see(began_at, before_s, seen_s)

    def end(self, began_at: float, before_s: float, seen_s: float, took_s: float) -> None:
        """A watched job, last reported at the age `before_s`, ran at the age `seen_s`, and was over by `took_s`."""
        self._durations.end(began_at, before_s, seen_s, took_s)
        if seen_s > 0.0:
            self._delay_s += _DELAY_MEMORY * (took_s - seen_s - self._delay_s)

    def abandon(self, began_at: float, before_s: float) -> None:
        """A watched job, last seen at this age, is not watched any more."""
        self._durations.abandon(began_at, before_s)

    def remaining(
        self, now: float, elapsed_s: float, budget: RateBudget | None, recent_per_s: float
    ) -> Remaining | None:
        """How long until all jobs are over, or None where that is not known.

        Args:
            now: The time.
            elapsed_s: The time since the batch began.
            budget: The budget of the endpoint, or None for no limit.
            recent_per_s: The requests a second of the last minutes.
        """
        if budget is not None and engine_of(budget).hosts.outages(now):
            return None
        if not self._computed_at <= now < self._computed_at + _FRESH_S:
            self._computed_at = now
            self._remaining = self._compute(now, elapsed_s, budget, recent_per_s)
        since_s = now - self._computed_at
        return None if self._remaining is None else self._remaining.after(since_s)

    def _compute(
        self, now: float, elapsed_s: float, budget: RateBudget | None, recent_per_s: float
    ) -> Remaining | None:
        not_begun = 0 if self._jobs is None else max(0, self._jobs - self._added)
        held = elapsed_s >= _HELD_AFTER_S and self._durations.unseen + not_begun > _HELD_JOBS
        rates = Rates.of(*_limits(budget), recent_per_s, held=held)
        engine = None if budget is None else engine_of(budget)
        return remaining_time(
            self._durations,
            now,
            not_begun=not_begun,
            rates=rates,
            delay_s=self._delay_s,
            at_once=0 if engine is None else engine.seen_left(now) or 0,
            pause_s=0.0 if engine is None else engine.pause_s(now),
        )


def _limits(budget: RateBudget | None) -> tuple[float | None, float | None]:
    """The requests a second that were stated, and those that were learnt; None where there are none."""
    spacing_s = 0.0 if budget is None else engine_of(budget).spacing_s
    if budget is None or spacing_s <= 0.0:
        return None, None
    return (None, 1.0 / spacing_s) if budget.limit is None else (1.0 / spacing_s, None)
