"""What a server says about time and limits, and what is garbage."""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pollwise.core.header_hints import HintReader, RateHints, ReplyHints, rate_hints, retry_after_s
from pollwise.core.header_values import LONGEST_WAIT_S

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
    assert retry_after_s({"Retry-After": headers["Retry-After"], "Date": headers["Date"]}, 0.0) == 30.0


@pytest.mark.parametrize(
    "fields",
    [
        {"X-RateLimit-Reset": "1445412450"},
        {"X-RateLimit-Reset": "Wed, 21 Oct 2015 07:27:30 GMT"},
        {"X-RateLimit-Reset": "1445412450, 1445412450"},  # from a server and its proxy
        {"X-RateLimit-Reset-After": "1445412450"},
        {"RateLimit": "limit=5, remaining=0, reset=1445412450"},
        {"RateLimit": '"all";r=0;t=1445412450'},
    ],
)
def test_a_reset_is_compared_with_the_servers_own_date(fields: dict[str, str]) -> None:
    """The window resets as many seconds after the reply as the server means, whatever our clock shows."""
    for our_clock in (0.0, NOW + 86_400.0):
        hints = rate_hints(CIMultiDict({**fields, "Date": "Wed, 21 Oct 2015 07:27:00 GMT"}), our_clock)
        assert hints is not None
        assert hints.reset_s == 30.0


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
        # the same fields as others spell them
        (
            {"X-Rate-Limit-Limit": "60", "x-rate-limit-remaining": "0", "X-Rate-Limit-Reset": str(int(NOW) + 30)},
            RateHints(limit=60, remaining=0, reset_s=30.0),
        ),
        (
            {
                "x-ratelimit-limit-requests": "5000",
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-reset-requests": "6m0s",
            },
            RateHints(limit=5000, remaining=0, reset_s=360.0),
        ),
        ({"x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "6m0s"}, None),
        (
            {
                "anthropic-ratelimit-requests-limit": "50",
                "anthropic-ratelimit-requests-remaining": "49",
                "anthropic-ratelimit-requests-reset": "2015-10-21T07:27:02Z",
                "anthropic-ratelimit-tokens-remaining": "0",
            },
            RateHints(limit=50, remaining=49, reset_s=2.0),
        ),
        (
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "Wed, 21 Oct 2015 07:27:30 GMT"},
            RateHints(remaining=0, reset_s=30.0),
        ),
        (
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 99}", "X-RateLimit-Reset-After": "1.25"},
            RateHints(remaining=0, reset_s=1.25),
        ),
        (
            {"X-RateLimit-Limit-Minute": "60", "X-RateLimit-Remaining-Minute": "0"},
            RateHints(limit=60, remaining=0, window_s=60.0),
        ),
        # policies in the same field, or in one of their own
        (
            {"RateLimit-Limit": "10, 10;w=1, 50;w=60", "RateLimit-Remaining": "9", "RateLimit-Reset": "1"},
            RateHints(limit=10, remaining=9, reset_s=1.0, window_s=1.0),
        ),
        (
            {
                "X-RateLimit-Limit": '15, 100;w=60;comment="a, b"',
                "X-RateLimit-Remaining": "15",
                "X-RateLimit-Reset": "40",
            },
            RateHints(limit=15, remaining=15, reset_s=40.0),
        ),
        (
            {"RateLimit-Limit": "0, 15;w=20", "RateLimit-Remaining": "0"},
            RateHints(limit=15, remaining=0, window_s=20.0),
        ),
        (
            {"RateLimit-Policy": "100;w=60, 10000;w=86400", "RateLimit": "limit=100, remaining=50, reset=5"},
            RateHints(limit=100, remaining=50, reset_s=5.0, window_s=60.0),
        ),
        ({"RateLimit-Policy": "10;w=1, 50;w=60"}, RateHints(limit=50, window_s=60.0)),
        ({"RateLimit": "limit=100;w=60, remaining=7;x"}, RateHints(limit=100, remaining=7, window_s=60.0)),
        (
            {"RateLimit-Policy": "100-in-1min; q=100; w=60", "RateLimit": "100-in-1min; r=99; t=60"},
            RateHints(limit=100, remaining=99, reset_s=60.0, window_s=60.0),
        ),
        # a part of it alone
        ({"X-RateLimit-Limit": "60"}, RateHints(limit=60)),
        ({"X-RateLimit-Limit-Minute": "60"}, RateHints(limit=60, window_s=60.0)),
        ({"X-RateLimit-Reset-Hour": "9"}, RateHints(reset_s=9.0, window_s=3600.0)),
        ({"X-RateLimit-Remaining-Minute": "many"}, None),
        ({"RateLimit": '"x";q=60;r=5'}, RateHints(limit=60, remaining=5)),
        ({"RateLimit-Policy": "limit=100;w=60"}, RateHints(limit=100, window_s=60.0)),
        ({"RateLimit-Policy": "10;window=60"}, RateHints(limit=10, window_s=60.0)),
        # no window is longer than ten years
        ({"RateLimit-Policy": "10;w=315576000"}, RateHints(limit=10, window_s=LONGEST_WAIT_S)),
        ({"RateLimit-Policy": "10;w=315576001"}, RateHints(limit=10)),
        # a policy without a name is of no limit that has one
        ({"RateLimit-Policy": "limit=9;qu=bytes", "RateLimit": '"";r=7'}, RateHints(remaining=7)),
    ],
)
def test_every_dialect_of_rate_limits_is_read(headers: dict[str, str], hints: RateHints | None) -> None:
    """The vendor's own fields, and the IETF draft's old and new ones."""
    assert rate_hints(CIMultiDict(headers), NOW) == hints


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        (  # what has nothing left for the longest time
            {
                "RateLimit": '"min";r=0;t=30, "hour";r=0;t=300',
                "RateLimit-Policy": '"min";q=60;w=60, "hour";q=1000;w=3600',
            },
            RateHints(limit=1000, remaining=0, reset_s=300.0, window_s=3600.0),
        ),
        (  # what has the fewest left
            {
                "RateLimit": '"min";r=50;t=30, "hour";r=7;t=300',
                "RateLimit-Policy": '"min";q=60;w=60, "hour";q=1000;w=3600',
            },
            RateHints(limit=1000, remaining=7, reset_s=300.0, window_s=3600.0),
        ),
        (  # what counts requests
            {
                "RateLimit": '"calls";r=7;t=3, "bytes";r=0;t=9',
                "RateLimit-Policy": '"calls";q=10;w=60, "bytes";q=65535;qu="content-bytes";w=10',
            },
            RateHints(limit=10, remaining=7, reset_s=3.0, window_s=60.0),
        ),
        (  # a server's and its proxy's
            {"X-RateLimit-Limit": "60, 60", "X-RateLimit-Remaining": "0, 0", "X-RateLimit-Reset": "30, 30"},
            RateHints(limit=60, remaining=0, reset_s=30.0),
        ),
        (  # each by its place
            {"X-RateLimit-Limit": "60, 100", "X-RateLimit-Remaining": "5, 0", "X-RateLimit-Reset": "30, 10"},
            RateHints(limit=100, remaining=0, reset_s=10.0),
        ),
        ({"X-RateLimit-Remaining": "5, 0", "X-RateLimit-Reset": "30, 10"}, RateHints(remaining=0, reset_s=10.0)),
        ({"X-RateLimit-Limit": "60, 100", "X-RateLimit-Remaining": "5, 0"}, RateHints(limit=100, remaining=0)),
        ({"X-RateLimit-Limit": "60, 100", "X-RateLimit-Reset": "10, 30"}, RateHints(limit=60, reset_s=10.0)),
        ({"X-RateLimit-Remaining-Minute": "5, 0"}, RateHints(remaining=0, window_s=60.0)),
        ({"X-RateLimit-Remaining": "5, 0", "X-RateLimit-Reset": "30"}, RateHints(remaining=0, reset_s=30.0)),
        ({"X-RateLimit-Remaining": "5, 0", "X-RateLimit-Reset-After": "2"}, RateHints(remaining=0, reset_s=2.0)),
        # a limit below what is left is another's
        ({"X-RateLimit-Remaining": "99", "RateLimit-Policy": "60;w=60"}, RateHints(remaining=99)),
        (
            {"X-RateLimit-Remaining": "60", "RateLimit-Policy": "60;w=60"},
            RateHints(limit=60, remaining=60, window_s=60.0),
        ),
        (  # of the fields of a minute and an hour, too
            {"X-RateLimit-Remaining-Minute": "0", "X-RateLimit-Remaining-Hour": "5", "X-RateLimit-Limit-Hour": "60"},
            RateHints(remaining=0, window_s=60.0),
        ),
        (  # nothing is left for longer where the end is known
            {"RateLimit": '"a";r=0;q=10, "b";r=0;q=20;t=0.5'},
            RateHints(limit=20, remaining=0, reset_s=0.5),
        ),
        (
            {
                "RateLimit": '"min";r=0;t=3000, "hour";r=0;t=300',
                "RateLimit-Policy": '"min";q=60;w=60, "hour";q=1000;w=3600',
            },
            RateHints(limit=60, remaining=0, reset_s=3000.0, window_s=60.0),
        ),
        (
            {
                "X-RateLimit-Limit": "5000",
                "X-RateLimit-Remaining": "4000",
                "RateLimit": "limit=60, remaining=0, reset=9",
            },
            RateHints(limit=60, remaining=0, reset_s=9.0),
        ),
        (
            {"RateLimit": "limit=60, remaining=5, reset=9, limit=10, remaining=0, reset=1"},
            RateHints(limit=10, remaining=0, reset_s=1.0),
        ),
    ],
)
def test_the_tightest_of_several_limits_is_reported(headers: dict[str, str], hints: RateHints) -> None:
    """Whole, never mixed with another."""
    assert rate_hints(CIMultiDict(headers), NOW) == hints


