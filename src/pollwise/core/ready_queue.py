"""Which watch is asked next: the timer queue of watches that wait, and the ready queue of watches that are due.

Rule 1: nothing is handed out before its time.
Rule 2: due times share slots and are always rounded up, so that one wake-up serves many watches and a waiting watch costs
one place in a list. A due time with `exact` is not rounded.
Rule 3: without pressure, the first due is the first handed out. Watches that are held back are ranked: the highest level
goes first, and within a level the watch that would rise soonest. Nothing is scanned: O(log n) a decision. Newcomers
differ only in how long they have waited, so they form a queue, and only its head is ranked.
Rule 4: a watch that is due and past its deadline is handed out by `expired`, and is not asked. A watch that is handed out
soon after it is due costs almost nothing for that: only the soonest deadline is kept, until that time.
"""

from __future__ import annotations

import heapq
import math
from collections import deque
from collections.abc import Callable, Hashable, Iterator
from itertools import chain, count, islice
from typing import Generic, TypeVar

__all__ = ["ReadyQueue", "TimerQueue"]

T = TypeVar("T", bound=Hashable)

# Powers of two: slots of different sizes share their edges, and the arithmetic is exact.
_SLOT_S = 1 / 16
_FINEST_S = 1 / 4096
_COARSE_FROM_S = 32 * _SLOT_S  # a shorter wait is rounded up by at most a thirty-second part of itself
_EXPIRY_S = 1 / 32  # a watch in the ready queue expires at most this long after its deadline
_MOST_AT_ONCE = 100  # watches in one call, less than a millisecond of work: the event loop runs in between
_MOST_RISES = 16  # watches that are ranked again at one decision; the others follow at the next decisions


class TimerQueue(Generic[T]):
    """Items with due times: a heap of slots, each holding many items.

    Attributes:
        next_at: When the first slot falls due; infinite when there is none.
    """

    __slots__ = ("_at", "_slots", "next_at")

    def __init__(self) -> None:
        self._slots: dict[float, tuple[float, list[T]]] = {}
        self._at: list[float] = []
        self.next_at = math.inf

    def put(self, item: T, at: float) -> float:
        """Add one item, due at exactly this time. Returns the time as one object for the whole slot, to save memory."""
        slot = self._slots.get(at)
        if slot is None:
            self._slots[at] = (at, [item])
            heapq.heappush(self._at, at)
            self.next_at = self._at[0]
            return at
        slot[1].append(item)
        return slot[0]

    def remove(self, item: T, at: float) -> bool:
        """Take out an item that was put at exactly this time. False if it is not there. Its slot stays, maybe empty."""
        slot = self._slots.get(at)
        if slot is None or item not in slot[1]:
            return False
        slot[1].remove(item)
        return True

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable(items for _, items in self._slots.values())

    def due(self, now: float) -> list[T]:
        """Take out the first slot that is due by now; empty when there is none."""
        if self.next_at > now:
            return []
        _, due = self._slots.pop(heapq.heappop(self._at))
        self.next_at = self._at[0] if self._at else math.inf
        return due


