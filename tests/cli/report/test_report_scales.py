from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.report.scales import brief, count_steps, duration_edges, poll_edges, time_steps

DURATIONS = st.floats(0, 4e9)
MOMENTS = st.floats(0, 2e9)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.05, "0.05 s"),
        (0.5, "0.5 s"),
        (30, "30 s"),
        (60, "1 min"),
        (75, "1:15"),
        (600, "10 min"),
        (3600, "1 h"),
        (5400, "1.5 h"),
        (86400, "24 h"),
        (5 * 86400, "5 d"),
    ],
)
def test_a_duration_on_an_axis(seconds: float, text: str) -> None:
    """A duration has a short form."""
    assert brief(seconds) == text


@given(st.integers(0, 10**12))
def test_counts_on_an_axis(most: int) -> None:
    """The steps begin at zero, are evenly spaced, do not exceed the count, and are at most six."""
    steps = count_steps(most)
    assert steps[0] == 0
    assert steps[-1] <= most
    assert len(steps) <= 6
    assert len({high - low for low, high in pairwise(steps)}) <= 1


@given(MOMENTS, st.floats(0.001, 2e9))
def test_times_on_an_axis(start: float, span: float) -> None:
    """The steps are between both ends, and at most ten."""
    steps = time_steps(start, start + span)
    assert len(steps) <= 10
    assert all(start - 1e-6 <= at <= start + span + 1 for at, _ in steps)


@pytest.mark.parametrize(
    ("start", "end", "texts"),
    [
        (1000.0, 1008.0, ["00:16:40", "00:16:41", "00:16:42"]),
        (0.0, 3600.0, ["1 Jan", "00:10", "00:20"]),
        (82800.0, 90000.0, ["23:00", "23:15", "23:30"]),
        (82800.0, 5 * 86400.0, ["2 Jan", "3 Jan", "4 Jan"]),
        (0.0, 9e8, ["Jan 1970", "Dec 1973", "Dec 1977"]),
    ],
)
def test_labels_of_times(start: float, end: float, texts: list[str]) -> None:
    """The labels are in seconds, minutes, days or years, by the length of the range. Midnight has the date."""
    assert [text for _, text in time_steps(start, end)][:3] == texts


@given(DURATIONS, DURATIONS, st.integers(6, 24))
def test_every_duration_is_in_a_bin(one: float, other: float, bins: int) -> None:
    """The edges rise and include both ends; there are at most 60."""
    shortest, longest = min(one, other), max(one, other)
    edges = duration_edges(shortest, longest, bins)
    assert edges == sorted(set(edges))
    assert edges[0] <= shortest
    assert longest <= edges[-1] * 1.000001
    assert 2 <= len(edges) <= 60


@given(st.integers(0, 10**9), st.integers(0, 10**9))
def test_every_number_of_requests_is_in_a_bin(one: int, other: int) -> None:
    """The edges rise and include both counts."""
    edges = poll_edges(min(one, other), max(one, other))
    assert edges == sorted(set(edges))
    assert edges[0] <= min(one, other)
    assert max(one, other) < edges[-1]


def test_similar_and_different_durations() -> None:
    """Similar durations get bins of equal width; very different ones get wider and wider bins."""
    widths = [high - low for low, high in pairwise(duration_edges(595.0, 640.0, 10))]
    assert len({round(width, 6) for width in widths}) == 1
    assert duration_edges(0.15, 50.0, 10)[:3] == [0.1, 0.2, 0.3]
