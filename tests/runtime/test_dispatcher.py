"""The pool: deadlines, retries, credentials, budgets and faults of foreign code, as seen from a watcher."""

from __future__ import annotations

import asyncio
import logging
import math
import re
import weakref
from collections.abc import Callable, Generator, Mapping
from itertools import groupby, pairwise
from typing import Any

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobNotFound,
    PermissionDenied,
    PollError,
    PollTimeout,
    RetriesExhausted,
    ServerUnavailable,
    WatcherClosed,
    WatchError,
    WatchStopped,
)
from pollwise.model.events import Abandoned, Event, Progressed, Retrying, Succeeded, Throttled
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Transport
from pollwise.model.reading import Phase, Reading
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
    without_garbage_collection,
)

LATE_S = 0.1


def ample() -> RateBudget:
    """A limit that is known, so that as many as there are may go at once."""
    return RateBudget(10_000, per_s=1.0)


def now() -> float:
    return asyncio.get_running_loop().time()


def pollers() -> list[asyncio.Task[Any]]:
    return [task for task in asyncio.all_tasks() if task.get_name().startswith("pollwise-poller")]


async def why_abandoned(watch: Watch[ToyJob, ToyStatus]) -> WatchError:
    """The error of a watch that ends without learning how the job ended."""
    outcome = (await events_of(watch))[-1]
    assert isinstance(outcome, Abandoned)
    return outcome.error


class Counting:
    """A transport that counts what is in flight around another one."""

    def __init__(self, inner: Transport) -> None:
        self.inner = inner
        self.now = self.most = self.cut = 0

    async def send(self, request: Request, /) -> Reply:
        self.now += 1
        self.most = max(self.most, self.now)
        try:
            return await self.inner.send(request)
        except asyncio.CancelledError:
            self.cut += 1
            raise
        finally:
            self.now -= 1


# --- the deadline -------------------------------------------------------------------------------


@pytest.mark.looptime
@pytest.mark.parametrize("timeout_s", [0.05, 0.5, 1.0, 7.3, 100.0, 3601.7])
@pytest.mark.parametrize("request_timeout_s", [0.3, 30.0, 1e6])
async def test_a_server_that_hangs_never_holds_a_watch_past_its_deadline(
    timeout_s: float, request_timeout_s: float
) -> None:
    """The deadline wins over everything, a request in flight included."""
    transport = Counting(ScriptedTransport([Hang()]))
    options = {"retry": Retry(outage_s=1e-9, min_failures=100_000), "request_timeout_s": request_timeout_s}
    async with watching(transport, timeout_s=timeout_s, **options) as (watcher, _):
        began = now()
        error = await why_abandoned(watcher.watch(ToyJob()))
        assert isinstance(error, DeadlineExceeded)
        assert began + timeout_s <= now() <= began + timeout_s + LATE_S
        await settle()
        assert transport.now == 0
        assert transport.cut >= 1


@pytest.mark.looptime
async def test_a_deadline_is_kept_behind_a_queue() -> None:
    """Watches that wait for the one poller expire in time without ever being asked."""
    async with watching([Hang()], timeout_s=10, request_timeout_s=60, concurrency=1) as (watcher, transport):
        watches = [watcher.watch(ToyJob(str(n))) for n in range(50)]
        await asyncio.sleep(3)
        watches += [watcher.watch(ToyJob(str(n))) for n in range(50, 60)]
        ends = [now() async for _ in _ends(watches)]
        assert len(transport.times) == 2
    assert all(10 <= end <= 10 + LATE_S for end in ends[:50])
    assert all(13 <= end <= 13 + LATE_S for end in ends[50:])


async def _ends(watches: list[Watch[ToyJob, ToyStatus]]) -> Any:
    for watch in watches:
        assert isinstance(await why_abandoned(watch), DeadlineExceeded)
        yield watch


@pytest.mark.looptime
async def test_a_deadline_is_kept_while_the_budget_is_spent() -> None:
    """Watches that the budget holds back expire in time."""
    async with watching([RUNNING], timeout_s=20, budget=RateBudget(2, per_s=1000)) as (watcher, transport):
        watches = [watcher.watch(ToyJob(str(n))) for n in range(10)]
        async for _ in _ends(watches):
            assert 20 <= now() <= 20 + LATE_S
    assert len(transport.times) == 2


class Clinging:
    """A transport that takes its time to give in when it is cancelled."""

    def __init__(self, for_s: float) -> None:
        self.for_s = for_s

    async def send(self, request: Request, /) -> Reply:
        try:
            await asyncio.sleep(math.inf)
        finally:
            await asyncio.sleep(self.for_s)
        raise AssertionError


@pytest.mark.looptime
async def test_a_deadline_is_kept_by_a_transport_that_clings() -> None:
    """A send that does not give in when it is cut holds a poller, and not the watch."""
    async with watching(Clinging(100), timeout_s=10) as (watcher, _):
        assert isinstance(await why_abandoned(watcher.watch(ToyJob())), DeadlineExceeded)
        assert 10 <= now() <= 10 + LATE_S


class Deaf:
    """A transport that swallows a cancellation and answers all the same."""

    async def send(self, request: Request, /) -> Reply:
        try:
            await asyncio.sleep(40)
        except asyncio.CancelledError:
            await asyncio.sleep(1)
        return reply(RUNNING)


@pytest.mark.looptime
async def test_a_cancellation_that_is_swallowed_does_no_harm() -> None:
    """Neither later polls of the same poller nor the end of the watcher depend on a transport's manners."""
    async with watching(Deaf(), timeout_s=400, request_timeout_s=30, concurrency=1) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(200)
        assert watch.outcome is None
        assert watch.machine.polls == 7
        assert pollers()[0].cancelling() == 0
    assert isinstance(watch.outcome, Abandoned)
    assert isinstance(watch.outcome.error, WatcherClosed)


