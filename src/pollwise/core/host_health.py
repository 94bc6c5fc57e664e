"""Which hosts fail for every watch, and when one of them is asked again.

A host is the origin of a job's URL, at one token. A failure of the host is a poll without a reply (connection, name, TLS,
time-out), or with 502, 503 or 504. Any other reply is an answer.

Rule 1: a host is suspected when polls of `_WATCHES` different watches have failed in a row, with no answer in between.
So a watch that fails alone changes nothing. Polls of a suspected host go one at a time.
Rule 2: a suspected host is down after `_FAILURES` failures in a row over at least `_DOWN_AFTER_S`. A server that fails half
of its requests answers within that time.
Rule 3: a host that is suspected or down is probed by one request at a time, with pauses that grow. A probe without a reply
delays the next one by no more than a pause. A poll that decides something is a probe that need not wait: the last one
before a deadline, and the one that would end a watch because of its outage. One such probe in `_FRESH_S` is enough for all.
Rule 4: while the host is down, the failure of a probe counts for each watch that is due, once, in place of a request.
Rule 5: the first answer ends all this. The watches that waited go within seconds, few at first (`slow_start.py`).
Rule 6: an answer after few failed probes may show a host that fails at random. It is suspected again only after
`_PATIENCE` times as many failures in a row, and `_MOST_FAILURES` at most. So a host that answers one request of ten is used.
Rule 7: nothing is kept of a host that has answered `_SOUND` times in a row.
"""

from __future__ import annotations

import enum
import math
from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

from pollwise.core.identity import Origins
from pollwise.core.slow_start import SlowStart
from pollwise.core.watch_state import WatchState
from pollwise.errors import ConnectFailed, PollError, PollTimeout, ServerUnavailable, TlsFailed
from pollwise.model.calls import StatusCall
from pollwise.model.hosts import HostOutage
from pollwise.model.protocols import Endpoint

__all__ = ["HostHealth", "HostState", "Hosts", "WatchedHosts", "is_host_failure"]

J = TypeVar("J", bound=Hashable)

_WATCHES = 3  # different watches that must fail
_FAILURES = 8  # failures in a row that show an outage
_DOWN_AFTER_S = 0.5  # the shortest time without an answer that shows an outage
_FIRST_S = 0.125  # the first pause between two probes
_GROWTH = 2.0  # of one pause to the next
_LONGEST_S = 4.5  # the longest pause in an outage of minutes
_SHARE = 1 / 30  # of the time that the outage has taken: the longest pause in a longer outage
_MOST_S = 15.0  # the longest pause of all
_JITTER = 0.1  # a pause is shorter by up to this share, so that clients do not probe in step
_FRESH_S = 1.0  # a failure is believed for so long where a poll decides something
_LOOK_AGAIN_S = 1 / 16  # between two looks whether a probe has shown what a poll was to decide
_FEW_PROBES = 20  # failed probes before an answer that may be chance
_PATIENCE = 4  # after an answer, this multiple of the failures before it is no outage
_MOST_FAILURES = 100  # failures in a row that always show an outage
_SOUND = 16  # answers in a row of a host that does not fail at random
_FLAPPING = 2  # with this pause the next outage begins at most, if the host has answered a few polls only
_MOST_DOUBLINGS = 20  # the longest pause is reached long before, and many more overflow a float
_RETURNED_S = 5.0  # the slow start ends after this time at the latest
_FORGET_S = 3600.0  # a host that was not asked for so long is forgotten


class HostState(enum.Enum):
    """How a host does. A host that is not known here answers."""

    ANSWERING = enum.auto()
    """Some polls failed, too few to be the host's fault."""
    SUSPECTED = enum.auto()
    """Polls go one at a time, until an answer or more failures have come."""
    DOWN = enum.auto()
    """It fails for every watch. Probes ask."""
    RETURNING = enum.auto()
    """It has answered a probe, and the watches that waited go."""


