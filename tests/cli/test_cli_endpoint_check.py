"""`pollwise endpoint check`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]

DECLARED = """
[exports]
base = "https://api.example.com"
job = { id = "int" }
poll = "GET /exports/{id}"
auth = { bearer = "NOT_SET_ANYWHERE" }
state = "state"
succeeded = ["done", "kept"]
failed = ["error"]
unconfirmed = ["error"]
cancelled_when = "stopped"
http = { succeeded = [404] }
progress = { done = "percent", of = 100 }
reason = "why"
code = "code"
codes = { failed = ["GONE"] }
limited = "throttled"
after = { s = "wait" }
expects = "state || code || stopped || throttled"

[others]
base = "https://api.example.com"
job = ["id"]
poll = "GET /others/{id}"
succeeded_when = "done"
otherwise = "running"
expects = "id"
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "e.toml"
    path.write_text(DECLARED)
    return path


async def test_right_declarations_are_listed(file: Path, command: Run) -> None:
    """Without a request, and without the credentials that they name."""
    status, out, err = await command("endpoint", "check", str(file))
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        "exports: ok, GET /exports/{id}, keys id (int)",
        "others: ok, GET /others/{id}, keys id (str)",
    ]


@pytest.mark.parametrize(
    ("body", "code", "line"),
    [
        (b'{"state": "DONE"}', 200, "succeeded, because state gives 'DONE', which succeeded lists"),
        (
            b'{"state": "busy", "percent": 25}',
            200,
            "running, because state gives 'busy', which is in no list; 25% done",
        ),
        (b'{"state": "busy", "wait": 7}', 200, "running, because state gives 'busy', which is in no list; wait 7 s"),
        (
            b'{"state": "error", "why": "no disk"}',
            200,
            "failed, to be confirmed, because state gives 'error', which failed lists; reason 'no disk'",
        ),
        (b'{"stopped": true}', 200, "cancelled, because cancelled_when is true"),
        (b'{"throttled": true}', 200, "rate limited, because limited is true"),
        (b"", 404, "succeeded, because http lists 404 for succeeded"),
        (b'{"code": "gone"}', 400, "failed, because code gives 'gone', which codes lists for failed"),
        (b'{"code": "x"}', 400, "a refusal, because code gives 'x', which codes does not list"),
        (b'{"state": []}', 200, "no reading: it has no "),
        (b"<html>", 200, "no reading: broken JSON"),
        (b'{"state": "\\u001b[31m"}', 200, r"running, because state gives '\x1b[31m', which is in no list"),
    ],
)
async def test_a_sample_shows_how_it_would_be_read_and_why(
    file: Path, tmp_path: Path, command: Run, body: bytes, code: int, line: str
) -> None:
    """One line, with the rule that decides. What the sample says is escaped."""
    sample = tmp_path / "r.json"
    sample.write_bytes(body)
    arguments = ("endpoint", "check", str(file), "--name", "exports", "--sample", str(sample), "--status", str(code))
    status, out, err = await command(*arguments)
    assert (status, err) == (0, "")
    assert out.splitlines()[1].startswith(f"exports: {sample}: {line}")
    assert len(out.splitlines()) == 2


async def test_a_code_without_a_rule_is_said(file: Path, tmp_path: Path, command: Run) -> None:
    """A declaration without `codes` reads no refusal."""
    sample = tmp_path / "r.json"
    sample.write_bytes(b"{}")
    arguments = ("endpoint", "check", str(file), "--name", "others", "--sample", str(sample))
    _, refused, _ = await command(*arguments, "--status", "404")
    _, empty, _ = await command(*arguments)
    sample.write_bytes(b'{"id": 7}')
    _, running, _ = await command(*arguments)
    assert "a refusal, because http does not list 404" in refused
    assert "no reading: it has no id" in empty
    assert "running, because no rule matches, so otherwise decides" in running


async def test_an_end_of_unknown_kind_is_said(tmp_path: Path, command: Run) -> None:
    """It is no running job."""
    file, sample = tmp_path / "e.toml", tmp_path / "r.json"
    file.write_text(DECLARED.replace("[exports]", '[exports]\nover_when = "finished"', 1))
    sample.write_bytes(b'{"state": "odd", "finished": true}')
    _, out, _ = await command("endpoint", "check", str(file), "--name", "exports", "--sample", str(sample))
    assert (
        "over in a way that no rule names, because state gives 'odd', which is in no list, and over_when is true" in out
    )


async def test_all_that_is_wrong_is_shown(tmp_path: Path, command: Run) -> None:
    """A line for each, and status 1."""
    file = tmp_path / "e.toml"
    file.write_text(DECLARED.replace("progress", "progres").replace("/others/{id}", "/others/{idd}"))
    status, out, err = await command("endpoint", "check", str(file))
    assert (status, err) == (1, "")
    assert "[exports] progres: there is no such word; did you mean progress?" in out
    assert "[others] poll: the path has {idd}, but the job has only the keys id" in out


@pytest.mark.parametrize(
    ("more", "why"),
    [
        (("--name", "nope"), "no endpoint nope"),
        (("--sample", "missing.json"), "cannot read missing.json: No such file"),
    ],
)
async def test_what_is_not_there_is_a_usage_error(file: Path, command: Run, more: tuple[str, ...], why: str) -> None:
    """Status 2."""
    status, _, err = await command("endpoint", "check", str(file), *more)
    assert status == 2
    assert why in err
