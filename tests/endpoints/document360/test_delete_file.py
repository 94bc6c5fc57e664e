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

from pollwise import Phase, Reading, Reply
from pollwise.endpoints import RateLimit
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
from pollwise.errors import MalformedReply, Problem

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
        status=st.none() | st.sampled_from(TaskState) | st.integers(6, 2**31 - 1) | st.just("Paused"),
        task_id=TEXT | st.integers(0, 2**63),
    ),
    success=st.none() | st.booleans(),
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
        (True, 9, Phase.RUNNING, False),
    ],
)
def test_only_is_complete_ends_a_watch(complete: bool, status: int, phase: Phase, unconfirmed: bool) -> None:
    """The phase of every status, complete and not; 4 and 5 before completion want confirming, 9 is no success."""
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
        ({"task_status": "3", "success": True}, "field task_status: expected an object, got '3'"),
        ({"task_status": {"status": 3}, "success": True}, "field task_status.is_complete: missing"),
        (envelope(complete=None), "field task_status.is_complete: expected true or false, got null"),
        (envelope(complete=1), "field task_status.is_complete: expected true or false, got 1"),
        (envelope(complete="True"), "field task_status.is_complete: expected true or false, got 'True'"),
        (envelope(complete=""), "field task_status.is_complete: expected true or false, got ''"),
        (envelope(complete="x" * 99), "field task_status.is_complete: expected true or false, got text of 99 charac"),
        (envelope(complete=[True]), "field task_status.is_complete: expected true or false, got a list"),
        ([], "expected an object, got a list"),
        (None, "expected an object, got null"),
        (b"", "expected JSON, got an empty body"),
        (b"{", "broken JSON, "),
        (b"{'success': true}", "broken JSON, "),
    ],
)
def test_a_reply_without_what_decides_is_malformed_and_says_where(body: object, why: str) -> None:
    """Only `is_complete` decides. The error has the path to it, and drags nothing along."""
    with pytest.raises(MalformedReply) as caught:
        ENDPOINT.read(reply(body))
    assert caught.value.reason.startswith(why)
    assert caught.value.__cause__ is None
    assert caught.value.__context__ is None


@pytest.mark.parametrize(("value", "final"), [("true", True), ("false", False)])
def test_is_complete_may_be_the_text_of_a_boolean(value: str, final: bool) -> None:
    """Gateways re-encode; exactly these two texts are taken."""
    assert ENDPOINT.read(reply(envelope(complete=value))).final is final


@pytest.mark.parametrize(
    ("value", "state"),
    [
        ("3", TaskState.COMPLETED),
        (" 3 ", TaskState.COMPLETED),
        (2.0, TaskState.IN_PROGRESS),
        ("2.0", TaskState.IN_PROGRESS),
        ("Completed", TaskState.COMPLETED),
        ("in progress", TaskState.IN_PROGRESS),
        ("IN_PROGRESS", TaskState.IN_PROGRESS),
        ("InProgress", TaskState.IN_PROGRESS),
        ("error", TaskState.ERROR),
        ("Canceled", TaskState.CANCELLED),
        ("5", TaskState.CANCELLED),
        (6, 6),
        ("6", 6),
        (-1, -1),
        (1e30, "1e+30"),
        ("Failed", "Failed"),
        (2.5, "2.5"),
        (True, "true"),
        ([], "a list"),
        ({"status": 3}, "an object"),
        (None, None),
        ("", None),
        ("  ", None),
    ],
)
def test_a_status_is_understood_in_every_form_and_else_kept(value: object, state: object) -> None:
    """A number, a text or a name. What is unknown stays what it is; an empty text is none."""
    status = ENDPOINT.read(reply(envelope(status=value))).status
    assert status.task_status.status == state
    assert isinstance(status.task_status.status, TaskState) == isinstance(state, TaskState)