@pytest.mark.looptime
async def test_one_last_poll_is_asked_just_before_the_deadline() -> None:
    """The last wait is trimmed, so that what ended in time is seen."""
    script: list[Answer] = [RUNNING, SUCCEEDED]
    async with watching(script, timeout_s=50, pacing=Pacing.fixed(300)) as (watcher, transport):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
    assert transport.times == [0.0, 49.0]


# --- retrying -----------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_request_that_takes_too_long_is_cut_and_repeated() -> None:
    """`request_timeout_s` ends one request, not the watch."""
    transport = Counting(ScriptedTransport([Hang(), Slow(RUNNING, 4.9), SUCCEEDED]))
    async with watching(transport, request_timeout_s=5) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
    assert [type(event) for event in events] == [Retrying, Progressed, Succeeded]
    assert isinstance(events[0], Retrying)
    assert isinstance(events[0].error, PollTimeout)
    assert (events[0].error.seconds, transport.cut) == (5, 1)


@pytest.mark.looptime
@pytest.mark.parametrize("answer", [500, 502, 503, 408, 425, 429, {"no": "state"}, ConnectFailed("refused")], ids=str)
async def test_a_poll_that_taught_nothing_is_repeated(answer: Answer) -> None:
    """It is no failure of the job: `Retrying`, then the outcome; after a 429 the whole budget pauses, too."""
    async with watching([answer, answer, SUCCEEDED]) as (watcher, transport):
        events = [event for event in await events_of(watcher.watch(ToyJob())) if not isinstance(event, Throttled)]
    assert [type(event) for event in events] == [Retrying, Retrying, Succeeded]
    assert all(
        at - event.elapsed_s >= event.delay_s for at, event in zip(transport.times[1:], events[:-1], strict=True)
    )


@pytest.mark.looptime
async def test_too_many_failures_in_a_row_end_the_watch() -> None:
    """An outage is of failures in a row; 429 does not count."""
    script: list[Answer] = [503, 503, RUNNING, 503, 503, 429, 429, 429, 503]
    async with watching(script, retry=Retry(outage_s=1e-9, min_failures=3)) as (watcher, transport):
        events = await events_of(watcher.watch(ToyJob()))
    assert len(transport.times) == len(script)
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, RetriesExhausted)
    assert [event.failures for event in events if isinstance(event, Retrying)] == [1, 2, 1, 2, 2, 2, 2]


@pytest.mark.looptime
async def test_a_job_that_is_not_visible_yet_gets_time() -> None:
    """404 is tolerated for the grace time, from the first one in a row."""
    async with watching([404, 404, 404, SUCCEEDED]) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
    async with watching([404], not_found_grace_s=12) as (watcher, _):
        began = now()
        error = await why_abandoned(watcher.watch(ToyJob()))
        assert isinstance(error, JobNotFound)
        assert 12 <= now() - began <= 12 + LATE_S


@pytest.mark.looptime
async def test_what_the_server_asks_for_is_obeyed() -> None:
    """`Retry-After` is never shortened, and a hint beyond the deadline ends the watch there."""
    wait = reply(status=503, headers={"Retry-After": "120"})
    async with watching([wait, SUCCEEDED]) as (watcher, transport):
        await watcher.watch(ToyJob())
    assert transport.times[1] >= 120
    async with watching([wait, SUCCEEDED], timeout_s=60) as (watcher, transport):
        assert isinstance(await why_abandoned(watcher.watch(ToyJob())), DeadlineExceeded)
        assert len(transport.times) == 1


# --- credentials --------------------------------------------------------------------------------


def guarded(auth: ToyAuth, good_from: int, answer: Answer = SUCCEEDED) -> Callable[[Request], Answer]:
    """Refuses credentials of an earlier renewal than this."""
    return lambda request: answer if int(request.headers["Authorization"]) >= good_from else Slow(401, 1.0)


@pytest.mark.looptime
async def test_500_refused_watches_renew_once() -> None:
    """One renewal serves all that were refused, the late ones included."""
    auth = ToyAuth()

    def script(request: Request) -> Answer:
        if request.headers["Authorization"] == "1":
            return SUCCEEDED
        return Slow(reply(status=401), float(len(job_of(request))))  # jobs with longer IDs get the reply later

    async with watching(script, auth=auth, concurrency=500, budget=ample()) as (watcher, transport):
        outcomes = await watcher.gather([ToyJob("x" * (n % 3) + str(n)) for n in range(500)])
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert auth.renewals == 1
    assert len(auth.stale) == 500
    assert {id(stale) for stale in auth.stale} == {id(auth.stale[0])}
    assert len(transport.times) == 1000


@pytest.mark.looptime
async def test_the_first_credentials_are_fetched_once() -> None:
    """Without any to begin with, nothing is sent before there are."""
    auth = ToyAuth(fresh=False)
    async with watching(guarded(auth, 1), auth=auth) as (watcher, transport):
        await watcher.gather([ToyJob(str(n)) for n in range(50)])
    assert auth.renewals == 1
    assert set(auth.stale) == {None}
    assert min(transport.times) == 0.5


@pytest.mark.looptime
async def test_a_renewal_may_fail_for_a_while() -> None:
    """A renewal that could not be had just now is a poll that taught nothing."""
    auth = ToyAuth(ConnectFailed("down"), ServerUnavailable(503))
    async with watching(guarded(auth, 3), auth=auth) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
    assert [type(event) for event in events] == [Retrying, Retrying, Succeeded]
    assert auth.renewals == 3


