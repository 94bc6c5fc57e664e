"""JobWatcher: opening and closing, single flight, sharing, and being cancelled at any moment."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from pollwise.core.pacing import Pacing
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError, WatcherClosed, WatchStopped
from pollwise.http.transport import AiohttpTransport
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.limits import Limits, RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.runtime.watch import Watch
from pollwise.testing import Answer, Hang, ScriptedTransport, Slow, reply, run
from pollwise.watcher import JobWatcher
from toy import (
    FAILED,
    RUNNING,
    SUCCEEDED,
    ToyAuth,
    ToyEndpoint,
    ToyJob,
    ToyStatus,
    by_job,
    events_of,
    job_of,
    running,
    settle,
    watching,
)

pytestmark = pytest.mark.looptime

ToyWatcher = JobWatcher[ToyJob, ToyStatus]


def others() -> set[asyncio.Task[Any]]:
    return asyncio.all_tasks() - {asyncio.current_task()}


# --- one job or many ----------------------------------------------------------------------------


async def test_the_same_job_is_asked_once() -> None:
    """Watched twice while it is open, a job has one watch and one stream of polls."""
    async with watching([RUNNING, RUNNING, SUCCEEDED]) as (watcher, transport):
        one, two = watcher.watch(ToyJob()), watcher.watch(ToyJob())
        assert one is two
        await asyncio.sleep(1.5)
        assert watcher.watch(ToyJob()) is one
        await one
        assert len(transport.times) == 3


async def test_a_job_that_is_over_can_be_watched_anew() -> None:
    """After the end a new watch asks again."""
    async with watching([SUCCEEDED, RUNNING, SUCCEEDED]) as (watcher, transport):
        one = watcher.watch(ToyJob())
        await one
        two = watcher.watch(ToyJob())
        assert two is not one
        await two
    assert len(transport.times) == 3


async def test_jobs_do_not_hinder_each_other() -> None:
    """Each watch has its own pace, failures and end."""
    script = by_job({"hangs": [Hang()], "fails": [RUNNING, FAILED], "broken": [503], "fine": [running(1), SUCCEEDED]})
    async with watching(script, timeout_s=40) as (watcher, _):
        outcomes = await watcher.gather([ToyJob(name) for name in ("hangs", "fails", "broken", "fine")])
    assert [type(outcome).__name__ for outcome in outcomes] == ["Abandoned", "Failed", "Abandoned", "Succeeded"]


async def test_the_first_poll_goes_at_once() -> None:
    """Nothing is waited for before it, however late the watch begins."""
    async with watching([RUNNING]) as (watcher, transport):
        await asyncio.sleep(12.34)
        watcher.watch(ToyJob())
        await settle()
        assert transport.times == [12.34]


async def test_it_says_what_it_is_doing() -> None:
    """Its repr and `open_count` say how many watches are open."""
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=None, transport=ScriptedTransport([RUNNING]))
    assert repr(watcher) == "<JobWatcher toy closed>"
    async with watcher:
        watcher.watch(ToyJob("a"))
        watcher.watch(ToyJob("b"))
        assert (repr(watcher), watcher.open_count) == ("<JobWatcher toy 2 watches>", 2)
    assert (repr(watcher), watcher.open_count) == ("<JobWatcher toy closed>", 0)


@pytest.mark.parametrize(
    "options",
    [
        {"timeout_s": 0},
        {"timeout_s": -1},
        {"timeout_s": math.inf},
        {"timeout_s": math.nan},
        {"timeout_s": "5"},
        {"timeout_s": True},
        {"heartbeat_s": 0},
        {"heartbeat_s": "5"},
        {"confirmations": -1},
        {"confirmations": 1.5},
        {"ledger_patience_s": 0},
        {"not_found_grace_s": -1},
        {"not_found_grace_s": math.nan},
    ],
    ids=str,
)
def test_an_argument_that_cannot_be_right_is_refused_at_once(options: dict[str, Any]) -> None:
    """Before anything is sent, as a ConfigurationError that is a ValueError."""
    with pytest.raises(ConfigurationError) as caught:
        JobWatcher(ToyEndpoint(), **{"timeout_s": 1.0, **options})
    assert isinstance(caught.value, ValueError)
    assert next(iter(options)) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"budget": 60}, r"budget must be an object such as RateBudget\(60, per_s=60\), got int"),
        ({"budget": RateBudget}, "got the class RateBudget"),
        ({"pacing": 5}, r"pacing must be an object such as .* Pacing.fixed\(5\), got int"),
        ({"retry": 3}, r"retry must be an object such as Retry\(outage_s=600\), got int"),
        ({"limits": 64}, r"limits must be an object such as Limits\(concurrency=64\), got int"),
        ({"transport": "https://a.example"}, r"transport must be an object such as AiohttpTransport\(\), got str"),
        ({"transport": AiohttpTransport}, "got the class AiohttpTransport"),
        (
            {"ledger": "jobs.ledger"},
            r"ledger must be an object such as the opened SqliteLedger\('jobs.ledger'\), got str",
        ),
    ],
    ids=range(8),
)
def test_an_argument_of_the_wrong_type_is_refused_at_once(options: dict[str, Any], message: str) -> None:
    """The error says what to pass instead."""
    with pytest.raises(ConfigurationError, match=message):
        JobWatcher(ToyEndpoint(), **{"timeout_s": 1.0, **options})


async def test_a_job_that_is_not_hashable_is_refused_at_once() -> None:
    """It could not be found again."""
    async with watching([SUCCEEDED]) as (watcher, transport):
        with pytest.raises(ConfigurationError, match=r"a job must be hashable.* got dict"):
            watcher.watch({"id": "a"})  # type: ignore[arg-type]
        assert transport.requests == []


def test_a_watcher_shows_what_is_documented() -> None:
    """A completion shows no internals."""
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=1)
    assert [name for name in dir(watcher) if not name.startswith("_")] == [
        "as_completed",
        "budget",
        "endpoint",
        "gather",
        "hosts_down",
        "open_count",
        "outcomes",
        "record",
        "record_all",
        "resume",
        "stats",
        "submit",
        "transport",
        "unfinished_submits",
        "watch",
        "watch_from_token",
    ]


# --- open and closed ----------------------------------------------------------------------------


async def test_a_watcher_that_is_not_open_watches_nothing() -> None:
    """Before and after its `async with`, every way to watch says so at once."""
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=10, transport=ScriptedTransport([SUCCEEDED]))
    for _ in range(2):
        with pytest.raises(WatcherClosed, match="inside its `async with`"):
            watcher.watch(ToyJob())
        with pytest.raises(WatcherClosed):
            watcher.as_completed([])
        with pytest.raises(WatcherClosed):
            await watcher.gather([])
        async with watcher:
            pass


async def test_a_watcher_is_not_entered_twice() -> None:
    """Entering it while it is open is refused, and harms neither it nor its watches."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        with pytest.raises(ConfigurationError, match="open already"):
            await watcher.__aenter__()
        assert (await watch).state == "succeeded"


