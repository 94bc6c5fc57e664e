"""Which watch is asked next.

Rule 1: nothing is handed out before its time.
Rule 2: due times are gathered into slots, always rounded up, so that one wake-up serves many watches and a waiting
watch costs one place in a list. A due time of which `exact` is said is not rounded.
Rule 3: without pressure, first due is first asked. What is held back is ranked: the highest level goes first, and
within a level whoever would rise soonest. Nothing is scanned: O(log n) a decision. Newcomers differ by nothing but how
long they have waited, so they stand in line, and the first of the line alone is ranked.
Rule 4: what is due and past its deadline is given out as expired, without being asked. Whoever is handed out soon after
it is due costs next to nothing for that: of those only the soonest deadline is known, until it has come.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Hashable
from itertools import count, islice
from typing import Generic, TypeVar

from pollwise.core.timer_queue import TimerQueue

__all__ = ["ReadyQueue"]

T = TypeVar("T", bound=Hashable)

_SLOT_S = 1 / 16  # powers of two: slots of different sizes share their edges, and the arithmetic is exact
_FINEST_S = 1 / 4096
_COARSE_FROM_S = 32 * _SLOT_S  # a shorter wait is rounded up by at most a thirty-second part of itself
_EXPIRY_S = 1 / 32
_MOST_AT_ONCE = 100  # less than a millisecond of work, and each of many pollers may do it in one step of the loop
_MOST_RISES = 16


class ReadyQueue(Generic[T]):
    """The watches of one watcher, in the order in which they are to be asked.

    Args:
        rank: For a watch that is held back, and the time: its level (higher is asked sooner) and the time at which
            it may rise to a higher one.
        deadline: When a watch expires, infinite for never.
        is_new: Whether nobody has asked about a watch yet: of those, whoever has waited longest goes first.

    Attributes:
        held: How many watches are due and not handed out.
        ranked: How many of those have been ranked.
        size: How many watches wait or are due.
    """

    __slots__ = (
        "_deadline",
        "_due",
        "_edges",
        "_expired",
        "_expiring",
        "_head",
        "_is_new",
        "_levels",
        "_newcomers",
        "_overflow",
        "_rank",
        "_soonest",
        "_turn",
        "_unannounced",
        "_waiting",
        "held",
        "ranked",
        "size",
    )

    def __init__(
        self,
        rank: Callable[[T, float], tuple[int, float]],
        deadline: Callable[[T], float],
        is_new: Callable[[T], bool] = lambda _item: False,
    ) -> None:
        self._rank = rank
        self._deadline = deadline
        self._is_new = is_new
        self._waiting: TimerQueue[T] = TimerQueue()
        self._due: deque[T] = deque()  # just fallen due
        self._soonest = math.inf  # no deadline of theirs is before
        self._overflow: deque[T] = deque()  # due and left over, with their deadlines noted, and not ranked
        self._newcomers: deque[T] = deque()  # newcomers that are held back, but for the first
        self._head: T | None = None  # of the line; this one is ranked
        self._expired: set[T] = set()  # expired, and still somewhere among those who are due
        self._levels: dict[int, list[tuple[float, int, T]]] = {}
        self._expiring: dict[float, set[T]] = {}
        self._edges: list[float] = []
        self._unannounced: dict[T, None] = {}  # held back, and not yet given out by `newly_held`
        self._turn = count()
        self.held = 0
        self.ranked = 0
        self.size = 0

    @property
    def next_at(self) -> float:
        """When something falls due next; infinite when nothing waits. What is due already is not counted."""
        return self._waiting.next_at

    def put(self, item: T, at: float, now: float, *, exact: bool = False) -> float:
        """Ask this one at `at` or, rounded up, a little later. Returns the time at which it falls due."""
        self.size += 1
        if at <= now:
            self._ripe([item])
            return now
        if not exact:
            wait = at - now
            step = _SLOT_S
            if wait < _COARSE_FROM_S:
                step = math.ldexp(1.0, math.frexp(wait)[1] - 6)
                if step < _FINEST_S:
                    step = _FINEST_S
            at = math.ceil(at / step) * step
        return self._waiting.put(item, at)

    def ripen(self, now: float) -> None:
        """Let everything that is due by now be handed out."""
        while self._waiting.next_at <= now:
            self._ripe(self._waiting.due(now))

    def pop(self, now: float) -> T | None:
        """Hand out the one to be asked now, or None when nothing is due."""
        if self.ranked:
            self.hold(now)
            self._raise(now)
        while True:
            if self.ranked:
                item = self._pop_level(max(self._levels))
                if item is self._head:
                    self._advance(now)
                self._unannounced.pop(item, None)
                self._forget_deadline(item)
            elif self._overflow:
                item = self._overflow.popleft()
                self._forget_deadline(item)
            elif self._due:
                item = self._due.popleft()
            else:
                return None
            if self._expired and self._is_expired(item):
                continue
            self.held -= 1
            self.size -= 1
            return item

    def _ripe(self, due: list[T]) -> None:
        self._due.extend(due)
        soonest = min(map(self._deadline, due))
        self._soonest = min(self._soonest, soonest)
        self.held += len(due)

    def _is_expired(self, item: T) -> bool:
        """Whether it has expired since; to be asked once, where it is met."""
        if item in self._expired:
            self._expired.remove(item)
            return True
        return False

    def _pop_level(self, level: int) -> T:
        heap = self._levels[level]
        item = heapq.heappop(heap)[2]
        if not heap:
            del self._levels[level]
        self.ranked -= 1
        return item

    def hold(self, now: float) -> bool:
        """Rank what is due but may not be asked now, a bounded number at a time. Returns whether that was all."""
        self._note_deadlines()
        for _ in range(min(len(self._overflow), _MOST_AT_ONCE)):
            item = self._overflow.popleft()
            if not self._is_expired(item):
                if self._is_new(item):
                    self._newcomers.append(item)
                else:
                    self._push(item, now)
                self._unannounced[item] = None
        if self._head is None:
            self._advance(now)
        return not self._overflow and not self._due

    def newly_held(self) -> list[T]:
        """Those held back of whom this was not said before, a bounded number at a time."""
        new = list(islice(self._unannounced, _MOST_AT_ONCE))
        for item in new:
            del self._unannounced[item]
        return new

    @property
    def unannounced(self) -> bool:
        """Whether `newly_held` has left something for the next time."""
        return bool(self._unannounced)

    @property
    def next_expiry(self) -> float:
        """When to look for those that have expired, at the latest; infinite when none of those that are due can."""
        return min(self._soonest, self._edges[0]) if self._edges else self._soonest

    def expired(self, now: float) -> list[T]:
        """Those that are due and past their deadline. They are not handed out any more."""
        gone: list[T] = []
        if self._soonest <= now:
            self._note_deadlines()
        while self._edges and self._edges[0] <= now:
            for item in self._expiring.pop(heapq.heappop(self._edges)):
                self._unannounced.pop(item, None)
                self._expired.add(item)
                self.held -= 1
                self.size -= 1
                gone.append(item)
        return gone

    def _push(self, item: T, now: float) -> None:
        level, rises_at = self._rank(item, now)
        self.ranked += 1
        heapq.heappush(self._levels.setdefault(level, []), (rises_at, next(self._turn), item))

    def _advance(self, now: float) -> None:
        """Rank whoever is first in line now."""
        self._head = None
        while self._newcomers and self._head is None:
            item = self._newcomers.popleft()
            if not self._is_expired(item):
                self._head = item
                self._push(item, now)

    def _raise(self, now: float) -> None:
        # a bounded number at a time: who is not ranked anew now is so at one of the next decisions
        left = _MOST_RISES
        for level in sorted(self._levels, reverse=True):
            while left and (heap := self._levels.get(level)) and heap[0][0] <= now:
                left -= 1
                item = self._pop_level(level)
                if not self._is_expired(item):
                    self._push(item, now)
                elif item is self._head:
                    self._advance(now)

    def _note_deadlines(self) -> None:
        """Note when those that are left over expire, a bounded number at a time."""
        for _ in range(min(len(self._due), _MOST_AT_ONCE)):
            item = self._due.popleft()
            self._overflow.append(item)
            deadline = self._deadline(item)
            if deadline < math.inf:
                edge = _edge(deadline)
                # an emptied set stays until its time has come: edges are never in the heap twice
                waiting = self._expiring.get(edge)
                if waiting is None:
                    waiting = self._expiring[edge] = set()
                    heapq.heappush(self._edges, edge)
                waiting.add(item)
        if not self._due:
            self._soonest = math.inf

    def _forget_deadline(self, item: T) -> None:
        deadline = self._deadline(item)
        if deadline < math.inf:
            waiting = self._expiring.get(_edge(deadline))
            if waiting is not None:
                waiting.discard(item)


def _edge(deadline: float) -> float:
    return math.ceil(deadline / _EXPIRY_S) * _EXPIRY_S
