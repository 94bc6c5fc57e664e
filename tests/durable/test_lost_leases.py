"""A watcher whose ledger says that another process owns its shard now."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from kept_toy import MemoryLedger, keeping, toys
from pollwise.errors import WatcherClosed
from pollwise.ledger import LeaseLost, LedgerUnreachable, Shard
from pollwise.model.events import Abandoned
from pollwise.testing import Hang
from pollwise.watcher import JobWatcher, parts_of
from submitting import STARTED, Starting, Vendor
from toy import RUNNING, SUCCEEDED, ToyJob, ToyStatus, by_job, running

pytestmark = pytest.mark.looptime

LOST = LeaseLost("postgresql://db:5432/jobs", Shard("toy"), "its epoch is 7, not 6")

Watcher = JobWatcher[ToyJob, ToyStatus]


def lose(ledger: MemoryLedger, *names: str) -> None:
    """Each of these calls, or each call that writes, finds that the lease is lost."""
    for name in names or ("record", "update", "conclude", "reopen", "relocate", "acknowledge", "intend_submits"):
        ledger.broken[name] = LOST


async def left(watcher: Any, *watches: Any) -> list[BaseException | None]:
    """What each awaiting caller gets."""
    found = await asyncio.gather(*watches, return_exceptions=True)
    return [None if isinstance(one, ToyStatus) else one for one in found]


async def test_all_watches_end_at_once_and_nothing_more_is_sent() -> None:
    """Their callers get an error with the reason. The rows stay as they are, and no outcome is written."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost) as raised:  # of leaving the watcher
        async with keeping(ledger, [RUNNING]) as (watcher, transport):
            watches = [watcher.watch(job) for job in toys(20)]
            await asyncio.sleep(10)
            lose(ledger)
            errors = await left(watcher, *watches)
            sent = len(transport.requests)
            await asyncio.sleep(3_000)
            assert len(transport.requests) == sent
            assert watcher.open_count == 0
    assert str(raised.value) == str(LOST)
    for error in errors:
        assert isinstance(error, WatcherClosed)
        assert error.__cause__ == LOST
    assert all(isinstance(watch.outcome, Abandoned) for watch in watches)
    assert all(not hasattr(row, "outcome") for row in ledger.rows.values())
    assert ledger.named("conclude") == []


@pytest.mark.parametrize("name", ["record", "update", "conclude"])
async def test_whichever_write_finds_it(name: str) -> None:
    """A new watch, a checkpoint or an outcome: all watches end, those whose own write did not fail, too."""
    ledger = MemoryLedger()
    script = by_job({"job-0": [running(1), running(2), SUCCEEDED], "job-1": [Hang()], "late": [RUNNING]})
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, script) as (watcher, _):
            watches = [watcher.watch(job) for job in toys(2)]
            await asyncio.sleep(0.5)
            lose(ledger, name)
            if name == "record":
                watches.append(watcher.watch(ToyJob("late")))
            for error in await left(watcher, *watches):
                assert isinstance(error, WatcherClosed)
                assert error.__cause__ == LOST
    assert len(ledger.named(name)) - (name == "record") == 1


async def test_an_outcome_that_was_not_written_is_not_reported() -> None:
    """The other process polls the job again, and has the outcome."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            lose(ledger, "conclude")
            with pytest.raises(WatcherClosed) as caught:
                await watcher.watch(ToyJob())
            assert caught.value.__cause__ == LOST
    async with keeping(MemoryLedger(), [SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())


async def test_the_call_is_not_repeated() -> None:
    """It would fail in the same way, however long the patience is."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [RUNNING], ledger_patience_s=600.0) as (watcher, _):
            lose(ledger, "record")
            began = asyncio.get_running_loop().time()
            with pytest.raises(WatcherClosed):
                await watcher.record(ToyJob())
            assert asyncio.get_running_loop().time() - began < 0.1
    assert ledger.named("record") == [1]


