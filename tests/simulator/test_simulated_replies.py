"""Replies as real servers send them: hints in any form, odd forms of correct replies, throttles and HTML pages."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest

from pollwise.simulator import ODD, Fault, Faults, ReplyOverride, Simulator

HINTS = ["0", "0.5", "Wed, 21 Oct 2015 07:28:00 GMT", "Wed, 21 Oct 3000 07:28:00 GMT", "1000000000", "soon", "-1"]
ROOMY = {"max_field_size": 1 << 16, "max_line_size": 1 << 16}


async def once(sim: Simulator, path: str, **options: Any) -> tuple[int, Mapping[str, str], bytes]:
    async with (
        aiohttp.ClientSession(sim.document360_url, **options) as session,
        session.get(path, allow_redirects=False) as response,
    ):
        return response.status, response.headers, await response.read()


# --- hints --------------------------------------------------------------------------------------


@pytest.mark.parametrize("text", HINTS)
@pytest.mark.parametrize("status", [None, 202, 400, 403, 404, 409, 423, 429, 503])
async def test_a_hint_is_sent_verbatim_on_any_reply(text: str, status: int | None) -> None:
    """`Retry-After` is sent as in the script, on the job's own reply or on the vendor's refusal."""
    async with Simulator() as sim:
        script = [ReplyOverride({"Retry-After": text}, status)]
        answered, headers, body = await once(sim, sim.add_extraction("F", "J", script=script).path)
    assert (answered, headers["Retry-After"]) == (status or 200, text)
    assert ("progress" in json.loads(body)) is (answered < 300)
    assert ("errorKey" in json.loads(body)) is (answered >= 400)


async def test_a_303_and_a_304_have_no_body() -> None:
    """A `ReplyOverride` with 303 or 304 has no body."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=[ReplyOverride(status=303), ReplyOverride({"Retry-After": "7"}, 304)]).path
        assert (await once(sim, path))[::2] == (303, b"")
        status, headers, body = await once(sim, path)
    assert (status, headers["Retry-After"], body) == (304, "7", b"")


@pytest.mark.parametrize("fault", [Fault.TOO_MANY_REQUESTS, Fault.UNAVAILABLE, Fault.UNAVAILABLE_UNTIL])
async def test_a_faults_hint_is_any_text(fault: Fault) -> None:
    """`Faults.retry_after` replaces seconds and date."""
    async with Simulator(faults=Faults(retry_after="in a while")) as sim:
        _, headers, _ = await once(sim, sim.add_delete("task", script=[fault]).path)
    assert headers["Retry-After"] == "in a while"


async def test_all_replies_may_have_more_fields() -> None:
    """Refusals and faults have the `reply_headers`, too. A script's fields replace them, and a test can change them."""
    async with Simulator(reply_headers={"retry-after-ms": "250", "x-ms-retry-after-ms": "900"}) as sim:
        path = sim.add_delete("task", script=[None, "server-error", ReplyOverride({"Retry-After-Ms": "1"})]).path
        for wanted in ("250", "250", "1"):
            _, headers, _ = await once(sim, path)
            assert (headers["retry-after-ms"], headers["x-ms-retry-after-ms"]) == (wanted, "900")
        _, headers, _ = await once(sim, "/nowhere")
        assert headers["retry-after-ms"] == "250"
        sim.reply_headers = {}
        assert "retry-after-ms" not in (await once(sim, path))[1]


# --- correct replies in an odd form -------------------------------------------------------------


@pytest.mark.parametrize("odd", sorted(set(ODD) - {Fault.MANY_FIELDS}, key=lambda odd: odd.value))
async def test_an_odd_reply_is_correct(odd: Fault) -> None:
    """A lenient client can read the reply, and the next one on the same connection."""
    async with Simulator(odd=[odd]) as sim, aiohttp.ClientSession(sim.document360_url, **ROOMY) as session:
        path = sim.add_extraction("F", "J", duration_s=0.0).path
        for _ in range(3):
            async with session.get(path) as response:
                assert response.status == 200
                assert json.loads((await response.read()).removeprefix(b"\xef\xbb\xbf"))["progress"] == "SUCCEEDED"
        assert sim.requests.by_status == {200: 3}
        sim.odd = ()
        async with session.get(path) as response:
            assert response.headers["Content-Type"] == "application/json"


@pytest.mark.parametrize(
    ("odd", "name", "value"),
    [
        (Fault.TEXT_JSON, "Content-Type", "text/json"),
        (Fault.PLAIN_TEXT, "Content-Type", "text/plain; charset=utf-8"),
        (Fault.OCTET_STREAM, "Content-Type", "application/octet-stream"),
        (Fault.NO_CONTENT_TYPE, "Content-Type", None),
        (Fault.ENCODED_UTF8, "Content-Encoding", "utf-8"),
        (Fault.ENCODED_NONE, "Content-Encoding", "none"),
    ],
)
async def test_the_header_field_of_an_odd_reply(odd: Fault, name: str, value: str | None) -> None:
    """One header field is odd; the body is unchanged."""
    async with Simulator() as sim:
        _, headers, body = await once(sim, sim.add_delete("task", script=[odd]).path)
    assert headers.get(name) == value
    assert json.loads(body)["success"] is True


