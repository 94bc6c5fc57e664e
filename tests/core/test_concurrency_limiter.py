"""How many polls are in flight: as many as help."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.concurrency_limiter import LOOK_S, ConcurrencyLimiter

FEW = 16


def looked(limiter: ConcurrencyLimiter, busy: float, *, times: int = 1, waiting: bool = True) -> int:
    """The limit after this number of looks, between which the processor was busy for this share of the time."""
    now, cpu_s = max(0.0, limiter.look_at), 100.0
    limiter.look(now, cpu_s, waiting=waiting)
    for _ in range(times):
        now += LOOK_S
        cpu_s += busy * LOOK_S
        limiter.look(now, cpu_s, waiting=waiting)
    return limiter.limit


@given(most=st.integers(1, 1_000), busy=st.lists(st.tuples(st.floats(0, 1.1), st.booleans()), max_size=60))
def test_the_limit_stays_between_a_few_and_what_the_caller_allows(most: int, busy: list[tuple[float, bool]]) -> None:
    """Whatever the processor does."""
    limiter, now, cpu_s = ConcurrencyLimiter(most), 0.0, 0.0
    for share, waiting in busy:
        now, cpu_s = now + LOOK_S, cpu_s + share * LOOK_S
        limiter.look(now, cpu_s, waiting=waiting)
        assert min(FEW, most) <= limiter.limit <= most
        assert limiter.look_at == now + LOOK_S


@pytest.mark.parametrize("most", [1, 16, 17, 64, 256])
def test_a_busy_processor_has_a_few_in_flight_soon(most: int) -> None:
    """In a fifth of a second from 256."""
    assert looked(ConcurrencyLimiter(most), 1.0, times=20) == min(FEW, most)


def test_the_limit_stays_where_there_is_time_to_spare() -> None:
    """A slow server, and a processor that waits for it: as many as the caller allows, a few looks later."""
    limiter = ConcurrencyLimiter(256)
    looked(limiter, 1.0, times=20)
    assert looked(limiter, 0.6, times=8) == 256


def test_one_look_into_a_gap_changes_nothing() -> None:
    """Watches that are due together leave gaps between them."""
    limiter = ConcurrencyLimiter(64)
    assert looked(limiter, 1.0, times=20) == FEW
    limiter.look(limiter.look_at, 100.0 + 20.5 * LOOK_S, waiting=True)
    assert limiter.limit == FEW


def test_after_a_pause_the_limit_is_the_callers_again() -> None:
    """The limit is forgotten when nothing happens."""
    limiter = ConcurrencyLimiter(256)
    looked(limiter, 1.0, times=20)
    assert looked(limiter, 0.05, waiting=False) == 256


def test_without_waiting_watches_the_limit_stays() -> None:
    """A busy program alone lowers no limit."""
    assert looked(ConcurrencyLimiter(64), 1.0, times=50, waiting=False) == 64


def test_a_clock_that_stands_still_is_no_busy_one() -> None:
    """As in a test with virtual time."""
    limiter = ConcurrencyLimiter(64)
    for cpu_s in range(10):
        limiter.look(5.0, float(cpu_s), waiting=True)
    assert limiter.limit == 64


def test_a_step_down_is_a_quarter_and_a_step_up_doubles() -> None:
    """From 64 to 48 for a busy processor; from 20 to 40 when it had time to spare at two looks in a row."""
    assert looked(ConcurrencyLimiter(64), 1.0) == 48
    limiter = ConcurrencyLimiter(64)
    limiter.look(0.0, 100.0, waiting=False)
    limiter.limit = 20
    limits = []
    for n in (1, 2, 3):
        limiter.look(n * LOOK_S, 100.0 + n * 0.6 * LOOK_S, waiting=True)
        limits.append(limiter.limit)
    assert limits == [20, 40, 64]
