"""A ledger whose states rest: they are written less often, and what decides is written at once."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from kept_toy import MemoryLedger, acknowledged, keeping, toys
from pollwise.core.pacing import Pacing
from pollwise.durable.resting_states import RestingStates
from pollwise.ledger import LeaseLost, LedgerFull, Shard
from pollwise.model.reading import Phase
from pollwise.testing import Answer, Slow
from pollwise.watcher import parts_of
from toy import SUCCEEDED, ToyJob, by_job, running

pytestmark = pytest.mark.looptime

QUEUED: Mapping[str, Any] = {"state": "queued"}
STEPS: list[Answer] = [running(n) for n in range(1_000)]


class RestingLedger(MemoryLedger):
    rest_s = 10.0


async def test_states_rest_after_they_were_written() -> None:
    """A poll a second, of three jobs: each state is written at the beginning, and then every ten seconds, with the newest one."""
    ledger = RestingLedger()
    async with keeping(ledger, lambda _: STEPS.pop(0), pacing=Pacing.fixed(1.0)) as (watcher, _):
        await watcher.record_all(toys(3))
        await asyncio.sleep(9.0)
        assert sum(ledger.named("update")) == 3
        assert ledger.of(id="job-1").polls == 1
        await asyncio.sleep(27.0)
        assert 9 <= sum(ledger.named("update")) <= 12
        assert ledger.of(id="job-1").polls >= 30


async def test_another_phase_does_not_rest() -> None:
    """It is written within half a second, and so is the outcome."""
    ledger = RestingLedger()
    script: list[Answer] = [QUEUED, QUEUED, running(1), running(2), running(3), SUCCEEDED]
    async with keeping(ledger, script, pacing=Pacing.fixed(1.0)) as (watcher, _):
        await watcher.record(ToyJob())
        await asyncio.sleep(1.9)
        assert (ledger.of(id="a").phase, ledger.of(id="a").polls) == (Phase.QUEUED, 1)
        await asyncio.sleep(1.0)
        assert (ledger.of(id="a").phase, ledger.of(id="a").polls) == (Phase.RUNNING, 3)
        await asyncio.sleep(1.5)
        assert ledger.of(id="a").polls == 3
        assert len(await acknowledged(watcher)) == 1


async def test_what_rests_is_written_when_the_watcher_is_left() -> None:
    """So the next owner knows all that this one has seen."""
    ledger = RestingLedger()
    async with keeping(ledger, lambda _: STEPS.pop(0), pacing=Pacing.fixed(1.0)) as (watcher, _):
        await watcher.record_all(toys(2))
        await asyncio.sleep(5.5)
        assert ledger.of(id="job-0").polls == 1
        assert watcher.stats().ledger.backlog["states"] == 2  # type: ignore[union-attr]
    assert [ledger.of(id=f"job-{n}").polls for n in range(2)] == [6, 6]


async def test_a_state_that_could_not_be_written_does_not_rest() -> None:
    """It is written half a second later."""
    ledger = RestingLedger()
    ledger.failures["update"] = [LedgerFull("jobs.ledger", "disk full")]
    async with keeping(ledger, lambda _: STEPS.pop(0), pacing=Pacing.fixed(60.0)) as (watcher, _):
        await watcher.record(ToyJob())
        await asyncio.sleep(0.8)
        assert ledger.of(id="a").polls == 0
        await asyncio.sleep(0.5)
        assert ledger.of(id="a").polls == 1


async def test_nothing_is_written_after_a_lost_lease() -> None:
    """Also not what rests."""
    ledger = RestingLedger()
    with pytest.raises(LeaseLost):
        async with keeping(ledger, lambda _: STEPS.pop(0), pacing=Pacing.fixed(1.0)) as (watcher, _):
            await watcher.record_all(toys(2))
            await asyncio.sleep(5.5)
            ledger.broken["update"] = LeaseLost("postgresql://a/b", Shard("toy"), "taken")
            await asyncio.sleep(6.0)
            del ledger.broken["update"]
            await asyncio.sleep(20.0)
    assert ledger.of(id="job-0").polls == 1


async def test_a_rest_is_no_longer_because_another_watch_waits() -> None:
    """A watch that began later does not delay the state of an earlier one."""
    ledger = RestingLedger()
    script = by_job({"early": [running(1), Slow(running(2), 4.5), running(3)], "late": [running(1), running(2)]})
    async with keeping(ledger, script, pacing=Pacing.fixed(5.0)) as (watcher, _):
        await watcher.record(ToyJob("early"))
        await asyncio.sleep(4.0)
        await watcher.record(ToyJob("late"))  # its second poll comes before that of the other one is answered
        await asyncio.sleep(7.4)
        assert ledger.of(id="early").polls == 2


async def test_an_ended_rest_is_forgotten() -> None:
    """Also if no state waited for it. Jobs that come and go leave nothing behind."""
    ledger = RestingLedger()
    script: dict[str, list[Answer]] = {f"job-{n}": [running(1), SUCCEEDED] for n in range(20)}
    async with keeping(ledger, by_job(script), pacing=Pacing.fixed(1.0)) as (watcher, _):
        await watcher.record_all(toys(20))
        await asyncio.sleep(15.0)
        checkpoints = parts_of(watcher).recorder.checkpoints  # type: ignore[union-attr]
        assert isinstance(checkpoints, RestingStates)
        assert not checkpoints._resting
