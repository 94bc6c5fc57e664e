"""Every "what next" of one watch.

The rules, by number; time, replies and dice are arguments, and what to do next is in `due_at` and the `StepResult` returned:

 1. The first poll is immediate. After a good reading: final means over, otherwise ask again when pacing says.
 2. Only changes are news. A reading equal to the last is quiet, unless a heartbeat is wanted and due.
 3. A poll that taught nothing is repeated, paced by `Retry`. Outages are counted in time, not in tries: the watch ends
    when nothing but such polls came for `outage_s`. Any good reading begins anew, and 429 does not count.
    A kept-alive connection that had been closed is no failure: the poll is asked again at once, and quietly. A second
    one in a row is a poll that taught nothing.
 4. 404 is tolerated for `not_found_grace_s` and at least three polls in a row; then the job does not exist. A poll that
    failed otherwise begins the row anew, and the pause of a 429 is no part of it. A job that was seen before gets
    `outage_s`.
 5. Refused credentials are renewed once between two good readings; then the watch ends.
 6. A server's hint (Retry-After) is a floor up to `longest_hint_s`; a longer one is not believed, and one poll asks then,
    or after half of the time that is left. Our own wait is the floor under every hint. With a refusal, a hint beyond the deadline
    ends the watch at the deadline; with a good reply it is advice, and the last poll is asked all the same.
 7. The deadline wins over everything. The last wait is trimmed so that one last poll happens just before it.
 8. An unconfirmed reading is believed once `confirmations` more polls, spread over at least `confirm_s`, have shown the
    same end; four and then eight times as many, at wide random distances, once the job went on all the same. A job that
    flaps is asked no oftener than any other.
 9. An unknown value of the vendor's is a running job; the endpoint's reading says so. An end of unknown kind is no
    success: the watch is abandoned with `UnknownOutcome`.
10. Every delay is a function of counts kept here, so a watch can be written down and resumed. One that is overdue then
    is over with the first answer that says that the job is not, or once its time of grace has passed, which begins
    when it is asked about.

Nothing is news after an outcome, and there is one outcome.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable
from typing import Generic, Self, TypeVar

import attrs

from pollwise.core.failure_streak import FailureStreak
from pollwise.core.forecast import Forecast, level_of
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.resume_state import ResumeState
from pollwise.errors import (
    AuthenticationError,
    DeadlineExceeded,
    JobCancelled,
    JobFailed,
    JobNotFound,
    NotVisibleYet,
    PollError,
    RateLimited,
    RetriesExhausted,
    ServerUnavailable,
    StaleConnection,
    UnknownOutcome,
    WatchError,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Progressed, Retrying, Succeeded, Throttled
from pollwise.model.reading import Phase, Reading

__all__ = ["DueReason", "Policy", "StepResult", "WatchMachine"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


_AT_ONCE_S = 1.0
_LEAST_DONE = 1e-9  # a smaller share of the work says nothing about the rest
_LEAST_MISSING = 3  # polls: with fewer, a wait for the budget could use up the whole grace


class StepResult(enum.Enum):
    """What one step of a watch came to."""

    QUIET = enum.auto()
    PROGRESSED = enum.auto()
    RETRYING = enum.auto()
    RENEW = enum.auto()
    OVER = enum.auto()


class DueReason(enum.Enum):
    """Who has chosen when to ask next."""

    GIVEN = enum.auto()
    """A retry, a server, a deadline: the time stands."""
    BLIND = enum.auto()
    """The pacing, by how often the watch was asked. Pressure may put it off."""
    FORESEEN = enum.auto()
    """The pacing, by when the job may be over. Pressure may put it off."""


@attrs.frozen(kw_only=True)
class Policy:
    """What all watches of one watcher have in common. Times are in seconds.

    Attributes:
        timeout_s: Longest duration of a watch, or None for ever.
        last_poll_s: How long before the deadline the last poll is asked.
        not_found_grace_s: How long a 404 may mean that the job is not visible yet.
        confirmations: How many more polls confirm an end that is not final.
        confirm_s: The shortest time over which these polls are spread.
        longest_hint_s: The longest wait that a server may ask for.
        heartbeat_s: Report an unchanged status when nothing was reported for this long; None for never.
        renewable: Whether there are credentials to renew after a 401.
        forecast: What these watches teach about when jobs end.
        patience_level: The pacing's patience, as a level of worth.
        on_odd_fraction: Called with a fraction that is no share of 0..1. The reading counts without it.
        pause_s: Shortest wait between a poll and the last one before the deadline.
    """

    pacing: Pacing
    retry: Retry
    timeout_s: float | None
    last_poll_s: float = 1.0
    not_found_grace_s: float = 30.0
    confirmations: int = 2
    confirm_s: float = 60.0
    longest_hint_s: float = 3600.0
    heartbeat_s: float | None = None
    renewable: bool = False
    forecast: Forecast = attrs.field(factory=Forecast)
    on_odd_fraction: Callable[[float], object] = bool
    patience_level: int = attrs.field(init=False)
    pause_s: float = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "patience_level", level_of(self.pacing.patience_s))
        object.__setattr__(self, "pause_s", min(self.pacing.min_s, self.last_poll_s))


class WatchMachine(Generic[J, S]):
    """One watch: what is known, what was counted, and when to ask again.

    Attributes:
        deadline: When the watch ends at the latest, in monotonic seconds; infinite for never.
        due_at: When to ask next, in monotonic seconds.
        fraction: Share of the work done, 0..1, or None.
        job: What is watched.
        outcome: The one terminal event, once there is one.
        pace: Who has chosen `due_at`.
        phase: The phase last seen, or None before the first good reading.
        polls: Status exchanges so far, good and bad.
        seen_at: When the last good reading came, in monotonic seconds; the start before the first one.
        started_at: When the watch began, in monotonic seconds.
        status: The vendor's status last seen, or None.
    """

    __slots__ = (
        "_begun_at",
        "_begun_with",
        "_good",
        "_reported_at",
        "_rules",
        "_streak",
        "_throttled",
        "deadline",
        "due_at",
        "fraction",
        "job",
        "outcome",
        "pace",
        "phase",
        "polls",
        "seen_at",
        "started_at",
        "status",
    )

    def __init__(self, job: J, rules: Policy, *, now: float) -> None:
        self.job = job
        self._rules = rules
        self.started_at = self.seen_at = self.due_at = self._reported_at = now
        self.deadline = math.inf if rules.timeout_s is None else now + rules.timeout_s
        self.polls = 0
        self.status: S | None = None
        self.phase: Phase | None = None
        self.fraction: float | None = None
        self.outcome: Outcome[J, S] | None = None
        self._good = 0  # good readings, which set the pace
        self._streak: FailureStreak | None = None
        self._begun_at: float | None = None  # when the fraction was `_begun_with`, for the ETA
        self._begun_with = 0.0
        self.pace = DueReason.GIVEN
        self._throttled = False  # the watch was reported as held back by the budget since its last poll

    @classmethod
    def resumed(
        cls, job: J, rules: Policy, past: ResumeState[S], *, now: float, after_s: float = 0.0, grace_s: float = 0.0
    ) -> Self:
        """A watch that was written down goes on where it was.

        Args:
            job: What is watched.
            rules: Of the watcher that takes it up.
            past: What was written down.
            now: Monotonic seconds.
            after_s: Seconds until the first poll, unless the deadline wants it sooner.
            grace_s: Seconds for an overdue watch to get its one answer in, from when it is asked about.
        """
        machine = cls(job, rules, now=now)
        machine.started_at = machine.seen_at = now - past.age_s
        machine.polls, machine.status, machine.phase = past.polls, past.status, past.phase
        if past.seen_s is not None:
            machine.seen_at = machine.started_at + past.seen_s
        if past.failures:
            streak = machine._needs_streak()
            streak.bad = streak.failures = past.failures
        if past.visible and past.phase is None:
            machine._needs_streak().visible = True
        machine._good = max(0, past.polls - past.failures)
        due_at = now + after_s
        machine.deadline = math.inf if past.left_s is None else now + past.left_s
        if past.overdue:
            streak = machine._needs_streak()
            streak.overdue, streak.grace_s = machine.deadline, grace_s
            machine.deadline = math.inf  # it is asked about, however long the budget has no place for that
        else:
            due_at = min(due_at, max(now, machine.last_poll_at))
        machine.due_at = due_at
        return machine

    # --- steps --------------------------------------------------------------------------------

    def asked(self, now: float) -> None:
        """A poll is on its way."""
        self._throttled = False
        self.polls += 1
        streak = self._streak
        if streak is not None and streak.grace_s is not None:
            self.deadline, streak.grace_s = now + streak.grace_s, None

    def defer(self, until: float) -> None:
        """The next poll waits until then. An earlier time than `due_at` changes nothing."""
        if until >= self.due_at:
            self.due_at = until

    def mark_throttled(self) -> bool:
        """The budget holds the next poll back. Returns whether that is news: once for each poll, and never after the end."""
        news = self.outcome is None and not self._throttled
        self._throttled = True
        return news

    def on_reading(self, reading: Reading[S], *, now: float, dice: float, hint_s: float | None = None) -> StepResult:
        """A poll gave a reading. `hint_s` is how long the server asks to wait, if it does."""
        if self.outcome is not None:
            return StepResult.QUIET
        doubtful = reading.unconfirmed or self._streak is not None
        if reading.final or (doubtful and self._is_confirmed(reading, now)):
            return self._end(self._verdict(reading, now))
        self._recover(now)
        status, phase, fraction = reading.status, reading.phase, reading.fraction
        if fraction is not None and not 0.0 <= fraction <= 1.0:
            self._rules.on_odd_fraction(fraction)
            fraction = None
        same = phase is self.phase and status == self.status and fraction == self.fraction
        self.status, self.phase, self.fraction = status, phase, fraction
        if fraction is not None and self._begun_at is None:
            # a job first seen at once began with what it shows; one first seen late began, as far as we know, with us
            late = now - self.started_at > _AT_ONCE_S
            self._begun_at, self._begun_with = (self.started_at, 0.0) if late else (now, fraction)
        if self._streak is not None and self._streak.overdue is not None and not reading.unconfirmed:
            return self.on_deadline(now=now)
        return self._wait(changed=not same, now=now, dice=dice, hint_s=hint_s)

    def on_unchanged(self, *, now: float, dice: float, hint_s: float | None = None) -> StepResult:
        """A poll gave the very reply that the last reading came from."""
        if self.outcome is not None:
            return StepResult.QUIET
        streak = self._streak
        if streak is not None and streak.reading is not None:  # each showing of an unconfirmed end counts
            return self.on_reading(streak.reading, now=now, dice=dice, hint_s=hint_s)
        self._recover(now)
        if streak is not None and streak.overdue is not None:
            return self.on_deadline(now=now)
        return self._wait(changed=False, now=now, dice=dice, hint_s=hint_s)

    def on_error(self, error: PollError | WatchError, *, now: float, dice: float) -> StepResult:
        """A poll taught nothing, or showed that asking again is no use."""
        if self.outcome is not None or self._asks_again_at_once(error, now):
            return StepResult.QUIET
        streak = self._needs_streak()
        if isinstance(error, WatchError):
            renewable = isinstance(error, AuthenticationError) and self._rules.renewable and not streak.refused
            if not renewable:
                return self._end(self.abandoned(error, now=now))
            streak.refused = True
            self.due_at = now
            return StepResult.RENEW
        streak.last_error = error
        streak.bad += 1
        if isinstance(error, NotVisibleYet) and self.phase is None and not streak.visible:
            return self._not_visible(error, streak, now=now, dice=dice)
        hint_s = error.retry_after_s if isinstance(error, (RateLimited, ServerUnavailable, NotVisibleYet)) else None
        limited = isinstance(error, RateLimited)
        if not limited:
            streak.fail(now)
            if streak.outlasts(self._rules.retry, now):
                return self._end(self.abandoned(self._outage(error, streak, now), now=now))
        at_most = None if limited else streak.ends_at(self._rules.retry)
        self._ask_again(streak, hint_s, now=now, dice=dice, at_most=at_most)
        if limited:
            streak.excuse(self.due_at - now)
        return StepResult.RETRYING

    def believed_s(self, hint_s: float, now: float) -> float:
        """How long a refusal keeps this watch from asking. `hint_s` is what the server asked for.

        A wait of more than `longest_hint_s` is not believed: a poll asks then, or after half of the time that is left.
        """
        longest_s = self._rules.longest_hint_s
        if hint_s <= longest_s:
            return hint_s
        return min(longest_s, max(0.0, self.last_poll_at - now) / 2)

    def on_renewed(self, *, now: float) -> None:
        """The credentials were renewed after `StepResult.RENEW`: ask again at once."""
        self.due_at = now

    def on_deadline(self, *, now: float) -> StepResult:
        """The deadline has passed, whatever was under way."""
        if self.outcome is not None:
            return StepResult.QUIET
        last_error = None if self._streak is None else self._streak.last_error
        late = DeadlineExceeded(self.job, self._rules.timeout_s, last_error)
        late.__cause__ = last_error
        return self._end(self.abandoned(late, now=now))

    def on_stop(self, error: WatchError, *, now: float) -> StepResult:
        """Somebody, not the server, ends the watch."""
        return StepResult.QUIET if self.outcome is not None else self._end(self.abandoned(error, now=now))

    # --- events -------------------------------------------------------------------------------

    def progressed(self) -> Progressed[J, S]:
        """The event for the last status before the outcome, if there is one. Only after a good reading."""
        assert self.phase is not None  # noqa: S101  # the driver asks after PROGRESSED only
        return Progressed(
            job=self.job,
            status=self.status,  # type: ignore[arg-type]  # set together with the phase
            phase=self.phase,
            fraction=self.fraction,
            eta_s=self.eta_s(),
            elapsed_s=self.seen_at - self.started_at,
            polls=self.polls - (self.outcome is not None),
        )

    def retrying(self, now: float) -> Retrying[J]:
        """The event for the last bad poll. Only after `StepResult.RETRYING`."""
        streak = self._streak
        assert streak is not None  # noqa: S101  # the driver asks after RETRYING only
        assert streak.last_error is not None  # noqa: S101
        return Retrying(
            job=self.job,
            error=streak.last_error,
            failures=streak.failures,
            delay_s=max(0.0, self.due_at - now),
            elapsed_s=now - self.started_at,
            polls=self.polls,
        )

    def throttled(self, now: float) -> Throttled[J]:
        """The event for being held back by the budget, until `due_at` at least."""
        delay_s = max(0.0, self.due_at - now) if self.due_at < math.inf else 0.0
        return Throttled(job=self.job, delay_s=delay_s, elapsed_s=now - self.started_at, polls=self.polls)

    def eta_s(self) -> float | None:
        """Estimated seconds from the last good reading until the job is over, or None."""
        # made when it is asked for: a hundred thousand watches need not keep it
        fraction = self.fraction
        if self._begun_at is None or fraction is None:
            return None
        done, took = fraction - self._begun_with, self.seen_at - self._begun_at
        return None if done < _LEAST_DONE or took <= 0 else (1.0 - fraction) * took / done

    @property
    def failures(self) -> int:
        """Polls in a row that taught nothing and count towards `Retry.min_failures`."""
        return 0 if self._streak is None else self._streak.failures

    @property
    def is_new(self) -> bool:
        """Whether nobody has asked yet, and it began here, with all the time that a watch of the watcher's has."""
        began_here = self.polls == 0 and self.started_at == self._reported_at
        timeout_s = self._rules.timeout_s
        return began_here and self.deadline == (math.inf if timeout_s is None else self.started_at + timeout_s)

    @property
    def seen_s(self) -> float | None:
        """How old the watch was when the job was last seen going on, in seconds, or None if it never was."""
        streak = self._streak
        if streak is not None and streak.unconfirmed:
            return streak.seen_s
        return None if self.phase is None else self.seen_at - self.started_at

    @property
    def agreed_deadline(self) -> float:
        """The deadline without the time of grace that one who is overdue is given, in monotonic seconds."""
        overdue = None if self._streak is None else self._streak.overdue
        return self.deadline if overdue is None else overdue

    @property
    def last_poll_at(self) -> float:
        """When the last poll before the deadline is to be asked, in monotonic seconds."""
        return self.deadline - self._rules.last_poll_s

    # --- what next ----------------------------------------------------------------------------

    def _recover(self, now: float) -> None:
        streak = self._streak
        if streak is None or not streak.unconfirmed:
            started_at = self.started_at
            self._rules.forecast.ran(self.seen_at - started_at, now - started_at, self.eta_s())
        self.seen_at = now
        self._good += 1
        if streak is not None:
            streak.recover()
            if not streak.is_needed:
                self._streak = None

    def _needs_streak(self) -> FailureStreak:
        if self._streak is None:
            self._streak = FailureStreak()
        return self._streak

    def _asks_again_at_once(self, error: PollError | WatchError, now: float) -> bool:
        """Whether a kept-alive connection had been closed, and is the first one in a row: then the poll is due again."""
        streak = self._needs_streak()
        streak.stale = isinstance(error, StaleConnection) and not streak.stale
        if streak.stale:
            self.pace, self.due_at = DueReason.GIVEN, now
        return streak.stale

    def _is_confirmed(self, reading: Reading[S], now: float) -> bool:
        streak = self._streak
        if not reading.unconfirmed:
            if streak is not None:
                streak.contradict()
            return False
        streak = self._needs_streak()
        if not streak.unconfirmed:
            streak.seen_s = self.seen_s
        if streak.show(reading, now) and not streak.flaps:
            self._good = 0  # what looks over is asked again soon; what flaps is not
        return streak.is_shown(self._rules.confirmations, self._rules.confirm_s, now)

    def _wait(self, *, changed: bool, now: float, dice: float, hint_s: float | None) -> StepResult:
        rules, streak = self._rules, self._streak
        if streak is None or not streak.unconfirmed:
            silence_s = self._worthy_s()
            wait_s = rules.pacing.delay_s(self._good, dice, silence_s)
            pace = DueReason.BLIND if silence_s is None else DueReason.FORESEEN
        else:
            wait_s = self._confirming_s(streak, now, dice)
            pace = DueReason.BLIND if streak.flaps else DueReason.GIVEN
        if hint_s is not None:
            spread_s = hint_s * (1.0 + rules.pacing.jitter * dice)
            wait_s = max(wait_s, min(spread_s, rules.longest_hint_s))
        self._ask_at(now + wait_s, now, earliest=now + rules.pause_s)
        self.pace = pace
        beat = rules.heartbeat_s
        if changed or (beat is not None and now - self._reported_at >= beat):
            if beat is not None:
                self._reported_at = now
            return StepResult.PROGRESSED
        return StepResult.QUIET

    def _confirming_s(self, streak: FailureStreak, now: float, dice: float) -> float:
        """How long to wait for the next showing of an unconfirmed end."""
        rules = self._rules
        wait_s = rules.pacing.delay_s(self._good, dice)
        if streak.flaps:
            return wait_s * (1.0 + dice)  # at equal distances they could all fall between two attempts
        left_s = streak.looked_over_at + rules.confirm_s - now
        return max(left_s, rules.pacing.min_s) if 0.0 < left_s < wait_s else wait_s

    def _worthy_s(self) -> float | None:
        rules, eta_s = self._rules, self.eta_s()
        if not rules.pacing.adaptive or not rules.forecast.tells(eta_s):
            return None
        age_s = self.seen_at - self.started_at
        return rules.forecast.silence_s(rules.patience_level, age_s, eta_s, rules.pacing.max_s)

    def _not_visible(self, error: NotVisibleYet, streak: FailureStreak, *, now: float, dice: float) -> StepResult:
        if not streak.missing:
            streak.missing_since = now
        streak.missing += 1
        over_at = streak.missing_since + self._rules.not_found_grace_s
        if now >= over_at and streak.missing >= _LEAST_MISSING:
            return self._end(self.abandoned(JobNotFound(self.job, 404, error.problem), now=now))
        at_most = over_at if streak.missing + 1 >= _LEAST_MISSING else None
        self._ask_again(streak, error.retry_after_s, now=now, dice=dice, at_most=at_most)
        return StepResult.RETRYING

    def _ask_again(
        self, streak: FailureStreak, hint_s: float | None, *, now: float, dice: float, at_most: float | None = None
    ) -> None:
        """After a bad poll. `at_most` is when a decision falls due, for which a poll is wanted; a hint goes before it."""
        believed_s = None if hint_s is None else self.believed_s(hint_s, now)
        wait_s = self._rules.retry.delay_s(streak.bad, dice, believed_s)
        at, earliest = now + wait_s, now
        if believed_s is not None:
            earliest = now + believed_s
            at = min(at, now + max(self._rules.longest_hint_s, self._rules.retry.max_s))
        if at_most is not None and now < at_most < at:
            at = max(at_most, earliest)
        self._ask_at(at, now, earliest=earliest)

    def _outage(self, error: PollError, streak: FailureStreak, now: float) -> WatchError:
        since = streak.failing_since
        gone: WatchError
        if isinstance(error, NotVisibleYet):
            gone = JobNotFound(self.job, 404, error.problem)
        else:
            gone = RetriesExhausted(self.job, streak.failures, error, None if since is None else now - since)
        gone.__cause__ = error
        return gone

    def _ask_at(self, at: float, now: float, *, earliest: float) -> None:
        self.pace = DueReason.GIVEN
        last = self.last_poll_at
        if now < last < at:
            at = max(last, earliest)
        self.due_at = at if at < self.deadline else self.deadline

    # --- how it ends --------------------------------------------------------------------------

    def _end(self, outcome: Outcome[J, S]) -> StepResult:
        self.outcome = outcome
        self.due_at = math.inf
        if self._streak is not None:
            self._streak.last_error = None  # the count is written down with the outcome
        return StepResult.OVER

    def _verdict(self, reading: Reading[S], now: float) -> Outcome[J, S]:
        took, seen_s = now - self.started_at, self.seen_s
        self._rules.forecast.over(seen_s or 0.0, took, self.eta_s())
        job, status, polls = self.job, reading.status, self.polls
        within_s = None if seen_s is None else took - seen_s
        match reading.phase:
            case Phase.FAILED:
                failed = JobFailed(job, status, reading.reason)
                return Failed(
                    job=job, status=status, error=failed, elapsed_s=took, polls=polls, detected_within_s=within_s
                )
            case Phase.CANCELLED:
                gone = JobCancelled(job, status, reading.reason)
                return Cancelled(
                    job=job, status=status, error=gone, elapsed_s=took, polls=polls, detected_within_s=within_s
                )
            case Phase.SUCCEEDED:
                return Succeeded(job=job, status=status, elapsed_s=took, polls=polls, detected_within_s=within_s)
            case phase:
                error = UnknownOutcome(job, status, reading.unknown or phase.value)
                return Abandoned(job=job, error=error, status=status, phase=phase, elapsed_s=took, polls=polls)

    def abandoned(self, error: WatchError, *, now: float) -> Abandoned[J, S]:
        """The outcome of giving up now, for this reason. It ends nothing by itself."""
        return Abandoned(
            job=self.job,
            error=error,
            status=self.status,
            phase=self.phase,
            elapsed_s=now - self.started_at,
            polls=self.polls,
        )