@pytest.mark.looptime
async def test_a_renewal_that_is_refused_ends_the_watches() -> None:
    """Asking again would not help, so it is not done; no job is asked twice."""
    for auth in (ToyAuth(AuthenticationError("Bad secret.")), ToyAuth(AuthenticationError("Bad secret."), fresh=False)):
        async with watching(guarded(auth, 1), auth=auth, budget=ample()) as (watcher, transport):
            outcomes = await watcher.gather([ToyJob(str(n)) for n in range(20)])
        assert all(isinstance(outcome, Abandoned) for outcome in outcomes)
        assert {str(outcome.error) for outcome in outcomes if isinstance(outcome, Abandoned)} == {
            "Bad secret. Check that the credentials are right and not expired."
        }
        assert auth.renewals == 1
        assert len(transport.times) in {0, 20}


@pytest.mark.looptime
async def test_credentials_that_are_refused_again_end_the_watch() -> None:
    """They are renewed once between two good readings."""
    auth = ToyAuth()
    async with watching(guarded(auth, 99), auth=auth) as (watcher, transport):
        assert isinstance(await why_abandoned(watcher.watch(ToyJob())), AuthenticationError)
    assert (auth.renewals, len(transport.times)) == (1, 2)


@pytest.mark.looptime
async def test_the_servers_words_survive_a_renewal_that_is_refused() -> None:
    """The vendor's refusal of the old credentials says more than the failed renewal."""
    auth = ToyAuth(AuthenticationError("There are no others."))
    async with watching([reply({"code": 1}, status=401)], auth=auth) as (watcher, _):
        error = await why_abandoned(watcher.watch(ToyJob()))
    assert isinstance(error, AuthenticationError)
    assert error.detail == "There are no others."
    assert error.problem is not None
    assert error.problem.codes == ("TOY-1",)


class Expired(ToyAuth):
    def headers(self, _now: float, /) -> Mapping[str, str] | None:
        return None


@pytest.mark.looptime
async def test_credentials_that_are_never_good_end_the_watch() -> None:
    """A renewal that leaves nothing to send is not repeated for ever."""
    async with watching([SUCCEEDED], auth=Expired()) as (watcher, transport):
        assert "expired already" in str(await why_abandoned(watcher.watch(ToyJob())))
    assert transport.times == []


class LabelledEndpoint(ToyEndpoint):
    def request(self, job: ToyJob, /) -> Request:
        return Request(super().request(job).url, {"Accept": "application/json"})


@pytest.mark.looptime
async def test_credentials_are_added_to_the_requests_own_headers() -> None:
    """Neither takes the other's place."""
    async with watching([SUCCEEDED], endpoint=LabelledEndpoint(ToyAuth())) as (watcher, transport):
        await watcher.watch(ToyJob())
    assert transport.requests[0][1].headers == {"Accept": "application/json", "Authorization": "0"}


# --- the budget ---------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_throttled_is_reported_once_for_each_wait() -> None:
    """A watch that the budget holds back gets one `Throttled`, however long it waits."""
    async with watching([RUNNING, SUCCEEDED], budget=RateBudget(1, per_s=10)) as (watcher, transport):
        histories = await asyncio.gather(*[events_of(watcher.watch(ToyJob(str(n)))) for n in range(4)])
    seen = [[type(event) for event in history] for history in histories]
    assert [events.count(Throttled) for events in seen] == [1, 1, 1, 1]
    assert seen[0] == [Progressed, Throttled, Succeeded] or len(transport.times) == 5


@pytest.mark.looptime
async def test_who_queues_for_a_poller_is_told_when_the_budget_is_spent_meanwhile() -> None:
    """It makes no difference what a watch waited for first."""
    script = by_job({str(n): [Slow(SUCCEEDED, 1.0)] for n in range(6)})
    async with watching(script, budget=RateBudget(4, per_s=60), concurrency=2) as (watcher, _):
        histories = await asyncio.gather(*[events_of(watcher.watch(ToyJob(str(n)))) for n in range(6)])
    assert sorted(sum(isinstance(event, Throttled) for event in history) for history in histories) == [0, 0, 0, 0, 1, 1]


@pytest.mark.looptime
async def test_a_budget_that_is_all_in_flight_frees_itself() -> None:
    """While every place is taken by a request that hangs, the others wait, and go on when it is over."""
    script = by_job({"0": [Hang(), SUCCEEDED], "1": [SUCCEEDED], "2": [SUCCEEDED]})
    async with watching(script, budget=RateBudget(1, per_s=5), request_timeout_s=30) as (watcher, transport):
        outcomes = await watcher.gather([ToyJob(str(n)) for n in range(3)])
    assert {type(outcome) for outcome in outcomes} == {Succeeded}
    assert all(later - earlier >= 5 for earlier, later in pairwise(transport.times))
    assert transport.times[1] == pytest.approx(35, abs=LATE_S)


# --- what is unchanged, unknown, or only looks over -----------------------------------------------


class CountingEndpoint(ToyEndpoint):
    """Counts what it reads. 202 is running, with or without a body."""

    def __init__(self) -> None:
        super().__init__()
        self.read_bodies: list[bytes] = []

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        self.read_bodies.append(reply.body)
        if reply.body:
            return super().read(reply)
        phase = Phase.RUNNING if reply.status == 202 else Phase.SUCCEEDED
        return Reading(status=ToyStatus(phase.value), phase=phase, final=reply.status != 202)


@pytest.mark.looptime
async def test_an_unchanged_reply_is_not_read_again() -> None:
    """The body that the last reading came from is recognised, and says nothing new."""
    endpoint = CountingEndpoint()
    async with watching([RUNNING, RUNNING, RUNNING, running(1), RUNNING, SUCCEEDED], endpoint=endpoint) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
    assert len(endpoint.read_bodies) == 4
    assert [type(event) for event in events] == [Progressed] * 3 + [Succeeded]


