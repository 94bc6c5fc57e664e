"""The jobs of declared endpoints, and how ledgers and resume tokens keep them.

Rule 1: a job has all keys of its declaration and no other. Each can stand in every request that uses it.
Rule 2: a ledger has keys as texts. A key whose type is `int` comes back as an int.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Generic, TypeVar

import attrs

from pollwise.endpoints.attrs_codec import whole_number
from pollwise.endpoints.declared.plan import KEY_TYPES, Plan
from pollwise.endpoints.declared.statuses import StatusForm
from pollwise.endpoints.declared.templates import Key
from pollwise.errors import ConfigurationError

__all__ = ["DeclaredJob", "JobCodec", "job_of_keys", "job_of_texts", "typed_key"]

S = TypeVar("S")


@attrs.frozen(repr=False)
class DeclaredJob:
    """A job of a declared endpoint, as `DeclaredEndpoint.job` makes it.

    Attributes:
        endpoint: The endpoint's name.
        keys: Names and values, in the order of the declaration.
    """

    endpoint: str
    keys: tuple[tuple[str, Key], ...]

    def __getitem__(self, name: str) -> Key:
        return dict(self.keys)[name]

    def __repr__(self) -> str:
        return f"{self.endpoint}({', '.join(f'{name}={value!r}' for name, value in self.keys)})"


def job_of_keys(endpoint: str, plan: Plan, types: Mapping[str, str], keys: Mapping[str, Any]) -> DeclaredJob:
    """The job with these keys. Raises ConfigurationError unless they are its keys, and can stand in its requests."""
    if set(keys) != set(types):
        raise ConfigurationError(
            f"a job of {endpoint} has exactly the keys {', '.join(types)}; got {', '.join(keys) or 'none'}"
        )
    for name, kind in types.items():
        if type(keys[name]) is not KEY_TYPES[kind]:
            raise ConfigurationError(
                f"key {name} of {endpoint} must be of the type {kind}, got {type(keys[name]).__name__}"
            )
        plan.check(name, keys[name])
    return DeclaredJob(endpoint, tuple((name, keys[name]) for name in types))


@attrs.frozen
class JobCodec(Generic[S]):
    """Keeps declared jobs and their statuses in ledgers and resume tokens."""

    endpoint: str
    plan: Plan
    types: Mapping[str, str]
    form: StatusForm[S]

    def job_to_keys(self, job: DeclaredJob, /) -> dict[str, str]:
        """The keys as texts."""
        return {name: str(value) for name, value in job.keys}

    def job_from_keys(self, keys: Mapping[str, str], /) -> DeclaredJob:
        """The job again. Raises ConfigurationError, a ValueError, for keys that are not a job's."""
        return job_of_texts(self.endpoint, self.plan, self.types, keys)

    def status_to_json(self, status: S, /) -> Any:
        """The status as JSON-ready values."""
        return self.form.to_json(status)

    def status_from_json(self, data: Any, /) -> S:
        """The status again. Raises ConfigurationError, a ValueError, for data that is not a status's."""
        return self.form.from_json(data)


def job_of_texts(endpoint: str, plan: Plan, types: Mapping[str, str], keys: object) -> DeclaredJob:
    """The job with these keys as texts, as a ledger or a command line has them. Raises ConfigurationError."""
    if not isinstance(keys, Mapping) or not all(isinstance(text, str) for pair in keys.items() for text in pair):
        raise ConfigurationError(f"the keys of a job of {endpoint} must be texts by name")
    return job_of_keys(
        endpoint, plan, types, {name: typed_key(name, text, types.get(name)) for name, text in keys.items()}
    )


def typed_key(name: str, text: str, kind: str | None) -> Key:
    """The key in this text. Raises ConfigurationError."""
    if kind != "int":
        return text
    try:
        return whole_number(text)
    except ValueError:
        wrong = f"key {name} must be a whole number, such as 7"
    raise ConfigurationError(wrong)  # raised out here, so that no value is in its context
