"""What a waiter waits for: the parameters of its operation.

Rule 1: a job is a value. Equal parameters are equal jobs, in whatever order and types of sequence they were given.
Rule 2: parameters are JSON: texts, numbers, truth values, lists and objects. A date becomes its ISO 8601 text.
Rule 3: a ledger and a resume token keep each parameter as JSON text, under its name.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Mapping
from typing import Any

import attrs
import orjson

from pollwise.errors import ConfigurationError

__all__ = ["WaiterCodec", "WaiterJob"]

_DEEPEST = 20


@attrs.frozen(repr=False)
class WaiterJob:
    """A job of a waiter, as `WaiterEndpoint.job` makes it.

    Attributes:
        keys: The names of the operation's parameters and their values as JSON text, sorted by name.
    """

    keys: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, parameters: Mapping[str, Any]) -> WaiterJob:
        """The job with these parameters. Raises ConfigurationError for a value that is no JSON."""
        return cls(tuple((name, _text(name, value)) for name, value in sorted(parameters.items())))

    @property
    def parameters(self) -> dict[str, Any]:
        """The parameters of the operation, as a new dict."""
        return {name: orjson.loads(value) for name, value in self.keys}

    def __repr__(self) -> str:
        return f"WaiterJob({', '.join(f'{name}={value}' for name, value in self.keys)})"


class WaiterCodec:
    """Keeps the jobs and statuses of waiters in ledgers and resume tokens. A status is JSON already."""

    def job_to_keys(self, job: WaiterJob, /) -> dict[str, str]:
        """The parameters as JSON texts."""
        return dict(job.keys)

    def job_from_keys(self, keys: Mapping[str, str], /) -> WaiterJob:
        """The job again. Raises ConfigurationError, a ValueError, for keys that are not a job's."""
        given: object = keys  # from a token or a ledger it may be anything
        if not isinstance(given, Mapping):
            raise ConfigurationError("the keys of a waiter's job are the names of its parameters")
        try:
            return WaiterJob.of({str(name): orjson.loads(value) for name, value in given.items()})
        except orjson.JSONDecodeError:
            pass
        raise ConfigurationError("the keys of a waiter's job are JSON texts")  # raised out here, without the value

    def status_to_json(self, status: Mapping[str, Any], /) -> Any:
        """The status as it is."""
        return status

    def status_from_json(self, data: Any, /) -> Mapping[str, Any]:
        """The status as it is. Raises ConfigurationError, a ValueError, if it is no object."""
        if not isinstance(data, dict):
            raise ConfigurationError("the status of a waiter is a JSON object")
        return data


def _text(name: str, value: Any) -> str:
    """The value of a parameter as JSON text."""
    try:
        return orjson.dumps(_plain(name, value, _DEEPEST), option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:
        pass
    raise ConfigurationError(f"the parameter {name} has a text with a lone surrogate, which no text may have")


def _plain(name: str, value: Any, depth: int) -> Any:
    """The value in JSON's types."""
    if depth == 0:
        raise ConfigurationError(f"the parameter {name} is nested too deep")
    match value:
        case None | bool() | str():
            return value
        case int() if -(2**63) <= value < 2**64:
            return int(value)
        case float() if math.isfinite(value):
            return value
        case dt.datetime() | dt.date():
            return value.isoformat()
        case list() | tuple():
            return [_plain(name, one, depth - 1) for one in value]
        case Mapping() if all(isinstance(key, str) for key in value):
            return {key: _plain(name, one, depth - 1) for key, one in value.items()}
    raise ConfigurationError(
        f"the parameter {name} must be a text, a number, a truth value, a date, a list or a mapping of those; got"
        f" {type(value).__name__}"
    )
