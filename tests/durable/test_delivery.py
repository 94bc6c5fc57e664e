"""Outcomes from the ledger: until they are acknowledged, each once to an iterator, and never more than the memory holds."""

from __future__ import annotations

import asyncio
import gc
from itertools import chain
from typing import Any

import pytest

from kept_toy import KeptToyEndpoint, MemoryLedger, ToyCodec, acknowledged, keeping, toys
from pollwise.core.pacing import Retry
from pollwise.durable.delivery import Deliveries, Delivery
from pollwise.errors import PermissionDenied, RetriesExhausted, WatcherClosed
from pollwise.ledger import Concluded, LedgerFull, OpenWatch
from pollwise.model.events import Abandoned, Cancelled, Failed, Succeeded
from pollwise.model.limits import ReplyLimits
from pollwise.testing import Hang, Slow
from toy import CANCELLED, FAILED, RUNNING, SUCCEEDED, ToyJob, ToyStatus, by_job, settle

pytestmark = pytest.mark.looptime

FULL = LedgerFull("jobs.ledger", "disk full")
SCRIPT = {"a": [RUNNING, SUCCEEDED], "b": [FAILED], "c": [RUNNING, RUNNING, CANCELLED], "d": [403]}
JOBS = [ToyJob(name) for name in SCRIPT]


async def run_until_over(ledger: MemoryLedger) -> None:
    """A run of four jobs with four kinds of ends, whose outcomes are not taken."""
    async with keeping(ledger, by_job(SCRIPT)) as (watcher, _):
        await watcher.gather(JOBS)


def names(deliveries: list[Delivery[ToyJob, ToyStatus]]) -> list[str]:
    return [delivery.outcome.job.id for delivery in deliveries]


# --- what comes ---------------------------------------------------------------------------------


async def test_outcomes_come_as_they_end_and_then_it_is_over() -> None:
    """Typed, in the order in which they end, and the iteration ends with the last open watch."""
    ledger = MemoryLedger()
    async with keeping(ledger, by_job(SCRIPT)) as (watcher, _):
        await watcher.record_all(JOBS)
        found = await acknowledged(watcher)
        assert sorted(names(found)[:2]) == ["b", "d"]
        assert names(found)[2:] == ["a", "c"]
        kinds = {delivery.outcome.job.id: type(delivery.outcome) for delivery in found}
        assert kinds == {"a": Succeeded, "b": Failed, "c": Cancelled, "d": Abandoned}
        assert all(row.acknowledged for row in ledger.rows.values() if isinstance(row, Concluded))
        assert await acknowledged(watcher) == []


async def test_what_was_not_acknowledged_comes_again() -> None:
    """In the next run, as it was, in the order recorded, and without a poll."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    for _ in range(2):
        async with keeping(ledger, [RUNNING]) as (watcher, transport):
            found = [delivery async for delivery in watcher.outcomes()]
            assert names(found) == ["a", "b", "c", "d"]
            assert [type(delivery.outcome) for delivery in found] == [Succeeded, Failed, Cancelled, Abandoned]
            assert found[0].outcome.status == ToyStatus("succeeded", 10)
            assert transport.requests == []
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        await acknowledged(watcher)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        assert await acknowledged(watcher) == []


async def test_those_of_before_and_those_that_come() -> None:
    """One stream, each once."""
    ledger = MemoryLedger(chunk=2)
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING, SUCCEEDED]) as (watcher, _):
        await watcher.record_all([ToyJob("e"), *JOBS])
        found = await acknowledged(watcher)
        assert sorted(names(found)) == ["a", "b", "c", "d", "e"]
        # d had been abandoned: it was asked again, and comes once, with its new outcome
        assert [type(one.outcome) for one in found if one.outcome.job.id in "de"] == [Succeeded, Succeeded]


async def test_each_account_gets_its_own_outcomes() -> None:
    """One ledger may keep the jobs of several accounts of a vendor."""
    acme = KeptToyEndpoint()
    acme.account = "acme"
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [SUCCEEDED], endpoint=acme) as (watcher, _):
        await watcher.watch(ToyJob("e"))
    async with keeping(ledger, [RUNNING], endpoint=acme) as (watcher, _):
        assert names([delivery async for delivery in watcher.outcomes()]) == ["e"]
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        assert names([delivery async for delivery in watcher.outcomes()]) == ["a", "b", "c", "d"]


@pytest.mark.parametrize("max_ready", [1_000, 2])
async def test_outcomes_that_come_during_reading_are_delivered(max_ready: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Watches may end whose rows the reading has passed already, also more of them than memory may hold."""
    monkeypatch.setattr("pollwise.durable.delivery._MAX_READY", max_ready)
    slow = [ToyJob(f"slow-{n}") for n in range(3)]
    ledger = MemoryLedger(chunk=2)
    script = {**{job.id: [RUNNING] for job in slow}, **SCRIPT}
    async with keeping(ledger, by_job(script)) as (watcher, _):
        watches = [watcher.watch(job) for job in [*slow, *JOBS]]
        await asyncio.gather(*watches[3:], return_exceptions=True)
        assert all(isinstance(ledger.of(id=job.id), OpenWatch) for job in slow)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes()
        assert names([await anext(deliveries)]) == ["a"]
        assert deliveries._inbox.pages is not None  # there is more to read
        await watcher.gather(slow)
        assert sorted(names([delivery async for delivery in deliveries])) == ["b", "c", "d", *(job.id for job in slow)]


