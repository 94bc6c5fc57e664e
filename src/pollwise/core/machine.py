"""What a poll's result means for one watch, and when to ask again.

Time, results and dice are arguments. What to do next is in `due_at` and in the `StepResult` that a step returns. The
rules:

 1. The first poll is immediate, unless `wait_first` has set a delay. A final reading ends the watch. After any other reading
    the pacing says when to ask again.
 2. Only changes are events. A reading equal to the last is quiet, unless a heartbeat is wanted and due.
 3. A failed poll is repeated, paced by `Retry`. Outages are counted in time, not in tries: the watch ends when all polls
    of the last `outage_s` failed. A good reading ends the outage. A 429 does not count.
    A failure that waiting cannot mend ends the watch, while no poll of the watcher has worked yet (setup_faults.py).
    A kept-alive connection that the server had closed is no failure. The poll is repeated at once and quietly; a second
    such connection in a row is a failed poll.
 4. A 404 is tolerated for `not_found_grace_s` and at least three polls in a row; then the job does not exist. Another
    failure restarts the row. The pause of a 429 is no part of the grace. A job that was seen before gets `outage_s`.
 5. Refused credentials are renewed once between two good readings. The second refusal ends the watch.
 6. A server's hint (Retry-After) is a floor up to `longest_hint_s`. A longer hint is not believed: one poll asks after
    `longest_hint_s`, or after half of the time that is left. Our own wait is the floor under every hint. With a refusal,
    a hint beyond the deadline ends the watch at the deadline. With a good reply the last poll is asked all the same.
 7. The deadline wins over everything. The last wait is trimmed so that one last poll happens just before the deadline.
 8. An unconfirmed end is believed when `confirmations` more polls over at least `confirm_s` have shown it. If the job
    went on all the same, the next end takes four times as many, then eight times, at random distances. A job that flaps
    is asked no oftener than any other.
 9. An unknown value of the vendor is a running job; the endpoint's reading says so. An end of unknown kind is no
    success: the watch is abandoned with `UnknownOutcome`.
10. Every delay is a function of counts kept here, so a watch can be written down and resumed. A watch that is overdue
    then ends with its first reading, or when its time of grace is over. That time begins with its first poll.

There is one outcome, and no event after it.
"""

from __future__ import annotations

import math
from collections.abc import Hashable
from typing import Self, TypeVar

from pollwise.core.failure_streak import FailureStreak
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.setup_faults import SECOND_LOOK_AFTER_S, SECOND_LOOK_S, looks_needed
from pollwise.core.watch_state import DueReason, StepResult, WatchState
from pollwise.errors import (
    AuthenticationError,
    DeadlineExceeded,
    JobNotFound,
    NotVisibleYet,
    PollError,
    RateLimited,
    RetriesExhausted,
    ServerUnavailable,
    SetupError,
    StaleConnection,
    WatchError,
)
from pollwise.model.events import Outcome, Progressed
from pollwise.model.reading import Reading

