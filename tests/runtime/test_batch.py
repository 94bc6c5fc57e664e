"""`as_completed` and `gather`: many jobs, from any iterable, read at the caller's pace."""

from __future__ import annotations

import asyncio
import gc
import logging
import tracemalloc
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Callable, Iterable, Iterator
from contextlib import aclosing
from itertools import count, pairwise
from typing import Any

import pytest

from pollwise.core.pacing import Pacing
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.model.events import Abandoned, Outcome, Succeeded
from pollwise.model.messages import Request
from pollwise.testing import Answer, Hang, Slow, run
from toy import RUNNING, SUCCEEDED, ToyJob, ToyStatus, by_job, job_of, settle, watching

pytestmark = pytest.mark.looptime


def jobs(count: int) -> list[ToyJob]:
    return [ToyJob(str(n)) for n in range(count)]


def feeders() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name() == "pollwise-feeder"]


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


def taking(request: Request) -> Answer:
    """Job n takes n seconds."""
    return Slow(SUCCEEDED, float(job_of(request)))


async def read_into(seen: list[str], outcomes: AsyncIterable[Outcome[ToyJob, ToyStatus]]) -> None:
    async for outcome in outcomes:
        seen.append(outcome.job.id)  # what was read before it raised counts


async def trickle(source: Iterable[ToyJob]) -> AsyncIterator[ToyJob]:
    for job in source:
        await asyncio.sleep(0.1)
        yield job


SOURCES: dict[str, Callable[[Iterable[ToyJob]], Iterable[ToyJob] | AsyncIterable[ToyJob]]] = {
    "list": list,
    "set": set,
    "generator": lambda source: (job for job in source),
    "async generator": trickle,
}


# --- where jobs come from -----------------------------------------------------------------------


@pytest.mark.parametrize("source", SOURCES.values(), ids=SOURCES)
@pytest.mark.parametrize("capacity", [1, 3, 1000])
async def test_each_job_has_one_outcome_as_it_comes(
    source: Callable[[Iterable[ToyJob]], Iterable[ToyJob] | AsyncIterable[ToyJob]], capacity: int
) -> None:
    """Any iterable will do; as many outcomes as jobs."""
    async with watching(taking, capacity=capacity) as (watcher, _):
        outcomes = [outcome async for outcome in watcher.as_completed(source(jobs(10)))]
    assert sorted(outcome.job.id for outcome in outcomes) == sorted(job.id for job in jobs(10))
    assert {type(outcome) for outcome in outcomes} == {Succeeded}


async def test_outcomes_come_in_the_order_of_the_ends() -> None:
    """The first that is over comes first."""
    async with watching(taking) as (watcher, _):
        seen = [outcome.job.id async for outcome in watcher.as_completed(reversed(jobs(10)))]
    assert seen == [str(n) for n in range(10)]


async def test_the_same_job_twice_has_two_outcomes_and_one_watch() -> None:
    """Duplicates are asked once while they are open together."""
    async with watching(lambda _: Slow(SUCCEEDED, 1.0)) as (watcher, transport):
        outcomes = [outcome async for outcome in watcher.as_completed([*jobs(3), *jobs(2), *jobs(1)])]
    assert Counter(outcome.job.id for outcome in outcomes) == {"0": 3, "1": 2, "2": 1}
    assert len(transport.times) == 3


@pytest.mark.parametrize("nothing", [[], (), iter(()), trickle(())], ids=["list", "tuple", "iterator", "async"])
async def test_no_jobs_have_no_outcomes(nothing: Iterable[ToyJob] | AsyncIterable[ToyJob]) -> None:
    """The stream just ends."""
    async with watching([SUCCEEDED]) as (watcher, _):
        assert [outcome async for outcome in watcher.as_completed(nothing)] == []


async def test_failures_are_outcomes_too() -> None:
    """The stream does not raise for what happened to a job."""
    script = by_job({"0": [SUCCEEDED], "1": [{"state": "failed"}], "2": [{"state": "cancelled"}], "3": [403]})
    async with watching(script) as (watcher, _):
        seen = {type(outcome).__name__ async for outcome in watcher.as_completed(jobs(4))}
    assert seen == {"Succeeded", "Failed", "Cancelled", "Abandoned"}


