from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from pollwise.cli.jsonlines import event_to_json
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import DeadlineExceeded, JobCancelled, JobFailed, ServerUnavailable
from pollwise.model.events import Abandoned, Cancelled, Failed, Progressed, Retrying, Succeeded, Throttled
from pollwise.model.reading import Phase

KEYS = [
    *("event", "endpoint", "job", "phase", "fraction", "eta_s", "elapsed_s", "detected_within_s", "polls", "status"),
    "error",
]


def test_progressed(
    extractions: ExtractionEndpoint, extract_job: ExtractionJob, extraction_status: Callable[..., Any]
) -> None:
    """A `progressed` line has phase, fraction and ETA, and the status with the vendor's field names and typed values."""
    event: Any = Progressed(
        job=extract_job,
        status=extraction_status(filesIgnored=1),
        phase=Phase.RUNNING,
        fraction=0.25,
        eta_s=12.34567,
        elapsed_s=3.00049,
        polls=2,
    )
    shown = json.loads(event_to_json(extractions, event))
    assert list(shown) == KEYS
    status = shown.pop("status")
    assert shown == {
        "event": "progressed",
        "endpoint": "oracle-content",
        "job": {"file_id": "D1", "job_id": "ZX-1"},
        "phase": "running",
        "fraction": 0.25,
        "eta_s": 12.346,
        "elapsed_s": 3.0,
        "detected_within_s": None,
        "polls": 2,
        "error": None,
    }
    assert status["progress"] == "PROCESSING"
    assert status["completed"] is False
    assert status["completedPercentage"] == 25
    assert status["filesIgnored"] == 1


def test_every_event_has_the_same_keys_in_the_same_order(
    deletions: DeleteFileEndpoint, delete_job: DeleteFileJob, deletion_status: Callable[..., Any]
) -> None:
    """Every line has every key. A key without a value for its event is null."""
    status = deletion_status()
    seen: dict[str, Any] = {"job": delete_job, "elapsed_s": 1.0, "polls": 3}
    events: list[tuple[Any, str | None, str | None]] = [
        (Retrying(error=ServerUnavailable(503), failures=1, delay_s=2.0, **seen), None, "ServerUnavailable"),
        (Throttled(delay_s=2.0, **seen), None, None),
        (Succeeded(status=status, detected_within_s=0.5, **seen), "succeeded", None),
        (Failed(status=status, error=JobFailed(delete_job, status, "why"), **seen), "failed", "JobFailed"),
        (Cancelled(status=status, error=JobCancelled(delete_job, status), **seen), "cancelled", "JobCancelled"),
        (
            Abandoned(error=DeadlineExceeded(delete_job, 60.0), status=None, phase=None, **seen),
            None,
            "DeadlineExceeded",
        ),
        (
            Abandoned(error=DeadlineExceeded(delete_job, 60.0), status=status, phase=Phase.RUNNING, **seen),
            "running",
            "DeadlineExceeded",
        ),
    ]
    for event, phase, error in events:
        shown = json.loads(event_to_json(deletions, event))
        assert list(shown) == KEYS
        assert shown["event"] == type(event).__name__.lower()
        assert shown["phase"] == phase
        assert (shown["error"] and shown["error"]["type"]) == error
        assert shown["detected_within_s"] == getattr(event, "detected_within_s", None)
        assert shown["fraction"] is None
        assert shown["eta_s"] is None


def test_a_line_is_ascii_and_loses_nothing(
    extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """Hostile text is escaped on one line of ASCII, and parses to the same text."""
    message = "[bold]x[/]\x1b[31m\x7f\x9b2J\u202e\r\n"
    event: Any = Progressed(
        job=ExtractionJob("[red]\u202e", "ZX"),
        status=extraction_status(message=message),
        phase=Phase.RUNNING,
        fraction=None,
        eta_s=None,
        elapsed_s=0.0,
        polls=1,
    )
    line = event_to_json(extractions, event)
    assert line.isascii()
    assert line.isprintable()
    shown = json.loads(line)
    assert shown["status"]["message"] == message
    assert shown["job"]["file_id"] == "[red]\u202e"


@pytest.mark.parametrize("elapsed_s", [0.0004, 1 / 3, 86400.00051])
def test_seconds_are_rounded_to_milliseconds(
    elapsed_s: float, deletions: DeleteFileEndpoint, delete_job: DeleteFileJob
) -> None:
    """Seconds have at most three decimal places."""
    line = event_to_json(deletions, Throttled(job=delete_job, delay_s=1.0, elapsed_s=elapsed_s, polls=1))
    assert json.loads(line)["elapsed_s"] == round(elapsed_s, 3)