@pytest.mark.parametrize("complete", [True, "true"])
@pytest.mark.parametrize(
    ("status", "word"), [(6, "6"), (-1, "-1"), (99, "99"), ("Failed", "Failed"), (True, "true"), ([], "a list")]
)
def test_an_undocumented_status_at_the_end_is_no_success(complete: object, status: object, word: str) -> None:
    """The end is of unknown kind: final, RUNNING, with the vendor's own word."""
    reading = ENDPOINT.read(reply(envelope(complete=complete, status=status)))
    assert (reading.phase, reading.final, reading.unknown) == (Phase.RUNNING, True, f"status={word}")
    failed = ENDPOINT.read(reply(envelope(complete=complete, status=status, errors=[{"description": "no"}])))
    assert (failed.phase, failed.final, failed.reason) == (Phase.FAILED, True, "no")


@pytest.mark.parametrize(
    ("status", "success", "phase", "strange"),
    [
        (None, True, Phase.SUCCEEDED, None),
        (None, None, Phase.RUNNING, "status=null"),
        (None, False, Phase.FAILED, None),
        (3, None, Phase.SUCCEEDED, None),
        (2, None, Phase.SUCCEEDED, None),
        (6, None, Phase.RUNNING, "status=6"),
    ],
)
@pytest.mark.parametrize("sent", [True, False])
def test_a_missing_field_is_no_undocumented_value(
    sent: bool, status: int | None, success: bool | None, phase: Phase, strange: str | None
) -> None:
    """`is_complete` ends the watch; one of the other two must speak for a success. Null and absent are alike."""
    task: dict[str, Any] = {"is_complete": True, "status": status}
    body: dict[str, Any] = {"task_status": task, "success": success}
    if not sent:
        body = {key: value for key, value in body.items() if value is not None}
        body["task_status"] = {key: value for key, value in task.items() if value is not None}
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final, reading.unknown) == (phase, True, strange)
    running = ENDPOINT.read(reply({**body, "task_status": {**body["task_status"], "is_complete": False}}))
    assert (running.phase, running.final) == (Phase.RUNNING, False)


@pytest.mark.parametrize(
    ("value", "success", "phase"),
    [
        ("true", True, Phase.SUCCEEDED),
        ("False", False, Phase.FAILED),
        (0, False, Phase.FAILED),
        ("maybe", None, Phase.SUCCEEDED),
        ([], None, Phase.SUCCEEDED),
    ],
)
def test_success_is_understood_in_every_form(value: object, success: bool | None, phase: Phase) -> None:
    """Unreadable it says nothing, and the documented status 3 does."""
    reading = ENDPOINT.read(reply(envelope(success=value)))
    assert (reading.status.success, reading.phase) == (success, phase)


@pytest.mark.parametrize(
    ("errors", "found"),
    [
        ("disk full", (ErrorItem(description="disk full"),)),
        ({"description": "disk full"}, (ErrorItem(description="disk full"),)),
        (["disk full"], (ErrorItem(description="disk full"),)),
        ([None], (ErrorItem(),)),
        ([7], (ErrorItem(),)),
        ({"name": ["too long"]}, (ErrorItem(),)),
        (1, (ErrorItem(),)),
        (True, (ErrorItem(),)),
        ([{"error_code": 500, "description": 7}], (ErrorItem(error_code="500", description="7"),)),
        ([{"errorCode": "E", "Description": "d"}], (ErrorItem(error_code="E", description="d"),)),
        ([{"custom_data": [1]}], (ErrorItem(),)),
        ([{"stack_trace": ["a", None, "b"]}], (ErrorItem(stack_trace="a\nb"),)),
        ([{"description": {"en": "no"}}, {"description": "d"}], (ErrorItem(), ErrorItem(description="d"))),
        ("", ()),
        (" ", ()),
        ({}, ()),
        (0, ()),
        (False, ()),
    ],
)
def test_an_error_that_is_odd_is_still_an_error(errors: object, found: tuple[ErrorItem, ...]) -> None:
    """It fails the task by its presence, and what can be read of it is kept."""
    reading = ENDPOINT.read(reply(envelope(errors=errors)))
    assert reading.status.errors == found
    assert reading.phase is (Phase.FAILED if found else Phase.SUCCEEDED)