async def test_of_all_acknowledgements_one_counts() -> None:
    """Exactly one call returns True, from wherever and however often it is called."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        one = [delivery async for delivery in watcher.outcomes()]
        two = [delivery async for delivery in watcher.outcomes()]
        assert names(one) == names(two)
        answers = await asyncio.gather(*(delivery.ack() for delivery in [*one, *two, *one]))
        assert sum(answers) == 4


async def test_a_delivery_is_shown_by_its_kind_and_its_job() -> None:
    """A log line that has it says what came, and no status."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        shown = [repr(delivery) async for delivery in watcher.outcomes()]
        assert shown == [
            "<Delivery of Succeeded ToyJob(id='a')>",
            "<Delivery of Failed ToyJob(id='b')>",
            "<Delivery of Cancelled ToyJob(id='c')>",
            "<Delivery of Abandoned ToyJob(id='d')>",
        ]


async def test_the_oldest_outcomes_come_first() -> None:
    """A job that ends before the iteration begins waits for those of earlier runs, which have waited longer."""
    ledger = MemoryLedger(chunk=2)
    await run_until_over(ledger)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes()
        await watcher.watch(ToyJob("e"))
        assert names([delivery async for delivery in deliveries]) == ["a", "b", "c", "d", "e"]


async def test_a_consumer_that_dies_leaves_it_to_the_next() -> None:
    """What it had taken and not acknowledged is given out again, in the same run too."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        with pytest.raises(LookupError):
            async for delivery in watcher.outcomes():
                if delivery.outcome.job.id == "b":
                    raise LookupError
                await delivery.ack()
        assert names([delivery async for delivery in watcher.outcomes()]) == ["b", "c", "d"]


async def test_consumers_may_share_an_iterator() -> None:
    """Each outcome goes to one of them, and all of them end."""
    ledger = MemoryLedger(chunk=3)
    async with keeping(ledger, [Slow(SUCCEEDED, 0.5)]) as (watcher, _):
        await watcher.record_all(toys(200))
        shared = watcher.outcomes()

        async def consume() -> list[str]:
            found = []
            async for delivery in shared:
                await asyncio.sleep(0.01)
                assert await delivery.ack()
                found.append(delivery.outcome.job.id)
            return found

        shares = await asyncio.gather(*(consume() for _ in range(4)))
        assert sorted(chain.from_iterable(shares)) == sorted(job.id for job in toys(200))
        assert all(shares)


# --- how it ends --------------------------------------------------------------------------------


async def test_following_goes_on_until_the_watcher_is_left() -> None:
    """For a service: it waits also while nothing is open, and ends quietly."""
    ledger = MemoryLedger()
    found: list[str] = []

    async def serve(watcher: Any) -> None:
        async for delivery in watcher.outcomes(follow=True):
            await delivery.ack()
            found.append(delivery.outcome.job.id)

    async with keeping(ledger, by_job({"a": [SUCCEEDED], "b": [FAILED], "c": [Hang()]})) as (watcher, _):
        service = asyncio.create_task(serve(watcher))
        await asyncio.sleep(10)
        await watcher.record(ToyJob("a"))
        await asyncio.sleep(10)
        await watcher.record_all([ToyJob("b"), ToyJob("c")])
        await asyncio.sleep(10)
        assert not service.done()
    await service
    assert found == ["a", "b"]


async def test_cut_short_it_says_so() -> None:
    """Without `follow` an end means that all is delivered; left before that, it raises."""
    ledger = MemoryLedger()

    async def consume(watcher: Any) -> None:
        async for _ in watcher.outcomes():
            pass

    async with keeping(ledger, [Hang()]) as (watcher, _):
        await watcher.record(ToyJob())
        consumer = asyncio.create_task(consume(watcher))
        await asyncio.sleep(10)
    with pytest.raises(WatcherClosed):
        await consumer


async def test_it_can_be_closed() -> None:
    """Then it gives no more out."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [Hang()]) as (watcher, _):
        await watcher.record(ToyJob("z"))
        deliveries = watcher.outcomes()
        await anext(deliveries)
        waiting = asyncio.create_task(_last(deliveries))
        await settle()
        await deliveries.aclose()
        await waiting
        with pytest.raises(StopAsyncIteration):
            await anext(deliveries)


