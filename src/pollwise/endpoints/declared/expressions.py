"""Expressions over a reply's JSON, in JMESPath.

Rule 1: an expression is compiled once, when its declaration is loaded. An invalid one is refused there.
Rule 2: a plain dotted path such as `task.status` is read without an engine. It gives what the library would give.
Rule 3: an expression that fails on a reply gives None: what informs never hides what decides.
Rule 4: truth is that of JMESPath. None, False, and an empty text, list or object are false. The number 0 is true.

The language is that of https://jmespath.org/specification.html. The library `jmespath` (extra `declared`) evaluates it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final, TypeAlias

from pollwise.errors import ConfigurationError

__all__ = ["Expression", "compiled", "is_true", "wrong_call"]

Expression: TypeAlias = Callable[[Any], Any]
"""A compiled expression: takes the JSON of a reply and returns a value, or None."""

_LONGEST: Final = 4_096
_DOTTED: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]*(?:\.[A-Za-z_][A-Za-z0-9_]*)*", re.ASCII).fullmatch


def compiled(text: object) -> Expression:
    """The expression in this text.

    Raises:
        ConfigurationError: It is not a valid expression, or it needs the library `jmespath`, which is not installed.
    """
    if not isinstance(text, str):
        raise ConfigurationError(f"an expression must be a text such as 'task.status', got {type(text).__name__}")
    if not 0 < len(text) <= _LONGEST:
        raise ConfigurationError(f"an expression must have 1 to {_LONGEST} characters, got {len(text)}")
    if _DOTTED(text):
        names = tuple(text.split("."))
        return partial(_field, names[0]) if len(names) == 1 else partial(_path, names)
    return _by_library(text)


def is_true(value: Any) -> bool:
    """Whether JMESPath takes this value for true."""
    return value is not None and value is not False and value not in ("", [], {})


def _field(name: str, data: Any) -> Any:
    return data.get(name) if type(data) is dict else None


def _path(names: tuple[str, ...], data: Any) -> Any:
    for name in names:
        if type(data) is not dict:
            return None
        data = data.get(name)
    return data


def _by_library(text: str) -> Expression:
    try:
        import jmespath  # noqa: PLC0415  # an extra
        from jmespath.exceptions import JMESPathError  # noqa: PLC0415
    except ModuleNotFoundError as exc:
        raise ConfigurationError(
            f"the expression {text!r} needs JMESPath, which is not installed: pip install 'pollwise[declared]'."
            " Without it an expression is a dotted path, such as task.status"
        ) from exc
    try:
        parsed = jmespath.compile(text)
        wrong = wrong_call(parsed.parsed)
    except JMESPathError as exc:
        wrong = _first_line(exc)
    except RecursionError:
        wrong = "it is nested too deep"
    else:
        if wrong is None:
            return partial(_searched, parsed.search, JMESPathError)
    raise ConfigurationError(f"the expression {text!r} is not valid JMESPath: {wrong}")


def wrong_call(node: Mapping[str, Any]) -> str | None:
    """A call of an unknown function, or with a wrong number of arguments. The library finds these at evaluation only."""
    from jmespath.functions import Functions  # noqa: PLC0415

    if node["type"] == "function_expression":
        name, given = node["value"], len(node["children"])
        if name not in Functions.FUNCTION_TABLE:
            return f"there is no function {name}()"
        signature = Functions.FUNCTION_TABLE[name]["signature"]
        variadic = bool(signature and signature[-1].get("variadic"))
        if given < len(signature) or (given > len(signature) and not variadic):
            return f"{name}() takes {'at least ' if variadic else ''}{len(signature)} arguments, got {given}"
    parts = (part for part in node["children"] if isinstance(part, Mapping))  # those of a slice are numbers and None
    return next(filter(None, map(wrong_call, parts)), None)


def _searched(search: Expression, error: type[Exception], data: Any) -> Any:
    try:
        return search(data)
    except (error, ArithmeticError, RecursionError, TypeError, ValueError):  # such as a function of a wrong type
        return None


def _first_line(exc: Exception) -> str:
    return str(exc).partition("\n")[0].strip().rstrip(":")
