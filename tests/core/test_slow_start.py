"""Slow start: few requests in flight, more with each reply and with time, until enough replies have come."""

from __future__ import annotations

from pollwise.core.slow_start import FIRST_IN_FLIGHT, SlowStart


def test_each_reply_lets_as_many_more_go() -> None:
    """The start counts replies since it began."""
    start = SlowStart()
    start.begin(0.0, 10)
    assert [start.most_in_flight(0.0, replies) for replies in (10, 11, 13)] == [4, 8, 16]
    assert FIRST_IN_FLIGHT == 4


def test_a_server_that_does_not_reply_does_not_stop_the_start() -> None:
    """The number doubles each quarter of a second, and time has no effect before the first request."""
    start = SlowStart()
    assert start.most_in_flight(99.0, 0) == 4
    start.begin(0.0, 0, width=6)
    assert [start.most_in_flight(now, 0) for now in (0.0, 0.3, 0.6)] == [6, 12, 24]


def test_a_start_has_its_own_time_and_its_own_replies() -> None:
    """Replies and seconds before it do not count, and the doubling ends at about a million."""
    start = SlowStart()
    assert [start.most_in_flight(0.0, replies) for replies in (0, 1)] == [4, 8]
    start.begin(100.0, 0)
    assert [start.most_in_flight(now, 0) for now in (100.0, 100.3)] == [4, 8]
    assert start.most_in_flight(100.0 + 5.2, 0) == start.most_in_flight(1e6, 0) == 4 << 20


def test_sixteen_replies_end_the_start() -> None:
    """They were without rate headers."""
    start = SlowStart()
    start.begin(0.0, 5)
    assert [start.is_over(replies) for replies in (5, 20, 21)] == [False, False, True]
