from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from pollwise.cli.row_cells import bar, fitted, joined, keys_text, wrapped


@pytest.mark.parametrize(
    ("fraction", "drawn"),
    [(0.0, "────"), (0.1, "────"), (0.13, "╸───"), (0.5, "━━──"), (0.999, "━━━╸"), (1.0, "━━━━"), (7.0, "━━━━")],
)
def test_a_bar_is_readable_without_colours(fraction: float, drawn: str) -> None:
    """What is done is a thick line and the rest a thin one. A bar is full only if all is done."""
    assert bar(fraction, 4).plain == drawn


@given(st.text(), st.integers(1, 30), st.booleans())
def test_a_text_has_exactly_its_cells(text: str, cells: int, right: bool) -> None:
    """A text is padded or cut to its column, also one with characters of two cells."""
    assert fitted(Text(text.replace("\n", " ")), cells, right=right).cell_len == cells


def test_a_cut_text_says_so() -> None:
    """A text that is too long ends in an ellipsis."""
    assert fitted("日本語の文", 6).plain == "日本 …"
    assert fitted("seven", 3, right=True).plain == "se…"
    assert fitted("7", 3, right=True).plain == "  7"
    assert fitted("7", 0).plain == ""


def test_the_last_line_of_a_long_text_ends_in_an_ellipsis() -> None:
    """A text is wrapped between words, into at most so many lines."""
    lines = wrapped(Console(), Text("one two three four five six seven"), 10, 2)
    assert [line.plain for line in lines] == ["one two", "three fou…"]
    assert [line.plain for line in wrapped(Console(), Text("one two"), 10, 2)] == ["one two"]


def test_parts_are_joined_with_blanks() -> None:
    """The parts of a row keep their styles."""
    row = joined([Text("a", style="dim"), Text("b")], "  ")
    assert row.plain == "a  b"
    assert [str(span.style) for span in row.spans] == ["dim"]


def test_the_last_key_stands_for_all_in_a_narrow_column() -> None:
    """Keys are cut in their middles. Where a few letters of each would be left, the last key is shown alone."""
    keys = ("product-photos.zip", "ZX-102")
    assert keys_text(keys, 30).plain == "product-photos.zip / ZX-102   "
    assert keys_text(keys, 18).plain == "prod….zip / ZX-102"
    assert keys_text(("D1", "ZX-1"), 10).plain == "D1 / ZX-1 "
    assert keys_text(keys, 10).plain == "ZX-102    "
    assert keys_text(("a-long-task",), 6).plain == "a-l…sk"
