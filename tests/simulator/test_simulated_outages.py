"""Outages of the whole server, and refusals without a rate limit."""

from __future__ import annotations

import asyncio
import itertools
from typing import Any

import aiohttp
import pytest

from pollwise.simulator import REFUSED, Fault, OAuthClient, RateLimit, ReplyOverride, SimulatedReply, Simulator

KINDS: list[tuple[Any, int]] = [
    (Fault.BAD_GATEWAY, 502),
    (Fault.UNAVAILABLE, 503),
    (Fault.GATEWAY_TIMEOUT, 504),
    (Fault.BROKEN_JSON, 200),
    (Fault.EMPTY_BODY, 200),
    (Fault.MAINTENANCE_PAGE, 200),
    (Fault.HTML_PAGE, 200),
    (Fault.NOT_FOUND, 404),
    (Fault.LOGIN_REDIRECT, 302),
    (Fault.FIREWALL_PAGE, 403),
    (Fault.NOT_MODIFIED, 304),
    ("bad-gateway", 502),
    (SimulatedReply(418), 418),
    (ReplyOverride({"Retry-After": "5"}, 503), 503),
]


async def codes(sim: Simulator, *paths: str) -> list[int]:
    found = []
    async with aiohttp.ClientSession(sim.document360_url) as session:
        for path in paths:
            async with session.get(path, allow_redirects=False) as response:
                await response.read()
                found.append(response.status)
    return found


@pytest.mark.parametrize(("kind", "status"), KINDS)
async def test_an_outage_applies_to_every_request(kind: Any, status: int) -> None:
    """Jobs of both vendors, unknown jobs and unknown paths get the outage's reply. Then all is as before."""
    async with Simulator(api_token="secret", rate_limit=RateLimit(limit=1)) as sim:
        paths = [
            sim.add_delete("task", script=["server-error"]).path,
            sim.add_extraction("F", "J").path,
            "/v2/Drive/Folders/DeleteFile/Status/unknown",
            "/nowhere",
        ]
        async with sim.outage(kind):
            assert await codes(sim, *paths, *paths) == [status] * 8
        assert await codes(sim, *paths) == [401, 200, 401, 404]
        assert (sim.requests.accepted, sim.requests.refused) == (0, 0)
        assert sim.polls("task") == 3


async def test_an_outage_uses_nothing_up() -> None:
    """An outage uses no script entry and no budget, and starts no job. The time of jobs continues."""
    async with Simulator(rate_limit=RateLimit(limit=1), oauth=OAuthClient(client_id="c", client_secret="s")) as sim:
        path = sim.add_delete("task", duration_s=0.0, script=["too-early"]).path
        async with sim.outage("bad-gateway"), aiohttp.ClientSession(sim.document360_url) as session:
            async with session.post("/documents/api/1.2/files/F/_extract") as response:
                assert response.status == 502
            async with session.post(sim.token_url) as response:
                assert response.status == 502
            await codes(sim, path)
        assert list(sim.jobs) == [("task",)]
        assert await codes(sim, path, path) == [425, 429]


@pytest.mark.looptime
async def test_an_outage_without_a_listener() -> None:
    """Connections are refused and open ones reset. The time of jobs continues, and the port stays the same."""
    async with Simulator() as sim, aiohttp.ClientSession() as session:
        url = sim.document360_url + sim.add_delete("task", duration_s=60.0).path
        async with session.get(url) as response:
            assert response.status == 200
        assert sim.connections == 1
        async with sim.outage("connection-refused"):
            assert sim.connections == 0
            with pytest.raises(aiohttp.ClientConnectorError):
                await session.get(url)
            await asyncio.sleep(60)
        async with session.get(url) as response:
            assert (await response.json())["task_status"]["is_complete"] is True


async def test_outages_nest() -> None:
    """`begin` and `end` can be called twice. After an inner outage the outer one applies again."""
    async with Simulator() as sim:
        path = sim.add_delete("task").path
        outage = sim.outage("bad-gateway")
        await outage.begin()
        await outage.begin()
        assert await codes(sim, path) == [502]
        async with sim.outage(REFUSED):
            with pytest.raises(aiohttp.ClientConnectorError):
                await codes(sim, path)
            async with sim.outage("gateway-timeout"):
                assert await codes(sim, path) == [504]
            with pytest.raises(aiohttp.ClientConnectorError):
                await codes(sim, path)
        assert await codes(sim, path) == [502]
        await outage.end()
        await outage.end()
        assert await codes(sim, path) == [200]


async def test_closing_ends_an_outage_of_any_kind() -> None:
    """A simulator can be closed during an outage, also one without a listener."""
    for kind in ("connection-refused", "hang"):
        sim = Simulator()
        async with sim:
            await sim.outage(kind).begin()


async def test_an_outage_needs_a_running_simulator_and_a_known_kind() -> None:
    """Before the start `begin` raises RuntimeError. An unknown kind raises ValueError."""
    sim = Simulator()
    with pytest.raises(RuntimeError):
        await sim.outage("bad-gateway").begin()
    with pytest.raises(ValueError, match="sunshine"):
        sim.outage("sunshine")


@pytest.mark.parametrize(("count", "of"), [(0, 5), (1, 5), (2, 5), (5, 5), (3, 8), (1, 1)])
async def test_refusals_without_a_reason(count: int, of: int) -> None:
    """`refuse` refuses `count` of the next `of` requests, evenly spread, and none after them."""
    async with Simulator(rate_limit=RateLimit(limit=100)) as sim:
        path = sim.add_delete("task").path
        sim.refuse(count, of=of)
        found = await codes(sim, *[path] * (of + 3))
        assert found.count(429) == count
        assert found[of:] == [200] * 3
        gaps = [nth for nth, status in enumerate(found, 1) if status == 429]
        assert all(after - before <= -(-of // count) for before, after in itertools.pairwise(gaps))
        assert (sim.requests.refused, sim.requests.accepted) == (count, of - count + 3)


async def test_a_refusal_may_have_another_code() -> None:
    """A refusal with another status code has the body of a 429."""
    async with Simulator() as sim, aiohttp.ClientSession(sim.document360_url) as session:
        sim.refuse(1, of=1, status=403)
        async with session.get(sim.add_delete("task").path) as response:
            assert response.status == 403
            assert (await response.json())["errors"][0]["error_code"] == "RATE_LIMIT_EXCEEDED"
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        sim.refuse(3, of=2)
