"""Calls a caller's own functions, and checks what they return: `dice` and `clock`.

Rule 1: what such a function raises, and a wrong value of it, is a `CallbackFailed` with its name. It is never an error of
the endpoint, also not a `CancelledError`. KeyboardInterrupt and SystemExit end the program as ever.
Rule 2: a clock gives a time that a datetime can hold, because ledgers keep datetimes.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from pollwise.errors import CallbackFailed

__all__ = ["EARLIEST_S", "LATEST_S", "checked_clock", "checked_dice"]

EARLIEST_S: Final = -62_135_596_800.0  # the beginning of the year 1, in epoch seconds
LATEST_S: Final = 253_402_300_799.0  # the end of the year 9999


def checked_dice(dice: Callable[[], float]) -> Callable[[], float]:
    """The same dice, which raise CallbackFailed unless they give a number in [0, 1)."""

    def roll() -> float:
        try:
            given = dice() * 1.0  # a Decimal compares with a float, but cannot be multiplied by one
            if 0.0 <= given < 1.0:
                return given
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            raise _failed("dice", exc) from exc
        raise _failed("dice", ValueError(f"it gave {given!r}, which is not in [0, 1)"))

    return roll


def checked_clock(clock: Callable[[], float]) -> Callable[[], float]:
    """The same clock, which raises CallbackFailed unless it gives epoch seconds between the years 1 and 9999."""

    def wall_now() -> float:
        try:
            given = clock() + 0.0
            if EARLIEST_S <= given <= LATEST_S:
                return given
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:
            raise _failed("clock", exc) from exc
        raise _failed("clock", ValueError(f"it gave {given!r}, which is no epoch second of the years 1 to 9999"))

    return wall_now


def _failed(name: str, exc: BaseException) -> CallbackFailed:
    return CallbackFailed(None, name, type(exc).__name__, str(exc))
