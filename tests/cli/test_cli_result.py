"""`pollwise result`."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise.cli.result import json_text

Run = Callable[..., Any]
QUICK = ("--interval", "0.02")
SAID = "pollwise: exports is declared in pollwise.toml"


async def test_a_result_in_the_status_is_json_on_stdout(exports: Any, command: Run) -> None:
    """Stdout has the result alone, in ASCII; the events are on stderr."""
    status, out, err = await command("result", "reports", "owner=a", "name=b", *QUICK)
    assert status == 0
    assert out.isascii()
    assert json.loads(out) == [1, "é\x1b"]
    lines = err.splitlines()
    assert lines[0] == "pollwise: reports is declared in pollwise.toml"
    assert lines[1].startswith("reports a / b running (")
    assert lines[-1].startswith("reports a / b succeeded (")


async def test_bytes_go_to_a_file(exports: Any, command: Run, tmp_path: Path) -> None:
    """Every byte of them, and nothing on stdout."""
    status, out, err = await command("result", "exports", "id=7", "-o", "out.bin", *QUICK)
    assert (status, out) == (0, "")
    assert (tmp_path / "out.bin").read_bytes() == exports.file
    assert err.splitlines()[0] == SAID
    assert err.endswith(f"pollwise: {len(exports.file)} bytes written to out.bin\n")
    assert exports.seen == "Bearer exports-secret"
    assert "exports-secret" not in err


async def test_json_goes_to_a_file_and_events_are_json(exports: Any, command: Run, tmp_path: Path) -> None:
    """With --json each line of stderr is an event, but for the line that says where the endpoint is from."""
    status, out, err = await command("result", "reports", "owner=a", "name=b", "--out", "rows.json", "--json", *QUICK)
    assert (status, out) == (0, "")
    assert json.loads((tmp_path / "rows.json").read_text()) == [1, "é\x1b"]
    assert [json.loads(line)["event"] for line in err.splitlines()[1:]] == ["progressed", "succeeded"]


async def test_bytes_never_go_to_a_terminal(exports: Any, command: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """That is refused before anything is sent."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    status, _, err = await command("result", "exports", "id=7", *QUICK)
    assert status == 2
    assert "the result of exports is bytes; name a file for it with -o FILE" in err
    assert not exports.polls


@pytest.mark.parametrize(
    "arguments",
    [
        ("result", "exports", "id=7", "-o", "pollwise.toml"),
        ("result", "exports", "id=7", "--endpoints", "pollwise.toml", "-o", "./pollwise.toml"),
        ("submit", "exports", "-o", "pollwise.toml"),
        ("submit", "exports", "--order", "order.json", "-o", "order.json"),
        ("batch", "jobs.jsonl", "--out", "pollwise.toml"),
        ("batch", "jobs.jsonl", "--report", "pollwise.toml", "--endpoints", "pollwise.toml"),
    ],
)
async def test_no_output_replaces_what_the_command_reads(
    arguments: tuple[str, ...], exports: Any, command: Run, tmp_path: Path
) -> None:
    """A declaration or an order is not overwritten by a result. Nothing is sent."""
    (tmp_path / "jobs.jsonl").write_text('{"endpoint": "exports", "id": 7}\n')
    (tmp_path / "order.json").write_text("{}")
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    status, _, err = await command(*arguments)
    assert status == 2
    assert "are the same file" in err
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
    assert not exports.polls
    assert not exports.orders