async def test_a_watcher_can_be_opened_again() -> None:
    """After it was left it starts anew, also in another event loop, with nothing left of before."""
    transport = ScriptedTransport([RUNNING, SUCCEEDED])
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=10, transport=transport)
    async with watcher:
        before = watcher.watch(ToyJob())
    await watcher.__aexit__(None, None, None)
    async with watcher:
        after = watcher.watch(ToyJob())
        assert after is not before
        await after

    async def elsewhere() -> ToyStatus:
        async with watcher:
            return await watcher.watch(ToyJob())

    assert await asyncio.to_thread(asyncio.run, elsewhere()) == ToyStatus("succeeded", 10)


async def test_opening_again_while_it_closes_keeps_the_new_one_whole() -> None:
    """The old pollers and the old transport end; the new ones do not."""
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=10)
    await watcher.__aenter__()
    old = watcher.transport
    leaving = asyncio.create_task(watcher.__aexit__(None, None, None))
    await asyncio.sleep(0)
    async with watcher:
        new = watcher.transport
        await leaving
        assert watcher.transport is new is not old


async def test_its_own_transport_lives_as_long_as_it_is_open() -> None:
    """Without one handed in, it opens one on entering and closes it on leaving."""
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=10)
    with pytest.raises(WatcherClosed):
        _ = watcher.transport
    async with watcher:
        assert isinstance(watcher.transport, AiohttpTransport)
    with pytest.raises(WatcherClosed):
        _ = watcher.transport


