"""What AttrsCodec writes it reads back as an equal value, or refuses."""

from __future__ import annotations

import enum
import uuid
from datetime import UTC, datetime
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.endpoints import AttrsCodec
from pollwise.errors import ConfigurationError

SEVEN = uuid.UUID(int=7)


class Kind(enum.StrEnum):
    FULL = "full"
    PART = "part"


class Level(enum.IntEnum):
    LOW = 1
    HIGH = 2


@attrs.frozen
class Job:
    name: str
    number: int = 0
    hidden: bool = False
    guid: uuid.UUID = SEVEN
    kind: Kind = Kind.FULL
    level: Level = Level.LOW
    _private: str = ""


@attrs.frozen
class Part:
    rows: int
    share: float = 0.0


@attrs.frozen
class Status:
    state: str
    done: bool = False
    kind: Kind | None = None
    parts: tuple[Part, ...] = ()
    told_at: datetime | None = None
    words: dict[str, str] = attrs.field(factory=dict)
    code: int | str | None = None


CODEC = AttrsCodec(Job, Status)


@given(
    job=st.builds(
        Job,
        st.text(),
        st.integers(),
        st.booleans(),
        st.uuids(),
        st.sampled_from(Kind),
        st.sampled_from(Level),
        st.text(),
    )
)
def test_a_job_comes_back_equal(job: Job) -> None:
    """Its keys are texts, whatever its fields are."""
    keys = CODEC.job_to_keys(job)
    assert all(type(text) is str for text in keys.values())
    assert CODEC.job_from_keys(keys) == job


@given(
    status=st.builds(
        Status,
        st.text(st.characters(exclude_categories=["Cs"])),
        st.booleans(),
        st.none() | st.sampled_from(Kind),
        st.lists(st.builds(Part, st.integers(-(2**53), 2**53), st.floats(allow_nan=False, allow_infinity=False))).map(
            tuple
        ),
        st.none() | st.datetimes(timezones=st.just(UTC)),
        st.just({"a": "b"}),
        st.none() | st.integers(0, 9) | st.just("E1"),
    )
)
def test_a_status_comes_back_equal(status: Status) -> None:
    """By way of JSON, as in a ledger."""
    assert CODEC.status_from_json(orjson.loads(orjson.dumps(CODEC.status_to_json(status)))) == status


KEYS = CODEC.job_to_keys(Job("a"))


@pytest.mark.parametrize(
    "keys",
    [
        {},
        {"name": "a"},
        {**KEYS, "more": "x"},
        {**KEYS, "number": "1.0"},
        {**KEYS, "number": " 1"},
        {**KEYS, "number": "1_0"},
        {**KEYS, "number": 7},
        {**KEYS, "number": "007"},
        {**KEYS, "hidden": "False"},
        {**KEYS, "hidden": "1"},
        {**KEYS, "hidden": []},
        {**KEYS, "guid": "x"},
        {**KEYS, "kind": "FULL"},
        {**KEYS, "level": "3"},
        {**KEYS, "name": None},
        None,
        [],
    ],
    ids=str,
)
def test_keys_that_are_not_a_jobs_are_refused(keys: Any) -> None:
    """As a ConfigurationError, which is a ValueError, and without a value."""
    with pytest.raises(ConfigurationError) as caught:
        CODEC.job_from_keys(keys)
    assert caught.value.__context__ is None


@pytest.mark.parametrize(
    "job",
    [Job(7), Job("a", number=True), Job("a", hidden=1), Job("a", guid="x"), Job("a", kind="full")],
    ids=str,  # type: ignore[arg-type]
)
def test_a_job_with_a_field_of_another_type_is_refused(job: Job) -> None:
    """It would come back as another job."""
    with pytest.raises(ConfigurationError, match=r"field .* of the job must be a"):
        CODEC.job_to_keys(job)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ({"state": "a", "done": "false"}, "expected bool, got str @ \\$.done"),
        ({"state": "a", "done": 0}, "expected bool, got int"),
        ({"state": 7}, "expected str, got int @ \\$.state"),
        ({}, "it is missing @ \\$.state"),
        ({"state": "a", "parts": [{"rows": "25"}]}, r"expected int, got str @ \$.parts\[0\].rows"),
        ({"state": "a", "parts": [{"rows": 1, "share": True}]}, "expected a number, got bool"),
        ({"state": "a", "kind": "s3cret"}, "it cannot be read"),
        ({"state": "a", "told_at": "s3cret"}, "it cannot be read"),
        ([], "this is no Status"),
        (None, "this is no Status"),
        ("s3cret", "this is no Status"),
    ],
)
def test_data_that_is_not_a_statuss_is_refused(data: Any, message: str) -> None:
    """With the path of each field that is wrong, and without its value."""
    with pytest.raises(ConfigurationError, match=message) as caught:
        CODEC.status_from_json(data)
    assert caught.value.__context__ is None
    assert "s3cret" not in str(caught.value)


def test_a_field_of_a_newer_release_is_ignored() -> None:
    """An older release reads the rows of a newer one."""
    assert CODEC.status_from_json({"state": "a", "colour": "red"}) == Status("a")


@attrs.frozen
class Listed:
    ids: list[str]


@attrs.frozen
class Nowhere:
    id: NotThere  # type: ignore[name-defined]  # noqa: F821


@pytest.mark.parametrize(
    ("job_type", "message"),
    [
        (Listed, "cannot keep field ids of Listed"),
        (Nowhere, "cannot look up a type that Nowhere names"),
        (dict, "needs an attrs class"),
        (Job("a"), "needs an attrs class"),
    ],
)
def test_a_job_class_that_cannot_be_kept_is_refused_at_once(job_type: Any, message: str) -> None:
    """When the codec is made, and not when the first job is recorded."""
    with pytest.raises(ConfigurationError, match=message):
        AttrsCodec(job_type, Status)


def test_a_status_need_not_be_an_attrs_class() -> None:
    """What cattrs makes of JSON will do."""
    codec = AttrsCodec(Job, dict[str, int])
    assert codec.status_from_json({"a": 1}) == {"a": 1}
    assert repr(codec) == "AttrsCodec(Job, dict)"
    with pytest.raises(ConfigurationError, match="this is no dict"):
        codec.status_from_json({"a": "1"})


@attrs.frozen
class Narrow:
    """A job whose keys are no texts."""

    number: int = 7
    whole: bool = True
    kind: Kind = Kind.FULL
    key: uuid.UUID = SEVEN


@pytest.mark.parametrize(
    ("key", "form"),
    [
        ("number", "a whole number, such as 7"),
        ("whole", "true or false"),
        ("kind", f"one of {', '.join(Kind)}"),
        ("key", "a UUID, such as 123e4567-e89b-12d3-a456-426614174000"),
    ],
)
def test_a_wrong_key_says_what_to_write(key: str, form: str) -> None:
    """Without Python's names of types, because the key may be an argument of the command."""
    codec = AttrsCodec(Narrow, Status)
    with pytest.raises(ConfigurationError) as caught:
        codec.job_from_keys({**codec.job_to_keys(Narrow()), key: "x"})
    assert str(caught.value) == f"key {key} of a Narrow must be {form}"
