"""The engine in an event loop whose task factory starts tasks at once, as Python 3.12 and later can."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from typing import Any

import pytest

from kept_toy import KeptToyEndpoint, MemoryLedger, keeping
from pollwise.errors import JobFailed, WatcherClosed, WatchStopped
from pollwise.runtime.task_owner import TaskOwner
from toy import FAILED, RUNNING, SUCCEEDED, ToyAuth, ToyJob, by_job, running, watching

pytestmark = [
    pytest.mark.looptime,
    pytest.mark.skipif(sys.version_info < (3, 12), reason="asyncio.eager_task_factory is new in Python 3.12"),
]

JOBS = [ToyJob(str(number)) for number in range(30)]


@pytest.fixture(autouse=True)
async def eager() -> AsyncIterator[None]:
    """The test's loop starts each task at once."""
    asyncio.get_running_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
    yield
    asyncio.get_running_loop().set_task_factory(None)


async def test_watches_are_awaited_and_iterated() -> None:
    """Events and outcomes are the same."""
    async with watching([RUNNING, running(4), 503, SUCCEEDED]) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        async with asyncio.TaskGroup() as group:
            waiting = group.create_task(watch.wait())
            events = [type(event).__name__ async for event in watch]
    assert waiting.result().state == "succeeded"
    assert events == ["Progressed", "Progressed", "Retrying", "Succeeded"]
    assert len(transport.times) == 4


async def test_many_jobs_have_one_outcome_each() -> None:
    """A batch takes its jobs as capacity allows."""
    answers = by_job({job.id: [RUNNING, FAILED if job.id == "3" else SUCCEEDED] for job in JOBS})
    async with watching(answers, capacity=7, concurrency=3) as (watcher, _):
        found = await watcher.gather(JOBS)
        with pytest.raises(JobFailed):
            await watcher.watch(ToyJob("3"))
    assert [outcome.job for outcome in found] == JOBS


async def test_credentials_are_renewed_once() -> None:
    """Polls that need new credentials at the same moment share one renewal."""
    auth = ToyAuth(fresh=False)
    async with watching([SUCCEEDED], auth=auth) as (watcher, _):
        await watcher.gather(JOBS)
    assert auth.renewals == 1


async def test_rows_that_come_together_are_written_together() -> None:
    """The task that writes begins after the caller has handed over its watches."""
    ledger = MemoryLedger(latency_s=1.0)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watches = [watcher.watch(job) for job in JOBS]
        assert watcher.open_count == len(JOBS)
        for watch in watches:
            await watch
    assert ledger.named("record") == [len(JOBS)]


async def test_a_watch_that_is_stopped_while_its_row_is_written_ends() -> None:
    """One task of the watcher starts another in the context that both share."""
    async with keeping(MemoryLedger(latency_s=1.0), [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        watch.stop()
        with pytest.raises(WatchStopped):
            await watch


async def test_an_outcome_is_delivered_once_and_acknowledged() -> None:
    """From the ledger, while other watches go on."""
    async with keeping(MemoryLedger(), [RUNNING, SUCCEEDED], endpoint=KeptToyEndpoint()) as (watcher, _):
        await watcher.record_all(JOBS[:3])
        assert [await delivery.ack() async for delivery in watcher.outcomes()] == [True] * 3


async def test_leaving_ends_every_watch() -> None:
    """No task is left, and each wait raises `WatcherClosed`."""
    async with watching([RUNNING]) as (watcher, _):
        waits = [asyncio.create_task(watcher.watch(job).wait()) for job in JOBS]
        await asyncio.sleep(3)
    found = await asyncio.gather(*waits, return_exceptions=True)
    assert {type(error) for error in found} == {WatcherClosed}


async def test_a_task_begins_after_the_call_that_starts_it() -> None:
    """One that is cancelled before is never begun, and no coroutine is left unawaited."""
    begun: list[str] = []

    async def work(name: str) -> None:
        begun.append(name)
        await asyncio.sleep(1)
        begun.append(f"{name} is over")

    owner = TaskOwner()
    first: Any = owner.start(work("first"), name="first", context=owner.context)
    never = owner.start(work("never"), name="never")
    never.cancel()
    assert begun == []
    assert "work" in repr(first)
    await first
    assert never.cancelled()
    assert begun == ["first", "first is over"]
    await owner.aclose()
