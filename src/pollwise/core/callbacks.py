"""Calls a caller's own functions, and checks what they return: `dice` and `clock`.

Rule 1: what such a function raises, and a wrong value of it, is a `CallbackFailed` with its name. It is never an error of
the endpoint, also not a `CancelledError`. KeyboardInterrupt and SystemExit end the program as ever.
Rule 2: a clock gives a time that a datetime can hold, because ledgers keep datetimes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pollwise.errors import CallbackFailed

__all__ = ["EARLIEST_S", "LATEST_S", "callback_failed", "checked_clock", "checked_dice", "checked_share"]

EARLIEST_S: Final = -62_135_596_800.0  # the beginning of the year 1, in epoch seconds
LATEST_S: Final = 253_402_300_799.0  # the end of the year 9999


def checked_dice(dice: Callable[[], float]) -> Callable[[], float]:
    """The same dice, which raise CallbackFailed unless they give a number in [0, 1)."""

    def roll() -> float:
        try:
            given = dice()
        except BaseException as exc:
            raise callback_failed("dice", exc) from exc
        return checked_share(given)

    return roll


def checked_share(given: float) -> float:
    """What `dice` gave, as a float. Raises CallbackFailed unless it is a number in [0, 1)."""
    try:
        share = given * 1.0  # a Decimal compares with a float, but cannot be multiplied by one
        if 0.0 <= share < 1.0:
            return share
    except Exception as exc:
        raise callback_failed("dice", exc) from exc
    raise callback_failed("dice", ValueError(f"it gave {given!r}, which is not in [0, 1)"))


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """The same clock, which raises CallbackFailed unless it gives epoch seconds between the years 1 and 9999."""

    def wall_now() -> float:
        try:
            given = clock() + 0.0
            if EARLIEST_S <= given <= LATEST_S:
                return given
        except BaseException as exc:
            raise callback_failed("clock", exc) from exc
        raise callback_failed(
            "clock", ValueError(f"it gave {given!r}, which is no epoch second of the years 1 to 9999")
        )

    return wall_now


def callback_failed(name: str, exc: BaseException) -> CallbackFailed:
    """The error for what a caller's function raised. KeyboardInterrupt and SystemExit are raised again."""
    if isinstance(exc, (KeyboardInterrupt, SystemExit)):
        raise exc
    return CallbackFailed(None, name, type(exc).__name__, str(exc))
