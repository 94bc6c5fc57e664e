"""Lists of a status that were cut, and how many items were left out of them.

Rule 1: a list that is whole is a plain tuple, and costs nothing more.
Rule 2: the number is part of the value: two lists with the same items and another number are not equal, so a status whose
long list grows has changed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar, cast

import attrs

__all__ = ["Shortened", "left_out_of", "shortened", "total", "with_left_out"]

T = TypeVar("T")


class Shortened(tuple[T, ...]):  # noqa: SLOT001  # a subclass of tuple cannot have slots with names
    """The first items of a list. `left_out` is the number of the others."""

    left_out: int

    def __new__(cls, items: Iterable[T], left_out: int = 0) -> Shortened[T]:
        made = super().__new__(cls, items)
        made.left_out = left_out
        return made

    def __eq__(self, other: object) -> bool:
        return tuple.__eq__(self, other) and self.left_out == getattr(other, "left_out", 0)

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash((tuple(self), self.left_out))


def shortened(items: Iterable[T], left_out: int) -> tuple[T, ...]:
    """The items, with the number of those that were left out."""
    return Shortened(items, left_out) if left_out else tuple(items)


def total(items: tuple[Any, ...]) -> int:
    """The number of items, with those that were left out."""
    left_out: int = getattr(items, "left_out", 0)
    return len(items) + left_out


def left_out_of(status: Any) -> dict[str, int]:
    """How many items were left out of the lists of this attrs value, by the field's name."""
    numbers = {field.name: getattr(getattr(status, field.name), "left_out", 0) for field in attrs.fields(type(status))}
    return {name: number for name, number in numbers.items() if number}


def with_left_out(status: T, numbers: Mapping[str, object]) -> T:
    """The status, with these numbers of items left out. What is no list or no number is ignored."""
    known = {field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", type(status)))}
    lists: dict[str, Any] = {}
    for name, number in numbers.items():
        items = getattr(status, name) if name in known else None
        if isinstance(items, tuple) and type(number) is int and number > 0:
            lists[name] = shortened(items, getattr(items, "left_out", 0) + number)
    return cast("T", attrs.evolve(cast("Any", status), **lists)) if lists else status
