"""The cache in front of the vendors obeys the directives of requests."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from pollwise.simulator import Simulator


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("headers", "reaches"),
    [
        ({}, False),
        ({"Cache-Control": "no-cache"}, True),
        ({"Cache-Control": "max-age=0"}, True),
        ({"Cache-Control": "max-age=3600"}, False),
        ({"Cache-Control": "no-store"}, True),
        ({"Pragma": "no-cache"}, True),
        ({"Pragma": "no-cache", "Cache-Control": "max-age=3600"}, False),
        ({"api_token": "another"}, True),
    ],
)
async def test_a_cache_obeys_a_requests_directives(headers: dict[str, str], reaches: bool) -> None:
    """A stored reply is served for `cache_s` seconds, unless the request forbids it or has another credential."""
    async with Simulator(cache_s=30.0) as sim, aiohttp.ClientSession(sim.document360_url) as session:
        path = sim.add_delete("task", duration_s=5.0).path
        async with session.get(path) as response:
            assert "Age" not in response.headers
        await asyncio.sleep(10)
        async with session.get(path, headers=headers) as response:
            assert (await response.json())["task_status"]["is_complete"] is reaches
            assert response.headers.get("Age") == (None if reaches else "10")
        assert (sim.polls("task"), sim.requests.cached) == ((2, 0) if reaches else (1, 1))
        await asyncio.sleep(25)
        async with session.get(path) as response:
            assert (await response.json())["task_status"]["is_complete"] is True


async def test_a_cache_stores_no_refusal() -> None:
    """Only a reply with status 200 is stored."""
    async with Simulator(cache_s=30.0) as sim:
        path = sim.add_delete("task", script=["server-error"]).path
        found = []
        async with aiohttp.ClientSession(sim.document360_url) as session:
            for _ in range(3):
                async with session.get(path) as response:
                    found.append(response.status)
        assert found == [500, 200, 200]
        assert (sim.requests.cached, sim.polls("task")) == (1, 2)
