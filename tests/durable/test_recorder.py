"""The recorder as a whole: contexts, tasks, and being cancelled at any moment."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import AsyncIterator, Sequence
from typing import ClassVar

import pytest

from kept_toy import MemoryLedger, acknowledged, keeping, toys
from pollwise.errors import WatcherClosed
from pollwise.ledger import Concluded, NewWatch, OpenWatch, Recorded
from pollwise.model.events import Abandoned
from pollwise.testing import Hang, run
from pollwise.watcher import JobWatcher
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job, events_of, settle

REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


class Noting(MemoryLedger):
    """Notes in which context it is called."""

    names: ClassVar[set[str]] = set()

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        self.names = self.names | {REQUEST_ID.get()}
        return await super().record(watches)


@pytest.mark.looptime
async def test_the_ledger_is_called_in_the_context_that_opened_the_watcher() -> None:
    """Not in the context of the first call of `watch`."""
    REQUEST_ID.set("opener")
    ledger = Noting()
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):

        async def handler(name: str) -> None:
            REQUEST_ID.set(name)
            await watcher.watch(ToyJob(name))

        async with asyncio.TaskGroup() as group:
            group.create_task(handler("one"))
            group.create_task(handler("two"))
    assert ledger.names == {"opener"}


@pytest.mark.looptime
async def test_an_idle_watcher_has_no_task_for_its_ledger() -> None:
    """There is one only while there is something to write."""
    async with keeping(MemoryLedger(), [Hang()]) as (watcher, _):
        await watcher.record_all(toys(3))
        await asyncio.sleep(5)
        assert [task for task in asyncio.all_tasks() if "pollwise" in task.get_name()] == [
            task for task in asyncio.all_tasks() if "poller" in task.get_name()
        ]


@pytest.mark.looptime
async def test_a_watcher_with_a_ledger_can_be_opened_again_while_it_closes() -> None:
    """What was under way when it was left does not come between."""
    ledger = MemoryLedger()
    async with keeping(ledger, by_job({"a": [SUCCEEDED], "b": [FAILED]})) as (watcher, _):
        old = await watcher.record(ToyJob("a"))
        ledger.latency_s = 5.0
        await asyncio.sleep(0.5)
        leaving = asyncio.create_task(watcher.__aexit__(None, None, None))
        await settle()
        async with watcher:
            new = watcher.watch(ToyJob("a"))
            assert new is not old
            assert (await new).state == "succeeded"
            await leaving
            assert (await old).state == "succeeded"
            assert watcher.open_count == 0


async def _everything(ledger: MemoryLedger) -> None:
    """Uses all that a watcher with a ledger has."""
    script = by_job({"a": [RUNNING, SUCCEEDED], "b": [RUNNING, 503, FAILED], "c": [Hang()], "d": [403]})
    async with keeping(ledger, script, timeout_s=8, concurrency=2) as (watcher, _):
        await watcher.resume()
        async with asyncio.TaskGroup() as group:
            group.create_task(acknowledged(watcher))
            group.create_task(events_of(watcher.watch(ToyJob("c"))))
            group.create_task(watcher.record_all([ToyJob("a"), ToyJob("d")]))
            group.create_task(watcher.gather([ToyJob("a"), ToyJob("b")]))


@pytest.mark.parametrize("at", [0.0, 0.01, 1.0, 2.0, 7.9])
@pytest.mark.parametrize("again_after", [None, 1])
def test_it_can_be_cancelled_at_every_step(at: float, again_after: int | None) -> None:
    """Whenever that is, once or twice: no task is left, no row is wrong, and the next run finishes the work."""

    async def cancelled_after(steps: int) -> None:
        ledger = MemoryLedger(latency_s=0.001)
        main = asyncio.create_task(_everything(ledger))
        await asyncio.sleep(at)
        for _ in range(steps):
            await asyncio.sleep(0)
        done = main.done()
        main.cancel()
        if again_after is not None:
            await asyncio.sleep(0)
            main.cancel()
        await asyncio.wait([main])
        assert main.cancelled() or done
        await settle()
        assert asyncio.all_tasks() == {asyncio.current_task()}
        assert all(isinstance(row, (OpenWatch, Concluded)) for row in ledger.rows.values())
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            await watcher.resume()
            jobs = [ToyJob(name) for name in "abcd"]
            outcomes = await watcher.gather(jobs)
            assert not any(
                isinstance(outcome, Abandoned) and isinstance(outcome.error, WatcherClosed) for outcome in outcomes
            )
            await acknowledged(watcher)
        assert all(isinstance(row, Concluded) and row.acknowledged for row in ledger.rows.values())
        assert len(ledger.rows) == 4

    for steps in range(0, 40, 3):
        run(cancelled_after(steps), debug=True)


@pytest.mark.looptime
@pytest.mark.parametrize("at", [1.0, 2.5, 3.5, 4.5])
async def test_foreign_code_that_cancels_its_tasks_keeps_no_task_waiting(at: float) -> None:
    """Rows and outcomes that were under way are written a little later."""
    ledger = MemoryLedger(latency_s=2.0)
    async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        recording = asyncio.create_task(watcher.record(ToyJob()))
        await asyncio.sleep(at)
        for task in asyncio.all_tasks():
            if task.get_name().startswith("pollwise-") and "poller" not in task.get_name():
                task.cancel()
        assert (await asyncio.wait_for(watch, 20)).state == "succeeded"
        assert await recording is watch
    assert isinstance(ledger.of(id="a"), Concluded)
    assert len(ledger.rows) == 1


class Short(MemoryLedger):
    """Answers for one row fewer than it was asked for."""

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        return (await super().record(watches))[1:]


@pytest.mark.looptime
async def test_a_ledger_that_answers_nonsense() -> None:
    """Keeps no task waiting either."""
    async with keeping(Short(), [SUCCEEDED]) as (watcher, transport):
        outcomes = await watcher.gather(toys(3))
        assert all(isinstance(outcome, Abandoned) for outcome in outcomes)
        assert transport.requests == []


@pytest.mark.looptime
async def test_being_cancelled_while_leaving_does_not_leave_a_recording_open() -> None:
    """A task that waits for a row that will not be written gets an error."""
    ledger = MemoryLedger()
    waiting: list[asyncio.Task[object]] = []

    async def main() -> None:
        async with keeping(ledger, [SUCCEEDED]) as (watcher, _):
            ledger.latency_s = 100.0
            waiting.append(asyncio.create_task(watcher.record(ToyJob())))
            await asyncio.sleep(1)
            watcher.watch(ToyJob()).stop()

    task = asyncio.create_task(main())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.wait([task])
    assert isinstance((await asyncio.gather(*waiting, return_exceptions=True))[0], WatcherClosed)


@pytest.mark.looptime
@pytest.mark.parametrize("watches", [1, 300])
@pytest.mark.parametrize("follow", [True, False])
async def test_being_cancelled_while_leaving_keeps_no_reader_waiting(watches: int, follow: bool) -> None:
    """Whether watches are still ending, or what they came to is still written down."""
    ledger = MemoryLedger()
    readers: list[asyncio.Task[object]] = []
    leaving = asyncio.Event()

    async def main() -> None:
        async with keeping(ledger, [Hang()]) as (watcher, _):
            await watcher.record_all(toys(watches))
            readers.append(asyncio.create_task(anext(watcher.outcomes(follow=follow), None)))
            await asyncio.sleep(1)
            ledger.latency_s = 100.0
            leaving.set()

    task = asyncio.create_task(main())
    await leaving.wait()
    task.cancel()
    await asyncio.wait([task])
    async with asyncio.timeout(1):
        (found,) = await asyncio.gather(*readers, return_exceptions=True)
    assert found is None if follow else isinstance(found, WatcherClosed)


@pytest.mark.looptime
async def test_jobs_that_are_slow_to_come_are_not_begun_in_the_next_session() -> None:
    """`record_all` ends with the block that it was called in, even if the watcher is opened again meanwhile."""

    async def slowly() -> AsyncIterator[ToyJob]:
        for job in toys(2):
            yield job
            await asyncio.sleep(5)

    async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
        recording = asyncio.create_task(watcher.record_all(slowly()))
        await asyncio.sleep(1)
        await watcher.__aexit__(None, None, None)
        async with watcher:
            with pytest.raises(WatcherClosed):
                await recording
            assert watcher.open_count == 0


def test_a_watcher_of_another_loop_is_refused() -> None:
    """As without a ledger."""

    async def here() -> None:
        async with keeping(MemoryLedger(), [RUNNING]) as (watcher, _):
            with pytest.raises(RuntimeError, match="event loop"):
                await asyncio.to_thread(asyncio.run, elsewhere(watcher))
            assert watcher.open_count == 0

    async def elsewhere(watcher: JobWatcher[ToyJob, object]) -> None:
        watcher.watch(ToyJob())

    asyncio.run(here())
