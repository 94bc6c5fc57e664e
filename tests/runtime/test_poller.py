"""One poller: what it hands in, and when it may be cut. What a watcher makes of that is in `test_dispatcher.py`."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import Any, cast

import attrs
import pytest

from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.errors import AuthenticationError, ConnectFailed, PollTimeout
from pollwise.http.turns import Turns
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.poller import Poller, PollResult, Unasked
from pollwise.runtime.watch import Watch
from pollwise.testing import reply
from toy import RUNNING, ToyAuth, ToyEndpoint, ToyJob, ToyStatus, settle

TIMEOUT_S = 30.0


@attrs.define
class Sending:
    """A transport that does what the test says, and counts."""

    do: Callable[[], Awaitable[Any]]
    sent: list[Request] = attrs.field(factory=list)

    async def send(self, request: Request, /) -> Reply:
        self.sent.append(request)
        return cast("Reply", await self.do())


async def answer_at_once() -> Reply:
    return reply(RUNNING)


async def hang() -> Reply:
    await asyncio.sleep(math.inf)
    raise AssertionError


async def swallow() -> Reply:
    with suppress(asyncio.CancelledError):
        await asyncio.sleep(math.inf)
    return reply(RUNNING)


def a_watch(*, timeout_s: float | None = None) -> Watch[ToyJob, ToyStatus]:
    rules = Policy(pacing=Pacing(), retry=Retry(), timeout_s=timeout_s)
    machine = WatchMachine[ToyJob, ToyStatus](ToyJob(), rules, now=asyncio.get_running_loop().time())
    return DrivenWatch(machine, cast("Any", None))  # no test here needs its owner


@asynccontextmanager
async def polling(
    do: Callable[[], Awaitable[Any]], auth: ToyAuth | None = None
) -> AsyncIterator[tuple[Poller[ToyJob, ToyStatus], Sending, list[PollResult]]]:
    """A poller, its transport, and the answers that it has handed in."""
    transport, answers = Sending(do), list[PollResult]()
    poller = Poller(
        endpoint=ToyEndpoint(auth),
        transport=transport,
        timeout_s=TIMEOUT_S,
        limits=ReplyLimits(),
        turns=Turns(),
        loop=asyncio.get_running_loop(),
        on_result=lambda poller: answers.append(poller.result),
    )
    yield poller, transport, answers
    if poller.task is not None:
        poller.task.cancel()
        await asyncio.wait([poller.task])


async def begin(poller: Poller[ToyJob, ToyStatus]) -> asyncio.Task[None]:
    task = asyncio.create_task(poller.run(), name="poller")
    await settle()
    return task


@pytest.mark.looptime
async def test_it_hands_in_one_answer_for_each_watch_that_it_is_given() -> None:
    """Then it waits, with its time limit lifted, until it is given the next."""
    async with polling(answer_at_once) as (poller, transport, answers):
        for n in (1, 2):
            watch = a_watch()
            poller.assign(watch, n, asyncio.get_running_loop().time())
            assert poller.limit_at < math.inf
            if n == 1:
                await begin(poller)
            await settle()
            assert (len(transport.sent), len(answers), watch.machine.polls) == (n, n, 1)
            assert poller.limit_at == math.inf
    assert all(isinstance(answer, Reply) for answer in answers)


@pytest.mark.looptime
async def test_a_watch_that_was_stopped_meanwhile_is_not_asked_about() -> None:
    """Between being given and being sent."""
    async with polling(answer_at_once) as (poller, transport, answers):
        watch = a_watch()
        poller.assign(watch, 1, 0.0)
        watch.machine.on_deadline(now=0.0)
        await begin(poller)
        assert (transport.sent, answers, watch.machine.polls) == ([], [Unasked.IDLE], 0)


@pytest.mark.looptime
@pytest.mark.parametrize("timeout_s", [None, TIMEOUT_S * 2, 5.0])
async def test_a_request_has_its_own_time_and_no_more_than_the_watch(timeout_s: float | None) -> None:
    """Whichever is over first."""
    async with polling(hang) as (poller, _, answers):
        poller.assign(a_watch(timeout_s=timeout_s), 1, 0.0)
        assert poller.limit_at == min(TIMEOUT_S, timeout_s or math.inf)
        await begin(poller)
        poller.cancel_request()
        assert poller.limit_at == math.inf
        await settle()
        (answer,) = answers
        assert isinstance(answer, PollTimeout)
        assert answer.seconds == TIMEOUT_S
        assert poller.task is not None
        assert poller.task.cancelling() == 0


@pytest.mark.looptime
async def test_only_a_send_is_cut() -> None:
    """To cut a poller that has not begun, or waits, would end it."""
    async with polling(answer_at_once) as (poller, transport, answers):
        poller.assign(a_watch(), 1, 0.0)
        task = asyncio.create_task(poller.run(), name="poller")
        poller.cancel_request()
        await settle()
        assert len(answers) == 1
        poller.cancel_request()
        poller.assign(a_watch(), 2, 0.0)
        poller.cancel_request()  # it has not taken that up yet
        await settle()
        assert (len(transport.sent), len(answers), task.done()) == (2, 2, False)


@pytest.mark.looptime
async def test_a_cancellation_from_within_is_an_error_and_one_from_without_the_end() -> None:
    """A transport that is cancelled by its own doing has failed to connect."""

    async def cancelled() -> Reply:
        raise asyncio.CancelledError

    async with polling(cancelled) as (poller, _, answers):
        poller.assign(a_watch(), 1, 0.0)
        task = await begin(poller)
        assert [type(answer) for answer in answers] == [ConnectFailed]
        task.cancel()
        await settle()
        assert task.cancelled()
        assert not poller.assign(a_watch(), 2, 0.0)


@pytest.mark.looptime
async def test_an_end_that_is_swallowed_is_the_end_all_the_same() -> None:
    """The answer counts, and then the poller ends instead of waiting for ever."""
    async with polling(swallow) as (poller, _, answers):
        poller.assign(a_watch(), 1, 0.0)
        task = await begin(poller)
        task.cancel()
        await settle()
        assert [type(answer) for answer in answers] == [Reply]
        assert task.done()
        assert not poller.assign(a_watch(), 2, 0.0)


@pytest.mark.looptime
@pytest.mark.parametrize("error", [OSError("x"), AuthenticationError("no"), RecursionError()], ids=repr)
async def test_what_is_raised_is_handed_in(error: Exception) -> None:
    """It is for others to judge."""

    async def fail() -> Reply:
        raise error

    async with polling(fail) as (poller, _, answers):
        poller.assign(a_watch(), 1, 0.0)
        await begin(poller)
        assert answers == [error]
        assert poller.assign(a_watch(), 2, 0.0)


@pytest.mark.looptime
async def test_credentials_are_put_on_and_renewed() -> None:
    """To renew them is no poll; what was sent before is what is stale."""
    auth = ToyAuth()
    async with polling(answer_at_once, auth) as (poller, transport, answers):
        watch = a_watch()
        poller.assign(watch, 1, 0.0)
        await begin(poller)
        poller.renew(watch, 0.0)
        await asyncio.sleep(1)
        poller.assign(watch, 2, 0.0)
        await settle()
        assert [request.headers["Authorization"] for request in transport.sent] == ["0", "1"]
        assert auth.stale == [{"Authorization": "0"}]
        assert answers[1] is Unasked.RENEWED
        assert watch.machine.polls == 2


@pytest.mark.looptime
async def test_after_a_renewal_the_poll_has_its_whole_time() -> None:
    """The renewal was a request of its own, so the time limit of the poll begins after it."""
    async with polling(hang, ToyAuth(fresh=False)) as (poller, transport, _):
        poller.assign(a_watch(), 1, 0.0)
        assert poller.limit_at == TIMEOUT_S
        await begin(poller)
        await asyncio.sleep(10)
        assert len(transport.sent) == 1
        assert poller.limit_at == TIMEOUT_S + 0.5  # the renewal of the toy takes half a second


@pytest.mark.looptime
async def test_while_it_waits_it_keeps_no_watch_alive() -> None:
    """Nor a reply, once it has been processed."""
    async with polling(answer_at_once) as (poller, _, _answers):
        poller.assign(a_watch(), 1, 0.0)
        task = await begin(poller)
        coroutine = task.get_coro()
        assert coroutine is not None
        assert not {"watch", "machine"} & set(coroutine.cr_frame.f_locals)
