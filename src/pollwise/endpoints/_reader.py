"""Structures a reply's JSON into typed values with cattrs, and reports the fields that it could not read.

Rule 1: a documented reply is structured in one step. Only if that fails, the document is read again, field by field
(`_lenient_reader.py`). Reading leniently at once would make every good poll slower.
Rule 2: an undocumented value is logged once for each field of an endpoint, with a short escaped excerpt.
Rule 3: a long reply is cut down to limits before it is decoded. A list of the status says how many items that cost.
Rule 4: an error has no reference to the body, neither in its context nor in its text. It has the vendor's description.
"""

from __future__ import annotations

import enum
import logging
from collections.abc import Callable, Container, Iterable, Iterator, Mapping
from functools import partial
from typing import Any, Generic, TypeVar, cast, get_args, get_origin

import attrs
import orjson
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override
from cattrs.preconf.orjson import make_converter

from pollwise.endpoints._left_out import left_out_of, with_left_out
from pollwise.endpoints._lenient_reader import FAULTS, LenientReader, Odd, Refused, folded_key
from pollwise.endpoints._strict import Hook, shown
from pollwise.errors import ConfigurationError, MalformedReply, Problem
from pollwise.model.bounded_reply import SHORT, bounded
from pollwise.model.construction import fast_constructor
from pollwise.model.log_fields import log_fields
from pollwise.model.messages import Reply

__all__ = ["Reader", "ReplyReader", "clipped", "json_object_in"]

T = TypeVar("T")

_MAX_ENTRIES = 20
_MAX_ENTRY = 500
_MAX_WORDS = 300
_LEFT_OUT = "left_out"  # the key in a ledger; no vendor's field has this name

_log = logging.getLogger(__name__)


def json_object_in(reply: Reply) -> dict[str, Any] | None:
    """The JSON object in the body of a refusal, for any content type, or None. Never raises."""
    try:
        data = reply.json()
    except MalformedReply:
        return None
    return data if type(data) is dict else None


def clipped(values: Iterable[object]) -> tuple[str, ...]:
    """The texts and whole numbers among the values, as texts of limited length and number."""
    found = [str(value)[:_MAX_ENTRY] for value in values if type(value) in (str, int) and value != ""]
    return tuple(found[:_MAX_ENTRIES])


