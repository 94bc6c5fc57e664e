"""Errors of an earlier run: of the class that they were, saying what they said, or an `UnrestoredError`."""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise import errors
from pollwise.durable.error_codec import recalled_cancellation, recalled_error, recalled_failure
from pollwise.endpoints.oracle_content import ExtractionJob
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    PollTimeout,
    Problem,
    RateLimited,
    RequestRejected,
    RetriesExhausted,
    ServerUnavailable,
    UnknownOutcome,
    UnrestoredError,
    WatchError,
    WatchStopped,
)
from toy import ToyJob

JOBS = [ToyJob("a"), ExtractionJob("D1 (HTTP 500)", "ZX: gave up after 3 polls"), "job\nof two lines"]
PROBLEM = Problem(("-96", "7"), ("No such job.", "Really"), "!key")


def every_watch_error(job: Any) -> list[WatchError]:
    return [
        DeadlineExceeded(job, 3600.0),
        DeadlineExceeded(job, 1e-9, PollTimeout(30.0)),
        DeadlineExceeded(job, None, RateLimited(7.0, PROBLEM)),
        RetriesExhausted(job, 8, ServerUnavailable(503, None, PROBLEM)),
        RetriesExhausted(job, 8, ServerUnavailable(503, None, PROBLEM), 600.0),
        RetriesExhausted(job, 1, ConnectFailed("the server closed the connection instead of replying")),
        JobNotFound(job, 404),
        JobNotFound(job, 400, PROBLEM),
        RequestRejected(job, 302),
        RequestRejected(job, 400, Problem()),
        RequestRejected(job, 422, PROBLEM),
        AuthenticationError(f"{job}: the credentials were refused (HTTP 401)."),
        AuthenticationError("The token could not be renewed.", PROBLEM),
        PermissionDenied(job, 403, PROBLEM),
        EndpointBug(job, "KeyError", "see __cause__"),
        UnknownOutcome(job, None, "status=6"),
        CallbackFailed(job, "dice", "ValueError", "no dice"),
        WatchStopped(job),
        InsecureUrl("http://example.com"),
    ]


@pytest.mark.parametrize("job", JOBS, ids=str)
def test_an_error_comes_back_as_what_it_was(job: Any) -> None:
    """Of its class, with its words, and fit to be pickled."""
    for error in every_watch_error(job):
        again = recalled_error(type(error).__name__, str(error), job)
        if type(again) is UnrestoredError and job is not JOBS[0]:
            continue  # an identifier that looks like our own words may keep it from being read
        assert type(again) is type(error)
        assert str(again) == str(error)
        assert str(pickle.loads(pickle.dumps(again))) == str(error)  # noqa: S301  # our own pickle


def test_its_data_comes_back_where_it_was_said() -> None:
    """Time-outs, counts, status codes and the vendor's words."""
    job = ToyJob("a")
    late = recalled_error("DeadlineExceeded", str(DeadlineExceeded(job, 3600.0, PollTimeout(5.0))), job)
    assert isinstance(late, DeadlineExceeded)
    assert (late.timeout_s, str(late.last_error)) == (3600.0, str(PollTimeout(5.0)))
    tired = recalled_error("RetriesExhausted", str(RetriesExhausted(job, 8, PollTimeout(5.0))), job)
    assert isinstance(tired, RetriesExhausted)
    assert (tired.failures, str(tired.last_error)) == (8, str(PollTimeout(5.0)))
    gone = recalled_error("JobNotFound", str(JobNotFound(job, 400, PROBLEM)), job)
    assert isinstance(gone, JobNotFound)
    assert (gone.job, gone.http_status, str(gone.problem)) == (job, 400, str(PROBLEM))


def test_every_watch_error_that_is_written_down_can_come_back() -> None:
    """A new one needs a line in the table, or a reason here not to have one."""
    kinds = {
        kind
        for name in errors.__all__
        if isinstance(kind := getattr(errors, name), type) and issubclass(kind, WatchError) and attrs.has(kind)
    }
    never_written = {errors.WatcherClosed, errors.LedgerWriteFailed, errors.UnrestoredError, errors.OriginChanged}
    assert kinds - never_written == {type(error) for error in every_watch_error("job")}


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("SomebodysOwnError", "the quota is used up"),
        ("JobNotFound", "not the words of this version"),
        ("JobNotFound", ""),
        ("DeadlineExceeded", "x was not over within ages s; it may. Watch it again, or allow more time."),
        ("LedgerWriteFailed", "never written"),
        ("object", "no error at all"),
    ],
)
def test_what_is_not_understood_is_kept_as_it_is(kind: str, message: str) -> None:
    """Nothing is guessed, and nothing is lost."""
    again = recalled_error(kind, message, ToyJob("a"))
    assert isinstance(again, UnrestoredError)
    assert (again.kind, again.message, again.job) == (kind, message, ToyJob("a"))
    assert message in str(again)


@given(st.sampled_from([type(error).__name__ for error in every_watch_error("a")]), st.text())
def test_no_message_breaks_it(kind: str, message: str) -> None:
    """It comes back as it was, or as an UnrestoredError."""
    again = recalled_error(kind, message, "a")
    assert str(again) == message or isinstance(again, UnrestoredError)


@given(
    st.none() | st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]), min_size=1)
)
def test_the_vendors_reason_comes_back(reason: str | None) -> None:
    """Of a failure and of a cancellation."""
    job, status = ToyJob("a"), object()
    failed = recalled_failure(str(JobFailed(job, status, reason)), job, status)
    assert (failed.job, failed.status, failed.reason) == (job, status, reason)
    gone = recalled_cancellation(str(JobCancelled(job, status, reason)), job, status)
    assert (gone.job, gone.status, gone.reason) == (job, status, reason)


@pytest.mark.parametrize("message", [None, "", "other words", "ToyJob(id='a') failed"])
def test_a_reason_that_cannot_be_read_is_none(message: str | None) -> None:
    """The status still says all that the vendor said."""
    assert recalled_failure(message, ToyJob("a"), None).reason is None


def test_a_hostile_reason_comes_back_as_it_was_shown() -> None:
    """Escape codes stay shown, not obeyed."""
    error = JobFailed(ToyJob("a"), None, "no\x1b[2Jroom")
    again = recalled_failure(str(error), ToyJob("a"), None)
    assert str(again) == str(error)
