"""What the command says of each wrong set-up: within five seconds, with its exit status, and in one sentence."""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
import trustme

from pollwise.simulator import Simulator
from raw_server import RawServer, raw_server, reply

Run = Callable[..., Any]

PAGE = reply(b"<!DOCTYPE html><title>Sign in</title>").replace(b"application/json", b"text/html")


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without waits. The tests of setup_faults.py say how long they are."""
    monkeypatch.setattr("pollwise.core.machine.SECOND_LOOK_AFTER_S", 0.01)
    monkeypatch.setattr("pollwise.core.machine.SECOND_LOOK_S", 0.02)
    monkeypatch.setattr("pollwise.cli.batch.GRACE_S", 0.1)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


def certified(authority: trustme.CA, name: str = "127.0.0.1") -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert(name).configure_cert(context)
    return context


@pytest.fixture
async def behind_tls(authority: trustme.CA) -> AsyncIterator[RawServer]:
    quiet()
    async with raw_server(PAGE, tls=certified(authority)) as server:
        yield server


def quiet() -> None:
    """The server logs handshakes that a client has broken off; the command would show that, as both are in one process."""
    asyncio.get_running_loop().set_exception_handler(lambda *_: None)


async def watched(command: Run, url: str, *more: str) -> tuple[int, str]:
    """The exit status, and the reason in the last line. It must be one sentence or two, and must not be Python."""
    began_at = time.monotonic()
    status, out, err = await command("watch", "document360", "task-7", "--base-url", url, *more)
    assert time.monotonic() - began_at < 5.0
    assert err == ""
    line = out.splitlines()[-1]
    assert "document360 task-7 abandoned (" in line
    reason = line.partition("): ")[2]
    for word in ("DeleteFileJob", "task_id", "timeout_s", "AiohttpTransport", "may still be running"):
        assert word not in line
    return status, reason


async def test_a_certificate_that_does_not_verify(behind_tls: RawServer, command: Run) -> None:
    """The sentence names the option, and nothing was sent."""
    status, reason = await watched(command, behind_tls.url)
    assert status == 6
    assert reason.startswith("the server's certificate was not accepted (")
    assert reason.endswith("If you trust its issuer, name the issuer's certificate with --ca-bundle FILE.")
    assert behind_tls.requests == []


async def test_a_certificate_for_another_host(authority: trustme.CA, command: Run, tmp_path: Path) -> None:
    """A trusted issuer does not help. The sentence names the base URL."""
    quiet()
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    async with raw_server(tls=certified(authority, "other.example")) as server:
        status, reason = await watched(command, server.url, "--ca-bundle", str(tmp_path / "ca.pem"))
    assert status == 6
    assert reason.endswith("Check the host of the base URL.")


@pytest.mark.usefixtures("patience")
async def test_a_server_without_tls(command: Run) -> None:
    """It is asked twice. The sentence says that the base URL may have to begin with http://."""
    async with raw_server() as server:
        server.greeting = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        status, reason = await watched(command, server.url.replace("http://", "https://"))
    assert status == 6
    assert reason.startswith("the server did not answer with TLS (")
    assert reason.endswith("Check the port of the base URL, and whether it must begin with http://.")


@pytest.mark.parametrize(("code", "lacks"), [(501, "this kind of request"), (505, "this version of HTTP")])
async def test_a_server_that_does_not_support_the_request(code: int, lacks: str, command: Run) -> None:
    """It is asked once."""
    async with raw_server(reply(status=f"{code} No")) as server:
        status, reason = await watched(command, server.url)
        assert len(server.requests) == 1
    assert status == 6
    assert reason.startswith(f"the server does not support {lacks} (HTTP {code}). Check the base URL")


@pytest.mark.usefixtures("patience")
async def test_a_web_page_in_place_of_data(command: Run) -> None:
    """It is looked at three times."""
    async with raw_server(PAGE) as server:
        status, reason = await watched(command, server.url)
        assert len(server.requests) == 3
    assert status == 6
    assert reason.startswith("the server answered with a web page (HTTP 200) and not with data. Check the base URL")