class Lazy(ScriptedTransport):
    """One that is false while nothing was sent, as things with a length are."""

    closed = False

    def __len__(self) -> int:
        return len(self.requests)

    async def close(self) -> None:
        self.closed = True


async def test_a_transport_that_was_handed_in_is_used_and_never_closed() -> None:
    """It is the caller's."""
    transport = Lazy([SUCCEEDED])
    async with ToyWatcher(ToyEndpoint(), timeout_s=10, transport=transport) as watcher:
        assert watcher.transport is transport
        await watcher.watch(ToyJob())
    assert (len(transport), transport.closed) == (1, False)


async def test_a_watcher_belongs_to_its_event_loop() -> None:
    """A call from another thread is refused at once, because it would never return."""
    async with watching(by_job({"here": [Hang()], "elsewhere": [SUCCEEDED]})) as (watcher, transport):
        here = watcher.watch(ToyJob("here"))

        async def elsewhere() -> None:
            with pytest.raises(RuntimeError, match="belongs to the event loop that it was opened in"):
                watcher.watch(ToyJob("elsewhere"))
            with pytest.raises(RuntimeError, match="belongs to the event loop that it was opened in"):
                await watcher.gather([ToyJob("elsewhere")])
            with pytest.raises(RuntimeError, match="belongs to the event loop that it was opened in"):
                here.stop()

        def without_a_loop() -> None:
            with pytest.raises(RuntimeError, match="call_soon_threadsafe"):
                here.stop()

        await asyncio.to_thread(asyncio.run, elsewhere())
        await asyncio.to_thread(without_a_loop)
        assert (watcher.open_count, here.outcome) == (1, None)
        assert (await watcher.watch(ToyJob("elsewhere"))).state == "succeeded"
        assert len(transport.times) == 2
        asyncio.get_running_loop().call_soon_threadsafe(here.stop)
        with pytest.raises(WatchStopped):
            await here
        await asyncio.to_thread(here.stop)  # after the end it does nothing, wherever it is called


# --- leaving ------------------------------------------------------------------------------------


async def test_leaving_ends_every_open_watch() -> None:
    """Awaiting raises WatcherClosed, iterating yields `Abandoned`. A watch that is over keeps its outcome."""
    script = by_job({"over": [SUCCEEDED], "waits": [RUNNING], "hangs": [Hang()], "queues": [Hang()], "new": [RUNNING]})
    async with watching(script, concurrency=1) as (watcher, _):
        over, waits = watcher.watch(ToyJob("over")), watcher.watch(ToyJob("waits"))
        await over
        await asyncio.sleep(0.5)
        watches = [waits, watcher.watch(ToyJob("hangs")), watcher.watch(ToyJob("queues"))]
        readers = [asyncio.create_task(events_of(watch)) for watch in watches]
        await asyncio.sleep(0.1)
        watches.append(watcher.watch(ToyJob("new")))
    for watch in watches:
        with pytest.raises(WatcherClosed) as caught:
            await watch
        assert caught.value.job == watch.job
    for reader in readers:
        assert isinstance((await reader)[-1], Abandoned)
    assert isinstance(over.outcome, Succeeded)
    assert others() == set()