@pytest.mark.looptime
async def test_an_empty_body_can_mean_two_things() -> None:
    """A 200 is no repetition of a 202, though both are empty."""
    empty = [Reply(202, {}, b""), Reply(202, {}, b""), Reply(200, {}, b"")]
    async with watching(list[Answer](empty), endpoint=CountingEndpoint()) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"


@pytest.mark.looptime
async def test_each_showing_of_an_unconfirmed_answer_counts() -> None:
    """The same body again is a confirmation, nothing to skip, and an empty one is none."""
    maybe = {"state": "maybe-failed"}
    script: list[Answer] = [RUNNING, maybe, Reply(200, {}, b""), RUNNING, *[maybe] * 9]
    async with watching(script, confirmations=2, confirm_s=2.0) as (watcher, transport):
        outcome = (await events_of(watcher.watch(ToyJob())))[-1]
    assert type(outcome).__name__ == "Failed"
    assert len(transport.times) == len(script)


@pytest.mark.looptime
async def test_a_heartbeat_repeats_what_is_known() -> None:
    """`heartbeat_s` reports an unchanged status, too."""
    async with watching([RUNNING] * 100 + [SUCCEEDED], heartbeat_s=30) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
    assert [round(event.elapsed_s) for event in events] == [0, 30, 60, 90, 100]


@pytest.mark.looptime
async def test_an_unknown_value_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """It is a running job; the log has it once, escaped and short."""
    odd = {"state": "thawing\n" + "x" * 10_000}
    async with watching([odd, {**odd, "done": 1}, {**odd, "done": 2}, SUCCEEDED]) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob()))
        await watcher.watch(ToyJob("b"))
    assert [event.phase for event in events if isinstance(event, Progressed)] == [Phase.RUNNING] * 3
    (record,) = [record for record in caplog.records if record.name.startswith("pollwise")]
    assert record.levelno == logging.WARNING
    assert "thawing\\n" in record.getMessage()
    assert len(record.getMessage()) < 300


# --- faults of foreign code ------------------------------------------------------------------------


class Stop(BaseException):
    """More than an `Exception`, as test frameworks have them."""


class FaultyEndpoint(ToyEndpoint):
    """Raises or returns the given fault for the job `bad`."""

    def __init__(self, where: str, fault: Callable[[], Any], auth: ToyAuth | None = None) -> None:
        super().__init__(auth)
        self.where, self.fault = where, fault

    def request(self, job: ToyJob, /) -> Request:
        return self.fault() if self.where == "request" and job.id == "bad" else super().request(job)

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        return self.fault() if self.where == "read" and reply.body == b'{"state":"bad"}' else super().read(reply)

    def problem(self, reply: Reply, /) -> Any:
        return self.fault()


class Unequal:
    def __eq__(self, other: object) -> bool:
        raise ArithmeticError

    def __hash__(self) -> int:
        return 0


def _raise(error: BaseException) -> Callable[[], Any]:
    def fault() -> Any:
        raise error

    return fault


FAULTS: dict[str, tuple[str, Callable[[], Any], str]] = {
    "request raises": ("request", _raise(KeyError("x")), "KeyError"),
    "request gives nothing": ("request", lambda: None, "must return a Request"),
    "request raises more": ("request", _raise(Stop()), "Stop"),
    "request is cancelled": ("request", _raise(asyncio.CancelledError()), "cancelled from within"),
    "read is cancelled": ("read", _raise(asyncio.CancelledError()), "cancelled from within"),
    "read raises": ("read", _raise(ZeroDivisionError()), "ZeroDivisionError"),
    "read raises more": ("read", _raise(Stop()), "Stop"),
    "read gives nothing": ("read", lambda: None, "AttributeError"),
    "read gives garbage": ("read", lambda: Reading(status=Unequal(), phase=Phase.RUNNING, fraction=3.0), "Arithmetic"),
    "read raises a job's error": ("read", _raise(PermissionDenied("bad", 200)), "permission denied"),
    "problem raises": ("problem", _raise(RecursionError()), "RecursionError"),
}


@pytest.mark.looptime
@pytest.mark.parametrize(("where", "fault", "word"), FAULTS.values(), ids=FAULTS)
@pytest.mark.parametrize("concurrency", [1, 10])
async def test_a_bug_in_an_endpoint_ends_its_own_watch_only(
    where: str, fault: Callable[[], Any], word: str, concurrency: int
) -> None:
    """Whatever comes out of an endpoint, the other watches and the pool go on."""
    good: list[Answer] = [RUNNING, running(1), RUNNING, SUCCEEDED]
    bad: list[Answer] = [{"state": "bad"}, RUNNING] if where != "problem" else [418]
    script = by_job({"bad": [*bad, {"state": "bad"}], "good": good, "late": good})
    options = {"concurrency": concurrency, "retry": Retry(outage_s=1e-9, min_failures=3)}
    async with watching(script, endpoint=FaultyEndpoint(where, fault), **options) as (watcher, _):
        one, other = watcher.watch(ToyJob("bad")), watcher.watch(ToyJob("good"))
        error = await why_abandoned(one)
        assert word in str(error)
        assert (await other).state == "succeeded"
        assert (await watcher.watch(ToyJob("late"))).state == "succeeded"


