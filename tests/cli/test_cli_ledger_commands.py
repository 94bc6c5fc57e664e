from __future__ import annotations

import json
import os
import sqlite3
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.ledger_commands import ascii_json
from pollwise.durable.codec import conclusion_of
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.errors import DeadlineExceeded, PollTimeout
from pollwise.http.auth import ApiKeyAuth
from pollwise.ledger import Acknowledgement, Change, Conclusion, Ledger, NewIntent, NewWatch, OutcomeKind, SqliteLedger
from pollwise.model.events import Abandoned
from pollwise.model.reading import Phase

Run = Callable[..., Any]
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


async def fill(ledger: Ledger, count: int = 6, state: str = "broken") -> None:
    """Record `count` watches: a third succeeded, a third failed, a third is running."""
    new = [
        NewWatch(endpoint="document360", keys={"task_id": f"t{n}"}, first_seen=BEGAN, deadline=None)
        for n in range(count)
    ]
    numbers = [found.id for found in await ledger.record(new)]
    seen: dict[str, Any] = {"polls": 2, "status": b'{"said":"\xc3\xa4"}'}
    succeeded: dict[str, Any] = {"outcome": OutcomeKind.SUCCEEDED, "phase": Phase.SUCCEEDED, "elapsed_s": 3.0}
    failed: dict[str, Any] = {"outcome": OutcomeKind.FAILED, "phase": Phase.FAILED, "elapsed_s": 4.0}
    texts = {"error_type": "JobFailed", "error_message": state}
    await ledger.conclude([Conclusion(id=number, **succeeded, **seen) for number in numbers[::3]])
    await ledger.conclude([Conclusion(id=number, **failed, **seen, **texts) for number in numbers[1::3]])
    await ledger.update([Change(id=number, phase=Phase.RUNNING, failures=0, **seen) for number in numbers[2::3]])


@pytest.fixture
async def path(tmp_path: Path) -> Path:
    path = tmp_path / "jobs.ledger"
    async with SqliteLedger(path) as ledger:
        await fill(ledger)
    return path


async def test_a_ledger_as_text(path: Path, command: Run) -> None:
    """`ledger show` prints the number of watches, their states, and the reasons of failures."""
    status, out, err = await command("ledger", "show", str(path))
    assert (status, err) == (0, "")
    assert out.splitlines() == [
        str(path),
        "6 watches since 2026-01-02 03:04:05 UTC, 2 of them open; 4 outcomes not acknowledged; 12 requests",
        "document360: 2 succeeded, 2 failed, 2 running",
        "2 failed document360: broken (t1)",
    ]


async def test_a_ledger_as_json(path: Path, command: Run) -> None:
    """`ledger show --json` prints one object with the same numbers."""
    status, out, err = await command("ledger", "show", str(path), "--json")
    assert (status, err, out.count("\n")) == (0, "", 1)
    facts = json.loads(out)
    assert {name: facts[name] for name in ("watches", "open", "unacknowledged", "polls", "first_seen")} == {
        "watches": 6,
        "open": 2,
        "unacknowledged": 4,
        "polls": 12,
        "first_seen": "2026-01-02T03:04:05+00:00",
    }
    assert facts["phases"]["running"] == facts["endpoints"]["document360"]["running"] == 2
    assert facts["reasons"] == [
        {"count": 2, "event": "failed", "endpoint": "document360", "reason": "broken", "examples": ["t1", "t4"]}
    ]


async def test_an_empty_ledger(tmp_path: Path, command: Run) -> None:
    """An empty ledger has no watches, as text and as JSON."""
    async with SqliteLedger(tmp_path / "new"):
        pass
    assert (await command("ledger", "show", str(tmp_path / "new")))[1].splitlines()[1] == "no watches yet"
    assert json.loads((await command("ledger", "show", str(tmp_path / "new"), "--json"))[1])["first_seen"] is None


async def test_many_reasons_are_cut(tmp_path: Path, command: Run) -> None:
    """The commonest reasons are printed, the others are counted."""
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        new = [NewWatch(endpoint="e", keys={"id": str(n)}, first_seen=BEGAN, deadline=None) for n in range(11)]
        seen: dict[str, Any] = {"polls": 2, "status": None, "elapsed_s": 1.0, "error_type": "X"}
        failed = {"outcome": OutcomeKind.FAILED, "phase": Phase.FAILED}
        for found in await ledger.record(new):
            await ledger.conclude([Conclusion(id=found.id, error_message=f"why {found.id}", **failed, **seen)])
    out = (await command("ledger", "show", str(tmp_path / "ledger")))[1]
    assert out.splitlines()[-1] == "and 1 more reason"


