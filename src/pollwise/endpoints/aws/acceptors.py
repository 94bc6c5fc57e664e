"""The rules of botocore's waiters: which reply means what.

Rule 1: the acceptors are tried in their order. The first one that matches decides.
Rule 2: an acceptor that looks at a path never matches an error. One whose expression fails on a reply does not match.
Rule 3: a reply that no acceptor matches means that the wait goes on. An error that no acceptor matches is no answer.

Source: the files `waiters-2.json` of botocore, version 2, and the behaviour of `botocore.waiter`.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs
import jmespath
from jmespath.exceptions import JMESPathError

from pollwise.errors import ConfigurationError

__all__ = ["Acceptor", "State", "acceptors_of", "compiled", "decided", "error_code"]

_Matches = Callable[[Mapping[str, Any]], bool]


class State(enum.Enum):
    """What an acceptor says about the wait."""

    SUCCESS = "success"
    FAILURE = "failure"
    RETRY = "retry"


@attrs.frozen
class Acceptor:
    """One rule.

    Attributes:
        state: What a match means.
        matches: Whether a parsed reply matches.
        text: The rule in words, for the reason of a failure.
    """

    state: State
    matches: _Matches
    text: str


def acceptors_of(rules: Iterable[Mapping[str, Any]]) -> tuple[Acceptor, ...]:
    """The acceptors of a waiter, from its JSON.

    Raises:
        ConfigurationError: A rule has an unknown matcher or state, or an invalid expression.
    """
    return tuple(map(_acceptor, rules))


def decided(acceptors: Iterable[Acceptor], parsed: Mapping[str, Any]) -> Acceptor | None:
    """The first acceptor that matches a reply as botocore parses it, or None."""
    return next((acceptor for acceptor in acceptors if acceptor.matches(parsed)), None)


def error_code(parsed: Mapping[str, Any]) -> Any:
    """The error code in a parsed reply, or None if it is no error."""
    error = parsed.get("Error")
    return error.get("Code") if isinstance(error, dict) else None


def compiled(path: Any) -> Callable[[Any], Any]:
    """A JMESPath expression as a function. It gives None where the expression fails.

    Raises:
        ConfigurationError: It is not a valid expression.
    """
    try:
        search = jmespath.compile(path).search
    except (JMESPathError, TypeError) as exc:
        raise ConfigurationError(f"the waiter has an invalid expression {path!r}: {exc}") from exc

    def value(data: Any) -> Any:
        try:
            return search(data)
        except (JMESPathError, TypeError, ValueError):
            return None

    return value


def _acceptor(rule: Mapping[str, Any]) -> Acceptor:
    try:
        state, matcher, expected = rule["state"], rule["matcher"], rule["expected"]
    except KeyError as exc:
        raise ConfigurationError(f"an acceptor of the waiter has no {exc.args[0]}") from exc
    if matcher not in _MATCHERS:
        raise ConfigurationError(f"an acceptor has the unknown matcher {matcher!r}; known are {', '.join(_MATCHERS)}")
    if state not in {known.value for known in State}:
        raise ConfigurationError(f"an acceptor has the unknown state {state!r}")
    return Acceptor(State(state), *_MATCHERS[matcher](expected, rule.get("argument")))


def _path(expected: Any, argument: Any) -> tuple[_Matches, str]:
    value = compiled(argument)
    return _of_good(lambda parsed: bool(value(parsed) == expected)), f"{argument} is {expected!r}"


def _path_all(expected: Any, argument: Any) -> tuple[_Matches, str]:
    value = compiled(argument)

    def matches(parsed: Mapping[str, Any]) -> bool:
        found = value(parsed)
        return isinstance(found, list) and bool(found) and all(one == expected for one in found)

    return _of_good(matches), f"all of {argument} are {expected!r}"


def _path_any(expected: Any, argument: Any) -> tuple[_Matches, str]:
    value = compiled(argument)

    def matches(parsed: Mapping[str, Any]) -> bool:
        found = value(parsed)
        return isinstance(found, list) and any(one == expected for one in found)

    return _of_good(matches), f"one of {argument} is {expected!r}"


def _status(expected: Any, _argument: Any) -> tuple[_Matches, str]:
    def matches(parsed: Mapping[str, Any]) -> bool:
        return bool(parsed.get("ResponseMetadata", {}).get("HTTPStatusCode") == expected)

    return matches, f"the HTTP status code is {expected}"


def _error(expected: Any, _argument: Any) -> tuple[_Matches, str]:
    if expected is True:
        return lambda parsed: "Code" in parsed.get("Error", ()), "there is an error"
    if expected is False:
        return lambda parsed: "Error" not in parsed, "there is no error"
    return lambda parsed: bool(parsed.get("Error", {}).get("Code", "") == expected), f"the error is {expected}"


def _of_good(matches: _Matches) -> _Matches:
    """The same, and False for errors."""

    def of_good(parsed: Mapping[str, Any]) -> bool:
        error = parsed.get("Error")
        return not (isinstance(error, dict) and "Code" in error) and matches(parsed)

    return of_good


_MATCHERS: Final[Mapping[str, Callable[[Any, Any], tuple[_Matches, str]]]] = {
    "path": _path,
    "pathAll": _path_all,
    "pathAny": _path_any,
    "status": _status,
    "error": _error,
}