async def test_leaving_a_thousand_watches_lets_the_rest_of_the_program_go_on() -> None:
    """They end some at a time, and none of them is asked about meanwhile."""
    turns = 0

    async def rest() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    async with watching([RUNNING]) as (watcher, transport):
        watches = [watcher.watch(ToyJob(str(n))) for n in range(1_000)]
        task = asyncio.create_task(rest())
    task.cancel()
    assert all(isinstance(watch.outcome, Abandoned) for watch in watches)
    assert turns >= 3
    assert len(transport.times) == 0


async def test_no_job_is_polled_while_the_watcher_is_left() -> None:
    """Neither after a reply that comes meanwhile, nor after a renewal of credentials."""
    leaving = asyncio.Event()

    class Late:
        """Answers most at once; the others when the watcher is left, and refuses their credentials then."""

        sent = 0

        async def send(self, request: Request, /) -> Reply:
            self.sent += 1
            if job_of(request).isdigit():
                return reply(RUNNING)
            await leaving.wait()
            return reply(status=401)

    transport, auth = Late(), ToyAuth()
    options: dict[str, Any] = {"pacing": Pacing.fixed(3_600), "budget": RateBudget(10_000, per_s=1.0)}
    async with watching(transport, endpoint=ToyEndpoint(auth), timeout_s=None, **options) as (watcher, _):
        for n in range(3_000):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(1)
        for n in range(50):
            watcher.watch(ToyJob(f"late-{n}"))
        await asyncio.sleep(1)
        leaving.set()
    assert (transport.sent, auth.stale) == (3_050, [])


async def test_a_budget_whose_requests_were_all_in_flight_at_the_end_serves_the_next() -> None:
    """The same watcher, opened again: the turn of the one before has lapsed."""
    hanging = True
    transport = ScriptedTransport(lambda _request: Hang() if hanging else SUCCEEDED)
    watcher = ToyWatcher(ToyEndpoint(), timeout_s=60, transport=transport, budget=RateBudget(2, per_s=1.0))
    async with watcher:
        for n in range(4):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(0.5)
    hanging = False
    async with watcher:
        outcomes = await watcher.gather(ToyJob(str(n)) for n in range(10))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)


async def test_a_pool_that_is_closed_takes_no_watch() -> None:
    """A closed watcher refuses new jobs, because it would never poll them."""
    async with watching([RUNNING]) as (watcher, _):
        pollers = watcher._parts().dispatcher
        assert pollers is not None
        watch = watcher.watch(ToyJob())
    with pytest.raises(WatcherClosed):
        pollers.add(watch)
    assert others() == set()


async def test_leaving_that_is_cancelled_ends_every_open_watch_all_the_same() -> None:
    """What has not ended by then ends at once, and the cancellation is passed on."""
    kept: list[Watch[ToyJob, ToyStatus]] = []

    async def main() -> None:
        async with watching([RUNNING]) as (watcher, _):
            kept.extend(watcher.watch(ToyJob(str(n))) for n in range(1_000))

    task = asyncio.create_task(main())
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    assert task.cancelled()
    assert len(kept) == 1_000
    assert all(isinstance(watch.outcome, Abandoned) for watch in kept)
    assert others() == set()


async def test_leaving_by_an_exception_ends_every_open_watch() -> None:
    """The exception goes on its way, and nothing is left."""
    kept: list[Watch[ToyJob, ToyStatus]] = []

    async def main() -> None:
        async with watching([Hang()]) as (watcher, _):
            kept.append(watcher.watch(ToyJob()))
            await asyncio.sleep(1)
            raise LookupError

    with pytest.raises(LookupError):
        await main()
    assert isinstance(kept[0].outcome, Abandoned)
    assert others() == set()