async def test_new_calls_are_refused_with_the_reason() -> None:
    """Watching, recording and resuming. The error has the lost lease as its cause."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [RUNNING]) as (watcher, transport):
            await left(watcher, *lost_by_record(ledger, watcher))
            for call in (watcher.record(ToyJob("b")), watcher.resume(), anext(aiter(watcher.outcomes()))):
                with pytest.raises(WatcherClosed) as caught:
                    await call
                assert caught.value.__cause__ == LOST
            with pytest.raises(WatcherClosed) as caught:
                watcher.watch(ToyJob("b"))
            assert caught.value.__cause__ == LOST
            assert transport.requests == []


def lost_by_record(ledger: MemoryLedger, watcher: Watcher) -> list[Any]:
    lose(ledger, "record")
    return [watcher.watch(ToyJob())]


async def test_requests_in_flight_are_cancelled() -> None:
    """The watcher is left at once, and waits for no reply."""
    ledger, loop = MemoryLedger(), asyncio.get_running_loop()
    script = by_job({"job-0": [Hang()], "job-1": [running(1)]})
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, script) as (watcher, _):
            watches = [watcher.watch(job) for job in toys(2)]
            await asyncio.sleep(0.5)
            lose(ledger)
            await left(watcher, *watches)
            began = loop.time()
    assert loop.time() - began < 0.1


async def test_deliveries_end_with_the_reason() -> None:
    """An iteration that waits for more outcomes raises it."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [Hang()]) as (watcher, _):
            watcher.watch(ToyJob("a"))
            waiting = asyncio.create_task(anext(aiter(watcher.outcomes())))
            await asyncio.sleep(1)
            lose(ledger, "record")
            watcher.watch(ToyJob("b"))
            with pytest.raises(WatcherClosed) as caught:
                await waiting
            assert caught.value.__cause__ == LOST


async def test_a_start_that_could_not_be_written() -> None:
    """Its caller gets the lost lease itself, nothing is sent, and the watches end."""
    ledger, vendor = MemoryLedger(), Vendor(STARTED)
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with Starting(vendor, ledger=ledger) as watcher:
            lose(ledger, "intend_submits")
            with pytest.raises(LeaseLost):
                await watcher.submit("seven pages")
            assert vendor.starts == []
            with pytest.raises(WatcherClosed):
                watcher.watch(ToyJob())


async def test_the_block_s_own_error_is_not_replaced() -> None:
    """A caller that lets the error of a watch pass sees that error, which has the reason."""
    ledger = MemoryLedger()
    with pytest.raises(WatcherClosed) as caught:
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            lose(ledger)
            await watcher.watch(ToyJob())
    assert caught.value.__cause__ == LOST


async def test_a_lease_that_is_lost_while_the_watcher_is_left() -> None:
    """Leaving ends as fast, and says so."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [running(1)]) as (watcher, _):
            watches = [watcher.watch(job) for job in toys(5)]
            await asyncio.sleep(0.2)
            lose(ledger)
    assert all(isinstance(watch.outcome, Abandoned) for watch in watches)


async def test_whoever_runs_the_watcher_can_take_the_lease_away() -> None:
    """It need not wait for a write that fails: all watches end, and `lease_lost` is set."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [RUNNING]) as (watcher, transport):
            watches = [watcher.watch(job) for job in toys(300)]
            await asyncio.sleep(3)
            parts = parts_of(watcher)
            assert parts.recorder is not None
            assert not parts.lease_lost.is_set()
            parts.recorder.lose_lease(LOST)
            sent = len(transport.requests)
            await parts.lease_lost.wait()
            assert {type(error) for error in await left(watcher, *watches)} == {WatcherClosed}
            await asyncio.sleep(100)
            assert len(transport.requests) <= sent + 1
    assert ledger.named("conclude") == []


async def test_a_transient_error_is_no_lost_lease() -> None:
    """A store that fails for a while drops no watch."""
    ledger = MemoryLedger()
    away = LedgerUnreachable("postgresql://db:5432/jobs", "connection refused")
    async with keeping(ledger, [running(1), SUCCEEDED]) as (watcher, _):
        ledger.failures = {"record": [away, away], "update": [away], "conclude": [away, away]}
        await watcher.watch(ToyJob())
        assert [row.polls for row in ledger.rows.values()] == [2]


async def test_the_reason_keeps_no_watch_alive() -> None:
    """It has no traceback, which would hold the frames of the call."""
    ledger = MemoryLedger()
    with pytest.raises(LeaseLost):  # of leaving the watcher
        async with keeping(ledger, [RUNNING]) as (watcher, _):
            watches = [watcher.watch(job) for job in toys(3)]
            await asyncio.sleep(1)
            lose(ledger)
            errors = await left(watcher, *watches)
            cause = errors[0].__cause__ if errors[0] is not None else None
            assert cause is not None
            assert cause.__traceback__ is None
