"""The sentences about errors: in the command's words, for every class of error."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import attrs
import pytest

from pollwise import errors
from pollwise.cli.error_text import call_error_text, error_text, job_text
from pollwise.cli.safe_text import safe
from pollwise.cli.stored_error import StoredError
from pollwise.durable.error_codec import ErrorCodec
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionJob
from pollwise.errors import PollwiseError
from pollwise.http.auth import ApiKeyAuth

JOB = DeleteFileJob("t-1")
VALUES: dict[str, Any] = {
    "job": JOB,
    "last_error": errors.PollTimeout(30.0),
    "problem": errors.Problem(codes=("7",), descriptions=("Not today.",)),
    "http_status": 404,
    "failures": 3,
    "watches": 2,
    "found": 9,
    "supported": 3,
    "path": "jobs.ledger",
    "recorded": "https://a.example",
    "configured": "https://b.example",
    "origin": "http://a.example",
    "asked": True,
    "read_only": False,
    "repeatable": True,
    "not_started": False,
    "most_bytes": 1_000,
}
PYTHON = re.compile(
    r"\w_s\b|\(\w+=|\w+=\(|Retry\(|=True|=False|DeleteFileJob|ExtractionJob|async with|`resume|resume_token|base_url"
    r"|\.status\b|Watch\.|None\b|moved_from|not_found_grace|token_url|__cause__"
)
"""Texts that are only useful in a Python program."""


@attrs.frozen
class Build:
    """A job of another package's endpoint."""

    repo: str
    number: int


def every_error() -> Iterator[PollwiseError]:
    """Two errors of each class: one with all fields, and one without the optional ones."""
    kinds = [PollwiseError]
    while kinds:
        kind = kinds.pop()
        kinds += sorted(kind.__subclasses__(), key=lambda kind: kind.__name__)
        if not kind.__module__.startswith("pollwise.") or not attrs.has(kind):
            continue
        fields = attrs.fields(kind)
        usual = {
            field.name: VALUES.get(
                field.name, 12.0 if field.name.endswith("_s") or field.name == "seconds" else "words"
            )
            for field in fields
        }
        yield kind(**usual)
        yield kind(**{field.name: usual[field.name] for field in fields if field.default is attrs.NOTHING})


def stored_error(error: Any, outcome: str) -> StoredError:
    """The error as the current schema version stores it."""
    return StoredError(
        endpoint="document360",
        keys={"task_id": JOB.task_id},
        outcome=outcome,
        kind=type(error).__name__,
        message=str(error),
        data=ErrorCodec(
            JOB, getattr(error, "status", None), DeleteFileEndpoint("https://a.example", auth=ApiKeyAuth("unused"))
        ).write(error),
    )


@pytest.mark.parametrize("error", list(every_error()), ids=lambda error: type(error).__name__)
def test_no_sentence_speaks_of_python(error: PollwiseError) -> None:
    """A sentence names options and the job, but no parameters, no attributes and no `repr` of a class."""
    text = error_text(error)
    assert text
    assert PYTHON.search(text) is None
    assert repr(JOB) not in text


@pytest.mark.parametrize(
    "error",
    [
        error
        for error in every_error()
        if isinstance(error, errors.WatchError)
        and not isinstance(error, errors.ConfigurationError | errors.UnrestoredError)  # no run writes one
    ],
    ids=lambda e: type(e).__name__,
)
def test_no_reason_out_of_a_ledger_speaks_of_python(error: errors.WatchError) -> None:
    """A ledger keeps the message of the Python API. The report and the summary show the command's sentence instead."""
    stored = stored_error(error, "abandoned")
    assert stored.text() == error_text(error)
    assert PYTHON.search(stored.text()) is None
    assert PYTHON.search(stored.reason()) is None


@pytest.mark.parametrize(("kind", "outcome"), [(errors.JobFailed, "failed"), (errors.JobCancelled, "cancelled")])
@pytest.mark.parametrize("reason", ["disk full", None])
@pytest.mark.parametrize("version", [2, 3])
def test_the_end_of_a_job_reads_the_same_out_of_every_schema_version(
    kind: Any, outcome: str, reason: str | None, version: int
) -> None:
    """A row of an earlier version has only the message; its error is restored from that."""
    error = kind(JOB, None, reason)
    stored = stored_error(error, outcome)
    if version == 2:
        stored = attrs.evolve(stored, data=None)
    assert stored.text() == error_text(error)
    assert stored.reason() == (safe(reason) if reason else "no reason given")


@pytest.mark.parametrize(
    "change",
    [
        {"data": b'{"version":99}'},
        {"data": None},
        {"keys": {"old": "key"}},
        {"outcome": "failed"},
        {"outcome": "failed", "kind": "JobFailed", "data": None},
    ],
)
def test_a_message_is_shown_as_it_is_where_the_error_cannot_be_restored(change: dict[str, Any]) -> None:
    """A later version's error, another program's job, or a row changed by hand: no message is lost."""
    stored = attrs.evolve(stored_error(errors.WatchStopped(JOB), "abandoned"), message="what it was", **change)
    assert stored.text() == "what it was"
    assert stored.reason() == "what it was"


