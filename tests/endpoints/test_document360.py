"""Document360's delete-file task: every phase rule, every documented reply, and whatever else may come."""

from __future__ import annotations

import pickle
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise import MalformedReply, Phase, Problem, Reading, Reply
from pollwise.endpoints.document360 import (
    DeleteFileEndpoint,
    DeleteFileJob,
    DeleteFileStatus,
    ErrorItem,
    InformationItem,
    TaskState,
    TaskStatus,
    WarningItem,
)

ENDPOINT = DeleteFileEndpoint("https://api.example.com")
JSON_TYPE = {"Content-Type": "application/json; charset=utf-8"}

SCALARS = st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text()
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=8)
TEXT = st.none() | st.text()

STATUSES = st.builds(
    DeleteFileStatus,
    task_status=st.builds(
        TaskStatus,
        is_complete=st.booleans(),
        status=st.sampled_from(TaskState) | st.integers(6, 2**31 - 1),
        task_id=TEXT,
    ),
    success=st.booleans(),
    extension_data=JSON,
    errors=st.lists(
        st.builds(
            ErrorItem,
            extension_data=JSON,
            stack_trace=TEXT,
            description=TEXT,
            error_code=TEXT,
            custom_data=st.none() | st.dictionaries(st.text(), JSON, max_size=3),
        ),
        max_size=3,
    ).map(tuple),
    warnings=st.lists(st.builds(WarningItem, extension_data=JSON, description=TEXT, warning_code=TEXT), max_size=2).map(
        tuple
    ),
    information=st.lists(st.builds(InformationItem, extension_data=JSON, description=TEXT), max_size=2).map(tuple),
)


def reply(body: object, status: int = 200) -> Reply:
    return Reply(status, JSON_TYPE, body if isinstance(body, bytes) else orjson.dumps(body))


def reading_or_reason(body: bytes) -> Reading[DeleteFileStatus] | str:
    try:
        return ENDPOINT.read(reply(body))
    except MalformedReply as exc:
        return exc.reason


def pickled(value: object) -> object:
    return pickle.loads(pickle.dumps(value))  # noqa: S301 - our own bytes


@pytest.fixture
def complete(samples: Path) -> bytes:
    return (samples / "document360" / "complete.json").read_bytes()


def envelope(*, complete: object = True, status: object = 3, **more: object) -> dict[str, Any]:
    return {"task_status": {"is_complete": complete, "status": status}, "success": True, **more}


def test_the_documented_completion_is_a_success_although_it_says_in_progress(complete: bytes) -> None:
    """`is_complete` with status 2 has succeeded: the vendor's own example."""
    reading = ENDPOINT.read(reply(complete))
    assert (reading.phase, reading.final, reading.unconfirmed) == (Phase.SUCCEEDED, True, False)
    assert reading.status == DeleteFileStatus(
        task_status=TaskStatus(is_complete=True, status=TaskState.IN_PROGRESS, task_id="65868a00c536f34594713fec"),
        success=True,
    )
    assert reading.fraction is None
    assert reading.reason is None


def test_the_documented_400_is_a_problem_without_details(samples: Path) -> None:
    """The envelope of a refusal is recognised even when it holds no error."""
    body = (samples / "document360" / "bad_request.json").read_bytes()
    assert ENDPOINT.problem(reply(body, 400)) == Problem()


@pytest.mark.parametrize(
    ("complete", "status", "phase", "unconfirmed"),
    [
        (False, 0, Phase.QUEUED, False),
        (False, 1, Phase.RUNNING, False),
        (False, 2, Phase.RUNNING, False),
        (False, 3, Phase.RUNNING, False),
        (False, 4, Phase.FAILED, True),
        (False, 5, Phase.CANCELLED, True),
        (False, 9, Phase.RUNNING, False),
        (True, 0, Phase.SUCCEEDED, False),
        (True, 1, Phase.SUCCEEDED, False),
        (True, 2, Phase.SUCCEEDED, False),
        (True, 3, Phase.SUCCEEDED, False),
        (True, 4, Phase.FAILED, False),
        (True, 5, Phase.CANCELLED, False),
        (True, 9, Phase.SUCCEEDED, False),
    ],
)
def test_only_is_complete_ends_a_watch(complete: bool, status: int, phase: Phase, unconfirmed: bool) -> None:
    """The phase of every status, complete and not; 4 and 5 before completion want confirming."""
    reading = ENDPOINT.read(reply(envelope(complete=complete, status=status)))
    assert (reading.phase, reading.final, reading.unconfirmed) == (phase, complete, unconfirmed)


