"""JSON as a table."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pollwise.cli.tables import StreamTable, table_lines


@pytest.mark.parametrize(
    ("value", "lines"),
    [
        ([{"name": "a", "n": 1}, {"name": "bcd", "more": True}], ["NAME  N  MORE", "a     1  -", "bcd   -  true"]),
        ({"watches": 3, "phases": {"a": 1, "b": 0}}, ["watches  3", "phases   a=1 b=0"]),
        ([["a", 1], ["bcd", None, 2]], ["a    1", "bcd  -  2"]),
        (["a", 1.5, False], ["a", "1.5", "false"]),
        ([{"x": [1, 2]}, {"x": [{"y": 1}]}, {"x": []}], ["X", "1, 2", '[{"y":1}]', "[]"]),
        ([], []),
        ("text", ["text"]),
        (None, ["-"]),
        ([{"a": "日本"}, {"a": "x"}], ["A", "日本", "x"]),
        ([{"a": "日本", "b": 1}, {"a": "x", "b": 2}], ["A     B", "日本  1", "x     2"]),
        ([{"a": ""}], ["A", "-"]),
    ],
)
def test_a_document_as_a_table(value: Any, lines: list[str]) -> None:
    """Objects are rows, their keys columns. A missing value is a dash."""
    assert table_lines(value) == lines


def test_a_cell_cannot_act_on_a_terminal(hostile: str) -> None:
    """Neither can a key."""
    for line in [*table_lines([{hostile: hostile}]), *StreamTable().lines({hostile: {hostile: hostile}})]:
        assert line.isprintable()


def test_a_stream_has_its_heads_once() -> None:
    """A later row may be wider. Documents of another form have their own heads."""
    table = StreamTable()
    assert table.lines({"event": "progressed", "polls": 1}) == ["EVENT       POLLS", "progressed  1"]
    assert table.lines({"event": "succeeded", "polls": 22}) == ["succeeded   22"]
    assert table.lines({"event": "x" * 12, "polls": 3}) == [f"{'x' * 12}  3"]
    assert table.lines({"id": 7}) == ["ID", "7"]
    assert table.lines("text") == ["text"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=5,
)


@settings(max_examples=40)
@given(JSON)
def test_every_document_has_a_table(value: Any) -> None:
    """No line of it has a control character."""
    for line in [*table_lines(value), *StreamTable().lines(value)]:
        assert not any(character < " " or "\x7f" <= character < "\xa0" for character in line)
