"""A ledger whose calls are timed and counted."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from kept_toy import MemoryLedger, acknowledged, keeping, toys
from pollwise.durable.timed_ledger import LedgerCounts, timed_ledger
from pollwise.ledger import LedgerFailed, SqliteLedger
from pollwise.model.messages import Reply
from pollwise.model.stats import LedgerStats
from pollwise.model.submitting import Submitted
from pollwise.testing import Hang
from pollwise.watcher import JobWatcher
from submitting import Presses, Starting, Vendor, said
from toy import FAILED, SUCCEEDED, ToyJob, by_job


class Counting(MemoryLedger):
    """Counts its outcomes that are not acknowledged."""

    async def count_unacknowledged(self, _endpoint: str, _account: str = "", /) -> int:
        return sum(not getattr(row, "acknowledged", True) for row in self.rows.values())


def ledger_of(watcher: JobWatcher[ToyJob, Any, Any, Any]) -> LedgerStats:
    found = watcher.stats().ledger
    assert found is not None
    return found


@pytest.mark.looptime
async def test_each_call_has_a_duration() -> None:
    """By its name, a call that failed included."""
    ledger = MemoryLedger(latency_s=0.3)
    ledger.failures["record"] = [LedgerFailed("toy", "no")]
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())
        found = ledger_of(watcher)
    assert {name: durations.count for name, durations in found.operations.items()} == {"record": 2, "conclude": 1}
    assert found.operations["record"].sum_s == pytest.approx(0.6, abs=0.05)
    assert found.errors == {("record", "LedgerFailed"): 1}
    assert found.unacknowledged is None


@pytest.mark.looptime
async def test_what_waits_to_be_written_is_the_backlog() -> None:
    """New watches, states and outcomes, each by itself."""
    ledger = MemoryLedger(latency_s=2.0)
    script = by_job({job.id: [SUCCEEDED] for job in toys(2)} | {"h": [Hang()]})
    async with keeping(ledger, script) as (watcher, _):
        for job in (*toys(2), ToyJob("h")):
            watcher.watch(job)
        await asyncio.sleep(1.0)
        assert ledger_of(watcher).backlog == {"watches": 3, "states": 0, "outcomes": 0}
        await asyncio.sleep(1.5)
        assert ledger_of(watcher).backlog["watches"] == 0
    assert ledger_of(watcher).backlog == {}


@pytest.mark.looptime
async def test_unacknowledged_outcomes_are_counted_on() -> None:
    """With each outcome, each acknowledgement, and each row that is opened again."""
    ledger = Counting()
    async with keeping(ledger, [FAILED]) as (watcher, _):
        await watcher.gather(toys(3))
        assert ledger_of(watcher).unacknowledged == 3
    async with keeping(ledger, [Hang()], timeout_s=2) as (watcher, _):
        assert ledger_of(watcher).unacknowledged == 3
        await watcher.gather([ToyJob("late")])
        assert ledger_of(watcher).unacknowledged == 4
        watcher.watch(ToyJob("late"))  # an abandoned row is opened again
        await asyncio.sleep(1.0)
        assert ledger_of(watcher).unacknowledged == 3
        await asyncio.sleep(2.0)
        await acknowledged(watcher)
        assert ledger_of(watcher).unacknowledged == 0


@pytest.mark.looptime
async def test_an_outcome_that_came_with_the_start_of_its_job_is_counted() -> None:
    """Once: if the ledger knows the job, it has its outcome already."""

    class AtOnce(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
            return Submitted(ToyJob("7"), reading=self.read(reply))

    over = said("200 OK", b'{"id": "7", "state": "succeeded"}')
    async with Starting(Vendor(over), kind=AtOnce, ledger=Counting()) as watcher:
        for _ in range(2):
            await watcher.submit("print")
            assert ledger_of(watcher).unacknowledged == 1
        async for delivery in watcher.outcomes():
            await delivery.ack()
        assert ledger_of(watcher).unacknowledged == 0


async def test_a_ledger_that_cannot_count_is_unknown() -> None:
    """No watch is harmed by a number that is not known."""

    class Broken(MemoryLedger):
        async def count_unacknowledged(self, _endpoint: str, _account: str = "", /) -> int:
            raise OSError("no")

    counts = LedgerCounts("toy", "")
    await counts.count_unacknowledged(Broken())
    assert counts.unacknowledged is None
    assert counts.stats({}).errors == {("count_unacknowledged", "OSError"): 1}


async def test_what_is_not_timed_is_the_ledgers_own() -> None:
    """A caller's ledger may have more than the protocol."""
    ledger = MemoryLedger()
    timed = timed_ledger(ledger, LedgerCounts("toy", ""), lambda: 0.0)
    assert timed.calls is ledger.calls  # type: ignore[attr-defined]
    assert not hasattr(timed, "count_unacknowledged")


async def test_sqlite_counts_unacknowledged_outcomes(tmp_path: Path) -> None:
    """Those of the endpoint and account alone, also of earlier runs."""
    async with SqliteLedger(tmp_path / "a.ledger") as ledger:
        async with keeping(ledger, [FAILED]) as (watcher, _):
            await watcher.gather(toys(3))
            assert ledger_of(watcher).unacknowledged == 3
        assert await ledger.count_unacknowledged("toy") == 3
        assert await ledger.count_unacknowledged("toy", "other") == 0
        async with keeping(ledger, [FAILED]) as (watcher, _):
            assert ledger_of(watcher).unacknowledged == 3
            await acknowledged(watcher)
            assert ledger_of(watcher).unacknowledged == 0
