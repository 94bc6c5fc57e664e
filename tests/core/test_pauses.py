"""Pauses: one probe first, bursts that count once, and refusals that other replies contradict."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest

from pollwise.core.pauses import End, Pause


def refuse(
    pause: Pause, permit: int, *, sent: int, in_flight: int, wait_s: float | None = None, now: float = 0.0
) -> bool:
    return pause.on_refusal(permit, now, wait_s, sent=sent, in_flight=in_flight, least_s=0.0)


def go(pause: Pause, now: float, permit: int) -> int:
    """How many of three requests go now, the first of them with this permit."""
    for count in range(3):
        if pause.on and pause.available_at(now) > now:
            return count
        pause.acquire(permit + count)
    return 3


def test_one_request_goes_first() -> None:
    """The others go when it was answered, also at once."""
    pause = Pause()
    refuse(pause, 1, sent=1, in_flight=0, wait_s=5.0)
    assert pause.available_at(4.0) == 5.0
    assert pause.available_at(5.0) == 5.0
    pause.acquire(2)
    assert pause.available_at(5.0) == math.inf
    assert pause.on_reply(2, 5.0) is End.PROBED
    assert not pause.on
    assert go(pause, 5.0, 3) == 3


def test_the_refusals_of_one_burst_count_once() -> None:
    """All were sent before the first of them came back."""
    pause = Pause()
    assert [refuse(pause, permit, sent=4, in_flight=4 - permit) for permit in (1, 2, 3, 4)] == [
        True,
        False,
        False,
        False,
    ]
    assert pause.probes == 1
    assert pause.available_at(0.0) == 0.25


@pytest.mark.parametrize(("refusals", "wait_s"), [(1, 1 / 64), (2, 1 / 64), (3, 0.25)])
def test_a_burst_of_two_refusals_is_probed_almost_at_once(refusals: int, wait_s: float) -> None:
    """It shows nothing, and three refusals do. The last reply of the burst decides."""
    pause = Pause()
    for permit in range(1, refusals + 1):
        assert pause.available_at(0.0) == (0.25 if permit > 1 else 0.0)
        refuse(pause, permit, sent=refusals, in_flight=refusals - permit)
    assert pause.available_at(0.0) == wait_s


@pytest.mark.parametrize(("refusals", "at"), [(1, 0.1 + 1 / 64), (2, 0.1 + 1 / 64), (3, 0.25)])
def test_a_good_reply_to_an_earlier_request_can_be_the_last_of_a_burst(refusals: int, at: float) -> None:
    """It contradicts nothing, and the probe of one or two refusals goes almost at once after it."""
    pause = Pause()
    for permit in range(2, refusals + 2):
        refuse(pause, permit, sent=refusals + 1, in_flight=refusals + 2 - permit)
    assert pause.on_reply(1, 0.1) is End.NO
    assert pause.available_at(0.1) == at


def test_a_probe_that_went_at_once_and_is_refused_begins_the_slow_ones() -> None:
    """A quarter of a second, then twice as long each time, whichever reply was the last of the first burst."""
    pause = Pause()
    refuse(pause, 2, sent=2, in_flight=1)
    pause.on_reply(1, 0.0)
    for permit, wait_s in ((3, 0.25), (4, 0.5), (5, 1.0)):
        pause.acquire(permit)
        refuse(pause, permit, sent=permit, in_flight=0)
        assert pause.available_at(0.0) == wait_s


def test_a_late_good_reply_does_not_probe_at_once_a_second_time() -> None:
    """Two refusals in a row show something."""
    pause = Pause()
    refuse(pause, 1, sent=1, in_flight=0)
    refuse(pause, 3, sent=3, in_flight=1)
    pause.on_reply(2, 0.0)
    assert pause.available_at(0.0) == 0.25


def test_the_width_is_that_of_the_first_refusal() -> None:
    """The probes that follow it say nothing of the burst."""
    pause = Pause()
    assert pause.width == 0
    refuse(pause, 1, sent=4, in_flight=3)
    refuse(pause, 5, sent=5, in_flight=0)
    assert pause.width == 4


@pytest.mark.parametrize("contradicted", [True, False])
def test_after_a_pause_the_next_refusal_is_the_first_again(*, contradicted: bool) -> None:
    """A probe was good, or other replies contradicted the burst: nothing of it is left."""
    for in_flight, wait_s in ((0, 1 / 64), (1, 0.25)):
        pause = Pause()
        refuse(pause, 1, sent=2, in_flight=1)
        if not contradicted:
            pause.acquire(3)
        pause.on_reply(2 if contradicted else 3, 1.0)
        assert not pause.on
        assert go(pause, 1.0, 4) == 3
        refuse(pause, 7, sent=7 + in_flight, in_flight=in_flight, now=1.0)
        assert pause.available_at(1.0) == 1.0 + wait_s


def test_good_replies_to_later_requests_contradict_a_refusal() -> None:
    """They end the pause, and no probe is needed."""
    pause = Pause()
    refuse(pause, 1, sent=3, in_flight=2)
    assert pause.on_reply(2, 0.0) is End.NO
    assert pause.on_reply(3, 0.0) is End.CONTRADICTED
    assert not pause.on


def test_two_good_replies_are_enough() -> None:
    """The rest of the burst need not be waited for."""
    pause = Pause()
    refuse(pause, 1, sent=9, in_flight=8)
    assert [pause.on_reply(permit, 0.0) for permit in (2, 3)] == [End.NO, End.CONTRADICTED]


@pytest.mark.parametrize(("refusals", "end"), [(3, End.CONTRADICTED), (4, End.NO)])
def test_one_good_reply_contradicts_three_refusals(refusals: int, end: End) -> None:
    """Not four."""
    pause = Pause()
    for permit in range(1, refusals + 1):
        refuse(pause, permit, sent=refusals + 1, in_flight=refusals + 1 - permit)
    assert pause.on_reply(refusals + 1, 0.0) is end
    assert pause.on is (end is End.NO)


def test_good_replies_to_earlier_requests_contradict_nothing() -> None:
    """A limit lets requests through until it is reached."""
    pause = Pause()
    refuse(pause, 3, sent=6, in_flight=5)
    assert [pause.on_reply(permit, 0.0) for permit in (1, 2)] == [End.NO, End.NO]
    for permit in (4, 5, 6):
        refuse(pause, permit, sent=6, in_flight=0)
    assert pause.available_at(0.0) == 0.25


def test_a_wait_that_the_server_asks_for_is_not_contradicted() -> None:
    """It is kept, whatever else comes back."""
    pause = Pause()
    refuse(pause, 1, sent=5, in_flight=4, wait_s=30.0)
    assert [pause.on_reply(permit, 0.0) for permit in (2, 3, 4, 5)] == [End.NO] * 4
    assert pause.available_at(0.0) == 30.0


def test_a_single_refusal_is_probed_almost_at_once_but_only_the_first_time() -> None:
    """It shows nothing; two in a row do."""
    pause = Pause()
    refuse(pause, 1, sent=1, in_flight=0)
    assert pause.available_at(0.0) == pytest.approx(1 / 64)
    pause.acquire(2)
    refuse(pause, 2, sent=2, in_flight=0)
    assert pause.available_at(0.0) == 0.25


def test_a_late_refusal_of_the_burst_that_asks_for_a_wait_is_kept() -> None:
    """The probe was good, and then the server asks for a pause all the same."""
    pause = Pause()
    refuse(pause, 1, sent=2, in_flight=1)
    pause.acquire(3)
    pause.on_reply(3, 0.0)
    pause.acquire(4)
    refuse(pause, 2, sent=4, in_flight=1, wait_s=7.0)
    assert pause.available_at(0.0) == 7.0
    assert go(pause, 7.0, 5) == 1


def test_a_late_refusal_of_the_burst_makes_one_request_go_first_after_another_pause() -> None:
    """The pause is that of a good reply, and a newer reply ends it no more."""
    pause = Pause()
    refuse(pause, 1, sent=2, in_flight=1)
    pause.acquire(3)
    pause.on_reply(3, 0.0)
    pause.begin(4, 10.0, probe=False)
    refuse(pause, 2, sent=5, in_flight=1)
    pause.contradict(5)
    assert pause.available_at(0.0) == 10.0
    assert go(pause, 10.0, 6) == 1


# --- pauses that a good reply asks for --------------------------------------------------------


def test_after_a_pause_of_a_good_reply_all_go() -> None:
    """The server has said when, so no request needs to try it."""
    pause = Pause()
    pause.begin(1, 5.0, probe=False)
    assert pause.available_at(4.0) == 5.0
    assert go(pause, 5.0, 2) == 3
    assert not pause.on


def test_the_longer_of_two_pauses_counts() -> None:
    """A shorter one changes nothing."""
    pause = Pause()
    for until in (5.0, 3.0, 6.0):
        pause.begin(1, until, probe=until == 3.0)
    assert pause.available_at(0.0) == 6.0
    assert go(pause, 6.0, 2) == 3


def test_only_newer_replies_end_a_pause_of_a_good_reply() -> None:
    """Then all go, and the next pause is like the first."""
    pause = Pause()
    pause.begin(1, 5.0, probe=True)
    pause.contradict(1)
    assert pause.available_at(0.0) == 5.0
    pause.contradict(2)
    assert not pause.on
    assert go(pause, 0.0, 3) == 3
    pause.begin(6, 9.0, probe=False)
    assert go(pause, 9.0, 7) == 3
    refuse(pause, 10, sent=10, in_flight=0, now=9.0)
    assert pause.available_at(9.0) == 9.0 + 1 / 64


def test_a_good_reply_makes_a_pause_of_a_refusal_longer_but_not_its_own() -> None:
    """A newer reply does not end it."""
    pause = Pause()
    refuse(pause, 1, sent=3, in_flight=2, wait_s=5.0)
    pause.begin(2, 10.0, probe=False)
    pause.contradict(3)
    assert pause.available_at(0.0) == 10.0
    assert go(pause, 10.0, 4) == 1


def test_replies_after_a_burst_contradict_no_later_pause() -> None:
    """They were sent after it, so they say nothing of it."""
    pause = Pause()
    refuse(pause, 1, sent=1, in_flight=0)
    pause.acquire(2)
    pause.on_reply(2, 1.0)
    pause.begin(3, 10.0, probe=True)
    assert [pause.on_reply(permit, 1.0) for permit in (4, 5)] == [End.NO] * 2
    assert pause.available_at(1.0) == 10.0
    assert go(pause, 10.0, 6) == 1


def asked_by_a_good_reply() -> Pause:
    pause = Pause()
    pause.begin(1, 10.0, probe=False)
    return pause


def asked_during_a_shorter_pause_and_before_it_was_over() -> Pause:
    """The last burst is over, and its last reply asks for a pause."""
    pause = Pause()
    refuse(pause, 1, sent=2, in_flight=1)
    pause.acquire(3)
    pause.on_reply(3, 0.25)
    refuse(pause, 2, sent=5, in_flight=2, wait_s=9.75, now=0.25)
    return pause


@pytest.mark.parametrize("asked", [asked_by_a_good_reply, asked_during_a_shorter_pause_and_before_it_was_over])
@pytest.mark.parametrize(("refused", "good"), [([6], []), ([7], [6]), ([6], [7, 8]), ([7, 8], [6])])
def test_refusals_without_a_wait_do_not_shorten_a_pause_that_the_server_asked_for(
    asked: Callable[[], Pause], refused: list[int], good: list[int]
) -> None:
    """Neither the quick first probe nor a contradiction does: these replace our own pauses only."""
    pause = asked()
    in_flight = len(refused) + len(good)
    for permit in refused:
        in_flight -= 1
        refuse(pause, permit, sent=max(refused + good), in_flight=in_flight, now=1.0)
    for permit in good:
        pause.on_reply(permit, 1.0)
    assert pause.on
    assert pause.available_at(1.0) == 10.0
    assert go(pause, 10.0, 9) == 1


def test_a_contradicted_burst_does_not_make_a_pause_longer_than_the_server_asked_for() -> None:
    """The good replies come when the pause is over: all go."""
    pause = asked_by_a_good_reply()
    refuse(pause, 6, sent=8, in_flight=2, now=9.9)
    assert [pause.on_reply(permit, 10.0) for permit in (7, 8)] == [End.NO, End.CONTRADICTED]
    assert go(pause, 10.0, 9) == 3
