"""Errors as data: the class, the fields, the message and the cause come back; what is unknown gives an UnrestoredError."""

from __future__ import annotations

import pickle
import sqlite3
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kept_toy import KeptToyEndpoint, MemoryLedger, acknowledged, keeping
from pollwise import errors
from pollwise.core.pacing import Retry
from pollwise.durable import error_codec
from pollwise.durable.codec import conclusion_of, new_watch, outcome_of
from pollwise.durable.error_codec import ErrorCodec
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    JobCancelled,
    JobFailed,
    JobNotFound,
    PollError,
    PollTimeout,
    PollwiseError,
    Problem,
    RateLimited,
    RetriesExhausted,
    ServerUnavailable,
    UnknownOutcome,
    UnrestoredError,
    UnrestoredPollError,
    WatchError,
    WatchStopped,
)
from pollwise.ledger import Renewal, SqliteLedger
from pollwise.ledger.checksums import register
from pollwise.ledger.schema import MIGRATIONS
from pollwise.model.events import Abandoned
from pollwise.testing import reply
from toy import ToyJob, ToyStatus

JOB, STATUS = ToyJob("a"), ToyStatus("running", 3)
CODEC: ErrorCodec[ToyStatus] = ErrorCodec(JOB, STATUS, KeptToyEndpoint())
PROBLEM = Problem(("-96", "7"), ("No such job.",), "!key", True)

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
FLOATS = st.floats(allow_nan=False) | st.integers(0, 10**6)
PLAIN = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)
PROBLEMS = st.builds(
    Problem,
    codes=st.lists(TEXTS, max_size=3).map(tuple),
    descriptions=st.lists(TEXTS, max_size=3).map(tuple),
    key=st.none() | TEXTS,
    job_unknown=st.booleans(),
)
VALUES: dict[Any, st.SearchStrategy[Any]] = {
    Any: PLAIN,
    str: TEXTS,
    int | None: st.none() | st.integers(0, 10**9),
    int: st.integers(0, 2**63),
    bool: st.booleans(),
    float: FLOATS,
    str | None: st.none() | TEXTS,
    float | None: st.none() | FLOATS,
    Problem | None: st.none() | PROBLEMS,
    Mapping[str, Any]: st.dictionaries(TEXTS, PLAIN | st.lists(PLAIN, max_size=3), max_size=3),
}


def every_class() -> list[type[PollwiseError]]:
    named = [getattr(errors, name) for name in errors.__all__]
    return [kind for kind in named if isinstance(kind, type) and issubclass(kind, PollwiseError)]


@st.composite
def made(draw: st.DrawFn, kinds: list[type[PollwiseError]], depth: int = 2) -> PollwiseError:
    """An error of one of these classes with random fields and perhaps a cause."""
    kind = draw(st.sampled_from(kinds))
    if attrs.has(kind):
        error = kind(*[draw(value_of(field, depth)) for field in attrs.fields(kind)])
    else:
        error = kind(*draw(st.lists(PLAIN, max_size=2)))
    if depth and draw(st.booleans()):
        error.__cause__ = draw(made(every_class(), depth - 1))
    return error


def value_of(field: attrs.Attribute[Any], depth: int) -> st.SearchStrategy[Any]:
    if field.name == "job":
        return st.sampled_from([JOB, None, "another job"])
    if field.name == "status":
        return st.sampled_from([STATUS, None, ToyStatus("queued")])
    if field.type in (PollError, PollError | None):
        polls = made([kind for kind in every_class() if issubclass(kind, PollError)], max(0, depth - 1))
        return polls if field.type is PollError else st.none() | polls
    return VALUES[field.type]


def facts_of(error: BaseException | None) -> Any:
    """All that an error has, in values that compare."""
    if error is None:
        return None
    fields = [getattr(error, f.name) for f in attrs.fields(type(error))] if attrs.has(type(error)) else [*error.args]
    inner = [facts_of(value) if isinstance(value, BaseException) else (type(value), value) for value in fields]
    return type(error), str(error), inner, facts_of(error.__cause__)