class HostHealth:
    """The health of one host, while polls of it fail. Times are monotonic seconds.

    Args:
        origin: Its scheme, name and port.

    Attributes:
        error: The error of the last failure; None before the first one.
        failed_at: When the last failure came that counts for all watches.
        origin: Its scheme, name and port.
        probe_at: When the next probe may go.
        since: When the first of the failures in a row came.
        state: How it does.
        waiting: How many watches are due, or were, and wait for the host.
    """

    __slots__ = (
        "_answers",
        "_failed_probes",
        "_failures",
        "_pauses",
        "_probed_at",
        "_probes",
        "_released",
        "_replies",
        "_returned_at",
        "_slow_start",
        "_tolerated",
        "_watches",
        "error",
        "failed_at",
        "origin",
        "probe_at",
        "since",
        "state",
        "waiting",
    )

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self.state = HostState.ANSWERING
        self.error: PollError | None = None
        self.failed_at = self.probe_at = self.since = -math.inf
        self.waiting = 0
        self._failures = 0  # in a row
        self._answers = 0  # in a row
        self._tolerated = 0  # fewer failures in a row may be chance
        self._failed_probes = 0  # since the host was suspected
        self._watches: set[int] = set()  # some of the watches that failed
        self._pauses = 0  # probes that failed
        self._probes: set[int] = set()  # the watches whose polls are probes, in flight
        self._probed_at = -math.inf
        self._returned_at = -math.inf
        self._slow_start = SlowStart()
        self._released = self._replies = 0  # since it returned

    @property
    def is_closed(self) -> bool:
        """Whether watches have to wait, and probes ask."""
        return self.state is HostState.SUSPECTED or self.state is HostState.DOWN

    @property
    def is_calm(self) -> bool:
        """Whether there is nothing to remember."""
        return self.state is HostState.ANSWERING and not self._failures and not self._tolerated

    def outage(self, now: float) -> HostOutage | None:
        """What a caller sees of this host while it is down; None otherwise."""
        if self.state is not HostState.DOWN or self.error is None:
            return None
        return HostOutage(
            origin=self.origin,
            error=self.error,
            down_s=now - self.since,
            waiting=self.waiting,
            next_try_s=max(0.0, self.probe_at - now),
        )

    # --- replies ------------------------------------------------------------------------------

    def on_failure(self, watch: int, error: PollError, now: float, dice: float) -> None:
        """A poll failed in a way that may be the host's.

        Args:
            watch: A number that names the watch.
            error: What went wrong.
            now: Monotonic seconds.
            dice: A random number in [0, 1).
        """
        self.error = error
        if not self._failures:
            self.since = now
        self._failures += 1
        self._answers = 0
        if len(self._watches) < _WATCHES:
            self._watches.add(watch)
        is_probe = watch in self._probes
        self._probes.discard(watch)
        if not self.is_closed:
            if len(self._watches) >= _WATCHES and self._failures >= self._tolerated:
                self.state = HostState.SUSPECTED
                self._failed_probes = 0
                self._pause(now, dice)
            return
        if is_probe:
            self._pauses += 1
            self._failed_probes += 1
            # if another probe is in flight, the next one waits for a pause since that, and no longer
            self._pause(self._probed_at if self._probes else now, dice)
        if self.state is HostState.DOWN:
            if is_probe:
                self.failed_at = now
        elif self._failures >= _FAILURES and now >= self.since + _DOWN_AFTER_S:
            self.state, self.failed_at = HostState.DOWN, now

    def on_answer(self, now: float) -> None:
        """A reply came that is no failure of the host."""
        self._answers += 1
        if self._answers >= _SOUND:
            self._tolerated = 0
        elif self.is_closed and self._failed_probes <= _FEW_PROBES:
            self._tolerated = max(self._tolerated, min(_MOST_FAILURES, _PATIENCE * self._failures))
        self._failures = 0
        self._watches.clear()
        self._probes.clear()
        flaps = self.state is HostState.SUSPECTED and self._returned_at > -math.inf
        if self.state is HostState.DOWN or flaps:
            self.state = HostState.RETURNING
            self._released = self._replies = 0
            self._returned_at = now
            self._slow_start.begin(now, 0)
            self._pauses = min(self._pauses, _FLAPPING)
        elif self.state is HostState.RETURNING:
            self._replies += 1
            if self._slow_start.is_over(self._replies) or now >= self._returned_at + _RETURNED_S:
                self.state = HostState.ANSWERING
        else:
            self.state = HostState.ANSWERING

    def _pause(self, begin: float, dice: float) -> None:
        longest_s = min(_MOST_S, max(_LONGEST_S, _SHARE * (begin - self.since)))
        pause_s = min(longest_s, _FIRST_S * _GROWTH ** min(self._pauses, _MOST_DOUBLINGS))
        self.probe_at = begin + pause_s * (1.0 - _JITTER * dice)

    # --- probes -------------------------------------------------------------------------------

    def may_probe(self, now: float, *, decides: bool = False) -> bool:
        """Whether a poll may go now. `decides`: it is the last before a deadline, or would end a watch."""
        if decides and (self.state is HostState.SUSPECTED or now >= self._probed_at + _FRESH_S):
            return not self.is_fresh(now)
        return now >= self.probe_at

    def is_fresh(self, now: float) -> bool:
        """Whether the host is down, and that was seen only just now."""
        return self.state is HostState.DOWN and now < self.failed_at + _FRESH_S

    def on_probe(self, watch: int, now: float) -> None:
        """A poll of this watch goes. If it has no reply, the next one goes after a pause all the same."""
        self._probes.add(watch)
        self._probed_at = now
        tried = self._pauses + len(self._probes) - 1
        pause_s = min(_LONGEST_S, _FIRST_S * _GROWTH ** min(tried, _MOST_DOUBLINGS))
        self.probe_at = max(self.probe_at, now + pause_s)

    def again_at(self, now: float, *, decides: bool) -> float:
        """When a watch that has to wait may be looked at again."""
        return min(self.probe_at, now + _LOOK_AGAIN_S) if decides else self.probe_at

    # --- after an outage ----------------------------------------------------------------------

    def may_release(self, now: float) -> bool:
        """Whether one more of the watches that waited may go."""
        if self.state is not HostState.RETURNING:
            return True
        in_flight = max(0, self._released - self._replies)
        return in_flight < self._slow_start.most_in_flight(now, self._replies)

    def on_release(self) -> None:
        """One of the watches that waited goes."""
        self._released += 1


