"""The handle: awaiting, iterating, looking, stopping; by many, late, slowly, and not to the end."""

from __future__ import annotations

import asyncio
import threading
import traceback
import weakref
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import pytest

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.rate_budget import RateBudget
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    DeadlineExceeded,
    JobCancelled,
    JobError,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    PollwiseError,
    RequestRejected,
    RetriesExhausted,
    ServerUnavailable,
    WatchError,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Progressed, Retrying, Succeeded
from pollwise.model.messages import Reply
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.watch import Watch
from pollwise.testing import Answer, Hang
from toy import (
    CANCELLED,
    FAILED,
    RUNNING,
    SUCCEEDED,
    ToyEndpoint,
    ToyJob,
    ToyStatus,
    by_job,
    events_of,
    running,
    settle,
    watching,
    without_garbage_collection,
)

pytestmark = pytest.mark.looptime

ToyWatch = Watch[ToyJob, ToyStatus]
ENDINGS: list[tuple[list[Answer], type[Outcome[Any, Any]], type[PollwiseError]]] = [
    ([RUNNING, FAILED], Failed, JobFailed),
    ([CANCELLED], Cancelled, JobCancelled),
    ([403], Abandoned, PermissionDenied),
    ([400], Abandoned, RequestRejected),
    ([302], Abandoned, RequestRejected),
    ([410], Abandoned, JobNotFound),
    ([404], Abandoned, JobNotFound),
    ([RUNNING, 503], Abandoned, RetriesExhausted),
    ([RUNNING], Abandoned, DeadlineExceeded),
    ([{"no": "state"}], Abandoned, RetriesExhausted),
]
ENDING_IDS = [f"{kind.__name__}-{error.__name__}-{n}" for n, (_, kind, error) in enumerate(ENDINGS)]


def kinds(events: list[Any]) -> list[str]:
    return [type(event).__name__ for event in events]


# --- awaiting raises, iterating reports ---------------------------------------------------------


