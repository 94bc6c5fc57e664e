"""Makes typed values of a reply's JSON, by cattrs, and says where it could not.

Rule 1: it is quick while all is well. Only when something is wrong is the value read again, to find the path of the
first fault: keeping track of it would cost every good poll for the sake of the few bad ones.
Rule 2: an error never drags the body along, neither as its context nor as its text.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import AttributeValidationNote, BaseValidationError, Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import make_converter

from pollwise.core.making import maker
from pollwise.core.wire import Reply
from pollwise.endpoints._strict import Hook, shown
from pollwise.errors import ConfigurationError

__all__ = ["Reader", "clipped", "json_object_in"]

T = TypeVar("T")

_MAX_ENTRIES = 20
_MAX_ENTRY = 500
_FAULTS = (ValueError, KeyError, TypeError)
_TRACED = (*_FAULTS, BaseValidationError)


def json_object_in(reply: Reply) -> dict[str, Any] | None:
    """The JSON object in the body of a refusal, whatever it calls itself, or None. Never raises."""
    try:
        data = orjson.loads(reply.body)
    except orjson.JSONDecodeError:
        return None
    return data if type(data) is dict else None


def clipped(values: Iterable[object]) -> tuple[str, ...]:
    """The texts and whole numbers among the values, as short texts, and not too many of them."""
    found = [str(value)[:_MAX_ENTRY] for value in values if type(value) in (str, int) and value != ""]
    return tuple(found[:_MAX_ENTRIES])


class Reader(Generic[T]):
    """Makes an attrs class of JSON objects, and JSON objects of it.

    Args:
        made: The class to make. The attrs classes that its fields hold are made with it.
        hooks: What structures a field, by the type that the field is annotated with.
        field_hooks: The same for single fields of `made`, by their names; these win.
        wire_name: The vendor's key for a field's name.
    """

    def __init__(
        self,
        made: type[T],
        hooks: Mapping[Any, Hook],
        *,
        field_hooks: Mapping[str, Hook] | None = None,
        wire_name: Callable[[str], str] = str,
    ) -> None:
        self._made = made
        self._hooks = hooks
        self._field_hooks = field_hooks or {}
        self._wire_name = wire_name
        self._converter = self._converter_for(detailed=False)
        self._tracing = self._converter_for(detailed=True)
        self._quick: Callable[[object, type[T]], T] = self._converter.get_structure_hook(made)

    def read(self, reply: Reply) -> T:
        """What the reply says. Raises MalformedReply, with the path of the first field that is wrong."""
        if not reply.is_json:
            raise reply.malformed("expected JSON")
        try:
            return self._quick(orjson.loads(reply.body), self._made)
        except orjson.JSONDecodeError as exc:
            why = f"broken JSON, {exc.msg} at character {exc.pos}"
        except _FAULTS:
            why = self._fault(orjson.loads(reply.body))
        # Raised out here, so that the error does not drag the body or the value along as its context.
        raise reply.malformed(why)

    def structure(self, data: object) -> T:
        """The same from data that is decoded already. Raises ConfigurationError, which is a ValueError."""
        try:
            return self._quick(data, self._made)
        except _FAULTS:
            why = self._fault(data)
        raise ConfigurationError(f"this is no {self._made.__name__}: {why}")

    def unstructure(self, value: T) -> dict[str, Any]:
        """JSON-ready values by the vendor's keys, of which `structure` makes an equal value again."""
        return cast("dict[str, Any]", self._converter.unstructure(value, self._made))

    def _converter_for(self, *, detailed: bool) -> Converter:
        converter = make_converter(detailed_validation=detailed, unstruct_collection_overrides={tuple: list})
        converter.register_structure_hook_factory(attrs.has, self._structure_class)
        converter.register_unstructure_hook_factory(attrs.has, self._unstructure_class)
        converter.register_structure_hook_factory(_is_tuple, _structure_tuple)
        return converter

    def _structure_class(self, cls: Any, converter: Converter) -> Hook:
        own = self._field_hooks if cls is self._made else {}
        overrides: dict[str, Any] = {
            field.name: override(
                rename=self._wire_name(field.name),
                struct_hook=own.get(field.name) or self._hooks.get(field.type),
            )
            for field in attrs.fields(attrs.resolve_types(cls))
        }
        if converter.detailed_validation:  # what only looks for a fault makes nothing
            return partial(_object, {}, make_dict_structure_fn(cls, converter, **overrides))
        # Lists are often not sent, all else nearly always: to look for each optional key would cost a third of all this.
        optional = [field for field in attrs.fields(cls) if field.default is not attrs.NOTHING]
        lists = {field.name for field in optional if field.default == ()}
        absent = {
            self._wire_name(field.name): converter.unstructure(field.default)
            for field in optional
            if field.name not in lists
        }
        make = maker(cls, defaults=lists)
        return partial(_object, absent, make_dict_structure_fn(make, converter, **overrides))

    def _unstructure_class(self, cls: Any, converter: Converter) -> Callable[[Any], dict[str, Any]]:
        overrides: dict[str, Any] = {
            field.name: override(
                rename=self._wire_name(field.name),
                unstruct_hook=_plain if any(isinstance(part, enum.EnumType) for part in get_args(field.type)) else None,
            )
            for field in attrs.fields(attrs.resolve_types(cls))
        }
        return make_dict_unstructure_fn(cls, converter, **overrides)

    def _fault(self, data: object) -> str:
        """The path of the first field that is wrong, and why."""
        path = ""
        fault: BaseException = ValueError("is not understood")
        try:
            self._tracing.structure(data, self._made)
        except _TRACED as exc:
            fault = exc
        while isinstance(fault, BaseValidationError | _BadItem):
            if isinstance(fault, _BadItem):
                path += f"[{fault.index}]"
                fault = fault.fault
                continue
            fault = cast("BaseException", fault.exceptions[0])
            notes = [note for note in getattr(fault, "__notes__", ()) if isinstance(note, AttributeValidationNote)]
            path += "".join(f".{self._wire_name(note.name)}" for note in notes)
        why = "missing" if isinstance(fault, KeyError) else str(fault)
        return f"field {path[1:]}: {why}" if path else why