@pytest.mark.parametrize("more", [{"success": False}, {"errors": [{}]}, {"success": False, "errors": [{}]}])
def test_a_completion_with_errors_or_without_success_failed(more: dict[str, Any]) -> None:
    """`success` false or a non-empty `errors` makes a completion a failure."""
    assert ENDPOINT.read(reply(envelope(**more))).phase is Phase.FAILED
    assert ENDPOINT.read(reply(envelope(complete=False, **more))).phase is Phase.RUNNING


def test_a_cancellation_stays_one_even_with_errors() -> None:
    """Status 5 is cancelled, whatever else is said."""
    reading = ENDPOINT.read(reply(envelope(status=5, success=False, errors=[{"description": "stopped"}])))
    assert (reading.phase, reading.reason) == (Phase.CANCELLED, "stopped")


def test_the_reason_is_the_vendors_words() -> None:
    """A failure carries every error's description and code."""
    errors = [
        {"description": "file is locked", "error_code": "E-1"},
        {"description": None, "error_code": "E-2"},
        {"description": "try again"},
    ]
    reading = ENDPOINT.read(reply(envelope(status=4, errors=errors)))
    assert reading.reason == "file is locked; try again; code E-1, E-2"
    assert ENDPOINT.read(reply(envelope(status=4))).reason is None
    assert ENDPOINT.read(reply(envelope(complete=False, status=2, errors=errors))).reason is None


def test_an_unknown_status_is_kept_and_told() -> None:
    """A number that is not documented stays that number."""
    reading = ENDPOINT.read(reply(envelope(complete=False, status=42)))
    assert reading.status.task_status.status == 42
    assert reading.unknown == "status=42"
    assert ENDPOINT.read(reply(envelope(status=4))).unknown is None


def test_every_documented_field_is_kept() -> None:
    """Nothing that the vendor says is thrown away, and nothing else is taken in."""
    body = {
        "task_status": {"task_id": None, "is_complete": False, "status": 1, "new": 1},
        "extension_data": {"a": [1, None, {"b": 2.5}]},
        "success": True,
        "errors": [
            {
                "extension_data": 7,
                "stack_trace": "at x",
                "description": "d",
                "error_code": "c",
                "custom_data": {"property1": None},
            }
        ],
        "warnings": [{"extension_data": None, "description": "w", "warning_code": "wc"}],
        "information": [{"extension_data": "e", "description": "i"}],
        "unheard_of": {"x": 1},
    }
    status = ENDPOINT.read(reply(body)).status
    assert status == DeleteFileStatus(
        task_status=TaskStatus(is_complete=False, status=TaskState.INITIATED),
        success=True,
        extension_data={"a": [1, None, {"b": 2.5}]},
        errors=(
            ErrorItem(
                extension_data=7,
                stack_trace="at x",
                description="d",
                error_code="c",
                custom_data={"property1": None},
            ),
        ),
        warnings=(WarningItem(description="w", warning_code="wc"),),
        information=(InformationItem(extension_data="e", description="i"),),
    )


