"""`--fresh`: a batch starts over, with a new ledger."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.fresh_ledger import start_over
from pollwise.cli.job_table import JobTable
from pollwise.cli.jobs_file import JobRow
from pollwise.cli.run_times import read_runs
from pollwise.ledger import NewIntent, NewWatch, SqliteLedger

Run = Callable[..., Any]
QUICK = ("--interval", "0.02", "--rate", "100000/s", "--endpoint", "exports")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


def jobs_of(folder: Path, *numbers: int) -> str:
    """A file with a job for each number."""
    path = folder / "jobs.jsonl"
    path.write_text("".join(json.dumps({"id": number}) + "\n" for number in numbers))
    return str(path)


def in_both(row: str) -> NewWatch:
    return NewWatch(endpoint="exports", keys={"id": row}, first_seen=NOON, deadline=NOON + timedelta(hours=1))


async def test_a_batch_starts_over(exports: Any, command: Run, tmp_path: Path) -> None:
    """Every job is polled again. The earlier ledger is beside the new one, whole, and stderr says where."""
    exports.ends["7"] = "error"
    jobs, out = jobs_of(tmp_path, 7, 8), str(tmp_path / "out")
    assert (await command("batch", jobs, "--out", out, "--fresh", *QUICK))[0] == 1
    exports.ends.clear()
    exports.polls.clear()
    status, texts, err = await command("batch", jobs, "--out", out, "--fresh", "--fail-fast", *QUICK)
    assert (status, exports.polls["/exports/7"], exports.polls["/exports/8"]) == (0, 2, 2)
    assert "of them in earlier runs" not in texts
    moved = f"{jobs}.ledger.1"
    assert err.splitlines()[-1] == f"pollwise: --fresh: the earlier ledger is now {moved}"
    assert "failed" in (await command("ledger", "export", moved))[1]
    assert "failed" not in (tmp_path / "out").read_text()
    assert not list(tmp_path.glob("*-wal"))
    earlier, later = (read_runs(Path(path)) for path in (moved, f"{jobs}.ledger"))
    assert len(earlier) == len(later) == 1  # the runs of the earlier ledger go with it
    assert earlier[0].until <= later[0].began


async def test_nothing_is_moved_before_all_is_checked(exports: Any, command: Run, tmp_path: Path) -> None:
    """A bad row, or a ledger that another process uses, leaves the ledger where it is. No request is sent."""
    jobs = jobs_of(tmp_path, 7)
    assert (await command("batch", jobs, *QUICK))[0] == 0
    polls = exports.polls.copy()
    async with SqliteLedger(f"{jobs}.ledger"):
        status, _, err = await command("batch", jobs, "--fresh", *QUICK)
    assert status == 74
    assert "is in use" in err
    (tmp_path / "jobs.jsonl").write_text('{"id": 7}\n{"id": "x"}\n')
    assert (await command("batch", jobs, "--fresh", *QUICK))[0] == 2
    assert (await command("batch", jobs_of(tmp_path, 7), "--fresh", "--ledger", "pollwise.toml", *QUICK))[0] == 2
    assert exports.polls == polls
    assert not list(tmp_path.glob("*.ledger.*"))


async def test_no_output_takes_the_place_of_the_earlier_ledger(exports: Any, command: Run, tmp_path: Path) -> None:
    """Its new name is not that of a file that the batch writes."""
    jobs = jobs_of(tmp_path, 7)
    for _ in range(2):
        status, _, err = await command("batch", jobs, "--fresh", "--out", f"{jobs}.ledger.1", *QUICK)
        assert status == 0
    assert err.endswith(f"is now {jobs}.ledger.2\n")


async def test_open_jobs_of_another_batch_are_counted(exports: Any, command: Run, tmp_path: Path) -> None:
    """A ledger that several batches share is moved for all of them."""
    jobs = jobs_of(tmp_path, 7)
    async with SqliteLedger(tmp_path / "shared") as ledger:
        await ledger.record([in_both("7"), in_both("8"), in_both("9")])
    _, _, err = await command("batch", jobs, "--fresh", "--ledger", "shared", *QUICK)
    assert "is now shared.1; it has 2 open jobs that this batch does not have" in err.replace(f"{tmp_path}/", "")


async def test_starts_in_doubt_keep_their_ledger(tmp_path: Path) -> None:
    """Without it the same key could start a second job."""
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        await ledger.intend_submits([NewIntent(endpoint="exports", key="k", digest="00", began=NOON)])
    with JobTable() as job_table, pytest.raises(UsageError, match="1 start of jobs in doubt"):
        job_table.add([JobRow(line=1, endpoint="exports", keys={"id": "7"}, rest={})])
        await start_over(tmp_path / "ledger", job_table, {"exports": ""})
    assert (tmp_path / "ledger").exists()
