"""`pollwise submit`."""

from __future__ import annotations

import io
import json
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.simulator import Simulator

Run = Callable[..., Any]
QUICK = ("--interval", "0.02")


async def test_a_job_is_started_and_its_keys_are_printed(exports: Any, command: Run) -> None:
    """So that they can be pasted into `watch`. The job is not polled."""
    status, out, err = await command("submit", "exports", "dataset=d1", "size:=7")
    assert (status, out, err) == (0, "exports id=7\n", "pollwise: exports is declared in pollwise.toml\n")
    assert exports.orders == [(None, {"dataset": "d1", "size": 7})]
    status, out, _ = await command("watch", *out.split(), *QUICK)
    assert status == 0


async def test_the_key_is_the_idempotency_key(exports: Any, command: Run, tmp_path: Path) -> None:
    """Where the declaration has a place for it."""
    file = tmp_path / "pollwise.toml"
    keyed = 'json = "{order}", headers = { Idempotency-Key = "{key}" }'
    file.write_text(file.read_text().replace('json = "{order}"', keyed))
    assert (await command("submit", "exports", "--key", "order-1"))[0] == 0
    assert exports.orders == [("order-1", {})]
    exports.submit_status = 500
    status, out, err = await command("submit", "exports", "--key", "order-2", "--timeout", "0.3")
    assert (status, out) == (3, "")
    assert "the job of the order with the key 'order-2' may have been started. There was no answer within 0.3 s." in err
    assert "Start it again with the same key." in err


async def test_an_order_comes_from_stdin(exports: Any, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file `-`."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"dataset": "d1"}')))
    status, out, _ = await command("submit", "exports", "--order", "-")
    assert (status, out, exports.orders[0][1]) == (0, "exports id=7\n", {"dataset": "d1"})


async def test_with_wait_the_job_is_watched(exports: Any, command: Run, tmp_path: Path) -> None:
    """Its keys come first, then its events. The exit status is that of `watch`."""
    (tmp_path / "order.json").write_text('{"dataset": "d1"}')
    exports.ends["7"] = "error"
    status, out, _ = await command("submit", "exports", "--order", "order.json", "--wait", *QUICK)
    lines = out.splitlines()
    assert status == 1
    assert lines[0] == "exports id=7"
    assert lines[-1].startswith("exports 7 failed (")
    assert exports.orders[0][1] == {"dataset": "d1"}


async def test_with_result_stdout_has_the_result_alone(exports: Any, command: Run) -> None:
    """The keys and the events are on stderr. `-o FILE` means the same."""
    exports.file = b"the file"
    status, out, err = await command("submit", "exports", "--result", *QUICK)
    assert (status, out) == (0, "the file")
    assert err.splitlines()[1] == "exports id=7"


async def test_the_result_goes_to_a_file(exports: Any, command: Run, tmp_path: Path) -> None:
    """With --json stderr has JSON lines."""
    status, out, err = await command("submit", "exports", "-o", "out.bin", "--json", *QUICK)
    assert (status, out) == (0, "")
    assert (tmp_path / "out.bin").read_bytes() == exports.file
    first, *events = [json.loads(line) for line in err.splitlines()[1:]]
    assert first == {"event": "submit", "endpoint": "exports", "job": {"id": "7"}, "error": None}
    assert events[-1]["event"] == "succeeded"


@pytest.mark.parametrize("json_wanted", [False, True])
@pytest.mark.parametrize(
    ("code", "status", "states"),
    [
        (400, 1, "the server rejected the request (HTTP 400)."),
        (403, 5, "permission denied (HTTP 403)."),
        (0, 3, "the job of the order with the key 'order-1' may have been started."),
        (500, 3, "Look on the server before you start it again."),
    ],
)
async def test_a_start_that_fails_is_told(
    code: int, status: int, states: str, json_wanted: bool, exports: Any, command: Run
) -> None:
    """Whether no job was started, or one may be running. The request is sent once."""
    exports.submit_status = code
    more = ("--json",) if json_wanted else ()
    ended, out, err = await command("submit", "exports", "--key", "order-1", "--wait", *more)
    assert ended == status
    assert len(exports.orders) == 1
    if json_wanted:
        said = json.loads(out)
        assert (said["job"], said["error"]["message"].find(states) >= 0) == (None, True)
    else:
        assert (out, states in err, "no job was started" in err) == ("", True, status != 3)
    assert not exports.polls


@pytest.mark.parametrize("more", [(), ("--json",)])
async def test_a_reader_of_stdout_that_is_gone_loses_no_job(
    more: tuple[str, ...], exports: Any, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its keys are on stderr then."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        monkeypatch.setattr(sys, "stdout", stdout)
        status, _, err = await command("submit", "exports", *more)
    assert status == 141
    assert err.splitlines()[1:] == ["pollwise: the job was started: exports id=7"]


async def test_a_job_that_is_not_asked_for_is_named(exports: Any, command: Run, tmp_path: Path) -> None:
    """Because it was started: its status is at another server, which would get the credentials."""
    file = tmp_path / "pollwise.toml"
    declared = file.read_text().replace("GET /exports/{id}", "GET {+id}").replace('id = "int"', 'id = "str"')
    declared = declared.replace('cancel = "DELETE /exports/{id}"', "").replace('id = "id"', 'id = "{at}"')
    file.write_text(declared)
    status, out, err = await command("submit", "exports", "at=https://other.example/x")
    assert (status, out, len(exports.orders)) == (3, "", 1)
    assert "the server named a URL at other.example, which was not asked" in err
    assert "The job was started: exports(id='https://other.example/x')." in err


@pytest.mark.parametrize(
    ("arguments", "states"),
    [
        (("reports", "a=b"), "jobs of reports cannot be started: its declaration has no submit"),
        (("document360", "--base-url", "https://a.example"), "an order of document360 needs folder_id, file_id"),
        (("exports", "a"), "write a field of the order as KEY=VALUE"),
        (("exports", "--key", " "), "key must be a text of 1 to 255 printable ASCII characters"),
        (("oracle-content", "--base-url", "https://a.example"), "an order of oracle-content needs file_id"),
        (("exports", "--base-url", "http://a.example"), "--allow-plain-http"),
    ],
)
async def test_what_cannot_be_meant_sends_nothing(
    arguments: tuple[str, ...], states: str, exports: Any, command: Run
) -> None:
    """Status 2, with what to write."""
    status, out, err = await command("submit", *arguments)
    assert (status, out) == (2, "")
    assert states in err
    assert not exports.orders


async def test_a_vendors_job_is_started(simulator: Simulator, command: Run) -> None:
    """Its keys are printed as `watch oracle-content` takes them."""
    url = ("--base-url", simulator.oracle_content_url)
    status, out, _ = await command("submit", "oracle-content", "file_id=F", *url)
    assert status == 0
    name, file_id, job_id = out.split()
    assert (name, file_id) == ("oracle-content", "F")
    assert ("F", job_id) in simulator.jobs