def through(error: WatchError) -> WatchError:
    return CODEC.read_watch_error(CODEC.write(error), type(error).__name__, str(error))


@given(made([kind for kind in every_class() if issubclass(kind, WatchError)]))
def test_a_watch_error_comes_back(error: WatchError) -> None:
    """The same class, fields, message and cause; the same for the errors in its fields."""
    again = through(error)
    assert facts_of(again) == facts_of(error)
    assert facts_of(pickle.loads(pickle.dumps(again)))[:2] == facts_of(error)[:2]  # noqa: S301  # our own pickle


@pytest.mark.parametrize("kind", every_class(), ids=lambda kind: kind.__name__)
@given(st.data())
def test_each_class_comes_back(kind: type[PollwiseError], data: st.DataObject) -> None:
    """Also one that stands in no row by itself, as another error's cause."""
    error = WatchStopped(JOB)
    error.__cause__ = data.draw(made([kind]))
    assert facts_of(through(error)) == facts_of(error)


@given(st.none() | TEXTS, st.sampled_from([JobFailed, JobCancelled]))
def test_a_job_error_comes_back(reason: str | None, kind: Any) -> None:
    """With the row's job and status, and the vendor's reason unaltered."""
    error = kind(JOB, STATUS, reason)
    again = CODEC.read_job_error(kind, CODEC.write(error))
    assert facts_of(again) == facts_of(error)
    assert again.status is STATUS


def test_the_last_error_is_what_it_was() -> None:
    """Its class, the vendor's codes and its cause."""
    last = ServerUnavailable(503, 7.5, PROBLEM)
    last.__cause__ = ConnectFailed("broken")
    again = through(RetriesExhausted(JOB, 8, last, 600.0))
    assert isinstance(again, RetriesExhausted)
    assert isinstance(again.last_error, ServerUnavailable)
    assert (again.last_error.http_status, again.last_error.problem) == (503, PROBLEM)
    assert isinstance(again.last_error.__cause__, ConnectFailed)


def test_other_sentences_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was written with one sentence comes back when the class has another one."""
    data = CODEC.write(RetriesExhausted(JOB, 8, RateLimited(7.0, PROBLEM, 403), 600.0))
    for kind in (RetriesExhausted, RateLimited):
        monkeypatch.setattr(kind, "__str__", lambda _error: "something else")
    again = CODEC.read_watch_error(data, "RetriesExhausted", "whatever it was")
    assert isinstance(again, RetriesExhausted)
    assert isinstance(again.last_error, RateLimited)
    assert (again.failures, again.last_error.problem, again.last_error.http_status) == (8, PROBLEM, 403)


def test_the_rows_job_and_status_are_not_written_twice() -> None:
    """A pointer stands for each; another status is kept whole."""
    document = orjson.loads(CODEC.write(UnknownOutcome(JOB, STATUS, "status=6")))
    assert document == {
        "version": 1,
        "type": "UnknownOutcome",
        "fields": {"job": True, "status": True, "word": "status=6"},
    }
    other = orjson.loads(CODEC.write(UnknownOutcome(JOB, ToyStatus("queued"), "status=6")))
    assert other["fields"]["status"] == {"json": {"state": "queued", "done": 0}}


# --- what this version does not know ------------------------------------------------------------


def read(document: Any, kind: str = "JobNotFound", message: str = "what it said") -> WatchError:
    return CODEC.read_watch_error(orjson.dumps(document), kind, message)


def document_of(error: WatchError) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(CODEC.write(error))
    return document


def test_a_field_of_a_later_version() -> None:
    """The error is an UnrestoredError with the class name, the message and all fields."""
    document = document_of(JobNotFound(JOB, 404))
    document["fields"]["region"] = "eu"
    error = read(document)
    assert isinstance(error, UnrestoredError)
    assert (error.job, error.kind, error.message) == (JOB, "JobNotFound", "what it said")
    assert error.fields == {"http_status": 404, "problem": None, "region": "eu"}
    assert "what it said" in str(error)


def test_a_field_that_an_earlier_version_did_not_have() -> None:
    """It gets its default. Without a default the error is an UnrestoredError."""
    document = document_of(JobNotFound(JOB, 404))
    del document["fields"]["problem"]
    assert facts_of(read(document)) == facts_of(JobNotFound(JOB, 404))
    del document["fields"]["http_status"]
    error = read(document)
    assert isinstance(error, UnrestoredError)
    assert error.kind == "JobNotFound"


def test_a_class_that_this_version_does_not_have(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same, as the error of a watch and as the error of its last poll."""
    data = CODEC.write(RetriesExhausted(JOB, 8, RateLimited(7.0, PROBLEM, 403), 600.0))
    monkeypatch.setattr(error_codec, "_KINDS", {k: v for k, v in error_codec._KINDS.items() if k != "RateLimited"})
    error = CODEC.read_watch_error(data, "RetriesExhausted", "what it said")
    assert isinstance(error, RetriesExhausted)
    last = error.last_error
    assert isinstance(last, UnrestoredPollError)
    assert (last.kind, last.message) == ("RateLimited", str(RateLimited(7.0, PROBLEM, 403)))
    assert (last.fields["retry_after_s"], last.fields["http_status"]) == (7.0, 403)
    monkeypatch.setattr(error_codec, "_KINDS", {})
    error = CODEC.read_watch_error(data, "RetriesExhausted", "what it said")
    assert isinstance(error, UnrestoredError)
    assert (error.kind, error.message) == ("RetriesExhausted", "what it said")
    assert (error.fields["failures"], error.fields["last_error"]["type"]) == (8, "RateLimited")