# --- capacity -----------------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_lazy_source_is_never_pulled_further_than_capacity(is_async: bool) -> None:
    """What is open or waits to be read is never more than `capacity`; nothing is pulled in advance of that."""
    pulled, read, most = 0, 0, 0

    def source() -> Iterator[ToyJob]:
        nonlocal pulled, most
        for job in jobs(30):
            pulled += 1
            most = max(most, pulled - read)
            yield job

    async with watching(taking, capacity=3) as (watcher, _):
        async for _ in watcher.as_completed(trickle(source()) if is_async else source()):
            read += 1
            if read == 5:
                await asyncio.sleep(500)
                assert watcher.open_count == 0
    assert (pulled, read, most) == (30, 30, 3)


async def test_100_000_jobs_are_taken_without_holding_the_loop() -> None:
    """Between any two steps of the rest of the program only a handful is taken, polled or ended."""

    async def main() -> list[tuple[int, int]]:
        seen: list[tuple[int, int]] = []
        async with watching([Hang()], timeout_s=None, request_timeout_s=1e6, concurrency=10) as (watcher, transport):

            async def look() -> None:
                while watcher.open_count < 100_000:
                    seen.append((watcher.open_count, len(transport.requests)))
                    await asyncio.sleep(0)

            looking = asyncio.create_task(look())
            outcomes = watcher.as_completed(ToyJob(str(n)) for n in range(100_000))
            reading = asyncio.create_task(anext(outcomes))
            await looking
            reading.cancel()
        return seen

    seen = await asyncio.to_thread(run, main(), debug=False)
    steps = [later - earlier for (earlier, _), (later, _) in pairwise(seen)]
    assert max(steps) <= 200
    assert len(seen) >= 500


# --- a source that fails ------------------------------------------------------------------------


@pytest.mark.parametrize("is_async", [False, True])
async def test_what_the_source_raises_comes_out(is_async: bool) -> None:
    """After the outcomes of all jobs before it, also of those that take longer. The stream is over then."""

    def source() -> Iterator[ToyJob]:
        yield from jobs(3)
        raise LookupError("no more rows")

    async with watching(taking, capacity=2) as (watcher, _):
        outcomes = watcher.as_completed(trickle(source()) if is_async else source())
        seen: list[str] = []
        with pytest.raises(LookupError, match="no more rows"):
            await read_into(seen, outcomes)
        assert seen == ["0", "1", "2"]
        for _ in range(2):
            with pytest.raises(StopAsyncIteration):
                await anext(outcomes)
        assert watcher.open_count == 0


@pytest.mark.parametrize("is_async", [False, True])
async def test_a_file_that_turns_bad_loses_no_outcome_of_what_had_begun(is_async: bool) -> None:
    """However many jobs had begun, and however the capacity bounds them; then the caller's error comes out."""
    rows = [str(n % 7) for n in range(300)]

    def source() -> Iterator[ToyJob]:
        for n, row in enumerate(rows):
            yield ToyJob(f"{row}.{n}")
        raise LookupError("line 301")

    async with watching(taking, capacity=50) as (watcher, _):
        seen: list[str] = []
        with pytest.raises(LookupError, match="line 301"):
            await read_into(seen, watcher.as_completed(trickle(source()) if is_async else source()))
    assert len(seen) == len(set(seen)) == 300


async def test_gather_raises_what_the_source_raises_when_its_watches_are_over() -> None:
    """No watch that it began is left open behind it."""

    def source() -> Iterator[ToyJob]:
        yield from jobs(3)
        raise LookupError("no more rows")

    async with watching(taking) as (watcher, _):
        with pytest.raises(LookupError, match="no more rows"):
            await watcher.gather(source())
        assert watcher.open_count == 0