@pytest.mark.parametrize(
    ("headers", "hints"),
    [
        ({"X-RateLimit-Reset": "9" * 400, "RateLimit-Reset": "30"}, RateHints(reset_s=30.0)),
        ({"X-RateLimit-Remaining": "1e3", "RateLimit": '"x";r=7'}, RateHints(remaining=7)),
        ({"X-RateLimit-Remaining": "-1", "X-RateLimit-Limit": "9" * 11}, None),
        ({"RateLimit": "limit=60, remaining=0, reset=99999999999999999999999"}, RateHints(limit=60, remaining=0)),
        ({"RateLimit": "limit=60, remaining=0, reset=1764408030000000"}, RateHints(limit=60, remaining=0)),
        ({"RateLimit": f'"x";r=0;t={int(NOW + 30) * 10**6}'}, RateHints(remaining=0, reset_s=30.0)),
        ({"RateLimit": '"x";r=0;t=1e3;t2=5', "RateLimit-Policy": '"x";q=60;w=1e99'}, RateHints(limit=60, remaining=0)),
        ({"RateLimit": 'limit=60, remaining="0', "X-RateLimit-Limit": "unlimited"}, None),
    ],
)
def test_a_number_matches_whole_or_the_next_form_is_looked_at(headers: dict[str, str], hints: RateHints | None) -> None:
    """None is cut, and none is read beyond what could be meant."""
    assert rate_hints(CIMultiDict(headers), NOW) == hints


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after-ms": "1500", "Retry-After": "2"}, 1.5),
        ({"x-ms-retry-after-ms": "100"}, 0.1),
        ({"x-ms-retry-after-ms": "00:00:00.033", "Retry-After": "7"}, 0.033),
        ({"retry-after-ms": "soon", "x-ms-retry-after-ms": "1", "Retry-After": "7"}, 0.001),
        ({"retry-after-ms": "soon", "Retry-After": "7"}, 7.0),
        ({"X-RateLimit-Retry-After": "7", "Retry-After": "soon"}, 7.0),
        ({"Retry-After": "5, 120"}, 120.0),
        ({"Retry-After": "2015-10-21T07:28:00Z"}, 60.0),
        ({"Retry-After": "30s"}, 30.0),
        ({"Retry-After": "292.052427053"}, 292.052427053),
        ({"Retry-After": str(int(NOW) + 30)}, 30.0),
        ({"Retry-After": "Wed, 21 Oct 3015 07:28:00 GMT"}, None),
        ({"Retry-After": "400000000"}, None),
        ({"Retry-After": "9" * 400}, None),
    ],
)
def test_every_spelling_of_retry_after_is_read(headers: dict[str, str], seconds: float | None) -> None:
    """Milliseconds win, because a server that sends both has rounded the seconds up. Of several values the longest wins."""
    assert retry_after_s(CIMultiDict(headers), NOW) == seconds


