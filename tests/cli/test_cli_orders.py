"""The order of `pollwise submit`."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import attrs
import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.orders import order_for, order_of
from pollwise.endpoints.oracle_content import DuplicateResolution, ExtractionEndpoint, ExtractionOrder
from pollwise.errors import ConfigurationError

FILE = Path("order.json")


def test_a_value_is_a_text_or_json() -> None:
    """As it is written. Only the first equals sign ends the name."""
    given = ["name=a=b", "size:=7", 'deep:={"a": [null]}', "empty=", "number=7"]
    assert order_of(given, None) == {"name": "a=b", "size": 7, "deep": {"a": [None]}, "empty": "", "number": "7"}
    assert order_of([], None) == {}


@pytest.mark.parametrize(
    ("given", "states"),
    [
        (["7"], "write a field of the order as KEY=VALUE for a text, or as KEY:=JSON, such as size:=7"),
        (["=7"], "write a field of the order"),
        ([":=7"], "write a field of the order"),
        (["a=1", "a:=2"], "the field a is given twice"),
        (["a:=s3cret"], "the value of a is not JSON: Expecting value, at line 1, character 1"),
        (["a:=NaN"], "the value of a is not JSON: it has a wrong number"),
        (["a:=" + "[" * 100_000], "the value of a is not JSON: it is nested too deeply"),
    ],
)
def test_what_cannot_be_meant_is_refused(given: list[str], states: str) -> None:
    """Without the value, which may be a secret."""
    with pytest.raises(UsageError) as raised:
        order_of(given, None)
    assert str(raised.value).startswith(states)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize(
    ("content", "states"),
    [
        (b"{", "order.json is not JSON: Expecting property name"),
        (b"[]", "order.json must be one JSON object, which is the order"),
        (b"\xff", "order.json is not JSON: it has a wrong number, or is no UTF-8"),
        (b"x" * 16_777_217, "an order has at most 16777216 bytes"),
    ],
)
def test_a_file_has_one_object(content: bytes, states: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else the error says what to write."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match=r"cannot read order\.json: No such file"):
        order_of([], FILE)
    FILE.write_bytes(b'{"a": 1}')
    assert order_of([], FILE) == {"a": 1}
    with pytest.raises(UsageError, match="not both"):
        order_of(["a=1"], FILE)
    FILE.write_bytes(content)
    with pytest.raises(UsageError) as raised:
        order_of([], FILE)
    assert str(raised.value).startswith(states)


def test_an_order_comes_from_stdin(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the file `-`. A closed stdin is an error."""
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b'{"a": 1}')))
    assert order_of([], Path("-")) == {"a": 1}
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(UsageError, match="stdin cannot be read"):
        order_of([], Path("-"))


def test_an_endpoint_gets_the_class_that_it_takes() -> None:
    """With the fields of that class, in their types."""
    endpoint = ExtractionEndpoint("https://a.example")
    order = order_for(endpoint, {"file_id": "F", "duplicate_resolution": "SkipDuplicates"})
    assert order == ExtractionOrder("F", duplicate_resolution=DuplicateResolution.SKIP)
    for wrong in ({}, {"file_id": "F", "more": 1}):
        with pytest.raises(UsageError) as raised:
            order_for(endpoint, wrong)
        said = "an order of oracle-content needs file_id, and may have destination_id, duplicate_resolution"
        assert str(raised.value) == said
    with pytest.raises(ConfigurationError, match=r"file_id must not be '\.\.'"):
        order_for(endpoint, {"file_id": ".."})


@attrs.frozen
class Order:
    size: int = attrs.field(default=1, validator=attrs.validators.lt(9))
    names: tuple[str, ...] = ()


class Starter:
    name = "starts"

    def submit_request(self, order: Order, key: str, /) -> Any: ...


def test_a_wrong_field_is_an_error_without_its_value() -> None:
    """By the validators of the class, and by its types."""
    endpoint: Any = Starter()
    assert order_for(endpoint, {"size": 7, "names": ["a", "b"]}) == Order(7, ("a", "b"))
    with pytest.raises(UsageError, match=r"the order of starts is wrong \(ValueError\)"):
        order_for(endpoint, {"size": 10})
    with pytest.raises(UsageError, match=r"names must be a list, such as names:=\[\"a\"\]"):
        order_for(endpoint, {"names": "ab"})
    for wrong in ({"size": 7.5}, {"names": [7]}, {"names": 7}):
        with pytest.raises(ConfigurationError, match=next(iter(wrong))):
            order_for(endpoint, wrong)


@pytest.mark.parametrize("submit", [lambda order, key: order, None])
def test_any_other_endpoint_gets_a_mapping(submit: Any) -> None:
    """As a declared one."""
    endpoint: Any = SimpleNamespace(name="a", submit_request=submit)
    assert order_for(endpoint, {"a": 1}) == {"a": 1}