@pytest.mark.parametrize(
    "more",
    [
        {"warnings": [{"warning_code": 7, "description": ["a"]}]},
        {"warnings": "w", "information": ["done"]},
        {"warnings": None, "information": {}},
        {"information": 5, "extension_data": {"a": [1]}},
    ],
)
def test_what_informs_never_hides_the_end(more: dict[str, Any]) -> None:
    """Odd warnings and pieces of information are kept as far as possible."""
    reading = ENDPOINT.read(reply(envelope(**more)))
    assert (reading.phase, reading.final) == (Phase.SUCCEEDED, True)
    if "done" in str(more):
        assert reading.status.warnings == (WarningItem(description="w"),)
        assert reading.status.information == (InformationItem(description="done"),)


@pytest.mark.parametrize("case", ["camel", "pascal"])
def test_names_may_be_in_another_case_convention(case: str) -> None:
    """A serializer's convention is no other document; the documented spelling wins."""

    def spelt(name: str) -> str:
        first, *others = name.split("_")
        return (first.capitalize() if case == "pascal" else first) + "".join(map(str.capitalize, others))

    task = {spelt("task_id"): "t", spelt("is_complete"): True, spelt("status"): 4}
    body = {spelt("task_status"): task, spelt("success"): False, spelt("errors"): [{spelt("error_code"): "E"}]}
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final, reading.reason) == (Phase.FAILED, True, "code E")
    assert ENDPOINT.read(reply({**envelope(), spelt("_success"): False})).phase is Phase.SUCCEEDED
    mixed = {"task_status": {"is_complete": True, "status": 2}, "SUCCESS": False}
    assert ENDPOINT.read(reply(mixed)).phase is Phase.FAILED
    mixed = {"task_status": {"is_complete": True, "status": 2}, "success": True, "ERRORS": ["no"]}
    assert ENDPOINT.read(reply(mixed)).phase is Phase.FAILED
    both = {"is_complete": False, spelt("is_complete"): True, "status": 1}
    assert not ENDPOINT.read(reply({"task_status": both, "success": True})).final


@pytest.mark.parametrize("depth", [65, 300, 2_000, 50_000])
def test_opaque_data_never_hides_the_end(depth: int) -> None:
    """Data nested so deeply that it could not be compared or encoded again is None; the task is over all the same."""
    deep = b"[" * depth + b"]" * depth
    body = orjson.dumps(envelope(extension_data="deep", status=2)).replace(b'"deep"', deep)
    reading = ENDPOINT.read(reply(body))
    assert (reading.phase, reading.final, reading.status.extension_data) == (Phase.SUCCEEDED, True, None)


def test_opaque_data_is_kept_as_sent() -> None:
    """As deep as 64."""
    deep: list[Any] = []
    for _ in range(63):
        deep = [deep]
    assert ENDPOINT.read(reply(envelope(extension_data=deep))).status.extension_data == deep


def test_what_is_odd_is_logged_once_for_each_field(caplog: pytest.LogCaptureFixture) -> None:
    """Each endpoint says it once, short and escaped, however often it comes."""
    endpoint, other = (DeleteFileEndpoint("https://api.example.com") for _ in range(2))
    long = "\x1b[2J" + "s3cr3t" * 30
    for value in ("3", "2", long):
        endpoint.read(reply(envelope(status=value, errors=[{"error_code": 5}, {"error_code": 6}])))
    assert [record.getMessage() for record in caplog.records] == [
        f"document360: field {why}. The reply is still used. This is logged once for each field."
        for why in (
            "task_status.status is not as documented: expected an integer, got '3'",
            "errors[].error_code is not as documented: expected text or null, got 5",
        )
    ]
    caplog.clear()
    other.read(reply(envelope(status=long)))
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "s3cr3t" not in caplog.text
    assert caplog.text.isascii()