def test_fields_that_come_twice_are_one_list() -> None:
    """In whatever case their names are."""
    headers = CIMultiDict(
        [("Retry-After", "5"), ("retry-after", "120"), ("RateLimit", '"a";r=7'), ("RateLimit", '"b";r=0')]
    )
    assert HintReader().read(headers, unread) == ReplyHints(120.0, RateHints(remaining=0))


def test_one_field_that_comes_twice_is_one_list() -> None:
    """A server and its proxy are both obeyed, where nothing else is said."""
    headers = CIMultiDict([("Content-Type", "text/html"), ("Retry-After", "5"), ("retry-after", "120")])
    assert HintReader().read(headers, unread) == ReplyHints(120.0)


def unread() -> float:
    raise AssertionError("the clock was read")


def test_a_reader_gives_what_each_reply_says() -> None:
    """However many it has read before: what it remembers is never taken for something newer."""
    reader = HintReader()
    plain = {"Content-Type": "application/json"}
    for _ in range(2):
        assert reader.read(CIMultiDict(plain), unread) is None
        for left in ("7", "many", "0"):
            said = reader.read(CIMultiDict({**plain, "X-RateLimit-Remaining": left}), unread)
            assert said == (ReplyHints(None, RateHints(remaining=int(left))) if left != "many" else None)
    for second in range(3):
        headers = CIMultiDict({"X-RateLimit-Reset": str(int(NOW) + 30)})
        assert reader.read(headers, lambda at=second: NOW + at) == ReplyHints(None, RateHints(reset_s=30.0 - second))


