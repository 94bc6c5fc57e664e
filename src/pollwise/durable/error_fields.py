"""The fields of an error as JSON values, and JSON values as fields of their annotated types.

Rule 1: writing raises nothing. A value that JSON does not have becomes a text, which reading then refuses.
Rule 2: reading is strict, because what is on disk is untrusted: no conversion from one type to another.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, Final

import attrs

from pollwise.errors import Problem

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["arguments", "from_json", "is_shallow", "to_json"]

_INTEGERS: Final = range(-(2**63), 2**64)  # what orjson writes
_NOT_FINITE: Final = frozenset({"inf", "-inf", "nan"})


def to_json(value: Any) -> Any:
    """The value in JSON's types."""
    if isinstance(value, (list, tuple)):
        return [to_json(one) for one in value]
    if isinstance(value, Mapping):
        return {str(to_json(key)): to_json(one) for key, one in value.items()}
    if attrs.has(type(value)):
        return {field.name: to_json(getattr(value, field.name)) for field in attrs.fields(type(value))}
    return _scalar(value)


def _scalar(value: Any) -> Any:
    match value:
        case None | bool():
            return value
        case str():
            return value.encode("utf-8", "backslashreplace").decode()
        case int():
            return value if value in _INTEGERS else hex(value)
        case float():
            return value if math.isfinite(value) else str(value)
    return f"<{type(value).__name__}>"


def from_json(value: Any, kind: Any) -> Any:
    """The value as this type. Raises TypeError, KeyError or an error of cattrs for a value of another type."""
    return _converter().structure(value, kind)


def arguments(fields: Mapping[str, Any]) -> Iterable[Any]:
    """The arguments of an error that has no fields. Raises TypeError for anything but scalars."""
    args = fields["args"]
    if len(fields) != 1 or type(args) is not list or any(isinstance(one, (list, dict)) for one in args):
        raise TypeError("args")
    return args


def is_shallow(value: Any, deepest: int) -> bool:
    """Whether lists and objects are nested at most so deep."""
    inner: Iterable[Any] = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return deepest > 0 and all(is_shallow(one, deepest - 1) for one in inner)


def _strict(expected: type[Any]) -> Callable[[Any, Any], Any]:
    """A hook that takes values of this class alone. A bool is no int here."""

    def check(value: Any, _kind: Any) -> Any:
        if type(value) is not expected:
            raise TypeError(type(value).__name__)
        return value

    return check


def _number(value: Any, _kind: Any) -> Any:
    """A float, or the text of one that JSON does not have."""
    if type(value) in {int, float}:
        return value
    if isinstance(value, str) and value in _NOT_FINITE:
        return float(value)
    raise TypeError(type(value).__name__)


def _texts(value: Any, _kind: Any) -> tuple[str, ...]:
    if type(value) is not list or not all(type(one) is str for one in value):
        raise TypeError(type(value).__name__)
    return tuple(value)


@cache
def _converter() -> Converter:
    """A converter without the lenient conversions: `int("25")` and `bool("false")` would both succeed."""
    from cattrs import Converter  # noqa: PLC0415  # only reading an error out of a ledger needs cattrs
    from cattrs.gen import make_dict_structure_fn  # noqa: PLC0415

    converter = Converter(detailed_validation=False)
    for kind in (str, int, bool):
        converter.register_structure_hook(kind, _strict(kind))
    converter.register_structure_hook(float, _number)
    converter.register_structure_hook_func(lambda kind: kind == tuple[str, ...], _texts)
    converter.register_structure_hook_func(lambda kind: kind == Mapping[str, Any], _strict(dict))
    problem = make_dict_structure_fn(Problem, converter, _cattrs_forbid_extra_keys=True)
    is_object = _strict(dict)
    converter.register_structure_hook(Problem, lambda value, kind: problem(is_object(value, kind), kind))
    return converter
