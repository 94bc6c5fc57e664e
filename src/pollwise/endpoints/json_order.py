"""An order that was given as JSON, as the endpoint takes it.

Rule 1: an endpoint whose `submit_request` takes an attrs class gets an object of that class. Every other gets the mapping.
Rule 2: no error shows a value, because an order may have a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, get_type_hints

import attrs

from pollwise.endpoints.declared.statuses import StatusForm
from pollwise.errors import ConfigurationError, PollwiseError
from pollwise.errors._root import printable
from pollwise.model.protocols import Endpoint

__all__ = ["WrongOrder", "order_from_json"]


class WrongOrder(ConfigurationError):
    """An order has other fields than those that the endpoint takes, or a wrong one."""


def order_from_json(endpoint: Endpoint[Any, Any], order: Mapping[str, Any]) -> Any:
    """The order as the endpoint takes it.

    Raises:
        WrongOrder: It has other fields than the class that the endpoint takes, or a list is no list.
        ConfigurationError: A field is wrong.
    """
    kind = _kind_of_order(endpoint)
    if kind is None:
        return dict(order)
    name = printable(endpoint.name)
    fields = {field.name: field.default is attrs.NOTHING for field in attrs.fields(kind) if field.init}
    missing = [field for field, is_needed in fields.items() if is_needed and field not in order]
    if missing or not fields.keys() >= order.keys():
        needed = [field for field, is_needed in fields.items() if is_needed]
        further = ", ".join(field for field in fields if field not in needed)
        raise WrongOrder(
            f"an order of {name} needs {', '.join(needed) or 'no field'}{f', and may have {further}' if further else ''}"
        )
    _check(name, kind, order)  # the validators of the class have better words than cattrs
    made = StatusForm(kind).from_json(dict(order))
    for field, value in order.items():
        if isinstance(value, str) and isinstance(getattr(made, field, None), (tuple, list, set, frozenset)):
            raise WrongOrder(f'{field} must be a list, such as {field}:=["a"]')  # cattrs would take its characters
    return made


def _check(name: str, kind: type[Any], order: Mapping[str, Any]) -> None:
    """Raise what the class itself says of these values, if it says anything."""
    try:
        kind(**{field: tuple(value) if isinstance(value, list) else value for field, value in order.items()})
    except PollwiseError:
        raise
    except Exception as error:
        raise WrongOrder(f"the order of {name} is wrong ({type(error).__name__})") from error


def _kind_of_order(endpoint: Endpoint[Any, Any]) -> type[Any] | None:
    """The attrs class that `submit_request` takes, or None."""
    method = getattr(endpoint, "submit_request", None)
    try:
        hints = get_type_hints(method)
    except (NameError, TypeError):  # a type that is imported for type checkers only; a callable without annotations
        return None
    kind = next((hint for name, hint in hints.items() if name not in {"return", "key"}), None)
    return kind if isinstance(kind, type) and attrs.has(kind) else None
