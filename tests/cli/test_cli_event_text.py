from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from pollwise.cli.event_text import ENDED, appearance_of, event_line, job_keys, view_of
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import (
    ConnectFailed,
    DeadlineExceeded,
    JobCancelled,
    JobFailed,
    NotVisibleYet,
    RateLimited,
    ServerUnavailable,
)
from pollwise.model.events import Abandoned, Cancelled, Failed, Progressed, Retrying, Succeeded, Throttled
from pollwise.model.reading import Phase

JOB = ExtractionJob("D1", "ZX-1")
SEEN: dict[str, Any] = {"job": JOB, "elapsed_s": 3.0, "polls": 2}


def progressed(status: Any, phase: Phase = Phase.RUNNING) -> Any:
    return Progressed(status=status, phase=phase, fraction=0.256, eta_s=8.0, **SEEN)


def test_a_progress_report_on_one_line(extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]) -> None:
    """A plain line has the endpoint, the job's keys, its state, the time left, and the vendor's message."""
    event = progressed(extraction_status(message="Processing entry Mugs.jpg"))
    assert event_line(extractions, event) == (
        "oracle-content D1 / ZX-1 running (25%, about 8.0 s left, 2 polls, 3.0 s): Processing entry Mugs.jpg"
    )


@pytest.mark.parametrize(
    ("phase", "state"),
    [
        (Phase.QUEUED, "queued"),
        (Phase.RUNNING, "running"),
        (Phase.FAILED, "confirming"),
        (Phase.CANCELLED, "confirming"),
    ],
)
def test_an_unconfirmed_end_is_confirming(phase: Phase, state: str, extraction_status: Callable[..., Any]) -> None:
    """A job that looks over, but is not confirmed, has the state `confirming`."""
    assert view_of(progressed(extraction_status(), phase)).state == state


def test_a_success_names_skipped_files(extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]) -> None:
    """The line of a success names the files that were skipped."""
    items = [{"id": "Mugs.jpg", "type": "file", "error": "existing file"}]
    status = extraction_status(
        progress="SUCCEEDED", completed=True, completedPercentage=100, filesSkipped=1, skippedItems=items
    )
    assert event_line(extractions, Succeeded(status=status, **SEEN)) == (
        "oracle-content D1 / ZX-1 succeeded (2 polls, 3.0 s): 1 skipped; skipped: Mugs.jpg (existing file)"
    )


def test_a_failure_gives_its_reason(extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]) -> None:
    """The reason of a failure is the vendor's text, or else the text of the status, or else `no reason given`."""
    status = extraction_status(progress="FAILED")
    failed = Failed(status=status, error=JobFailed(JOB, status, "disk full"), **SEEN)
    assert event_line(extractions, failed).endswith("failed (2 polls, 3.0 s): disk full")
    cancelled = Cancelled(status=status, error=JobCancelled(JOB, status), **SEEN)
    assert view_of(cancelled).reason == "no files"
    assert view_of(Failed(status=object(), error=JobFailed(JOB, object()), **SEEN)).reason == "no reason given"


@pytest.mark.parametrize(
    ("error", "note", "reason"),
    [
        (ServerUnavailable(503), "HTTP 503", "the server could not answer just now (HTTP 503). Ask again later."),
        (RateLimited(), "HTTP 429", "the rate limit was reached (HTTP 429)."),
        (NotVisibleYet(), "HTTP 404", "the job is not visible yet (HTTP 404); pollwise asks again for a while."),
        (
            ConnectFailed("refused"),
            "ConnectFailed",
            "no reply from the server (refused). Check the base URL and the network.",
        ),
    ],
)
def test_a_retry_shows_its_error_and_its_delay(
    error: Any, note: str, reason: str, extractions: ExtractionEndpoint
) -> None:
    """The error of a failed poll is short on a live row, and in full on a plain line."""
    event: Any = Retrying(error=error, failures=1, delay_s=1.25, **SEEN)
    assert view_of(event).note == note
    assert event_line(extractions, event).endswith(f"retrying (2 polls, 3.0 s, again in 1.2 s): {reason}")


def test_throttled_and_abandoned(extractions: ExtractionEndpoint) -> None:
    """A throttled watch shows its delay. An abandoned one says that the job may still be running, if a poll has shown it."""
    assert "throttled (2 polls, 3.0 s): rate budget spent for 2.0 s" in event_line(
        extractions, Throttled(delay_s=2.0, **SEEN)
    )
    for phase, left in ((Phase.RUNNING, "the job may still be running"), (None, "no poll has shown the job")):
        abandoned: Any = Abandoned(error=DeadlineExceeded(JOB, 60.0), status=None, phase=phase, **SEEN)
        assert view_of(abandoned).note == "DeadlineExceeded"
        assert f"not over within 60 s; {left}. Watch it again" in event_line(extractions, abandoned)


def test_hostile_texts_are_safe_to_print(
    hostile: str, extractions: ExtractionEndpoint, extraction_status: Callable[..., Any]
) -> None:
    """Hostile keys, messages and reasons are printable text on one line."""
    job = ExtractionJob("[red]\u202eD", "ZX")
    status = extraction_status(message=hostile)
    for event in (
        Progressed(job=job, status=status, phase=Phase.RUNNING, fraction=None, eta_s=None, elapsed_s=0.0, polls=1),
        Failed(job=job, status=status, error=JobFailed(job, status, hostile), elapsed_s=0.0, polls=1),
        Retrying(job=job, error=ConnectFailed(hostile), failures=1, delay_s=1.0, elapsed_s=0.0, polls=1),
    ):
        shown = event_line(extractions, event)
        assert shown.isprintable()
        assert "[red]D / ZX" in shown
        assert "[bold]x[/]" in shown


def test_every_state_has_an_appearance() -> None:
    """Each state has a symbol of one character, and another one in ASCII."""
    for state in (*ENDED, "waiting", "queued", "running", "confirming", "retrying", "throttled"):
        assert appearance_of(state).ascii_symbol.isascii()
        assert len(appearance_of(state).symbol) == 1


def test_keys_have_the_order_of_the_endpoint(extractions: ExtractionEndpoint) -> None:
    """And not that of the attributes."""
    assert job_keys(extractions, JOB) == ("D1", "ZX-1")
