"""A watch with a row: which outcome it publishes, and when."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from kept_toy import MemoryLedger, keeping
from pollwise.core.rate_budget import RateBudget
from pollwise.core.record_states import RecordState
from pollwise.durable.recorded_watch import RecordedWatch, row_id_of, state_of
from pollwise.errors import LedgerWriteFailed
from pollwise.ledger import LedgerClosed
from pollwise.model.events import Progressed, Succeeded, Throttled
from pollwise.runtime.watch import Watch
from toy import RUNNING, SUCCEEDED, ToyJob, events_of, running, settle

pytestmark = pytest.mark.looptime


async def test_events_are_as_without_a_ledger() -> None:
    """In between the first row and the outcome nothing is different."""
    async with keeping(MemoryLedger(), [running(1), running(1), running(2), SUCCEEDED]) as (watcher, _):
        kept = await events_of(watcher.watch(ToyJob()))
    async with keeping(None, [running(1), running(1), running(2), SUCCEEDED]) as (watcher, _):
        plain = await events_of(watcher.watch(ToyJob()))
    assert [type(event) for event in kept] == [type(event) for event in plain] == [Progressed, Progressed, Succeeded]


async def test_it_has_the_id_of_its_row() -> None:
    """None before there is a row."""
    async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        assert isinstance(watch, RecordedWatch)
        assert state_of(watch) is RecordState.PENDING
        await watcher.record(ToyJob())
        assert (state_of(watch), row_id_of(watch)) == (RecordState.OPEN, 1)


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


async def test_there_is_one_outcome() -> None:
    """The machine has it as soon as it is known. The watch publishes it when it is on disk."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watch = await watcher.record(ToyJob())
        assert isinstance(watch, RecordedWatch)
        ledger.latency_s = 2.0
        await asyncio.sleep(1)
        known = watch.machine.outcome
        assert isinstance(known, Succeeded)
        assert (state_of(watch), watch.outcome) == (RecordState.CONCLUDING, None)
        await watch
        assert (state_of(watch), watch.outcome) == (RecordState.CONCLUDED, known)
        assert watch.machine.outcome is known


async def test_what_could_not_be_written_is_the_one_outcome_too() -> None:
    """No other object keeps the outcome that was not published."""
    ledger = MemoryLedger()
    ledger.broken["conclude"] = LedgerClosed("jobs.ledger", "it was closed")
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watch = await watcher.record(ToyJob())
        assert isinstance(watch, RecordedWatch)
        with pytest.raises(LedgerWriteFailed):
            await watch
        assert watch.machine.outcome is watch.outcome
        assert state_of(watch) is RecordState.RELEASED


async def test_a_recorded_watch_shows_no_internals() -> None:
    """A caller's completion finds what a watch without a ledger has."""
    async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
        assert {name for name in dir(watcher.watch(ToyJob())) if not name.startswith("_")} == {
            name for name in dir(Watch) if not name.startswith("_")
        }
