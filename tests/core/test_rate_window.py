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


def test_the_longest_length_counts() -> None:
    """Our first request may have come late in a window."""
    window = sent([0.0, 0.0], 2)
    assert seen(window, 0.0, 20.0) == 20.0
    assert seen(window, 0.0, 60.0, per_s=20.0) == 60.0
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
    window.pressed = True
    assert window.shorter(3.0, 24.0) == 2.0
    window.use(2.0, 24.0)
    assert window.on_reset(25.0, 1.0, limit=2, per_s=2.0, too_short=True) == 3.0
    window.use(3.0, 25.0)
    assert window.shorten_at == math.inf


@pytest.mark.parametrize("per_s", [0.5, 1.0, 60.0])
def test_a_second_or_a_minute_is_not_shortened(per_s: float) -> None:
    """There is nothing to gain."""
    window = Window()
    window.pressed = True
    assert window.shorter(per_s, 0.0) is None