class Reader(Generic[T]):
    """Structures JSON objects into an attrs class, and back.

    A field without a default decides, and is read strictly. Every other field informs, and is read leniently.

    Args:
        made: The class to structure. Attrs classes in its fields are structured as well.
        hooks: Strict hooks, by the annotated type of a field.
        lenient_hooks: Lenient hooks for undocumented values, by the annotated type of a field.
        field_hooks: Strict hooks for single fields of `made`, by name. They take precedence over `hooks`.
        lenient_field_hooks: Lenient hooks for single fields of any class, by name. They take precedence over `lenient_hooks`.
        main_text: For each item class, the field that a bare text in place of an item goes into.
        often_absent: Fields that documented replies often leave out.
        wire_name: Returns the vendor's key for a field's name.
    """

    def __init__(
        self,
        made: type[T],
        hooks: Mapping[Any, Hook],
        *,
        lenient_hooks: Mapping[Any, Hook] | None = None,
        field_hooks: Mapping[str, Hook] | None = None,
        lenient_field_hooks: Mapping[str, Hook] | None = None,
        main_text: Mapping[type, str] | None = None,
        often_absent: Container[str] = (),
        wire_name: Callable[[str], str] = str,
    ) -> None:
        self.made = made
        self._hooks = hooks
        self._field_hooks = field_hooks or {}
        self._often_absent = often_absent
        self._wire_name = wire_name
        self._converter = converter = make_converter(
            detailed_validation=False, unstruct_collection_overrides={tuple: list}
        )
        converter.register_structure_hook_factory(attrs.has, self._structure_class)
        converter.register_unstructure_hook_factory(attrs.has, self._unstructure_class)
        converter.register_structure_hook_factory(_is_tuple, _structure_tuple)
        self.quick: Callable[[object, type[T]], T] = converter.get_structure_hook(made)
        by_type, by_name = lenient_hooks or {}, lenient_field_hooks or {}
        self._lenient: LenientReader[T] = LenientReader(
            made,
            strict=self._hook,
            lenient=lambda field: by_name.get(field.name) or by_type.get(field.type),
            main_text=main_text or {},
            wire_name=wire_name,
            quick=converter.get_structure_hook,
        )

    def read_leniently(self, data: object, odd: Odd) -> T | str:
        """Structure data that `quick` refused. Returns the value, or the reason why there is none."""
        try:
            return self._lenient.read(data, odd)
        except Refused as exc:
            return str(exc)

    def structure(self, data: object) -> T:
        """Structure data from a ledger. Raises ConfigurationError, which is a ValueError."""
        value: T | str
        try:
            value = self.quick(data, self.made)
        except FAULTS:
            value = self.read_leniently(data, _silent)
        if isinstance(value, str):
            raise ConfigurationError(f"this is not the data of {self.made.__name__}: {value}")
        numbers = data.get(_LEFT_OUT) if isinstance(data, dict) else None
        return self.with_left_out(value, numbers) if isinstance(numbers, dict) else value

    def unstructure(self, value: T) -> dict[str, Any]:
        """The value as JSON-ready data with the vendor's keys. `structure` returns an equal value for it."""
        data = cast("dict[str, Any]", self._converter.unstructure(value, self.made))
        left_out = {self._wire_name(name): number for name, number in left_out_of(value).items()}
        return {_LEFT_OUT: left_out, **data} if left_out else data

    @property
    def keys(self) -> frozenset[str]:
        """The vendor's keys of the object, and of objects in its fields."""
        return frozenset(self._keys_of(self.made))

    def _keys_of(self, cls: Any) -> Iterator[str]:
        for field in attrs.fields(attrs.resolve_types(cls)):
            yield self._wire_name(field.name)
            if attrs.has(field.type):
                yield from self._keys_of(field.type)

    def with_left_out(self, value: T, left_out: Mapping[str, object]) -> T:
        """The value with what `Reply.left_out` says of its lists. Other spellings of a key count, too."""
        folded = {folded_key(path): number for path, number in left_out.items()}
        names = [field.name for field in attrs.fields(cast("type[attrs.AttrsInstance]", self.made))]
        return with_left_out(value, {name: folded.get(folded_key(self._wire_name(name)), 0) for name in names})

    def _hook(self, cls: type, field: attrs.Attribute[Any]) -> Hook | None:
        return (self._field_hooks.get(field.name) if cls is self.made else None) or self._hooks.get(field.type)

    def _structure_class(self, cls: Any, converter: Converter) -> Hook:
        fields = attrs.fields(attrs.resolve_types(cls))
        overrides: dict[str, Any] = {
            field.name: override(rename=self._wire_name(field.name), struct_hook=self._hook(cls, field))
            for field in fields
        }
        # Only fields that are often absent are looked up one by one: doing so for all costs a third more.
        rare = {field.name for field in fields if field.name in self._often_absent}
        absent = {
            self._wire_name(field.name): converter.unstructure(field.default)
            for field in fields
            if field.default is not attrs.NOTHING and field.name not in rare
        }
        known = frozenset(self._wire_name(field.name) for field in fields)
        make = fast_constructor(cls, defaults=rare)
        return partial(_object, absent, known, make_dict_structure_fn(make, converter, **overrides))

    def _unstructure_class(self, cls: Any, converter: Converter) -> Callable[[Any], dict[str, Any]]:
        overrides: dict[str, Any] = {
            field.name: override(
                rename=self._wire_name(field.name),
                unstruct_hook=_plain if any(isinstance(part, enum.EnumType) for part in get_args(field.type)) else None,
            )
            for field in attrs.fields(attrs.resolve_types(cls))
        }
        return make_dict_unstructure_fn(cls, converter, **overrides)


