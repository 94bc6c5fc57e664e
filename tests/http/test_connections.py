"""The age of connections, and that no request is sent twice: on real sockets, in virtual time."""

from __future__ import annotations

import asyncio
import gc
import math
import warnings
import weakref
from collections import Counter
from typing import Any

import aiohttp
import pytest
from yarl import URL

from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError, StaleConnection
from pollwise.http.connections import Connector, disable_retries
from pollwise.http.transport import AiohttpTransport
from pollwise.model.events import Abandoned, Event, Retrying
from pollwise.model.messages import Request
from pollwise.watcher import JobWatcher
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyEndpoint, ToyJob, ToyStatus

RUNNING = reply(b'{"state": "running"}')
SUCCEEDED = reply(b'{"state": "succeeded"}')


def connector_of(transport: AiohttpTransport) -> Connector:
    assert transport._connector is not None
    return transport._connector


def ask(server: RawServer) -> Request:
    return Request(URL(server.url))


class Uses:
    """Replies, and stores when each connection served a request."""

    def __init__(self) -> None:
        self.of: dict[Line, list[float]] = {}

    def __call__(self, line: Line) -> None:
        self.of.setdefault(line, []).append(asyncio.get_running_loop().time())
        line.say(reply())

    def lengths(self) -> list[float]:
        return [times[-1] - times[0] for times in self.of.values()]


# --- age --------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_connection_is_replaced_after_its_age() -> None:
    """The name is resolved again after `connection_age_s`, and no request fails because of that."""
    uses = Uses()
    async with raw_server(uses) as server, AiohttpTransport(connection_age_s=100) as transport:
        for _ in range(100):
            await transport.send(ask(server))
            await asyncio.sleep(10)
    # one request more is served by a connection that is idle when its time is over
    assert all(70 <= length <= 110 for length in uses.lengths()[:-1])
    assert 9 <= len(uses.of) <= 13
    assert sum(map(len, uses.of.values())) == 100


@pytest.mark.looptime
async def test_a_connection_may_be_used_for_ever() -> None:
    """None means no limit, and the default is five minutes."""
    for age_s, connections in ((None, 1), (math.nan, 3)):
        options: dict[str, Any] = {} if age_s is not None else {"connection_age_s": None}
        uses = Uses()
        async with raw_server(uses) as server, AiohttpTransport(**options) as transport:
            for _ in range(70):
                await transport.send(ask(server))
                await asyncio.sleep(10)
        assert len(uses.of) == connections


@pytest.mark.looptime
async def test_connections_that_were_opened_together_are_not_replaced_together() -> None:
    """A server does not get all handshakes at the same time."""
    async with raw_server() as server, AiohttpTransport(connection_age_s=100) as transport:
        opened: Counter[int] = Counter()
        for second in (0, *range(75, 104, 2)):
            await asyncio.sleep(second - max(opened, default=0))
            before = connector_of(transport).opened
            await asyncio.gather(*(transport.send(ask(server)) for _ in range(20)))
            opened[second] = connector_of(transport).opened - before
    assert opened.pop(0) == opened.total() == 20
    assert max(opened.values()) <= 4
    assert min(second for second, count in opened.items() if count) >= 80


@pytest.mark.looptime
async def test_a_request_outlives_its_connection_s_time() -> None:
    """A request in flight is finished, and then its connection is closed."""
    async with raw_server(lambda line: None) as server, AiohttpTransport(connection_age_s=10) as transport:
        sending = asyncio.create_task(transport.send(ask(server)))
        await server.received()
        await asyncio.sleep(100)
        server.lines[0].say(reply(b"late"))
        assert (await sending).body == b"late"
        await server.lines[0].closed.wait()
        server.answer = reply()
        await transport.send(ask(server))
        assert len(server.lines) == 2


