"""Pauses: one probe first, bursts that count once, and refusals that other replies contradict."""

from __future__ import annotations

import math

import pytest

from pollwise.core.pauses import End, Pause


def refuse(pause: Pause, permit: int, *, sent: int, in_flight: int, wait_s: float | None = None) -> bool:
    return pause.on_refusal(permit, 0.0, wait_s, sent=sent, in_flight=in_flight, least_s=0.0)


def test_one_request_goes_first() -> None:
    """The others go when it was answered."""
    pause = Pause()
    refuse(pause, 1, sent=1, in_flight=0, wait_s=5.0)
    assert pause.available_at(4.0) == 5.0
    assert pause.available_at(5.0) == 5.0
    pause.acquire(2)
    assert pause.available_at(5.0) == math.inf
    assert pause.on_reply(2, 6.0) is End.PROBED
    assert not pause.on


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


def test_good_replies_to_later_requests_contradict_a_refusal() -> None:
    """They end the pause, and no probe is needed."""
    pause = Pause()
    refuse(pause, 1, sent=3, in_flight=2)
    assert pause.on_reply(2, 0.0) is End.NO
    assert pause.on_reply(3, 0.0) is End.CONTRADICTED
    assert not pause.on


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
    refuse(pause, 2, sent=3, in_flight=0, wait_s=7.0)
    assert pause.available_at(0.0) == 7.0
