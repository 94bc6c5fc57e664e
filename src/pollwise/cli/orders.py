"""The order of `pollwise submit`: what the job is to do.

Rule 1: an order is a JSON object. `KEY=VALUE` is a text, and `KEY:=JSON` any other value. Nothing is guessed.
Rule 2: no error shows a value, because an order may have a secret.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NoReturn

from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.json_order import WrongOrder, order_from_json

__all__ = ["order_for", "order_of"]

_LARGEST: Final = 16_777_216  # bytes
_LONGEST_ERROR: Final = 1000  # characters


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
    try:
        return order_from_json(endpoint, order)
    except WrongOrder as error:
        raise UsageError(safe(str(error), _LONGEST_ERROR)) from error


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
