"""All faults of the simulator, on a real socket."""

from __future__ import annotations

import asyncio
import email.utils
import errno
import json
import time
import zlib
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from pollwise.simulator import ODD, PROMPT, TRANSIENT, Fault, Faults, SimulatedJob, Simulator
from pollwise.simulator.body_faults import BODY_FAULTS
from pollwise.simulator.socket_faults import SOCKET_FAULTS

SMALL = Faults(huge_bytes=2 << 20, bomb_bytes=3 << 20, hang_s=5, drip_every_s=0.1)
DELETE, EXTRACT = "delete", "extract"


def add(sim: Simulator, kind: str, **options: Any) -> SimulatedJob:
    if kind == DELETE:
        return sim.add_delete("task", **options)
    return sim.add_extraction("FILE", "ZX-1", **options)


async def meet(
    fault: Fault | str, *, kind: str = EXTRACT, faults: Faults = SMALL, **options: Any
) -> tuple[int, Mapping[str, str], bytes]:
    """The status code, header fields and body of one reply with this fault."""
    async with Simulator(faults=faults) as sim, aiohttp.ClientSession(sim.document360_url, **options) as session:
        path = add(sim, kind, script=[fault], duration_s=0).path
        async with session.get(path, allow_redirects=False) as response:
            return response.status, response.headers, await response.read()


def test_every_fault_is_implemented() -> None:
    """Each fault is either a body fault or a socket fault."""
    assert not set(BODY_FAULTS) & set(SOCKET_FAULTS)
    assert set(BODY_FAULTS) | set(SOCKET_FAULTS) == set(Fault)


def test_the_groups_nest() -> None:
    """The prompt faults are a subset of the transient ones. A lasting fault is in neither group."""
    assert set(PROMPT) < set(TRANSIENT) < set(Fault)
    assert not set(ODD) & set(TRANSIENT)
    assert set(Fault) - set(TRANSIENT) - set(ODD) == {
        Fault.BAD_REQUEST,
        Fault.UNAUTHORIZED,
        Fault.FORBIDDEN,
        Fault.NOT_FOUND,
        Fault.REDIRECT,
        Fault.REDIRECT_AWAY,
        Fault.LOGIN_REDIRECT,
        Fault.FIREWALL_PAGE,
        Fault.NOT_MODIFIED,
    }
    assert Fault.HANG not in PROMPT


@pytest.mark.looptime
@pytest.mark.parametrize("fault", Fault)
async def test_a_fault_concerns_one_request(fault: Fault) -> None:
    """After any fault, the next request for the same job gets a normal reply, with either vendor."""
    async with Simulator(faults=SMALL) as sim, aiohttp.ClientSession(sim.document360_url) as session:
        for job in (add(sim, DELETE, script=[fault]), add(sim, EXTRACT, script=[fault])):
            try:
                async with session.get(job.path, allow_redirects=False) as response:
                    await response.read()
            except aiohttp.ClientError:
                pass
            async with session.get(job.path) as response:
                assert response.status == 200
                assert isinstance(await response.json(), dict)
        assert sim.requests.by_fault == {fault: 2}
        assert (sim.requests.latest[0].fault, sim.requests.latest[1].fault) == (fault, None)


@pytest.mark.parametrize(("kind", "field"), [(DELETE, "success"), (EXTRACT, "errorKey")])
async def test_a_refusal_has_its_vendors_shape(kind: str, field: str) -> None:
    """A refusal with a status code of the API has the vendor's JSON."""
    refusals = {
        Fault.BAD_REQUEST: 400,
        Fault.UNAUTHORIZED: 401,
        Fault.FORBIDDEN: 403,
        Fault.NOT_FOUND: 404,
        Fault.REQUEST_TIMEOUT: 408,
        Fault.TOO_EARLY: 425,
        Fault.TOO_MANY_REQUESTS: 429,
        Fault.SERVER_ERROR: 500,
        Fault.UNAVAILABLE: 503,
        Fault.UNAVAILABLE_UNTIL: 503,
    }
    async with Simulator() as sim, aiohttp.ClientSession(sim.document360_url) as session:
        path = add(sim, kind, script=refusals).path
        for status in refusals.values():
            async with session.get(path) as response:
                assert (response.status, response.headers["Content-Type"]) == (status, "application/json")
                assert field in await response.json()