class Hosts:
    """The hosts of one token.

    Attributes:
        troubled: The health of each host of which polls fail, by origin. Empty while all is well.
    """

    __slots__ = ("troubled",)

    def __init__(self) -> None:
        self.troubled: dict[str, HostHealth] = {}

    def needed(self, origin: str, now: float) -> HostHealth:
        """The health of this host, from now on."""
        host = self.troubled.get(origin)
        if host is None:
            old = now - _FORGET_S
            for other in list(self.troubled.values()):
                if not other.waiting and max(other.since, other.probe_at) < old:
                    del self.troubled[other.origin]
            host = self.troubled[origin] = HostHealth(origin)
        return host

    def outages(self, now: float) -> tuple[HostOutage, ...]:
        """The hosts that are down, in the order in which their polls began to fail. Any thread may ask."""
        hosts = list(self.troubled.values())  # in one step, because the event loop may change the mapping meanwhile
        return tuple(outage for host in hosts if (outage := host.outage(now)) is not None)


class WatchedHosts(Generic[J]):
    """The hosts of one watcher's watches. Single calls, such as the fetch of a result, may have others: they count not.

    Args:
        hosts: Those of the token.
        endpoint: Says which host a job has.
        on_change: Called with a host, and its state before, after each failed probe and each change of the state.

    Attributes:
        troubled: As `Hosts.troubled`: the same object.
    """

    __slots__ = ("_hosts", "_on_change", "_origins", "troubled")

    def __init__(
        self,
        hosts: Hosts,
        endpoint: Endpoint[J, Any],
        on_change: Callable[[HostHealth, HostState], object] | None = None,
    ) -> None:
        self._hosts = hosts
        self.troubled = hosts.troubled
        self._origins: Origins[J] = Origins(endpoint)
        self._on_change = on_change

    def of(self, machine: WatchState[J, Any]) -> HostHealth | None:
        """The health of this watch's host; None if it answers, or is not known."""
        origin = self._origin(machine)
        return None if origin is None else self.troubled.get(origin)

    def on_failure(self, machine: WatchState[J, Any], error: PollError, now: float, dice: float) -> None:
        """A poll of this watch failed in a way that may be the host's."""
        origin = self._origin(machine)
        if origin is not None:
            host = self._hosts.needed(origin, now)
            before, failed_at = host.state, host.failed_at
            host.on_failure(id(machine), error, now, dice)
            if self._on_change is not None and (host.state is not before or host.failed_at > failed_at):
                self._on_change(host, before)

    def on_answer(self, machine: WatchState[J, Any], now: float) -> None:
        """A reply to a poll of this watch came that is no failure of the host."""
        host = self.of(machine)
        if host is not None:
            before = host.state
            host.on_answer(now)
            if host.is_calm:
                del self.troubled[host.origin]
            if self._on_change is not None and host.state is not before:
                self._on_change(host, before)

    def _origin(self, machine: WatchState[J, Any]) -> str | None:
        call = machine.call
        if call is not None and not isinstance(call, StatusCall):
            return None
        try:
            return self._origins.of(machine.job)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException:  # noqa: BLE001  # foreign code, which may raise even a CancelledError; its poll reports it
            return None


def is_host_failure(error: PollError) -> bool:
    """Whether this error may be the host's, and not one of the job's."""
    if isinstance(error, ServerUnavailable):
        return 502 <= error.http_status <= 504
    return isinstance(error, (ConnectFailed, TlsFailed, PollTimeout))
