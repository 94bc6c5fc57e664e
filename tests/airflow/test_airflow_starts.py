"""Whether a try of a task starts a job."""

from __future__ import annotations

import json
import uuid
from types import SimpleNamespace
from typing import Any

import pytest

from pollwise.airflow.starts import Start, StartRecord, next_start, start_is_idempotent, start_key
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionOrder


def task(**fields: Any) -> Any:
    known = {"dag_id": "d", "run_id": "r", "task_id": "t", "map_index": -1, "max_tries": 2, "try_number": 1}
    return SimpleNamespace(**{**known, **fields})


def test_all_tries_of_a_task_have_one_key() -> None:
    """A retry has the key of the first try, in every process and release. The key is a UUID."""
    assert start_key(task()) == start_key(task(try_number=3)) == "84ec53b3-0410-5d99-998a-d122571f7392"
    assert uuid.UUID(start_key(task())).version == 5


@pytest.mark.parametrize(
    "fields", [{"dag_id": "x"}, {"run_id": "x"}, {"task_id": "x"}, {"map_index": 0}, {"max_tries": 3}]
)
def test_another_task_or_a_cleared_one_has_another_key(fields: dict[str, Any]) -> None:
    """Another DAG, run, task or mapped instance starts a job of its own, and so does a task that was cleared."""
    assert start_key(task(**fields)) != start_key(task())


def test_a_task_that_is_not_mapped_has_one_key() -> None:
    """Airflow writes "not mapped" as -1 or as None."""
    assert start_key(task(map_index=None)) == start_key(task(map_index=-1))


@pytest.mark.parametrize(
    ("record", "is_idempotent", "expected"),
    [
        (None, False, Start.BEGIN),
        (StartRecord(key="of-before-the-clear", token="pw2.x"), False, Start.BEGIN),
        (StartRecord(key="k", token="pw2.x"), False, Start.RESUME),
        (StartRecord(key="k"), True, Start.REPEAT),
        (StartRecord(key="k"), False, Start.REFUSE),
    ],
)
def test_a_retry_never_starts_a_second_job(record: StartRecord | None, is_idempotent: bool, expected: Start) -> None:
    """A known job is resumed. A lost reply is asked for again where the API has keys, and refused where not."""
    assert next_start(record, "k", is_idempotent=is_idempotent) is expected


def test_a_record_survives_airflows_store() -> None:
    """The store keeps JSON. What is no record of this release counts as none."""
    for record in (StartRecord(key="k"), StartRecord(key="k", token="pw2.x")):
        assert StartRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    for other in (None, "x", {"version": 2, "key": "k", "token": None}, {"version": 1, "key": "k"}):
        assert StartRecord.from_json(other) is None


def test_the_endpoint_says_whether_a_start_may_be_repeated() -> None:
    """Oracle's extraction has no place for a key, so its start is not repeated."""
    endpoint = ExtractionEndpoint("https://oracle.example.com")
    assert not start_is_idempotent(endpoint, ExtractionOrder("D1"), "k")