async def test_a_reader_may_be_cancelled_while_it_waits_for_the_error() -> None:
    """The next call goes on: first with the outcomes that are still to come, then with the error."""

    def source() -> Iterator[ToyJob]:
        yield from jobs(3)
        raise LookupError

    async with watching(taking) as (watcher, _):
        outcomes = watcher.as_completed(source())
        assert (await anext(outcomes)).job.id == "0"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.5):
                await anext(outcomes)
        seen: list[str] = []
        with pytest.raises(LookupError):
            await read_into(seen, outcomes)
        assert seen == ["1", "2"]


async def test_leaving_the_watcher_does_not_hide_the_error_of_the_source() -> None:
    """The watches that had begun are abandoned, and then the source's own error comes out."""

    def source() -> Iterator[ToyJob]:
        yield from jobs(3)
        raise LookupError

    async with watching([Hang()]) as (watcher, _):
        outcomes = watcher.as_completed(source())
        waiting = asyncio.create_task(anext(outcomes))
        await asyncio.sleep(0.5)
    assert isinstance(await waiting, Abandoned)
    rest: list[str] = []
    with pytest.raises(LookupError):
        await read_into(rest, outcomes)
    assert rest == ["1", "2"]


async def test_a_source_that_raises_is_no_news_to_who_has_left(caplog: pytest.LogCaptureFixture) -> None:
    """An exception that no task waits for is not reported."""

    def source() -> Iterator[ToyJob]:
        yield from jobs(3)
        raise LookupError

    async with watching(taking, capacity=3) as (watcher, _):
        async for _ in watcher.as_completed(source()):
            raised = await asyncio.sleep(1, result=True)
            break
        assert raised
        gc.collect()
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


async def test_a_job_that_cannot_be_watched_comes_out_of_the_stream() -> None:
    """What is no job at all is the caller's mistake, and is said so."""
    wrong: Any = [ToyJob("3"), ["unhashable"], ToyJob("1")]
    async with watching(taking) as (watcher, _):
        seen: list[str] = []
        with pytest.raises(ConfigurationError, match="a job must be hashable"):
            await read_into(seen, watcher.as_completed(wrong))
        assert seen == ["3"]
        with pytest.raises(TypeError, match="not iterable"):
            await anext(watcher.as_completed(42))  # type: ignore[arg-type]


@pytest.mark.parametrize("error", [asyncio.CancelledError, GeneratorExit, type("More", (BaseException,), {})])
async def test_a_source_that_dies_of_more_than_an_exception_is_no_end(error: type[BaseException]) -> None:
    """A stream that was cut short never looks like one that is complete."""

    async def source() -> AsyncIterator[ToyJob]:
        yield ToyJob("0")
        raise error

    class Source:
        def __aiter__(self) -> AsyncIterator[ToyJob]:
            return source()

    async with watching(taking) as (watcher, _):
        seen: list[str] = []
        with pytest.raises(error):
            await read_into(seen, watcher.as_completed(Source()))
        assert seen == ["0"]
        await settle()
        assert feeders() == []


# --- leaving ------------------------------------------------------------------------------------


class Tidy:
    """A source that notes when it was closed."""

    def __init__(self) -> None:
        self.closed = False

    async def jobs(self) -> AsyncIterator[ToyJob]:
        try:
            for job in jobs(100):
                yield job
                await asyncio.sleep(0.25)
        finally:
            await asyncio.sleep(0.01)
            self.closed = True


@pytest.mark.parametrize("capacity", [3, 1000])
async def test_leaving_early_takes_no_more_jobs(capacity: int) -> None:
    """The feeder is gone, its source is closed, and the watches that were begun go on."""
    tidy = Tidy()
    async with watching(taking, capacity=capacity) as (watcher, transport):
        async for _ in watcher.as_completed(tidy.jobs()):
            break
        await asyncio.sleep(0.1)
        assert feeders() == []
        assert tidy.closed
        taken = len(transport.times)
        await asyncio.sleep(10)
        assert len(transport.times) == taken