@pytest.mark.looptime
async def test_a_cancellation_out_of_problem_is_a_poll_that_taught_nothing() -> None:
    """As out of `request` and `read`: it ends neither the poller nor, at the first time, the watch."""
    endpoint = FaultyEndpoint("problem", _raise(asyncio.CancelledError()))
    async with watching([418, SUCCEEDED], endpoint=endpoint) as (watcher, _):
        events = await events_of(watcher.watch(ToyJob("bad")))
        assert [type(event) for event in events] == [Retrying, Succeeded]


@pytest.mark.looptime
async def test_a_bug_says_where_to_look_and_no_secret() -> None:
    """The error has the exception's words without credentials. The exception is the cause, and a note says where it was raised."""
    endpoint = FaultyEndpoint("read", _raise(ValueError("no state in eyJhbGciOiJIUzI1NiJ9.secret-from-the-body")))
    async with watching([{"state": "bad"}], endpoint=endpoint) as (watcher, _):
        with pytest.raises(EndpointBug) as caught:
            await watcher.watch(ToyJob())
    assert "raised ValueError: no state in ***." in str(caught.value)
    assert isinstance(caught.value.__cause__, ValueError)
    assert "test_dispatcher.py" in caught.value.__notes__[0]


@pytest.mark.looptime
@pytest.mark.parametrize("where", ["request", "read"])
async def test_a_watch_that_a_bug_has_ended_is_freed_at_once(where: str) -> None:
    """Counting references is enough: no frame of the bug leads back to it, or to the reply and the credentials."""

    def fail() -> None:
        raise ZeroDivisionError

    async def one(watcher: JobWatcher[ToyJob, ToyStatus]) -> weakref.ref[ToyJob]:
        job = ToyJob("bad")
        error = await why_abandoned(watcher.watch(job))
        assert isinstance(error.__cause__, ZeroDivisionError)
        return weakref.ref(job)

    with without_garbage_collection():
        async with watching([{"state": "bad"}], endpoint=FaultyEndpoint(where, fail)) as (watcher, _):
            job = await one(watcher)
            await asyncio.sleep(5)
            assert job() is None


class Garbage:
    """A transport that does what no transport should, for the job `bad`."""

    def __init__(self, fault: Callable[[], Any]) -> None:
        self.fault = fault
        self.good = ScriptedTransport([RUNNING, running(1), SUCCEEDED])

    async def send(self, request: Request, /) -> Reply:
        await asyncio.sleep(0.01)
        return self.fault() if job_of(request) == "bad" else await self.good.send(request)


GARBAGE: dict[str, tuple[Callable[[], Any], type[WatchError]]] = {
    "an error": (_raise(OSError("x")), EndpointBug),
    "more than an error": (_raise(Stop()), EndpointBug),
    "a cancellation": (_raise(asyncio.CancelledError()), RetriesExhausted),
    "a poll's error": (_raise(PollError()), RetriesExhausted),
    "the watch's end": (_raise(InsecureUrl("http://toy.example")), InsecureUrl),
    "None": (lambda: None, EndpointBug),
    "text": (lambda: "text", EndpointBug),
    "a status that is none": (lambda: Reply("200", {}, b"{}"), EndpointBug),  # type: ignore[arg-type]  # garbage
    "a body that is none": (lambda: Reply(200, {}, None), EndpointBug),  # type: ignore[arg-type]  # garbage
    "a body that cannot be hashed": (lambda: Reply(200, {}, bytearray(b"{}")), EndpointBug),  # type: ignore[arg-type]
}


@pytest.mark.looptime
@pytest.mark.parametrize(("fault", "expected"), GARBAGE.values(), ids=GARBAGE)
async def test_a_transports_garbage_ends_its_own_watch_only(
    fault: Callable[[], Any], expected: type[WatchError]
) -> None:
    """Whatever a transport raises or returns, the other watches and the pool go on."""
    async with watching(Garbage(fault), concurrency=2, retry=Retry(outage_s=1e-9, min_failures=3)) as (watcher, _):
        one, other = watcher.watch(ToyJob("bad")), watcher.watch(ToyJob("good"))
        assert type(await why_abandoned(one)) is expected
        assert (await other).state == "succeeded"
        assert (await watcher.watch(ToyJob("late"))).state == "succeeded"


def _no_more_waits() -> Generator[Any, Any, None]:
    yield 1.0
    raise LookupError("no more waits")


@pytest.mark.looptime
@pytest.mark.parametrize(
    "options",
    [
        {"dice": _raise(LookupError("no dice"))},
        {"pacing": Pacing(wait=_no_more_waits, adaptive=False)},
        {"retry": Retry(wait=_no_more_waits)},
    ],
    ids=["dice", "pacing", "retry"],
)
async def test_what_a_caller_hands_in_may_be_broken(options: dict[str, Any]) -> None:
    """Dice or waits that raise end the watch that needed them, and keep no watch alive."""
    async with watching([RUNNING, 503, 503, 503, running(1), running(2), running(3), FAILED], **options) as (
        watcher,
        _,
    ):
        error = await why_abandoned(watcher.watch(ToyJob()))
    assert isinstance(error, CallbackFailed)
    assert "raised LookupError" in str(error)


@pytest.mark.looptime
async def test_a_poller_that_foreign_code_cancels_ends_one_watch() -> None:
    """The watch in its hands ends, the places in the budget are given back, and the others are asked by new pollers."""
    budget = RateBudget(3, per_s=1)
    script = by_job(
        {"hangs": [Hang()], "late": [SUCCEEDED], "idle": [SUCCEEDED], **{str(n): [SUCCEEDED] for n in range(3)}}
    )
    async with watching(script, concurrency=2, budget=budget) as (watcher, _):
        hanging = watcher.watch(ToyJob("hangs"))
        await watcher.watch(ToyJob("idle"))
        queued = [watcher.watch(ToyJob(str(n))) for n in range(3)]
        for task in pollers():
            task.cancel()
        late = watcher.watch(ToyJob("late"))
        assert isinstance(await why_abandoned(hanging), WatcherClosed)
        for watch in (*queued, late):
            assert (await watch).state == "succeeded"