def test_a_later_version_of_the_form() -> None:
    """It is not read as if it were this one."""
    error = read({**document_of(JobNotFound(JOB, 404)), "version": 2})
    assert isinstance(error, UnrestoredError)
    assert error.fields["http_status"] == 404


def test_a_callers_own_class() -> None:
    """Its name and its message are kept, and none of its fields; the name of one of ours does not make it ours."""

    @attrs.define
    class WatchStopped(WatchError):  # a caller may choose this name
        job: Any
        api_key: str

    data = CODEC.write(WatchStopped(JOB, "s3cr3t"))
    assert b"s3cr3t" not in data
    error = CODEC.read_watch_error(data, "WatchStopped", "the quota is spent")
    assert isinstance(error, UnrestoredError)
    assert (error.kind, error.message, error.fields) == ("WatchStopped", "the quota is spent", {})


def test_a_callers_own_poll_error() -> None:
    """The error of the watch keeps its class."""

    class Busy(PollError):
        pass

    again = through(DeadlineExceeded(JOB, 60.0, Busy("come back later")))
    assert isinstance(again, DeadlineExceeded)
    assert isinstance(again.last_error, UnrestoredPollError)
    assert (again.last_error.kind, again.last_error.message) == ("Busy", "come back later")
    assert "come back later" in str(again.last_error)


def test_another_packages_exception_is_kept_by_its_name() -> None:
    """Its message may hold a part of a reply, or a credential."""
    bug = EndpointBug(JOB, "KeyError", "see __cause__")
    bug.__cause__ = KeyError("s3cr3t")
    data = CODEC.write(bug)
    assert b"s3cr3t" not in data
    again = CODEC.read_watch_error(data, "EndpointBug", str(bug))
    assert facts_of(again)[:3] == facts_of(bug)[:3]
    cause = again.__cause__
    assert isinstance(cause, UnrestoredError)
    assert (cause.kind, cause.message) == ("KeyError", "")


# --- what is on disk is untrusted ----------------------------------------------------------------

WRONG: list[Mapping[str, Any]] = [
    {"http_status": "404"},
    {"http_status": 404.0},
    {"http_status": True},
    {"http_status": None},
    {"problem": []},
    {"problem": "x"},
    {"problem": {"codes": "-96"}},
    {"problem": {"codes": [1]}},
    {"problem": {"job_unknown": "false"}},
    {"problem": {"unknown": 1}},
    {"problem": {"key": {"$": 1}}},
    {"job": {"id": "a"}},
    {"job": 7},
]


