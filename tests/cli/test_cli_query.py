"""`--query`."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollwise.cli.query import QueryFailed, parse_query

EXPECTED = "; expected JMESPath, such as error.message or [?source=='file'].name"


@pytest.mark.parametrize(
    ("text", "document", "value"),
    [
        ("job.id", {"job": {"id": "7"}}, "7"),
        ("error.message", {"error": None}, None),
        ("[?phase=='failed'].job", [{"phase": "failed", "job": 1}, {"phase": "running", "job": 2}], [1]),
        ("length(@)", [1, 2], 2),
        ("[:2]", [1, 2, 3], [1, 2]),
        ("jobs[-1:].id", {"jobs": [{"id": 1}, {"id": 2}]}, [2]),
    ],
)
def test_a_query_selects_a_part(text: str, document: Any, value: Any) -> None:
    """By the rules of JMESPath."""
    assert parse_query(text).of(document) == value


@pytest.mark.parametrize("text", ["&a", "{x: [&a]}", "`1e999`", "to_number('nan')", "sum(`[1e308, 1e308]`)"])
def test_a_result_that_json_cannot_have_is_an_error(text: str) -> None:
    """What reads stdout gets valid JSON (RFC 8259), and the command does not break down."""
    with pytest.raises(QueryFailed, match="JSON cannot have"):
        parse_query(text).of({"a": 1})


@pytest.mark.parametrize(
    ("text", "place"),
    [
        ("", "it is empty"),
        ("a[", "something is missing at its end, column 3"),
        ("a.b)", "')' at column 4 does not fit there"),
        ("a[?b=1]", "'=' at column 5 does not fit there"),
        ("a b", "'b' at column 3 does not fit there"),
        ("'abc", '"\'abc" at column 1 does not fit there'),
        ("foo(@)", "there is no function foo()"),
        ("length(@, @)", "length() takes 1 arguments, got 2"),
    ],
)
def test_a_wrong_query_names_the_place(text: str, place: str) -> None:
    """A function that there is not, and a wrong number of arguments, too."""
    with pytest.raises(ValueError) as refused:  # noqa: PT011  the whole text is compared
        parse_query(text)
    assert str(refused.value) == place + EXPECTED


@pytest.mark.parametrize("text", ["a" * 5000, "[" * 3000, "(" * 3000])
def test_a_query_that_is_too_large_is_refused(text: str) -> None:
    """Without an error of the interpreter."""
    with pytest.raises(ValueError, match="expected"):
        parse_query(text)


@pytest.mark.parametrize(("text", "document"), [("length(@)", 7), ("sum(@)", ["a"]), ("max_by(@, &a)", [{"a": None}])])
def test_a_function_that_does_not_fit_a_document(text: str, document: Any) -> None:
    """The error says which value does not fit."""
    with pytest.raises(QueryFailed, match=r"^--query cannot be applied to this document: "):
        parse_query(text).of(document)


@settings(max_examples=60)
@given(st.text(alphabet="ab.[]?*@&|!='`0-9(){}, ", max_size=20), st.sampled_from([{}, {"a": [1]}, [], "a", 1, None]))
def test_no_query_breaks_the_command(text: str, document: Any) -> None:
    """A text is refused, fails on a document, or gives a value."""
    try:
        query = parse_query(text)
    except ValueError:
        return
    try:
        query.of(document)
    except QueryFailed:
        return


@pytest.mark.parametrize(
    "arguments",
    [
        "watch exports id=7",
        "batch jobs.jsonl",
        "submit exports a=b",
        "result reports owner=a name=b",
        "cancel exports id=7",
        "check exports id=7",
        "endpoint list",
        "ledger show x.ledger",
        "ledger export x.ledger",
        "ledger check x.ledger",
        "demo",
    ],
)
async def test_a_wrong_query_is_found_before_the_first_request(arguments: str, exports: Any, command: Any) -> None:
    """By every command, in one sentence."""
    status, out, err = await command(*arguments.split(), "--query", "job.[")
    assert (status, out, exports.polls, exports.orders) == (2, "", {}, [])
    assert err.startswith("pollwise: Invalid value for --query: something is missing at its end, column 6; expected")