class ReadyQueue(Generic[T]):
    """The watches of one watcher, in the order in which they are to be asked.

    Args:
        rank: For a watch that is held back, and the time: its level (a higher level is asked sooner) and the time at
            which the watch may rise to a higher level.
        deadline: When a watch expires, infinite for never.
        is_new: Whether a watch was never asked. Of new watches, the one that has waited longest goes first.

    Attributes:
        held: How many watches are due and not handed out.
        next_at: When the next watch falls due; infinite when none waits. Watches that are due already do not count.
        next_expiry: When to call `expired`, at the latest; infinite when no watch that is due can expire.
        ranked: How many of the watches that are due have been ranked.
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
        "_order",
        "_overflow",
        "_rank",
        "_soonest",
        "_unannounced",
        "_waiting",
        "held",
        "next_at",
        "next_expiry",
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
        self._due: deque[T] = deque()  # due, and their deadlines are not noted
        self._soonest = math.inf  # no deadline in `_due` is before this time
        self._overflow: deque[T] = deque()  # due, their deadlines are noted, and they are not ranked
        self._newcomers: deque[T] = deque()  # new watches that are held back, without the head
        self._head: T | None = None  # the first newcomer; it is ranked
        self._expired: set[T] = set()  # expired, and still in one of the queues of due watches
        self._levels: dict[int, list[tuple[float, int, T]]] = {}
        self._expiring: dict[float, set[T]] = {}
        self._edges: list[float] = []
        self._unannounced: dict[T, None] = {}  # held back, and not yet returned by `newly_held`
        self._order = count()
        self.held = 0
        self.next_at = self.next_expiry = math.inf
        self.ranked = 0
        self.size = 0

    # --- waiting ------------------------------------------------------------------------------

    def put(self, item: T, at: float, now: float, *, exact: bool = False) -> float:
        """Ask this watch at `at` or, rounded up, a little later. Returns the time at which it falls due."""
        self.size += 1
        if at <= now:
            self._add_due([item])
            return now
        if not exact:
            wait = at - now
            step = _SLOT_S
            if wait < _COARSE_FROM_S:
                step = math.ldexp(1.0, math.frexp(wait)[1] - 6)
                if step < _FINEST_S:
                    step = _FINEST_S
            at = math.ceil(at / step) * step
        at = self._waiting.put(item, at)
        if at < self.next_at:
            self.next_at = at
        return at

    def remove(self, item: T, at: float) -> bool:
        """Take out a watch that falls due at `at`, which `put` has returned. False if it is not waiting for that time."""
        found = self._waiting.remove(item, at)
        self.size -= found
        return found

    def ripen(self, now: float) -> None:
        """Let every watch that is due by now be handed out."""
        waiting = self._waiting
        while waiting.next_at <= now:
            self._add_due(waiting.due(now))
        self.next_at = waiting.next_at

    def _add_due(self, due: list[T]) -> None:
        if not due:  # all of them were removed
            return
        self._due.extend(due)
        soonest = min(map(self._deadline, due))
        if soonest < self._soonest:
            self._soonest = soonest
            if soonest < self.next_expiry:
                self.next_expiry = soonest
        self.held += len(due)

    def items(self) -> list[T]:
        """Every watch that waits or is due, in no order."""
        ranked = (item for heap in self._levels.values() for _, _, item in heap)
        due = (item for item in chain(self._due, self._overflow, self._newcomers, ranked) if item not in self._expired)
        return [*self._waiting, *due]

    # --- handing out --------------------------------------------------------------------------

    def pop(self, now: float) -> T | None:
        """Hand out the watch to be asked now, or None when none is due."""
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

    def _is_expired(self, item: T) -> bool:
        """Whether it has expired since. Ask once, where the item is taken out of its queue."""
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

    # --- holding back -------------------------------------------------------------------------

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
        """Watches that are held back and were not returned before, a bounded number at a time."""
        new = list(islice(self._unannounced, _MOST_AT_ONCE))
        for item in new:
            del self._unannounced[item]
        return new

    @property
    def unannounced(self) -> bool:
        """Whether `newly_held` has more to return."""
        return bool(self._unannounced)

    def _push(self, item: T, now: float) -> None:
        level, rises_at = self._rank(item, now)
        self.ranked += 1
        heapq.heappush(self._levels.setdefault(level, []), (rises_at, next(self._order), item))

    def _advance(self, now: float) -> None:
        """Rank the first newcomer."""
        self._head = None
        while self._newcomers and self._head is None:
            item = self._newcomers.popleft()
            if not self._is_expired(item):
                self._head = item
                self._push(item, now)

    def _raise(self, now: float) -> None:
        """Rank again the watches whose time to rise has come, a bounded number at a time."""
        left = _MOST_RISES
        for level in sorted(self._levels, reverse=True):
            while left and (heap := self._levels.get(level)) and heap[0][0] <= now:
                left -= 1
                item = self._pop_level(level)
                if not self._is_expired(item):
                    self._push(item, now)
                elif item is self._head:
                    self._advance(now)

    # --- deadlines ----------------------------------------------------------------------------

    def expired(self, now: float) -> list[T]:
        """Take out watches that are due and past their deadline, a bounded number of deadlines at a time."""
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
        self._set_next_expiry()
        return gone

    def _note_deadlines(self) -> None:
        """Note when the due watches expire, a bounded number at a time."""
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
        self._set_next_expiry()

    def _set_next_expiry(self) -> None:
        edge = self._edges[0] if self._edges else math.inf
        self.next_expiry = edge if edge < self._soonest else self._soonest

    def _forget_deadline(self, item: T) -> None:
        deadline = self._deadline(item)
        if deadline < math.inf:
            waiting = self._expiring.get(_edge(deadline))
            if waiting is not None:
                waiting.discard(item)


def _edge(deadline: float) -> float:
    return math.ceil(deadline / _EXPIRY_S) * _EXPIRY_S
