from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from pollwise.cli.job_table import JobTable
from pollwise.cli.jobs_file import JobRow


def row(line: int, task_id: str, **rest: object) -> JobRow:
    return JobRow(line=line, endpoint="document360", keys={"task_id": task_id}, rest=rest)


def extraction(line: int, file_id: str) -> JobRow:
    return JobRow(line=line, endpoint="oracle-content", keys={"file_id": file_id, "job_id": "j"}, rest={})


@pytest.fixture
def job_table() -> Iterator[JobTable]:
    with JobTable() as job_table:
        yield job_table


def test_rows_in_order_and_each_job_once(job_table: JobTable) -> None:
    """A job that two rows name is one job and two rows."""
    job_table.add([extraction(1, "f"), row(2, "a"), row(4, "b", n=1)])
    job_table.add([row(7, "a", n=2), extraction(8, "g")])
    assert job_table.rows == 5
    assert dict(job_table.endpoints) == {"oracle-content": 2, "document360": 2}
    assert list(job_table.endpoints) == ["oracle-content", "document360"]
    assert list(job_table.jobs("document360")) == [{"task_id": "a"}, {"task_id": "b"}]
    assert list(job_table.jobs("oracle-content"))[1] == {"file_id": "g", "job_id": "j"}
    rows = [row for page in job_table.rows_in_order() for row in page]
    assert [(row.line, json.loads(row.rest)) for row in rows] == [
        (1, {}),
        (2, {}),
        (4, {"n": 1}),
        (7, {"n": 2}),
        (8, {}),
    ]
    assert rows[3].keys == {"task_id": "a"}


def test_other_fields_of_a_row_are_unchanged(job_table: JobTable) -> None:
    """Numbers of any size, lone surrogates and all other texts are returned unchanged."""
    rest = {"n": 10**40, "x": 0.1, "s": "\ud800日本\x00", "deep": [None, {"a": True}]}
    job_table.add([row(1, "t", **rest)])
    [[kept]] = list(job_table.rows_in_order())
    assert kept.rest.isascii()
    assert json.loads(kept.rest) == rest


def test_more_than_a_page(job_table: JobTable) -> None:
    """Many rows are returned in pages, and no row is lost between two pages."""
    job_table.add([row(number, f"t{number % 1500}") for number in range(3000)])
    assert [len(page) for page in job_table.rows_in_order()] == [1000, 1000, 1000]
    assert [job["task_id"] for job in job_table.jobs("document360")] == [f"t{number}" for number in range(1500)]


def test_no_rows(job_table: JobTable) -> None:
    """An empty table is not an error."""
    assert (job_table.rows, dict(job_table.endpoints), list(job_table.rows_in_order())) == (0, {}, [])


def test_no_room_for_rows(job_table: JobTable) -> None:
    """A full disk raises OSError, whose message names TMPDIR."""
    job_table._db.execute("PRAGMA max_page_count = 10")
    with pytest.raises(OSError, match="full; TMPDIR"):
        job_table.add([row(number, "t" * 500 + str(number)) for number in range(1000)])


def test_it_goes_when_it_is_left() -> None:
    """Nothing of it stays."""
    with JobTable() as job_table:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        job_table.add([row(1, "t")])
