"""Errors of rows of schema versions 1 and 2: the class and the fields that the frozen sentences have.

The sentences here are literals, because those in `pollwise.errors` may change. tests/ledger/test_ledger_versions.py reads
whole files that those versions wrote.
"""

from __future__ import annotations

import pickle
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.durable.legacy_errors import legacy_job_error, legacy_watch_error
from pollwise.endpoints.oracle_content import ExtractionJob
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PermissionDenied,
    PollError,
    Problem,
    RequestRejected,
    RetriesExhausted,
    UnknownOutcome,
    UnrestoredError,
    WatchError,
    WatchStopped,
)
from toy import ToyJob

JOBS = [ToyJob("a"), ExtractionJob("D1 (HTTP 500)", "ZX: gave up after 3 polls"), "job\nof two lines", ""]
SAID = "No such job.; Really; !key; code -96, 7"
PROBLEM = Problem(descriptions=(SAID,))
SLOW = "no whole reply within 30 s. Raise request_timeout_s if the server is only slow."
LATE = "it may still be running. Watch it again, or allow more time with timeout_s."
TIRED = "failed; the job may still be running. Watch it again, or allow longer outages with Retry(outage_s=...)."
FROZEN: list[tuple[str, type[WatchError], tuple[Any, ...]]] = [
    (f"{{job}} was not over within 3600 s; {LATE}", DeadlineExceeded, (3600.0, None, None, False)),
    (
        f"{{job}} was not over within 1e-09 s; {LATE} The last poll said: {SLOW}",
        DeadlineExceeded,
        (1e-9, SLOW, None, False),
    ),
    (
        f"{{job}} was not over within its deadline; {LATE} The last poll said: {SLOW}",
        DeadlineExceeded,
        (None, SLOW, None, False),
    ),
    (f"{{job}}: all of the last 8 polls {TIRED} The last poll said: {SLOW}", RetriesExhausted, (8, SLOW, None, False)),
    (
        f"{{job}}: all of the last 8 polls within 600 s {TIRED} The last poll said: x",
        RetriesExhausted,
        (8, "x", 600.0, False),
    ),
    (
        "{job}: gave up after 8 polls in a row that taught nothing; it may still be running. The last one said: x",
        RetriesExhausted,
        (8, "x", None, False),
    ),
    (
        "{job} is not known to the server (HTTP 404). Check its IDs, and that these credentials started it.",
        JobNotFound,
        (404, None),
    ),
    (
        (
            "{job} is not known to the server (HTTP 400). Check its IDs, and that these credentials started it."
            f" The server said: {SAID}."
        ),
        JobNotFound,
        (400, PROBLEM),
    ),
    (
        (
            "{job}: the server answered with a redirect (HTTP 302), which is not followed because it could carry the"
            " credentials elsewhere. Use the final base URL."
        ),
        RequestRejected,
        (302, None),
    ),
    (
        (
            "{job}: the server rejected the request (HTTP 400). Check the IDs and the base URL. The server said: no"
            " details given."
        ),
        RequestRejected,
        (400, Problem(descriptions=("no details given",))),
    ),
    (
        "{job}: the server rejected the request (HTTP 422). Check the IDs and the base URL.",
        RequestRejected,
        (422, None),
    ),
    (
        f"{{job}}: permission denied (HTTP 403). Give these credentials the right to read it. The server said: {SAID}.",
        PermissionDenied,
        (403, PROBLEM),
    ),
    (
        "{job}: the endpoint's code raised KeyError: see __cause__. This is a bug in the endpoint.",
        EndpointBug,
        ("KeyError", "see __cause__"),
    ),
    (
        (
            "{job} is over, but this version does not know how it ended: the server said status=6. Look at .status, and at"
            " the vendor's documentation for that value."
        ),
        UnknownOutcome,
        (None, "status=6"),
    ),
    (
        (
            "{job}: the function that was passed as dice raised ValueError: no dice. Correct that function, then watch the"
            " job again."
        ),
        CallbackFailed,
        ("dice", "ValueError", "no dice"),
    ),
    ("{job}: the watch was stopped; the job may still be running. Watch it again to go on.", WatchStopped, ()),
]
WITHOUT_JOB: list[tuple[str, WatchError]] = [
    (
        f"The token could not be renewed. Check that the credentials are right and not expired. The server said: {SAID}.",
        AuthenticationError("The token could not be renewed.", PROBLEM),
    ),
    (
        "http://example.com is plain http to a host that is not this machine. Use https, or pass"
        " allow_plain_http=True if you accept that " + "any" + "body on the way can read the credentials.",
        InsecureUrl("http://example.com"),
    ),
]
KINDS = sorted({kind.__name__ for _, kind, _ in FROZEN} | {"AuthenticationError", "InsecureUrl"})