async def _last(deliveries: Deliveries[Any, Any]) -> None:
    async for _ in deliveries:
        pass


async def test_a_watch_that_ends_without_the_ledger_ends_the_waiting() -> None:
    """There will be no outcome of it in this run."""
    ledger = MemoryLedger()
    ledger.broken["conclude"] = FULL
    async with keeping(ledger, [SUCCEEDED], ledger_patience_s=5) as (watcher, _):
        await watcher.record(ToyJob())
        assert [delivery async for delivery in watcher.outcomes()] == []
        assert isinstance(ledger.of(id="a"), OpenWatch)


# --- trouble ------------------------------------------------------------------------------------


async def test_a_ledger_that_cannot_be_read_for_some_seconds() -> None:
    """It is read again, and each outcome comes once."""
    ledger = MemoryLedger(chunk=2)
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        ledger.failures["unacknowledged"] = [FULL, None, FULL, None, FULL]
        assert names([delivery async for delivery in watcher.outcomes()]) == ["a", "b", "c", "d"]


async def test_a_ledger_that_cannot_be_read() -> None:
    """Its error comes out after `ledger_patience_s`, and the iteration can be gone on with when it is mended."""
    ledger = MemoryLedger(chunk=2)
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING], ledger_patience_s=10) as (watcher, _):
        deliveries = watcher.outcomes()
        found = [await anext(deliveries), await anext(deliveries)]
        ledger.broken["unacknowledged"] = FULL
        began = asyncio.get_running_loop().time()
        with pytest.raises(LedgerFull):
            await anext(deliveries)
        assert 10 <= asyncio.get_running_loop().time() - began < 16
        ledger.broken.clear()
        found += [delivery async for delivery in deliveries]
        assert names(found) == ["a", "b", "c", "d"]


async def test_closed_while_the_ledger_cannot_be_read() -> None:
    """A task that waits for the next one ends soon."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        ledger.broken["unacknowledged"] = FULL
        deliveries = watcher.outcomes()
        waiting = asyncio.create_task(_last(deliveries))
        await asyncio.sleep(10)
        await deliveries.aclose()
        await asyncio.wait_for(waiting, 6)


async def test_an_acknowledgement_that_is_not_written_down() -> None:
    """It is tried again; then it says so, and the outcome comes again."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING], ledger_patience_s=10) as (watcher, _):
        deliveries = watcher.outcomes()
        delivery, second = await anext(deliveries), await anext(deliveries)
        ledger.failures["acknowledge"] = [FULL] * 3
        assert await second.ack()
        ledger.broken["acknowledge"] = FULL
        with pytest.raises(LedgerFull):
            await delivery.ack()
        ledger.broken.clear()
        assert names([await anext(watcher.outcomes())]) == ["a"]
        assert await delivery.ack()


async def test_what_cannot_be_read_is_left_for_who_can(caplog: pytest.LogCaptureFixture) -> None:
    """What was not delivered is not acknowledged; the others come."""

    class Changed(ToyCodec):
        def job_from_keys(self, keys: Any, /) -> ToyJob:
            if keys["id"] == "a":
                raise ValueError
            return super().job_from_keys(keys)

        def status_from_json(self, data: Any, /) -> ToyStatus:
            if data["state"] == "failed":
                raise ValueError("secret")
            return super().status_from_json(data)

    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [RUNNING], endpoint=KeptToyEndpoint(codec=Changed())) as (watcher, _):
        assert names(await acknowledged(watcher)) == ["c", "d"]
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert "secret" not in caplog.text
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        assert names(await acknowledged(watcher)) == ["a", "b"]


