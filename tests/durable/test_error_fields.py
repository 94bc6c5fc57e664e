"""Fields of errors in JSON: written whatever they are, and read with no conversion from one type to another."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.durable.error_fields import arguments, from_json, is_shallow, to_json
from pollwise.errors import Problem

PROBLEM = Problem(("-96", "7"), ("No such job.",), "!key", True)
GOOD: list[tuple[Any, Any]] = [
    ("text", str),
    (7, int),
    (True, bool),
    (7.5, float),
    (7, float),
    (float("inf"), float),
    (None, float | None),
    (None, str | None),
    (PROBLEM, Problem),
    (PROBLEM, Problem | None),
    (Problem(), Problem),
    (("a", "b"), tuple[str, ...]),
    ({"a": [1, None]}, Mapping[str, Any]),
]
BAD: list[tuple[Any, Any]] = [
    (7, str),
    ("7", int),
    (True, int),
    (7.0, int),
    (1, bool),
    ("false", bool),
    ("7.5", float),
    (True, float),
    (None, float),
    ([], float),
    ("ab", tuple[str, ...]),
    ([1], tuple[str, ...]),
    ([], Problem),
    ("codes", Problem),
    ({"codes": [], "unknown": 1}, Problem),
    ([], Mapping[str, Any]),
]


@pytest.mark.parametrize(("value", "kind"), GOOD, ids=repr)
def test_a_value_comes_back(value: Any, kind: Any) -> None:
    """Equal and of the same type, through a JSON document."""
    again = from_json(orjson.loads(orjson.dumps(to_json(value))), kind)
    assert again == value
    assert type(again) is type(value)


def test_a_number_that_is_none_comes_back() -> None:
    """NaN equals nothing, itself included."""
    again = from_json(to_json(float("nan")), float)
    assert again != again  # noqa: PLR0124  # that is what NaN does


@pytest.mark.parametrize(("value", "kind"), BAD, ids=repr)
def test_nothing_is_converted(value: Any, kind: Any) -> None:
    """A text is no number, a number is no text, and a bool is neither."""
    with pytest.raises(Exception):  # noqa: B017, PT011  # TypeError, or one of several of cattrs
        from_json(value, kind)


@given(
    st.recursive(
        st.none() | st.text() | st.integers() | st.floats() | st.binary(), lambda x: st.lists(x) | st.tuples(x)
    )
)
def test_everything_can_be_written(value: Any) -> None:
    """What JSON does not have becomes a text: lone surrogates, huge integers, other classes."""
    orjson.dumps(to_json(value))
    orjson.dumps(to_json({"key": value, 7: object()}))


def test_arguments_are_scalars() -> None:
    """An error without fields is made from its arguments again."""
    assert arguments({"args": ["a", 1, None]}) == ["a", 1, None]
    for fields in ({}, {"args": "ab"}, {"args": [[]]}, {"args": [{}]}, {"args": [], "more": 1}):
        with pytest.raises((KeyError, TypeError)):
            arguments(fields)


def test_how_deep_it_is() -> None:
    """Lists and objects count, and what is far too deep is not followed to its end."""
    assert is_shallow([{"a": 1}], 3)
    assert not is_shallow([{"a": 1}], 2)
    deep: Any = []
    for _ in range(100_000):
        deep = [deep]
    assert not is_shallow(deep, 40)
    while deep:  # or freeing it would go deep, too
        deep = deep[0]
