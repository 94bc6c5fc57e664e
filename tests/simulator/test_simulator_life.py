"""Starting and closing the simulator, and its counts."""

from __future__ import annotations

import asyncio
import logging
import math
import socket
from typing import Any

import aiohttp
import pytest
from hand_clock import HandClock

from pollwise.simulator import Fault, Faults, Simulator
from pollwise.simulator.jobs import Plan


async def ask(sim: Simulator, path: str) -> int:
    async with aiohttp.ClientSession(sim.document360_url) as session, session.get(path) as response:
        return response.status


async def send(sim: Simulator, path: str) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """A connection that has sent a request and reads nothing."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.document360_url.rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    return reader, writer


async def test_both_vendors_are_served_on_one_port() -> None:
    """Base URLs are plain strings without a slash at their end."""
    async with Simulator() as sim:
        assert sim.document360_url == sim.oracle_content_url
        assert sim.document360_url.startswith("http://127.0.0.1:")
        assert sim.token_url == f"{sim.document360_url}/oauth2/v1/token"
        assert await ask(sim, sim.add_delete("task").path) == 200
        assert await ask(sim, sim.add_extraction("FILE", "ZX-1").path) == 200


async def test_it_has_no_address_before_its_start() -> None:
    """Reading a URL before the start raises RuntimeError."""
    with pytest.raises(RuntimeError):
        _ = Simulator().document360_url


async def test_start_and_close_work_without_a_block() -> None:
    """`aclose` may be called at any time, and again."""
    sim = Simulator()
    await sim.aclose()
    await sim.start()
    assert await ask(sim, "/") == 404
    await sim.aclose()
    await sim.aclose()
    assert sim.connections == 0


async def test_it_starts_once() -> None:
    """Starting a running simulator raises RuntimeError."""
    async with Simulator() as sim:
        with pytest.raises(RuntimeError):
            await sim.start()
        assert await ask(sim, "/") == 404


async def test_a_taken_port_is_an_error() -> None:
    """A port in use raises the system's OSError. The simulator can be closed afterwards."""
    async with Simulator() as sim:
        other = Simulator(port=int(sim.document360_url.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            await other.start()
        await other.aclose()


async def test_an_ipv6_address_is_in_brackets() -> None:
    """The simulator can listen on an IPv6 address."""
    if not socket.has_ipv6:
        pytest.skip("no IPv6 here")
    sim = Simulator(host="::1")
    try:
        await sim.start()
    except OSError:
        pytest.skip("no IPv6 loopback here")
    assert sim.document360_url.startswith("http://[::1]:")
    assert await ask(sim, "/") == 404
    await sim.aclose()


async def test_a_restart_keeps_everything() -> None:
    """A closed simulator refuses connections. After another start it has the same port, jobs and counts."""
    async with Simulator() as sim:
        job = sim.add_delete("task", duration_s=math.inf)
        started_at, url = job.started_at, sim.document360_url
        assert await ask(sim, job.path) == 200
        await sim.aclose()
        with pytest.raises(aiohttp.ClientConnectorError):
            await ask(sim, job.path)
        await sim.start()
        assert await ask(sim, job.path) == 200
        assert (sim.document360_url, job.started_at, job.polls, sim.requests.total) == (url, started_at, 2, 2)


@pytest.mark.looptime
@pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_DRIP, Fault.HUGE_CHUNKED, Fault.HUGE_BODY])
async def test_closing_ends_all_connections(fault: Fault) -> None:
    """`aclose` ends all connections at once, also those that hang, drip or are not read."""
    sim = Simulator(faults=Faults(huge_bytes=16 << 20))
    await sim.start()
    path = sim.add_delete("task", script=[fault] * 3).path
    writers = [(await send(sim, path))[1] for _ in range(3)]
    await sim.requests.until(lambda log: log.by_fault[fault] == 3)
    assert sim.connections == 3
    begun = asyncio.get_running_loop().time()
    await sim.aclose()
    assert asyncio.get_running_loop().time() - begun < 0.1
    assert (sim.connections, sim.requests.in_flight) == (0, 0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
    for writer in writers:
        writer.close()


async def test_closing_ends_idle_connections() -> None:
    """`aclose` closes idle kept-alive connections, too."""
    async with aiohttp.ClientSession() as session:
        async with Simulator() as sim:
            async with session.get(sim.document360_url) as response:
                assert response.status == 404
            assert sim.connections == 1
        assert sim.connections == 0


async def test_a_disconnected_client_ends_its_request() -> None:
    """A hanging request ends when its client disconnects."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=[Fault.HANG]).path
        _, writer = await send(sim, path)
        await sim.requests.until(lambda log: log.in_flight == 1)
        writer.close()
        await sim.requests.until(lambda log: log.in_flight == 0)


async def test_invalid_requests_leave_no_connection(caplog: pytest.LogCaptureFixture) -> None:
    """Data that is not HTTP gets 400. Half a request gets no reply. Neither logs an error of the simulator."""
    async with Simulator() as sim:
        port = int(sim.document360_url.rpartition(":")[2])
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"\x00\x01\x02 not http\r\n\r\n")
        assert (await reader.read()).startswith(b"HTTP/1.0 400")
        writer.close()
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST /oauth2/v1/token HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\nhalf")
        await sim.requests.until(lambda log: log.in_flight == 1)
        writer.close()
        await sim.requests.until(lambda log: log.in_flight == 0)
    assert {record.name for record in caplog.records if record.levelno >= logging.INFO} <= {"asyncio"}


async def test_it_is_silent(caplog: pytest.LogCaptureFixture) -> None:
    """The simulator logs nothing at INFO or above, also with faults."""
    caplog.set_level(logging.DEBUG)
    async with Simulator() as sim, aiohttp.ClientSession(sim.document360_url) as session:
        path = sim.add_delete("task", script=[Fault.RESET, Fault.CLOSED, Fault.NOT_HTTP, Fault.TRUNCATED]).path
        for _ in range(5):
            try:
                async with session.get(path) as response:
                    await response.read()
            except aiohttp.ClientError:
                pass
    # asyncio's own debug mode logs servers and slow callbacks
    assert {record.name for record in caplog.records if record.levelno >= logging.INFO} <= {"asyncio"}
    assert {record.name for record in caplog.records if record.name.startswith("pollwise")} == {
        "pollwise.simulator.server"
    }


async def test_requests_are_counted() -> None:
    """Totals, status codes and each job's polls are counted. The latest `log_size` requests are kept in full."""
    async with Simulator(log_size=2) as sim:
        job = sim.add_delete("task")
        for path in (job.path, job.path, "/nowhere", job.path.replace("task", "unknown")):
            await ask(sim, path)
        log = sim.requests
        assert (log.total, log.unrouted, log.by_status) == (4, 1, {200: 2, 404: 2})
        assert (sim.polls("task"), job.polls) == (2, 2)
        assert [(seen.method, seen.path, seen.status) for seen in log.latest] == [
            ("GET", "/nowhere", 404),
            ("GET", job.path.replace("task", "unknown"), 404),
        ]
        assert log.latest[0].headers["user-agent"].startswith("Python/")
        with pytest.raises(KeyError):
            sim.polls("unknown")


async def test_requests_at_once_are_counted() -> None:
    """`most_in_flight` is the maximum of concurrent requests."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=[Fault.HANG] * 3).path
        writers = [(await send(sim, path))[1] for _ in range(3)]
        await sim.requests.until(lambda log: log.in_flight == 3)
        for writer in writers:
            writer.close()
        await sim.requests.until(lambda log: log.in_flight == 0)
        assert sim.requests.most_in_flight == 3


async def test_a_wait_for_requests_can_be_cancelled() -> None:
    """A cancelled `until` does not disturb another one."""
    async with Simulator() as sim:
        cancelled, waiting = (asyncio.ensure_future(sim.requests.until(lambda log: log.total == 2)) for _ in range(2))
        await asyncio.sleep(0)
        cancelled.cancel()
        await ask(sim, "/")
        await ask(sim, "/")
        await waiting
        assert cancelled.cancelled()


async def test_final_replies_are_counted(clock: HandClock) -> None:
    """`finals` counts the replies without a fault that showed the end."""
    async with Simulator(clock=clock) as sim:
        job = sim.add_extraction("FILE", "ZX-1", duration_s=5, script=[None, Fault.BROKEN_JSON])
        await ask(sim, job.path)
        clock.now += 6
        await ask(sim, job.path)
        assert (job.finals, job.first_final_at) == (0, None)
        await ask(sim, job.path)
        clock.now += 1
        await ask(sim, job.path)
        assert (job.finals, job.first_final_at, job.ends_at) == (2, 1006, 1005)


async def test_a_job_mix_has_every_outcome() -> None:
    """Four jobs of each vendor have success, skipped files, failure and cancellation."""
    async with Simulator(seed=1) as sim:
        jobs = sim.populate(document360=4, oracle_content=4, duration_s=(0, 0))
        assert len(jobs) == len(sim.jobs) == 8
        shown = {}
        async with aiohttp.ClientSession(sim.document360_url) as session:
            for job in jobs:
                async with session.get(job.path) as response:
                    body = await response.json()
                shown[job.keys] = body["progress"].lower() if "progress" in body else body["task_status"]["status"]
                assert shown[job.keys] in {job.outcome, {"succeeded": 2, "failed": 4, "cancelled": 5}[job.outcome], 3}
        assert {job.outcome for job in jobs if job.vendor.name == "document360"} == {"succeeded", "failed", "cancelled"}
        assert {job.outcome for job in jobs if job.vendor.name == "oracle-content"} == {"succeeded", "failed"}
        assert any(job.plan.status(job.keys, job.stage(math.inf)).get("skippedItems") for job in jobs)


def job_mix(sim: Simulator, **options: Any) -> list[tuple[tuple[str, ...], Plan]]:
    return [(job.keys, job.plan) for job in sim.populate(**options)]


def test_a_job_mix_is_seeded() -> None:
    """The same seed gives the same keys, durations and outcomes. Another seed, or a second call, gives other ones."""
    assert job_mix(Simulator(seed=5)) == job_mix(Simulator(seed=5)) == job_mix(Simulator(seed=6), seed=5)
    assert job_mix(Simulator(seed=5)) != job_mix(Simulator(seed=6))
    sim = Simulator(seed=5)
    first, second = job_mix(sim), job_mix(sim)
    assert not {keys for keys, _ in first} & {keys for keys, _ in second}
    assert all(1 <= plan.duration_s <= 8 for _, plan in first + second)


async def test_a_job_ends_only_while_the_simulator_runs() -> None:
    """`finish` before the start raises RuntimeError."""
    sim = Simulator()
    sim.add_delete("task")
    with pytest.raises(RuntimeError):
        sim.finish("task")
    with pytest.raises(KeyError):
        sim.finish("unknown")


@pytest.mark.looptime
async def test_the_clock_is_the_loops_time() -> None:
    """In virtual time a job of an hour ends after a virtual hour."""
    async with Simulator() as sim:
        job = sim.add_delete("task", duration_s=3600)
        await asyncio.sleep(3599)
        await ask(sim, job.path)
        assert job.finals == 0
        await asyncio.sleep(1)
        await ask(sim, job.path)
        assert job.finals == 1
