"""What a caller's own functions raise and give, and whose fault it is."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from pollwise.core.callbacks import EARLIEST_S, LATEST_S, checked_clock, checked_dice
from pollwise.errors import CallbackFailed
from pollwise.testing import reply
from toy import RUNNING, ToyJob, watching

pytestmark = pytest.mark.looptime


def raising(error: BaseException) -> Callable[[], float]:
    def function() -> float:
        raise error

    return function


NO_NUMBERS = [None, "0.5", b"1", [0.5], 1j, Decimal("0.5"), {}, math.nan, math.inf, -math.inf, 10**400]


@pytest.mark.parametrize("given", [*NO_NUMBERS, -0.1, 1.0, 2, True], ids=repr)
def test_dice_that_give_no_share_are_named(given: Any) -> None:
    """Whatever it is, before it is used in a delay."""
    with pytest.raises(CallbackFailed) as caught:
        checked_dice(lambda: given)()
    assert caught.value.name == "dice"


@pytest.mark.parametrize("given", [-0.1, 1.0, math.nan, math.inf])
def test_a_number_that_is_no_share_is_shown(given: float) -> None:
    """With the numbers that are allowed."""
    with pytest.raises(CallbackFailed) as caught:
        checked_dice(lambda: given)()
    assert (caught.value.kind, caught.value.detail) == ("ValueError", f"it gave {given!r}, which is not in [0, 1)")


@pytest.mark.parametrize("given", [math.nan, 1e12, EARLIEST_S - 1])
def test_a_number_that_is_no_time_is_shown(given: float) -> None:
    """With the times that are allowed."""
    with pytest.raises(CallbackFailed, match="which is no epoch second of the years 1 to 9999") as caught:
        checked_clock(lambda: given)()
    assert caught.value.kind == "ValueError"
    assert caught.value.detail.startswith(f"it gave {given!r}, ")


@pytest.mark.parametrize("given", [0, 0.0, 0.999, False, Fraction(1, 2)], ids=repr)
def test_dice_may_give_any_number_from_0_to_1(given: Any) -> None:
    """It becomes a float."""
    rolled = checked_dice(lambda: given)()
    assert (type(rolled), rolled) == (float, given)


@pytest.mark.parametrize("given", [*NO_NUMBERS, 1e12, -1e11, 1e300, EARLIEST_S - 1, LATEST_S + 1], ids=repr)
def test_a_clock_that_gives_no_time_is_named(given: Any) -> None:
    """Also a time that no datetime can hold."""
    with pytest.raises(CallbackFailed) as caught:
        checked_clock(lambda: given)()
    assert caught.value.name == "clock"


@pytest.mark.parametrize("given", [0, -5.0, 1.75e9, EARLIEST_S, LATEST_S], ids=repr)
def test_a_clock_may_give_any_time_of_a_datetime(given: float) -> None:
    """The years 1 to 9999."""
    assert checked_clock(lambda: given)() == given


@pytest.mark.parametrize("error", [ValueError("x"), asyncio.CancelledError(), GeneratorExit()], ids=repr)
@pytest.mark.parametrize("check", [checked_dice, checked_clock])
def test_what_a_function_raises_is_its_own_error(check: Callable[[Any], Any], error: BaseException) -> None:
    """The cause and its message are kept."""
    with pytest.raises(CallbackFailed) as caught:
        check(raising(error))()
    assert (caught.value.kind, caught.value.detail) == (type(error).__name__, str(error))
    assert caught.value.__cause__ is error


@pytest.mark.parametrize("error", [KeyboardInterrupt(), SystemExit()], ids=repr)
@pytest.mark.parametrize("check", [checked_dice, checked_clock])
def test_the_end_of_the_program_is_no_error_of_a_function(check: Callable[[Any], Any], error: BaseException) -> None:
    """It goes through."""
    with pytest.raises(type(error)):
        check(raising(error))()


@pytest.mark.parametrize(
    "dice", [*(lambda given=given: given for given in NO_NUMBERS), raising(asyncio.CancelledError())]
)
@pytest.mark.parametrize("answer", [RUNNING, 503, 429, 404, {"state": "maybe-failed"}], ids=str)
async def test_no_dice_make_a_watch_silent_or_hot(answer: Any, dice: Any) -> None:
    """The first poll that needs a number ends the watch, with the name of the function."""
    async with watching([answer], dice=dice) as (watcher, transport):
        with pytest.raises(CallbackFailed) as caught:
            await watcher.watch(ToyJob())
    assert (caught.value.name, caught.value.job, len(transport.requests)) == ("dice", ToyJob(), 1)


@pytest.mark.parametrize("given", [None, "1", math.nan, 1e300, -1e11], ids=repr)
async def test_no_clock_makes_a_watch_silent_or_hot(given: Any) -> None:
    """A date in a hint needs the clock, and so does a resume token."""
    hinting = reply(RUNNING, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    async with watching([hinting], clock=lambda: given) as (watcher, transport):
        watch = watcher.watch(ToyJob())
        with pytest.raises(CallbackFailed, match="clock"):
            await watch
        assert len(transport.requests) == 1
