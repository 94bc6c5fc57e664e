"""Which watch is asked next: never early, in order, highest level first under pressure, none past a deadline."""

from __future__ import annotations

import math

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pollwise.core.ready_queue import ReadyQueue, TimerQueue

times = st.floats(0, 1e5)


def plain(deadlines: dict[int, float] | None = None) -> ReadyQueue[int]:
    return ReadyQueue(lambda _item, _now: (0, math.inf), lambda item: (deadlines or {}).get(item, math.inf))


@given(st.lists(times, max_size=60), times)
def test_nothing_is_handed_out_before_its_time(dues: list[float], now: float) -> None:
    """What is taken is due; what is not taken is not due for long."""
    queue = plain()
    for item, due in enumerate(dues):
        queue.put(item, due, 0.0)
    queue.ripen(now)
    taken = set()
    while (item := queue.pop(now)) is not None:
        assert dues[item] <= now
        taken.add(item)
    assert all(now < due + 0.0626 for item, due in enumerate(dues) if item not in taken)


@given(st.lists(times, min_size=1, max_size=60))
def test_everything_is_handed_out_once(dues: list[float]) -> None:
    """Nothing is lost and nothing comes twice."""
    queue = plain()
    for item, due in enumerate(dues):
        queue.put(item, due, 0.0)
    queue.ripen(2e5)
    taken = [queue.pop(2e5) for _ in dues]
    assert sorted(taken) == list(range(len(dues)))  # type: ignore[type-var]  # none is None
    assert queue.pop(2e5) is None
    assert queue.next_at == math.inf


def test_due_times_share_slots() -> None:
    """A thousand due times within a second make at most twenty wake-ups."""
    queue = plain()
    for item in range(1000):
        queue.put(item, 10 + item / 1000, 0.0)
    wakes = 0
    while queue.next_at < math.inf:
        queue.ripen(queue.next_at)
        wakes += 1
    assert wakes <= 21


def test_an_exact_time_is_not_rounded() -> None:
    """A deadline falls due when it is."""
    assert plain().put(1, 10.0123, 0.0, exact=True) == 10.0123


@pytest.mark.parametrize("now", [0.0, 1_024.0, 65_536.5])
@pytest.mark.parametrize(
    ("wait_s", "slot_s"),
    [
        (0.001, 1 / 4096),
        (0.01, 1 / 4096),
        (0.02, 1 / 2048),
        (0.1, 1 / 512),
        (0.6, 1 / 64),
        (1.01, 1 / 32),
        (1.99, 1 / 32),
        (2.01, 1 / 16),
        (9.99, 1 / 16),
        (5_000.01, 1 / 16),
    ],
)
def test_a_wait_is_rounded_up_by_a_thirty_second_part_at_most(wait_s: float, slot_s: float, now: float) -> None:
    """The slot depends on the wait alone, not on the clock. It is 1/16 s at most, and 1/4096 s at least."""
    at = now + wait_s
    assert plain().put(1, at, now) == math.ceil(at / slot_s) * slot_s


def test_what_waits_can_be_taken_out() -> None:
    """By the time that `put` has returned; the others stay, and an empty slot is none to hand out."""
    queue = plain()
    at = queue.put(1, 10.0, 0.0)
    assert queue.put(2, 10.0, 0.0) == at
    assert queue.remove(1, at)
    assert not queue.remove(1, at)
    assert not queue.remove(2, at + 1.0)
    assert queue.size == 1
    alone = queue.put(3, 20.0, 0.0)
    assert queue.remove(3, alone)
    queue.ripen(30.0)
    assert queue.pop(30.0) == 2
    assert queue.pop(30.0) is None
    assert (queue.size, queue.held, queue.next_at) == (0, 0, math.inf)


def test_under_pressure_the_highest_level_goes_first() -> None:
    """Without permits, watches go by level, and within a level by the time at which they reach the next one."""
    ranks = {1: (0, math.inf), 2: (5, 99.0), 3: (5, 50.0), 4: (2, math.inf)}
    queue: ReadyQueue[int] = ReadyQueue(lambda item, _now: ranks[item], lambda _item: math.inf)
    for item in ranks:
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    assert queue.newly_held() == [1, 2, 3, 4]
    assert queue.newly_held() == []
    assert [queue.pop(0.0) for _ in range(5)] == [3, 2, 4, 1, None]


def test_what_waits_rises() -> None:
    """A watch is ranked again when its time to rise has come."""

    def rank(item: int, now: float) -> tuple[int, float]:
        return (3, math.inf) if item == 1 and now >= 10 else (0, 10.0) if item == 1 else (1, math.inf)

    queue: ReadyQueue[int] = ReadyQueue(rank, lambda _item: math.inf)
    for item in (1, 2, 3):
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    assert queue.pop(9.0) == 2
    assert queue.pop(10.0) == 1


