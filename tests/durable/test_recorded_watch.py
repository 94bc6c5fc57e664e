"""The watch that has a row: what it tells and when."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from kept_toy import MemoryLedger, keeping
from pollwise.core.rate_budget import RateBudget
from pollwise.durable import RecordedWatch
from pollwise.model.events import Progressed, Succeeded, Throttled
from toy import RUNNING, SUCCEEDED, ToyJob, events_of, running, settle

pytestmark = pytest.mark.looptime


async def test_events_are_as_without_a_ledger() -> None:
    """In between the first row and the outcome nothing is different."""
    async with keeping(MemoryLedger(), [running(1), running(1), running(2), SUCCEEDED]) as (watcher, _):
        kept = await events_of(watcher.watch(ToyJob()))
    async with keeping(None, [running(1), running(1), running(2), SUCCEEDED]) as (watcher, _):
        plain = await events_of(watcher.watch(ToyJob()))
    assert [type(event) for event in kept] == [type(event) for event in plain] == [Progressed, Progressed, Succeeded]


async def test_it_has_its_rows_number() -> None:
    """None before there is a row."""
    async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        assert isinstance(watch, RecordedWatch)
        assert watch.number == 0
        await watcher.record(ToyJob())
        assert watch.number == 1


async def test_being_held_back_is_told_too() -> None:
    """The budget's event passes as the others do."""
    async with keeping(MemoryLedger(), [RUNNING], budget=RateBudget(1, per_s=100)) as (watcher, _):
        watcher.watch(ToyJob("a"))
        async for event in watcher.watch(ToyJob("b")):
            assert isinstance(event, Throttled)
            break


async def test_what_is_over_is_freed() -> None:
    """Nothing that writes it down holds on to it."""
    async with keeping(MemoryLedger(), [SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await watch
        await asyncio.sleep(5)
        await settle()
        there = weakref.ref(watch.outcome)
        del watch
        gc.collect()
        assert there() is None
