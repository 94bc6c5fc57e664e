from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.job_table import JobTable
from pollwise.cli.read_jobs import MAX_REPORTED_ROWS, read_jobs

GOOD = '{"endpoint": "document360", "task_id": "%s"}\n'


@pytest.fixture
def job_table() -> Iterator[JobTable]:
    with JobTable() as job_table:
        yield job_table


async def test_a_good_file(tmp_path: Path, job_table: JobTable, capsys: pytest.CaptureFixture[str]) -> None:
    """All rows are in the table, and nothing is printed."""
    path = tmp_path / "jobs.jsonl"
    path.write_text("".join(GOOD % number for number in range(2500)) + GOOD % 7)
    await read_jobs(str(path), "jsonl", None, job_table)
    assert (job_table.rows, dict(job_table.endpoints)) == (2501, {"document360": 2500})
    assert capsys.readouterr() == ("", "")


async def test_all_bad_rows_are_reported(
    tmp_path: Path, job_table: JobTable, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each bad row is reported with its file and line; good rows between them are not."""
    path = tmp_path / "jobs.jsonl"
    path.write_text(GOOD % 1 + "{}\n" + GOOD % 2 + "[]\n")
    with pytest.raises(UsageError, match=r"2 of 4 rows of \S+ are bad; nothing was sent"):
        await read_jobs(str(path), "jsonl", None, job_table)
    first, second = capsys.readouterr().err.splitlines()
    assert first.startswith(f"pollwise: {path}:2: it names no endpoint")
    assert second.startswith(f"pollwise: {path}:4: expected one JSON object")


async def test_the_complaints_fit_a_screen(
    tmp_path: Path, job_table: JobTable, capsys: pytest.CaptureFixture[str], hostile: str
) -> None:
    """The first bad rows are reported in full, the others by line number only. All texts are safe to print."""
    path = tmp_path / "jobs.jsonl"
    bad = (f'{{"endpoint": "{hostile[:9]}"}}\n' * 3000).replace("\x1b", "\\u001b\\u009b2J\\u202e")
    path.write_text(bad + GOOD % 1 + "[]\n" + GOOD % 2 + "[]\n[]\n")
    with pytest.raises(UsageError, match="3,003 of 3,005 rows"):
        await read_jobs(str(path), "jsonl", None, job_table)
    texts = capsys.readouterr().err.splitlines()
    assert len(texts) == MAX_REPORTED_ROWS + 1
    assert texts[-1] == "pollwise: and 2,953 more, at lines 51-3000, 3002, 3004-3005"
    assert all(line.isprintable() for line in texts)


async def test_stdin(job_table: JobTable, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Jobs can come from stdin; error messages call it `stdin`."""
    ours, theirs = os.pipe()
    os.write(theirs, (GOOD % 1 + "{}\n").encode())
    os.close(theirs)
    with open(ours, encoding="utf-8") as stream:  # noqa: ASYNC230, PTH123  a pipe that has all of it already
        monkeypatch.setattr(sys, "stdin", stream)
        with pytest.raises(UsageError, match="1 of 2 rows of stdin"):
            await read_jobs("-", "jsonl", None, job_table)
    assert capsys.readouterr().err.startswith("pollwise: stdin:2: ")


async def test_a_file_that_cannot_be_read(tmp_path: Path, job_table: JobTable, monkeypatch: pytest.MonkeyPatch) -> None:
    """A missing file, a folder and a closed stdin each raise a UsageError that says which it is."""
    for name, states in ((tmp_path / "missing", "No such file"), (tmp_path, "Is a directory")):
        with pytest.raises(UsageError, match=states):
            await read_jobs(str(name), "csv", None, job_table)
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="stdin cannot be read: it is closed"):
        await read_jobs("-", "jsonl", None, job_table)
