"""Reads a JSON object field by field, if it could not be structured in one step.

Rule 1: a field without a default decides. If it is missing or refused, the object is refused.
Rule 2: every other field informs, and never hides a deciding field. A missing field has its default. A refused value is
converted leniently, or is None (an empty tuple for a list). Each refused value is reported.
Rule 3: a key may have another case convention (`taskStatus`, `TaskStatus`). The documented spelling takes precedence.
Rule 4: a single item in place of a list is a list of one, because gateways convert XML that way. A text in place of an
item goes into the item's main text field. No item is dropped, because its presence may count. An item without a field that
decides refuses the whole object. A list is cut after 500 undocumented items.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Generic, TypeAlias, TypeVar, cast, get_args, get_origin

import attrs

from pollwise.endpoints._left_out import shortened
from pollwise.endpoints._strict import Hook, shown

__all__ = ["FAULTS", "LenientReader", "Odd", "Refused", "folded_key"]

T = TypeVar("T")

FAULTS = (ValueError, KeyError, TypeError)
_MOST_ODD_ITEMS = 500  # each takes some 30 µs

Odd: TypeAlias = Callable[[str, str], None]
"""Called with the path of a field that is not as documented, and with what was expected."""
_ReadField: TypeAlias = Callable[[Any, str, Odd], Any]


class Refused(Exception):  # internal to this package
    """A deciding field was refused."""

    def __init__(self, path: str, why: str) -> None:
        super().__init__(f"field {path}: {why}" if path else why)


@attrs.frozen
class _Field:
    name: str
    key: str
    folded: str
    decides: bool
    default: Any
    read: _ReadField


class LenientReader(Generic[T]):
    """Structures a JSON object that is not as documented.

    Args:
        made: The class to structure.
        strict: Returns the strict hook of a class and field.
        lenient: Returns the lenient hook of a field, or None.
        main_text: For each item class, the field that a bare text goes into.
        wire_name: Returns the vendor's key for a field's name.
        quick: Returns the hook that structures a documented object of a class in one step.
    """

    def __init__(
        self,
        made: type[T],
        *,
        strict: Callable[[type, Any], Hook | None],
        lenient: Callable[[Any], Hook | None],
        main_text: Mapping[type, str],
        wire_name: Callable[[str], str],
        quick: Callable[[type], Hook],
    ) -> None:
        self._made = made
        self._strict = strict
        self._lenient = lenient
        self._main_text = main_text
        self._wire_name = wire_name
        self._quick = quick
        self._fields: dict[type, tuple[_Field, ...]] = {}
        self._learn(made)

    def read(self, data: object, odd: Odd) -> T:
        """The value. Raises Refused."""
        return cast("T", self._object(self._made, data, "", odd))

    def _learn(self, cls: type) -> None:
        fields = attrs.fields(attrs.resolve_types(cast("type[attrs.AttrsInstance]", cls)))
        self._fields[cls] = tuple(self._field(cls, field) for field in fields)

    def _field(self, cls: type, field: attrs.Attribute[Any]) -> _Field:
        key = self._wire_name(field.name)
        decides = field.default is attrs.NOTHING
        return _Field(
            field.name, key, folded_key(key), decides, field.default, self._reader(cls, field, decides=decides)
        )

    def _reader(self, cls: type, field: attrs.Attribute[Any], *, decides: bool) -> _ReadField:
        kind: Any = field.type
        if attrs.has(kind):
            self._learn(kind)
            return partial(self._object, kind)
        strict = self._strict(cls, field)
        if get_origin(kind) is tuple:
            item = get_args(kind)[0]
            self._learn(item)
            read = partial(self._list, item, self._quick(item))
            return read if strict is None else partial(_documented_or, strict, read)
        if strict is None:
            raise TypeError(f"no hook for {cls.__name__}.{field.name}")
        return partial(_scalar, strict, self._lenient(field), decides)

    def _object(self, cls: type, value: object, path: str, odd: Odd) -> Any:
        if type(value) is not dict:
            raise Refused(path, f"expected an object, got {shown(value)}")
        folded: dict[str, Any] | None = None
        made: dict[str, Any] = {}
        for field in self._fields[cls]:
            where = f"{path}.{field.key}" if path else field.key
            if field.key in value:
                made[field.name] = field.read(value[field.key], where, odd)
                continue
            if folded is None:
                folded = {folded_key(key): found for key, found in reversed(value.items())}
            if field.folded in folded:
                odd(where, "the key has another spelling")
                made[field.name] = field.read(folded[field.folded], where, odd)
            elif field.decides:
                raise Refused(where, "missing")
            else:
                made[field.name] = field.default
        return cls(**made)

    def _list(self, cls: type, quick: Hook, value: Any, path: str, odd: Odd) -> tuple[Any, ...]:
        items: list[Any] = value if type(value) is list else []
        if items is not value and value is not None:
            odd(path, f"expected a list or null, got {shown(value)}")
            items = [value] if (value.strip() if type(value) is str else value) else []
        found: list[Any] = []
        odd_items = 0
        for item in items:
            try:
                found.append(quick(item, None))
            except FAULTS:
                odd_items += 1
                if odd_items > _MOST_ODD_ITEMS:
                    odd(
                        path,
                        f"more than {_MOST_ODD_ITEMS} items are not as documented; the rest of the list is ignored",
                    )
                    return shortened(found, len(items) - len(found))
                found.append(self._item(cls, item, f"{path}[]", odd))
        return tuple(found)

    def _item(self, cls: type, item: object, path: str, odd: Odd) -> Any:
        if type(item) is dict:
            return self._object(cls, item, path, odd)
        odd(path, f"expected an object, got {shown(item)}")
        made = {self._main_text[cls]: item} if type(item) is str else {}
        missing = next((field.key for field in self._fields[cls] if field.decides and field.name not in made), None)
        if missing is not None:
            raise Refused(f"{path}.{missing}", "missing")
        return cls(**made)


def _documented_or(strict: Hook, read: _ReadField, value: object, path: str, odd: Odd) -> Any:
    """The value by the field's own hook, else leniently."""
    try:
        return strict(value)
    except FAULTS:
        return read(value, path, odd)


def _scalar(strict: Hook, lenient: Hook | None, decides: bool, value: object, path: str, odd: Odd) -> Any:  # noqa: FBT001
    try:
        return strict(value)
    except FAULTS as exc:
        why = str(exc)
    found = None
    try:
        found = None if lenient is None else lenient(value)
        taken = lenient is not None
    except FAULTS:
        taken = False
    if decides and not taken:
        raise Refused(path, why)
    odd(path, why)
    return found


def folded_key(key: str) -> str:
    """The key without its case convention."""
    return key.replace("_", "").replace("-", "").lower()