@pytest.mark.parametrize(
    ("end", "status", "states"),
    [("error", 1, "exports 7 failed"), ("stopped", 1, "exports 7 cancelled"), ("forbidden", 5, "exports 7 abandoned")],
)
async def test_a_job_without_success_has_no_result(
    end: str, status: int, states: str, exports: Any, command: Run, tmp_path: Path
) -> None:
    """The exit status is that of `watch`, and no file is written."""
    exports.ends["7"] = end
    ended, out, err = await command("result", "exports", "id=7", "-o", "out.bin", *QUICK)
    assert (ended, out) == (status, "")
    assert states in err
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize(
    ("code", "status", "more", "states"),
    [
        (410, 3, (), "the server does not know it (HTTP 410)."),
        (403, 5, (), "permission denied (HTTP 403)."),
        (200, 3, ("--max-bytes", "5"), "its result is larger than 5 bytes. Allow more with --max-bytes."),
        (500, 3, ("--timeout", "0.3"), "there was no answer within 0.3 s. Allow more time with --timeout."),
    ],
)
@pytest.mark.parametrize("out", [(), ("-o", "out.bin")])
async def test_a_result_that_cannot_be_fetched(
    code: int,
    status: int,
    more: tuple[str, ...],
    states: str,
    out: tuple[str, ...],
    exports: Any,
    command: Run,
    tmp_path: Path,
) -> None:
    """The command says that the job succeeded all the same. Nothing is written."""
    exports.file_status = code
    ended, text, err = await command("result", "exports", "id=7", *out, *QUICK, *more)
    assert (ended, text) == (status, "")
    assert "pollwise: the job succeeded, but its result could not be fetched: " in err
    assert states in err
    assert not (tmp_path / "out.bin").exists()


@pytest.mark.parametrize(
    ("arguments", "status", "states"),
    [
        (
            ("document360", "task_id=T", "--base-url", "https://a.example"),
            2,
            "jobs of document360 have no result to fetch",
        ),
        (("bare", "id=7"), 2, "jobs of bare have no result to fetch: its declaration has no result"),
        (("exports", "id=seven"), 2, "key id must be a whole number"),
        (("exports", "id=7", "-o", "missing/out"), 74, "missing/out"),
        (("exports", "id=7", "-o", "."), 74, "it is a folder"),
        (("exports", "id=7", "--max-bytes", "0"), 2, "expected a whole number of at least 1"),
    ],
)
async def test_what_cannot_be_meant_sends_nothing(
    arguments: tuple[str, ...], status: int, states: str, exports: Any, command: Run, tmp_path: Path
) -> None:
    """It is found before the watch, not after it."""
    with (tmp_path / "pollwise.toml").open("a") as file:
        file.write('[bare]\nbase="https://a.example"\njob=["id"]\npoll="GET /{id}"\nstate="s"\nsucceeded=["x"]\n')
    ended, out, err = await command("result", *arguments)
    assert (ended, out) == (status, "")
    assert states in err
    assert not exports.polls


async def test_a_device_is_written_and_stays(exports: Any, command: Run) -> None:
    """No file is put into the place of a device."""
    status, _, _ = await command("result", "exports", "id=7", "-o", os.devnull, *QUICK)
    assert status == 0
    assert not Path(os.devnull).is_file()


async def test_live_rows_are_on_stderr(
    exports: Any, start: Callable[..., Any], environment: pytest.MonkeyPatch
) -> None:
    """If that is a terminal. Stdout has the result alone; in a pipe that is every byte of it, without a line end."""
    environment.setenv("TERM", "xterm-256color")
    environment.setenv("COLUMNS", "80")
    exports.file = bytes(range(256)) * 1000
    ours, theirs = pty.openpty()
    child = await start("result", "exports", "id=7", "--interval", "0.3", stderr=theirs)
    os.close(theirs)
    out, _ = await child.process.communicate()
    parts = []
    with contextlib.suppress(OSError):  # EIO on Linux after the last writer has closed it
        while part := os.read(ours, 65536):
            parts.append(part)
    os.close(ours)
    shown = b"".join(parts).decode()
    assert (child.process.returncode, out) == (0, exports.file)
    assert "▸ running" in shown
    assert "✓ succeeded" in shown.rpartition("\x1b[2K")[2]


@attrs.frozen
class Rows:
    count: int
    names: frozenset[str]


@dataclasses.dataclass
class Page:
    rows: Rows


def test_any_value_is_json() -> None:
    """Also that of an endpoint of another package."""
    value = {"page": Page(Rows(1, frozenset({"é"}))), "at": Path("x")}
    assert json_text(value) == '{"page":{"rows":{"count":1,"names":["\\u00e9"]}},"at":"x"}'
