"""Watches that are asked by a call: those of an endpoint that takes a cursor, and single calls such as the fetch of a result.

Rule 1: such a watch differs from any other in its cursor alone. What a result means is decided in `machine.py`.
Rule 2: the cursor is that of the last reading. No failed poll and no unchanged reply moves it.
Rule 3: a request that is not idempotent is sent again only if the server said that it did nothing (401 and 429), or if there
was no connection.
Rule 4: a job that is started is in doubt once a request for it may have left, and its reply is lost. Then each end but the job
itself is a `SubmitDoubtful`. A lost reply is a connection that broke, a time-out, 408, 425, 5xx, 302, 303, and a 2xx that
cannot be read. RFC 9110 (9.2.2) allows no repetition then, also after a 503. A request whose connection was never made is sent again.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol, Self, TypeVar

import attrs

from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import DueReason, StepResult
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    JobNotFound,
    NotVisibleYet,
    PollError,
    PollwiseError,
    RateLimited,
    ReplyTooLarge,
    RequestRejected,
    ResultTooLarge,
    ServerUnavailable,
    SubmitDoubtful,
    UnsafeUrl,
    WatchError,
)
from pollwise.model.calls import Call
from pollwise.model.cursor import Cursor
from pollwise.model.events import Abandoned, Outcome, Succeeded
from pollwise.model.reading import Reading
from pollwise.model.submitting import SubmitCall

__all__ = ["CallMachine", "FetchMachine", "OnceMachine", "SubmitMachine", "call_policy", "machine_class"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class CallMachine(WatchMachine[J, S]):
    """A watch that is asked by the call of its policy.

    Attributes:
        call: Makes the requests, and reads the replies.
        cursor: What the last reading handed on; None at the start.
    """

    __slots__ = ("_secret_cursor", "call", "cursor")

    call: Call[J, S]

    def __init__(self, job: J, policy: Policy, *, now: float) -> None:
        super().__init__(job, policy, now=now)
        assert policy.call is not None  # noqa: S101  # `machine_class` chooses
        self.call = policy.call  # pyright: ignore[reportIncompatibleVariableOverride]  # it is never set to None
        self.cursor: Cursor = None
        self._secret_cursor: Cursor = None

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
        """Resume a watch that was written down, at its cursor."""
        machine = super().resumed(job, policy, resume_state, now=now, after_s=after_s, grace_s=grace_s)
        machine.cursor = resume_state.cursor
        return machine

    def on_reading(
        self, reading: Reading[S], *, now: float, dice: float, hint_s: float | None = None, reply_hash: int = 0
    ) -> StepResult:
        """A poll gave a reading, and with it the next cursor."""
        if self.outcome is not None:
            return StepResult.QUIET
        moved = reading.cursor != self.cursor
        self.cursor = reading.cursor
        step = super().on_reading(reading, now=now, dice=dice, hint_s=hint_s, reply_hash=reply_hash)
        if moved and self.call.at_once and hint_s is None and self.outcome is None:
            self.due_reason, self.due_at = DueReason.GIVEN, now
        return step

    @property
    def kept_cursor(self) -> Cursor:
        """The cursor as it may be written down: None for one that has a secret."""
        return None if self.cursor == self._secret_cursor else self.cursor

    def hide_cursor(self, cursor: Cursor) -> None:
        """The next reading has this cursor, which has a secret."""
        self._secret_cursor = cursor

    def restart(self) -> None:
        """Ask from the start again."""
        self.cursor = None


class FetchMachine(CallMachine[J, S]):
    """The fetch of a result. One that is too large for the transport is not fetched again."""

    __slots__ = ()

    def on_error(self, error: PollError | WatchError, *, now: float, dice: float) -> StepResult:
        """A try failed, or showed that another one cannot help."""
        if isinstance(error, ReplyTooLarge) and self.outcome is None:
            large = ResultTooLarge(self.job, None)
            large.__cause__ = error
            return self._end(self.abandoned(large, now=now))
        return super().on_error(error, now=now, dice=dice)


class CallSentOnce(Protocol):
    """A call whose request may change something on the server.

    Attributes:
        is_idempotent: Whether the last request may be sent again if its reply was lost.
    """

    is_idempotent: bool

    def doubtful(self, job: Any, error: PollError, /) -> WatchError:
        """The error if the reply was lost."""
        ...


class OnceMachine(CallMachine[J, S]):
    """A call that is not sent again if its reply was lost, unless it is idempotent. Its call is a `CallSentOnce`."""

    __slots__ = ()

    def on_error(self, error: PollError | WatchError, *, now: float, dice: float) -> StepResult:
        """A try failed, or showed that another one cannot help."""
        call: Any = self.call
        lost = isinstance(error, PollError) and error.sent and not isinstance(error, RateLimited)
        if lost and self.outcome is None and not call.is_idempotent:
            doubt: WatchError = call.doubtful(self.job, error)
            doubt.__cause__ = error
            return self._end(self.abandoned(doubt, now=now))
        return super().on_error(error, now=now, dice=dice)


class SubmitMachine(CallMachine[str, Reading[Any] | None]):
    """The start of a job. Its `job` is a text that names the order. Its status is the first reading of the job, or None.

    Args:
        subject: How errors name the order.
        policy: Its call is a `SubmitCall`.
        now: Monotonic seconds.
        in_doubt: Whether an earlier run may have sent the request.

    Attributes:
        hint_s: Seconds until the first poll that the reply asked for, or None.
    """

    __slots__ = ("_lost", "hint_s")

    call: SubmitCall[Any]  # pyright: ignore[reportIncompatibleVariableOverride]  # it is never replaced

    def __init__(self, subject: str, policy: Policy, *, now: float, in_doubt: bool = False) -> None:
        super().__init__(subject, policy, now=now)
        self.hint_s: float | None = None
        self._lost = in_doubt

    def on_reading(
        self,
        reading: Reading[Reading[Any] | None],
        *,
        now: float,
        dice: float,
        hint_s: float | None = None,
        reply_hash: int = 0,
    ) -> StepResult:
        """The job was started."""
        self.hint_s = hint_s
        return super().on_reading(reading, now=now, dice=dice, hint_s=hint_s, reply_hash=reply_hash)

    def on_error(self, error: PollError | WatchError, *, now: float, dice: float) -> StepResult:
        """A request failed, or was refused."""
        call = self.call
        if self.outcome is not None:
            return StepResult.QUIET
        sent, call.sent = call.sent, False
        if sent and _loses_the_reply(error):
            self._lost = True
            if not call.is_idempotent:
                return self._end(self.abandoned(call.doubtful(error), now=now))
        if isinstance(error, NotVisibleYet):  # there is no job yet that could become visible
            error = JobNotFound(self.job, 404, error.problem)
        if isinstance(error, RequestRejected) and error.http_status == 409 and self._lost and call.is_idempotent:
            # the first request with this key is still being processed, as the draft of Idempotency-Key says (2.6)
            error = ServerUnavailable(409, None, error.problem)
        return super().on_error(error, now=now, dice=dice)

    @property
    def in_doubt(self) -> bool:
        """Whether the job may have been started, as far as is known now."""
        return not isinstance(self.outcome, Succeeded) and (self._lost or self.call.sent)

    def _end(self, outcome: Outcome[str, Reading[Any] | None]) -> StepResult:
        if isinstance(outcome, Abandoned) and self._is_doubtful(outcome.error):
            outcome = attrs.evolve(outcome, error=self.call.doubtful(outcome.error))
        return super()._end(outcome)

    def _is_doubtful(self, error: PollwiseError) -> bool:
        if isinstance(error, SubmitDoubtful):
            return False
        if self._lost:
            return True
        unsent = isinstance(error, _BEFORE_SENDING) or isinstance(error.__cause__, ConfigurationError)
        return self.call.sent and (self.call.was_read or not unsent)


# 303 says that it was done, and web frameworks send 302 for that (RFC 9110, 15.4.3 and 15.4.4)
_MAYBE_DONE = frozenset({302, 303})
_BEFORE_SENDING = (AuthenticationError, ConfigurationError, UnsafeUrl)  # of a transport: it has sent nothing


def _loses_the_reply(error: PollError | WatchError) -> bool:
    """Whether the server may have done what was asked."""
    if isinstance(error, PollError):
        return error.sent and not isinstance(error, (RateLimited, NotVisibleYet))
    return isinstance(error, RequestRejected) and error.http_status in _MAYBE_DONE


def call_policy(policy: Policy, call: Call[Any, Any]) -> Policy:
    """The policy of one kind of single calls of a watcher: as that of its watches, without a grace for 404.

    How long these calls take teaches nothing about how long the jobs take. Keep it for all calls of the kind, because
    making a forecast takes a millisecond; `attrs.evolve` gives it another call.
    """
    return attrs.evolve(policy, call=call, not_found_grace_s=0.0, heartbeat_s=None, forecast=Forecast())


def machine_class(policy: Policy) -> type[WatchMachine[Any, Any]]:
    """The class of the machines with this policy."""
    return WatchMachine if policy.call is None else CallMachine
