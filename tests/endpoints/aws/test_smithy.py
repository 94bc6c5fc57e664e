"""The rules of Smithy's waiters, after the tables of the specification."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise import ConfigurationError
from pollwise.endpoints.aws.acceptors import State
from pollwise.endpoints.aws.smithy import Exchange, smithy_acceptors, smithy_state


def state_of(matcher: dict[str, Any], exchange: Exchange, *, state: str = "success") -> State:
    """The decision of a waiter with this rule, and one more that always fails."""
    last = {"state": "success", "matcher": {"errorType": "never"}}
    return smithy_state(smithy_acceptors({"acceptors": [{"state": state, "matcher": matcher}, last]}), exchange)


def output(comparator: str, expected: str, path: str = "v") -> dict[str, Any]:
    return {"output": {"path": path, "comparator": comparator, "expected": expected}}


COMPARATORS = [
    ("stringEquals", "up", "up", True),
    ("stringEquals", "up", "down", False),
    ("stringEquals", "true", True, False),
    ("stringEquals", "1", 1, False),
    ("stringEquals", "up", None, False),
    ("stringEquals", "up", ["up"], False),
    ("booleanEquals", "true", True, True),
    ("booleanEquals", "true", False, False),
    ("booleanEquals", "false", False, True),
    ("booleanEquals", "false", None, False),
    ("booleanEquals", "true", "true", False),
    ("booleanEquals", "true", 1, False),
    ("allStringEquals", "up", ["up", "up"], True),
    ("allStringEquals", "up", ["up", "down"], False),
    ("allStringEquals", "up", ["up", None], False),
    ("allStringEquals", "up", [], False),
    ("allStringEquals", "up", "up", False),
    ("anyStringEquals", "up", ["down", "up"], True),
    ("anyStringEquals", "up", ["down", 1], False),
    ("anyStringEquals", "up", [], False),
    ("anyStringEquals", "up", None, False),
]


@pytest.mark.parametrize(("comparator", "expected", "value", "matches"), COMPARATORS)
def test_a_comparator_compares_types_too(comparator: str, expected: str, value: Any, *, matches: bool) -> None:
    """The table of PathComparator."""
    found = state_of(output(comparator, expected), Exchange(output={"v": value}))
    assert found is (State.SUCCESS if matches else State.RETRY)


@pytest.mark.parametrize(
    ("matcher", "exchange", "expected"),
    [
        ({"success": True}, Exchange(output={}), State.SUCCESS),
        ({"success": True}, Exchange(error="E"), State.FAILURE),
        ({"success": False}, Exchange(output={}), State.RETRY),
        ({"success": False}, Exchange(error="E"), State.SUCCESS),
        ({"errorType": "NotFound"}, Exchange(error="NotFound"), State.SUCCESS),
        ({"errorType": "NotFound"}, Exchange(error="com.example#NotFound"), State.SUCCESS),
        ({"errorType": "com.example#NotFound"}, Exchange(error="NotFound"), State.SUCCESS),
        ({"errorType": "NotFound"}, Exchange(error="Other"), State.FAILURE),
        ({"errorType": "NotFound"}, Exchange(output={}), State.RETRY),
        (output("stringEquals", "up"), Exchange(error="E", output={"v": "up"}), State.FAILURE),
        (
            {
                "inputOutput": {
                    "path": "length(input.groups) == length(output.groups)",
                    "expected": "true",
                    "comparator": "booleanEquals",
                }
            },
            Exchange(input={"groups": [1, 2]}, output={"groups": [3, 4]}),
            State.SUCCESS,
        ),
        (
            {"inputOutput": {"path": "input.a == output.a", "expected": "true", "comparator": "booleanEquals"}},
            Exchange(input={"a": 1}, output={"a": 2}),
            State.RETRY,
        ),
        (
            {"inputOutput": {"path": "input.a", "expected": "x", "comparator": "stringEquals"}},
            Exchange(input={"a": "x"}, error="E"),
            State.FAILURE,
        ),
    ],
)
def test_a_matcher_looks_at_its_part_of_the_exchange(
    matcher: dict[str, Any], exchange: Exchange, expected: State
) -> None:
    """The table of the Matcher union, and steps 4 and 5 of the workflow where it does not match."""
    assert state_of(matcher, exchange) is expected


def test_the_first_match_decides() -> None:
    """The example of the specification: a thing that failed can never exist."""
    rules = smithy_acceptors(
        {
            "acceptors": [
                {"state": "failure", "matcher": output("stringEquals", "failed", "status")},
                {"state": "success", "matcher": {"success": True}},
            ]
        }
    )
    assert smithy_state(rules, Exchange(output={"status": "failed"})) is State.FAILURE
    assert smithy_state(rules, Exchange(output={"status": "made"})) is State.SUCCESS


SUCCESS = {"state": "success", "matcher": {"success": True}}


@pytest.mark.parametrize(
    ("acceptors", "wrong"),
    [
        ([], "needs an acceptor with the state 'success'"),
        ([{**SUCCESS, "state": "retry"}], "needs an acceptor with the state 'success'"),
        ([{**SUCCESS, "state": "done"}], "unknown state 'done'"),
        ([{"state": "success"}], "exactly one member"),
        ([{"state": "success", "matcher": {"success": True, "errorType": "E"}}], "exactly one member"),
        ([{"state": "success", "matcher": {"status": 200}}], "unknown matcher 'status'"),
        ([{"state": "success", "matcher": {"success": "true"}}], "must be true or false"),
        ([{"state": "success", "matcher": {"errorType": ""}}], "the name of an error"),
        ([{"state": "success", "matcher": {"output": {"path": "a"}}}], "needs path, expected and comparator"),
        ([{"state": "success", "matcher": output("equals", "a")}], "comparator 'equals' is unknown"),
        ([{"state": "success", "matcher": output("booleanEquals", "yes")}], "'true' or 'false' for booleanEquals"),
        ([{"state": "success", "matcher": output("stringEquals", "a", "b[")}], "invalid expression"),
    ],
)
def test_a_waiter_that_is_not_as_specified_is_refused(acceptors: list[dict[str, Any]], wrong: str) -> None:
    """When it is made, and not at the first reply."""
    with pytest.raises(ConfigurationError, match=wrong):
        smithy_acceptors({"acceptors": acceptors})
