"""Durations on the command line."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.durations import duration_text, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("1h", 3600.0),
        ("90s", 90.0),
        ("1h30m", 5400.0),
        ("2d", 172_800.0),
        ("500ms", 0.5),
        ("1m500ms", 60.5),
        ("1.5h", 5400.0),
        ("1H30M", 5400.0),
        (" 90 ", 90.0),
        ("90", 90.0),
        ("0.5", 0.5),
        ("1e1", 10.0),
        ("1d2h3m4s5ms", 93_784.005),
        ("3650d", 315_360_000.0),
    ],
)
def test_a_duration(text: str, seconds: float) -> None:
    """Units are added up, and a plain number is seconds."""
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-9)


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "soon",
        "1x",
        "h",
        "1h h",
        "1 h",
        "30m1h",
        "1m1m",
        "1h-5m",
        "1,5h",
        "none",
        "P1D",
        "1h30",
        "1_0s",
        "\u0661s",
    ],
)
def test_what_is_no_duration_shows_right_forms(text: str) -> None:
    """Also a unit that is repeated, or stands after a shorter one."""
    with pytest.raises(ValueError, match=r"^expected a duration such as 90s, 1h30m, 2d or 500ms, got "):
        parse_duration(text)


@pytest.mark.parametrize(
    "text", ["0", "0s", "-1", "-1h", "nan", "inf", "-inf", "1e300", "0.0001", "3651d", "999999999999d"]
)
def test_what_is_too_short_or_too_long_is_refused(text: str) -> None:
    """Zero, negative and endless durations, and those of a wrong unit."""
    with pytest.raises(ValueError, match=r"^expected a duration such as 90s, "):
        parse_duration(text)


@given(st.floats(0.001, 315_360_000.0))
def test_a_duration_that_is_shown_can_be_given(seconds: float) -> None:
    """It is the same to a millisecond."""
    assert parse_duration(duration_text(seconds)) == pytest.approx(seconds, abs=0.0006)


@given(st.text(max_size=12))
def test_no_text_breaks_the_parser(text: str) -> None:
    """A text is a duration in range, or a ValueError."""
    with contextlib.suppress(ValueError):
        assert 0.001 <= parse_duration(text) <= 315_360_000.0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("watch document360 T --timeout soon", "--timeout: {}, got 'soon'; `none` is no limit. {}"),
        ("watch document360 T --interval 0", "--interval: {}, from 1ms to 3650d, got '0'. {}"),
        ("batch jobs.jsonl --timeout 1y", "--timeout: {}, got '1y'; `none` is no limit. {}"),
        ("simulator --cache none", "--cache: {}, got 'none'. {}"),
    ],
)
async def test_a_wrong_duration_is_one_sentence(arguments: str, message: str, command: Any) -> None:
    """It names the option and shows right forms, and `none` where that is allowed."""
    forms = "expected a duration such as 90s, 1h30m, 2d or 500ms"
    name = arguments.partition(" T ")[0].split(" jobs")[0].split(" --")[0]
    text = message.format(forms, f"Try: pollwise {name} --help")
    assert await command(*arguments.split()) == (2, "", f"pollwise: Invalid value for {text}\n")


async def test_the_help_shows_durations(command: Any) -> None:
    """As the placeholder of the values, and as defaults that can be given."""
    _, out, _ = await command("watch", "url", "--help")
    assert "--timeout DURATION|none" in out
    assert "[default: 1h]" in out
    assert "[default: 10s]" in (await command("demo", "--help"))[1]
