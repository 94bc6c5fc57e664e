"""`pollwise check`, against servers on real sockets."""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from pollwise.simulator import Simulator
from raw_server import raw_server, reply

Run = Callable[..., Any]

RUNNING = reply(b'{"task_status": {"task_id": "task-7", "is_complete": false, "status": 2}, "success": true}')
STEPS = ["name", "proxy", "connection", "tls", "credentials", "job"]


async def checked(command: Run, url: str, *more: str) -> tuple[int, dict[str, tuple[str, str]]]:
    """The exit status, and the result and the message of each step."""
    status, out, err = await command("check", "document360", "task_id=task-7", "--base-url", url, *more)
    assert err == ""
    lines = out.splitlines()
    assert [line.split()[0] for line in lines] == STEPS
    return status, {line[:12].strip(): (line[12:21].strip(), line[21:]) for line in lines}


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def tls(authority: trustme.CA, tmp_path: Path) -> ssl.SSLContext:
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    return context


async def test_all_is_right(tls: ssl.SSLContext, command: Run, tmp_path: Path) -> None:
    """Each step says what it found, and one request is sent."""
    async with raw_server(RUNNING, tls=tls) as server:
        status, found = await checked(command, server.url, "--ca-bundle", str(tmp_path / "ca.pem"))
        assert len(server.requests) == 1
    assert status == 0
    assert found["name"] == ("ok", "127.0.0.1 is at 127.0.0.1")
    assert found["proxy"] == ("-", "none is set for this host")
    assert found["connection"][1].startswith("to 127.0.0.1, in ")
    assert found["tls"][0] in {"ok", "warning"}
    assert found["tls"][1].startswith("TLSv1.3, certificate by trustme")
    assert (found["credentials"], found["job"]) == (("ok", "accepted"), ("ok", "running"))


async def test_a_certificate_that_does_not_verify_ends_it(tls: ssl.SSLContext, command: Run) -> None:
    """The later steps are not tried."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)
    async with raw_server(RUNNING, tls=tls) as server:
        status, found = await checked(command, server.url)
        assert server.requests == []
    assert status == 6
    assert (found["connection"][0], found["tls"][0], found["job"]) == ("ok", "wrong", ("-", "not checked"))
    assert "--ca-bundle FILE" in found["tls"][1]


async def test_a_wrong_token(command: Run) -> None:
    """The step of the credentials says so. The job is not known then."""
    async with Simulator(api_token="right") as simulator:
        status, found = await checked(command, simulator.document360_url)
    assert status == 5
    assert found["tls"] == ("-", "none: plain http")
    assert (found["credentials"][0], found["job"][0]) == ("wrong", "-")


@pytest.mark.parametrize(
    ("answer", "status", "credentials", "said"),
    [
        (reply(status="404 Not Found"), 4, "ok", "not known to the server (HTTP 404)."),
        (reply(status="403 Forbidden"), 5, "ok", "permission denied (HTTP 403)."),
        (reply(status="501 No"), 6, "-", "does not support this kind of request (HTTP 501)."),
        (reply(b"<html>").replace(b"application/json", b"text/html"), 6, "-", "with a web page (HTTP 200)"),
        (reply(status="503 Later"), 3, "-", "could not answer just now (HTTP 503)."),
        (reply(status="429 Slow"), 3, "-", "the rate limit was reached (HTTP 429)."),
        (reply(status="400 Bad"), 6, "ok", "the server rejected the request (HTTP 400)."),
    ],
)
async def test_what_one_poll_says(answer: bytes, status: int, credentials: str, said: str, command: Run) -> None:
    """The exit status tells the causes apart. One request is enough."""
    async with raw_server(answer) as server:
        ended, found = await checked(command, server.url)
        assert len(server.requests) == 1
    assert ended == status
    assert found["credentials"][0] == credentials
    assert found["job"][0] == "wrong"
    assert said in found["job"][1]


async def test_a_name_that_does_not_exist(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is tried after that."""

    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    status, found = await checked(command, "https://api.example")
    assert status == 6
    assert found["name"] == (
        "wrong",
        "the host name api.example does not exist. Check the base URL, and whether this network needs a VPN or a proxy (--proxy URL).",
    )
    assert [found[step][0] for step in STEPS[1:]] == ["-"] * 5


async def test_a_proxy_that_refuses(command: Run, environment: pytest.MonkeyPatch) -> None:
    """The name is left to the proxy. The password is not shown."""
    async with raw_server(reply(status="407 Who")) as proxy:
        environment.setenv("HTTPS_PROXY", proxy.url.replace("//", "//me:s3cret@"))
        status, found = await checked(command, "https://api.example")
    assert status == 6
    assert found["name"] == ("-", "the proxy looks api.example up")
    assert found["proxy"][0] == "wrong"
    assert found["proxy"][1].startswith("the proxy answered with HTTP 407.")
    assert "s3cret" not in str(found)


async def test_json_lines(command: Run) -> None:
    """One object for each step."""
    async with raw_server(RUNNING) as server:
        status, out, _ = await command("check", "document360", "task_id=task-7", "--base-url", server.url, "--json")
    lines = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert [line["step"] for line in lines] == STEPS
    assert lines[-1] == {"step": "job", "result": "ok", "message": "running"}


async def test_plain_http_to_another_machine_is_a_usage_error(command: Run) -> None:
    """Before anything is sent."""
    status, out, err = await command("check", "document360", "task_id=task-7", "--base-url", "http://api.example")
    assert (status, out) == (2, "")
    assert "--allow-plain-http" in err