def test_ranking_again_is_bounded_at_a_time() -> None:
    """A hundred thousand that rise at once do not block the program. Sixteen are ranked again at each decision."""
    asked: list[int] = []

    def rank(item: int, now: float) -> tuple[int, float]:
        asked.append(item)
        return 0, 10.0 if now < 10 else math.inf

    queue: ReadyQueue[int] = ReadyQueue(rank, lambda _item: math.inf)
    for item in range(100):
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    asked.clear()
    queue.pop(10.0)
    assert len(asked) == 16
    queue.pop(10.0)
    assert len(asked) == 32
    assert len(set(asked)) == 32


def test_newcomers_stand_in_line() -> None:
    """Of watches that differ only in how long they have waited, only the first is ranked, with all other watches."""
    asked: list[int] = []

    def rank(item: int, now: float) -> tuple[int, float]:
        asked.append(item)
        return {0: 1, 1: 3}.get(item, 2 if now < 5 else 4), 5.0 if now < 5 else math.inf

    queue: ReadyQueue[int] = ReadyQueue(rank, lambda _item: math.inf, lambda item: item >= 2)
    for item in range(100):
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    assert queue.newly_held() == list(range(100))
    assert asked == [0, 1, 2]
    assert [queue.pop(0.0), queue.pop(0.0), queue.pop(0.0)] == [1, 2, 3]
    assert queue.pop(6.0) == 4
    assert asked == [0, 1, 2, 3, 4, 4, 0, 5]  # the head of the newcomers rises like any other
    assert [queue.pop(6.0) for _ in range(97)] == [*range(5, 100), 0, None]


def test_the_line_moves_on_when_the_first_of_it_expires() -> None:
    """The next newcomer is ranked in its place, whether that is noticed while ranking anew or while handing out."""
    for rises_at in (5.0, math.inf):
        queue: ReadyQueue[int] = ReadyQueue(
            lambda _item, _now, at=rises_at: (0, at), lambda item: 4.0 + 10 * item, lambda _item: True
        )
        for item in range(3):
            queue.put(item, 0.0, 0.0)
        queue.hold(0.0)
        assert queue.expired(4.5) == [0]
        assert [queue.pop(6.0), queue.pop(6.0), queue.pop(6.0)] == [1, 2, None]


@given(st.lists(st.tuples(st.integers(0, 4), st.floats(0.1, 50)), max_size=30), st.floats(0, 60))
def test_what_is_held_past_a_deadline_expires(items: list[tuple[int, float]], now: float) -> None:
    """Once, without being handed out, and within a slot of the deadline."""
    deadlines = {n: deadline for n, (_, deadline) in enumerate(items)}
    queue: ReadyQueue[int] = ReadyQueue(
        lambda item, _now: (items[item][0], math.inf), deadlines.__getitem__, lambda item: items[item][0] == 2
    )
    for item in deadlines:
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    gone = queue.expired(now)
    assert all(deadlines[item] <= now for item in gone)
    assert all(deadlines[item] + 0.032 > now for item in deadlines if item not in gone)
    left = []
    while (item := queue.pop(now)) is not None:
        left.append(item)
    assert sorted(left + gone) == sorted(deadlines)
    assert queue.expired(1e9) == []


@given(st.lists(st.sampled_from(["put", "take", "look", "hold"]), max_size=60))
def test_what_is_left_over_expires_and_nothing_else(steps: list[str]) -> None:
    """However those that are due come and go: each is handed out or expires, in time and once."""
    queue: ReadyQueue[int] = ReadyQueue(
        lambda item, _now: (item % 3, math.inf), lambda item: 10.0 + item / 100, lambda item: item % 4 < 2
    )
    given_out: list[int] = []
    put = 0
    for step in steps:
        if step == "put":
            queue.put(put, 0.0, 0.0)
            put += 1
        elif step == "take" and (item := queue.pop(0.0)) is not None:
            given_out.append(item)
        elif step == "look":
            left = sorted(set(range(put)) - set(given_out))
            assert queue.expired(9.0) == []
            assert queue.next_expiry <= 10.0 + left[0] / 100 + 1 / 32 if left else True
        elif step == "hold":
            queue.hold(0.0)
    assert sorted(given_out + queue.expired(20.0)) == list(range(put))


def test_what_is_handed_out_at_once_leaves_no_deadline_behind() -> None:
    """It may be looked for once, at the soonest deadline; then nothing is left of it."""
    queue: ReadyQueue[int] = ReadyQueue(lambda _item, _now: (0, math.inf), lambda item: 10.0 * item)
    for item in (1, 2):
        queue.put(item, 5.0, 0.0)
    queue.ripen(6.0)
    assert [queue.pop(6.0), queue.pop(6.0)] == [1, 2]
    assert queue.expired(10.0) == []
    assert queue.next_expiry == math.inf


