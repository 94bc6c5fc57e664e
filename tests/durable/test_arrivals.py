"""A running watcher resumes the watches that another process records in its ledger."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from kept_toy import KeptToyEndpoint, MemoryLedger, keeping, toys, wall
from pollwise.core.forecast import Forecast
from pollwise.durable.codec import new_watch
from pollwise.errors import ConfigurationError, OriginChanged, WatcherClosed
from pollwise.ledger import LedgerFailed, LedgerUnreachable, NewWatch
from pollwise.model.events import Succeeded
from pollwise.testing import Hang, ScriptedTransport, controlled
from pollwise.watcher import JobWatcher, parts_of, share_forecast
from toy import RUNNING, SUCCEEDED, ToyJob, by_job, job_of, running

pytestmark = pytest.mark.looptime


def rows(jobs: Iterable[ToyJob], endpoint: KeptToyEndpoint | None = None, origin: str | None = None) -> list[NewWatch]:
    """Rows as another process records them."""
    endpoint = endpoint or KeptToyEndpoint()
    where = origin or "https://toy.example"
    return [new_watch(endpoint, job, first_seen_s=wall(), timeout_s=3600.0, origin=where) for job in jobs]


async def test_watches_of_another_process_are_resumed_once() -> None:
    """Those that were recorded since the last look, in the order recorded. Nothing new costs one call of the ledger."""
    ledger = MemoryLedger(chunk=3)
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        arrivals = parts_of(watcher).arrivals()
        assert await arrivals.take() == []
        await ledger.record(rows(toys(5)))
        found = await arrivals.take()
        assert [watch.job for watch in found] == toys(5)
        assert arrivals.last_id == 5
        await ledger.record(rows(toys(7)))
        assert [watch.job for watch in await arrivals.take()] == toys(7)[5:]
        calls = len(ledger.calls)
        assert await arrivals.take() == []
        assert ledger.calls[calls:] == [("open_watches", 0)]
        await asyncio.sleep(5)
        assert {job_of(request) for _, request in transport.requests} == {job.id for job in toys(7)}
        assert watcher.watch(toys(1)[0]) is found[0]
        assert watcher.open_count == 7


async def test_what_this_watcher_has_recorded_is_no_arrival() -> None:
    """Its watches go on, and are polled by themselves."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, transport):
        arrivals = parts_of(watcher).arrivals()
        await watcher.record_all(toys(3))
        await ledger.record(rows([ToyJob("z")]))
        assert [watch.job for watch in await arrivals.take()] == [ToyJob("z")]
        await asyncio.sleep(5)
        assert len(transport.requests) == 4


async def test_arrivals_after_a_number() -> None:
    """Rows up to it were resumed before."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await ledger.record(rows(toys(3)))
        await watcher.resume()
        await ledger.record(rows(toys(5)))
        assert [watch.job for watch in await parts_of(watcher).arrivals(after=3).take()] == toys(5)[3:]


async def test_two_looks_at_the_same_time() -> None:
    """Each watch is resumed by one of them."""
    ledger = MemoryLedger(chunk=2)
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await ledger.record(rows(toys(9)))
        arrivals = parts_of(watcher).arrivals()
        found = await asyncio.gather(arrivals.take(), arrivals.take(), watcher.resume())
        assert [len(watches) for watches in found[:2]].count(0) >= 1
        assert watcher.open_count == 9


async def test_an_arrival_that_ends_is_an_outcome_as_any_other() -> None:
    """It is written to the row that the other process recorded."""
    ledger = MemoryLedger()
    async with keeping(ledger, by_job({"a": [running(3), SUCCEEDED]})) as (watcher, _):
        await ledger.record(rows([ToyJob("a")]))
        (watch,) = await parts_of(watcher).arrivals().take()
        await watch
        assert isinstance(watch.outcome, Succeeded)
        assert ledger.of(id="a").polls == 2


async def test_a_store_that_fails_loses_no_arrival() -> None:
    """A page that could not be read is read again; after a failure that lasts, the next look finds the rows."""
    ledger = MemoryLedger(chunk=2)
    away = LedgerUnreachable("postgresql://db:5432/jobs", "connection refused")
    async with keeping(ledger, [Hang()], ledger_patience_s=5.0) as (watcher, _):
        arrivals = parts_of(watcher).arrivals()
        await ledger.record(rows(toys(5)))
        ledger.failures["open_watches"] = [None, away, None, away]
        assert [watch.job for watch in await arrivals.take()] == toys(5)
        await ledger.record(rows(toys(9)))
        ledger.failures["open_watches"] = [None, *[LedgerFailed("toy", "no")] * 50]
        with pytest.raises(LedgerFailed):
            await arrivals.take()
        ledger.failures = {}
        await arrivals.take()
        assert watcher.open_count == 9


async def test_a_look_that_is_cancelled_loses_no_arrival() -> None:
    """The next one finds what it has not resumed."""
    ledger = MemoryLedger(chunk=1_000, latency_s=0.0)  # one page, so the look is cancelled within it
    async with keeping(ledger, [Hang()]) as (watcher, _):
        arrivals = parts_of(watcher).arrivals()
        await ledger.record(rows(toys(500)))
        looking = asyncio.create_task(arrivals.take())
        while watcher.open_count < 250:
            await asyncio.sleep(0)
        looking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await looking
        assert watcher.open_count < 500
        await arrivals.take()
        assert watcher.open_count == 500


async def test_an_arrival_of_another_origin_is_refused() -> None:
    """Its row stays as it is, and the others are resumed."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await ledger.record(rows([ToyJob("far")], origin="https://elsewhere.example"))
        await ledger.record(rows(toys(2)))
        arrivals = parts_of(watcher).arrivals()
        with pytest.raises(OriginChanged):
            await arrivals.take()
        assert watcher.open_count == 2
        assert await arrivals.take() == []


async def test_a_watcher_that_was_left_resumes_nothing() -> None:
    """The rows wait for the next process."""
    ledger = MemoryLedger()
    async with keeping(ledger, [Hang()]) as (watcher, _):
        arrivals = parts_of(watcher).arrivals()
    await ledger.record(rows(toys(1)))
    with pytest.raises(WatcherClosed):
        await arrivals.take()
    with pytest.raises(WatcherClosed):
        parts_of(watcher)


async def test_watchers_share_a_forecast() -> None:
    """What one learns, the others know. Durations that it has learnt already are not read again."""
    forecast, ledger = Forecast(), MemoryLedger()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        with pytest.raises(ConfigurationError, match="before the watcher is opened"):
            share_forecast(watcher, forecast)
    for learnt, reads in ((False, 1), (True, 0)):
        ledger.calls.clear()
        watcher = JobWatcher(KeptToyEndpoint(), timeout_s=60.0, ledger=ledger, transport=script())
        share_forecast(watcher, forecast, learnt=learnt)
        async with controlled(watcher, clock=wall):
            assert len(ledger.named("durations")) == reads
            await watcher.watch(ToyJob(f"learnt={learnt}"))
    assert forecast.durations.ended == 2.0


def script() -> ScriptedTransport:
    return ScriptedTransport([running(1), SUCCEEDED])