@pytest.mark.usefixtures("patience")
async def test_a_host_name_that_does_not_exist(command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up twice."""
    asked: list[str] = []

    def unknown(host: str, *_: Any, **__: Any) -> list[Any]:
        asked.append(host)
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    status, reason = await watched(command, "https://apihub.docment360.example")
    assert asked == ["apihub.docment360.example"] * 2
    assert status == 6
    assert reason.startswith("the host name apihub.docment360.example does not exist. Check the base URL")
    assert "--proxy URL" in reason


async def test_a_wrong_token(command: Run) -> None:
    """The exit status tells it from a wrong set-up."""
    async with Simulator(api_token="right") as simulator:
        simulator.add_delete("task-7", duration_s=0.0)
        status, reason = await watched(command, simulator.document360_url)
    assert status == 5
    assert reason.startswith(
        "The server refused the credentials, and they cannot be renewed."
        " Check that they are right and not expired, in the environment variables that have them. The server said: "
    )


async def test_a_job_that_the_credentials_may_not_see(command: Run) -> None:
    """The same exit status, another sentence."""
    async with raw_server(reply(status="403 Forbidden")) as server:
        status, reason = await watched(command, server.url)
    assert (status, reason) == (5, "permission denied (HTTP 403). Give these credentials the right to read the job.")


async def test_a_wrong_id(command: Run) -> None:
    """The server may say 404 for three seconds, because a job that was just started may not be visible yet."""
    async with raw_server(reply(status="404 Not Found")) as server:
        status, reason = await watched(command, server.url)
        assert 3 <= len(server.requests) <= 5
    assert status == 4
    assert reason.startswith("not known to the server (HTTP 404). Check the IDs")


@pytest.mark.parametrize("given", [False, True])
async def test_a_proxy_that_wants_a_password(command: Run, environment: pytest.MonkeyPatch, *, given: bool) -> None:
    """The sentence names the variable, and not the server."""
    async with raw_server(reply(status="407 Proxy Authentication Required")) as proxy:
        more = ["--proxy", proxy.url] if given else []
        if not given:
            environment.setenv("HTTPS_PROXY", proxy.url)
        status, reason = await watched(command, "https://apihub.example", *more)
        assert proxy.requests[0].startswith(b"CONNECT apihub.example:443 ")
    assert (status, reason) == (
        6,
        "the proxy answered with HTTP 407. Put the user name and the password for the proxy into the URL in HTTPS_PROXY.",
    )


async def batch(command: Run, tmp_path: Path, url: str, *more: str) -> tuple[int, str, str]:
    """The exit status, and what two jobs of one endpoint have on stdout and stderr."""
    rows = [f'{{"endpoint": "document360", "task_id": "task-{n}"}}\n' for n in (1, 2)]
    (tmp_path / "jobs.jsonl").write_text("".join(rows))
    began_at = time.monotonic()
    status, out, err = await command("batch", str(tmp_path / "jobs.jsonl"), "--document360-url", url, *more)
    assert time.monotonic() - began_at < 5.0
    return status, out, err


async def test_a_wrong_set_up_ends_a_batch(behind_tls: RawServer, command: Run, tmp_path: Path) -> None:
    """After the first job that shows it. The same command continues once it is right."""
    status, out, err = await batch(command, tmp_path, behind_tls.url)
    assert (status, out) == (6, "")
    assert "--ca-bundle FILE" in err
    assert "Run the same command to continue" in err


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("answer", "exit_status", "said"),
    [
        (reply(status="501 No"), 6, "the server does not support this kind of request (HTTP 501). Check the base URL"),
        (PAGE, 6, "the server answered with a web page (HTTP 200) and not with data. Check the base URL"),
        (reply(status="401 No"), 5, "refused the credentials (HTTP 401). Check that they are right and not expired"),
    ],
    ids=["501", "a page", "a wrong token"],
)
async def test_what_concerns_all_jobs_ends_a_batch(
    answer: bytes, exit_status: int, said: str, command: Run, tmp_path: Path
) -> None:
    """One sentence on stderr says what to check."""
    async with raw_server(answer) as server:
        status, out, err = await batch(command, tmp_path, server.url)
    assert (status, out) == (exit_status, "")
    assert err.count(said) == 1
    assert "Run the same command to continue" in err


@pytest.mark.usefixtures("patience")
async def test_an_unknown_host_ends_a_batch(command: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is looked up twice for a job."""

    def unknown(*_: Any, **__: Any) -> list[Any]:
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    status, out, err = await batch(command, tmp_path, "https://apihub.docment360.example")
    assert (status, out) == (6, "")
    assert err.count("the host name apihub.docment360.example does not exist. Check the base URL") == 1


async def test_a_proxy_that_wants_a_password_ends_a_batch(command: Run, tmp_path: Path) -> None:
    """Its sentence is that of `watch`."""
    async with raw_server(reply(status="407 Proxy Authentication Required")) as proxy:
        status, out, err = await batch(command, tmp_path, "https://apihub.example", "--proxy", proxy.url)
    assert (status, out) == (6, "")
    assert err.count("the proxy answered with HTTP 407. Put the user name and the password for the proxy into") == 1


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(
    ("code", "said"),
    [
        (403, "permission denied (HTTP 403). Give these credentials the right to read the job."),
        (404, "not known to the server (HTTP 404). Check the IDs"),
    ],
)
async def test_what_concerns_one_job_abandons_it_in_a_batch(code: int, said: str, command: Run, tmp_path: Path) -> None:
    """The other jobs may be right, so the batch goes on; the summary has the reason once."""
    async with raw_server(reply(status=f"{code} No")) as server:
        status, out, _ = await batch(command, tmp_path, server.url)
    assert status == 3
    assert [line for line in out.splitlines() if said in line][-1].startswith("2 abandoned document360: ")


async def test_after_a_first_good_reply_it_is_an_outage(command: Run) -> None:
    """The page of a gateway ends no watch that has worked."""
    answers = [reply(b'{"task_status": {"task_id": "task-7", "is_complete": false, "status": 2}, "success": true}')]
    answers += [PAGE] * 4
    async with raw_server(lambda line: line.say(answers.pop(0) if len(answers) > 1 else answers[0])) as server:
        more = ("--interval", "0.05", "--timeout", "1")
        status, out, _ = await command("watch", "document360", "task-7", "--base-url", server.url, *more)
        await asyncio.sleep(0)
    assert status == 3
    assert (
        "not over within 1 s; the job may still be running. Watch it again, or allow more time with --timeout." in out
    )