def test_a_reader_knows_which_replies_have_no_hints() -> None:
    """By the names of their fields; a caller need not read such a reply. Those of a reply with a hint are not among them."""
    reader = HintReader()
    reader.read({"Content-Type": "text/html"}, unread)
    reader.read({"Content-Type": "text/html", "Retry-After": "1"}, unread)
    reader.read({"Content-Type": "text/html", "X-RateLimit-Limit": "many"}, unread)
    assert reader.silent == {("Content-Type",)}


@pytest.mark.parametrize(
    ("names", "known"),
    [
        ([f"X-{n}" for n in range(64)], True),
        ([f"X-{n}" for n in range(65)], False),
        (["X" * 4_096], True),
        (["X" * 4_097], False),
        (["X" * 2_048, "Y" * 2_048], True),
        (["X" * 2_048, "Y" * 2_049], False),
    ],
)
def test_a_reader_remembers_at_most_64_names_and_4096_characters(names: list[str], *, known: bool) -> None:
    """Of one reply. Longer ones are read each time."""
    reader = HintReader()
    assert reader.read(dict.fromkeys(names, ""), unread) is None
    assert (tuple(names) in reader.silent) == known


def test_a_reader_remembers_64_kinds_of_replies() -> None:
    """Then it begins anew, with the kind that it reads now."""
    reader = HintReader()
    sizes = []
    for n in range(66):
        reader.read({f"X-{n}": ""}, unread)
        sizes.append(len(reader.silent))
    assert sizes == [*range(1, 65), 1, 2]


def test_a_reader_s_memory_is_bounded() -> None:
    """A server that makes up names and values does not fill it."""
    reader = HintReader()
    reader.read({f"X-{each}": "1" for each in range(5_000)} | {"Retry-After": "1"}, unread)
    reader.read({"X" * 50_000: "1", "Retry-After": "1" * 50_000}, unread)
    tracemalloc.start()
    try:
        for each in range(5_000):
            assert reader.read({f"X-{each}": "1", "Retry-After": "1"}, unread) == ReplyHints(1.0)
        for each in range(5_000):
            assert reader.read({"Retry-After": str(each)}, unread) == ReplyHints(float(each))
        assert tracemalloc.get_traced_memory()[0] < 200_000
    finally:
        tracemalloc.stop()


