"""Header text as numbers, waits and moments.

Rule 1: a text matches whole or is absent (None). Nothing here raises, except what the caller's clock raises.
Rule 2: a wait is between 0 and ten years. A past moment is 0; whatever is longer than ten years is absent.
Rule 3: text that is too long is absent before anything parses it, so the work is linear in the length.
Rule 4: the clock is read only where a text names a moment.

Sources: RFC 9110 (5.6.7 dates, 10.2.3 Retry-After), RFC 3339, RFC 9651 (items and parameters), the Go duration format.
"""

from __future__ import annotations

import re
from calendar import monthrange, timegm
from collections.abc import Callable, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Final

__all__ = [
    "LONGEST_WAIT_S",
    "Now",
    "count",
    "elements",
    "field_value",
    "moment",
    "number",
    "parameters",
    "wait_from_ms",
    "wait_s",
]

LONGEST_WAIT_S: Final = 315_576_000.0  # ten years
_LARGEST_COUNT: Final = 1e9
_LONGEST_ELEMENT: Final = 96
_LONGEST_LIST: Final = 4_096
_MOST_ELEMENTS: Final = 32

_NUMBER = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,20})?")
_STEP = re.compile(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|us|µs|μs|ns|[dhms])")
_STEP_S: Final = {
    "d": 86_400.0, "h": 3_600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ns": 1e-9
}  # fmt: skip
_ISO_DURATION = re.compile(r"p(?=[0-9t])([0-9]{1,5}d)?(?:t((?:[0-9.]+[hms])+))?", re.IGNORECASE)
_CLOCK = re.compile(r"([0-9]{1,5}):([0-5][0-9]):([0-5][0-9](?:\.[0-9]{1,9})?)")
_ISO_DATE = re.compile(
    r"([0-9]{4})-([0-9]{2})-([0-9]{2})[Tt ]([0-9]{2}):([0-9]{2})(?::([0-9]{2}(?:\.[0-9]{1,12})?))?"
    r" ?(?:[Zz]|UTC|GMT|([+-])([0-9]{2}):?([0-9]{2}))?"
)
_WEEKDAYS: Final = frozenset({"mon", "tue", "wed", "thu", "fri", "sat", "sun"})
_PIECE = re.compile(r'"(?:[^"\\]|\\.)*"|[^",;]+|[,;"]')

# A number from here on is an epoch. As a delay it would be 31 years or more; as an epoch it is 2001 to 5138 in seconds,
# and from 1973 on in milliseconds, microseconds and nanoseconds.
_EPOCHS: Final = ((1e17, 1e9), (1e14, 1e6), (1e11, 1e3), (1e9, 1.0))


class Now:
    """The time at which one reply was sent: its `Date`, or the caller's clock where that is no use.

    Args:
        date: The value of the reply's `Date`, or an empty text.
        clock: Returns epoch seconds.

    Attributes:
        asked: Whether a text named a moment, so that the same text means another wait later.
    """

    __slots__ = ("_clock", "_date", "asked")

    def __init__(self, date: str, clock: Callable[[], float]) -> None:
        self._date = date
        self._clock = clock
        self.asked = False

    def until_s(self, until: float, /) -> float | None:
        """Seconds until this moment (epoch seconds): 0 if it is past, None if it is too far away to be meant."""
        self.asked = True
        sent = moment(self._date)
        if sent is not None and abs(until - sent) <= LONGEST_WAIT_S:
            return max(0.0, until - sent)
        wait = until - self._clock()  # a `Date` that is years away from the moment is a machine without a clock
        return max(0.0, wait) if wait <= LONGEST_WAIT_S else None


# --- one value --------------------------------------------------------------------------------


def number(text: str) -> float | None:
    """A number without a sign and an exponent, or None."""
    return float(text) if _NUMBER.fullmatch(text) else None


def count(text: str) -> int | None:
    """A number of requests, or None."""
    value = number(text.strip(" \t"))
    return int(value) if value is not None and value <= _LARGEST_COUNT else None


def wait_s(text: str, now: Now) -> float | None:
    """Seconds to wait: from a number of seconds, an epoch, a duration, an ISO 8601 date or an HTTP date."""
    text = text.strip(" \t")
    if len(text) > _LONGEST_ELEMENT:
        return None
    value = number(text)
    if value is None:
        value = _duration_s(text)
    elif value >= _EPOCHS[-1][0]:
        return now.until_s(value / next(a_second for least, a_second in _EPOCHS if value >= least))
    if value is not None:
        return value if value <= LONGEST_WAIT_S else None
    until = _date(text)
    return None if until is None else now.until_s(until)