async def test_a_status_is_read_within_the_limits_of_the_watcher() -> None:
    """A smaller limit than that of the run which wrote the status holds for its outcome, too."""
    read: list[int] = []

    class Noted(ToyCodec):
        def status_to_json(self, status: ToyStatus, /) -> Any:
            return {**super().status_to_json(status), "note": "n" * 10_000}

        def status_from_json(self, data: Any, /) -> ToyStatus:
            read.append(len(data["note"]))
            return super().status_from_json(data)

    ledger, endpoint = MemoryLedger(), KeptToyEndpoint(codec=Noted())
    async with keeping(ledger, [SUCCEEDED], endpoint=endpoint) as (watcher, _):
        await watcher.watch(ToyJob())
    async with keeping(ledger, [RUNNING], endpoint=endpoint, reply=ReplyLimits(text=100)) as (watcher, _):
        assert names([delivery async for delivery in watcher.outcomes()]) == ["a"]
    assert read == [len("n" * 100 + "...")]


async def test_an_acknowledgement_that_comes_too_late() -> None:
    """A job that was watched once more has another outcome to come: the first one's reader does not take that away."""
    ledger = MemoryLedger()
    async with keeping(ledger, [503, 503, SUCCEEDED], retry=Retry(outage_s=1e-9, min_failures=2)) as (watcher, _):
        with pytest.raises(RetriesExhausted):
            await watcher.watch(ToyJob())
        deliveries = watcher.outcomes(follow=True)
        first = await anext(deliveries)
        assert isinstance(first.outcome, Abandoned)
        await watcher.watch(ToyJob())
        assert await first.ack() is False
        second = await anext(deliveries)
        assert isinstance(second.outcome, Succeeded)
        assert await second.ack()


async def test_a_late_acknowledgement_leaves_the_outcome_of_a_later_session() -> None:
    """The delivery of an earlier session acknowledges its own outcome alone: the success of the later one is delivered."""
    ledger = MemoryLedger()
    async with keeping(ledger, [403]) as (watcher, _):
        await watcher.record(ToyJob())
        old = await anext(watcher.outcomes())
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
        assert await old.ack() is False
        (new,) = [delivery async for delivery in watcher.outcomes()]
        assert isinstance(new.outcome, Succeeded)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        (again,) = [delivery async for delivery in watcher.outcomes()]
        assert await again.ack()
        assert await new.ack() is False


