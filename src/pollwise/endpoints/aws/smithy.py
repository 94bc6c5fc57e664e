"""The rules of Smithy's waiters, the trait `smithy.waiters#waitable`.

Rule 1: acceptors are tried in their order, and the first one that matches decides.
Rule 2: `output` and `inputOutput` match successful exchanges alone, `errorType` matches errors alone.
Rule 3: a comparator never converts: the text "true" is no boolean, and the number 1 is no text.
Rule 4: an error that no acceptor matches is a failure. Everything else that no acceptor matches is a retry.

They differ from the waiters of botocore (`acceptors.py`) in their matchers: expected values are texts, and an expression may
look at the input, too. A model's `minDelay` and `maxDelay` are not read here, because `Pacing` decides when to ask.

Source: https://smithy.io/2.0/additional-specs/waiters.html
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints.aws.acceptors import State, compiled
from pollwise.errors import ConfigurationError

__all__ = ["Exchange", "SmithyAcceptor", "smithy_acceptors", "smithy_state"]


@attrs.frozen(kw_only=True)
class Exchange:
    """One call of an operation.

    Attributes:
        input: The input, as JSON values. Members have their names in the model.
        output: The output, likewise. None if the call failed.
        error: The name of the error, with or without its namespace, or None if the call succeeded.
    """

    input: Any = None
    output: Any = None
    error: str | None = None


@attrs.frozen
class SmithyAcceptor:
    """One rule: what a match means, and whether an exchange matches."""

    state: State
    matches: Callable[[Exchange], bool]


def smithy_acceptors(waiter: Mapping[str, Any]) -> tuple[SmithyAcceptor, ...]:
    """The acceptors of one waiter, from its JSON in a model.

    Raises:
        ConfigurationError: A rule is not as the specification has it, or no rule has the state `success`.
    """
    rules = tuple(map(_acceptor, waiter.get("acceptors", ())))
    if not any(rule.state is State.SUCCESS for rule in rules):
        raise ConfigurationError("a waiter needs an acceptor with the state 'success'")
    return rules


def smithy_state(acceptors: Iterable[SmithyAcceptor], exchange: Exchange) -> State:
    """What an exchange means for the wait."""
    for acceptor in acceptors:
        if acceptor.matches(exchange):
            return acceptor.state
    return State.RETRY if exchange.error is None else State.FAILURE


def _acceptor(rule: Mapping[str, Any]) -> SmithyAcceptor:
    matcher = rule.get("matcher")
    if not isinstance(matcher, Mapping) or len(matcher) != 1:
        raise ConfigurationError("an acceptor needs a matcher with exactly one member, such as {'success': true}")
    ((kind, value),) = matcher.items()
    if kind not in _MATCHERS:
        raise ConfigurationError(f"an acceptor has the unknown matcher {kind!r}; known are {', '.join(_MATCHERS)}")
    if rule.get("state") not in {state.value for state in State}:
        raise ConfigurationError(f"an acceptor has the unknown state {rule.get('state')!r}")
    return SmithyAcceptor(State(rule["state"]), _MATCHERS[kind](value))


def _success(expected: Any) -> Callable[[Exchange], bool]:
    if type(expected) is not bool:
        raise ConfigurationError(f"the matcher success must be true or false, got {expected!r}")
    return lambda exchange: (exchange.error is None) is expected


def _error_type(expected: Any) -> Callable[[Exchange], bool]:
    if not isinstance(expected, str) or not expected:
        raise ConfigurationError(f"the matcher errorType must be the name of an error, got {expected!r}")
    name = _bare(expected)
    return lambda exchange: exchange.error is not None and _bare(exchange.error) == name


def _output(value: Any) -> Callable[[Exchange], bool]:
    search, compare = _path(value)
    return lambda exchange: exchange.error is None and compare(search(exchange.output))


def _input_output(value: Any) -> Callable[[Exchange], bool]:
    search, compare = _path(value)
    return lambda exchange: (
        exchange.error is None and compare(search({"input": exchange.input, "output": exchange.output}))
    )


def _path(value: Any) -> tuple[Callable[[Any], Any], Callable[[Any], bool]]:
    if not isinstance(value, Mapping) or set(value) != {"path", "expected", "comparator"}:
        raise ConfigurationError("a path matcher needs path, expected and comparator, and nothing else")
    expected, comparator = value["expected"], value["comparator"]
    if comparator not in _COMPARATORS:
        raise ConfigurationError(f"the comparator {comparator!r} is unknown; known are {', '.join(_COMPARATORS)}")
    if not isinstance(expected, str) or (comparator == "booleanEquals" and expected not in {"true", "false"}):
        raise ConfigurationError(f"expected must be a text, and 'true' or 'false' for booleanEquals; got {expected!r}")
    compare = _COMPARATORS[comparator]
    return compiled(value["path"]), lambda found: compare(found, expected)


def _bare(name: str) -> str:
    """The name of an error without its namespace: `com.example#NotFound` is `NotFound`."""
    return name.rpartition("#")[2]


def _string_equals(found: Any, expected: str) -> bool:
    return isinstance(found, str) and found == expected


def _boolean_equals(found: Any, expected: str) -> bool:
    return found is (expected == "true")


def _all_string_equals(found: Any, expected: str) -> bool:
    return isinstance(found, list) and bool(found) and all(_string_equals(one, expected) for one in found)


def _any_string_equals(found: Any, expected: str) -> bool:
    return isinstance(found, list) and any(_string_equals(one, expected) for one in found)


_COMPARATORS: Final[Mapping[str, Callable[[Any, str], bool]]] = {
    "stringEquals": _string_equals,
    "booleanEquals": _boolean_equals,
    "allStringEquals": _all_string_equals,
    "anyStringEquals": _any_string_equals,
}
_MATCHERS: Final[Mapping[str, Callable[[Any], Callable[[Exchange], bool]]]] = {
    "success": _success,
    "errorType": _error_type,
    "output": _output,
    "inputOutput": _input_output,
}