__all__ = ["WatchMachine"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_AT_ONCE_S = 1.0  # a job that is first seen this soon is seen from its beginning
_LEAST_DONE = 1e-9  # a smaller share of the work says nothing about the rest
_LEAST_MISSING = 3  # polls: with fewer, a wait for the budget could use up the whole grace


class WatchMachine(WatchState[J, S]):
    """One watch: what a poll's result changes, and when to ask again. The facts are in `WatchState`."""

    __slots__ = ()

    @classmethod
    def resumed(
        cls,
        job: J,
        policy: Policy,
        resume_state: ResumeState[S],
        *,
        now: float,
        after_s: float = 0.0,
        grace_s: float = 0.0,
    ) -> Self:
        """Resume a watch that was written down.

        Args:
            job: What is watched.
            policy: Of the watcher that resumes it.
            resume_state: What was written down.
            now: Monotonic seconds.
            after_s: Seconds until the first poll, unless the deadline wants it sooner.
            grace_s: Seconds that an overdue watch has for its one reading, from its first poll on.
        """
        machine = cls(job, policy, now=now)
        machine.started_at = machine.seen_at = now - resume_state.age_s
        machine.polls, machine.status, machine.phase = resume_state.polls, resume_state.status, resume_state.phase
        if resume_state.seen_s is not None:
            machine.seen_at = machine.started_at + resume_state.seen_s
        if resume_state.failures:
            streak = machine._needs_streak()
            streak.failed = streak.failures = resume_state.failures
        if resume_state.visible and resume_state.phase is None:
            machine._needs_streak().visible = True
        machine._good = max(0, resume_state.polls - resume_state.failures)
        due_at = now + after_s
        machine.deadline = math.inf if resume_state.left_s is None else now + resume_state.left_s
        if resume_state.overdue:
            streak = machine._needs_streak()
            streak.overdue, streak.grace_s = machine.deadline, grace_s
            machine.deadline = math.inf  # a wait for the budget does not use up the grace
        else:
            due_at = min(due_at, max(now, machine.last_poll_at))
        machine.due_at = due_at
        return machine

    # --- steps --------------------------------------------------------------------------------

    def asked(self, now: float) -> None:
        """A poll is being sent."""
        if self.due_reason is DueReason.HELD:
            self.due_reason = DueReason.GIVEN
        self.polls += 1
        if self._streak is not None:
            self._begin_grace(now)

    def wait_first(self, after_s: float) -> None:
        """The first poll is sent after so long, and not after the last one before the deadline."""
        self.due_at = min(self.started_at + after_s, max(self.started_at, self.last_poll_at))

    def begin_with(self, reading: Reading[S], after_s: float, *, now: float, dice: float) -> StepResult:
        """The reply to the start of the job has this reading, which counts as the first poll.

        An end teaches the forecast nothing, because the job did not run while it was watched. The next poll is due in
        `after_s` seconds at the earliest.
        """
        self.polls += 1
        if reading.final:
            return self._end(self.outcome_of(reading, now))
        step = self.on_reading(reading, now=now, dice=dice)
        if self.outcome is None:
            paced_at = self.due_at
            self.wait_first(after_s)
            self.defer(paced_at)
        return step

    def defer(self, until: float) -> None:
        """The next poll waits until then. An earlier time than `due_at` changes nothing."""
        if until >= self.due_at:
            self.due_at = until

    def expect_change(self, now: float) -> None:
        """The job has probably changed: ask after the shortest wait, unless a failed poll has set the time."""
        if self.outcome is None and self._streak is None:
            self._good = 0
            if now + self._policy.pacing.min_s < self.due_at:
                self.due_reason, self.due_at = DueReason.GIVEN, now + self._policy.pacing.min_s

    def on_suspended(self, suspended_s: float, *, now: float, grace_s: float) -> None:
        """The computer was suspended for so long, which counts: the deadline comes sooner. One that has passed leaves one poll.

        Put the watch into its queue anew.
        """
        streak = self._streak
        if self.outcome is not None or self.deadline == math.inf or (streak is not None and streak.overdue is not None):
            return
        self.deadline -= suspended_s
        failed = streak is not None and streak.failed > 0  # the delay after it stands
        last = max(now, self.last_poll_at)
        if self.deadline <= now and not (failed and self.due_at > now + grace_s):
            streak = self._needs_streak()
            streak.overdue, streak.grace_s = self.deadline, grace_s
            self.deadline, last = math.inf, now
        self.due_at = min(self.due_at, self.deadline if failed else last)

    def mark_throttled(self) -> bool:
        """The budget holds the next poll back. Returns whether to report it: once for each poll, and never after the end."""
        is_first = self.outcome is None and self.due_reason is not DueReason.HELD
        self.due_reason = DueReason.HELD
        return is_first

    def on_reading(
        self, reading: Reading[S], *, now: float, dice: float, hint_s: float | None = None, reply_hash: int = 0
    ) -> StepResult:
        """A poll gave a reading.

        Args:
            reading: What the endpoint made of the reply.
            now: Monotonic seconds.
            dice: A random number in [0, 1).
            hint_s: Seconds that the server asks to wait, or None.
            reply_hash: A hash of the reply, for `is_unchanged`; 0 if there is none.
        """
        if self.outcome is not None:
            return StepResult.QUIET
        if not self._reply_hash:  # the first reading of this process
            self._policy.history.has_worked = True
        # An unconfirmed reading is read again each time, because each reading of it counts.
        self._reply_hash = 0 if reading.unconfirmed else reply_hash
        doubtful = reading.unconfirmed or self._streak is not None
        if reading.final or (doubtful and self._is_confirmed(reading, now)):
            self._policy.forecast.over(self.seen_s or 0.0, now - self.started_at, self.eta_s())
            return self._end(self.outcome_of(reading, now))
        self._recover(now)
        status, phase, fraction = reading.status, reading.phase, reading.fraction
        if fraction is not None and not 0.0 <= fraction <= 1.0:
            self._policy.on_odd_fraction(fraction)
            fraction = None
        same = phase is self.phase and status == self.status and fraction == self.fraction
        self.status, self.phase, self.fraction = status, phase, fraction
        if fraction is not None and self._begun_at is None:
            # A job that is seen at once began with this fraction. A job that is seen late is taken to have begun with us.
            late = now - self.started_at > _AT_ONCE_S
            self._begun_at, self._begun_with = (self.started_at, 0.0) if late else (now, fraction)
        if self._streak is not None and self._streak.overdue is not None and not reading.unconfirmed:
            return self.on_deadline(now=now)
        return self._wait(changed=not same, now=now, dice=dice, hint_s=hint_s)

    def is_unchanged(self, reply_hash: int) -> bool:
        """Whether the last reading came from this reply."""
        return reply_hash == self._reply_hash and self.phase is not None

    def on_unchanged(self, *, now: float, dice: float, hint_s: float | None = None) -> StepResult:
        """A poll gave the same reply as the last reading."""
        if self.outcome is not None:
            return StepResult.QUIET
        streak = self._streak
        if streak is not None and streak.reading is not None:  # each reading of an unconfirmed end counts
            return self.on_reading(streak.reading, now=now, dice=dice, hint_s=hint_s)
        self._recover(now)
        if streak is not None and streak.overdue is not None:
            return self.on_deadline(now=now)
        return self._wait(changed=False, now=now, dice=dice, hint_s=hint_s)

    def on_error(self, error: PollError | WatchError, *, now: float, dice: float) -> StepResult:
        """A poll failed, or showed that another poll cannot help."""
        if self.outcome is not None or self._asks_again_at_once(error, now):
            return StepResult.QUIET
        streak = self._needs_streak()
        if isinstance(error, WatchError):
            renewable = isinstance(error, AuthenticationError) and self._policy.renewable and not streak.refused
            if not renewable:
                return self._end(self.abandoned(error, now=now))
            streak.refused = True
            self.due_at = now
            return StepResult.RENEW
        return self._failed(error, streak, now=now, dice=dice)

    def on_host_down(self, error: PollError, *, down_since: float, now: float, dice: float) -> StepResult:
        """The poll was due and was not sent, because its host is down: the failure of the last probe counts in its place.

        Args:
            error: The error of that probe.
            down_since: When the host last began to fail, in monotonic seconds.
            now: Monotonic seconds.
            dice: A random number in [0, 1).
        """
        if self.outcome is not None:
            return StepResult.QUIET
        streak = self._needs_streak()
        if streak.failed_at < down_since:
            streak.on_host_answer()
        self._begin_grace(now)
        return self._failed(error, streak, now=now, dice=dice, own=False)

    def on_host_answer(self, now: float) -> None:
        """The host of the job answers again: the poll is due, and failed probes of other watches count no more."""
        if self._streak is not None:
            self._streak.on_host_answer()
        self.ask_now(now)

    def ask_now(self, now: float) -> None:
        """The poll is due now, if it was due later."""
        if self.outcome is None and now < self.due_at:
            self.due_reason, self.due_at = DueReason.GIVEN, now

    def _failed(
        self, error: PollError, streak: FailureStreak, *, now: float, dice: float, own: bool = True
    ) -> StepResult:
        streak.last_error = error
        streak.failed += 1
        if isinstance(error, NotVisibleYet) and self.phase is None and not streak.visible:
            return self._not_visible(error, streak, now=now, dice=dice)
        looks = 0 if self._has_worked else looks_needed(error)
        streak.setup_faults = (*streak.setup_faults, type(error)) if looks else ()
        hint_s = error.retry_after_s if isinstance(error, (RateLimited, ServerUnavailable, NotVisibleYet)) else None
        limited = isinstance(error, RateLimited)
        if not limited:
            streak.on_failure(now, own=own)
        if (looks and streak.setup_faults.count(type(error)) >= looks) or (
            not limited and streak.outlasts(self._policy.retry, now)
        ):
            return self._end(self.abandoned(self._outage(error, streak, looks, now), now=now))
        at_most = now + SECOND_LOOK_S if looks else None if limited else streak.ends_at(self._policy.retry)
        self._ask_again(streak, hint_s, now=now, dice=dice, at_most=at_most)
        if looks:
            self.defer(min(now + SECOND_LOOK_AFTER_S, self.last_poll_at))
        if limited:
            streak.on_pause(self.due_at - now)
        return StepResult.RETRYING

    def believed_s(self, hint_s: float, now: float) -> float:
        """Seconds that a refusal keeps this watch from asking. `hint_s` is what the server asked for.

        A longer wait than `longest_hint_s` is not believed: a poll asks then, or after half of the time that is left.
        """
        longest_s = self._policy.longest_hint_s
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
        late = DeadlineExceeded(self.job, self._policy.timeout_s, last_error)
        late.__cause__ = last_error
        return self._end(self.abandoned(late, now=now))

    def on_stop(self, error: WatchError, *, now: float) -> StepResult:
        """The caller or the watcher ends the watch, not the server."""
        return StepResult.QUIET if self.outcome is not None else self._end(self.abandoned(error, now=now))

    def replace_outcome(self, outcome: Outcome[J, S]) -> None:
        """End with this outcome: the ledger has it, or could not keep the one before."""
        self._end(outcome)

    # --- what is expected ---------------------------------------------------------------------

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

    def eta_s(self) -> float | None:
        """Estimated seconds from the last good reading until the job is over, or None."""
        # computed when it is asked for, because a hundred thousand watches need not keep it
        fraction = self.fraction
        if self._begun_at is None or fraction is None:
            return None
        done, took = fraction - self._begun_with, self.seen_at - self._begun_at
        return None if done < _LEAST_DONE or took <= 0 else (1.0 - fraction) * took / done

    @property
    def last_poll_at(self) -> float:
        """When the last poll before the deadline is to be asked, in monotonic seconds."""
        return self.deadline - self._policy.last_poll_s

    @property
    def failed_at(self) -> float:
        """When the last poll failed that counts as an outage, in monotonic seconds; minus infinity without one."""
        return -math.inf if self._streak is None else self._streak.failed_at

    @property
    def decides_at(self) -> float:
        """When a poll decides something: the last before the deadline, and the one that may end an outage."""
        return min(self.last_poll_at, self.outage_ends_at)

    @property
    def outage_ends_at(self) -> float:
        """When the next failed poll would end the watch, in monotonic seconds; infinite if it would not."""
        ends_at = None if self._streak is None else self._streak.ends_at(self._policy.retry)
        return math.inf if ends_at is None else ends_at

    # --- what next ----------------------------------------------------------------------------

    def _begin_grace(self, now: float) -> None:
        """The time of grace of an overdue watch begins with its first poll."""
        streak = self._streak
        if streak is not None and streak.grace_s is not None:
            self.deadline, streak.grace_s = now + streak.grace_s, None

    def _recover(self, now: float) -> None:
        streak = self._streak
        if streak is None or not streak.unconfirmed:
            started_at = self.started_at
            self._policy.forecast.ran(self.seen_at - started_at, now - started_at, self.eta_s())
        self.seen_at = now
        self._good += 1
        if streak is not None:
            streak.on_good_poll()
            if not streak.is_needed:
                self._streak = None

    @property
    def _has_worked(self) -> bool:
        """Whether a poll of this watcher, or of an earlier one that had this watch, gave a reading."""
        streak = self._streak
        was_seen = self.phase is not None or (streak is not None and streak.visible)
        return was_seen or self._good > 0 or self._policy.history.has_worked

    def _needs_streak(self) -> FailureStreak:
        if self._streak is None:
            self._streak = FailureStreak()
        return self._streak

    def _asks_again_at_once(self, error: PollError | WatchError, now: float) -> bool:
        """Whether this is the first closed kept-alive connection in a row. Then the poll is due at once."""
        streak = self._needs_streak()
        streak.stale = isinstance(error, StaleConnection) and not streak.stale
        if streak.stale:
            self.due_reason, self.due_at = DueReason.GIVEN, now
        return streak.stale

    def _is_confirmed(self, reading: Reading[S], now: float) -> bool:
        streak = self._streak
        if not reading.unconfirmed:
            if streak is not None:
                streak.on_running()
            return False
        streak = self._needs_streak()
        if not streak.unconfirmed:
            streak.seen_s = self.seen_s
        if streak.on_unconfirmed(reading, now) and not streak.flaps:
            self._good = 0  # an unconfirmed end is asked about again soon, unless the job flaps
        return streak.is_confirmed(self._policy.confirmations, self._policy.confirm_s, now)

    def _wait(self, *, changed: bool, now: float, dice: float, hint_s: float | None) -> StepResult:
        policy, streak = self._policy, self._streak
        if streak is None or not streak.unconfirmed:
            silence_s = self._worthy_s()
            wait_s = policy.pacing.delay_s(self._good, dice, silence_s)
            due_reason = DueReason.BLIND if silence_s is None else DueReason.FORESEEN
        else:
            wait_s = self._confirming_s(streak, now, dice)
            due_reason = DueReason.BLIND if streak.flaps else DueReason.GIVEN
        if hint_s is not None:
            spread_s = hint_s * (1.0 + policy.pacing.jitter * dice)
            wait_s = max(wait_s, min(spread_s, policy.longest_hint_s))
        self._ask_at(now + wait_s, now, earliest=now + policy.pause_s)
        self.due_reason = due_reason
        beat = policy.heartbeat_s
        if changed or (beat is not None and now - self._reported_at >= beat):
            if beat is not None:
                self._reported_at = now
            return StepResult.PROGRESSED
        return StepResult.QUIET

    def _confirming_s(self, streak: FailureStreak, now: float, dice: float) -> float:
        """Seconds until the poll that may confirm an unconfirmed end."""
        policy = self._policy
        wait_s = policy.pacing.delay_s(self._good, dice)
        if streak.flaps:
            return wait_s * (1.0 + dice)  # at equal distances all polls could fall between two attempts
        left_s = streak.looked_over_at + policy.confirm_s - now
        return min(wait_s, max(left_s, policy.pacing.min_s)) if left_s > 0.0 else wait_s

    def _worthy_s(self) -> float | None:
        policy, eta_s = self._policy, self.eta_s()
        if not policy.pacing.adaptive or not policy.forecast.has_evidence(eta_s):
            return None
        age_s = self.seen_at - self.started_at
        return policy.forecast.silence_s(policy.patience_level, age_s, eta_s, policy.pacing.max_s)

    def _not_visible(self, error: NotVisibleYet, streak: FailureStreak, *, now: float, dice: float) -> StepResult:
        if not streak.not_found:
            streak.not_found_since = now
        streak.not_found += 1
        over_at = streak.not_found_since + self._policy.not_found_grace_s
        if now >= over_at and streak.not_found >= _LEAST_MISSING:
            return self._end(self.abandoned(JobNotFound(self.job, 404, error.problem), now=now))
        at_most = over_at if streak.not_found + 1 >= _LEAST_MISSING else None
        self._ask_again(streak, error.retry_after_s, now=now, dice=dice, at_most=at_most)
        return StepResult.RETRYING

    def _ask_again(
        self, streak: FailureStreak, hint_s: float | None, *, now: float, dice: float, at_most: float | None = None
    ) -> None:
        """After a failed poll. `at_most` is when a decision is due that needs a poll; a hint goes before it."""
        believed_s = None if hint_s is None else self.believed_s(hint_s, now)
        wait_s = self._policy.retry.delay_s(streak.failed, dice, believed_s)
        at, earliest = now + wait_s, now
        if believed_s is not None:
            earliest = now + believed_s
            at = min(at, now + max(self._policy.longest_hint_s, self._policy.retry.max_s))
        if at_most is not None and now < at_most:
            at = min(at, max(at_most, earliest))
        self._ask_at(at, now, earliest=earliest)

    def _outage(self, error: PollError, streak: FailureStreak, looks: int, now: float) -> WatchError:
        since = streak.failing_since
        gone: WatchError
        if looks:
            gone = SetupError(self.job, error)
        elif isinstance(error, NotVisibleYet):
            gone = JobNotFound(self.job, 404, error.problem)
        else:
            gone = RetriesExhausted(self.job, streak.failures, error, None if since is None else now - since)
        gone.__cause__ = error
        return gone

    def _ask_at(self, at: float, now: float, *, earliest: float) -> None:
        self.due_reason = DueReason.GIVEN
        last = self.last_poll_at
        if now < last < at:
            at = max(last, earliest)
        self.due_at = at if at < self.deadline else self.deadline

    # --- how it ends --------------------------------------------------------------------------

    def _end(self, outcome: Outcome[J, S]) -> StepResult:
        self.outcome = outcome
        self.due_at = math.inf
        if self._streak is not None:
            self._streak.last_error = None  # the outcome has it; only the counts are still read
        return StepResult.OVER
