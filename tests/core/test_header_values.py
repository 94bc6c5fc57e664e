"""Header text as numbers, waits and moments: whole or absent."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pollwise.core.header_values import (
    LONGEST_WAIT_S,
    Now,
    count,
    elements,
    field_value,
    number,
    parameters,
    wait_from_ms,
    wait_s,
)

NOW = 1_764_408_000.0  # Sat, 29 Nov 2025 09:20:00 GMT


def now(date: str = "", clock: float = NOW) -> Now:
    return Now(date, lambda: clock)


def unread() -> float:
    raise AssertionError("the clock was read")


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *(("0", 0.0), ("007", 7.0), ("0.503", 0.503), ("292.052427053", 292.052427053), ("9" * 20, float("9" * 20))),
        *(
            (wrong, None)
            for wrong in ("", "-5", "+5", "1e3", "nan", "inf", "0x10", "1_000", ".5", "5.", "5 5", "٣", "²")
        ),
        *((too_long, None) for too_long in ("9" * 21, "9" * 400, "0" * 70_000, "1." + "1" * 21)),
    ],
)
def test_a_number_matches_whole(text: str, value: float | None) -> None:
    """Without a sign, an exponent or anything else around it."""
    assert number(text) == value


def test_a_count_of_requests_has_a_bound() -> None:
    """What no server would count is no count."""
    assert (count(" 60 "), count("60.0"), count("1000000000"), count("1000000001"), count("-1")) == (
        60,
        60,
        10**9,
        None,
        None,
    )


@pytest.mark.parametrize("text", ["X60", "60X", "60\n", "\xa060", "60\u2028", "\x0b60"])
def test_only_spaces_and_tabs_surround_a_value(text: str) -> None:
    """As RFC 9110 has it (5.6.3)."""
    assert (count(text), wait_s(text, now()), wait_from_ms(text)) == (None, None, None)
    assert (count("\t 60 "), wait_s("\t 60 ", now()), wait_from_ms("\t 60 ")) == (60, 60.0, 0.06)


@pytest.mark.parametrize(("text", "seconds"), [("1s" * 48, 48.0), ("1s" * 47 + "10s", None)])
def test_a_value_has_at_most_96_characters(text: str, seconds: float | None) -> None:
    """The next one is absent."""
    assert wait_s(text, now()) == wait_from_ms(text) == seconds


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        *(("6m0s", 360.0), ("1h2m3s", 3723.0), ("250ms", 0.25), ("1.5s", 1.5), ("2m59.56s", 179.56), ("1d", 86_400.0)),
        *(("12us", 12e-6), ("12µs", 12e-6), ("7ns", 7e-9), ("6M0S", 360.0), ("0s", 0.0)),
        *(("PT30S", 30.0), ("PT1H30M", 5400.0), ("P1DT12H", 129_600.0), ("P1D", 86_400.0), ("pt0.5s", 0.5)),
        *(("00:00:00.033", 0.033), ("01:02:03", 3723.0)),
        *(
            (wrong, None)
            for wrong in ("6 m", "m", "6x", "-6s", "6s!", "s6", "P", "PT", "P1M", "PT30", "1:2", "00:61:00")
        ),
        *((wrong, None) for wrong in ("99999d", "999999999999h", "1e3s", "1..5s", "6m" * 49)),
    ],
)
def test_a_duration_names_its_units(text: str, seconds: float | None) -> None:
    """As Go, ISO 8601 and .NET write it; in a field of milliseconds, too."""
    for found in (wait_s(text, Now("", unread)), wait_from_ms(text)):
        assert found == (None if seconds is None else pytest.approx(seconds))


def test_milliseconds_are_milliseconds() -> None:
    """Up to the same bound."""
    assert (wait_from_ms("1500"), wait_from_ms(" 0.5 "), wait_from_ms("0")) == (1.5, 0.0005, 0.0)
    assert wait_from_ms("315576000000") == LONGEST_WAIT_S
    assert wait_from_ms("315576000001") is None


@pytest.mark.parametrize(
    "text",
    [
        *("2025-11-29T09:20:30Z", "2025-11-29t09:20:30.000z", "2025-11-29 09:20:30 UTC", "2025-11-29T10:20:30+01:00"),
        *("2025-11-29T14:50:30+05:30", "2025-11-29T05:50:30-03:30"),
        *("2025-11-29T04:20:30-0500", "2025-11-29T09:20:30", "Sat, 29 Nov 2025 09:20:30 GMT"),
        *("Saturday, 29-Nov-25 09:20:30 GMT", "Sat Nov 29 09:20:30 2025", "29 Nov 2025 09:20:30 GMT"),
        "Sat Nov 29 2025 10:20:30 GMT+0100 (Central European Standard Time)",
        *("1764408030", "1764408030.0", "1764408030000", "1764408030000000", "1764408030000000000"),
    ],
)
def test_a_moment_is_compared_with_the_time_of_the_reply(text: str) -> None:
    """Dates of ISO 8601, HTTP and JavaScript, and epochs, whose size shows their unit."""
    assert wait_s(text, now()) == pytest.approx(30.0)
    assert wait_s(text, now("Sat, 29 Nov 2025 09:20:10 GMT", 0.0)) == pytest.approx(20.0)
    assert wait_s(text, now(clock=NOW + 90)) == 0.0
    assert wait_s(text, now(clock=NOW - LONGEST_WAIT_S)) is None


@pytest.mark.parametrize(
    ("text", "clock"),
    [
        ("2025-11-29T09:20Z", NOW),
        ("2025-11-29T09:20:60Z", NOW + 60),
        ("2025-11-29T23:59:00Z", NOW + 52_740),
        ("2025-11-30T09:20:00Z", NOW + 86_400),
        ("2025-12-01T09:20:00Z", NOW + 2 * 86_400),
        ("2025-12-31T09:20:00Z", NOW + 32 * 86_400),
        ("2026-01-01T09:20:00Z", NOW + 33 * 86_400),
        ("2024-02-29T09:20:00Z", NOW - 639 * 86_400),
    ],
)
def test_the_first_and_the_last_days_are_days(text: str, clock: float) -> None:
    """Of a month and of a year; a minute may have a leap second, or no seconds at all."""
    assert wait_s(text, now(clock=clock - 10)) == 10.0


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00Z", "1000000000", "100000000000", "100000000000000", "100000000000000000"]
)
def test_the_smallest_year_and_the_smallest_epochs_are_moments(text: str) -> None:
    """Long past, so the wait is over."""
    moment = now()
    assert wait_s(text, moment) == 0.0
    assert moment.asked


@pytest.mark.parametrize(
    "text",
    [
        *(
            "2025-11-29T09:20:61Z",
            "2025-13-01T00:00:00Z",
            "2025-02-30T00:00:00Z",
            "2025-11-29T24:00:00Z",
            "2025-11-29T09:60:00Z",
            "0000-01-01T00:00",
            "2025-00-01T00:00:00Z",
            "2025-12-00T00:00:00Z",
        ),
        *("3000-01-01T00:00:00Z", "9999-12-31T23:59:59Z", "Wed, 01 Jan 3000 00:00:00 GMT"),
        *("Fri, 31 Dec 99999 23:59:59 GMT", "Thu, 99 Foo 2026", "2025-11-29T09:20:30Zulu", "tomorrow", "", " ", "\t"),
        *("99999999999", "9" * 14, "9" * 16, "9" * 20, "315576001", "999999999"),
    ],
)
def test_what_is_no_moment_or_too_far_is_absent(text: str) -> None:
    """No year 3000, no day that a month does not have, no delay beyond ten years."""
    assert wait_s(text, now()) is None


@pytest.mark.parametrize(
    "date", ["", "soon", "Mon, 01 Jan 1990 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "x" * 70_000]
)
def test_a_date_that_cannot_be_right_gives_way_to_the_clock(date: str) -> None:
    """A machine without a clock sends one that is years away."""
    assert wait_s("1764408030", now(date)) == 30.0


@pytest.mark.parametrize("date", ["Sat, 29 Nov 2025 09:20:00 GMT", ""])
def test_the_longest_wait_is_ten_years(date: str) -> None:
    """From the time of the reply, whether its `Date` says it or the clock."""
    for later_s, wait in ((0.0, 0.0), (-1.0, 0.0), (LONGEST_WAIT_S, LONGEST_WAIT_S), (LONGEST_WAIT_S + 1, None)):
        assert wait_s(f"{NOW + later_s:.0f}", now(date)) == wait
    assert wait_s(f"{LONGEST_WAIT_S:.0f}", now(date)) == LONGEST_WAIT_S
    moment = Now("Sat, 29 Nov 2025 09:20:00 GMT", unread)
    assert wait_s(f"{NOW + LONGEST_WAIT_S:.0f}", moment) == LONGEST_WAIT_S


@pytest.mark.parametrize(("length", "wait"), [(96, 20.0), (97, 30.0)])
def test_a_date_has_at_most_96_characters(length: int, wait: float) -> None:
    """The clock counts in place of a longer one."""
    date = "Sat, 29 Nov 2025 09:20:10 GMT ("
    assert wait_s("1764408030", now(f"{date}{'x' * (length - len(date) - 1)})")) == wait


@pytest.mark.parametrize("clock", [math.nan, math.inf, -math.inf])
def test_a_clock_that_gives_no_time_gives_no_wait(clock: float) -> None:
    """Never one that is not finite."""
    assert wait_s("1764408030", now(clock=clock)) in {None, 0.0}


def test_the_clock_is_read_for_moments_only() -> None:
    """A delay and a `Date` need none."""
    delay, moment = Now("", unread), Now("Sat, 29 Nov 2025 09:20:00 GMT", unread)
    assert wait_s("30", delay) == 30.0
    assert wait_s("1764408030", moment) == 30.0
    assert (delay.asked, moment.asked) == (False, True)


def test_a_list_is_split_at_commas_and_a_date_is_not() -> None:
    """Proxies join fields of one name."""
    assert elements("") == []
    assert elements("60") == ["60"]
    assert [text.strip() for text in elements("60, 0,7")] == ["60", "0", "7"]
    both = "Sat, 29 Nov 2025 09:20:30 GMT,Saturday, 29-Nov-25 09:20:30 GMT, 5"
    assert [wait_s(text, now()) for text in elements(both)] == [30.0, 30.0, 5.0]
    assert elements("1," * 5_000) == elements("1" * 5_000) == []
    assert elements("1" * 4_096) == ["1" * 4_096]
    assert elements("1" * 4_097) == []


@pytest.mark.parametrize(("commas", "count"), [(63, 64), (64, 0)])
def test_a_list_has_at_most_64_elements(commas: int, count: int) -> None:
    """As many as 32 dates with a comma each."""
    assert len(elements("1" + ",1" * commas)) == count


@pytest.mark.parametrize("text", ["XSat, 5", "\xa0Sat, 5", "Sat\xa0, 5", "Sat X, 5", "Sat1, 5", "none, 5", "S, 5"])
def test_what_is_no_weekday_is_an_element(text: str) -> None:
    """Only a weekday belongs to what follows its comma."""
    assert elements(text) == text.split(",")


def test_fields_of_one_name_are_one_list() -> None:
    """RFC 9110 5.3."""
    assert field_value(CIMultiDict([("A", "1"), ("b", "2"), ("a", "3")]), "A") == "1, 3"
    assert field_value({"A": "1"}, "A") == "1"


@pytest.mark.parametrize(
    ("text", "members"),
    [
        ("", []),
        ('"a;b,\\"c=";q=1;w="60"', [[("", 'a;b,\\"c='), ("q", "1"), ("w", "60")]]),
        ("limit=1, remaining = 2 ,reset=\t3", [[("limit", "1")], [("remaining", "2")], [("reset", "3")]]),
        ("10, 10;w=1; burst=2,,", [[("", "10")], [("", "10"), ("w", "1"), ("burst", "2")]]),
        ('x;pk=:dGVzdA==:;flag, "y"', [[("", "x"), ("pk", ":dGVzdA==:"), ("", "flag")], [("", "y")]]),
        ('x, "y=z" ;w=""', [[("", "x")], [("", "y=z"), ("w", "")]]),
        ("a=" + "1" * 4_094, [[("a", "1" * 4_094)]]),
        ("a=" + "1" * 4_095, []),
        ('x;q="1', []),
        ("a=1," * 2_000, []),
    ],
)
def test_lists_and_dictionaries_are_split_outside_quotes(text: str, members: list[list[tuple[str, str]]]) -> None:
    """RFC 9651, and somewhat more leniently."""
    assert parameters(text) == members


@given(text=st.text(), date=st.text())
def test_any_text_is_a_bounded_wait_or_none(text: str, date: str) -> None:
    """And nothing raises."""
    for found in (wait_s(text, now(date)), wait_from_ms(text), *(wait_s(part, now()) for part in elements(text))):
        assert found is None or 0.0 <= found <= LONGEST_WAIT_S
    parameters(text)