async def test_ledger_export(path: Path, command: Run, tmp_path: Path) -> None:
    """`ledger export` writes outcomes as JSON lines in ASCII, to stdout or to a file; with `--include-open` all watches."""
    status, out, err = await command("ledger", "export", str(path))
    assert (status, err) == (0, "")
    assert out.isascii()
    found = [json.loads(line) for line in out.splitlines()]
    assert [line["outcome"] for line in found] == ["succeeded", "failed", "succeeded", "failed"]
    assert found[0]["status"] == {"said": "ä"}
    assert (await command("ledger", "export", str(path), "--out", str(tmp_path / "out")))[:2] == (0, "")
    assert (tmp_path / "out").read_text() == out
    more = (await command("ledger", "export", str(path), "--include-open"))[1]
    assert [json.loads(line)["outcome"] for line in more.splitlines()].count(None) == 2


async def test_an_exported_error_has_the_commands_sentence(tmp_path: Path, command: Run) -> None:
    """The message is the command's sentence, made from the stored error; `error` has its two keys and no others."""
    job = DeleteFileJob("t")
    error = DeadlineExceeded(job, 60.0, PollTimeout(30.0))
    endpoint = DeleteFileEndpoint("https://a.example", auth=ApiKeyAuth("unused"))
    outcome: Any = Abandoned(job=job, error=error, status=None, phase=None, elapsed_s=60.0, polls=3)
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        new = NewWatch(endpoint="document360", keys={"task_id": "t"}, first_seen=BEGAN, deadline=None)
        [found] = await ledger.record([new])
        await ledger.conclude([conclusion_of(found.id, outcome, endpoint)])
    out = (await command("ledger", "export", str(tmp_path / "ledger")))[1]
    assert json.loads(out)["error"] == {
        "type": "DeadlineExceeded",
        "message": "not over within 60 s; the job may still be running. Watch it again, or allow more time with"
        " --timeout. The last poll failed: no whole reply within 30 s.",
    }


async def test_a_ledger_in_use(tmp_path: Path, command: Run) -> None:
    """A ledger can be read while another process writes it, and the writer is not disturbed."""
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        await fill(ledger, 3000)
        assert "3,000 watches" in (await command("ledger", "show", str(tmp_path / "ledger")))[1]
        assert (await command("ledger", "export", str(tmp_path / "ledger")))[1].count("\n") == 2000
        await ledger.acknowledge([Acknowledgement(id=1, generation=0)])


@pytest.fixture
def damaged(path: Path) -> Path:
    """The same ledger with two damaged rows: one that succeeded, and one that runs."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE watches SET polls = 77 WHERE id IN (1, 3)")
    return path


LEFT_OUT = (
    "pollwise: 2 rows are damaged and were left out: rows 1 and 3. `pollwise ledger check {}` lists what is wrong"
)


@pytest.mark.parametrize("option", [(), ("--json",)])
async def test_show_says_which_rows_it_leaves_out(damaged: Path, command: Run, option: tuple[str, ...]) -> None:
    """The number of damaged rows and their numbers are on stderr, and in the object of `--json`. The status is 1."""
    status, out, err = await command("ledger", "show", str(damaged), *option)
    assert (status, err.splitlines()[-1].startswith(LEFT_OUT.format(damaged))) == (1, True)
    if option:
        facts = json.loads(out)
        assert (facts["watches"], facts["damaged"]) == (4, [1, 3])
    else:
        assert out.splitlines()[1].startswith("4 watches since")


@pytest.mark.parametrize("to_file", [False, True])
async def test_export_says_which_rows_it_leaves_out(
    damaged: Path, command: Run, tmp_path: Path, *, to_file: bool
) -> None:
    """All other rows are written, also to a file. stderr says how many rows are damaged, and which; the status is 1."""
    out_file = tmp_path / "out.jsonl"
    to = ("--out", str(out_file)) if to_file else ()
    status, out, err = await command("ledger", "export", str(damaged), "--include-open", *to)
    assert (status, err.splitlines()[-1].startswith(LEFT_OUT.format(damaged))) == (1, True)
    lines = (out_file.read_text() if to_file else out).splitlines()
    assert [json.loads(line)["job"]["task_id"] for line in lines] == ["t1", "t3", "t4", "t5"]


async def test_one_row_that_is_left_out(path: Path, command: Run) -> None:
    """It is told as well if damage took its outcome, so that it looks like an open watch, which is not exported."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("UPDATE watches SET outcome = NULL WHERE id = 1")
    for action in ("show", "export"):
        status, _, err = await command("ledger", action, str(path))
        assert (status, "pollwise: 1 row is damaged and was left out: row 1. " in err) == (1, True)