@pytest.mark.looptime
@pytest.mark.parametrize("steps", range(12))
@pytest.mark.parametrize("answers", [[SUCCEEDED], [401, SUCCEEDED]], ids=str)
async def test_whenever_foreign_code_cancels_nothing_hangs(answers: list[Answer], steps: int) -> None:
    """Sending, answered, being given the next or renewing: each watch ends, and no place in the budget is lost."""
    budget = RateBudget(2, per_s=1)
    async with watching(
        by_job({name: [*answers] for name in ("a", "b", "c", "late")}),
        endpoint=ToyEndpoint(ToyAuth()),
        concurrency=2,
        budget=budget,
    ) as (watcher, _):
        watches = [watcher.watch(ToyJob(name)) for name in ("a", "b", "c")]
        for _ in range(steps):
            await asyncio.sleep(0)
        for task in pollers():
            task.cancel()
        watches.append(watcher.watch(ToyJob("late")))
        for watch in watches:
            outcome = (await events_of(watch))[-1]
            assert isinstance(outcome, Succeeded) or isinstance(getattr(outcome, "error", None), WatcherClosed)
        assert isinstance(watches[-1].outcome, Succeeded)
        await asyncio.sleep(2)
        assert engine_of(budget).left(now()) == 2


@pytest.mark.looptime
async def test_a_reply_counts_though_foreign_code_cancels() -> None:
    """Between the answer and its being taken in."""
    transport = Counting(ScriptedTransport([SUCCEEDED]))
    async with watching(transport, concurrency=3, budget=ample()) as (watcher, _):
        watches = [watcher.watch(ToyJob(str(n))) for n in range(3)]
        while not transport.most or transport.now:
            await asyncio.sleep(0)
        for task in pollers():
            task.cancel()
        for watch in watches:
            assert (await watch).state == "succeeded"
        assert (await watcher.watch(ToyJob("late"))).state == "succeeded"


@pytest.mark.looptime
async def test_more_than_an_error_costs_no_other_answer() -> None:
    """A reply that came in the same turn of the event loop is processed all the same, and no job is asked again."""
    script = by_job({"bad": [{"state": "bad"}], **{str(n): [SUCCEEDED] for n in range(8)}})
    endpoint = FaultyEndpoint("read", _raise(Stop()))
    async with watching(script, endpoint=endpoint, concurrency=9, budget=ample()) as (watcher, transport):
        watches = [watcher.watch(ToyJob(name)) for name in ("0", "1", "2", "bad", "3", "4", "5", "6", "7")]
        for watch in watches:
            await events_of(watch)
        assert now() == 0.0
    assert [type(watch.outcome) for watch in watches].count(Succeeded) == 8
    assert len(transport.requests) == 9


# --- stopping -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_stopping_before_the_first_poll_sends_nothing() -> None:
    """Nothing is asked for a watch that is over, at whatever moment that was."""
    for steps in range(4):
        transport = ScriptedTransport([Hang()])
        async with watching(transport) as (watcher, _):
            watch = watcher.watch(ToyJob())
            for _ in range(steps):
                await asyncio.sleep(0)
            asked = len(transport.times)
            watch.stop()
            assert isinstance(await why_abandoned(watch), WatchStopped)
            await asyncio.sleep(5)
            assert len(transport.times) == asked


@pytest.mark.looptime
async def test_stopping_cuts_the_request_in_flight() -> None:
    """The watch ends at once, its request a moment later, and its poller serves others."""
    transport = Counting(ScriptedTransport(by_job({"a": [Hang()], "b": [SUCCEEDED]})))
    async with watching(transport, concurrency=1) as (watcher, _):
        watch, other = watcher.watch(ToyJob("a")), watcher.watch(ToyJob("b"))
        await asyncio.sleep(2)
        watch.stop()
        watch.stop()
        assert isinstance(watch.outcome, Abandoned)
        assert (await other).state == "succeeded"
        assert now() == 2
        assert transport.cut == 1
        assert len(pollers()) == 1


@pytest.mark.looptime
async def test_stopping_while_waiting_and_after_the_end() -> None:
    """Between two polls the watch ends and is not asked again; after its end nothing changes."""
    async with watching([RUNNING, SUCCEEDED]) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(0.5)
        watch.stop()
        assert isinstance(await why_abandoned(watch), WatchStopped)
        assert watch.outcome is not None
        assert watch.outcome.status == ToyStatus("running")
        await asyncio.sleep(5)
        assert len(transport.times) == 1
        again = watcher.watch(ToyJob())
        await again
        outcome = again.outcome
        again.stop()
        assert again.outcome is outcome
    again.stop()
    watch.stop()


@pytest.mark.looptime
@pytest.mark.parametrize("where", ["request", "send", "read"])
async def test_a_watch_may_be_stopped_by_the_code_that_polls_it(where: str) -> None:
    """An endpoint or a transport that stops the very watch it is working for does not hurt the poller."""
    watches: dict[str, Watch[ToyJob, ToyStatus]] = {}

    def stop() -> Any:
        watches["bad"].stop()
        return (
            ToyEndpoint().request(ToyJob("bad"))
            if where == "request"
            else Reading(status=ToyStatus("x"), phase=Phase.RUNNING)
        )

    def script(request: Request) -> Answer:
        if job_of(request) != "bad":
            return SUCCEEDED
        if where == "send":
            stop()
        return Slow({"state": "bad"}, 1.0)

    async with watching(script, endpoint=FaultyEndpoint(where, stop), concurrency=1) as (watcher, _):
        watches["bad"] = watcher.watch(ToyJob("bad"))
        assert isinstance(await why_abandoned(watches["bad"]), WatchStopped)
        for n in range(3):
            assert (await watcher.watch(ToyJob(str(n)))).state == "succeeded"
            await asyncio.sleep(1)
        assert len(pollers()) == 1
        assert pollers()[0].cancelling() == 0


