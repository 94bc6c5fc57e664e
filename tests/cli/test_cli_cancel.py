"""`pollwise cancel`."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest
from yarl import URL

from kept_toy import ToyCodec
from pollwise import Request
from pollwise.cli.cancel import cancel_job
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.options import CancelOptions
from pollwise.http import SigningAuth
from raw_server import Line, raw_server, reply
from toy import ToyEndpoint, ToyJob

Run = Callable[..., Any]
QUICK = ("--interval", "0.02")


@pytest.mark.parametrize(
    ("code", "status", "states"),
    [
        (202, 0, "exports 7: the server accepted the cancel request\n"),
        (409, 1, "exports 7: too late: the server has nothing to cancel, because the job is over or is not known\n"),
    ],
)
async def test_the_server_is_asked_once(code: int, status: int, states: str, exports: Any, command: Run) -> None:
    """The command prints what the server said, and does not wait for the end of the job."""
    exports.cancel_status = code
    exports.ends["7"] = "never"
    ended, out, _ = await command("cancel", "exports", "id=7", *QUICK)
    assert (ended, out) == (status, states)
    assert exports.cancels["/exports/7"] == 1


async def test_with_wait_the_job_is_watched_to_its_end(exports: Any, command: Run) -> None:
    """Success is a cancelled job."""
    status, out, _ = await command("cancel", "exports", "id=7", "--wait", *QUICK)
    lines = out.splitlines()
    assert status == 0
    assert lines[0] == "exports 7: the server accepted the cancel request"
    assert lines[-1].startswith("exports 7 cancelled (")


@pytest.mark.parametrize(("end", "status"), [("done", 1), ("error", 1), ("forbidden", 5)])
async def test_with_wait_another_end_is_no_success(end: str, status: int, exports: Any, command: Run) -> None:
    """It was too late, or nothing is known."""
    exports.cancel_status = 404
    exports.ends["7"] = end
    assert (await command("cancel", "exports", "id=7", "--wait", *QUICK))[0] == status


async def test_a_refusal_is_an_error(exports: Any, command: Run) -> None:
    """With what the server said. The job is not watched on."""
    exports.cancel_status = 400
    exports.ends["7"] = "never"
    status, out, err = await command("cancel", "exports", "id=7", "--wait", *QUICK)
    assert status == 1
    assert "exports 7: the server refused the cancel request: the server rejected the request (HTTP 400)." in err
    assert "The server said: not allowed." in err
    assert "cancelled" not in out


async def test_no_answer_is_status_3(exports: Any, command: Run) -> None:
    """The request may or may not have had an effect."""
    exports.cancel_status = 500
    exports.ends["7"] = "never"
    status, _, err = await command("cancel", "exports", "id=7", "--timeout", "0.3", *QUICK)
    assert status == 3
    assert "exports 7: the server did not answer the cancel request: there was no answer within 0.3 s." in err


async def test_the_answer_is_json(exports: Any, command: Run) -> None:
    """A line of its own before the events."""
    status, out, _ = await command("cancel", "exports", "id=7", "--wait", "--json", "--account", "acme", *QUICK)
    first, *events = [json.loads(line) for line in out.splitlines()]
    assert status == 0
    assert first == {
        "event": "cancel",
        "endpoint": "exports",
        "account": "acme",
        "job": {"id": "7"},
        "answer": "accepted",
        "error": None,
    }
    assert events[-1]["event"] == "cancelled"
    exports.cancel_status = 403
    status, out, _ = await command("cancel", "exports", "id=8", "--json", *QUICK)
    assert status == 5
    refused = json.loads(out.splitlines()[-1])
    assert (refused["answer"], refused["error"]["type"]) == ("refused", "PermissionDenied")


class _Signing(SigningAuth):
    def sign(self, request: Request, /) -> Request:
        return request


class _Stoppable(ToyEndpoint):
    codec = ToyCodec()

    def __init__(self, url: str) -> None:
        super().__init__(_Signing())
        self._url = URL(url)

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)

    def cancel_request(self, job: ToyJob, status: Any, /) -> Request:
        return Request(self._url / job.id, method="DELETE")


async def test_a_signature_that_is_refused_for_its_time_is_a_refusal(capsys: pytest.CaptureFixture[str]) -> None:
    """The server did answer, and the message says what to do."""

    def answer(line: Line) -> None:
        cancels = server.requests[-1].startswith(b"DELETE")
        old = "Date: Mon, 01 Jan 2024 00:00:00 GMT"
        line.say(reply(b"", old, status="403 Forbidden") if cancels else reply(b'{"state": "running"}'))

    async with raw_server(answer) as server:
        assert await cancel_job(_Stoppable(server.url), ToyJob("7"), CancelOptions()) == ExitStatus.SETUP
    err = capsys.readouterr().err
    assert "the server refused the cancel request: the signature was refused (HTTP 403)" in err
    assert err.endswith("Set the clock.\n")


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        (("document360", "task_id=T", "--base-url", "https://a.example"), "jobs of document360 cannot be cancelled"),
        (("reports", "owner=a", "name=b"), "jobs of reports cannot be cancelled: its declaration has no cancel"),
        (("exports", "id=7", "--base-url", "http://a.example"), "--allow-plain-http"),
    ],
)
async def test_an_endpoint_that_cannot_cancel_is_a_usage_error(
    arguments: tuple[str, ...], states: str, exports: Any, command: Run
) -> None:
    """Nothing is sent."""
    status, out, err = await command("cancel", *arguments)
    assert (status, out) == (2, "")
    assert states in err
    assert not exports.polls
