"""Watches that wait for a host are taken at their time, or before it as a probe."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.host_health import HostHealth
from pollwise.core.host_queue import HostQueue


def queue() -> HostQueue[str]:
    return HostQueue(HostHealth("https://a.example"))


def test_a_watch_is_taken_when_its_time_has_come() -> None:
    """Not before, unless it is wanted as a probe."""
    waiting = queue()
    waiting.put("a", 10.0, 0.0, latest=math.inf)
    assert waiting.next_at == 10.0
    assert waiting.take(9.9) is None
    assert waiting.take(10.0) == "a"
    waiting.put("b", 10.0, 0.0, latest=math.inf)
    assert waiting.take(math.inf) == "b"
    assert waiting.take(math.inf) is None


def test_a_time_is_not_rounded_beyond_the_latest() -> None:
    """A deadline is kept to the instant."""
    waiting = queue()
    waiting.put("a", 9.99, 0.0, latest=9.991)
    assert waiting.next_at == 9.99


def test_the_host_knows_how_many_wait() -> None:
    """Those that were taken or forgotten do not count."""
    waiting = queue()
    for n in range(5):
        waiting.put(str(n), float(n), 0.0, latest=math.inf)
    waiting.take(0.0)
    assert waiting.host.waiting == waiting.size == 4
    waiting.clear()
    assert (waiting.host.waiting, waiting.size, waiting.next_at) == (0, 0, math.inf)


@given(st.lists(st.tuples(st.floats(0.0, 100.0), st.floats(0.0, 100.0), st.booleans()), max_size=60))
def test_no_watch_is_lost_or_early(steps: list[tuple[float, float, bool]]) -> None:
    """Each is taken once, and at its time unless it was a probe."""
    waiting: HostQueue[tuple[int, float]] = HostQueue(HostHealth("https://a.example"))
    now, left = 0.0, set()
    for n, (at, after_s, as_probe) in enumerate(steps):
        now += after_s
        item = (n, now + at)
        waiting.put(item, now + at, now, latest=math.inf)
        left.add(item)
        taken = waiting.take(math.inf if as_probe else now)
        if taken is not None:
            assert as_probe or taken[1] <= now
            left.remove(taken)
    while (taken := waiting.take(now + 1e6)) is not None:
        left.remove(taken)
    assert not left
    assert waiting.size == waiting.host.waiting == 0
