"""The steps of axes: round numbers."""

from __future__ import annotations

import math
from bisect import bisect_right
from collections.abc import Sequence

from pollwise.durable.codec import utc_datetime

__all__ = ["brief", "count_steps", "duration_edges", "poll_edges", "time_steps"]

_SECOND_STEPS = (1, 2, 5, 10, 15, 30)
_STEPS = (
    *(0.01, 0.02, 0.05, 0.1, 0.2, 0.5),
    *_SECOND_STEPS,
    *(60 * step for step in _SECOND_STEPS),
    *(3600 * step for step in (1, 2, 3, 6, 12)),
    *(86400 * step for step in (1, 2, 5, 10, 30, 90, 365)),
)
_LADDER = (
    *(0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 1.5, 2.0, 3.0, 5.0, 7.0, 10.0, 15.0, 20.0, 30.0, 45.0),
    *(60.0 * step for step in (1, 1.5, 2, 3, 4, 5, 7, 10, 15, 20, 30, 45)),
    *(3600.0 * step for step in (1, 1.5, 2, 3, 4, 6, 8, 12)),
    *(86400.0 * step for step in (1, 1.5, 2, 3, 5, 7, 10, 20, 30, 90, 365, 3650, 36500)),
)
_POLL_LADDER = (0, 1, 2, 3, 4, 5, 6, 8, 11, 16, 21, 31, 51, 101, 201, 501, 1_001, 2_001, 5_001, 10_001)
_NARROW = 12  # values that differ by no more than this factor get bins of equal width


def brief(seconds: float) -> str:
    """A round number of seconds in a short form for an axis: `0.5 s`, `30 s`, `1:15`, `2 min`, `3 h`, `5 d`."""
    if seconds < 60:
        return f"{seconds:g} s"
    if seconds < 3600:
        minutes, rest = divmod(round(seconds), 60)
        return f"{minutes}:{rest:02}" if rest else f"{minutes} min"
    if seconds < 2 * 86400:
        return f"{round(seconds / 3600, 2):g} h"
    return f"{round(seconds / 86400, 2):g} d"


def count_steps(most: int, lines: int = 4) -> list[int]:
    """Round counts from 0 up to about `most`."""
    rough = max(1.0, most / lines)
    size = 10 ** math.floor(math.log10(rough))
    step = int(next(size * times for times in (1, 2, 5, 10) if size * times >= rough))
    return list(range(0, most + 1, step))


def time_steps(start: float, end: float, most: int = 8) -> list[tuple[float, str]]:
    """Round times in UTC between two Unix times, with their labels."""
    rough = max(1.0, (end - start) / most)
    step = next((step for step in _STEPS if step >= rough), math.ceil(rough / 31_536_000) * 31_536_000)
    first = math.ceil(start / step) * step
    return [(at, _moment(at, step)) for at in (first + number * step for number in range(most + 2)) if at <= end]


def _moment(at: float, step: float) -> str:
    moment = utc_datetime(at)
    if step >= 86400 or (moment.hour, moment.minute, moment.second) == (0, 0, 0):
        return f"{moment.day} {moment:%b}" if step < 31_536_000 else f"{moment:%b %Y}"
    return f"{moment:%H:%M:%S}" if step < 60 else f"{moment:%H:%M}"


def duration_edges(shortest: float, longest: float, bins: int) -> list[float]:
    """The edges of the bins for durations between these two.

    Similar durations get about `bins` bins of equal width. Otherwise each bin is wider than the one before, as on a
    logarithmic scale. A negative duration counts as 0.
    """
    shortest, longest = max(0.0, shortest), max(0.0, longest)
    if shortest > 0 and longest / shortest <= _NARROW and longest > shortest:
        wanted = (longest - shortest) / bins
        step = next((step for step in _STEPS if step >= wanted), None)
        if step is not None:
            first = math.floor(shortest / step)
            return [round(number * step, 6) for number in range(first, math.floor(longest / step) + 2)]
    first = bisect_right(_LADDER, shortest) - 1
    return [*_LADDER[max(0, first) : bisect_right(_LADDER, longest)], _above(_LADDER, longest)]


def poll_edges(fewest: int, most: int) -> list[int]:
    """The first count of each bin for numbers of polls between these two, and the end of the last bin."""
    first = bisect_right(_POLL_LADDER, fewest) - 1
    return [*_POLL_LADDER[first : bisect_right(_POLL_LADDER, most)], int(_above(_POLL_LADDER, most))]


def _above(ladder: Sequence[float], value: float) -> float:
    place = bisect_right(ladder, value)
    return ladder[place] if place < len(ladder) else value + 1