def test_nothing_is_logged_of_what_is_missing_or_null(caplog: pytest.LogCaptureFixture) -> None:
    """It may be documented so, and says nothing wrong."""
    ENDPOINT.read(reply({"task_status": {"is_complete": True, "status": None}, "success": True, "errors": None}))
    assert not caplog.records


@pytest.mark.parametrize("kind", [None, "text/html", "text/json", "text/plain", "application/octet-stream", ""])
def test_json_is_read_whatever_its_content_type(complete: bytes, kind: str | None) -> None:
    """With and without a byte order mark."""
    headers = {} if kind is None else {"Content-Type": kind}
    for body in (complete, b"\xef\xbb\xbf" + complete):
        assert ENDPOINT.read(Reply(200, headers, body)).phase is Phase.SUCCEEDED
        assert ENDPOINT.problem(Reply(400, headers, body)) == Problem()


def test_a_page_is_called_a_page() -> None:
    """A proxy's page is malformed, and the error says what it is."""
    with pytest.raises(MalformedReply, match="expected JSON, got text/html") as caught:
        ENDPOINT.read(Reply(200, {"Content-Type": "text/html; charset=utf-8"}, b"<html>Sign in</html>"))
    assert caught.value.__context__ is None


def test_a_refusal_inside_a_good_reply_is_told_in_the_vendors_words() -> None:
    """HTTP 200 without a task: the error has the codes and the descriptions, short and escaped."""
    errors = [
        {"error_code": "TASK_NOT_FOUND", "description": "no such task \x1b[2J"},
        "gone",
        {"description": "x" * 999},
    ]
    for key in ("errors", "Errors"):
        with pytest.raises(MalformedReply) as caught:
            ENDPOINT.read(reply({"task_status": None, "success": False, key: errors}))
        reason = caught.value.reason
        assert reason.startswith("field task_status: expected an object, got null; the server said: no such task")
        assert "gone" in reason
        assert len(reason) < 400
        assert "\x1b" not in reason
    with pytest.raises(MalformedReply, match=r"the server said: boom; code 7"):
        ENDPOINT.read(reply({"success": False, "errors": [{"error_code": 7, "description": "boom"}]}))


@pytest.mark.parametrize(
    ("asked", "received"),
    [
        *(("t-1", "other"), ("t-1", "t-10"), ("t-1", "65868"), ("65868", 65869), ("65868", "65869"), ("t-1", "T-2")),
        *(("t-1", "0"), ("t-1", "t1"), ("t-1", "{t-1}"), ("a-1", "a1"), ("0" * 23, "0" * 22)),
        ("65868a00c536f34594713fec", "65868a00c536f34594713fed"),
        ("65868a00-c536-f345-9471-3fec00000000", "65868a00c536f34594713fec00000001"),
    ],
)
def test_a_reply_about_another_task_is_not_believed(asked: str, received: object) -> None:
    """It is malformed, also while the other task is running; the error says which task it is about."""
    for complete in (True, False):
        body = envelope(complete=complete)
        body["task_status"]["task_id"] = received
        with pytest.raises(MalformedReply, match=r"field task_status\.task_id: the reply is about another task, "):
            ENDPOINT.read_for(DeleteFileJob(asked), reply(body))
        assert ENDPOINT.read(reply(body)).final is complete


@pytest.mark.parametrize(
    ("asked", "received"),
    [
        ("t-1", "t-1"),
        ("t-1", "T-1"),
        ("t-1", " t-1 "),
        ("t-1", None),
        ("t-1", ""),
        ("t-1", []),
        ("65868", 65868),
        ("t-1", 65868),
        ("t-1", 1e30),
        ("t-1", "000000000000000000000000"),
        ("t-1", "00000000-0000-0000-0000-000000000000"),
        ("65868a00-c536-f345-9471-3fec00000000", "{65868A00-C536-F345-9471-3FEC00000000}"),
        ("65868a00-c536-f345-9471-3fec00000000", "65868a00c536f34594713fec00000000"),
        ("65868a00c536f34594713fec00000000", "65868a00-c536-f345-9471-3fec00000000"),
    ],
)
def test_a_reply_about_this_task_or_about_none_is_read(asked: str, received: object) -> None:
    """In any spelling of a GUID; zeros were never set; a number beside an ID that is none is no ID of that kind."""
    body = envelope()
    body["task_status"]["task_id"] = received
    assert ENDPOINT.read_for(DeleteFileJob(asked), reply(body)).phase is Phase.SUCCEEDED


