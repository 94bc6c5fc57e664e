"""Single calls about a job, such as the fetch of a result, go the road of the polls."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise.core.call_machine import CallMachine, call_policy
from pollwise.core.pacing import Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    JobNotFound,
    PermissionDenied,
    Problem,
    RetriesExhausted,
    WatcherClosed,
)
from pollwise.http import BearerAuth
from pollwise.model.cursor import Cursor
from pollwise.model.events import Abandoned, Failed, Outcome, Succeeded
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.runtime.single_call import outcome_of_call
from pollwise.testing import Answer, Hang, reply
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyAuth, ToyJob, settle, watching

pytestmark = pytest.mark.looptime

JOB = ToyJob("a")


@attrs.frozen
class Fetch:
    """Fetches what a job made, page by page."""

    answer_statuses: frozenset[int] = frozenset({410})
    compares: bool = False
    deciding_keys: Collection[str] = ()
    limits: ReplyLimits | None = None
    at_once: bool = True
    starts_own: bool = False
    method: str = "GET"

    def request(self, job: ToyJob, cursor: Cursor, /) -> Request:
        return Request(URL(f"https://toy.example/{job.id}/result") % {"page": cursor or 0}, method=self.method)

    def read(self, job: ToyJob, reply: Reply, cursor: Cursor, /) -> Reading[str]:
        if reply.status == 410:
            return Reading.failed("expired")
        document = reply.json()
        if "next" in document:
            return Reading.running("page", cursor=document["next"])
        return Reading.succeeded(f"{job.id}: {document['made']}")

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(codes=("NO-RESULT",))


MADE = {"made": "orders.zip"}


async def _call(watcher: JobWatcher[Any, Any], fetch: Fetch | None = None, **changes: Any) -> Outcome[ToyJob, str]:
    pool = watcher._parts().dispatcher
    assert pool is not None
    policy = attrs.evolve(call_policy(watcher._policy, fetch or Fetch()), **changes)
    return await outcome_of_call(pool, CallMachine(JOB, policy, now=asyncio.get_running_loop().time()))


async def test_a_call_comes_to_an_outcome_like_a_watch() -> None:
    """With what its own reader makes of the reply."""
    async with watching([MADE]) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Succeeded)
    assert (outcome.job, outcome.status, outcome.polls) == (JOB, "a: orders.zip", 1)
    assert [str(request.url) for _, request in transport.requests] == ["https://toy.example/a/result?page=0"]


async def test_a_call_that_is_tried_again_says_why_in_the_log(caplog: pytest.LogCaptureFixture) -> None:
    """Once for each new reason, because a call has no events. A call that succeeds at once says nothing."""
    caplog.set_level("INFO", "pollwise.runtime.single_call")
    async with watching([MADE, 502, 502, 503, MADE]) as (watcher, _):
        await _call(watcher)
        assert not caplog.records
        assert isinstance(await _call(watcher), Succeeded)
    lines = [record.getMessage() for record in caplog.records]
    assert len(lines) == 2
    assert lines[0].startswith(f"{JOB}: the status call failed, and is sent again: ")
    assert ("502" in lines[0], "503" in lines[1]) == (True, True)


async def test_a_call_is_no_open_watch() -> None:
    """Nor does it end the watch of its job, or teach how long jobs take."""
    async with watching(lambda request: Hang() if "result" in request.url.path else RUNNING) as (watcher, _):
        task = asyncio.create_task(_call(watcher))
        await settle()
        assert watcher.open_count == 0
        watch = watcher.watch(JOB)
        await asyncio.sleep(3.0)
        assert watcher.open_count == 1
        task.cancel()
        await settle()
        assert watch.outcome is None
        assert watcher.open_count == 1


async def test_what_calls_take_teaches_nothing_about_jobs() -> None:
    """The forecast of the watches does not change."""
    async with watching([MADE]) as (watcher, _):
        before = watcher._policy.forecast.durations.ended
        for _ in range(10):
            await _call(watcher)
        assert watcher._policy.forecast.durations.ended == before


async def test_pages_are_fetched_one_after_the_other_at_once() -> None:
    """No wait of the pacing is between two pages."""
    async with watching([{"next": 1}, {"next": 2}, MADE]) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Succeeded)
    assert [request.url.query["page"] for _, request in transport.requests] == ["0", "1", "2"]
    assert transport.times[-1] - transport.times[0] < 0.5


async def test_a_page_that_is_not_there_yet_is_paced() -> None:
    """The same page again waits as any poll does."""
    async with watching([{"next": 1}, {"next": 1}, {"next": 1}, MADE]) as (watcher, transport):
        await _call(watcher)
    assert transport.times[-1] - transport.times[0] >= 1.5


async def test_a_call_has_the_credentials_and_renews_them() -> None:
    """Refused credentials are renewed once, and the call is sent again with the new ones."""
    auth = ToyAuth()
    async with watching([401, MADE], auth=auth) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Succeeded)
    assert auth.renewals == 1
    assert [request.headers["Authorization"] for _, request in transport.requests] == ["0", "1"]


async def test_a_call_whose_credentials_are_refused_twice_ends() -> None:
    """As a watch does."""
    async with watching([401], auth=ToyAuth()) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, AuthenticationError)
    assert len(transport.requests) == 2


async def test_a_429_holds_the_watches_back_too() -> None:
    """The budget is one: what the server says to a call counts for the polls, and the call is sent again."""
    limited = Reply(429, reply(headers={"Retry-After": "30"}).headers, b"{}")

    def answer(request: Request) -> Answer:
        if "result" in request.url.path and not sent:
            sent.append(request)
            return limited
        return MADE if "result" in request.url.path else RUNNING

    sent: list[Request] = []
    async with watching(answer, budget=RateBudget(100, per_s=1.0)) as (watcher, transport):
        task = asyncio.create_task(_call(watcher))
        await settle()
        began = transport.times[0]
        watcher.watch(ToyJob("b"))
        outcome = await task
        assert isinstance(outcome, Succeeded)
        assert all(at - began >= 30.0 for at in transport.times[1:])


async def test_a_call_takes_a_permit_of_the_budget() -> None:
    """Two a minute are two, whether they are polls or calls."""
    async with watching([MADE], budget=RateBudget(2, per_s=60.0)) as (watcher, transport):
        await asyncio.gather(*[_call(watcher) for _ in range(4)])
    began = transport.times[0]
    assert sum(at - began < 59.0 for at in transport.times) <= 2


async def test_a_call_outlasts_an_outage() -> None:
    """Failures are repeated, paced by the retry, and counted in time."""
    async with watching([503, ConnectFailed("reset"), 502, MADE]) as (watcher, _):
        outcome = await _call(watcher)
    assert isinstance(outcome, Succeeded)
    assert outcome.polls == 4


async def test_an_outage_that_is_too_long_ends_a_call() -> None:
    """With the last error."""
    async with watching([503], retry=Retry(outage_s=60.0)) as (watcher, _):
        outcome = await _call(watcher)
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, RetriesExhausted)


async def test_a_call_ends_at_its_own_deadline() -> None:
    """A request in flight is cut."""
    async with watching([Hang()]) as (watcher, _):
        began = asyncio.get_running_loop().time()
        outcome = await _call(watcher, timeout_s=7.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(7.0, abs=0.2)
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, DeadlineExceeded)


async def test_a_refusal_of_a_call_is_explained_by_its_own_reader() -> None:
    """A 403 ends it, with the problem that the call reads."""
    async with watching([403]) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, PermissionDenied)
    assert outcome.error.problem == Problem(codes=("NO-RESULT",))
    assert len(transport.requests) == 1


async def test_a_404_of_a_call_has_no_grace() -> None:
    """The job was seen, so it is missing for good after three tries."""
    async with watching([404]) as (watcher, transport):
        outcome = await _call(watcher)
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, JobNotFound)
    assert len(transport.requests) == 3


async def test_a_call_reads_the_refusals_that_it_names() -> None:
    """Whatever the endpoint's status call makes of them."""
    async with watching([410]) as (watcher, _):
        outcome = await _call(watcher)
    assert isinstance(outcome, Failed)
    assert outcome.status == "expired"


