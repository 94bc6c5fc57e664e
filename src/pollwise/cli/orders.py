"""The order of `pollwise submit`: what the job is to do.

Rule 1: an order is a JSON object. `KEY=VALUE` is a text, and `KEY:=JSON` any other value. Nothing is guessed.
Rule 2: an endpoint whose `submit_request` takes an attrs class gets an object of that class.
Rule 3: no error shows a value, because an order may have a secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn, get_type_hints

import attrs

from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.declared.statuses import StatusForm
from pollwise.errors import PollwiseError

__all__ = ["order_for", "order_of"]

_LARGEST: Final = 16_777_216  # bytes


def order_of(given: Sequence[str], file: Path | None) -> dict[str, Any]:
    """The order in these arguments, or in this file; `-` is stdin. Raises UsageError."""
    if file is None:
        return _of_arguments(given)
    if given:
        raise UsageError("give the order as KEY=VALUE, or in the file of --order, not both")
    name = "stdin" if str(file) == "-" else safe(file)
    found = _json(_content(file), name)
    if not isinstance(found, dict):
        raise UsageError(f"{name} must be one JSON object, which is the order")
    return found


def order_for(endpoint: AnyEndpoint, order: Mapping[str, Any]) -> Any:
    """The order as the endpoint takes it.

    Raises:
        UsageError: It has other fields than the class that the endpoint takes.
        ConfigurationError: A field is wrong.
    """
    kind = _kind_of_order(endpoint)
    if kind is None:
        return dict(order)
    fields = {field.name: field.default is attrs.NOTHING for field in attrs.fields(kind) if field.init}
    missing = [name for name, is_needed in fields.items() if is_needed and name not in order]
    if missing or not fields.keys() >= order.keys():
        needed = [name for name, is_needed in fields.items() if is_needed]
        further = ", ".join(name for name in fields if name not in needed)
        raise UsageError(
            f"an order of {safe(endpoint.name)} needs {', '.join(needed) or 'no field'}"
            f"{f', and may have {further}' if further else ''}"
        )
    _check(endpoint.name, kind, order)  # the validators of the class have better words than cattrs
    made = StatusForm(kind).from_json(dict(order))
    for name, value in order.items():
        if isinstance(value, str) and isinstance(getattr(made, name, None), (tuple, list, set, frozenset)):
            raise UsageError(f'{name} must be a list, such as {name}:=["a"]')  # cattrs would take its characters
    return made


def _check(name: str, kind: type[Any], order: Mapping[str, Any]) -> None:
    """Raise what the class itself says of these values, if it says anything."""
    try:
        kind(**{field: tuple(value) if isinstance(value, list) else value for field, value in order.items()})
    except PollwiseError:
        raise
    except Exception as error:
        raise UsageError(f"the order of {safe(name)} is wrong ({type(error).__name__})") from error


def _kind_of_order(endpoint: AnyEndpoint) -> type[Any] | None:
    """The attrs class that `submit_request` takes, or None."""
    method = getattr(endpoint, "submit_request", None)
    try:
        hints = get_type_hints(method)
    except (NameError, TypeError):  # a type that is imported for type checkers only; a callable without annotations
        return None
    kind = next((hint for name, hint in hints.items() if name not in {"return", "key"}), None)
    return kind if isinstance(kind, type) and attrs.has(kind) else None


def _of_arguments(given: Sequence[str]) -> dict[str, Any]:
    order: dict[str, Any] = {}
    for argument in given:
        name, equals, value = argument.partition("=")
        is_json = name.endswith(":")
        name = name.removesuffix(":")
        if not equals or not name:
            raise UsageError("write a field of the order as KEY=VALUE for a text, or as KEY:=JSON, such as size:=7")
        if name in order:
            raise UsageError(f"the field {safe(name, 60)} is given twice")
        order[name] = _json(value, f"the value of {safe(name, 60)}") if is_json else value
    return order


def _json(text: str | bytes, name: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        wrong = "it is nested too deeply"
    except json.JSONDecodeError as error:
        wrong = f"{error.msg}, at line {error.lineno}, character {error.colno}"
    except (ValueError, UnicodeDecodeError):
        wrong = "it has a wrong number, or is no UTF-8"
    raise UsageError(f"{name} is not JSON: {wrong}")


def _no_number(_name: str) -> NoReturn:
    raise ValueError


def _content(file: Path) -> bytes:
    try:
        if str(file) == "-":
            content = sys.stdin.buffer.read(_LARGEST + 1)
        else:
            with file.open("rb") as stream:
                content = stream.read(_LARGEST + 1)
    except OSError as error:
        raise UsageError(f"cannot read {safe(file)}: {error.strerror or error}") from error
    except (AttributeError, ValueError) as error:  # an embedding program's stdin; one that the shell has closed
        raise UsageError("stdin cannot be read: it is closed, or no file") from error
    if len(content) > _LARGEST:
        raise UsageError(f"an order has at most {_LARGEST} bytes")
    return content
