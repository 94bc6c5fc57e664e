"""How far watches got: written together, each once, and no watch waits for it."""

from __future__ import annotations

import asyncio
import logging

import pytest

from kept_toy import MemoryLedger, keeping, toys
from pollwise.core.pacing import Pacing
from pollwise.ledger import LedgerFull, OpenWatch
from pollwise.model.reading import Phase
from pollwise.testing import Hang, Slow
from toy import RUNNING, SUCCEEDED, ToyJob, by_job, running

pytestmark = pytest.mark.looptime

FULL = LedgerFull("jobs.ledger", "disk full")


async def test_changes_are_pushed_twice_a_second_each_watch_once() -> None:
    """Ten polls of each of three jobs in half a second are one call with three rows."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING], pacing=Pacing.fixed(0.05)) as (watcher, transport):
        await watcher.record_all(toys(3))
        await asyncio.sleep(0.45)
        assert ledger.named("update") == []
        await asyncio.sleep(5)
        assert set(ledger.named("update")) == {3}
        assert 9 <= len(ledger.named("update")) <= 11
        row = ledger.of(id="job-1")
        assert isinstance(row, OpenWatch)
        assert len(transport.requests) / 3 - row.polls <= 11


async def test_only_what_changed_is_pushed() -> None:
    """A watch that waits costs nothing."""
    ledger = MemoryLedger()
    script = by_job({"a": [running(1)], "b": [Hang()]})
    async with keeping(ledger, script, pacing=Pacing.fixed(5.0)) as (watcher, _):
        await watcher.record_all([ToyJob("a"), ToyJob("b")])
        await asyncio.sleep(19)
        assert ledger.named("update") == [1] * 4
        assert ledger.of(id="a").polls == 4
        assert ledger.of(id="b").polls == 0


async def test_what_is_pushed_is_the_newest() -> None:
    """Phase, polls, failures in a row and status, as they are at that moment."""
    ledger = MemoryLedger()
    async with keeping(ledger, [running(1), running(2), 503, 503, 503]) as (watcher, _):
        await watcher.record(ToyJob())
        await asyncio.sleep(1.55)
        row = ledger.of(id="a")
        assert (row.phase, row.polls, row.failures) == (Phase.RUNNING, 2, 0)
        assert row.status == b'{"state":"running","done":2}'
        await asyncio.sleep(5)
        row = ledger.of(id="a")
        assert (row.phase, row.failures, row.status) == (Phase.RUNNING, row.polls - 2, b'{"state":"running","done":2}')
        assert row.failures >= 3


async def test_many_are_pushed_in_pieces() -> None:
    """The loop is never held up for long."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING], concurrency=1_000, pacing=Pacing.fixed(60)) as (watcher, _):
        await watcher.record_all(toys(1_000))
        await asyncio.sleep(2)
        assert sum(ledger.named("update")) == 1_000
        assert max(ledger.named("update")) <= 250


async def test_a_slow_ledger_gets_fewer_rows() -> None:
    """Not a queue of them."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING], pacing=Pacing.fixed(0.2)) as (watcher, _):
        await watcher.record_all(toys(3))
        ledger.latency_s = 10.0
        await asyncio.sleep(50)
        assert len(ledger.named("update")) <= 6
        assert max(ledger.named("update")) == 3
        ledger.latency_s = 0.0


async def test_what_the_ledger_does_not_take_waits(caplog: pytest.LogCaptureFixture) -> None:
    """No watch ends because of it, it is logged once, and the newest state is written when the ledger works again."""
    ledger = MemoryLedger()
    with caplog.at_level(logging.INFO):
        async with keeping(ledger, [running(1)]) as (watcher, _):
            watch = await watcher.record(ToyJob())
            ledger.broken["update"] = FULL
            await asyncio.sleep(20)
            assert watch.outcome is None
            assert ledger.of(id="a").polls == 0
            ledger.broken.clear()
            await asyncio.sleep(1)
            assert ledger.of(id="a").polls >= 20
            ledger.broken["update"] = FULL
            await asyncio.sleep(5)
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    assert "disk full" in caplog.text


async def test_leaving_pushes_the_rest() -> None:
    """What the last half second brought is not lost."""
    ledger = MemoryLedger()
    async with keeping(ledger, [running(4)], pacing=Pacing.fixed(60)) as (watcher, _):
        await watcher.record_all(toys(500))
        await asyncio.sleep(0.3)
        assert ledger.named("update") == []
    assert all((row.polls, row.phase) == (1, Phase.RUNNING) for row in ledger.rows.values())


async def test_leaving_with_a_broken_ledger_takes_no_longer() -> None:
    """The remaining states are not written."""
    ledger = MemoryLedger()
    async with keeping(ledger, [running(4)]) as (watcher, _):
        await watcher.record(ToyJob())
        ledger.broken["update"] = FULL
        await asyncio.sleep(3.3)
    assert asyncio.get_running_loop().time() < 3.5
    assert isinstance(ledger.of(id="a"), OpenWatch)


async def test_a_status_that_cannot_be_written_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    """The counts go on; the outcome will say what is wrong."""
    ledger = MemoryLedger()
    async with keeping(ledger, [{"state": "unreadable"}]) as (watcher, _):
        await watcher.record(ToyJob())
        await asyncio.sleep(3)
        row = ledger.of(id="a")
        assert (row.phase, row.status) == (Phase.RUNNING, None)
        assert row.polls >= 2
    assert "KeyError" in caplog.text


async def test_what_has_ended_is_not_pushed() -> None:
    """Its outcome says all."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING, Slow(SUCCEEDED, 0.2)], pacing=Pacing.fixed(0.1)) as (watcher, _):
        await watcher.watch(ToyJob())
        await asyncio.sleep(1)
        assert sum(ledger.named("update")) == 0