async def test_a_sound_ledger_has_no_row_that_is_left_out(path: Path, command: Run) -> None:
    """The list in the object of `--json` is always there, and is empty."""
    assert json.loads((await command("ledger", "show", str(path), "--json"))[1])["damaged"] == []


async def test_a_file_that_is_not_a_ledger(tmp_path: Path, command: Run) -> None:
    """A missing file gives status 2, and a file that is not a ledger 74. No file is created or changed."""
    for arguments in (["show"], ["export"], ["export", "--out", str(tmp_path / "out")], ["check"]):
        status, out, err = await command("ledger", *arguments, str(tmp_path / "missing"))
        assert (status, out) == (2, "")
        assert "does not exist. Check the path." in err
    assert os.listdir(tmp_path) == []  # noqa: PTH208  names are all that is wanted
    (tmp_path / "text").write_text("x" * 1000)
    for name in ("show", "export"):
        status, out, err = await command("ledger", name, str(tmp_path / "text"))
        assert (status, out) == (74, "")
        assert "is not a ledger" in err
    assert (tmp_path / "text").read_text() == "x" * 1000
    out_file = tmp_path / "out"
    assert (await command("ledger", "export", str(tmp_path / "text"), "--out", str(out_file)))[0] == 74
    assert not out_file.exists()


async def test_a_page_of_a_ledger(path: Path, command: Run, tmp_path: Path) -> None:
    """`ledger show --report` writes the page of `batch --report`, also for a ledger with open watches."""
    page = tmp_path / "page.html"
    assert (await command("ledger", "show", str(path), "--report", str(page)))[0] == 0
    assert "4 of 6 are over" in page.read_text(encoding="utf-8")
    status, out, err = await command("ledger", "show", str(path), "--report", str(tmp_path / "missing" / "page"))
    assert (status, out) == (74, "")
    assert err.startswith("pollwise: the output cannot be written (")


@pytest.mark.parametrize("arguments", [("export", "--out"), ("show", "--report")])
@pytest.mark.parametrize("name", ["jobs.ledger", "link", "jobs.ledger-lock"])
async def test_a_ledger_is_never_overwritten(
    arguments: tuple[str, str], name: str, path: Path, command: Run, tmp_path: Path
) -> None:
    """An output path that is the ledger, a link to it or a part of it is refused."""
    (tmp_path / "link").symlink_to(path)
    action, option = arguments
    status, out, err = await command("ledger", action, str(path), option, str(tmp_path / name))
    assert (status, out) == (2, "")
    assert option in err
    assert "6 watches" in (await command("ledger", "show", str(path)))[1]
    assert (tmp_path / "jobs.ledger-lock").read_bytes() == b""


def test_json_in_ascii() -> None:
    """Characters that are not ASCII are escaped, and the JSON value stays the same."""
    line = '{"a":"ä\u202e日本\U0001f600","b":"\\u001b"}'
    assert ascii_json(line.encode()).isascii()
    assert json.loads(ascii_json(line.encode())) == json.loads(line)
    assert ascii_json(b'{"a":1}\n') == '{"a":1}\n'


async def test_show_names_the_starts_that_are_in_doubt(tmp_path: Path, command: Run) -> None:
    """With their keys, as text and as JSON. A damaged one is told on stderr."""
    path = tmp_path / "new.ledger"
    async with SqliteLedger(path) as ledger:
        assert "known job" not in (await command("ledger", "show", str(path)))[1]
        await ledger.intend_submits(
            [NewIntent(endpoint="toy", key=f"order-{n}", digest="00", began=BEGAN) for n in range(12)]
        )
    status, out, _ = await command("ledger", "show", str(path))
    assert (status, "12 starts have no known job" in out, "order-9 and 2 more" in out) == (0, True, True)
    facts = json.loads((await command("ledger", "show", str(path), "--json"))[1])
    assert facts["unfinished_starts"] == [f"order-{n}" for n in range(12)]
    with closing(sqlite3.connect(path)) as db:
        db.execute("UPDATE submits SET digest = '01' WHERE id = 3")
        db.commit()
    status, out, err = await command("ledger", "show", str(path))
    assert (status, "the start with the number 3 is not as it was written" in err) == (1, True)
