"""A watcher whose budget is closed, because the process may not use the token any more."""

from __future__ import annotations

import asyncio

import pytest

from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.errors import DeadlineExceeded
from pollwise.model.events import Throttled
from pollwise.runtime.watch import Watch
from toy import RUNNING, SUCCEEDED, ToyJob, ToyStatus, running, watching

pytestmark = pytest.mark.looptime


async def collect(watch: Watch[ToyJob, ToyStatus], into: list[object]) -> None:
    async for event in watch:
        into.append(event)


@pytest.mark.parametrize("limit", [None, 1_000])
async def test_nothing_is_sent_while_the_budget_is_closed(limit: int | None) -> None:
    """The watch waits, and goes on at once when the time is moved. It has not failed, and has no event of it."""
    loop, budget = asyncio.get_running_loop(), RateBudget(limit, per_s=None if limit is None else 60.0)
    async with watching([RUNNING], budget=budget) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        seen: list[object] = []
        reading = asyncio.create_task(collect(watch, seen))
        budget.close_at(loop.time() + 10.5)
        await asyncio.sleep(500)
        assert len(transport.requests) == 11  # at 0 s, 1 s and so on to 10 s
        assert watch.outcome is None
        assert not any(isinstance(event, Throttled) for event in seen)
        moved_at = loop.time()
        budget.close_at(None)
        await asyncio.sleep(0.25)
        assert len(transport.requests) == 12
        assert loop.time() == moved_at + 0.25
        await asyncio.sleep(10)
        assert len(transport.requests) >= 21
        reading.cancel()


async def test_a_lease_that_is_renewed_in_time_is_not_noticed() -> None:
    """The polls are those of an open budget."""
    loop, budget = asyncio.get_running_loop(), RateBudget(1_000, per_s=60.0)
    async with watching([RUNNING], budget=budget) as (watcher, transport):
        watcher.watch(ToyJob())
        for _ in range(20):
            budget.close_at(loop.time() + 2.7)
            await asyncio.sleep(1.5)
        assert len(transport.requests) == 30


async def test_a_deadline_counts_while_the_budget_is_closed() -> None:
    """The watch ends at it, and its job is not polled before."""
    loop, budget = asyncio.get_running_loop(), RateBudget(1_000, per_s=60.0)
    async with watching([RUNNING], budget=budget, timeout_s=60.0) as (watcher, transport):
        began = loop.time()
        watch = watcher.watch(ToyJob())
        budget.close_at(began + 5.5)
        with pytest.raises(DeadlineExceeded):
            await watch
        assert loop.time() - began == pytest.approx(60.0, abs=0.1)
        assert len(transport.requests) == 6


async def test_a_closed_budget_costs_no_processor_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """The watcher sleeps until a deadline or until the time is moved, however long that takes."""
    loop, budget = asyncio.get_running_loop(), RateBudget(1_000, per_s=60.0)
    async with watching([running(1)], budget=budget, timeout_s=None) as (watcher, transport):
        for n in range(20):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(5)
        budget.close_at(loop.time())
        await asyncio.sleep(5)
        looks = []
        available_at = type(engine_of(budget)).available_at

        def counted(self: object, now: float, *, waiting: int = 1) -> float:
            looks.append(now)
            return available_at(self, now, waiting=waiting)  # type: ignore[arg-type]  # the budget

        monkeypatch.setattr(type(engine_of(budget)), "available_at", counted)
        sent = len(transport.requests)
        await asyncio.sleep(86_400)
        assert len(looks) <= 2
        assert len(transport.requests) == sent


async def test_a_watch_that_begins_while_the_budget_is_closed() -> None:
    """Its first poll goes when the budget opens."""
    loop, budget = asyncio.get_running_loop(), RateBudget()
    async with watching([SUCCEEDED], budget=budget) as (watcher, transport):
        budget.close_at(loop.time())
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(100)
        assert transport.requests == []
        budget.close_at(None)
        await watch
        assert len(transport.requests) == 1


async def test_two_watchers_of_one_budget_both_go_on() -> None:
    """Each is notified that the time was moved. A watcher that was left is not."""
    loop, budget = asyncio.get_running_loop(), RateBudget(1_000, per_s=60.0)
    async with watching([RUNNING], budget=budget) as (one, first):
        async with watching([RUNNING], budget=budget) as (other, second):
            one.watch(ToyJob())
            other.watch(ToyJob())
            budget.close_at(loop.time())
            await asyncio.sleep(50)
            budget.close_at(None)
            await asyncio.sleep(0.5)
            assert len(first.requests) == len(second.requests) == 1
            assert len(engine_of(budget).on_moved) == 2
        assert len(engine_of(budget).on_moved) == 1
    assert len(engine_of(budget).on_moved) == 0