async def test_awaiting_a_success_gives_the_vendors_status() -> None:
    """`await watch` returns the typed status."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        assert await watcher.watch(ToyJob()) == ToyStatus("succeeded", 10)


@pytest.mark.parametrize(("script", "kind", "error"), ENDINGS, ids=ENDING_IDS)
async def test_awaiting_raises_the_outcomes_error(
    script: list[Answer], kind: type[Outcome[Any, Any]], error: type[PollwiseError]
) -> None:
    """Awaiting a watch raises a typed error for every outcome but a success."""
    async with watching(script, timeout_s=700) as (watcher, _):
        watch = watcher.watch(ToyJob())
        with pytest.raises(error) as caught:
            await watch
        assert type(watch.outcome) is kind
        assert type(caught.value) is type(watch.outcome.error)
        assert str(caught.value) == str(watch.outcome.error)
        assert isinstance(caught.value, JobError) is (kind is not Abandoned)
        assert isinstance(caught.value, WatchError) is (kind is Abandoned)


@pytest.mark.parametrize(("script", "kind", "error"), ENDINGS, ids=ENDING_IDS)
async def test_iterating_reports_the_outcome_and_does_not_raise(
    script: list[Answer], kind: type[Outcome[Any, Any]], error: type[PollwiseError]
) -> None:
    """`async for` ends after exactly one outcome, whatever happened."""
    async with watching(script, timeout_s=700) as (watcher, _):
        *before, last = await events_of(watcher.watch(ToyJob()))
        assert isinstance(last, kind)
        assert isinstance(last.error, error)
        assert all(isinstance(event, (Progressed, Retrying)) for event in before)


async def test_an_error_carries_what_is_known() -> None:
    """The job, the vendor's status and words, and the last poll's error are attributes."""
    script = by_job({"failed": [FAILED], "late": [RUNNING, 503, Hang()], "tired": [503]})
    async with watching(script, timeout_s=100, request_timeout_s=200, retry=Retry(outage_s=1e-9, min_failures=3)) as (
        watcher,
        _,
    ):
        with pytest.raises(JobFailed) as failed:
            await watcher.watch(ToyJob("failed"))
        with pytest.raises(DeadlineExceeded) as late:
            await watcher.watch(ToyJob("late"))
        with pytest.raises(RetriesExhausted) as tired:
            await watcher.watch(ToyJob("tired"))
    assert (failed.value.job, failed.value.status.state, failed.value.reason) == (ToyJob("failed"), "failed", "no disk")
    assert (late.value.timeout_s, str(late.value.last_error)) == (100, str(ServerUnavailable(503)))
    assert (tired.value.failures, str(tired.value.last_error)) == (3, str(ServerUnavailable(503)))
    assert isinstance(tired.value.__cause__, ServerUnavailable)


async def test_events_come_as_they_happen() -> None:
    """Changes, retries and the outcome, each once and in order."""
    async with watching([RUNNING, running(3), running(3), 503, running(5), SUCCEEDED]) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
    assert kinds(events) == ["Progressed", "Progressed", "Retrying", "Progressed", "Succeeded"]
    assert [event.fraction for event in events if isinstance(event, Progressed)] == [None, 0.3, 0.5]
    assert [event.polls for event in events] == [1, 2, 4, 5, 6]


async def test_an_iteration_that_is_over_stays_over() -> None:
    """After the outcome the iterator only ever stops."""
    async with watching([SUCCEEDED]) as (watcher, _):
        view = aiter(watcher.watch(ToyJob()))
        assert isinstance(await anext(view), Succeeded)
        for _ in range(3):
            with pytest.raises(StopAsyncIteration):
                await anext(view)


# --- many, late, after the end ------------------------------------------------------------------


async def test_many_tasks_wait_at_once() -> None:
    """Any number of tasks may await and iterate the same watch; all see the same."""
    async with watching([RUNNING, running(4), SUCCEEDED]) as (watcher, transport):
        watch = watcher.watch(ToyJob())

        async def result() -> ToyStatus:
            return await watch

        async with asyncio.TaskGroup() as group:
            iterating = [group.create_task(events_of(watch)) for _ in range(20)]
            awaiting = [group.create_task(result()) for _ in range(20)]
    assert {task.result().state for task in awaiting} == {"succeeded"}
    assert {tuple(kinds(task.result())) for task in iterating} == {("Progressed", "Progressed", "Succeeded")}
    assert len(transport.times) == 3


async def test_a_task_group_takes_the_wait_for_a_watch() -> None:
    """`group.create_task(watch.wait())` needs no function of the caller's; a cancelled wait leaves the watch open."""
    async with watching([RUNNING, RUNNING, RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        async with asyncio.TaskGroup() as group:
            left = group.create_task(watch.wait())
            stays = group.create_task(watch.wait())
            await asyncio.sleep(1.5)
            left.cancel()
        assert left.cancelled()
        assert stays.result() == ToyStatus("succeeded", 10)


async def test_a_late_reader_begins_with_the_newest_event() -> None:
    """An iteration that begins late starts from what is known, and misses nothing after that."""
    async with watching([running(1), running(2), running(3), SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(1.5)
        fractions = [event.fraction async for event in watch if isinstance(event, Progressed)]
    assert fractions == [0.2, 0.3]


async def test_a_watch_can_be_read_after_its_end() -> None:
    """Awaited and iterated again and again, also when the watcher is closed."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await watch
    for _ in range(3):
        assert kinds(await events_of(watch)) == ["Succeeded"]
        assert (await watch).state == "succeeded"


async def test_a_watch_can_be_read_after_its_end_in_another_loop() -> None:
    """What is over belongs to no event loop any more."""
    async with watching([SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await watch
    found: list[ToyStatus] = []

    async def result() -> ToyStatus:
        return await watch

    thread = threading.Thread(target=lambda: found.append(asyncio.run(result())))
    thread.start()
    thread.join()
    assert found == [ToyStatus("succeeded", 10)]


async def test_an_open_watch_is_not_awaited_in_another_loop() -> None:
    """That would wait for ever; it is refused."""
    async with watching([Hang()]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        raised: list[BaseException] = []

        async def result() -> ToyStatus:
            return await watch

        def elsewhere() -> None:
            try:
                asyncio.run(result())
            except RuntimeError as exc:
                raised.append(exc)

        thread = threading.Thread(target=elsewhere)
        thread.start()
        thread.join()
        assert "attached to a different loop" in str(raised[0])


async def test_last_is_known_without_asking() -> None:
    """`last` is None, then the newest event, then the outcome; looking sends nothing."""
    async with watching([running(1), 503, running(2), SUCCEEDED]) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        assert watch.last is None
        seen = [watch.last async for _ in watch]
        asked = len(transport.times)
        assert kinds(seen) == ["Progressed", "Retrying", "Progressed", "Succeeded"]
        assert watch.last is watch.outcome
        assert len(transport.times) == asked


# --- slow readers -------------------------------------------------------------------------------


async def test_a_slow_reader_gets_the_newest_progress_and_the_outcome() -> None:
    """Unread progress is conflated; polling goes on at its own pace; the outcome is not dropped."""
    script = [running(n) for n in range(10)] + [SUCCEEDED]
    async with watching(script) as (watcher, transport):
        seen: list[Any] = []
        async for event in watcher.watch(ToyJob()):
            seen.append(event)
            if len(seen) == 1:
                await asyncio.sleep(100)
    assert kinds(seen) == ["Progressed", "Progressed", "Succeeded"]
    assert seen[1].fraction == 0.9
    assert transport.times == [float(n) for n in range(11)]


async def test_unread_events_take_no_memory() -> None:
    """Of a thousand changes and retries that no task reads, the newest of each kind is kept, in their order."""
    script: list[Answer] = [answer for n in range(500) for answer in ({"state": "running", "done": n}, 503)]
    async with watching([*script, Hang()], request_timeout_s=7200) as (watcher, _):
        watch = watcher.watch(ToyJob())
        view = aiter(watch)
        await asyncio.sleep(2000)
        watch.stop()
        events = [event async for event in view]
    assert kinds(events) == ["Progressed", "Retrying", "Abandoned"]
    assert events[0].status.done == 499


async def test_the_newest_throttling_is_kept_with_the_rest() -> None:
    """A slow reader gets the newest `Throttled`, too."""
    async with watching([running(1), 503, running(2), Hang()], budget=RateBudget(1, per_s=30)) as (watcher, _):
        watch = watcher.watch(ToyJob())
        view = aiter(watch)
        await asyncio.sleep(80)
        watch.stop()
        events = [event async for event in view]
    assert kinds(events) == ["Retrying", "Progressed", "Throttled", "Abandoned"]


# --- leaving ------------------------------------------------------------------------------------


async def test_leaving_an_iteration_early_stops_no_other_reader() -> None:
    """Breaking out leaks nothing and the others read on."""
    async with watching([running(1), running(2), running(3), SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())

        async def first() -> None:
            async for _ in watch:
                break

        async with asyncio.TaskGroup() as group:
            group.create_task(first())
            other = group.create_task(events_of(watch))
    assert kinds(other.result()) == ["Progressed"] * 3 + ["Succeeded"]


@pytest.mark.parametrize("look", [events_of, lambda watch: asyncio.wait_for(watch, None)], ids=["for", "await"])
async def test_cancelling_a_reader_stops_no_other_reader(look: Callable[[ToyWatch], Awaitable[Any]]) -> None:
    """A cancelled reader stops only itself, and leaves no reference on the watch."""
    async with watching([running(1), running(2), running(3), SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())

        async def reader() -> None:
            await look(watch)

        task = asyncio.create_task(reader())
        other = asyncio.create_task(events_of(watch))
        await asyncio.sleep(1.5)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        subscribers = watch._subscribers
        assert subscribers is not None
        assert (len(subscribers.event_waiters or ()), len(subscribers.outcome_waiters or ())) == (1, 0)
        assert kinds(await other)[-1] == "Succeeded"
        assert watch._subscribers is None


async def test_a_timeout_of_the_callers_own_leaves_the_watch_alone() -> None:
    """`asyncio.timeout` around `await watch` ends the waiting, not the watch."""
    async with watching([RUNNING, RUNNING, RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1.5):
                await watch
        assert watch.outcome is None
        assert (await watch).state == "succeeded"


# --- errors that are raised more than once ------------------------------------------------------


async def test_each_awaiter_has_an_error_of_its_own() -> None:
    """Tracebacks and contexts of tasks that await the same failure do not mix."""
    async with watching([RUNNING, FAILED]) as (watcher, _):
        watch = watcher.watch(ToyJob())

        async def alone(name: str) -> BaseException:
            try:
                raise LookupError(name)  # noqa: TRY301  # what this task happens to be handling
            except LookupError:
                try:
                    await watch
                except JobFailed as exc:
                    return exc
            raise AssertionError

        one, two = await asyncio.gather(alone("one"), alone("two"))
    assert one is not two
    assert [str(error.__context__) for error in (one, two)] == ["one", "two"]
    assert [len(traceback.extract_tb(error.__traceback__)) for error in (one, two)] == [2, 2]
    assert isinstance(watch.outcome, Failed)
    assert watch.outcome.error.__traceback__ is None
    assert watch.outcome.error.__context__ is None


async def test_a_raised_error_keeps_its_cause_and_notes() -> None:
    """The copy that is raised has all that the outcome's error has."""
    async with watching([503], retry=Retry(outage_s=1e-9, min_failures=2)) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await events_of(watch)
        assert isinstance(watch.outcome, Abandoned)
        watch.outcome.error.add_note("seen on a Monday")
        with pytest.raises(RetriesExhausted) as caught:
            await watch
    assert isinstance(caught.value.__cause__, ServerUnavailable)
    caught.value.add_note("by one of many")
    assert caught.value.__notes__ == ["seen on a Monday", "by one of many"]
    assert watch.outcome.error.__notes__ == ["seen on a Monday"]


class Stubborn(WatchError):
    """An endpoint's own error, which cannot be copied."""

    def __init__(self, one: str, two: str) -> None:
        super().__init__(one)
        self.two = two


class StubbornEndpoint(ToyEndpoint):
    def read(self, reply: Reply, /) -> Any:
        raise Stubborn("one", "two")


async def test_an_error_that_cannot_be_copied_is_raised_itself() -> None:
    """An endpoint's own error arrives, however it is made."""
    async with watching([RUNNING], endpoint=StubbornEndpoint()) as (watcher, _):
        watch = watcher.watch(ToyJob())
        for _ in range(3):
            with pytest.raises(Stubborn, match="one") as caught:
                await watch
            assert len(caught.traceback) <= 3


# --- nothing is left ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "script",
    [[SUCCEEDED], [running(1), 503, 429, running(2), SUCCEEDED], [FAILED], [503], [404], [Hang()], [{"no": 1}], [401]],
    ids=str,
)
@pytest.mark.parametrize("how", ["await", "for", "stop"])
async def test_a_watch_that_is_over_is_freed_at_once(script: list[Answer], how: str) -> None:
    """Counting references is enough: no cycle leads back to a watch, not even by an error's traceback."""
    async with watching(script, timeout_s=20, retry=Retry(outage_s=1e-9, min_failures=3)) as (watcher, _):

        async def one() -> weakref.ref[ToyJob]:
            job = ToyJob("freed")
            watch = watcher.watch(job)
            watch.on_outcome(lambda over: None)
            if how == "stop":
                await asyncio.sleep(0)
                watch.stop()
            if how == "for":
                await events_of(watch)
            else:
                with suppress(PollwiseError):
                    await watch
            return weakref.ref(job)

        with without_garbage_collection():
            job = await one()
            await asyncio.sleep(40)  # what was stopped is forgotten when it would have fallen due
            assert job() is None


async def test_watches_that_are_left_open_are_freed_too() -> None:
    """After the watcher is left nothing of it holds a watch."""
    with without_garbage_collection():

        async def one() -> weakref.ref[ToyJob]:
            job = ToyJob("freed")
            async with watching([running(1)], pacing=Pacing.fixed(50)) as (watcher, _):
                watch = watcher.watch(job)
                await asyncio.sleep(1)
            assert isinstance(watch.outcome, Abandoned)
            return weakref.ref(job)

        job = await one()
        await settle()
        assert job() is None


# --- callbacks ----------------------------------------------------------------------------------


async def test_callbacks_hear_of_the_outcome_once() -> None:
    """`on_outcome` calls with the watch at its end, or at once if that has passed."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        notified: list[ToyWatch] = []
        watch.on_outcome(notified.append)
        watch.on_outcome(notified.append)
        await asyncio.sleep(0.5)
        assert notified == []
        await watch
        assert notified == [watch, watch]
        watch.on_outcome(notified.append)
        assert notified == [watch] * 3


@pytest.mark.parametrize("end", ["reply", "deadline", "stop", "leave", "late"])
async def test_a_callback_that_raises_stops_no_other(end: str) -> None:
    """It is reported to the event loop; the other callbacks, the pool and the watcher's exit go on."""
    reported: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _loop, context: reported.append(context))
    script = by_job({"a": [SUCCEEDED] if end in {"reply", "late"} else [Hang()], "b": [RUNNING, SUCCEEDED]})

    def broken(watch: ToyWatch) -> None:
        raise LookupError(watch.job.id)

    notified: list[ToyWatch] = []
    async with watching(script, timeout_s=30, concurrency=1) as (watcher, _):
        watch = watcher.watch(ToyJob("a"))
        if end == "late":
            await watch
        watch.on_outcome(broken)
        watch.on_outcome(notified.append)
        await asyncio.sleep(0)
        if end == "stop":
            watch.stop()
        if end != "leave":
            await events_of(watch)
            assert (await watcher.watch(ToyJob("b"))).state == "succeeded"
    assert notified == [watch]
    assert [(type(context["exception"]), context["watch"]) for context in reported] == [(LookupError, watch)]


async def test_a_callback_may_do_whatever_it_wants_with_the_watcher() -> None:
    """It may stop this watch or others, and watch the same job again."""
    async with watching(by_job({"a": [SUCCEEDED], "b": [Hang()]})) as (watcher, transport):
        other = watcher.watch(ToyJob("b"))
        again: list[ToyWatch] = []

        def meddle(watch: ToyWatch) -> None:
            watch.stop()
            other.stop()
            again.append(watcher.watch(watch.job))

        watch = watcher.watch(ToyJob("a"))
        watch.on_outcome(meddle)
        assert (await watch).state == "succeeded"
        with pytest.raises(WatchStopped):
            await other
        assert again[0] is not watch
        assert (await again[0]).state == "succeeded"
    assert len(transport.times) == 3


class _Owner:
    """Drives nothing."""

    def __init__(self) -> None:
        self.loop = asyncio.get_running_loop()

    def stop(self, watch: Watch[Any, Any], /) -> None:
        raise AssertionError(watch)


async def test_a_callback_can_end_the_program() -> None:
    """SystemExit and KeyboardInterrupt pass through."""
    machine: WatchMachine[ToyJob, ToyStatus] = WatchMachine(
        ToyJob(), Policy(pacing=Pacing(), retry=Retry(), timeout_s=None), now=0.0
    )
    watch: ToyWatch = DrivenWatch(machine, _Owner())

    def leave(_watch: ToyWatch) -> None:
        raise SystemExit

    watch.on_outcome(leave)
    news = machine.on_stop(WatchStopped(ToyJob()), now=1.0)
    assert news is StepResult.OVER
    with pytest.raises(SystemExit):
        watch.notify(news, 1.0)


# --- what it is ---------------------------------------------------------------------------------


async def test_a_waiting_watch_is_a_small_record() -> None:
    """It has slots and no dict, and nothing for an subscribers that it does not have."""
    async with watching([RUNNING, Hang()]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(0.5)
        assert not hasattr(watch, "__dict__")
        assert watch._subscribers is None
        assert watch.machine.polls == 1


async def test_a_watch_says_what_it_is_doing() -> None:
    """Its repr names the job and how it stands."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        assert repr(watch) == "<Watch ToyJob(id='a') new polls=0>"
        await asyncio.sleep(0.5)
        assert repr(watch) == "<Watch ToyJob(id='a') running polls=1>"
        await watch
        assert repr(watch) == "<Watch ToyJob(id='a') Succeeded polls=2>"
        assert watch.job == ToyJob()


async def test_completion_shows_a_caller_no_internals() -> None:
    """A handle offers what `Watch` documents, and nothing else."""
    async with watching([RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        offered = [name for name in dir(watch) if not name.startswith("_")]
        assert offered == [
            "cancel",
            "job",
            "last",
            "on_outcome",
            "outcome",
            "result",
            "resume_token",
            "save_result",
            "stop",
            "wait",
        ]
        assert [name for name in dir(Watch) if not name.startswith("_")] == offered