@pytest.mark.parametrize(("fault", "status"), [(Fault.BAD_GATEWAY, 502), (Fault.HTML_PAGE, 200)])
async def test_a_proxy_answers_in_html(fault: Fault, status: int) -> None:
    """A gateway's page is HTML, with an error's status code or with 200."""
    answered, headers, body = await meet(fault)
    assert (answered, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert body.startswith(b"<!DOCTYPE html>")


@pytest.mark.parametrize("fault", [Fault.UNAVAILABLE, Fault.TOO_MANY_REQUESTS])
@pytest.mark.parametrize(("seconds", "text"), [(0, "0"), (7, "7"), (0.25, "0.25")])
async def test_retry_after_is_in_seconds(fault: Fault, seconds: float, text: str) -> None:
    """`Retry-After` has the configured seconds, fractions included."""
    _, headers, _ = await meet(fault, faults=Faults(retry_after_s=seconds))
    assert headers["Retry-After"] == text


async def test_retry_after_is_a_date() -> None:
    """`Retry-After` is an HTTP date, rounded up."""
    before = time.time()
    _, headers, _ = await meet(Fault.UNAVAILABLE_UNTIL, faults=Faults(retry_after_s=20))
    until = email.utils.parsedate_to_datetime(headers["Retry-After"]).timestamp()
    assert before + 20 <= until <= time.time() + 21


async def test_a_gateway_timeout_has_no_body() -> None:
    """`GATEWAY_TIMEOUT` is a 504 without a body."""
    status, _, body = await meet(Fault.GATEWAY_TIMEOUT)
    assert (status, body) == (504, b"")


async def test_json_may_be_labelled_html() -> None:
    """`JSON_AS_HTML` is the correct document with the wrong content type."""
    status, headers, body = await meet(Fault.JSON_AS_HTML)
    assert (status, headers["Content-Type"]) == (200, "text/html")
    assert json.loads(body)["progress"] == "SUCCEEDED"


@pytest.mark.parametrize("fault", [Fault.BROKEN_JSON, Fault.INVALID_UTF8, Fault.EMPTY_BODY])
@pytest.mark.parametrize("kind", [DELETE, EXTRACT])
async def test_a_body_may_be_no_json(fault: Fault, kind: str) -> None:
    """The reply is a 200 with `application/json`, but its body is not valid JSON."""
    status, headers, body = await meet(fault, kind=kind)
    assert (status, headers["Content-Type"]) == (200, "application/json")
    with pytest.raises(ValueError):  # noqa: PT011 - UnicodeDecodeError or JSONDecodeError
        json.loads(body)
    if fault is Fault.INVALID_UTF8:
        json.loads(body.decode("latin-1"))  # only the encoding is wrong


async def test_a_document_may_be_too_deep() -> None:
    """`DEEP_JSON` is nested too deeply for a recursive parser."""
    _, _, body = await meet(Fault.DEEP_JSON)
    with pytest.raises(RecursionError):
        json.loads(body)


async def test_a_document_may_be_no_object() -> None:
    """`NOT_AN_OBJECT` is a list instead of the documented object."""
    _, _, body = await meet(Fault.NOT_AN_OBJECT)
    assert isinstance(json.loads(body), list)


async def test_a_field_may_be_null() -> None:
    """`task_status` and `progress` are null; the other fields are unchanged."""
    _, _, body = await meet(Fault.NULL_FIELD, kind=DELETE)
    assert (json.loads(body)["task_status"], json.loads(body)["success"]) == (None, True)
    _, _, body = await meet(Fault.NULL_FIELD, kind=EXTRACT)
    assert (json.loads(body)["progress"], json.loads(body)["completed"]) == (None, "true")


async def test_a_field_may_be_missing() -> None:
    """`is_complete` and `progress` are absent."""
    _, _, body = await meet(Fault.MISSING_FIELD, kind=DELETE)
    assert json.loads(body)["task_status"] == {"task_id": "task", "status": 2}
    _, _, body = await meet(Fault.MISSING_FIELD, kind=EXTRACT)
    assert "progress" not in json.loads(body)


async def test_a_field_may_be_mistyped() -> None:
    """`is_complete` and `progress` are lists."""
    _, _, body = await meet(Fault.MISTYPED_FIELD, kind=DELETE)
    assert json.loads(body)["task_status"]["is_complete"] == ["?"]
    _, _, body = await meet(Fault.MISTYPED_FIELD, kind=EXTRACT)
    assert json.loads(body)["progress"] == ["?"]


async def test_there_may_be_no_content() -> None:
    """`NO_CONTENT` is a 204 without a body."""
    status, _, body = await meet(Fault.NO_CONTENT)
    assert (status, body) == (204, b"")


async def test_a_redirect_to_another_path() -> None:
    """`REDIRECT` is a 302 to another path. A request that follows it is logged with its header fields."""
    async with Simulator() as sim, aiohttp.ClientSession(sim.document360_url) as session:
        path = sim.add_delete("task", script=[Fault.REDIRECT]).path
        async with session.get(path, headers={"api_token": "t"}) as response:
            assert (response.history[0].status, response.status) == (302, 404)
        assert sim.requests.unrouted == 1
        assert (sim.requests.latest[-1].path, sim.requests.latest[-1].headers["api_token"]) == ("/elsewhere", "t")


async def test_a_redirect_to_another_host() -> None:
    """`REDIRECT_AWAY` is a 302 to another host name of the simulator."""
    status, headers, _ = await meet(Fault.REDIRECT_AWAY)
    assert status == 302
    assert headers["Location"].startswith("http://localhost:")


async def test_a_body_may_be_no_gzip() -> None:
    """`BROKEN_GZIP` has the header field of gzip and a plain body."""
    with pytest.raises(aiohttp.ClientPayloadError):
        await meet(Fault.BROKEN_GZIP)


async def test_a_gzip_bomb_is_small_on_the_wire() -> None:
    """The bomb inflates less than 256 KiB to more than 100 MiB, and is a valid gzip stream."""
    status, headers, body = await meet(Fault.GZIP_BOMB, faults=Faults(), auto_decompress=False)
    assert (status, headers["Content-Encoding"]) == (200, "gzip")
    assert len(body) < 256 * 1024
    unpack, length = zlib.decompressobj(16 + zlib.MAX_WBITS), 0
    while not unpack.eof:  # verifies checksum and length at its end
        length += len(unpack.decompress(body, 1 << 20))
        body = unpack.unconsumed_tail
    assert length > 100 << 20


async def test_a_small_bomb_is_json() -> None:
    """The inflated body is valid JSON."""
    _, _, body = await meet(Fault.GZIP_BOMB)
    assert len(body) > 3 << 20
    assert isinstance(json.loads(body), dict)


@pytest.mark.parametrize(("fault", "has_length"), [(Fault.HUGE_BODY, True), (Fault.HUGE_CHUNKED, False)])
async def test_a_body_may_be_huge(fault: Fault, has_length: bool) -> None:
    """The correct document is padded to two MiB, with or without `Content-Length`."""
    status, headers, body = await meet(fault)
    assert (status, "Content-Length" in headers, len(body)) == (200, has_length, 2 << 20)
    assert json.loads(body)["progress"] == "SUCCEEDED"


@pytest.mark.looptime
async def test_a_reply_may_never_come() -> None:
    """The connection hangs until the client disconnects, and then the request ends."""
    async with (
        Simulator() as sim,
        aiohttp.ClientSession(sim.document360_url, timeout=aiohttp.ClientTimeout(total=1000)) as session,
    ):
        path = sim.add_delete("task", script=[Fault.HANG]).path
        begun = asyncio.get_running_loop().time()
        with pytest.raises(TimeoutError):
            await session.get(path)
        assert asyncio.get_running_loop().time() - begun >= 1000
        await sim.requests.until(lambda log: not log.in_flight)


@pytest.mark.looptime
async def test_a_hanging_connection_may_be_closed() -> None:
    """After `hang_s` the server closes without a reply."""
    async with Simulator(faults=Faults(hang_s=5)) as sim:
        path = sim.add_delete("task", script=[Fault.HANG]).path
        begun = asyncio.get_running_loop().time()
        assert await raw(sim, path) == (b"", None)
        assert 5 <= asyncio.get_running_loop().time() - begun < 6


@pytest.mark.looptime
async def test_a_reply_may_drip() -> None:
    """`SLOW_DRIP` is the correct reply, one byte every `drip_every_s` seconds."""
    begun = asyncio.get_running_loop().time()
    status, headers, body = await meet(Fault.SLOW_DRIP, kind=DELETE)
    took = asyncio.get_running_loop().time() - begun
    assert (status, headers["Content-Length"]) == (200, str(len(body)))
    assert json.loads(body)["task_status"]["is_complete"] is True
    assert took == pytest.approx(0.1 * len(body), rel=0.1)


async def test_a_connection_may_close_without_a_reply() -> None:
    """`CLOSED` closes the connection before the status line."""
    async with Simulator() as sim:
        assert await raw(sim, sim.add_delete("task", script=[Fault.CLOSED]).path) == (b"", None)


@pytest.mark.parametrize("fault", [Fault.TRUNCATED, Fault.TRUNCATED_CHUNKED])
async def test_a_body_may_end_too_early(fault: Fault) -> None:
    """The connection is closed before the end of the stated length, or before the last chunk."""
    with pytest.raises(aiohttp.ClientPayloadError):
        await meet(fault)


async def raw(sim: Simulator, path: str) -> tuple[bytes, OSError | None]:
    """All bytes received on a new connection, and the error that ended it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.document360_url.rpartition(":")[2]))
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
    received, error = b"", None
    try:
        while piece := await reader.read(1 << 16):
            received += piece
    except OSError as exc:
        error = exc
    writer.close()
    return received, error


async def test_a_connection_may_be_reset_within_the_body() -> None:
    """`RESET` sends half a body, then RST."""
    async with Simulator() as sim:
        received, error = await raw(sim, sim.add_delete("task", script=[Fault.RESET]).path)
    assert error is not None
    assert error.errno == errno.ECONNRESET
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b'{"task_status":' in received


async def test_a_reply_may_be_no_http() -> None:
    """`NOT_HTTP` sends bytes that are not HTTP, and closes the connection."""
    async with Simulator() as sim:
        received, error = await raw(sim, sim.add_delete("task", script=[Fault.NOT_HTTP]).path)
    assert error is None
    assert b"HTTP/1.1" not in received
    assert received.endswith(b"this is no HTTP\r\n\r\n")
    with pytest.raises(aiohttp.ClientError):
        await meet(Fault.NOT_HTTP)


async def test_a_fault_is_named_in_text() -> None:
    """A script accepts a fault's value as well as the fault."""
    assert (await meet("too-early"))[0] == 425


async def outcomes(seed: int, order: list[int], rate: float = 0.5) -> dict[tuple[str, ...], list[int]]:
    """The status codes of each job's requests, sent in the given order of jobs."""
    async with Simulator(seed=seed, faults=Faults(rate=rate, kinds=["server-error", "no-content"])) as sim:
        async with aiohttp.ClientSession(sim.document360_url) as session:
            jobs = [sim.add_delete(f"task-{number}") for number in range(3)]
            seen: dict[tuple[str, ...], list[int]] = {job.keys: [] for job in jobs}
            for number in order:
                async with session.get(jobs[number].path) as response:
                    seen[jobs[number].keys].append(response.status)
        return seen


async def test_faults_by_rate_are_seeded() -> None:
    """The same seed gives a job's n-th request the same fault, in any order of jobs. Another seed gives other faults."""
    in_turn = [number for number in range(3) for _ in range(4)]
    mixed = [number for _ in range(4) for number in (2, 0, 1)]
    first = await outcomes(7, in_turn)
    assert await outcomes(7, mixed) == first
    assert await outcomes(8, in_turn) != first
    assert await outcomes(7, in_turn, rate=0) == {keys: [200] * 4 for keys in first}
    assert {status for statuses in first.values() for status in statuses} == {200, 500, 204}


def test_faults_happen_at_the_rate() -> None:
    """With a rate of 0.2, one in five requests has a fault, and every kind occurs."""
    faults = Faults(rate=0.2)
    drawn = [faults.choose(seed, ("FILE", "ZX-1"), nth) for seed in range(100) for nth in range(100)]
    hits = [fault for fault in drawn if fault is not None]
    assert 1800 < len(hits) < 2200
    assert set(hits) == set(PROMPT)
    assert all(Faults(rate=1).choose(0, ("task",), nth) for nth in range(100))


async def test_faults_by_rate_start_after_the_script() -> None:
    """In a script None is always a normal reply. Faults by rate start after its last entry."""
    async with (
        Simulator(faults=Faults(rate=1, kinds=[Fault.SERVER_ERROR])) as sim,
        aiohttp.ClientSession(sim.document360_url) as session,
    ):
        path = sim.add_delete("task", script=[None, None]).path
        seen = []
        for _ in range(4):
            async with session.get(path) as response:
                seen.append(response.status)
        assert seen == [200, 200, 500, 500]
        sim.faults = Faults()
        async with session.get(path) as response:
            assert response.status == 200


@pytest.mark.parametrize("wrong", [{"rate": 1.5}, {"rate": -1}, {"kinds": []}, {"kinds": ["?"]}, {"drip_every_s": 0}])
def test_invalid_faults_are_refused(wrong: dict[str, Any]) -> None:
    """`Faults` checks its values when it is created."""
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        Faults(**wrong)
