"""When nothing of a token may go, and which request goes first after that.

Rule 1: after a refusal, and after a pause that `longest_hint_s` has shortened, one request goes first: the probe. The
others go after its reply.
Rule 2: our own pause is the floor under every wait that a server asks for. It doubles while probes are refused.
Refusals without a wait never shorten a pause that the server asked for.
Rule 3: the refusals of requests that were sent before the first of them came are one burst. A burst counts once.
Rule 4: a burst of refusals without a wait is contradicted by good replies to requests that were sent later than the
first refused one. Then the pause ends with the last reply of the burst, and no probe is needed.
Rule 5: a pause that a good reply asked for ends early if a newer reply says that requests remain.
"""

from __future__ import annotations

import math
from enum import Enum, auto

__all__ = ["End", "Pause"]

_FIRST_S = 0.25  # the first pause without a hint
_GROWTH = 2.0  # of one such pause to the next
_LONGEST_S = 10.0  # the longest such pause
_MOST_DOUBLINGS = 20  # the longest such pause is reached long before, and many more overflow a float
_FEW = 2  # max refusals of a burst that shows nothing: its first probe goes after `_AT_ONCE_S`
_AT_ONCE_S = 1 / 64
_ENOUGH = 2  # good replies that contradict a burst before its last reply
_CONTRADICTED = 3  # refusals of a burst for one good reply that contradicts it
_UNCONTRADICTED = 1 << 30  # the number of refusals after which good replies do not end a pause; they never outnumber it


class End(Enum):
    """How a pause ended, or that it did not."""

    NO = auto()
    PROBED = auto()
    CONTRADICTED = auto()


class Pause:
    """The pause of one token.

    Attributes:
        on: Whether there is a pause. Without one, none of the methods needs to be called but `on_refusal` and `begin`.
        probes: How many probes were refused in a row.
        width: How many requests were in flight at the first refusal, probes not counted.
    """

    __slots__ = (
        "_asked_by",
        "_asked_until",
        "_bad",
        "_first",
        "_good",
        "_last",
        "_left",
        "_probe",
        "_probing",
        "_tried",
        "_until",
        "on",
        "probes",
        "width",
    )

    def __init__(self) -> None:
        self.on = False
        self.probes = 0
        self.width = 0
        self._tried = False  # a probe went at once already
        self._until = self._asked_until = -math.inf  # the end, and the last end that the server asked for
        self._probing = False  # one request goes first
        self._probe = 0  # its number, once it went
        self._first = self._last = 0  # numbers of the first refused request of the burst, and of the last one sent
        self._left = self._bad = self._good = 0  # of the burst: in flight, refused, good
        self._asked_by = 0  # the number of the good reply that asked for this pause; 0 for any other reason

    def available_at(self, now: float) -> float:
        """When a request may go: a time that has come, the end of the pause, or never until a reply has come."""
        if now < self._until:
            return self._until
        if not self._probing:
            self.on = False
        elif self._probe:
            return math.inf
        return now

    def acquire(self, permit: int) -> None:
        """The request with this permit goes."""
        if self._probing and not self._probe:
            self._probe = permit

    # --- beginning ----------------------------------------------------------------------------

    def begin(self, permit: int, until: float, *, probe: bool) -> None:
        """A good reply to this request asked for a pause."""
        self._asked_until = max(self._asked_until, until)
        if self.on and self._until >= until:
            return
        self._asked_by = permit if not self.on or self._asked_by else 0
        self.on, self._until = True, until
        if probe:
            self._probing, self._probe = True, 0

    def on_refusal(
        self, permit: int, now: float, wait_s: float | None, *, sent: int, in_flight: int, least_s: float
    ) -> bool:
        """The request was refused, or the server is out of service. Returns whether this begins a burst.

        Args:
            permit: Its number.
            now: Monotonic seconds.
            wait_s: What the server asked for, or None.
            sent: The number of the last request that was sent.
            in_flight: How many requests are without a reply.
            least_s: A pause shorter than this is of no use.
        """
        begins = permit > self._last
        if begins:
            if not self.probes:
                self.width = in_flight + 1
            own_s = max(least_s, min(_LONGEST_S, _FIRST_S * _GROWTH ** min(self.probes, _MOST_DOUBLINGS)))
            self.probes += 1
            self._first, self._last = permit, sent
            self._left, self._bad, self._good = in_flight, 1, 0
            until = now + max(own_s, wait_s or 0.0)
        else:
            self._left -= 1
            self._bad += 1
            until = self._until if wait_s is None else now + wait_s
        if wait_s:
            self._bad = _UNCONTRADICTED  # what a server asks for is not contradicted by other replies
            self._asked_until = max(self._asked_until, until)
        if begins:
            self._probe = 0
        if begins or self.on or wait_s:
            self.on = self._probing = True
            self._asked_by = 0
            self._until = max(self._until, until)
        if self._left <= 0 and self._bad <= _FEW and not (self._tried or least_s):
            self._tried, self.probes = True, 0
            self._until = max(self._asked_until, now + _AT_ONCE_S)
        return begins

    # --- ending -------------------------------------------------------------------------------

    def on_reply(self, permit: int, now: float) -> End:
        """The request with this permit had a reply that is no refusal."""
        if permit == self._probe and self._probing:
            self._probing, self._probe, self.probes, self._tried = False, 0, 0, False
            self.on = now < self._until
            return End.PROBED
        if self._first and permit <= self._last:
            self._left -= 1
            self._good += permit > self._first
            if self._probing and (self._left <= 0 or self._good >= _ENOUGH):
                return self._resolved(now)
        return End.NO

    def _resolved(self, now: float) -> End:
        """All replies of the burst have come, or enough of them, and the last reply was good."""
        if self._good * _CONTRADICTED >= self._bad:
            self._until, self.probes, self._tried = self._asked_until, 0, False
            self.on = self._probing = now < self._until
            return End.CONTRADICTED
        if self._bad <= _FEW and not self._tried:
            self._tried, self.probes = True, 0
            self._until = max(self._asked_until, min(self._until, now + _AT_ONCE_S))
        return End.NO

    def contradict(self, permit: int) -> None:
        """The reply to this request says that requests remain."""
        if self.on and 0 < self._asked_by < permit:
            self._until = self._asked_until = -math.inf
            self.on = self._probing = False
