"""Times, with the things that fall due then."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.timer_queue import TimerQueue


@given(st.lists(st.sampled_from([1.0, 2.0, 2.5, 7.0]), max_size=30), st.floats(0, 10))
def test_each_thing_falls_due_once_and_not_before_its_time(times: list[float], now: float) -> None:
    """The earliest slot comes first, and all of a slot at once."""
    queue: TimerQueue[int] = TimerQueue()
    for n, at in enumerate(times):
        assert queue.put(n, at) == at
    found = []
    while due := queue.due(now):
        assert len({times[n] for n in due}) == 1
        found += due
    assert sorted(found) == [n for n, at in enumerate(times) if at <= now]
    assert [times[n] for n in found] == sorted(times[n] for n in found)
    assert queue.next_at == min((at for at in times if at > now), default=math.inf)
