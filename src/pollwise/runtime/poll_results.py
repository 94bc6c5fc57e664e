"""What an answer to a poll means for the watch that it was about.

Rule 1: the endpoint reads the reply; one that is no other than the last, in all that `read` looks at, is not read again.
Rule 2: what a server says of its rate limit and of when to come back is obeyed on every reply, whatever else is in it.
Rule 3: nothing that an endpoint, a transport or an auth raises ends more than the watch that it happened to. What the
caller's own functions raise is not called the endpoint's bug.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import attrs

from pollwise.core.classification import refusal
from pollwise.core.header_hints import HintReader, RateHints, ReplyHints
from pollwise.core.machine import StepResult
from pollwise.core.rate_budget import Share
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConfigurationError,
    ConnectFailed,
    MalformedReply,
    PollError,
    RateLimited,
    ServerUnavailable,
    WatchError,
)
from pollwise.model.messages import Reply
from pollwise.model.protocols import Endpoint
from pollwise.model.tracebacks import endpoint_bug, strip_tracebacks
from pollwise.runtime.poller import CANCELLED_WITHIN, Poller, PollResult, Unasked
from pollwise.runtime.watch import Watch

__all__ = ["PollResults", "give_up"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_HASH_BITS = (1 << 60) - 1
_MOST_UNKNOWN_VALUES = 1_000
_LONGEST_VALUE = 200

_log = logging.getLogger(__name__)


class PollResults(Generic[J, S]):
    """Learns from the answers to one watcher's polls.

    Args:
        endpoint: How to read.
        share: The watcher's place at its budget.
        dice: Returns a random number in [0, 1).
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self, *, endpoint: Endpoint[J, S], share: Share, dice: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._endpoint = endpoint
        read_for = getattr(endpoint, "read_for", None)
        # None where that is only `read`, which is then called without a detour
        self._read_for = None if getattr(read_for, "__func__", None) is Endpoint.read_for else read_for
        self._share = share
        self._dice = dice
        self._clock = clock
        self._hints = HintReader()
        self._silent = self._hints.silent
        heeded: tuple[str, ...] | None = getattr(endpoint, "heeded_headers", None)
        self._reads_all = heeded is None  # what `read` looks at is not known, so that no reply is "unchanged"
        self._heeded = heeded or ()
        self._unknown_values: set[str] = set()

    def news(self, poller: Poller[J, S], watch: Watch[J, S], answer: PollResult, now: float) -> StepResult:
        """What the answer that this poller has got means for the watch, which knows it then."""
        if answer is Unasked.RENEWED:
            watch.machine.on_renewed(now=now)
        if isinstance(answer, Unasked):
            return StepResult.QUIET
        try:
            if isinstance(answer, PollError):
                return self._fail(poller, watch, answer, now)
            if isinstance(answer, Exception):
                return give_up(watch, answer, now)
            try:
                return self._learn(poller, watch, answer, now)
            except asyncio.CancelledError:  # raised by the endpoint itself: no task of ours awaits here
                return self._fail(poller, watch, ConnectFailed(CANCELLED_WITHIN), now)
        except Exception as exc:  # noqa: BLE001  # rule 3
            return give_up(watch, exc, now)

    def _learn(  # noqa: C901  # the one road of every reply: a call for each part of it would cost a hundredth
        self, poller: Poller[J, S], watch: Watch[J, S], reply: Reply, now: float
    ) -> StepResult:
        machine, status = watch.machine, reply.status
        hints = wait_s = None
        if tuple(reply.headers) not in self._silent:  # told apart here, for a call less
            hints = self._hints.read(reply.headers, self._wall_now)
            wait_s = None if hints is None else hints.retry_after_s
        if not 200 <= status < 300:
            if status == 304 and machine.phase is not None:
                self._settle(poller, watch, hints, now)
                return machine.on_unchanged(now=now, dice=self._roll(), hint_s=wait_s)
            return self._refused(poller, watch, reply, hints, now)
        reply_hash = 0
        if not self._reads_all:
            # with the status, for a 202 and a 200 can both be empty; of 60 bits, which take a third less memory than 64
            reply_hash = (hash(reply.body) ^ status) & _HASH_BITS
            if self._heeded:
                reply_hash = hash((reply_hash, *map(reply.headers.get, self._heeded))) & _HASH_BITS
            if reply_hash == watch.reply_hash and machine.phase is not None:
                self._settle(poller, watch, hints, now)
                return machine.on_unchanged(now=now, dice=self._roll(), hint_s=wait_s)
        try:
            read_for = self._read_for
            reading = self._endpoint.read(reply) if read_for is None else read_for(watch.job, reply)
        except RateLimited as exc:
            return self._throttled(poller, watch, exc, hints, now)
        except (PollError, WatchError) as exc:
            self._settle(poller, watch, hints, now)
            return self._fail(poller, watch, exc, now)
        except BaseException:
            self._settle(poller, watch, hints, now)
            raise
        self._settle(poller, watch, hints, now)
        # an unconfirmed reading is read again each time: each showing counts
        watch.reply_hash = 0 if reading.unconfirmed else reply_hash
        if reading.unknown is not None:
            self._report_unknown(reading.unknown)
        dice = 0.0 if reading.final else self._roll()  # no wait is to be chosen, and no fault of `dice` hides an end
        return machine.on_reading(reading, now=now, dice=dice, hint_s=wait_s)

    # --- what is no reading -------------------------------------------------------------------

    def _refused(
        self, poller: Poller[J, S], watch: Watch[J, S], reply: Reply, hints: ReplyHints | None, now: float
    ) -> StepResult:
        """A reply outside 2xx."""
        error: PollError | WatchError
        try:
            if reply.status == 304:
                error = MalformedReply("there is no earlier reply that it could repeat", 304, reply.content_type)
            else:
                error = refusal(reply, self._endpoint.problem(reply), watch.job, hints=hints)
        except RateLimited as exc:
            error = exc
        if isinstance(error, RateLimited):
            return self._throttled(poller, watch, error, hints, now)
        if isinstance(error, ServerUnavailable) and error.http_status >= 500 and error.retry_after_s:
            # it speaks for the server: the other watches of the token wait, too
            permit, poller.permit = poller.permit, 0
            self._share.on_unavailable(permit, now, watch.machine.believed_s(error.retry_after_s, now))
        else:
            self._settle(poller, watch, hints, now)
        return self._fail(poller, watch, error, now)

    def _throttled(
        self, poller: Poller[J, S], watch: Watch[J, S], error: RateLimited, hints: ReplyHints | None, now: float
    ) -> StepResult:
        """The rate limit was hit, in a refusal or in a 2xx that says so in its body."""
        wait_s = error.retry_after_s
        if wait_s is not None and not wait_s >= 0.0:  # no number, or before now: `read` may take it from anywhere
            wait_s = error.retry_after_s = None
        if wait_s is None and hints is not None and hints.retry_after_s is not None:
            wait_s = error.retry_after_s = hints.retry_after_s
        rate = None if hints is None else hints.rate
        permit, poller.permit = poller.permit, 0
        believed_s = None if wait_s is None else watch.machine.believed_s(wait_s, now)
        self._share.on_429(permit, now, believed_s, self._believed(rate, watch, now))
        return self._fail(poller, watch, error, now)

    def _fail(self, poller: Poller[J, S], watch: Watch[J, S], error: PollError | WatchError, now: float) -> StepResult:
        """The poll taught nothing, or showed that asking again as we did is no use."""
        if now >= watch.machine.deadline:
            return watch.machine.on_deadline(now=now)
        if isinstance(error, AuthenticationError):
            poller.refusal = error
        return watch.machine.on_error(strip_tracebacks(error), now=now, dice=self._roll())

    def _report_unknown(self, value: str) -> None:
        value = value[:_LONGEST_VALUE]
        if value not in self._unknown_values and len(self._unknown_values) < _MOST_UNKNOWN_VALUES:
            self._unknown_values.add(value)
            _log.warning("%s: unknown value %s", self._endpoint.name, ascii(value))

    # --- the budget ---------------------------------------------------------------------------

    def _settle(self, poller: Poller[J, S], watch: Watch[J, S], hints: ReplyHints | None, now: float) -> None:
        """Let the budget know that the reply has come, and what it says about how many may go."""
        permit, poller.permit = poller.permit, 0
        if hints is None:
            self._share.release(permit, now)
        else:
            self._share.release(permit, now, self._believed(hints.rate, watch, now))

    def _believed(self, rate: RateHints | None, watch: Watch[J, S], now: float) -> RateHints | None:
        """The same, with a reset that is too far away to be true as near as this watch can wait for."""
        if rate is None or rate.reset_s is None:
            return rate
        believed_s = watch.machine.believed_s(rate.reset_s, now)
        return rate if believed_s == rate.reset_s else attrs.evolve(rate, reset_s=believed_s)

    # --- the caller's own functions -----------------------------------------------------------

    def _roll(self) -> float:
        try:
            dice = self._dice()
        except Exception as exc:
            raise _callback_failed("dice", exc) from exc
        if 0.0 <= dice < 1.0:
            return dice
        raise _callback_failed("dice", ValueError(f"it gave {dice!r}, which is not in [0, 1)"))

    def _wall_now(self) -> float:
        try:
            return self._clock()
        except Exception as exc:
            raise _callback_failed("clock", exc) from exc


def _callback_failed(name: str, exc: Exception) -> CallbackFailed:
    return CallbackFailed(None, name, type(exc).__name__, str(exc))


def give_up(watch: Watch[J, S], exc: BaseException, now: float) -> StepResult:
    """Whatever it is that was raised, asking again would not mend it."""
    if now >= watch.machine.deadline:
        return watch.machine.on_deadline(now=now)
    if isinstance(exc, CallbackFailed) and exc.job is None:
        exc.job = watch.job
    if isinstance(exc, WatchError):
        return watch.machine.on_stop(strip_tracebacks(exc), now=now)
    detail = str(exc) if isinstance(exc, ConfigurationError) else "see __cause__"  # our words hold no part of a reply
    return watch.machine.on_stop(endpoint_bug(watch.job, exc, detail), now=now)
