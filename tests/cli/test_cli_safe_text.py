from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.safe_text import clock, counted, duration, safe, shorten_keys


@given(st.text(alphabet=st.characters(), max_size=600))
def test_no_text_can_control_a_terminal(text: str) -> None:
    """For any text, `safe` returns one line without control, format or line-separating characters."""
    shown = safe(text)
    joiners = {"\u200c", "\u200d"}
    for character in shown:
        assert unicodedata.category(character) not in {"Cc", "Zl", "Zp", "Cs"}
        assert unicodedata.bidirectional(character) not in {
            "LRE",
            "RLE",
            "LRO",
            "RLO",
            "PDF",
            "LRI",
            "RLI",
            "FSI",
            "PDI",
        }
        assert character in joiners or not 0x200B <= ord(character) <= 0x200F
    assert len(shown) <= 400
    shown.encode()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "plain"),
        ("[bold]x[/]", "[bold]x[/]"),
        ("\x1b[31mred\x1b]0;title\x07", "[31mred]0;title"),
        ("\x9b2J", "2J"),
        ("a\r\nb\tc\u2028d", "a b c d"),
        ("abc\u202edcba\u2066\u2069\u200f", "abcdcba"),
        ("\U000e0041\ufeff\u200bx", "x"),
        ("\ud800x", "\ufffdx"),
        ("日本 🎉", "日本 🎉"),
        ("  two   words ", "two words"),
    ],
)
def test_removed_characters(text: str, shown: str) -> None:
    """Escape sequences lose their control characters, line ends become spaces, and other scripts are unchanged."""
    assert safe(text) == shown


def test_a_long_text_is_cut() -> None:
    """A text of a megabyte is cut to the limit and ends in an ellipsis."""
    assert safe("x" * 1_000_000, 10) == "xxxxxxxxx…"


@pytest.mark.parametrize(
    ("seconds", "states"),
    [(0, "0.0 s"), (4.23, "4.2 s"), (59.97, "1 min 00 s"), (185, "3 min 05 s"), (7620, "2 h 07 min")],
)
def test_durations_as_text(seconds: float, states: str) -> None:
    """A duration has units that suit its length."""
    assert duration(seconds) == states


@pytest.mark.parametrize(
    ("seconds", "shown"), [(-1, "0:00"), (4.9, "0:04"), (3599, "59:59"), (7620, "2h07"), (400_000, "111h")]
)
def test_durations_on_a_clock(seconds: float, shown: str) -> None:
    """A clock has at most seven characters, and is never negative."""
    assert clock(seconds) == shown


def test_a_job_keeps_the_ends_of_its_keys() -> None:
    """The middle of a long key is cut, because identifiers differ most at their ends."""
    assert shorten_keys(["short", "ZX-1"], 20) == "short / ZX-1"
    assert shorten_keys(["D" + "0" * 40 + "A7", "ZX-" + "1" * 40 + "9"], 19) == "D000…0A7 / ZX-1…119"
    assert shorten_keys(["catalogue-of-2021.zip", "ZX-1"], 20) == "catalo…21.zip / ZX-1"


@given(st.lists(st.text(min_size=1), min_size=1, max_size=3), st.integers(min_value=15, max_value=60))
def test_a_shortened_job_fits(keys: list[str], limit: int) -> None:
    """Shortened keys are never longer than `limit`."""
    assert len(shorten_keys(keys, limit)) <= limit


def test_a_number_has_its_noun() -> None:
    """One job is not `1 jobs`."""
    assert [counted(number, "job") for number in (0, 1, 2, 1000)] == ["0 jobs", "1 job", "2 jobs", "1,000 jobs"]
    assert [counted(number, "watch", "watches") for number in (1, 2)] == ["1 watch", "2 watches"]
