"""What a server says about time and limits, and what is garbage."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pollwise.core.hints import RateHints, rate_hints, retry_after_s

NOW = 1_445_412_420.0  # Wed, 21 Oct 2015 07:27:00 GMT


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        ("0", 0.0),
        (" 7 ", 7.0),
        ("1.5", 1.5),
        ("Wed, 21 Oct 2015 07:28:00 GMT", 60.0),
        ("Wednesday, 21-Oct-15 07:28:00 GMT", 60.0),
        ("Wed Oct 21 07:28:00 2015", 60.0),
        ("Wed, 21 Oct 2015 07:00:00 GMT", 0.0),
        ("-5", None),
        ("soon", None),
        ("", None),
        ("inf", None),
        ("nan", None),
        ("1e9", None),
        ("٣", None),
        ("Wed, 99 Foo 2015 07:28:00 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date(value: str, seconds: float | None) -> None:
    """Zero or a past date means now; garbage means absent (RFC 9110 10.2.3)."""
    assert retry_after_s(CIMultiDict({"Retry-After": value}), NOW) == seconds


def test_a_date_is_compared_with_the_servers_own() -> None:
    """A wrong clock on either side does not change how long to wait."""
    headers = CIMultiDict(
        {"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT", "date": "Wed, 21 Oct 2015 07:27:30 GMT"},
    )
    assert retry_after_s(headers, 0.0) == 30.0


def test_nothing_said_is_nothing_known() -> None:
    """A reply without the fields gives None."""
    assert retry_after_s(CIMultiDict(), NOW) is None
    assert rate_hints(CIMultiDict(), NOW) is None


@pytest.mark.skipif(not hasattr(time, "tzset"), reason="this system has one zone for the whole machine")
@pytest.mark.parametrize("zone", ["EST5", "JST-9"])
def test_a_date_that_names_no_zone_is_in_gmt(zone: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """As all dates of HTTP are, wherever we are."""
    monkeypatch.setenv("TZ", zone)
    time.tzset()
    try:
        assert retry_after_s({"Retry-After": "Wed Oct 21 07:28:00 2015"}, NOW) == 60.0
    finally:
        monkeypatch.undo()
        time.tzset()


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        ({"X-RateLimit-Remaining": "59"}, RateHints(remaining=59)),
        (
            {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "12"},
            RateHints(limit=60, remaining=0, reset_s=12.0),
        ),
        ({"X-RateLimit-Reset": str(int(NOW) + 30)}, RateHints(reset_s=30.0)),
        ({"X-RateLimit-Reset": str(int(NOW + 30) * 1000)}, RateHints(reset_s=30.0)),
        ({"X-RateLimit-Reset": str(int(NOW) - 30)}, RateHints(reset_s=0.0)),
        ({"RateLimit": "limit=100, remaining=50, reset=5"}, RateHints(limit=100, remaining=50, reset_s=5.0)),
        (
            {"RateLimit-Policy": '"default";q=100;w=60', "RateLimit": '"default";r=50;t=30'},
            RateHints(limit=100, remaining=50, reset_s=30.0, window_s=60.0),
        ),
        (
            {"RateLimit-Limit": "10", "RateLimit-Remaining": "3", "RateLimit-Reset": "50"},
            RateHints(limit=10, remaining=3, reset_s=50.0),
        ),
        ({"X-RateLimit-Remaining": "many"}, None),
        ({"X-RateLimit-Limit": "0", "X-RateLimit-Remaining": "1"}, RateHints(remaining=1)),
    ],
)
def test_every_dialect_of_rate_limits_is_read(headers: dict[str, str], hints: RateHints | None) -> None:
    """The vendor's own fields, and the IETF draft's old and new ones."""
    assert rate_hints(CIMultiDict(headers), NOW) == hints


@given(st.text(), st.sampled_from(["Retry-After", "Date", "RateLimit", "RateLimit-Policy", "X-RateLimit-Reset"]))
def test_garbage_never_makes_anything_fail(value: str, name: str) -> None:
    """Any text in any of the fields gives a number of at least 0, or nothing."""
    headers = CIMultiDict({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT", name: value})
    assert (retry_after_s(headers, NOW) or 0.0) >= 0.0
    rate_hints(headers, NOW)
