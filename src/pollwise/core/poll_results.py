"""What the result of a poll means for its watch and for the rate budget.

Rule 1: the endpoint reads the reply. A reply that equals the last one, in all that `read` looks at, is not read again.
Rule 2: what a server says about its rate limit and about when to come back is obeyed on every reply. Its header fields
are searched once.
Rule 3: the permit of a poll goes back to the budget exactly once, whatever the reply is.
Rule 4: the deadline wins over every result that is not a reading.
Rule 5: whatever an endpoint, a transport or an auth raises ends no other watch. What the caller's own functions raise is
not called the endpoint's bug.
Rule 6: a short reply that may be too deep is cut down to limits before it is read. A long one has been cut already.
Rule 7: every reply and every error is counted (`counters.py`), before and after it is read.
Rule 8: a secret that may be a word of the reply's own is masked after the reply was read, so that it decides nothing.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

import attrs

from pollwise.core.call_machine import CallMachine
from pollwise.core.classification import refusal
from pollwise.core.counters import CANCELLED, CUT_OFF, READ, SUM, UNCHANGED, RequestCounts
from pollwise.core.header_hints import HintReader, RateHints, ReplyHints
from pollwise.core.header_values import moment
from pollwise.core.host_health import WatchedHosts, is_host_failure
from pollwise.core.machine import WatchMachine
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ClockSkewed,
    ConfigurationError,
    MalformedReply,
    PermissionDenied,
    PollError,
    PollTimeout,
    RateLimited,
    RequestRejected,
    ServerUnavailable,
    WatchError,
)
from pollwise.model.abilities import sign_method
from pollwise.model.bounded_reply import bounded
from pollwise.model.calls import Call, StatusCall, cursor_in
from pollwise.model.cursor import cursor_hash
from pollwise.model.limits import ReplyLimits
from pollwise.model.masked_values import masked_error, masked_value
from pollwise.model.masking import Mask
from pollwise.model.messages import Reply
from pollwise.model.misuse import explained
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading
from pollwise.model.secrets import KnownSecrets
from pollwise.model.stats import REQUEST_BOUNDS
from pollwise.model.tracebacks import endpoint_bug, own_words, strip_tracebacks

__all__ = ["Poll", "PollResults", "stop_with", "taken_permit"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_HASH_BITS = (1 << 60) - 1  # ints of 60 bits take a third less memory than ints of 64
_LIMITS = ReplyLimits()
_MOST_SKEW_S = 240.0  # AWS allows five minutes, and other vendors up to fifteen


class Poll(Protocol):
    """One poll, as this file needs to know it.

    Attributes:
        permit: The number of the request at the budget, until it is released; 0 for none.
        refusal: The server's refusal of the credentials, or None.
        sent_at: When the request could go, in monotonic seconds.
    """

    permit: int
    refusal: AuthenticationError | None
    sent_at: float


class PollResults(Generic[J, S]):
    """Decides what the results of one watcher's polls mean.

    Args:
        endpoint: How to read.
        budget: The token's rate budget.
        dice: Returns a random number in [0, 1), as `checked_dice` makes it.
        clock: Returns the time in epoch seconds, as `checked_clock` makes it.
        on_unknown: Called with an enum value that the endpoint does not know, as `field=value`.
        secrets: The secrets of the requests. They are masked in readings and errors.
        limits: How much of a reply is kept.
        polls: Counts the polls.
        calls: Counts other requests.
        hosts: The hosts of the watches. By default those of the budget.
    """

    __slots__ = (
        "_answer_statuses",
        "_budget",
        "_calls",
        "_dice",
        "_endpoint",
        "_heeded",
        "_hints",
        "_hosts",
        "_limits",
        "_on_unknown",
        "_polls",
        "_read_for",
        "_reads_all",
        "_secrets",
        "_signs",
        "_troubled",
        "_wall_now",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint[J, S],
        budget: TokenBudget,
        dice: Callable[[], float],
        clock: Callable[[], float],
        on_unknown: Callable[[str], object],
        secrets: KnownSecrets | None = None,
        limits: ReplyLimits = _LIMITS,
        polls: RequestCounts | None = None,
        calls: RequestCounts | None = None,
        hosts: WatchedHosts[J] | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._polls = RequestCounts() if polls is None else polls
        self._calls = RequestCounts() if calls is None else calls
        read_for = endpoint.read_for
        # None where `read_for` only calls `read`. Then `read` is called directly.
        self._read_for = None if getattr(read_for, "__func__", None) is Endpoint.read_for else read_for
        self._budget = budget
        self._dice = dice
        self._wall_now = clock
        self._on_unknown = on_unknown
        self._answer_statuses = endpoint.answer_statuses
        self._hints = HintReader()
        self._reads_all = endpoint.heeded_headers is None  # what `read` looks at is not known: no reply is unchanged
        self._heeded = endpoint.heeded_headers or ()
        self._secrets = KnownSecrets() if secrets is None else secrets
        self._limits = limits
        self._signs = sign_method(endpoint.auth) is not None
        self._hosts = WatchedHosts(budget.hosts, endpoint) if hosts is None else hosts
        self._troubled = self._hosts.troubled

    def on_result(self, poll: Poll, machine: WatchMachine[J, S], result: Reply | Exception, now: float) -> StepResult:
        """What the result of this poll means for the watch. The machine knows it afterwards.

        Raises:
            BaseException: What the endpoint raised, if it is no `Exception`.
        """
        try:
            if not isinstance(result, Exception):
                return self._on_reply(poll, machine, result, now)
            counts, took_s = self._counts_of(machine.call), now - poll.sent_at
            if machine.outcome is not None and isinstance(result, PollTimeout):
                counts.lose(CUT_OFF, took_s)
                counts.errors[CANCELLED, CUT_OFF] += 1
                return StepResult.QUIET
            counts.lose(type(result).__name__, took_s)
            if isinstance(result, PollError):
                return self._fail(poll, machine, result, now)
            counts.fail(result)
            return stop_with(machine, masked_error(self._secrets.mask, result), now)
        except Exception as exc:  # noqa: BLE001  # rule 5
            self._counts_of(machine.call).fail(exc)
            return stop_with(machine, masked_error(self._secrets.mask, exc), now)

    def on_host_down(self, machine: WatchMachine[J, S], error: PollError, down_since: float, now: float) -> StepResult:
        """The host of this watch is down, so its poll was not sent. `error` is that of the last probe."""
        try:
            return machine.on_host_down(error, down_since=down_since, now=now, dice=self._dice())
        except Exception as exc:  # noqa: BLE001  # rule 5
            return stop_with(machine, masked_error(self._secrets.mask, exc), now)

    def _on_reply(  # noqa: C901, PLR0911, PLR0912, PLR0915  # the one road of every reply: a call for each part of it would cost a hundredth
        self, poll: Poll, machine: WatchMachine[J, S], reply: Reply, now: float
    ) -> StepResult:
        status, call = reply.status, machine.call
        took_s = now - poll.sent_at
        row = (self._polls if call is None else self._counts_of(call)).rows[status]
        row[bisect_left(REQUEST_BOUNDS, took_s)] += 1  # here and not in a function, to save a call
        row[SUM] += took_s
        if self._troubled and not 502 <= status <= 504 and status != 407:  # 407 is a proxy's, and no answer of the host
            self._hosts.on_answer(machine, now)
        hints = wait_s = None
        if tuple(reply.headers) not in self._hints.silent:  # compared here, to save a call
            hints = self._hints.read(reply.headers, self._wall_now)
            wait_s = None if hints is None else hints.retry_after_s
        if not 200 <= status < 300 and status not in (self._answer_statuses if call is None else call.answer_statuses):
            if status == 304 and machine.phase is not None:
                row[UNCHANGED] += 1
                self._release(poll, machine, hints, now)
                return machine.on_unchanged(now=now, dice=self._dice(), hint_s=wait_s)
            if status == 304 and machine.cursor is not None and isinstance(machine, CallMachine):
                machine.restart()  # a resumed watch without its status: the cursor is an entity tag of that status
                self._release(poll, machine, hints, now)
                return self._fail(poll, machine, reply.malformed("not modified, since a status that was not kept"), now)
            return self._on_refusal(poll, machine, reply, hints, now)
        body = reply.body
        reply_hash = 0
        if not self._reads_all and (call is None or call.compares):
            # with the status, because a 202 and a 200 can both be empty
            reply_hash = (hash(body) ^ status) & _HASH_BITS
            if self._heeded:
                reply_hash = hash((reply_hash, *map(reply.headers.get, self._heeded))) & _HASH_BITS
            if call is not None:
                reply_hash = hash((reply_hash, cursor_hash(machine.cursor))) & _HASH_BITS
            if machine.is_unchanged(reply_hash):
                row[UNCHANGED] += 1
                self._release(poll, machine, hints, now)
                return machine.on_unchanged(now=now, dice=self._dice(), hint_s=wait_s)
        if reply.bounds is None and len(body) - len(body.replace(b"{", b"").replace(b"[", b"")) > self._limits.depth:
            reply = self._bounded(reply, call)
        try:
            read_for = self._read_for
            if call is not None:
                reading = _with_own_cursor(call.read(machine.job, reply, machine.cursor), reply)
            else:
                reading = self._endpoint.read(reply) if read_for is None else read_for(machine.job, reply)
        except RateLimited as exc:
            return self._on_throttle(poll, machine, exc, hints, now)
        except (PollError, WatchError) as exc:
            if isinstance(exc, MalformedReply) and not 200 <= status < 300:
                return self._on_refusal(poll, machine, reply, hints, now)  # such as a gateway's 404
            self._release(poll, machine, hints, now)
            error = self._with_skew(exc, reply, machine.job) if self._signs else exc
            return self._fail(poll, machine, error, now)
        except BaseException:
            self._release(poll, machine, hints, now)
            raise
        if hints is None:  # as `_release`, and written out, because two calls cost a hundredth of a poll
            permit, poll.permit = poll.permit, 0
            self._budget.release(permit, now)
        else:
            self._release(poll, machine, hints, now)
        if self._secrets.mask.weak:
            reading = _masked(self._secrets.mask, reading, machine)  # rule 8
        if reading.unknown is not None:
            self._on_unknown(reading.unknown)
        if reading.poll_after_s is not None:
            reply_hash, wait_s = 0, _longer_s(reading.poll_after_s, wait_s)  # 0: an equal reply gives the hint again
        row[READ] += 1
        dice = 0.0 if reading.final else self._dice()  # an end needs no wait, so no fault of `dice` may hide it
        return machine.on_reading(reading, now=now, dice=dice, hint_s=wait_s, reply_hash=reply_hash)

    def _bounded(self, reply: Reply, call: Call[J, S] | None) -> Reply:
        if call is None:
            return bounded(reply, self._limits, self._endpoint.deciding_keys)
        return bounded(reply, call.limits or self._limits, call.deciding_keys)

    def _counts_of(self, call: Call[Any, Any] | None) -> RequestCounts:
        return self._polls if call is None or isinstance(call, StatusCall) else self._calls

    # --- what is no reading -------------------------------------------------------------------

    def _on_refusal(
        self, poll: Poll, machine: WatchMachine[J, S], reply: Reply, hints: ReplyHints | None, now: float
    ) -> StepResult:
        """A reply outside 2xx."""
        error: PollError | WatchError
        try:
            problem = self._endpoint.problem if machine.call is None else machine.call.problem
            error = refusal(reply, problem(reply), machine.job, hints=hints)
        except RateLimited as exc:
            error = exc
        if isinstance(error, RateLimited):
            return self._on_throttle(poll, machine, error, hints, now)
        if reply.request is not None and reply.request.first_host is not None:
            if isinstance(error, AuthenticationError):  # it had no credentials to be renewed
                error = PermissionDenied(machine.job, reply.status, error.problem)
        elif self._signs:
            error = self._with_skew(error, reply, machine.job)
        if isinstance(error, ServerUnavailable) and error.http_status >= 500 and error.retry_after_s:
            # It speaks for the server, so the other watches of the token wait, too.
            wait_s = machine.believed_s(error.retry_after_s, now)
            self._budget.on_unavailable(taken_permit(poll), now, wait_s)
        else:
            self._release(poll, machine, hints, now)
        return self._fail(poll, machine, error, now)

    def _with_skew(self, error: PollError | WatchError, reply: Reply, job: J) -> PollError | WatchError:
        """The refusal of a signed request. It is `ClockSkewed` if the clocks differ by more than signatures allow."""
        if 300 <= reply.status < 400:  # that refuses no signature, and after a 303 a job may be running
            return error
        if isinstance(error, (AuthenticationError, PermissionDenied, RequestRejected)):
            sent = moment(reply.headers.get("Date", ""))
            ahead_s = 0.0 if sent is None else self._wall_now() - sent
            if abs(ahead_s) > _MOST_SKEW_S:
                return ClockSkewed(job, reply.status, ahead_s, error.problem)
        return error

    def _on_throttle(
        self, poll: Poll, machine: WatchMachine[J, S], error: RateLimited, hints: ReplyHints | None, now: float
    ) -> StepResult:
        """The rate limit was hit: in a refusal, or in a 2xx whose body says so."""
        wait_s = error.retry_after_s
        if wait_s is not None and not wait_s >= 0.0:  # nan or negative: `read` may take it from anywhere
            wait_s = error.retry_after_s = None
        if wait_s is None and hints is not None and hints.retry_after_s is not None:
            wait_s = error.retry_after_s = hints.retry_after_s
        rate = None if hints is None else hints.rate
        believed_s = None if wait_s is None else machine.believed_s(wait_s, now)
        self._budget.on_429(taken_permit(poll), now, believed_s, _believed(rate, machine, now))
        return self._fail(poll, machine, error, now)

    def _fail(self, poll: Poll, machine: WatchMachine[J, S], error: PollError | WatchError, now: float) -> StepResult:
        """The poll failed, or showed that another poll cannot help."""
        if now >= machine.deadline:
            self._counts_of(machine.call).fail(error)
            return machine.on_deadline(now=now)
        masked_error(self._secrets.mask, error)
        if isinstance(error, AuthenticationError):
            poll.refusal = error
        dice = self._dice()
        self._counts_of(machine.call).fail(error)
        error = strip_tracebacks(error)
        step = machine.on_error(error, now=now, dice=dice)
        if step is not StepResult.QUIET and isinstance(error, PollError) and is_host_failure(error):
            self._hosts.on_failure(machine, error, now, self._dice())
        return step

    def _release(self, poll: Poll, machine: WatchMachine[J, S], hints: ReplyHints | None, now: float) -> None:
        """Give the permit back, with what the reply says about the rate limit."""
        if hints is None:
            self._budget.release(taken_permit(poll), now)
        else:
            self._budget.release(taken_permit(poll), now, _believed(hints.rate, machine, now))


def stop_with(machine: WatchMachine[Any, Any], exc: BaseException, now: float) -> StepResult:
    """End the watch because of an exception that another poll would not mend."""
    if now >= machine.deadline:
        return machine.on_deadline(now=now)
    if isinstance(exc, CallbackFailed) and exc.job is None:
        exc.job = machine.job
    if isinstance(exc, WatchError):
        return machine.on_stop(strip_tracebacks(exc), now=now)
    detail = str(exc) if isinstance(exc, ConfigurationError) else explained(exc) or own_words(exc)
    return machine.on_stop(endpoint_bug(machine.job, exc, detail), now=now)


def taken_permit(poll: Poll) -> int:
    """Take the permit off the poll, so that it is released once."""
    permit, poll.permit = poll.permit, 0
    return permit


def _with_own_cursor(reading: Reading[S], reply: Reply) -> Reading[S]:
    """The reading with a cursor that can be kept. Raises MalformedReply for a cursor that is too large."""
    own = cursor_in(reply, reading.cursor, "its cursor")
    return reading if own is reading.cursor else attrs.evolve(reading, cursor=own)


def _masked(mask: Mask, reading: Reading[S], machine: WatchMachine[Any, S]) -> Reading[S]:
    """The reading without secrets, but for its cursor: the next request needs that as it is."""
    masked, cursor = masked_value(mask, reading), reading.cursor
    if masked.cursor is cursor:
        return masked
    if isinstance(machine, CallMachine):
        machine.hide_cursor(cursor)
    return attrs.evolve(masked, cursor=cursor)


def _believed(rate: RateHints | None, machine: WatchMachine[Any, Any], now: float) -> RateHints | None:
    """The same, with a reset that is too far away to be true as near as this watch can wait for."""
    if rate is None or rate.reset_s is None:
        return rate
    believed_s = machine.believed_s(rate.reset_s, now)
    return rate if believed_s == rate.reset_s else attrs.evolve(rate, reset_s=believed_s)


def _longer_s(body_s: float, header_s: float | None) -> float | None:
    """The longer of the waits that a body and its header fields ask for. A value that is no wait is ignored."""
    if not body_s >= 0.0:  # nan or negative: `read` may take it from anywhere
        return header_s
    return body_s if header_s is None else max(body_s, header_s)