def test_documented_nulls_are_accepted() -> None:
    """Lists that are null are empty, and what may be null is None."""
    body = envelope(errors=None, warnings=None, information=None, extension_data=None)
    status = ENDPOINT.read(reply(body)).status
    assert (status.errors, status.warnings, status.information, status.extension_data) == ((), (), (), None)


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ({"success": True}, "field task_status: missing"),
        ({"task_status": None, "success": True}, "field task_status: expected an object, got null"),
        ({"task_status": {"status": 3}, "success": True}, "field task_status.is_complete: missing"),
        ({"task_status": {"is_complete": True}, "success": True}, "field task_status.status: missing"),
        ({"task_status": {"is_complete": True, "status": 3}}, "field success: missing"),
        (envelope(complete="true"), "field task_status.is_complete: expected true or false, got 'true'"),
        (envelope(complete=1), "field task_status.is_complete: expected true or false, got 1"),
        (envelope(status="3"), "field task_status.status: expected an integer, got '3'"),
        (envelope(status=3.0), "field task_status.status: expected an integer, got 3.0"),
        (envelope(status=True), "field task_status.status: expected an integer, got true"),
        (envelope(status=None), "field task_status.status: expected an integer, got null"),
        (envelope(success=None), "field success: expected true or false, got null"),
        (envelope(errors={}), "field errors: expected a list or null, got an object"),
        (envelope(errors="none"), "field errors: expected a list or null, got 'none'"),
        (envelope(errors=[{}, "x"]), "field errors[1]: expected an object, got 'x'"),
        (envelope(errors=[{"description": 5}]), "field errors[0].description: expected text or null, got 5"),
        (envelope(errors=[{"custom_data": []}]), "field errors[0].custom_data: expected an object or null, got a list"),
        (envelope(warnings=[{"warning_code": "x" * 99, "description": []}]), "field warnings[0].description: "),
        (envelope(status="x" * 99), "field task_status.status: expected an integer, got text of 99 characters"),
        ([], "expected an object, got a list"),
        (None, "expected an object, got null"),
        (b"", "broken JSON, "),
        (b"{", "broken JSON, "),
        (b'{"success": NaN}', "broken JSON, "),
        (b'{"success": "\xff"}', "broken JSON, "),
        (b"\xef\xbb\xbf{}", "broken JSON, "),
    ],
)
def test_what_is_not_documented_is_malformed_and_says_where(body: object, why: str) -> None:
    """The first fault is told with the path to its field."""
    with pytest.raises(MalformedReply) as caught:
        ENDPOINT.read(reply(body))
    assert caught.value.reason.startswith(why)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize("kind", [None, "text/html", "text/json", "application/xml", ""])
def test_only_json_is_read(complete: bytes, kind: str | None) -> None:
    """A proxy's page is never parsed, whatever is in it."""
    headers = {} if kind is None else {"Content-Type": kind}
    with pytest.raises(MalformedReply, match="expected JSON"):
        ENDPOINT.read(Reply(200, headers, complete))


def test_opaque_data_is_not_nested_without_bounds() -> None:
    """What could not be compared or encoded again is malformed."""
    deep: list[Any] = []
    for _ in range(63):
        deep = [deep]
    assert ENDPOINT.read(reply(envelope(extension_data=deep))).status.extension_data == deep
    with pytest.raises(MalformedReply, match="field extension_data: nested more than 64 deep"):
        ENDPOINT.read(reply(envelope(extension_data=[deep])))


def test_the_errors_of_a_refusal_are_its_problem() -> None:
    """Codes and descriptions, in their order, of the errors that have them."""
    body = {
        "success": False,
        "errors": [{"error_code": "A", "description": None}, None, 5, {"description": "d"}, {"error_code": 7}],
    }
    assert ENDPOINT.problem(reply(body, 400)) == Problem(codes=("A", "7"), descriptions=("d",))


def test_a_problem_is_short() -> None:
    """At most 20 entries of at most 500 characters."""
    body = {"success": False, "errors": [{"error_code": "c" * 900, "description": "d" * 900}] * 30}
    problem = ENDPOINT.problem(reply(body, 500))
    assert problem == Problem(codes=("c" * 500,) * 20, descriptions=("d" * 500,) * 20)


@given(st.binary() | JSON.map(orjson.dumps), st.integers(300, 599))
def test_a_problem_is_found_in_anything_without_raising(body: bytes, status: int) -> None:
    """Whatever the body is, `problem` answers."""
    assert isinstance(ENDPOINT.problem(Reply(status, {}, body)), Problem | None)


@given(st.dictionaries(st.sampled_from(["success", "errors", "task_status"]), JSON))
def test_a_problem_is_found_in_any_envelope_without_raising(body: dict[str, Any]) -> None:
    """Wherever garbage stands in the envelope, `problem` answers."""
    found = ENDPOINT.problem(reply(body, 400))
    assert (found is not None) == ("success" in body or "errors" in body)