async def test_a_304_is_no_answer_to_a_call() -> None:
    """There is no earlier reading that it could be about."""
    async with watching([304]) as (watcher, _):
        assert isinstance(await _call(watcher), Abandoned)


async def test_equal_replies_to_a_call_are_all_read() -> None:
    """Also for an endpoint whose polls are not read again if they equal the last one."""
    read: list[Cursor] = []

    class Noting(Fetch):
        def read(self, job: ToyJob, reply: Reply, cursor: Cursor, /) -> Reading[str]:
            read.append(cursor)
            return Reading.succeeded("x") if len(read) == 3 else Reading.running("x")

    async with watching([MADE]) as (watcher, _):
        await _call(watcher, Noting())
    assert len(read) == 3


async def test_an_echoed_credential_is_masked_in_a_call() -> None:
    """In the result, and in what an error says."""
    secret = "s3cr3t-s3cr3t-s3cr3t"
    async with watching([{"made": f"it was {secret}"}], auth=BearerAuth(secret)) as (watcher, _):
        outcome = await _call(watcher)
    assert secret not in str(outcome)
    assert "***" in str(outcome)
    page = Reply(200, {"Content-Type": "text/html"}, f"<p>{secret}".encode())
    async with watching([page], auth=BearerAuth(secret), retry=Retry(outage_s=5.0)) as (watcher, _):
        outcome = await _call(watcher)
    assert isinstance(outcome, Abandoned)
    assert secret not in str(outcome.error)