# --- how much it takes ----------------------------------------------------------------------------


@pytest.mark.looptime
async def test_no_more_requests_than_allowed_are_in_flight() -> None:
    """`concurrency` holds at every moment, and the pool uses it."""
    script = by_job({str(n): [Slow(RUNNING, 0.3), Slow(SUCCEEDED, 0.2)] for n in range(40)})
    transport = Counting(ScriptedTransport(script))
    async with watching(transport, concurrency=7) as (watcher, _):
        await watcher.gather([ToyJob(str(n)) for n in range(40)])
        assert len(pollers()) == 7
    assert transport.most == 7


@pytest.mark.looptime
async def test_a_thousand_waiting_watches_are_one_timer_and_few_tasks() -> None:
    """A waiting watch has no task, timer or future of its own."""
    loop: Any = asyncio.get_running_loop()
    async with watching([RUNNING], concurrency=5, pacing=Pacing.fixed(100), budget=ample()) as (watcher, _):
        before = len(asyncio.all_tasks())
        for n in range(1000):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(50)
        assert len(asyncio.all_tasks()) == before + 5
        assert len([handle for handle in loop._scheduled if not handle.cancelled()]) == 1


class Noting(ToyEndpoint):
    """Notes when it is asked for a request, and when for a reading."""

    def __init__(self) -> None:
        super().__init__()
        self.noted: list[str] = []

    def request(self, job: ToyJob, /) -> Request:
        self.noted.append("send")
        return super().request(job)

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        self.noted.append("read")
        return super().read(reply)


@pytest.mark.looptime
async def test_what_is_answered_at_once_is_read_at_once() -> None:
    """All replies of one turn of the event loop are processed before the next poll is sent."""
    endpoint = Noting()
    answers: list[Answer] = [RUNNING, running(1), running(2), SUCCEEDED]
    script = by_job({str(n): answers for n in range(20)})
    async with watching(script, endpoint=endpoint, concurrency=5, budget=ample()) as (watcher, _):
        for watch in [watcher.watch(ToyJob(str(n))) for n in range(20)]:
            await watch
    assert endpoint.noted[:40] == [*["send"] * 5, *["read"] * 5] * 4
    assert endpoint.noted.count("read") == 80


@pytest.mark.looptime
async def test_others_are_asked_before_all_are_read() -> None:
    """Of many answers some are taken in at a time, so that a slow server has something to do meanwhile."""
    endpoint = Noting()
    async with watching([RUNNING, SUCCEEDED], endpoint=endpoint, concurrency=64, budget=ample()) as (watcher, _):
        for watch in [watcher.watch(ToyJob(str(n))) for n in range(200)]:
            await watch
    runs = [(what, len(list(run))) for what, run in groupby(endpoint.noted)]
    assert runs[:5] == [("send", 64), *[("read", 16), ("send", 16)] * 2]


@pytest.mark.looptime
async def test_an_answer_that_comes_alone_waits_for_no_other() -> None:
    """It is read in the very step in which it came, by the poller's own task."""
    readers: list[asyncio.Task[Any] | None] = []

    class Telling(ToyEndpoint):
        def read(self, reply: Reply, /) -> Reading[ToyStatus]:
            readers.append(asyncio.current_task())
            return super().read(reply)

    async with watching([Slow(RUNNING, 0.01), Slow(SUCCEEDED, 0.01)], endpoint=Telling()) as (watcher, _):
        await watcher.watch(ToyJob())
        assert readers == pollers() * 2


@pytest.mark.looptime
async def test_a_busy_processor_asks_fewer_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While there is no time to spare, and not when there is: then again as many as the caller allows."""
    busy = 1.0
    monkeypatch.setattr("pollwise.runtime.dispatcher.thread_time", lambda: busy * now())
    transport = Counting(ScriptedTransport([Slow(RUNNING, 0.005)]))
    options = {"concurrency": 64, "budget": RateBudget(10**6, per_s=1.0), "pacing": Pacing.fixed(0.001)}
    async with watching(transport, **options) as (watcher, _):
        for n in range(200):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(1)
        assert transport.most == 64
        transport.most = 0
        await asyncio.sleep(0.5)
        assert transport.most == 16
        busy = 0.0
        await asyncio.sleep(0.5)
        assert transport.most == 64


@pytest.mark.looptime
async def test_a_server_that_falls_silent_delays_no_poll_that_it_would_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the few requests in flight hang, others go as soon as the processor has time, without a reply."""
    monkeypatch.setattr("pollwise.runtime.dispatcher.thread_time", lambda: min(now(), 0.4 + 0.6 * now()))
    silent = False
    options = {"concurrency": 64, "budget": RateBudget(10**6, per_s=1.0), "pacing": Pacing.fixed(0.001)}
    transport = Counting(ScriptedTransport(lambda _request: Hang() if silent else Slow(RUNNING, 0.005)))
    async with watching(transport, **options) as (watcher, _):
        for n in range(200):
            watcher.watch(ToyJob(str(n)))
        await asyncio.sleep(1)
        silent = True
        await asyncio.sleep(0.5)
        assert transport.now == 64


# --- properties -----------------------------------------------------------------------------------


@attrs.frozen
class Play:
    """A random life of one watch."""

    script: list[Answer]
    interval_s: float
    request_timeout_s: float
    timeout_s: float


