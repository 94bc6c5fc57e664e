"""That nothing goes out twice; on real sockets, in virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
from yarl import URL

from pollwise.connections import switch_off_repeats
from pollwise.core.budget import RateBudget
from pollwise.core.events import Abandoned, Event, Retrying
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.wire import Request
from pollwise.errors import StaleConnection
from pollwise.transport import AiohttpTransport
from pollwise.watcher import JobWatcher
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyEndpoint, ToyJob, ToyStatus

RUNNING = reply(b'{"state": "running"}')
SUCCEEDED = reply(b'{"state": "succeeded"}')


def ask(server: RawServer) -> Request:
    return Request(URL(server.url))


# --- nothing is sent twice --------------------------------------------------------------------


async def test_this_aiohttp_has_a_switch_for_its_repeats() -> None:
    """Without it each poll costs a middleware more: look for another way when this fails."""
    async with aiohttp.ClientSession() as session:
        assert switch_off_repeats(session)
        assert "_retry_connection" in aiohttp.ClientSession.ATTRS


class Here(ToyEndpoint):
    """The toy vendor on a server of this machine."""

    def __init__(self, server: RawServer) -> None:
        super().__init__()
        self._url = URL(server.url)

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)


async def watched(server: RawServer, jobs: int, **options: Any) -> list[Event[ToyJob, ToyStatus]]:
    """The events of all watches of so many jobs."""
    options = {"pacing": Pacing.fixed(0.5), "timeout_s": 20.0, **options}

    async def events(watch: Any) -> list[Event[ToyJob, ToyStatus]]:
        return [event async for event in watch]

    async with JobWatcher(Here(server), **options) as watcher:
        each = await asyncio.gather(*(events(watcher.watch(ToyJob(str(n)))) for n in range(jobs)))
    return [event for watch in each for event in watch]


@pytest.mark.looptime
@pytest.mark.parametrize("given", [False, True])
async def test_every_request_on_the_wire_has_passed_the_budget(given: bool) -> None:
    """Where each second request of a connection is not answered, no second has more requests than agreed."""
    heard: list[float] = []
    served: set[Line] = set()

    def answer(line: Line) -> None:
        heard.append(asyncio.get_running_loop().time())
        if line in served:
            line.hang_up()
        else:
            served.add(line)
            line.say(RUNNING)

    options: dict[str, Any] = {"budget": RateBudget(10, per_s=1.0)}
    async with raw_server(answer) as server, aiohttp.ClientSession() as session:
        if given:
            options["transport"] = AiohttpTransport(session)
        events = await watched(server, 20, **options)
    assert len(heard) > 100
    assert max(sum(began <= at < began + 1.0 for at in heard) for began in heard) <= 10
    assert sum(event.polls for event in events if isinstance(event, Abandoned)) == len(heard)
    assert all(isinstance(event.error, StaleConnection) for event in events if isinstance(event, Retrying))


@pytest.mark.looptime
async def test_a_stale_connection_is_no_failure() -> None:
    """The poll is sent again at once, as a poll of its own, and nothing is said of it."""
    times: list[float] = []

    def answer(line: Line) -> None:
        times.append(asyncio.get_running_loop().time())
        if len(times) == 2:
            line.hang_up()
        else:
            line.say(RUNNING if len(times) < 4 else SUCCEEDED)

    async with raw_server(answer) as server:
        *_, outcome = events = await watched(server, 1, pacing=Pacing(jitter=0))
    assert times == pytest.approx([0.0, 1.0, 1.0, 2.5], abs=0.01)
    assert outcome.polls == 4
    assert not any(isinstance(event, Retrying) for event in events)


@pytest.mark.looptime
async def test_two_stale_connections_in_a_row_are_a_failure() -> None:
    """A server that closes every kept-alive connection is asked at the pace of retrying."""
    heard: list[Line] = []

    def answer(line: Line) -> None:
        heard.append(line)
        if len(heard) <= 2:
            if len(heard) == 2:
                for each in set(heard):
                    each.say(RUNNING)
        elif len(heard) <= 4:
            line.hang_up()
        else:
            line.say(SUCCEEDED)

    async with raw_server(answer) as server, AiohttpTransport() as transport:
        await asyncio.gather(*(transport.send(ask(server)) for _ in range(2)))  # two connections are kept
        events = await watched(server, 1, transport=transport, retry=Retry(base_s=1.0))
    (retrying,) = [event for event in events if isinstance(event, Retrying)]
    assert isinstance(retrying.error, StaleConnection)
    assert (retrying.failures, retrying.polls) == (1, 2)
    assert len(heard) == 5