async def test_closing_waits_until_the_source_is_closed() -> None:
    """With `aclosing`, everything of the stream is over when the block is."""
    tidy = Tidy()
    async with watching(taking) as (watcher, _):
        async with aclosing(watcher.as_completed(tidy.jobs())) as outcomes:
            async for _ in outcomes:
                break
        assert tidy.closed
        assert feeders() == []
        with pytest.raises(StopAsyncIteration):
            await anext(outcomes)


async def test_a_stream_that_is_closed_before_it_began_takes_nothing() -> None:
    """Not a job, and not a task."""
    async with watching(taking) as (watcher, transport):
        outcomes = watcher.as_completed(jobs(3))
        await outcomes.aclose()
        assert [outcome async for outcome in outcomes] == []
        watcher.as_completed(jobs(3))
        await settle()
        assert transport.times == []
        assert feeders() == []


async def test_cancelling_a_reader_loses_no_outcome() -> None:
    """A reader that was cancelled while it waited can continue."""
    async with watching(taking) as (watcher, _):
        outcomes = watcher.as_completed(jobs(6))
        seen: list[str] = []
        interrupted = 0
        while len(seen) < 6:
            try:
                await asyncio.wait_for(read_into(seen, outcomes), 0.4)
            except TimeoutError:
                interrupted += 1
    assert seen == [str(n) for n in range(6)]
    assert interrupted >= 5


async def test_a_cancelled_reader_that_is_dropped_takes_the_feeder_with_it() -> None:
    """Cancelling the task that reads is as good as leaving the loop."""
    async with watching([Hang()], capacity=2) as (watcher, _):

        async def read() -> None:
            async for _ in watcher.as_completed(jobs(5)):
                pass

        task = asyncio.create_task(read())
        await asyncio.sleep(1)
        assert len(feeders()) == 1
        task.cancel()
        await asyncio.wait([task])
        del task
        await settle()
        gc.collect()
        await settle()
        assert feeders() == []


async def test_leaving_the_watcher_ends_the_stream_with_an_error() -> None:
    """The watches that were open are abandoned, and then it is said that jobs were left out."""
    async with watching(taking, capacity=4, concurrency=2) as (watcher, _):
        outcomes = watcher.as_completed(jobs(100))
        assert (await anext(outcomes)).job.id == "0"
        waiting = asyncio.create_task(anext(outcomes))
        await asyncio.sleep(0.5)
    assert others() - {waiting} == set()
    assert isinstance(await waiting, Abandoned)
    rest: list[str] = []
    with pytest.raises(WatcherClosed):
        await read_into(rest, outcomes)
    assert len(rest) == 3


async def test_leaving_the_watcher_loses_no_outcome_of_a_stream() -> None:
    """However many were begun: each of them first, and then it is said that jobs were left out."""
    async with watching([Hang()], capacity=1_000) as (watcher, _):
        found: list[str] = []
        reading = asyncio.create_task(read_into(found, watcher.as_completed(ToyJob(str(n)) for n in count())))
        await asyncio.sleep(0.5)
        assert watcher.open_count == 1_000
    with pytest.raises(WatcherClosed):
        await reading
    assert len(found) == 1_000


async def test_a_stream_whose_feeder_is_ended_before_its_first_step_says_so() -> None:
    """Read by a task that begins in the very turn in which the watcher is left."""
    async with watching([SUCCEEDED]) as (watcher, transport):
        reading = asyncio.create_task(watcher.gather(jobs(3)))
        await asyncio.sleep(0)
    async with asyncio.timeout(10):
        with pytest.raises(WatcherClosed):
            await reading
    assert transport.times == []


async def test_leaving_the_watcher_ends_a_stream_whose_jobs_are_all_taken() -> None:
    """Then every job has its outcome, and nothing is missing."""
    async with watching([Hang()]) as (watcher, _):
        outcomes = watcher.as_completed(jobs(5))
        waiting = asyncio.create_task(anext(outcomes))
        await asyncio.sleep(0.5)
    rest = [await waiting, *[outcome async for outcome in outcomes]]
    assert [type(outcome) for outcome in rest] == [Abandoned] * 5


