"""Masks secrets in what is kept: readings, problems and errors.

Rule 1: a value that has no secret is returned as it is, not as a copy.
Rule 2: a copy is made without the checks of its class, because `***` may not pass them. Enums, numbers and classes that
are neither attrs classes nor data classes are left alone.
Rule 3: an error keeps its job, because the caller finds the job by it. It is changed in place, with its notes, its causes
and its contexts.
"""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any, Final, TypeVar, cast

import attrs

from pollwise.model.masking import STARS, Mask

__all__ = ["masked_error", "masked_value"]

T = TypeVar("T")
E = TypeVar("E", bound=BaseException)

_DEEPEST: Final = 100  # as in json_body.py


def masked_value(mask: Mask, value: T) -> T:
    """The value without secrets, weak ones included."""
    return cast("T", _masked(mask, value, _DEEPEST))


def masked_error(mask: Mask, error: E) -> E:
    """The error without secrets, weak ones included."""
    chain: list[BaseException] = [] if mask.is_empty else [error]
    for link in chain:
        _mask_error(mask, link)
        more = (link.__cause__, link.__context__)
        chain += [found for found in more if found is not None and not any(found is known for known in chain)]
    return error


def _mask_error(mask: Mask, error: BaseException) -> None:
    job: object = getattr(error, "job", None)
    kind: type = type(error)
    names = [field.name for field in attrs.fields(kind)] if attrs.has(kind) else []
    for name in dict.fromkeys([*names, *vars(error)]):
        value: object = getattr(error, name, None)
        masked = value if value is job else masked_value(mask, value)
        if masked is not value:
            setattr(error, name, masked)
    args = tuple([arg if arg is job else masked_value(mask, arg) for arg in error.args])
    if any(new is not old for new, old in zip(args, error.args, strict=True)):
        error.args = args


def _masked(mask: Mask, value: Any, depth: int) -> Any:  # noqa: PLR0911  # a table: one return a row
    kind: Any = type(value)
    if kind is str:
        return mask.text(value)
    if kind is bytes:
        return mask.text(value.decode("utf-8", "surrogateescape")).encode("utf-8", "surrogateescape")
    if depth == 0:
        return STARS
    if kind is list or kind is tuple or kind is set or kind is frozenset:
        items = [_masked(mask, item, depth - 1) for item in value]
        return kind(items) if _differ(items, value) else value
    if isinstance(value, Mapping) and kind is dict:
        return _masked_dict(mask, value, depth)
    if attrs.has(kind) and not isinstance(value, BaseException):
        return _masked_fields(mask, value, [field.name for field in attrs.fields(kind)], depth)
    if dataclasses.is_dataclass(kind):
        return _masked_fields(mask, value, [field.name for field in dataclasses.fields(kind)], depth)
    make: Any = getattr(kind, "_make", None) if isinstance(value, tuple) else None
    if make is not None:
        items = [_masked(mask, item, depth - 1) for item in cast("tuple[Any, ...]", value)]
        return make(items) if _differ(items, value) else value
    return value


def _differ(items: list[Any], before: Any) -> bool:
    return any(new is not old for new, old in zip(items, before, strict=True))


def _masked_dict(mask: Mask, value: Mapping[Any, Any], depth: int) -> Mapping[Any, Any]:
    flat = [part for pair in value.items() for part in pair]
    parts = [_masked(mask, part, depth - 1) for part in flat]
    return dict(zip(parts[::2], parts[1::2], strict=True)) if _differ(parts, flat) else value


def _masked_fields(mask: Mask, value: Any, names: list[str], depth: int) -> Any:
    changed: dict[str, Any] = {}
    for name in names:
        old = getattr(value, name, None)
        new = _masked(mask, old, depth - 1)
        if new is not old:
            changed[name] = new
    if not changed:
        return value
    made = copy.copy(value)
    for name, new in changed.items():
        object.__setattr__(made, name, new)
    return made