async def test_a_task_group_around_a_failing_reader_is_left_cleanly() -> None:
    """One reader's failure cancels the others, and the watcher closes after them."""
    script = by_job({"fails": [RUNNING, FAILED], "hangs": [Hang()]})

    async def result(watcher: ToyWatcher, name: str) -> ToyStatus:
        return await watcher.watch(ToyJob(name))

    async def main() -> None:
        async with watching(script) as (watcher, _), asyncio.TaskGroup() as group:
            group.create_task(result(watcher, "hangs"))
            group.create_task(result(watcher, "fails"))

    with pytest.raises(ExceptionGroup) as caught:
        await main()
    assert [type(error).__name__ for error in caught.value.exceptions] == ["JobFailed"]
    assert others() == set()


async def test_a_timeout_around_all_of_it_is_kept() -> None:
    """`asyncio.timeout` outside of `async with` works as it does anywhere."""
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(5), watching([Hang()]) as (watcher, _):
            await watcher.watch(ToyJob())
    assert asyncio.get_running_loop().time() == 5
    assert others() == set()


class Clinging:
    """A transport that takes its time to give in when it is cancelled, and less when it is cancelled again."""

    async def send(self, request: Request, /) -> Reply:
        try:
            await asyncio.sleep(math.inf)
        finally:
            await asyncio.sleep(3)
        raise AssertionError


async def test_leaving_waits_for_what_was_cancelled() -> None:
    """A second cancellation while it is being left does not leave tasks behind, and is not lost."""

    async def main() -> None:
        async with watching(Clinging()) as (watcher, _):
            watcher.watch(ToyJob())
            await asyncio.sleep(1)

    task = asyncio.create_task(main())
    await asyncio.sleep(2)
    task.cancel()
    await asyncio.sleep(0)
    assert not task.done()
    await asyncio.wait([task])
    assert task.cancelled()
    assert asyncio.get_running_loop().time() == 2
    assert others() - {task} == set()


async def test_leaving_takes_as_long_as_the_transport_does() -> None:
    """No task runs after the `async with` is left."""
    async with watching(Clinging()) as (watcher, _):
        watcher.watch(ToyJob())
        await asyncio.sleep(1)
    assert asyncio.get_running_loop().time() == 4
    assert others() == set()


def test_a_watcher_that_is_never_left_dies_quietly(caplog: pytest.LogCaptureFixture) -> None:
    """Where a program just ends, its event loop cancels the pollers, and they make no new ones."""

    async def main() -> None:
        watcher = ToyWatcher(
            ToyEndpoint(), timeout_s=None, limits=Limits(concurrency=2), transport=ScriptedTransport([Hang()])
        )
        await watcher.__aenter__()
        for n in range(5):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(1)

    with caplog.at_level(logging.DEBUG):
        run(main(), debug=True)
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []


# --- sharing ------------------------------------------------------------------------------------


async def test_an_endpoints_documented_limit_is_kept() -> None:
    """Without a budget of the caller's, the one that the vendor documents holds."""
    async with watching([SUCCEEDED], endpoint=ToyEndpoint(documented_limit=RateLimit(3, per_s=60.0))) as (
        watcher,
        transport,
    ):
        await watcher.gather([ToyJob(str(n)) for n in range(9)])
    assert all(later - earlier >= 60 for earlier, later in zip(transport.times, transport.times[3:], strict=False))


async def test_two_watchers_share_one_budget() -> None:
    """Together they keep within it, both are served, and neither waits for the other for ever."""
    budget = RateBudget(3, per_s=10)
    script: Callable[[], list[Answer]] = lambda: [Slow(RUNNING, 1.0), SUCCEEDED]  # noqa: E731
    async with watching(script(), budget=budget) as (one, sent), watching(script(), budget=budget) as (two, sent_too):
        jobs = [ToyJob(str(n)) for n in range(6)]
        await asyncio.gather(one.gather(jobs), two.gather(jobs))
    times = sorted(sent.times + sent_too.times)
    assert len(times) == 14
    assert all(later - earlier >= 10 for earlier, later in zip(times, times[3:], strict=False))


