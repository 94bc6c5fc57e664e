"""The codec for jobs that are attrs classes, and for statuses that cattrs can make.

Rule 1: what was written is read back as an equal value, or refused. No value is converted: `"false"` is no bool, and
`"25"` is no int.
Rule 2: a job's keys are texts. Its fields may be str, int, bool, `uuid.UUID` and enums with such values.
Rule 3: a key that a job does not have is refused. A field that a status does not have is ignored, so that an older
release reads the rows of a newer one.
Rule 4: an error names the field and the type. It holds no value, because a value may be a secret.
"""

from __future__ import annotations

import enum
import re
import uuid
from collections.abc import Callable, Hashable, Mapping
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar, cast, get_type_hints

import attrs

from pollwise.errors import ConfigurationError

if TYPE_CHECKING:
    from cattrs import Converter

__all__ = ["AttrsCodec", "whole_number"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_WHOLE_NUMBER: Final = re.compile(r"-?(0|[1-9][0-9]{0,300})", re.ASCII).fullmatch
_TRUTHS: Final = {"true": True, "false": False}


class AttrsCodec(Generic[J, S]):
    """Keeps jobs and statuses in ledgers and resume tokens.

        class ExportEndpoint(Endpoint[Export, ExportStatus]):
            codec = AttrsCodec(Export, ExportStatus)

    Args:
        job_type: The attrs class of the jobs. Its fields may be str, int, bool, `uuid.UUID` and enums of str or int.
        status_type: The type of the statuses: an attrs class or dataclass, or what else cattrs makes of JSON.

    Raises:
        ConfigurationError: `job_type` is no attrs class, or a field of it has another type.
    """

    def __init__(self, job_type: type[J], status_type: type[S]) -> None:
        self._job_type = job_type
        self._status_type = status_type
        self._keys = _keys_of(job_type)

    def __repr__(self) -> str:
        return f"AttrsCodec({self._job_type.__name__}, {_name(self._status_type)})"

    @property
    def key_types(self) -> dict[str, type]:
        """The names of a job's keys with the types of their fields, in the order of the fields."""
        return {key.name: key.kind for key in self._keys}

    def job_to_keys(self, job: J, /) -> dict[str, str]:
        """The job's fields as texts. Raises ConfigurationError for a field that is not of its type."""
        keys = {}
        for key in self._keys:
            try:
                keys[key.name] = key.write(getattr(job, key.name))
            except (ValueError, TypeError, AttributeError):
                keys.clear()
            if not keys:
                raise ConfigurationError(
                    f"field {key.name} of the job must be a {key.kind.__name__}, as {self._job_type.__name__} declares"
                )
        return keys

    def job_from_keys(self, keys: Mapping[str, str], /) -> J:
        """The job again. Raises ConfigurationError, a ValueError, unless the keys are exactly a job's."""
        given: object = keys  # from a token or a ledger it may be anything
        names = [key.name for key in self._keys]
        if not isinstance(given, Mapping) or set(given) != set(names):
            raise ConfigurationError(f"a {self._job_type.__name__} has exactly the keys {', '.join(names)}")
        values: dict[str, Any] = {}
        for key in self._keys:
            try:
                values[key.argument] = key.read(given[key.name])
            except (ValueError, TypeError, KeyError, AttributeError):
                wrong = f"key {key.name} of a {self._job_type.__name__} must be {_form(key.kind)}"
                break
        else:
            return self._job_type(**values)
        raise ConfigurationError(wrong)  # raised out here, so that no value is in its context

    def status_to_json(self, status: S, /) -> Any:
        """The status as JSON-ready values, by its field names."""
        return self._converter.unstructure(status, self._status_type)

    def status_from_json(self, data: Any, /) -> S:
        """The status again. Raises ConfigurationError, a ValueError, for data that is not a status's."""
        from cattrs import transform_error  # noqa: PLC0415  # only ledgers need cattrs

        try:
            return self._converter.structure(data, self._status_type)
        except Exception as exc:  # noqa: BLE001  # cattrs passes on what any hook raises
            why = "; ".join(transform_error(exc, format_exception=_reason))
        raise ConfigurationError(f"this is no {_name(self._status_type)}: {why}")

    @cached_property
    def _converter(self) -> Converter:
        from cattrs.preconf.json import make_converter  # noqa: PLC0415  # only ledgers need cattrs

        converter = make_converter()
        for exact in (bool, int, str):
            converter.register_structure_hook(exact, partial(_exactly_or_enum, exact))
        converter.register_structure_hook(float, _number)
        return converter


@attrs.frozen
class _Key:
    """One field of a job: its name, the argument that sets it, its type, and the way to a text and back."""

    name: str
    argument: str
    kind: type
    write: Callable[[Any], str]
    read: Callable[[str], Any]


def _keys_of(job_type: Any) -> tuple[_Key, ...]:
    if not isinstance(job_type, type) or not attrs.has(job_type):
        raise ConfigurationError(f"AttrsCodec needs an attrs class for the jobs, got {job_type!r}")
    try:
        kinds = get_type_hints(job_type)
    except NameError as exc:
        raise ConfigurationError(f"AttrsCodec cannot look up a type that {job_type.__name__} names: {exc}") from exc
    return tuple(_key(job_type, field, kinds[field.name]) for field in attrs.fields(job_type) if field.init)


def _key(job_type: type, field: attrs.Attribute[Any], kind: Any) -> _Key:
    argument = field.alias or field.name
    if kind in _TEXTS:
        return _Key(field.name, argument, kind, *_TEXTS[kind])
    if isinstance(kind, enum.EnumType):
        members = list(cast("type[enum.Enum]", kind))
        by_text = {str(member.value): member for member in members}
        if len(by_text) == len(members) and all(isinstance(member.value, (str, int)) for member in members):
            return _Key(field.name, argument, kind, _enum_text, by_text.__getitem__)
    raise ConfigurationError(
        f"AttrsCodec cannot keep field {field.name} of {job_type.__name__}: a job's fields must be str, int, bool,"
        " uuid.UUID or enums of str or int; write a LedgerCodec of your own for another type"
    )


def _form(kind: type) -> str:
    """How the text of a key of this type looks."""
    if isinstance(kind, enum.EnumType):
        return f"one of {', '.join(str(member.value) for member in cast('type[enum.Enum]', kind))}"
    return _FORMS[kind]


def _name(kind: Any) -> str:
    return str(getattr(kind, "__name__", kind))


def _same_text(value: Any) -> str:
    return str(_exactly(str, value))


def _truth_text(value: Any) -> str:
    return "true" if _exactly(bool, value) else "false"


def _whole_number_text(value: Any) -> str:
    return str(_exactly(int, value))


def _uuid_text(value: Any) -> str:
    return str(_exactly(uuid.UUID, value))


def _enum_text(value: enum.Enum) -> str:
    return str(value.value)


def whole_number(text: str) -> int:
    """The number in a text that `str` made of it. Raises ValueError for any other text."""
    if not _WHOLE_NUMBER(text):
        raise ValueError("not a whole number")
    return int(text)


def _exactly(kind: type, value: object, _type: object = None, /) -> Any:
    if type(value) is not kind:
        raise TypeError(f"expected {kind.__name__}, got {type(value).__name__}")
    return value


def _exactly_or_enum(kind: type, value: object, target: Any, /) -> Any:
    """The same, and enums: cattrs takes the hook of str for enums of str."""
    return target(_exactly(kind, value)) if isinstance(target, enum.EnumType) else _exactly(kind, value)


def _number(value: object, _type: object = None, /) -> float:
    if type(value) is not float and type(value) is not int:
        raise TypeError(f"expected a number, got {type(value).__name__}")
    return float(value)


def _reason(exc: BaseException, _type: type | None) -> str:
    """What is wrong, without a value."""
    match exc:
        case KeyError():
            return "it is missing"
        case TypeError() if str(exc).startswith("expected "):
            return str(exc)
    return f"it cannot be read ({type(exc).__name__})"


_FORMS: Final[Mapping[type, str]] = {
    str: "a text",
    bool: "true or false",
    int: "a whole number, such as 7",
    uuid.UUID: "a UUID, such as 123e4567-e89b-12d3-a456-426614174000",
}
_TEXTS: Final[Mapping[Any, tuple[Callable[[Any], str], Callable[[str], Any]]]] = {
    str: (_same_text, _same_text),
    bool: (_truth_text, _TRUTHS.__getitem__),
    int: (_whole_number_text, whole_number),
    uuid.UUID: (_uuid_text, uuid.UUID),
}