@pytest.mark.parametrize("resumed", [False, True])
async def test_the_outcome_of_a_reopened_row_is_acknowledged(resumed: bool) -> None:
    """Live, and after a resume of the row that was opened again: the delivery names the right generation."""
    ledger = MemoryLedger()
    async with keeping(ledger, [403]) as (watcher, _):
        for _ in range(3):
            with pytest.raises(PermissionDenied):
                await watcher.watch(ToyJob())
    async with keeping(ledger, [Hang()] if resumed else [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes(follow=True)
        assert isinstance((await anext(deliveries)).outcome, Abandoned)
        watcher.watch(ToyJob())
        if not resumed:
            assert await (await anext(deliveries)).ack()
        await asyncio.sleep(1)
    if resumed:
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            deliveries = watcher.outcomes(follow=True)
            waiting = asyncio.create_task(anext(deliveries))
            await asyncio.sleep(1)
            await watcher.resume()
            assert await (await waiting).ack()
    row = ledger.of(id="a")
    assert isinstance(row, Concluded)
    assert (row.acknowledged, row.generation) == (True, 3)


async def test_two_watchers_that_open_one_row_again() -> None:
    """The second one finds the row open: both poll, the first outcome stays, and its delivery is acknowledged once."""
    ledger = MemoryLedger()
    async with keeping(ledger, [403]) as (watcher, _):
        await watcher.record(ToyJob())
        await asyncio.sleep(1)
    async with keeping(ledger, [SUCCEEDED]) as (one, _), keeping(ledger, [SUCCEEDED]) as (two, _):
        watches = one.watch(ToyJob()), two.watch(ToyJob())
        assert [(await watch).state for watch in watches] == ["succeeded"] * 2
        found = [delivery async for delivery in one.outcomes()] + [delivery async for delivery in two.outcomes()]
        assert sorted([await delivery.ack() for delivery in found]) == [False] * (len(found) - 1) + [True]


# --- memory -------------------------------------------------------------------------------------


async def test_a_slow_reader_is_waited_for_in_the_ledger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is ready in memory is bounded; nothing is left out and nothing comes twice."""
    monkeypatch.setattr("pollwise.durable.delivery._MAX_READY", 20)
    ledger = MemoryLedger(chunk=20)
    jobs = toys(200)
    async with keeping(ledger, [SUCCEEDED], concurrency=100) as (watcher, _):
        await watcher.record_all(jobs)
        deliveries = watcher.outcomes()
        first = await anext(deliveries)
        while watcher.open_count:
            await asyncio.sleep(1)
        assert len(deliveries._inbox.ready) <= 40
        found = [first]
        async for delivery in deliveries:
            found.append(delivery)
            assert len(deliveries._inbox.ready) <= 40
        assert sorted(names(found)) == sorted(job.id for job in jobs)
        await asyncio.gather(*(delivery.ack() for delivery in found))
        assert deliveries._inbox.out == set()


async def test_a_follower_that_lags_behind_has_no_more_in_memory_than_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are read from the ledger when it has caught up. Each comes once, in the order in which they ended."""
    monkeypatch.setattr("pollwise.durable.delivery._MAX_READY", 2)
    async with keeping(MemoryLedger(), [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes(follow=True)
        waiting = asyncio.create_task(anext(deliveries))
        await asyncio.sleep(1)
        for job in toys(6):
            await watcher.watch(job)
        assert len(deliveries._inbox.ready) == 2
        found = [await waiting, *[await anext(deliveries) for _ in range(5)]]
        assert names(found) == [job.id for job in toys(6)]
        assert all([await delivery.ack() for delivery in found])
        late = asyncio.create_task(anext(deliveries))
        await asyncio.sleep(1)
        await watcher.watch(ToyJob("late"))
        assert names([await late]) == ["late"]


async def test_tasks_that_share_an_iterator_read_no_page_ahead() -> None:
    """Ten tasks wait, and a page has twenty outcomes: one page is read for all of them."""
    ledger = MemoryLedger(chunk=20)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        await watcher.gather(toys(100))
    async with keeping(ledger, [RUNNING]) as (watcher, _):
        deliveries = watcher.outcomes()
        found = await asyncio.gather(*(anext(deliveries) for _ in range(10)))
        assert len(deliveries._inbox.ready) == 10
        found += [delivery async for delivery in deliveries]
        assert sorted(names(found)) == sorted(job.id for job in toys(100))


async def test_a_closed_iterator_collects_nothing() -> None:
    """A service that keeps it keeps no outcomes with it."""
    ledger = MemoryLedger()
    await run_until_over(ledger)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes(follow=True)
        for _ in range(4):
            await anext(deliveries)
        waiting = asyncio.create_task(_last(deliveries))
        await settle()
        await deliveries.aclose()
        await waiting
        await watcher.gather(toys(3))
        assert not deliveries._inbox.ready


async def test_an_iterator_that_is_dropped_is_forgotten() -> None:
    """Nothing is collected for an iterator that is gone."""
    async with keeping(MemoryLedger(), [SUCCEEDED]) as (watcher, _):
        deliveries = watcher.outcomes()
        await watcher.watch(ToyJob())
        recorder = watcher._parts().recorder
        assert recorder is not None
        assert recorder._notified() == [deliveries._inbox]
        del deliveries
        gc.collect()
        assert recorder._subscribers == []


async def test_being_cancelled_while_it_waits_loses_nothing() -> None:
    """At whatever step: the next task that asks gets it."""
    for steps in range(30):
        ledger = MemoryLedger(chunk=1)
        await run_until_over(ledger)
        async with keeping(ledger, [RUNNING]) as (watcher, _):
            deliveries, found = watcher.outcomes(), []
            while True:
                task = asyncio.ensure_future(anext(deliveries, None))
                for _ in range(steps % 7):
                    await asyncio.sleep(0)
                if steps % 2:
                    await asyncio.sleep(steps / 10_000)
                task.cancel()
                await asyncio.wait([task])
                if not task.cancelled():
                    found.append(task.result())
                else:
                    found.append(await anext(deliveries, None))
                if found[-1] is None:
                    break
            assert [one.outcome.job.id for one in found[:-1] if one is not None] == ["a", "b", "c", "d"]


async def test_deliveries_show_no_internals() -> None:
    """A caller's completion finds how to iterate and how to close, and nothing of the recorder's."""
    async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
        assert [name for name in dir(watcher.outcomes()) if not name.startswith("_")] == ["aclose"]