class ReplyReader(Generic[T]):
    """Reads the replies of one endpoint, and logs undocumented values.

    Args:
        reader: Structures the values.
        name: The endpoint's name, for the log.
        problem: Returns the vendor's codes and descriptions from an undocumented reply.
    """

    def __init__(self, reader: Reader[T], name: str, problem: Callable[[Reply], Problem | None]) -> None:
        self._reader = reader
        self._quick = reader.quick
        self._made = reader.made
        self._name = name
        self._problem = problem
        self._logged: set[str] = set()  # bounded by the number of documented fields

    def read(self, reply: Reply) -> T:
        """The status in the reply. Raises MalformedReply, with the path of the deciding field that is wrong."""
        if len(reply.body) <= SHORT:
            try:
                return self._quick(orjson.loads(reply.body), self._made)
            except FAULTS:  # JSONDecodeError is a ValueError
                pass
            return self._decoded(reply)
        reply = bounded(reply, deciding=self._reader.keys)
        value = self._decoded(reply)
        return self._reader.with_left_out(value, reply.left_out) if reply.left_out else value

    def read_part(self, reply: Reply, data: object) -> T:
        """The status in a part of the reply's JSON, such as in an envelope. Raises MalformedReply as `read` does."""
        try:
            return self._quick(data, self._made)
        except FAULTS:
            pass
        return self._leniently(reply, data)

    def _decoded(self, reply: Reply) -> T:
        try:
            return self._quick(orjson.loads(reply.body), self._made)
        except orjson.JSONDecodeError:
            is_odd_json = True
        except FAULTS:
            is_odd_json = False
        # Outside the except block, so that no error has the body or a value in its context.
        data = reply.json()
        if is_odd_json:
            try:
                return self._quick(data, self._made)  # maybe only the encoding was unusual
            except FAULTS:
                pass
        return self._leniently(reply, data)

    def _leniently(self, reply: Reply, data: object) -> T:
        value = self._reader.read_leniently(data, partial(self._log_once, reply))
        if not isinstance(value, str):
            return value
        problem = self._problem(reply)
        words = "" if problem is None or problem == Problem() else ascii(str(problem))[1:-1]
        raise reply.malformed(f"{value}; the server said: {words[:_MAX_WORDS]}" if words else value)

    def _log_once(self, reply: Reply, field: str, why: str) -> None:
        if field not in self._logged:
            self._logged.add(field)
            _log.warning(
                "%s: field %s is not as documented: %s. The reply is still used. This is logged once for each field.",
                self._name,
                field,
                reply.mask.text(why),
                extra=log_fields(endpoint=self._name, field=field),
            )


def _silent(_field: str, _why: str) -> None:
    """No log for data from a ledger: its values were logged when they were received."""


def _object(absent: dict[str, Any], known: frozenset[str], fields: Hook, value: object, type_: object, /) -> Any:
    # Without this check, a text would count as an object without its optional keys.
    if type(value) is dict:
        try:
            return fields(value, type_)
        except KeyError:
            if not known.issuperset(value):  # a missing key may be there in another spelling
                raise
            return fields(absent | value, type_)
    raise ValueError(f"expected an object, got {shown(value)}")


def _list_or_null(item: Hook, value: object, _type: object, /) -> tuple[Any, ...]:
    if type(value) is list:
        return tuple([item(entry, None) for entry in value]) if value else ()
    if value is None:
        return ()
    raise ValueError(f"expected a list or null, got {shown(value)}")


def _plain(value: object) -> object:
    return value.value if isinstance(value, enum.Enum) else value


def _is_tuple(made: Any) -> bool:
    origin: object = get_origin(made)
    return origin is tuple


def _structure_tuple(made: Any, converter: Converter) -> Hook:
    return partial(_list_or_null, converter.get_structure_hook(get_args(made)[0]))