def wait_from_ms(text: str) -> float | None:
    """Seconds to wait: from a number of milliseconds, or a duration that names its units."""
    text = text.strip(" \t")
    if len(text) > _LONGEST_ELEMENT:
        return None
    value = number(text)
    value = _duration_s(text) if value is None else value / 1_000
    return value if value is not None and value <= LONGEST_WAIT_S else None


def moment(text: str) -> float | None:
    """Epoch seconds of an ISO 8601 or HTTP date, or None."""
    return _date(text) if 0 < len(text) <= _LONGEST_ELEMENT else None


def _duration_s(text: str) -> float | None:
    """`6m0s` and `250ms` as Go writes them, `PT30S` (ISO 8601), `00:00:00.033` (.NET)."""
    clock = _CLOCK.fullmatch(text)
    if clock:
        return float(clock[1]) * 3_600 + float(clock[2]) * 60 + float(clock[3])
    iso = _ISO_DURATION.fullmatch(text)
    if iso:
        text = (iso[1] or "") + (iso[2] or "")
    total, at, text = 0.0, 0, text.lower()
    while at < len(text):
        step = _STEP.match(text, at)
        if step is None:
            return None
        total += float(step[1]) * _STEP_S[step[2]]
        at = step.end()
    return total if at else None


@lru_cache(maxsize=64)  # the replies of one second have the same `Date`
def _date(text: str) -> float | None:
    """Epoch seconds of an ISO 8601 or HTTP date; one without a zone is in GMT."""
    iso = _ISO_DATE.fullmatch(text)
    if iso:
        return _iso_epoch(iso)
    if not text.isascii():
        return None
    try:  # JavaScript writes GMT+0100, of which email.utils drops the offset
        at = parsedate_to_datetime(text.replace("GMT+", "+").replace("GMT-", "-"))
        return at.timestamp() if at.tzinfo else float(timegm(at.timetuple()))
    except (ValueError, TypeError, IndexError, OverflowError, OSError):
        return None


def _iso_epoch(iso: re.Match[str]) -> float | None:
    year, month, day, hour, minute = (int(part) for part in iso.group(1, 2, 3, 4, 5))
    second = float(iso[6] or 0)
    if not (year >= 1 and 1 <= month <= 12 and hour < 24 and minute < 60 and second < 61):
        return None
    if not 1 <= day <= monthrange(year, month)[1]:
        return None
    east_s = 0 if iso[7] is None else int(f"{iso[7]}1") * (int(iso[8]) * 3_600 + int(iso[9]) * 60)
    return timegm((year, month, day, hour, minute, 0)) + second - east_s


# --- several values ---------------------------------------------------------------------------


def field_value(headers: Mapping[str, str], name: str) -> str:
    """The whole value of a field: fields of the same name are one list (RFC 9110 5.3)."""
    getall: Callable[[str], list[str]] | None = getattr(headers, "getall", None)
    return headers[name] if getall is None else ", ".join(getall(name))


def elements(text: str) -> list[str]:
    """The comma-separated elements of a value; a weekday stays with its date. None if the value is too long."""
    if not 0 < len(text) <= _LONGEST_LIST:
        return []
    if "," not in text:
        return [text]
    parts = text.split(",")
    if len(parts) > 2 * _MOST_ELEMENTS:
        return []
    found: list[str] = []
    weekday = ""
    for part in parts:
        word = part.strip(" \t")
        if word[:3].lower() in _WEEKDAYS and word.isalpha():
            weekday = f"{part},"
        else:
            found.append(weekday + part)
            weekday = ""
    return found


def parameters(text: str) -> list[list[tuple[str, str]]]:
    """A list or dictionary of RFC 9651 as members, each its bare item and its parameters.

    Each is a pair of key and value, without quotes; a bare item that is no `key=value` has an empty key. Lenient about
    spaces and about a value in quotes; a quote that does not end makes all of it absent.
    """
    if len(text) > _LONGEST_LIST:
        return []
    members: list[list[tuple[str, str]]] = [[]]
    item = ""
    for match in _PIECE.finditer(f"{text},"):
        piece = match[0]
        if piece == '"':
            return []
        if piece not in {",", ";"}:
            item += piece
            continue
        key, equals, value = item.partition("=")
        if not equals or item.lstrip().startswith('"'):
            key, value = "", item
        if equals or item.strip():
            members[-1].append((key.strip().lower(), _bare(value)))
        item = ""
        if piece == ",":
            members.append([])
    return [member for member in members if member][:_MOST_ELEMENTS]


def _bare(text: str) -> str:
    text = text.strip()
    return text[1:-1] if len(text) >= 2 and text[0] == text[-1] == '"' else text