def test_noting_deadlines_is_bounded_at_a_time() -> None:
    """A hundred thousand that expire at once do not block the program. The rest is processed by the next call, which is due now."""
    queue: ReadyQueue[int] = ReadyQueue(lambda _item, _now: (0, math.inf), lambda _item: 10.0)
    for item in range(250):
        queue.put(item, 0.0, 0.0)
    assert queue.next_expiry == 10.0
    assert queue.expired(9.0) == []
    gone = queue.expired(10.0)
    assert len(gone) == 100
    while queue.next_expiry <= 10.0:
        more = queue.expired(10.0)
        assert len(more) <= 100
        gone += more
    assert sorted(gone) == list(range(250))


def test_holding_is_bounded_at_a_time() -> None:
    """A hundred thousand at once do not block the program: the rest is ranked next time."""
    queue = plain()
    for item in range(250):
        queue.put(item, 0.0, 0.0)
    queue.hold(0.0)
    assert len(queue.newly_held()) == 100
    assert not queue.unannounced
    assert not queue.hold(0.0)
    assert queue.hold(0.0)
    assert queue.held == 250


def test_the_watches_held_back_are_named_a_hundred_at_a_time() -> None:
    """Each of them is reported as throttled once. A hundred thousand reports at once would block the program."""
    queue = plain()
    for item in range(250):
        queue.put(item, 0.0, 0.0)
    while not queue.hold(0.0):
        pass
    named = [queue.newly_held() for _ in range(4)]
    assert [len(some) for some in named] == [100, 100, 50, 0]
    assert [item for some in named for item in some] == list(range(250))


@given(st.lists(st.sampled_from(["now", "later", "take", "expire", "hold", "ripen"]), max_size=60))
@example(["now"] * 9 + ["take", "take", "hold", "take", "later", "ripen", "ripen", "ripen", "expire", "take"])
def test_the_counts_are_of_the_watches_that_are_left(steps: list[str]) -> None:
    """`size` counts the watches that wait or are due, and `held` those that are due. A round is computed from them."""
    queue: ReadyQueue[int] = ReadyQueue(
        lambda item, _now: (item % 3, math.inf),
        lambda item: 10.0 + item if item % 2 else math.inf,
        lambda item: item % 4 < 2,
    )
    now, put = 0.0, 0
    waiting, due = set[int](), set[int]()
    for step in steps:
        if step == "now":
            queue.put(put, now, now)
            due.add(put)
            put += 1
        elif step == "later":
            queue.put(put, now + 5.0, now)
            waiting.add(put)
            put += 1
        elif step == "take" and (item := queue.pop(now)) is not None:
            due.remove(item)
        elif step == "expire":
            due -= set(queue.expired(now))
        elif step == "hold":
            queue.hold(now)
        elif step == "ripen":
            now += 6.0
            queue.ripen(now)
            due |= waiting
            waiting = set()
        assert (queue.size, queue.held) == (len(waiting) + len(due), len(due))


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, 7.0]), max_size=30), st.floats(0, 10))
def test_each_thing_falls_due_once_and_not_before_its_time(at_times: list[float], now: float) -> None:
    """The earliest slot comes first, and all of a slot at once."""
    queue: TimerQueue[int] = TimerQueue()
    for n, at in enumerate(at_times):
        assert queue.put(n, at) == at
    found = []
    while due := queue.due(now):
        assert len({at_times[n] for n in due}) == 1
        found += due
    assert sorted(found) == [n for n, at in enumerate(at_times) if at <= now]
    assert [at_times[n] for n in found] == sorted(at_times[n] for n in found)
    assert queue.next_at == min((at for at in at_times if at > now), default=math.inf)


@given(st.lists(st.tuples(times, st.floats(0, 100)), max_size=60), st.integers(0, 20), st.booleans())
def test_all_items_can_be_listed(dues: list[tuple[float, float]], popped: int, held: bool) -> None:
    """What waits, is due, is held back or is ranked; and nothing that was handed out or has expired."""
    queue = plain({item: due + left for item, (due, left) in enumerate(dues)})
    for item, (due, _) in enumerate(dues):
        queue.put(item, due, 0.0)
    left = set(range(len(dues)))
    queue.ripen(5e4)
    if held:
        queue.hold(5e4)
    left -= set(queue.expired(5e4))
    left -= {queue.pop(5e4) for _ in range(popped)}  # type: ignore[arg-type]  # None is no item
    assert sorted(queue.items()) == sorted(left)
    assert len(left) == queue.size