@pytest.mark.parametrize(
    ("limits", "kept"), [(None, 10), (ReplyLimits(items=100), 100)], ids=["of the watcher", "of its own"]
)
async def test_a_call_may_keep_more_of_a_reply_than_a_poll(limits: ReplyLimits | None, kept: int) -> None:
    """Its own limits, or those of the watcher."""

    class Counting(Fetch):
        def read(self, job: ToyJob, reply: Reply, cursor: Cursor, /) -> Reading[str]:
            return Reading.succeeded(str(len(reply.json())))

    body = reply([{"row": "x" * 100}] * 500)
    async with watching([body]) as (watcher, _):
        watcher._parts().dispatcher._reply_limits = ReplyLimits(items=10)  # type: ignore[union-attr]
        outcome = await _call(watcher, Counting(limits=limits))
    assert isinstance(outcome, Succeeded)
    assert outcome.status == str(kept)


async def test_a_call_that_is_cancelled_sends_nothing_more() -> None:
    """Its request in flight is cut, and no task is left."""
    async with watching([Hang()]) as (watcher, transport):
        task = asyncio.create_task(_call(watcher))
        await settle()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.sleep(100.0)
        assert len(transport.requests) == 1
        assert watcher._parts().dispatcher is not None
        assert not watcher._parts().dispatcher._calls


async def test_leaving_the_watcher_ends_calls() -> None:
    """Each ends as a watch does, and later ones are refused."""
    async with watching([Hang()]) as (watcher, _):
        tasks = [asyncio.create_task(_call(watcher)) for _ in range(3)]
        pool = watcher._parts().dispatcher
        await settle()
    for task in tasks:
        outcome = await task
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, WatcherClosed)
    assert pool is not None
    with pytest.raises(WatcherClosed):
        await outcome_of_call(pool, CallMachine(JOB, call_policy(watcher._policy, Fetch()), now=0.0))


async def test_a_bug_in_a_call_ends_that_call_alone() -> None:
    """It is the endpoint's bug, as in a status call."""

    class Broken(Fetch):
        def read(self, job: ToyJob, reply: Reply, cursor: Cursor, /) -> Reading[str]:
            raise ZeroDivisionError

    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        outcome = await _call(watcher, Broken())
        assert isinstance(outcome, Abandoned)
        assert isinstance(outcome.error, EndpointBug)
        assert (await watcher.watch(JOB)).state == "succeeded"


async def test_calls_and_polls_of_many_jobs_go_side_by_side() -> None:
    """A pool of two pollers serves them all."""

    def answer(request: Request) -> Answer:
        return MADE if "result" in request.url.path else SUCCEEDED

    async with watching(answer, concurrency=2) as (watcher, _):
        calls = [asyncio.create_task(_call(watcher)) for _ in range(20)]
        outcomes = await watcher.gather(ToyJob(str(n)) for n in range(20))
        called = await asyncio.gather(*calls)
    assert all(isinstance(outcome, Succeeded) for outcome in [*outcomes, *called])
