"""Whether a try of a task starts a job."""

from __future__ import annotations

import json
import uuid

import pytest

from pollwise.airflow.starts import Start, StartRecord, next_start, start_is_idempotent
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionOrder


def test_each_start_has_a_key_of_its_own() -> None:
    """A run that was deleted and created again has another key, so its API starts a new job. The key is a UUID."""
    first, second = StartRecord.new(2), StartRecord.new(2)
    assert first.key != second.key
    assert uuid.UUID(first.key).version == 4


@pytest.mark.parametrize(
    ("record", "is_idempotent", "expected"),
    [
        (None, False, Start.BEGIN),
        (StartRecord(max_tries=1, key="k", token="pw2.x"), False, Start.BEGIN),
        (StartRecord(max_tries=2, key="k", token="pw2.x"), False, Start.RESUME),
        (StartRecord(max_tries=2, key="k"), True, Start.REPEAT),
        (StartRecord(max_tries=2, key="k"), False, Start.REFUSE),
    ],
)
def test_a_retry_never_starts_a_second_job(record: StartRecord | None, is_idempotent: bool, expected: Start) -> None:
    """A known job is resumed. A lost reply is asked for again where the API has keys, and refused where not."""
    assert next_start(record, 2, is_idempotent=is_idempotent) is expected


def test_a_record_survives_airflows_store() -> None:
    """The store keeps JSON. What is no record of this release counts as none."""
    for record in (StartRecord(max_tries=2, key="k"), StartRecord(max_tries=2, key="k", token="pw2.x")):
        assert StartRecord.from_json(json.loads(json.dumps(record.to_json()))) == record
    for other in (None, "x", {"version": 2, "max_tries": 2, "key": "k", "token": None}, {"version": 1, "key": "k"}):
        assert StartRecord.from_json(other) is None


def test_the_endpoint_says_whether_a_start_may_be_repeated() -> None:
    """Oracle's extraction has no place for a key, so its start is not repeated."""
    endpoint = ExtractionEndpoint("https://oracle.example.com")
    assert not start_is_idempotent(endpoint, ExtractionOrder("D1"), "k")