MAYBE = st.fixed_dictionaries(
    {},
    optional={
        "task_status": JSON
        | st.fixed_dictionaries(
            {}, optional={"is_complete": JSON | st.booleans(), "status": JSON | st.integers(0, 6), "task_id": JSON}
        ),
        "success": JSON | st.booleans(),
        "extension_data": JSON,
        "errors": JSON | st.lists(st.dictionaries(st.sampled_from(["description", "error_code", "custom_data"]), JSON)),
        "warnings": JSON,
        "information": JSON,
    },
)


@given(st.binary() | JSON.map(orjson.dumps) | MAYBE.map(orjson.dumps))
def test_garbage_is_malformed_or_a_sound_reading(body: bytes) -> None:
    """Nothing but MalformedReply ever comes out, and a reading is terminal exactly when it says so."""
    reading = reading_or_reason(body)
    if isinstance(reading, str):
        assert len(reading) < 200
        assert reading.isascii()
        return
    assert (reading.phase in {Phase.SUCCEEDED, Phase.FAILED, Phase.CANCELLED}) == (reading.final or reading.unconfirmed)
    assert reading.final == reading.status.task_status.is_complete


@given(STATUSES)
def test_a_status_comes_back_from_json_equal(status: DeleteFileStatus) -> None:
    """The ledger's round trip loses nothing, unknown numbers included."""
    text = orjson.dumps(ENDPOINT.status_to_json(status))
    again = ENDPOINT.status_from_json(orjson.loads(text))
    assert again == status
    assert type(again.task_status.status) is type(status.task_status.status)
    assert ENDPOINT.read(reply(text)).status == status


def test_json_has_the_vendors_names_and_real_types(complete: bytes) -> None:
    """What is kept is what the vendor sent."""
    body = orjson.loads(complete)
    assert ENDPOINT.status_to_json(ENDPOINT.read(reply(body)).status) == body


@pytest.mark.parametrize("data", [None, 5, "x", [], {}, {"task_status": {}, "success": True}])
def test_data_that_is_no_status_is_refused(data: object) -> None:
    """A ledger's garbage is a ValueError."""
    with pytest.raises(ValueError, match="this is no DeleteFileStatus: "):
        ENDPOINT.status_from_json(data)


@given(STATUSES)
def test_values_survive_pickling(status: DeleteFileStatus) -> None:
    """A status can cross a process."""
    assert pickled(status) == status


def test_a_job_is_a_small_value() -> None:
    """Hashable, equal by its ID, frozen, positional, and pickled."""
    job = DeleteFileJob("65868a00c536f34594713fec")
    assert {job: 1}[DeleteFileJob("65868a00c536f34594713fec")] == 1
    assert pickled(job) == job
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        job.task_id = "x"  # type: ignore[misc]  # that is what must fail


def test_the_request_is_the_documented_one() -> None:
    """A GET without credentials, below the base URL's path."""
    endpoint = DeleteFileEndpoint("https://api.example.com:8443/gateway/")
    request = endpoint.request(DeleteFileJob("65868a00c536f34594713fec"))
    assert str(request.url) == (
        "https://api.example.com:8443/gateway/v2/Drive/Folders/DeleteFile/Status/65868a00c536f34594713fec"
    )
    assert (request.method, request.body) == ("GET", None)
    assert dict(request.headers) == {}  # the transport asks for JSON


def test_what_the_endpoint_says_of_itself() -> None:
    """Its name, the documented allowance, no credentials of its own, and a repr that shows where it asks."""
    assert ENDPOINT.name == "document360"
    assert ENDPOINT.allowance == (60, 60.0)
    assert ENDPOINT.auth is None
    assert repr(ENDPOINT) == "DeleteFileEndpoint('https://api.example.com')"


def test_keys_make_the_job_again() -> None:
    """A job is kept by its keys, and only exactly its keys make one."""
    job = DeleteFileJob("a b")
    assert ENDPOINT.job_to_keys(job) == {"task_id": "a b"}
    assert ENDPOINT.job_from_keys({"task_id": "a b"}) == job
    for keys in ({}, {"task_id": ""}, {"task_id": 5}, {"task_id": "x", "y": "z"}, {"y": "z"}, None, "task_id"):
        with pytest.raises(ValueError, match="task_id"):
            ENDPOINT.job_from_keys(keys)  # type: ignore[arg-type]  # as from a hostile token
