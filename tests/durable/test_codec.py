"""What goes into a ledger comes out of it as it was, or is left there."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from typing import Any

import attrs
import orjson
import pytest

from kept_toy import KeptToyEndpoint
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.durable.codec import (
    change_of,
    check_codec,
    conclusion_of,
    deadline_of,
    job_of,
    new_watch,
    outcome_of,
    resume_state_of,
    unreadable_outcome,
    unwritable_outcome,
    utc_datetime,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import (
    ConfigurationError,
    DeadlineExceeded,
    EndpointBug,
    JobCancelled,
    JobFailed,
    ServerUnavailable,
    UnrestoredError,
)
from pollwise.ledger import Concluded, OpenWatch, OutcomeKind
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Succeeded
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Phase, Reading
from pollwise.testing import reply
from toy import ToyEndpoint, ToyJob, ToyStatus

ENDPOINT = KeptToyEndpoint()
JOB = ToyJob("a")
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
STATUS = ToyStatus("running", 3)
ROW = {
    "id": 7,
    "endpoint": "toy",
    "keys": {"id": "a"},
    "first_seen": NOON,
    "deadline": NOON + timedelta(hours=1),
    "phase": Phase.RUNNING,
    "polls": 5,
    "failures": 2,
    "status": b'{"state":"running","done":3}',
}
END = {
    "outcome": OutcomeKind.ABANDONED,
    "elapsed_s": 9.5,
    "error_type": None,
    "error_message": None,
    "acknowledged": False,
}


def open_row(**other: Any) -> OpenWatch:
    return OpenWatch(**{**ROW, **other})


def end_row(**other: Any) -> Concluded:
    return Concluded(**{**ROW, **END, **other})


def through(outcome: Outcome[Any, Any], endpoint: Endpoint[Any, Any], job: Any) -> Outcome[Any, Any]:
    """The outcome written down and read back."""
    end = attrs.asdict(conclusion_of(7, outcome, endpoint, failures=2, seen_s=7.0), recurse=False)
    row = end_row(**{**end, "keys": endpoint.codec.job_to_keys(job), "endpoint": endpoint.name})
    found = job_of(row, endpoint)
    assert found == job
    return outcome_of(row, found, endpoint)


FAILED = ToyStatus("failed", 1)
ENDED: dict[str, Any] = {"elapsed_s": 9.5, "polls": 5, "detected_within_s": 2.5}
OUTCOMES: list[Outcome[ToyJob, ToyStatus]] = [
    Succeeded(job=JOB, status=ToyStatus("succeeded", 10), **ENDED),
    Failed(job=JOB, status=FAILED, error=JobFailed(JOB, FAILED, "no disk"), **ENDED),
    Cancelled(job=JOB, status=FAILED, error=JobCancelled(JOB, FAILED), **ENDED),
    Abandoned(job=JOB, error=DeadlineExceeded(JOB, 60.0), status=STATUS, phase=Phase.RUNNING, elapsed_s=60.0, polls=9),
    Abandoned(job=JOB, error=DeadlineExceeded(JOB, 60.0), status=None, phase=None, elapsed_s=60.0, polls=9),
]


@pytest.mark.parametrize("outcome", OUTCOMES, ids=lambda outcome: type(outcome).__name__)
def test_an_outcome_comes_back_as_it_was(outcome: Outcome[ToyJob, ToyStatus]) -> None:
    """Kind, job, typed status, counts, times, and the error by its class and its words."""
    again = through(outcome, ENDPOINT, JOB)
    assert type(again) is type(outcome)
    assert repr(again) == repr(outcome)


def test_the_vendors_outcomes_come_back() -> None:
    """Typed as before, with nothing thrown away."""
    extraction = ExtractionEndpoint("https://a.example")
    document = {
        "progress": "SUCCEEDED",
        "completed": "true",
        "completedPercentage": "100",
        "filesSkipped": "1",
        "skippedItems": [{"id": "a/b", "type": "file", "error": "exists"}],
    }
    status: Any = extraction.read(reply(document)).status
    job: Any = ExtractionJob("D1", "ZX-1")
    outcome: Any = Succeeded(job=job, status=status, **ENDED)
    assert through(outcome, extraction, job) == outcome
    deletion = DeleteFileEndpoint("https://a.example")
    document360 = {
        "task_status": {"task_id": "t", "is_complete": True, "status": 4},
        "extension_data": {"any": [1, None]},
        "success": True,
        "errors": None,
        "warnings": None,
        "information": None,
    }
    status, job = deletion.read(reply(document360)).status, DeleteFileJob("t")
    failed: Any = Failed(job=job, status=status, error=JobFailed(job, status, "why"), **ENDED)
    assert repr(through(failed, deletion, job)) == repr(failed)


def test_how_far_a_watch_got() -> None:
    """Phase, counts and status, as they are in its machine."""
    rules = Policy(pacing=Pacing(), retry=Retry(), timeout_s=60.0)
    machine: WatchMachine[ToyJob, ToyStatus] = WatchMachine(JOB, rules, now=0.0)
    fresh = change_of(7, machine, ENDPOINT)
    assert (fresh.phase, fresh.polls, fresh.failures, fresh.status, fresh.seen_s) == (None, 0, 0, None, None)
    machine.asked(0.0)
    machine.on_reading(Reading(status=STATUS, phase=Phase.RUNNING), now=1.0, dice=0.0)
    machine.asked(0.0)
    machine.on_error(ServerUnavailable(503), now=2.0, dice=0.5)
    change = change_of(7, machine, ENDPOINT)
    assert (change.id, change.phase, change.polls, change.failures) == (7, Phase.RUNNING, 2, 1)
    assert change.status is not None
    assert change.seen_s == 1.0
    past = resume_state_of(
        open_row(status=change.status, seen_s=change.seen_s), ENDPOINT, (NOON + timedelta(minutes=10)).timestamp()
    )
    assert (past.status, past.phase, past.polls, past.failures) == (STATUS, Phase.RUNNING, 5, 2)
    assert (past.age_s, past.left_s, past.seen_s) == (600, 3000, 1.0)


def test_a_row_without_a_status_has_no_phase() -> None:
    """A reading has both or there was none."""
    past = resume_state_of(open_row(status=None), ENDPOINT, NOON.timestamp())
    assert (past.status, past.phase) == (None, None)


@pytest.mark.parametrize("status", [b'{"other":1}', b"null", b"not JSON"])
def test_a_status_that_cannot_be_read_is_as_good_as_never_seen(status: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """It is asked for again; the log names the watch, and nothing of the status."""
    past = resume_state_of(open_row(status=status), ENDPOINT, NOON.timestamp())
    assert (past.status, past.phase, past.polls) == (None, None, 5)
    assert "watch 7" in caplog.text
    assert "other" not in caplog.text
    gone = outcome_of(end_row(status=status, error_type="X", error_message="why"), JOB, ENDPOINT)
    assert isinstance(gone, Abandoned)
    assert gone.status is None
    assert isinstance(gone.error, UnrestoredError)


@pytest.mark.parametrize("kind", [OutcomeKind.SUCCEEDED, OutcomeKind.FAILED, OutcomeKind.CANCELLED])
@pytest.mark.parametrize("status", [b'{"other":1}', None])
def test_an_end_that_cannot_be_read_is_not_made_up(kind: OutcomeKind, status: bytes | None) -> None:
    """No success without the status that says so."""
    row = end_row(outcome=kind, status=status)
    with pytest.raises((KeyError, ValueError)) as caught:
        outcome_of(row, JOB, ENDPOINT)
    replaced = unreadable_outcome(row, JOB, caught.value)
    assert isinstance(replaced.error, EndpointBug)
    assert (replaced.polls, replaced.elapsed_s) == (5, 9.5)


def test_a_row_of_another_kind_of_job_is_left(caplog: pytest.LogCaptureFixture) -> None:
    """And said to be there."""
    with caplog.at_level(logging.ERROR):
        assert job_of(open_row(keys={"file": "b"}), ENDPOINT) is None
    assert "watch 7" in caplog.text


def test_what_an_endpoint_cannot_write_raises() -> None:
    """The outcome in its place says that this is a bug of the endpoint."""
    outcome = Succeeded(job=JOB, status=ToyStatus("unreadable"), elapsed_s=1.0, polls=1)
    with pytest.raises(KeyError) as caught:
        conclusion_of(7, outcome, ENDPOINT)
    replaced = unwritable_outcome(outcome, caught.value)
    assert isinstance(replaced.error, EndpointBug)
    assert conclusion_of(7, replaced, ENDPOINT).status is None


def test_an_endpoint_must_be_able_to_read_what_it_writes() -> None:
    """An endpoint without a codec is refused."""
    check_codec(ENDPOINT)
    check_codec(ExtractionEndpoint("https://a.example"))
    with pytest.raises(ConfigurationError, match="has no codec"):
        check_codec(ToyEndpoint())


def test_a_new_row() -> None:
    """Its times are aware, and a deadline beyond every calendar is none."""
    row = new_watch(ENDPOINT, JOB, first_seen_s=NOON.timestamp(), timeout_s=60.0)
    assert (row.endpoint, row.keys, row.first_seen) == ("toy", {"id": "a"}, NOON)
    assert row.deadline == NOON + timedelta(minutes=1)
    assert utc_datetime(NOON.timestamp()) == NOON
    assert deadline_of(NOON, None) is None
    assert deadline_of(NOON, 1e300) is None


def test_a_status_is_one_json_document() -> None:
    """With the vendor's field names, as `--json` shows them."""
    conclusion = conclusion_of(7, OUTCOMES[0], ENDPOINT)
    assert conclusion.status is not None
    assert orjson.loads(conclusion.status) == {"state": "succeeded", "done": 10}