@pytest.mark.parametrize("keys", [{"id": "7"}, {"task_id": "t-1"}])
def test_the_error_of_any_endpoint_is_restored(keys: dict[str, str]) -> None:
    """A ledger with the jobs of a declared endpoint is shown in the command's words, without the declaration."""
    stored = attrs.evolve(stored_error(errors.WatchStopped(JOB), "abandoned"), endpoint="exports", keys=keys)
    assert stored.text() == error_text(errors.WatchStopped(JOB))


def test_the_error_of_a_single_request_speaks_of_it() -> None:
    """A result, a cancel request or a start has no poll, and the job of a result runs no more."""
    late = errors.DeadlineExceeded(JOB, 60.0, errors.PollTimeout(30.0))
    said = "there was no answer within 60 s. Allow more time with --timeout. The last try failed: no whole reply within 30 s."
    assert call_error_text(late) == said
    assert call_error_text(errors.DeadlineExceeded(JOB, None)).startswith("there was no answer within the time limit.")
    tried = errors.RetriesExhausted(JOB, 5, errors.PollTimeout(30.0), 600.0)
    assert call_error_text(tried).startswith("all of the last 5 tries within 600 s failed. Run the command again.")
    once = errors.RetriesExhausted(JOB, 1, errors.PollTimeout(30.0), 600.0)
    assert call_error_text(once).startswith("the last try within 600 s failed. Run the command again.")
    assert error_text(once).startswith("the last poll within 600 s failed;")
    assert call_error_text(errors.JobNotFound(JOB, 410)) == "the server does not know it (HTTP 410)."
    doubt = errors.SubmitDoubtful("order-1", "raise request_timeout_s")
    doubt.__cause__ = errors.PollTimeout(30.0)
    assert "may have been started. No whole reply within 30 s. Look on the server" in call_error_text(doubt)
    assert call_error_text(errors.WatchStopped(JOB)) == error_text(errors.WatchStopped(JOB))


def test_every_class_is_walked() -> None:
    """The walk finds all errors that have attributes, those of the ledger included."""
    found = {type(error).__name__ for error in every_error()}
    assert found >= {
        "DeadlineExceeded",
        "RetriesExhausted",
        "LedgerInUse",
        "PollTimeout",
        "OriginChanged",
        "TokenError",
    }
    assert len(found) >= 35


def test_a_bug_of_an_endpoint_may_come_before_any_reply() -> None:
    """So its sentence says nothing of one, and nothing of Python beside the words of the exception."""
    sentence = "the endpoint's code failed (KeyError{}). This is a bug of the endpoint."
    for detail, words in [
        ("submit_request raised it", ": submit_request raised it"),
        ("the cursor cannot be kept, see __cause__", ": the cursor cannot be kept"),
        ("see __cause__", ""),
    ]:
        assert error_text(errors.EndpointBug(JOB, "KeyError", detail)) == sentence.format(words)


def test_a_job_is_named_as_in_a_jobs_file() -> None:
    """Its endpoint, then its keys with their values; safe to print."""
    assert job_text(JOB) == "document360 task_id=t-1"
    assert job_text(ExtractionJob("F", "ZX-1")) == "oracle-content file_id=F job_id=ZX-1"
    assert job_text(Build("r", 7)) == "repo=r number=7"
    assert job_text("another\x1b[31m") == "another[31m"


def test_the_advice_is_an_option() -> None:
    """The advice names the option of the command, not the argument of the Python API."""
    assert "--timeout" in error_text(errors.DeadlineExceeded(JOB, 60.0))
    assert "--allow-plain-http" in error_text(errors.InsecureUrl("http://a.example"))
    moved = error_text(errors.OriginChanged(JOB, "https://a.example", "https://b.example"))
    assert moved.startswith("document360 task_id=t-1 was asked about at https://a.example")
    assert "--moved-from https://a.example" in moved


@pytest.mark.parametrize("status", [304, 400, 418])
def test_a_rejection_is_no_redirect(status: int) -> None:
    """Neither sentence calls a 304 a redirect, also if a ledger has it from an earlier version."""
    error = errors.RequestRejected(JOB, status)
    assert "redirect" not in error_text(error) + str(error)
    assert "redirect" in error_text(errors.RequestRejected(JOB, 307))
    assert "redirect" in str(errors.RequestRejected(JOB, 307))


def test_an_unknown_class_keeps_its_message() -> None:
    """An error of a class without a row in the table keeps its own message."""
    assert error_text(errors.ConnectFailed("refused")) == str(errors.ConnectFailed("refused"))
    assert error_text(ValueError("five")) == "five"


def test_a_url_without_a_host_is_said_to_have_none() -> None:
    """Such as `file:///etc/passwd`."""
    text = error_text(errors.UnsafeUrl("", "it is no absolute http or https URL"))
    assert text == "the server named a URL at no host, which was not asked: it is no absolute http or https URL."