def fields_of(error: WatchError) -> list[Any]:
    return [getattr(error, field.name) for field in attrs.fields(type(error))]


@pytest.mark.parametrize("job", JOBS, ids=str)
@pytest.mark.parametrize(("sentence", "kind", "fields"), FROZEN)
def test_an_error_comes_back_as_what_it_was(
    job: Any, sentence: str, kind: type[WatchError], fields: tuple[Any, ...]
) -> None:
    """Of its class, with the fields that its sentence has, and fit to be pickled; also for an odd job."""
    error = legacy_watch_error(kind.__name__, sentence.replace("{job}", str(job)), job)
    assert type(error) is kind
    found = [str(value) if type(value) is PollError else value for value in fields_of(error)]
    assert found == [job, *fields]
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # our own pickle


@pytest.mark.parametrize(("sentence", "expected"), WITHOUT_JOB)
def test_an_error_without_a_job_comes_back(sentence: str, expected: WatchError) -> None:
    """The same for sentences that do not begin with the job."""
    error = legacy_watch_error(type(expected).__name__, sentence, ToyJob("a"))
    assert type(error) is type(expected)
    assert fields_of(error) == fields_of(expected)


@pytest.mark.parametrize(("sentence", "kind", "fields"), FROZEN)
def test_a_job_may_be_written_otherwise_today(sentence: str, kind: type[WatchError], fields: tuple[Any, ...]) -> None:
    """The text of a job is no part of the frozen sentence."""
    error = legacy_watch_error(kind.__name__, sentence.replace("{job}", "Toy(a)"), ToyJob("a"))
    assert type(error) is kind
    assert len(fields_of(error)) == len(fields) + 1


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("QuotaSpent", "the quota is used up"),
        ("JobNotFound", "not the words of those versions"),
        ("JobNotFound", ""),
        ("DeadlineExceeded", "x was not over within ages s; it may. Watch it again, or allow more time."),
        ("DeadlineExceeded", f"x was not over within ages s; {LATE}"),
        ("DeadlineExceeded", f"x was not over within 3600.0 s; {LATE}"),
        ("RetriesExhausted", f"x: all of the last {'9' * 5000} polls {TIRED} The last poll said: x"),
        ("RequestRejected", "x: the server rejected the request (HTTP 302). Check the IDs and the base URL."),
        ("LedgerWriteFailed", "never written"),
        ("object", "no error at all"),
    ],
)
def test_what_is_not_understood_is_kept_as_it_is(kind: str, message: str) -> None:
    """Nothing is guessed, and nothing is lost."""
    again = legacy_watch_error(kind, message, ToyJob("a"))
    assert isinstance(again, UnrestoredError)
    assert (again.kind, again.message, again.job) == (kind, message, ToyJob("a"))
    assert message in str(again)


@given(st.sampled_from(KINDS), st.text())
def test_no_message_breaks_it(kind: str, message: str) -> None:
    """It comes back as its class, or as an UnrestoredError."""
    again = legacy_watch_error(kind, message, "a")
    assert type(again).__name__ == kind or isinstance(again, UnrestoredError)
    assert isinstance(str(again), str)


WORDS = st.text(st.characters(exclude_categories=["Cc", "Cs", "Cf", "Co", "Cn", "Zl", "Zp", "Zs"]), min_size=1)


@given(st.none() | WORDS)
def test_the_vendors_reason_comes_back(reason: str | None) -> None:
    """Of a failure and of a cancellation."""
    job, status, said = ToyJob("a"), object(), "" if reason is None else f": {reason}"
    failed = legacy_job_error(
        JobFailed, f"{job} failed{said}. See .status for all that the server reported.", job, status
    )
    assert (failed.job, failed.status, failed.reason) == (job, status, reason)
    gone = legacy_job_error(
        JobCancelled, f"{job} was cancelled{said}. Start it again if it is still wanted.", job, status
    )
    assert (gone.job, gone.status, gone.reason) == (job, status, reason)


@pytest.mark.parametrize("message", [None, "", "other words", "ToyJob(id='a') failed"])
def test_a_reason_that_cannot_be_read_is_none(message: str | None) -> None:
    """The status still says all that the vendor said."""
    assert legacy_job_error(JobFailed, message, ToyJob("a"), None).reason is None


def test_a_hostile_reason_comes_back_as_it_was_shown() -> None:
    """Escape codes stay shown, not obeyed."""
    shown = "no\\x1b[2Jroom"
    sentence = f"ToyJob(id='a') failed: {shown}. See .status for all that the server reported."
    assert legacy_job_error(JobFailed, sentence, ToyJob("a"), None).reason == shown
