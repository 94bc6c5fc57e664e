"""A wall clock that gives no time, or a time that no datetime can hold: typed errors, and no watch without an outcome."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pytest

from kept_toy import NOON_S, MemoryLedger, keeping, toys
from pollwise.core.callbacks import EARLIEST_S, LATEST_S
from pollwise.errors import CallbackFailed
from pollwise.model.events import Abandoned, Succeeded
from pollwise.testing import Hang
from toy import RUNNING, SUCCEEDED, ToyJob, watching

pytestmark = pytest.mark.looptime

WRONG = [None, "5", Decimal(5), 1j, 10**400, math.nan, math.inf, -math.inf, 1e300, 1e12, -1e11, -1e18]
EXTREME = [EARLIEST_S, -1e10, -5.0, 0.0, 1e11, LATEST_S]


def turning(*given: Any) -> Callable[[], Any]:
    """A clock that gives these values, and the last one again and again."""
    left = list(given)
    return lambda: left.pop(0) if len(left) > 1 else left[0]


def raising() -> float:
    raise OSError("no clock")


@pytest.mark.parametrize("clock", [*map(turning, WRONG), raising])
async def test_a_row_needs_a_time(clock: Any) -> None:
    """Nothing is recorded or sent, and the watcher goes on."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED], clock=clock) as (watcher, transport):
        with pytest.raises(CallbackFailed, match="clock"):
            watcher.watch(ToyJob())
        with pytest.raises(CallbackFailed, match="clock"):
            await watcher.record(ToyJob())
        with pytest.raises(CallbackFailed, match="clock"):
            await watcher.record_all(toys(3))
        assert watcher.open_count == 0
    assert (ledger.rows, transport.requests) == ({}, [])


@pytest.mark.parametrize("clock", [*map(turning, WRONG), raising])
async def test_a_resume_token_needs_a_time(clock: Any) -> None:
    """To be written, and to be read."""
    async with keeping(None, [RUNNING]) as (watcher, _):
        token = watcher.watch(ToyJob()).resume_token
    async with keeping(None, [RUNNING], clock=clock) as (watcher, _):
        with pytest.raises(CallbackFailed, match="clock"):
            watcher.watch_from_token(token)
        with pytest.raises(CallbackFailed, match="clock"):
            _ = watcher.watch(ToyJob()).resume_token


@pytest.mark.parametrize("clock", [*map(turning, WRONG), raising])
async def test_a_resume_needs_a_time(clock: Any) -> None:
    """The rows stay open for another run."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await watcher.record_all(toys(3))
    async with keeping(ledger, [SUCCEEDED], clock=clock) as (watcher, _):
        with pytest.raises(CallbackFailed, match="clock"):
            await watcher.resume()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        assert [(await watch).state for watch in await watcher.resume()] == ["succeeded"] * 3


@pytest.mark.parametrize("wrong", WRONG, ids=repr)
async def test_a_clock_that_turns_wrong_leaves_no_watch_without_an_outcome(wrong: Any) -> None:
    """The job is known to the ledger, and the clock is read again while a task of the ledger's works."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await watcher.record(ToyJob())
    async with keeping(ledger, [SUCCEEDED], clock=turning(NOON_S, wrong)) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        async with asyncio.timeout(60):
            with pytest.raises(CallbackFailed) as caught:
                await watch
        assert (caught.value.name, caught.value.job, transport.requests) == ("clock", ToyJob(), [])
        assert watcher.open_count == 0
        assert isinstance(watch.outcome, Abandoned)


@pytest.mark.parametrize("at", EXTREME)
@pytest.mark.parametrize("timeout_s", [None, 60.0, 1e9, 1e12, 1e300])
async def test_any_time_of_a_datetime_can_be_kept(at: float, timeout_s: float | None) -> None:
    """However far the deadline is: the watch is recorded, resumed, and written as a token."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()], clock=lambda: at, timeout_s=timeout_s) as (watcher, _):
        watch = await watcher.record(ToyJob())
        token = watch.resume_token
    for later in EXTREME:
        async with keeping(ledger, [Hang()], clock=lambda later=later: later, timeout_s=timeout_s) as (watcher, _):
            (watch,) = await watcher.resume()
            assert watch.resume_token
        async with keeping(None, [SUCCEEDED], clock=lambda later=later: later, timeout_s=timeout_s) as (watcher, _):
            found = [event async for event in watcher.watch_from_token(token)]
            assert isinstance(found[-1], Succeeded)


@pytest.mark.parametrize("jump_s", [-1e13, -1e9, 1e9, 1e13])
async def test_a_clock_that_jumps_between_two_readings_is_no_error(jump_s: float) -> None:
    """A watch of a token is recorded: its beginning is counted back from the second reading."""
    async with keeping(None, [RUNNING]) as (watcher, _):
        token = watcher.watch(ToyJob()).resume_token
    second = min(max(NOON_S + jump_s, EARLIEST_S), LATEST_S)
    async with keeping(MemoryLedger(), [SUCCEEDED], clock=turning(LATEST_S, second)) as (watcher, _):
        found = [event async for event in watcher.watch_from_token(token)]
        assert isinstance(found[-1], Succeeded)


@pytest.mark.parametrize("timeout_s", [1e12, 1e300])
async def test_a_deadline_beyond_all_calendars_is_no_error(timeout_s: float) -> None:
    """Nothing that adds it to a time overflows."""
    async with watching([RUNNING, 503, SUCCEEDED], timeout_s=timeout_s, request_timeout_s=timeout_s) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
