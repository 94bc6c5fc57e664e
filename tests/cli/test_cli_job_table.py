from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator

import pytest

from pollwise.cli.job_table import Asked
from pollwise.cli.jobs_file import Row


def row(line: int, task_id: str, **rest: object) -> Row:
    return Row(line=line, endpoint="document360", keys={"task_id": task_id}, rest=rest)


def extraction(line: int, file_id: str) -> Row:
    return Row(line=line, endpoint="oracle-content", keys={"file_id": file_id, "job_id": "j"}, rest={})


@pytest.fixture
def asked() -> Iterator[Asked]:
    with Asked() as asked:
        yield asked


def test_rows_in_order_and_each_job_once(asked: Asked) -> None:
    """A job that is asked for twice is one job and two rows."""
    asked.add([extraction(1, "f"), row(2, "a"), row(4, "b", n=1)])
    asked.add([row(7, "a", n=2), extraction(8, "g")])
    assert asked.rows == 5
    assert dict(asked.endpoints) == {"oracle-content": 2, "document360": 2}
    assert list(asked.endpoints) == ["oracle-content", "document360"]
    assert list(asked.jobs("document360")) == [{"task_id": "a"}, {"task_id": "b"}]
    assert list(asked.jobs("oracle-content"))[1] == {"file_id": "g", "job_id": "j"}
    rows = [row for page in asked.in_order() for row in page]
    assert [(row.line, json.loads(row.rest)) for row in rows] == [
        (1, {}),
        (2, {}),
        (4, {"n": 1}),
        (7, {"n": 2}),
        (8, {}),
    ]
    assert rows[3].keys == {"task_id": "a"}


def test_what_a_row_says_is_kept_to_the_letter(asked: Asked) -> None:
    """Numbers of any size, lone surrogates and all other texts come back as they were."""
    rest = {"n": 10**40, "x": 0.1, "s": "\ud800日本\x00", "deep": [None, {"a": True}]}
    asked.add([row(1, "t", **rest)])
    [[kept]] = list(asked.in_order())
    assert kept.rest.isascii()
    assert json.loads(kept.rest) == rest


def test_more_than_a_page(asked: Asked) -> None:
    """Many rows come a page at a time, and none is lost between two."""
    asked.add([row(number, f"t{number % 1500}") for number in range(3000)])
    assert [len(page) for page in asked.in_order()] == [1000, 1000, 1000]
    assert [job["task_id"] for job in asked.jobs("document360")] == [f"t{number}" for number in range(1500)]


def test_nothing_asked(asked: Asked) -> None:
    """An empty file is no error."""
    assert (asked.rows, dict(asked.endpoints), list(asked.in_order())) == (0, {}, [])


def test_no_room_for_rows(asked: Asked) -> None:
    """A full disk is the system's error, and says where temporary files go."""
    asked._db.execute("PRAGMA max_page_count = 10")
    with pytest.raises(OSError, match="full; TMPDIR"):
        asked.add([row(number, "t" * 500 + str(number)) for number in range(1000)])


def test_it_goes_when_it_is_left() -> None:
    """Nothing of it stays."""
    with Asked() as asked:
        pass
    with pytest.raises(sqlite3.ProgrammingError):
        asked.add([row(1, "t")])