KEPT_BEFORE = [
    b"""{"task_status":{"is_complete":true,"status":2,"task_id":"65868a00c536f34594713fec"},"success":true,
    "extension_data":null,"errors":[],"warnings":[],"information":[]}""",
    b"""{"task_status":{"is_complete":true,"status":9,"task_id":null},"success":false,"extension_data":{"a":[1,null]},
    "errors":[{"extension_data":7,"stack_trace":"at x","description":"d","error_code":"c","custom_data":{"p":null}}],
    "warnings":[{"extension_data":null,"description":"w","warning_code":"wc"}],
    "information":[{"extension_data":"e","description":"i"}]}""",
]


@pytest.mark.parametrize("kept", KEPT_BEFORE)
def test_a_status_that_an_earlier_release_kept_is_read(kept: bytes, caplog: pytest.LogCaptureFixture) -> None:
    """A ledger's rows from before odd replies were read."""
    status = ENDPOINT.codec.status_from_json(orjson.loads(kept))
    assert ENDPOINT.codec.status_to_json(status) == orjson.loads(kept)
    assert not caplog.records


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
        assert len(reading) < 400
        assert reading.isascii()
        return
    attrs.evolve(reading)  # it is checked where it is made, and this one was made without
    assert reading.final == reading.status.task_status.is_complete
    assert reading.phase is not Phase.SUCCEEDED or not reading.status.errors
    assert ENDPOINT.codec.status_from_json(
        orjson.loads(orjson.dumps(ENDPOINT.codec.status_to_json(reading.status)))
    ) == (reading.status)


@given(STATUSES)
def test_a_status_comes_back_from_json_equal(status: DeleteFileStatus) -> None:
    """The ledger's round trip loses nothing, unknown numbers included."""
    text = orjson.dumps(ENDPOINT.codec.status_to_json(status))
    again = ENDPOINT.codec.status_from_json(orjson.loads(text))
    assert again == status
    assert type(again.task_status.status) is type(status.task_status.status)
    assert ENDPOINT.read(reply(text)).status == status


def test_json_has_the_vendors_names_and_real_types(complete: bytes) -> None:
    """What is kept is what the vendor sent."""
    body = orjson.loads(complete)
    assert ENDPOINT.codec.status_to_json(ENDPOINT.read(reply(body)).status) == body


@pytest.mark.parametrize(
    "data", [None, 5, "x", [], {}, {"task_status": {}, "success": True}, {"task_status": {"is_complete": 1}}]
)
def test_data_that_is_no_status_is_refused(data: object) -> None:
    """A ledger's garbage is a ValueError."""
    with pytest.raises(ValueError, match="this is not the data of DeleteFileStatus: "):
        ENDPOINT.codec.status_from_json(data)


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
    assert ENDPOINT.documented_limit == RateLimit(60, per_s=60.0)
    assert ENDPOINT.heeded_headers == ()
    assert ENDPOINT.auth is None
    assert repr(ENDPOINT) == "DeleteFileEndpoint('https://api.example.com')"


def test_keys_make_the_job_again() -> None:
    """A job is kept by its keys, and only exactly its keys make one."""
    job = DeleteFileJob("a b")
    assert ENDPOINT.codec.job_to_keys(job) == {"task_id": "a b"}
    assert ENDPOINT.codec.job_from_keys({"task_id": "a b"}) == job
    for keys in ({}, {"task_id": ""}, {"task_id": 5}, {"task_id": "x", "y": "z"}, {"y": "z"}, None, "task_id"):
        with pytest.raises(ValueError, match="task_id"):
            ENDPOINT.codec.job_from_keys(keys)  # type: ignore[arg-type]  # as from a hostile token