async def test_a_watcher_goes_on_when_another_held_all_of_the_budget() -> None:
    """A watcher that got no permit at first, because another one had them all in flight, gets one later."""
    budget = RateBudget(1, per_s=2)
    async with watching([Hang()], budget=budget, request_timeout_s=600) as (one, _):
        hanging = one.watch(ToyJob())
        await settle()
        async with watching([SUCCEEDED], budget=budget, timeout_s=None) as (two, transport):
            waiting = two.watch(ToyJob())
            await asyncio.sleep(7)
            assert transport.times == []
            hanging.stop()
            await waiting
            assert 9 <= transport.times[0] <= 12


@pytest.mark.parametrize("steps", range(6))
async def test_a_place_in_the_budget_is_given_back_at_whatever_moment_a_watcher_is_left(steps: int) -> None:
    """Other watchers of the same token do not suffer for it."""
    budget = RateBudget(1, per_s=1)
    async with watching([Hang()], budget=budget) as (watcher, _):
        watcher.watch(ToyJob())
        for _ in range(steps):
            await asyncio.sleep(0)
    async with watching([SUCCEEDED], budget=budget) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"


REQUEST_ID: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="none")


class Noting(ScriptedTransport):
    async def send(self, request: Request, /) -> Reply:
        self.ids = [*getattr(self, "ids", []), REQUEST_ID.get()]
        return await super().send(request)


async def test_polls_run_in_the_context_of_who_opened_the_watcher() -> None:
    """Not in the context of the first call of `watch`, whose request ID would be in every later log."""
    REQUEST_ID.set("opener")
    transport = Noting([RUNNING, SUCCEEDED])
    async with watching(transport) as (watcher, _):

        async def handler(name: str) -> ToyStatus:
            REQUEST_ID.set(name)
            return await watcher.watch(ToyJob(name))

        async with asyncio.TaskGroup() as group:
            group.create_task(handler("one"))
            group.create_task(handler("two"))
    assert set(transport.ids) == {"opener"}


# --- cancelled at any moment ----------------------------------------------------------------------


async def _everything(auth: ToyAuth, budget: RateBudget) -> None:
    """Uses all that a watcher has."""
    script = by_job(
        {"a": [RUNNING, 503, Slow(SUCCEEDED, 0.5)], "b": [Hang()], "c": [running(1), FAILED], "d": [RUNNING]}
    )
    async with watching(script, auth=auth, budget=budget, concurrency=2, capacity=2, timeout_s=8) as (watcher, _):

        async def jobs() -> AsyncIterator[ToyJob]:
            for name in "abcdabcd":
                await asyncio.sleep(0)
                yield ToyJob(name)

        async with asyncio.TaskGroup() as group:
            group.create_task(events_of(watcher.watch(ToyJob("d"))))
            group.create_task(watcher.gather([ToyJob("a"), ToyJob("b")]))
            async for outcome in watcher.as_completed(jobs()):
                assert outcome.job.id in "abcd"


@pytest.mark.parametrize("at", [0.0, 0.5, 1.0])
@pytest.mark.parametrize("again_after", [None, 1])
def test_it_can_be_cancelled_at_every_step(at: float, again_after: int | None) -> None:
    """Whenever the caller is cancelled, once or twice: it ends as cancelled, and no task and no place is left."""

    async def cancelled_after(steps: int) -> bool:
        budget = RateBudget(100, per_s=1000)
        main = asyncio.create_task(_everything(ToyAuth(fresh=False), budget))
        await asyncio.sleep(at)
        for _ in range(steps):
            await asyncio.sleep(0)
        done = main.done()
        main.cancel()
        if again_after is not None:
            for _ in range(again_after):
                await asyncio.sleep(0)
            main.cancel()
        await asyncio.wait([main])
        assert main.cancelled() or done
        await settle()
        assert others() == {task for task in others() if task.get_name() == "toy-renewal"}
        async with watching([SUCCEEDED], budget=budget) as (watcher, _):
            await asyncio.wait_for(watcher.watch(ToyJob()), 2000)
        await asyncio.sleep(1)
        assert others() == set()
        return done

    for steps in range(25):
        run(cancelled_after(steps), debug=True)