SOME_SECONDS = st.floats(0.5, 20)
DOCUMENTS: st.SearchStrategy[Any] = st.one_of(
    st.builds(running, st.integers(0, 10)),
    st.sampled_from([RUNNING, {"state": "odd"}, {"state": "maybe-failed"}, {"no": 1}, SUCCEEDED, FAILED]),
)
ANSWERS: st.SearchStrategy[Any] = st.one_of(
    DOCUMENTS,
    st.sampled_from([404, 429, 500, 503, ConnectFailed("refused"), Hang(), 403]),
    st.builds(lambda s: reply(status=503, headers={"Retry-After": str(s)}), st.integers(0, 50)),
    st.builds(Slow, DOCUMENTS, SOME_SECONDS),
)
PLAYS = st.builds(
    Play,
    script=st.lists(ANSWERS, min_size=1, max_size=8),
    interval_s=SOME_SECONDS,
    request_timeout_s=SOME_SECONDS,
    timeout_s=st.floats(0.02, 40),
)


class Diary(Counting):
    """Writes down when requests go, when their replies come, and what was in them."""

    def __init__(self, inner: Transport) -> None:
        super().__init__(inner)
        self.entries: list[tuple[float, float, Reply | None]] = []

    async def send(self, request: Request, /) -> Reply:
        began, answer = now(), None
        try:
            answer = await super().send(request)
            return answer
        finally:
            self.entries.append((began, now(), answer))


async def _live(play: Play) -> tuple[list[Event[ToyJob, ToyStatus]], Diary, float]:
    diary = Diary(ScriptedTransport(play.script))
    options = {"request_timeout_s": play.request_timeout_s, "pacing": Pacing.fixed(play.interval_s)}
    async with watching(diary, timeout_s=play.timeout_s, retry=Retry(outage_s=1e-9, min_failures=6), **options) as (
        watcher,
        _,
    ):
        watch = watcher.watch(ToyJob())
        events = await asyncio.create_task(events_of(watch))
        assert [event async for event in watch] == events[-1:]
        ended = now()
        await asyncio.sleep(60)
    return events, diary, ended


@given(PLAYS)
@example(Play([Hang()], 1.0, 0.5, 1.0))
def test_a_watch_ends_once_and_in_time(play: Play) -> None:
    """Exactly one outcome, nothing after it, nothing asked after it, and never later than the deadline allows."""
    events, diary, ended = run(_live(play), debug=True)
    over = [not isinstance(event, (Progressed, Retrying, Throttled)) for event in events]
    assert over == [False] * (len(events) - 1) + [True]
    assert ended <= play.timeout_s + LATE_S
    assert all(began <= ended for began, _, _ in diary.entries)
    assert [event.polls for event in events] == sorted(event.polls for event in events)
    assert [event.elapsed_s for event in events] == sorted(event.elapsed_s for event in events)
    assert diary.most <= 1


@given(PLAYS)
def test_no_poll_is_asked_before_its_time(play: Play) -> None:
    """The interval passes after a good reply, unless the deadline is near; `Retry-After` always does."""
    _, diary, _ = run(_live(play), debug=True)
    last_poll_at = play.timeout_s - min(1.0, 0.1 * play.timeout_s)
    for (_, ended, answer), (began, _, _) in pairwise(diary.entries):
        if answer is None:
            continue
        if b"state" in answer.body and began < last_poll_at:
            assert began >= ended + play.interval_s - 1e-6
        if "Retry-After" in answer.headers:
            assert began >= ended + float(answer.headers["Retry-After"]) - 1e-6


@given(
    st.lists(st.integers(0, 2), min_size=1, max_size=8),
    st.integers(1, 5),
    st.floats(0.5, 5),
    st.integers(1, 4),
)
def test_a_budget_is_never_overdrawn(lives: list[int], limit: int, per_s: float, concurrency: int) -> None:
    """In any span of `per_s` seconds no more than `limit` requests go, and each job is asked in the end."""

    async def main() -> list[float]:
        script = by_job({str(n): [*[RUNNING] * life, SUCCEEDED] for n, life in enumerate(lives)})
        options = {"budget": RateBudget(limit, per_s=per_s), "concurrency": concurrency, "timeout_s": None}
        async with watching(script, **options) as (watcher, transport):
            outcomes = await watcher.gather([ToyJob(str(n)) for n in range(len(lives))])
        assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
        return transport.times

    times = run(main(), debug=True)
    assert len(times) == sum(lives) + len(lives)
    assert all(later - earlier >= per_s - 1e-6 for earlier, later in zip(times, times[limit:], strict=False))


async def test_each_poll_is_in_the_debug_log(caplog: pytest.LogCaptureFixture) -> None:
    """A line says what was asked and what it came to, and no word of the vendor's; at INFO nothing is said."""
    asked = "toy: ToyJob(id='j'): poll {}: GET https://toy.example/j {} in T s: {}"
    for level, lines in ((logging.DEBUG, 3), (logging.INFO, 0)):
        caplog.clear()
        caplog.set_level(level, "pollwise")
        async with watching([running(3), 503, FAILED]) as (watcher, _):
            await events_of(watcher.watch(ToyJob("j")))
        records = [record for record in caplog.records if record.name == "pollwise.runtime.observing"]
        said = [re.sub(r"in 0\.\d{3} s", "in T s", record.getMessage()) for record in records]
        assert len(said) == lines
        if said:
            assert said[0] == asked.format(1, 200, "running, progressed, asked again in 1 s")
            assert said[1].startswith(asked.format(2, 503, "running, retrying, asked again in "))
            assert said[2] == asked.format(3, 200, "failed")