@pytest.mark.parametrize("fields", WRONG, ids=str)
def test_a_value_of_another_type(fields: Mapping[str, Any]) -> None:
    """No conversion: the error is an UnrestoredError."""
    document = document_of(JobNotFound(JOB, 404))
    document["fields"].update(fields)
    error = read(document)
    assert isinstance(error, UnrestoredError)
    assert error.kind == "JobNotFound"


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff",
        b"null",
        b"[]",
        b"7",
        b"{}",
        b'{"type": []}',
        b'{"type": "JobNotFound"}',
        b'{"type": "JobNotFound", "fields": []}',
        b'{"type": "PollTimeout", "fields": {"seconds": 5.0}}',  # no error of a watch
        b'{"type": "Problem", "fields": {}}',
        b'{"type": "object", "fields": {}}',
        b'{"type": "WatchError", "fields": {"args": [[]]}}',
        b'{"type": "WatchError", "fields": {"args": "ab"}}',
        b'{"type": "WatchError", "fields": {}}',
        b'{"type": "RetriesExhausted", "fields": {"job": true, "failures": 8, "last_error": null}}',
        b'{"type": "UnknownOutcome", "fields": {"job": true, "status": {"json": {}}, "word": "x"}}',
        b'{"type": "UnknownOutcome", "fields": {"job": true, "status": 1, "word": "x"}}',
        b'{"fields": {"a": ' + b"[" * 500 + b"]" * 500 + b"}}",
        b"[" * 100_000,
        b'{"a":' * 2_000 + b"1" + b"}" * 2_000,
    ],
    ids=lambda data: data[:60].decode("ascii", "replace"),
)
def test_no_data_breaks_it(data: bytes) -> None:
    """The row's own columns still say what it was."""
    error = CODEC.read_watch_error(data, "SomeKind", "what it said")
    if b"RetriesExhausted" in data:
        assert isinstance(error, RetriesExhausted)
        assert isinstance(error.last_error, UnrestoredPollError)
        assert str(error)
        return
    assert isinstance(error, UnrestoredError)
    assert (error.kind, error.message) == ("SomeKind", "what it said")
    assert str(error)
    assert pickle.loads(pickle.dumps(error)).kind == "SomeKind"  # noqa: S301  # our own pickle
    assert CODEC.read_job_error(JobFailed, data).reason is None


JSON = st.recursive(
    PLAIN,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["job", "fields", "type"]), inner),
)


@given(
    st.sampled_from([kind.__name__ for kind in every_class()]),
    st.dictionaries(
        st.sampled_from(["job", "status", "problem", "last_error", "http_status", "seconds", "detail", "args"]), JSON
    ),
    JSON,
)
def test_no_document_breaks_it(kind: str, fields: Mapping[str, Any], cause: Any) -> None:
    """It gives an error of a watch that has a message and survives pickling."""
    error = read({"version": 1, "type": kind, "fields": fields, "cause": cause}, kind)
    assert isinstance(str(error), str)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # our own pickle


def test_errors_within_errors_are_bounded() -> None:
    """Writing and reading end, also where an error is its own cause."""
    error: PollwiseError = AuthenticationError("The token could not be renewed.")
    error.__cause__ = error
    again: BaseException = through(error)  # type: ignore[arg-type]
    depth = 0
    while (cause := again.__cause__) is not None:
        again, depth = cause, depth + 1
    assert depth == 8
    assert isinstance(again, UnrestoredError)
    document = {"type": "PollTimeout", "fields": {"seconds": 5.0}}
    for _ in range(15):
        document = {"type": "PollTimeout", "fields": {"seconds": 5.0}, "cause": document}
    found = read({"type": "DeadlineExceeded", "fields": {"job": True, "timeout_s": 1.0, "last_error": document}})
    assert isinstance(found, DeadlineExceeded)
    assert isinstance(found.last_error, PollTimeout)


@pytest.mark.parametrize(
    "detail", ["\ud800", 10**30, float("nan"), object(), ["a", {1: b"x"}]], ids=lambda detail: type(detail).__name__
)
def test_a_field_that_json_does_not_have(detail: Any) -> None:
    """It is written all the same, and what comes back says what the error was."""
    again = through(JobNotFound(JOB, detail))
    assert isinstance(again, UnrestoredError)
    assert again.kind == "JobNotFound"
    words = through(AuthenticationError(detail))
    assert isinstance(words, UnrestoredError if isinstance(detail, list) else AuthenticationError)
    assert str(words)


