"""The rules of botocore's waiters, one by one."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise import ConfigurationError
from pollwise.endpoints.aws.acceptors import State, acceptors_of, decided, error_code

GOOD = {"ResponseMetadata": {"HTTPStatusCode": 200}}
NOT_FOUND = {"Error": {"Code": "NotFound"}, "ResponseMetadata": {"HTTPStatusCode": 404}}


def rule(matcher: str, expected: Any, argument: str | None = None, state: str = "success") -> dict[str, Any]:
    return {"matcher": matcher, "expected": expected, "argument": argument, "state": state}


@pytest.mark.parametrize(
    ("given", "parsed", "matches"),
    [
        (rule("path", "up", "a.b"), {"a": {"b": "up"}}, True),
        (rule("path", "up", "a.b"), {"a": {"b": "down"}}, False),
        (rule("path", True, "a == `1`"), {"a": 1}, True),
        (rule("path", "up", "a"), {"a": "up", **NOT_FOUND}, False),
        (rule("pathAll", "up", "a[].s"), {"a": [{"s": "up"}, {"s": "up"}]}, True),
        (rule("pathAll", "up", "a[].s"), {"a": [{"s": "up"}, {"s": "down"}]}, False),
        (rule("pathAll", "up", "a[].s"), {"a": []}, False),
        (rule("pathAll", "up", "a"), {"a": "up"}, False),
        (rule("pathAny", "up", "a[].s"), {"a": [{"s": "down"}, {"s": "up"}]}, True),
        (rule("pathAny", "up", "a[].s"), {"a": []}, False),
        (rule("pathAny", "up", "a[].s"), {}, False),
        (rule("pathAny", "up", "a[].s"), {"a": [{"s": "up"}], **NOT_FOUND}, False),
        (rule("status", 404), NOT_FOUND, True),
        (rule("status", 404), GOOD, False),
        (rule("status", 404), {}, False),
        (rule("error", "NotFound"), NOT_FOUND, True),
        (rule("error", "Other"), NOT_FOUND, False),
        (rule("error", "NotFound"), GOOD, False),
        (rule("error", True), NOT_FOUND, True),
        (rule("error", True), GOOD, False),
        (rule("error", False), GOOD, True),
        (rule("error", False), NOT_FOUND, False),
    ],
)
def test_a_matcher_matches_what_it_says(given: dict[str, Any], parsed: dict[str, Any], *, matches: bool) -> None:
    """A path looks at good replies alone, and a list must have an item."""
    assert (decided(acceptors_of([given]), parsed) is not None) is matches


def test_the_first_rule_that_matches_decides() -> None:
    """Whatever the later ones say."""
    rules = acceptors_of([rule("error", "X"), rule("status", 404, state="retry"), rule("error", True, state="failure")])
    found = decided(rules, NOT_FOUND)
    assert found is not None
    assert found.state is State.RETRY


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"matcher": "path", "expected": 1}, "has no state"),
        (rule("pathNone", 1), "unknown matcher 'pathNone'; known are path, pathAll"),
        (rule("status", 200, state="done"), "unknown state 'done'"),
        (rule("path", 1, "a["), "invalid expression 'a\\['"),
        (rule("path", 1), "invalid expression None"),
    ],
)
def test_a_rule_of_another_form_is_refused(wrong: dict[str, Any], message: str) -> None:
    """A new version of botocore may have new matchers."""
    with pytest.raises(ConfigurationError, match=message):
        acceptors_of([wrong])


def test_an_error_is_known_by_its_code() -> None:
    """An `Error` of another type is none: a service may have a member of that name."""
    assert error_code(NOT_FOUND) == "NotFound"
    assert error_code({"Error": "text"}) is None
    assert error_code(GOOD) is None
