"""What is kept has no secret, and keeps everything else."""

from __future__ import annotations

import dataclasses
import pickle
from collections import namedtuple
from typing import Any

import attrs
import pytest

from pollwise.errors import EndpointBug, JobNotFound, MalformedReply, Problem, ServerUnavailable
from pollwise.model.masked_values import masked_error, masked_value
from pollwise.model.masking import Mask
from pollwise.model.reading import Phase, Reading

MASK = Mask(["abcd", "s3cr3t-t0ken", "1234"])
Pair = namedtuple("Pair", "left right")  # noqa: PYI024  # as a foreign status may be


@attrs.frozen
class Job:
    id: str = "abcd"


@attrs.frozen
class Checked:
    word: str = attrs.field(validator=attrs.validators.in_(["abcd", "x"]))
    number: int = 1234


@dataclasses.dataclass(frozen=True)
class Plain:
    word: str
    rest: Any = None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("bad abcd", "bad ***"),
        (b"bad abcd", b"bad ***"),
        (["abcd", 1], ["***", 1]),
        (("abcd", ("s3cr3t-t0ken",)), ("***", ("***",))),
        ({"abcd": {"k": "abcd"}}, {"***": {"k": "***"}}),
        (frozenset({"abcd"}), frozenset({"***"})),
        (Pair("abcd", 1), Pair("***", 1)),
        (Plain("abcd", [Plain("abcd")]), Plain("***", [Plain("***")])),
        (Problem(("abcd",), ("bad abcd",), "abcd", True), Problem(("***",), ("bad ***",), "***", True)),
    ],
)
def test_a_value_is_masked_at_any_depth(value: Any, expected: Any) -> None:
    """Of the same class, and equal in the rest."""
    masked = masked_value(MASK, value)
    assert masked == expected
    assert type(masked) is type(expected)


def test_a_copy_is_made_without_the_checks_of_its_class() -> None:
    """They may refuse the stars."""
    value = Checked("abcd")
    masked = masked_value(MASK, value)
    assert (masked.word, masked.number, value.word) == ("***", 1234, "abcd")


@pytest.mark.parametrize(
    "value", [None, 1, 1.5, True, Phase.RUNNING, object(), "x", ("x",), {"x": 1}, Plain("x"), Job("x")]
)
def test_what_has_no_secret_is_the_same_object(value: Any) -> None:
    """Nothing is copied for it."""
    assert masked_value(MASK, value) is value


def test_a_reading_keeps_what_decides() -> None:
    """Its phase and its numbers."""
    reading = Reading(status=Plain("abcd"), phase=Phase.FAILED, final=True, reason="bad abcd", unknown="x=abcd")
    masked = masked_value(MASK, reading)
    assert masked == Reading(status=Plain("***"), phase=Phase.FAILED, final=True, reason="bad ***", unknown="x=***")


def test_a_value_that_is_nested_too_deep_is_masked_whole() -> None:
    """It is not followed for ever."""
    value: Any = "abcd"
    for _ in range(500):
        value = [value]
    assert "abcd" not in repr(masked_value(MASK, value))


def test_an_error_keeps_its_job_alone() -> None:
    """Its fields, its arguments, its notes, its causes and its pickle have no secret."""
    error = JobNotFound(Job(), 404, Problem(("abcd",), ("bad s3cr3t-t0ken",)))
    error.add_note("the server said abcd")
    error.__cause__ = ValueError("bad abcd")
    error.__cause__.__context__ = KeyError("s3cr3t-t0ken")
    error.__cause__.__context__.__context__ = error
    assert masked_error(MASK, error) is error
    again = pickle.loads(pickle.dumps(error))  # noqa: S301  # pickled on this line
    for seen in (error, again):
        assert seen.job == Job("abcd")
        assert seen.problem == Problem(("***",), ("bad ***",))
        assert seen.__notes__ == ["the server said ***"]
    assert error.__cause__.args == ("bad ***",)
    assert error.__cause__.__context__.args == ("***",)


@pytest.mark.parametrize(
    "error",
    [
        MalformedReply("bad abcd", 200, "abcd/s3cr3t-t0ken", "abcd"),
        ServerUnavailable(503, 1.0, Problem(("abcd",))),
        EndpointBug(Job("x"), "ValueError", "bad abcd"),
        UnicodeError("bad abcd"),
    ],
)
def test_the_text_of_an_error_is_masked(error: Exception) -> None:
    """And that of its repr."""
    masked_error(MASK, error)
    assert "abcd" not in f"{error!s}{error!r}"