def _object(absent: dict[str, Any], fields: Hook, value: object, type_: object, /) -> Any:
    # Without this, text would pass for an object with none of its optional keys.
    if type(value) is dict:
        try:
            return fields(value, type_)
        except KeyError:  # then it may be one of those that are nearly always sent
            return fields(absent | value, type_)
    raise ValueError(f"expected an object, got {shown(value)}")


class _BadItem(ValueError):
    """An item of a list is at fault: which, and why."""

    def __init__(self, index: int, fault: Exception) -> None:
        super().__init__(index, fault)
        self.index = index
        self.fault = fault


def _list_or_null(items: Callable[[list[Any]], tuple[Any, ...]], value: object, _type: object, /) -> tuple[Any, ...]:
    if type(value) is list:
        return items(value) if value else ()
    if value is None:
        return ()
    raise ValueError(f"expected a list or null, got {shown(value)}")


def _items(item: Hook, values: list[Any], /) -> tuple[Any, ...]:
    return tuple([item(value, None) for value in values])


def _traced_items(item: Hook, values: list[Any], /) -> tuple[Any, ...]:
    # cattrs would make an error of each bad item: of a megabyte of them, half a gigabyte. The first is enough.
    for index, value in enumerate(values):
        try:
            item(value, None)
        except _TRACED as exc:
            raise _BadItem(index, exc) from None
    return ()


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def _is_tuple(made: Any) -> bool:
    origin: object = get_origin(made)
    return origin is tuple


def _structure_tuple(made: Any, converter: Converter) -> Hook:
    item = converter.get_structure_hook(get_args(made)[0])
    return partial(_list_or_null, partial(_traced_items if converter.detailed_validation else _items, item))
