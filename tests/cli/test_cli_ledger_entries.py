from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest

from pollwise.cli.ledger_entries import LedgerEntry, open_state, read_entries, to_entry
from pollwise.cli.stored_error import StoredError
from pollwise.durable.error_codec import ErrorCodec
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import (
    AuthenticationError,
    DeadlineExceeded,
    JobCancelled,
    JobFailed,
    JobNotFound,
    RetriesExhausted,
    ServerUnavailable,
)
from pollwise.http.auth import BearerAuth
from pollwise.ledger import Acknowledgement, Conclusion, NewWatch, OutcomeKind, SqliteLedger
from pollwise.model.reading import Phase

JOB = ExtractionJob("F", "J")
KEYS = {"file_id": "F", "job_id": "J"}


def stored(error: Any) -> StoredError:
    """The error as the current schema version stores it."""
    return StoredError(
        endpoint="oracle-content",
        keys=KEYS,
        outcome={"JobFailed": "failed", "JobCancelled": "cancelled"}.get(type(error).__name__, "abandoned"),
        kind=type(error).__name__,
        message=str(error),
        data=ErrorCodec(JOB, None, ExtractionEndpoint("https://a.example", auth=BearerAuth("unused"))).write(error),
    )


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (JobFailed(JOB, None, "boom.zip; code -21"), "boom.zip; code -21"),
        (JobFailed(JOB, None, "one. two. "), "one. two."),
        (JobFailed(JOB, None), "no reason given"),
        (JobCancelled(JOB, None, "by hand"), "by hand"),
        (JobCancelled(JOB, None), "no reason given"),
        (JobNotFound(JOB, 404), "not known to the server (HTTP 404)."),
        (DeadlineExceeded(JOB, 5.0), "not over within 5 s; the job may still be running."),
        (
            RetriesExhausted(JOB, 3, ServerUnavailable(503)),
            "all of the last 3 polls failed; the job may still be running.",
        ),
        (AuthenticationError("They were refused."), "They were refused. Check that"),
    ],
)
def test_a_reason_does_not_repeat_the_job(error: Exception, reason: str) -> None:
    """A reason does not contain the job, so that equal reasons can be counted together."""
    text = stored(error).reason()
    assert text.startswith(reason)
    assert "ExtractionJob" not in text
    assert "See .status" not in text
    assert "Start it again" not in text


def test_a_reason_is_one_safe_line(hostile: str) -> None:
    """A reason is safe to print, for any text of a vendor or of another program."""
    assert stored(JobFailed(JOB, None, hostile)).reason().isprintable()
    assert attrs.evolve(stored(JobFailed(JOB, None)), endpoint="exports", message=hostile).reason().isprintable()
    assert attrs.evolve(stored(JobFailed(JOB, None)), endpoint="exports", message="").reason() == "no reason given"


@pytest.mark.parametrize(
    ("phase", "failures", "state"),
    [
        (None, 0, "waiting"),
        (None, 2, "retrying"),
        ("queued", 0, "queued"),
        ("running", 0, "running"),
        ("running", 1, "retrying"),
        ("succeeded", 0, "confirming"),
        ("failed", 0, "confirming"),
    ],
)
def test_the_state_of_an_open_watch(phase: str | None, failures: int, state: str) -> None:
    """An open watch has the same states as on a live row."""
    assert open_state(phase, failures) == state


async def test_a_ledger_in_entries(tmp_path: Any, hostile: str) -> None:
    """Every watch, ended or open, is an entry with safe texts and its times."""
    began = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    new = [
        NewWatch(endpoint="document360", keys={"task_id": task_id}, first_seen=began, deadline=None)
        for task_id in ("a", f"x{hostile}", "c")
    ]
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        first, second, _ = await ledger.record(new)
        usual: dict[str, Any] = {"polls": 3, "status": None, "elapsed_s": 1.5}
        await ledger.conclude(
            [
                Conclusion(id=first.id, outcome=OutcomeKind.SUCCEEDED, phase=Phase.SUCCEEDED, seen_s=1.25, **usual),
                Conclusion(
                    id=second.id,
                    outcome=OutcomeKind.ABANDONED,
                    phase=None,
                    error_type="X",
                    error_message=hostile,
                    **usual,
                ),
            ]
        )
        await ledger.acknowledge([Acknowledgement(id=first.id, generation=0)])
        [found] = [page async for page in read_entries(ledger)]
        [ended] = [page async for page in read_entries(ledger, include_open=False)]
    assert found[0] == LedgerEntry(
        endpoint="document360",
        keys=("a",),
        state="succeeded",
        first_seen=began.timestamp(),
        elapsed_s=1.5,
        detected_within_s=0.25,
        polls=3,
        reason="",
        acknowledged=True,
    )
    assert found[1].keys[0].isprintable()
    assert found[1].reason.isprintable()
    assert (found[2].state, found[2].elapsed_s) == ("waiting", None)
    assert ended == found[:2]


def test_an_error_without_a_message() -> None:
    """An error with only a type has the reason `no reason given`."""
    exported = {
        "outcome": "abandoned",
        "endpoint": "e",
        "job": {},
        "phase": None,
        "first_seen": "2026-01-02T03:04:05Z",
        "deadline": None,
        "elapsed_s": 1.0,
        "detected_within_s": None,
        "polls": 0,
        "failures": 0,
        "status": None,
        "error": {"type": "X", "message": None},
        "acknowledged": False,
    }
    assert to_entry(exported).reason == "no reason given"
