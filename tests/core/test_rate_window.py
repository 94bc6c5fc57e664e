"""The length of a window: learnt from its resets, which are in whole seconds, and corrected."""

from __future__ import annotations

import math

import pytest

from pollwise.core.rate_window import Window


def sent(times: list[float], limit: int) -> Window:
    window = Window()
    for at in times:
        window.on_request(at, limit)
    return window


def seen(window: Window, now: float, reset_s: float, per_s: float | None = None) -> float | None:
    return window.on_reset(now, reset_s, limit=2, per_s=per_s, too_short=False)


def test_a_reset_in_whole_seconds_is_rounded_up() -> None:
    """The window ends within that second, not at its end."""
    assert seen(sent([0.0, 0.98], 2), 0.98, 1.0) == 1.0
    assert seen(sent([0.0, 0.5], 2), 0.98, 0.02) == pytest.approx(1.0)
    assert seen(sent([0.0, 0.0], 2), 0.05, 60.0) == 60.0


def test_a_window_begins_with_the_oldest_of_its_requests() -> None:
    """Whenever that was."""
    assert seen(sent([5.0, 7.0, 8.0], 2), 8.0, 20.0) == 21.0


@pytest.mark.parametrize(("limit", "kept"), [(2, 2), (10_001, 10_001), (None, 10_000)])
def test_the_times_of_as_many_requests_as_the_limit_are_kept(limit: int | None, kept: int) -> None:
    """Of ten thousand while the limit is not known, so the memory has a bound."""
    window = Window()
    for at in range(10_002):
        window.on_request(at, limit)
        window.on_reply(at, limit)
    assert list(window.sent) == list(window.answered) == list(range(10_002 - kept, 10_002))


def test_the_longest_length_counts() -> None:
    """Our first request may have come late in a window."""
    window = sent([0.0, 0.0], 2)
    assert seen(window, 0.0, 20.0) == 20.0
    assert seen(window, 0.0, 60.0, per_s=20.0) == 60.0
    assert seen(window, 0.0, 60.0, per_s=60.0) is None
    assert seen(window, 0.0, 20.0, per_s=60.0) is None


def test_fewer_requests_than_the_limit_show_nothing() -> None:
    """Others began the window."""
    assert seen(sent([0.0], 2), 0.0, 20.0) is None


def test_a_shorter_window_is_tried_and_taken_back() -> None:
    """Only where all places were taken, and never again once it was refused."""
    window = sent([0.0, 0.0], 2)
    window.use(3.0, 0.0)
    assert window.shorten_at == 12.0
    assert window.shorter(3.0, 12.0) is None
    assert window.shorten_at == 24.0
    window.pressed = True
    assert window.shorter(3.0, 24.0) == 2.0
    window.use(2.0, 24.0)
    assert window.on_reset(25.0, 1.0, limit=2, per_s=2.0, too_short=True) == 3.0
    window.use(3.0, 25.0)
    assert window.shorten_at == math.inf


def test_a_window_whose_places_were_never_all_taken_is_not_shortened() -> None:
    """Nothing shows that it is too long."""
    assert Window().shorter(3.0, 0.0) is None


@pytest.mark.parametrize(
    ("per_s", "shorter_s"),
    [(0.5, None), (1.0, None), (1.5, 1.0), (2.0, 1.0), (21.0, 20.0), (21.5, None), (60.0, None)],
)
def test_a_second_or_a_minute_is_not_shortened(per_s: float, shorter_s: float | None) -> None:
    """There is nothing to gain. A window of two to 21 s is tried with a second less."""
    window = Window()
    window.pressed = True
    assert window.shorter(per_s, 0.0) == shorter_s