_LIKELY = st.text('0123456789.,;:="\\-+ TZtrqwhmsdepu\t', max_size=80)
_DATES = st.datetimes().map(lambda at: at.strftime("%a, %d %b %Y %H:%M:%S GMT"))
_NUMBERS = st.integers(-(10**30), 10**30).map(str) | st.floats().map(str)
_STRUCTURED = st.builds(
    "{}{};{}={}, {}={}".format, st.sampled_from(['"a"', "b", "10", ""]), st.just(""),
    st.sampled_from("rtqw"), _NUMBERS, st.sampled_from(["limit", "remaining", "reset"]), _NUMBERS,
)  # fmt: skip
_VALUES = st.one_of(
    st.text(), st.binary().map(lambda raw: raw.decode("latin-1")), _LIKELY, _DATES, _NUMBERS, _STRUCTURED
)
_LONG = st.builds(lambda text, times: (text * times)[:65_536], _VALUES, st.sampled_from([1, 1, 1, 2, 3, 100, 65_536]))
_NAMES = st.sampled_from(
    [
        *("Retry-After", "retry-after-ms", "X-MS-Retry-After-Ms", "Date", "RateLimit", "RateLimit-Policy"),
        *("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "x-ratelimit-reset-after"),
        *("RateLimit-Limit", "ratelimit-remaining", "RATELIMIT-RESET", "X-Rate-Limit-Reset", "X-RateLimit-Limit-Hour"),
        *("x-ratelimit-limit-requests", "x-ratelimit-remaining-requests", "x-ratelimit-reset-requests"),
    ]
)


@given(fields=st.lists(st.tuples(_NAMES, _LONG), max_size=6), wall_now=st.floats())
def test_no_header_text_is_more_than_a_bounded_hint(fields: list[tuple[str, str]], wall_now: float) -> None:
    """Whatever stands in any field: nothing raises, waits are bounded, counts are counts, and twice read is the same."""
    reader, headers = HintReader(), CIMultiDict(fields)
    hints = reader.read(headers, lambda: wall_now)
    assert reader.read(headers, lambda: wall_now) == hints
    if hints is None:
        return
    assert hints.retry_after_s is None or 0.0 <= hints.retry_after_s <= LONGEST_WAIT_S
    rate = hints.rate or RateHints()
    assert rate.limit is None or 1 <= rate.limit <= 10**9
    assert rate.remaining is None or 0 <= rate.remaining <= 10**9
    assert rate.reset_s is None or 0.0 <= rate.reset_s <= LONGEST_WAIT_S
    assert rate.window_s is None or 0.0 < rate.window_s <= LONGEST_WAIT_S
    assert hints != ReplyHints()


@pytest.mark.parametrize(
    "piece", ["1", "1,", '"', '\\"', '"\\', "a=", "a;", " ", "1m", "9:", "Mon,", "P", "0.", '"x";r=1,']
)
@pytest.mark.parametrize(
    "name", ["Retry-After", "retry-after-ms", "X-RateLimit-Reset", "X-RateLimit-Limit", "RateLimit", "Date"]
)
def test_text_that_is_far_too_long_is_absent(name: str, piece: str) -> None:
    """It is not parsed at all, so it costs no time."""
    text = (piece * 65_536)[:65_536]
    assert HintReader().read(CIMultiDict({"Retry-After": "soon", name: text}), unread) is None


class NamesRepeated(CIMultiDict[str]):
    """Names a repeated field each time, as releases of multidict have done."""

    def __iter__(self) -> Iterator[str]:
        return iter([name for name, _ in self.items()])


def test_repeated_names_are_one_list_too() -> None:
    """Whatever the mapping makes of them."""
    headers = NamesRepeated([("Retry-After", "5"), ("X", "1"), ("retry-after", "7")])
    assert len(tuple(headers)) == 3
    assert HintReader().read(headers, unread) == ReplyHints(7.0)