async def test_large_headers() -> None:
    """A cookie of 9 kB and 150 header fields are more than many clients read by default."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=["large-cookie", "many-fields"]).path
        _, headers, _ = await once(sim, path, **ROOMY)
        assert 9_000 < len(headers["Set-Cookie"]) < 10_000
        ((head,), _) = await raw(sim, path, 1)
        assert head.count(b"\r\nX-Proxy-") == 150


async def test_a_byte_order_mark() -> None:
    """Three bytes precede the JSON."""
    async with Simulator() as sim:
        _, _, body = await once(sim, sim.add_delete("task", script=["byte-order-mark"]).path)
    assert body.startswith(b"\xef\xbb\xbf{")


async def raw(sim: Simulator, path: str, requests: int) -> tuple[list[bytes], bool]:
    """The heads of the replies to `requests` requests on one connection, and True if the server closed it."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(sim.document360_url.rpartition(":")[2]))
    replies = []
    for _ in range(requests):
        writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode())
        try:
            head = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as end:
            head = end.partial
        else:
            length = next(line for line in head.lower().split(b"\r\n") if line.startswith(b"content-length"))
            await reader.readexactly(int(length.partition(b":")[2]))
        replies.append(head)
    try:
        closed = await asyncio.wait_for(reader.read(1), 0.05) == b""
    except TimeoutError:
        closed = False
    writer.close()
    await writer.wait_closed()
    return replies, closed


async def test_a_connection_may_be_closed_after_a_reply() -> None:
    """`closed-after` closes the connection after a reply without `Connection: close`."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=["closed-after"]).path
        (head,), closed = await raw(sim, path, 1)
        assert closed
        assert b"connection" not in head.lower()
        assert (await raw(sim, path, 1))[1] is False


async def test_a_kept_alive_connection_may_be_closed_at_its_next_request() -> None:
    """`closed-at-next` closes the connection without a reply to its next request, which is counted."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=["closed-at-next"]).path
        (first, second), closed = await raw(sim, path, 2)
        assert (first[:15], second, closed) == (b"HTTP/1.1 200 OK", b"", True)
        assert (sim.requests.total, sim.polls("task")) == (2, 1)


@pytest.mark.parametrize("wrong", ["hang", "nothing"])
async def test_an_unknown_odd_form_is_refused(wrong: str) -> None:
    """A fault that is not in `ODD` is refused as an odd form."""
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        Simulator(odd=[wrong])


# --- wrong replies ------------------------------------------------------------------------------


async def test_a_throttle_without_a_hint_or_in_a_200() -> None:
    """A 429 can have no hint. The same error document can have the status code 200."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=["bare-too-many-requests", "throttled-in-200"]).path
        status, headers, body = await once(sim, path)
        assert status == 429
        assert not [name for name in headers if "retry" in name.lower() or "limit" in name.lower()]
        again, _, body_in_200 = await once(sim, path)
    assert (again, body_in_200) == (200, body)
    assert json.loads(body)["errors"][0]["error_code"] == "RATE_LIMIT_EXCEEDED"


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        (Fault.MAINTENANCE_PAGE, 200, b"Scheduled maintenance"),
        (Fault.HTML_PAGE, 200, b"Please sign in"),
        (Fault.FIREWALL_PAGE, 403, b"Request blocked"),
    ],
)
async def test_a_page_in_place_of_a_status(fault: Fault, status: int, words: bytes) -> None:
    """A proxy in front of the API can send HTML instead of a status."""
    async with Simulator() as sim:
        answered, headers, body = await once(sim, sim.add_delete("task", script=[fault]).path)
    assert (answered, headers["Content-Type"]) == (status, "text/html; charset=utf-8")
    assert words in body


async def test_an_expired_session_is_sent_to_a_login() -> None:
    """`login-redirect` is a 302 to a path that is 404."""
    async with Simulator() as sim:
        status, headers, _ = await once(sim, sim.add_delete("task", script=["login-redirect"]).path)
        assert (status, headers["Location"]) == (302, "/login")
        assert (await once(sim, "/login"))[0] == 404


async def test_not_modified_has_no_body() -> None:
    """`not-modified` is a 304 without a body."""
    async with Simulator() as sim:
        status, _, body = await once(sim, sim.add_delete("task", script=["not-modified"]).path)
    assert (status, body) == (304, b"")


async def test_the_status_of_another_task() -> None:
    """`another-job` has another ID and a success. The job itself is still running."""
    async with Simulator() as sim:
        path = sim.add_delete("task", duration_s=60.0, script=["another-job"]).path
        other = json.loads((await once(sim, path))[2])["task_status"]
        assert other == {"task_id": "not-task", "is_complete": True, "status": 3}
        own = json.loads((await once(sim, path))[2])["task_status"]
        assert (own["task_id"], own["is_complete"]) == ("task", False)


async def test_a_connection_is_reset_before_the_reply() -> None:
    """`reset-at-once` sends RST and no byte."""
    async with Simulator() as sim:
        path = sim.add_delete("task", script=["reset-at-once"] * 2).path
        with pytest.raises(ConnectionResetError):
            await raw(sim, path, 1)