@pytest.mark.looptime
async def test_connections_leave_nothing_behind() -> None:
    """A closed connection needs no memory, and a closed transport has no timer."""
    async with raw_server(reply(b"{}", "Connection: close")) as server:
        transport = AiohttpTransport()
        gc.disable()
        try:
            for _ in range(20):
                await transport.send(ask(server))
            connector = connector_of(transport)
            assert len(connector._expires_at) <= 1
        finally:
            gc.enable()
        await transport.aclose()
        assert connector._age_timer is None
        assert len(connector._expires_at) == 0


async def test_a_timer_keeps_no_connector_alive() -> None:
    """A transport that was not closed is freed, so it can warn."""
    async with raw_server() as server:
        transport = AiohttpTransport()
        await transport.send(ask(server))
        left = weakref.ref(connector_of(transport))
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            del transport
            gc.collect()
        assert left() is None


@pytest.mark.parametrize("age_s", [0, -1.0, math.nan, math.inf])
def test_an_invalid_age_is_refused(age_s: float) -> None:
    """The constructor refuses it, and the message says how to have no limit."""
    with pytest.raises(ConfigurationError, match="None for no limit"):
        AiohttpTransport(connection_age_s=age_s)


# --- no retries by aiohttp --------------------------------------------------------------------


async def test_this_aiohttp_has_an_attribute_for_its_retries() -> None:
    """Without it each poll needs a middleware. If this fails, look for another way."""
    async with aiohttp.ClientSession() as session:
        assert disable_retries(session)
        assert "_retry_connection" in aiohttp.ClientSession.ATTRS


class Here(ToyEndpoint):
    """The toy vendor on a server of this machine."""

    def __init__(self, server: RawServer) -> None:
        super().__init__()
        self._url = URL(server.url)

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)


async def watched(server: RawServer, jobs: int, **options: Any) -> list[Event[ToyJob, ToyStatus]]:
    """The events of all watches of this number of jobs."""
    options = {"pacing": Pacing.fixed(0.5), "timeout_s": 20.0, **options}

    async def events(watch: Any) -> list[Event[ToyJob, ToyStatus]]:
        return [event async for event in watch]

    async with JobWatcher(Here(server), **options) as watcher:
        each = await asyncio.gather(*(events(watcher.watch(ToyJob(str(n)))) for n in range(jobs)))
    return [event for watch in each for event in watch]


@pytest.mark.looptime
@pytest.mark.parametrize("given", [False, True])
async def test_every_request_on_the_wire_has_passed_the_budget(given: bool) -> None:
    """Each second request of a connection gets no reply. No second has more requests than the budget."""
    received: list[float] = []
    served: set[Line] = set()

    def answer(line: Line) -> None:
        received.append(asyncio.get_running_loop().time())
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
    assert len(received) > 100
    assert max(sum(began <= at < began + 1.0 for at in received) for began in received) <= 10
    assert sum(event.polls for event in events if isinstance(event, Abandoned)) == len(received)
    assert all(isinstance(event.error, StaleConnection) for event in events if isinstance(event, Retrying))


@pytest.mark.looptime
async def test_a_stale_connection_is_no_failure() -> None:
    """The poll is sent again at once as another poll, and there is no event for it."""
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
    """A server that closes every kept-alive connection is polled with the delays of `Retry`."""
    received: list[Line] = []

    def answer(line: Line) -> None:
        received.append(line)
        if len(received) <= 2:
            if len(received) == 2:
                for each in set(received):
                    each.say(RUNNING)
        elif len(received) <= 4:
            line.hang_up()
        else:
            line.say(SUCCEEDED)

    async with raw_server(answer) as server, AiohttpTransport() as transport:
        await asyncio.gather(*(transport.send(ask(server)) for _ in range(2)))  # two connections are kept
        events = await watched(server, 1, transport=transport, retry=Retry(base_s=1.0))
    (retrying,) = [event for event in events if isinstance(event, Retrying)]
    assert isinstance(retrying.error, StaleConnection)
    assert (retrying.failures, retrying.polls) == (1, 2)
    assert len(received) == 5
