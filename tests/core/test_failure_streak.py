"""What a watch remembers while something is wrong."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.failure_streak import FailureStreak
from pollwise.core.pacing import Retry
from pollwise.model.reading import Phase, Reading

RETRY = Retry(outage_s=600.0, min_failures=3)


def unsure(phase: Phase = Phase.FAILED) -> Reading[str]:
    return Reading(status="s", phase=phase, unconfirmed=True)


@given(st.lists(st.floats(0, 500), min_size=1, max_size=60))
def test_an_outage_needs_time_and_polls(waits: list[float]) -> None:
    """Neither many polls nor a long time alone outlasts; and the moment is foretold."""
    streak, now, began = FailureStreak(), 0.0, waits[0]
    for n, wait in enumerate(waits, 1):
        now += wait
        foretold = streak.ends_at(RETRY)
        streak.on_failure(now)
        assert streak.outlasts(RETRY, now) == (n >= 3 and now >= began + 600.0)
        assert streak.outlasts(RETRY, now) == (foretold is not None and now >= foretold)


def test_the_pause_of_a_429_is_left_out() -> None:
    """It moves the beginning of the outage."""
    streak = FailureStreak()
    streak.on_pause(50.0)  # before there is an outage it moves nothing
    streak.on_failure(0.0)
    streak.on_pause(100.0)
    streak.on_failure(350.0)
    streak.on_failure(699.0)
    assert not streak.outlasts(RETRY, 699.0)
    assert streak.outlasts(RETRY, 700.0)


def test_a_good_reading_ends_it() -> None:
    """Nothing is needed any more, unless an end is being confirmed or was contradicted."""
    streak = FailureStreak()
    streak.on_failure(0.0)
    streak.on_good_poll()
    assert (streak.failures, streak.failing_since, streak.is_needed) == (0, None, False)
    streak.on_unconfirmed(unsure(), 1.0)
    assert streak.is_needed
    streak.on_running()
    assert (streak.unconfirmed, streak.flaps, streak.is_needed) == (0, 1, True)


def test_an_end_of_another_kind_begins_anew() -> None:
    """Another phase, or another unknown word."""
    streak = FailureStreak()
    assert streak.on_unconfirmed(unsure(), 1.0)
    assert not streak.on_unconfirmed(unsure(), 2.0)
    assert (streak.unconfirmed, streak.looked_over_at, streak.flaps) == (2, 1.0, 0)
    assert streak.on_unconfirmed(unsure(Phase.CANCELLED), 3.0)
    assert (streak.unconfirmed, streak.looked_over_at, streak.flaps) == (1, 3.0, 1)
    words = [Reading(status="s", phase=Phase.RUNNING, unconfirmed=True, unknown=word) for word in ("a=1", "a=2")]
    assert streak.on_unconfirmed(words[0], 4.0)
    assert streak.on_unconfirmed(words[1], 5.0)
    assert not streak.on_unconfirmed(words[1], 6.0)


@pytest.mark.parametrize("failures", [0, 1])
def test_the_next_poll_ends_a_watch_only_with_enough_failures(failures: int) -> None:
    """With three needed, the second failure in a row is the one after which the next may end it."""
    streak = FailureStreak()
    for n in range(failures + 1):
        streak.on_failure(float(n))
    assert streak.ends_at(RETRY) == (600.0 if failures else None)


def test_pauses_add_up() -> None:
    """Each moves the beginnings of the outage and of the grace on."""
    streak = FailureStreak()
    streak.not_found_since = 10.0
    streak.on_failure(100.0)
    streak.on_pause(5.0)
    streak.on_pause(7.0)
    assert (streak.failing_since, streak.not_found_since) == (112.0, 22.0)


def test_a_good_reading_forgets_renewals_and_earlier_processes() -> None:
    """The next refusal of the credentials renews them again."""
    streak = FailureStreak()
    streak.refused = streak.stale = streak.visible = True
    streak.on_good_poll()
    assert (streak.refused, streak.stale, streak.visible) == (False, False, False)


@pytest.mark.parametrize(("flaps", "polls", "over_s"), [(0, 3, 60.0), (1, 9, 240.0), (2, 17, 480.0), (5, 17, 480.0)])
def test_doubt_asks_for_more_polls_over_more_time(flaps: int, polls: int, over_s: float) -> None:
    """Four times as many after the first contradiction, then eight times."""
    streak = FailureStreak()
    streak.flaps = flaps
    for n in range(polls):
        assert not streak.is_confirmed(2, 60.0, 1e9)
        streak.on_unconfirmed(unsure(), 100.0 + n)
    assert not streak.is_confirmed(2, 60.0, 100.0 + over_s - 0.001)
    assert streak.is_confirmed(2, 60.0, 100.0 + over_s)


def test_probes_of_other_watches_count_until_the_host_has_answered() -> None:
    """Then only the failures of the watch itself are left, from the first of them on."""
    streak = FailureStreak()
    streak.on_failure(100.0, own=False)
    streak.on_failure(110.0)
    streak.on_failure(120.0, own=False)
    streak.failed = 3
    assert (streak.failures, streak.failing_since, streak.failed_at) == (3, 100.0, 120.0)
    streak.on_host_answer()
    assert (streak.failures, streak.failed, streak.failing_since) == (1, 1, 110.0)
    streak.on_host_answer()
    assert (streak.failures, streak.failed, streak.failing_since) == (1, 1, 110.0)


def test_an_outage_that_other_watches_have_seen_alone_ends_with_an_answer() -> None:
    """The watch was not asked, so nothing is known against its job."""
    streak = FailureStreak()
    streak.on_failure(100.0, own=False)
    streak.on_host_answer()
    assert (streak.failures, streak.failing_since) == (0, None)
    assert streak.ends_at(Retry(outage_s=600.0, min_failures=1)) is None