async def test_a_stream_is_not_begun_on_a_closed_watcher() -> None:
    """Neither jobs nor a task are taken for it."""
    async with watching([SUCCEEDED]) as (watcher, transport):
        outcomes = watcher.as_completed(jobs(5))
    with pytest.raises(WatcherClosed):
        await anext(outcomes)
    async with watcher:
        with pytest.raises(WatcherClosed):
            await anext(outcomes)
    assert transport.times == []


def test_a_stream_may_outlive_its_event_loop() -> None:
    """It is collected without a word."""

    async def main() -> Any:
        async with watching([SUCCEEDED], capacity=1) as (watcher, _):
            outcomes = watcher.as_completed(jobs(5))
            await anext(outcomes)
            return outcomes, await watcher.__aexit__(None, None, None)

    outcomes, _ = run(main(), debug=True)
    outcomes._feeder = asyncio.new_event_loop().create_future()  # as if it had been left pending
    outcomes._feeder.get_loop().close()
    del outcomes


# --- many readers -------------------------------------------------------------------------------


async def test_a_stream_can_be_shared_by_many_readers() -> None:
    """Each outcome goes to one reader, and each reader ends."""
    async with watching(taking) as (watcher, _):
        outcomes = watcher.as_completed(jobs(12))

        async def read() -> list[str]:
            return [await asyncio.sleep(2.5, result=outcome.job.id) async for outcome in outcomes]

        found = await asyncio.gather(*[read() for _ in range(4)])
    assert sorted(int(job) for part in found for job in part) == list(range(12))
    assert all(found)


async def test_several_streams_of_one_watcher_do_not_mix() -> None:
    """Each has the outcomes of its own jobs, those that they share included."""
    async with watching(taking) as (watcher, transport):
        one, two = await asyncio.gather(watcher.gather(jobs(5)), watcher.gather(list(reversed(jobs(8)))))
    assert [outcome.job.id for outcome in one] == [str(n) for n in range(5)]
    assert [outcome.job.id for outcome in two] == [str(n) for n in reversed(range(8))]
    assert len(transport.times) == 8


# --- gather -------------------------------------------------------------------------------------


@pytest.mark.parametrize("source", [list, trickle], ids=["list", "async generator"])
async def test_gather_keeps_the_order_of_the_jobs(source: Any) -> None:
    """Whatever the order of the ends; the same job twice is there twice."""
    order = [ToyJob(name) for name in "5130251"]
    async with watching(taking, capacity=3) as (watcher, _):
        outcomes = await watcher.gather(source(order))
    assert [outcome.job for outcome in outcomes] == order


async def test_gather_that_is_cancelled_leaves_no_feeder() -> None:
    """Nor an open source; the watches that it began go on."""
    tidy = Tidy()
    async with watching(taking) as (watcher, _):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await watcher.gather(tidy.jobs())
        assert tidy.closed
        assert feeders() == []
        assert watcher.open_count > 0


# --- what it takes ------------------------------------------------------------------------------


def test_an_open_watch_of_a_batch_stays_small() -> None:
    """Watch, machine and all that a batch adds to it: about a kilobyte each, and none of it when they are over."""

    async def main() -> tuple[float, float]:
        pacing, unlimited = Pacing.fixed(50), RateBudget(100, per_s=1e-6)
        given = jobs(500)
        async with watching([RUNNING], timeout_s=60, pacing=pacing, budget=unlimited) as (watcher, transport):

            async def one_round() -> tuple[float, float]:
                outcomes = watcher.as_completed(given)
                reading = asyncio.create_task(anext(outcomes))
                await asyncio.sleep(40)
                assert watcher.open_count == len(transport.requests) == len(given)
                transport.requests.clear()
                open_now = tracemalloc.get_traced_memory()[0]
                await reading
                async for _ in outcomes:
                    pass
                transport.requests.clear()
                return open_now, tracemalloc.get_traced_memory()[0]

            tracemalloc.start()
            _, over_then = await one_round()
            open_now, over_now = await one_round()
            tracemalloc.stop()
        return (open_now - over_then) / len(given), (over_now - over_then) / len(given)

    each, left = run(main())
    assert each < 1000
    assert left < 20