# --- through a watcher and a ledger ---------------------------------------------------------------


@pytest.mark.looptime
async def test_the_next_run_gets_the_error_of_the_last_poll() -> None:
    """Its class, its status code and the vendor's codes, which stood in no message one by one."""
    ledger = MemoryLedger()
    retry = Retry(outage_s=1e-9, min_failures=3)
    refusal = reply({"code": 1}, status=503)
    async with keeping(ledger, [refusal], retry=retry) as (watcher, _):
        with pytest.raises(RetriesExhausted) as before:
            await watcher.watch(ToyJob())
    async with keeping(ledger, [refusal], retry=retry) as (watcher, _):
        (delivery,) = await acknowledged(watcher)
    error = getattr(delivery.outcome, "error", None)
    assert isinstance(error, RetriesExhausted)
    assert isinstance(error.last_error, ServerUnavailable)
    assert error.last_error.problem == Problem(("TOY-1",), ("no luck",))
    assert facts_of(error) == facts_of(before.value)


async def test_the_data_is_in_the_file(tmp_path: Path) -> None:
    """As JSON beside the message, until the watch is opened again."""
    path = tmp_path / "jobs.ledger"
    error = DeadlineExceeded(JOB, 60.0, PollTimeout(5.0))
    outcome = Abandoned(job=JOB, error=error, status=None, phase=None, elapsed_s=60.0, polls=9)
    endpoint = KeptToyEndpoint()
    async with SqliteLedger(path) as ledger:
        (found,) = await ledger.record([new_watch(endpoint, JOB, first_seen_s=1.0, timeout_s=60.0)])
        await ledger.conclude([conclusion_of(found.id, outcome, endpoint)])
        (known,) = [one async for page in ledger.unacknowledged("toy") for one in page]
        again = outcome_of(known, JOB, endpoint)
        assert isinstance(again, Abandoned)
        assert facts_of(again.error) == facts_of(error)
        with closing(sqlite3.connect(path)) as db:
            (data,) = db.execute("SELECT error_data FROM watches").fetchone()
            assert orjson.loads(data)["fields"]["last_error"]["fields"] == {"seconds": 5.0}
            await ledger.reopen([Renewal(id=found.id, generation=0, deadline=None)])
            assert db.execute("SELECT error_data FROM watches").fetchone() == (None,)


async def test_data_that_is_no_json_is_refused(tmp_path: Path) -> None:
    """As a status is. What was put into the file by hand gives an UnrestoredError, and no crash."""
    path, endpoint = tmp_path / "jobs.ledger", KeptToyEndpoint()
    outcome = Abandoned(job=JOB, error=WatchStopped(JOB), status=None, phase=None, elapsed_s=60.0, polls=9)
    async with SqliteLedger(path) as ledger:
        (found,) = await ledger.record([new_watch(endpoint, JOB, first_seen_s=1.0, timeout_s=60.0)])
        conclusion = conclusion_of(found.id, outcome, endpoint)
        with pytest.raises(ConfigurationError, match="error_data is not one JSON document"):
            await ledger.conclude([attrs.evolve(conclusion, error_data=b"{")])
        await ledger.conclude([conclusion])
        for value in ("x'ff'", "x'7b'", "x'37'", "x''"):
            with closing(sqlite3.connect(path, isolation_level=None)) as db:
                register(db)
                db.execute(f"UPDATE watches SET error_data = {value}")  # noqa: S608  # the point of it
                db.execute(MIGRATIONS[3][-1])  # its checksums are right
            (known,) = [one async for page in ledger.unacknowledged("toy") for one in page]
            again = outcome_of(known, JOB, endpoint)
            assert isinstance(again, Abandoned)
            assert isinstance(again.error, UnrestoredError)
            assert (again.error.kind, again.error.message) == ("WatchStopped", str(WatchStopped(JOB)))
