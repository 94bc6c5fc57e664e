"""What an answer to a poll means for the watch that it was about.

Rule 1: the endpoint reads the reply; one that is no other than the last is not read again.
Rule 2: what a server says of its rate limit and of when to come back is read from every reply, whatever else is in it.
Rule 3: nothing that an endpoint, a transport or an auth raises ends more than the watch that it happened to.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

from pollwise.core.budget import Lane
from pollwise.core.hints import HintReader, ReplyHints
from pollwise.core.machine import News
from pollwise.core.verdict import refusal
from pollwise.core.wire import Endpoint, Reply
from pollwise.errors import AuthenticationError, ConnectFailed, PollError, WatchError
from pollwise.frameless import endpoint_bug, frameless
from pollwise.poller import CANCELLED_WITHIN, Answer, Poller, Unasked
from pollwise.watch import Watch

__all__ = ["Answers", "give_up"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_HASH_BITS = (1 << 60) - 1
_MOST_UNKNOWN_VALUES = 1_000
_LONGEST_VALUE = 200

_log = logging.getLogger(__name__)


class Answers(Generic[J, S]):
    """Learns from the answers to one watcher's polls.

    Args:
        endpoint: How to read.
        lane: The watcher's place at its budget.
        dice: Returns a random number in [0, 1).
        clock: Returns the time in epoch seconds.
    """

    def __init__(
        self, *, endpoint: Endpoint[J, S], lane: Lane, dice: Callable[[], float], clock: Callable[[], float]
    ) -> None:
        self._endpoint = endpoint
        read_for = getattr(endpoint, "read_for", None)
        # None where that is only `read`, which is then called without a detour
        self._read_for = None if getattr(read_for, "__func__", None) is Endpoint.read_for else read_for
        self._lane = lane
        self._dice = dice
        self._clock = clock
        self._hints = HintReader()
        self._unknown_values: set[str] = set()

    def news(self, poller: Poller[J, S], watch: Watch[J, S], answer: Answer, now: float) -> News:
        """What the answer that this poller has got means for the watch, which knows it then."""
        if not isinstance(answer, (Exception, Unasked)):
            try:
                return self._learn(poller, watch, answer, now)
            except asyncio.CancelledError:
                return self._fail(poller, watch, ConnectFailed(CANCELLED_WITHIN), now)
            except Exception as exc:  # noqa: BLE001  # rule 3
                return give_up(watch, exc, now)
        if isinstance(answer, PollError):
            return self._fail(poller, watch, answer, now)
        if isinstance(answer, Exception):
            return give_up(watch, answer, now)
        if answer is Unasked.RENEWED:
            watch.machine.on_renewed(now=now)
        return News.QUIET

    def _learn(self, poller: Poller[J, S], watch: Watch[J, S], reply: Reply, now: float) -> News:
        machine, status = watch.machine, reply.status
        hints = self._hints.read(reply.headers, self._clock)
        self._heed(poller, status, hints, now)
        if not 200 <= status < 300:
            error = refusal(reply, self._endpoint.problem(reply), watch.job, hints=hints)
            return self._fail(poller, watch, error, now)
        # with the status, for a 202 and a 200 can both be empty; and of 60 bits, which take a third less memory than 64
        reply_hash = (hash(reply.body) ^ status) & _HASH_BITS
        if reply_hash == watch.reply_hash and machine.phase is not None:
            return machine.on_unchanged(now=now, dice=self._dice())
        try:
            read_for = self._read_for
            reading = self._endpoint.read(reply) if read_for is None else read_for(watch.job, reply)
        except (PollError, WatchError) as exc:
            return self._fail(poller, watch, exc, now)
        # an unconfirmed reading is read again each time: each showing counts
        watch.reply_hash = 0 if reading.unconfirmed else reply_hash
        if reading.unknown is not None:
            self._report_unknown(reading.unknown)
        return machine.on_reading(reading, now=now, dice=self._dice())

    def _fail(self, poller: Poller[J, S], watch: Watch[J, S], error: PollError | WatchError, now: float) -> News:
        """The poll taught nothing, or showed that asking again as we did is no use."""
        if now >= watch.machine.deadline:
            return watch.machine.on_deadline(now=now)
        if isinstance(error, AuthenticationError):
            poller.refusal = error
        return watch.machine.on_error(frameless(error), now=now, dice=self._dice())

    def _report_unknown(self, value: str) -> None:
        value = value[:_LONGEST_VALUE]
        if value not in self._unknown_values and len(self._unknown_values) < _MOST_UNKNOWN_VALUES:
            self._unknown_values.add(value)
            _log.warning("%s: unknown value %s, taken as running", self._endpoint.name, ascii(value))

    def _heed(self, poller: Poller[J, S], status: int, hints: ReplyHints | None, now: float) -> None:
        """Let the budget know that the reply has come, and what it says about how many may go."""
        rate = None if hints is None else hints.rate
        ticket, poller.ticket = poller.ticket, 0
        if status == 429:
            self._lane.refuse(ticket, now, None if hints is None else hints.retry_after_s, rate)
        else:
            self._lane.settle(ticket, now, rate)


def give_up(watch: Watch[J, S], exc: BaseException, now: float) -> News:
    """Whatever it is that was raised, asking again would not mend it."""
    if now >= watch.machine.deadline:
        return watch.machine.on_deadline(now=now)
    if isinstance(exc, WatchError):
        return watch.machine.on_stop(frameless(exc), now=now)
    return watch.machine.on_stop(endpoint_bug(watch.job, exc, "see __cause__"), now=now)
