"""Which keys the jobs of an endpoint have, as rows and KEY=VALUE arguments name them.

Rule 1: the two vendors are known here. All other endpoints are found by endpoint_names.py.
Rule 2: keys are texts here, also where a job has numbers. The endpoint's codec makes the job of them.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial
from typing import Any, TypeAlias

import attrs

from pollwise.cli.exit_status import UsageError
from pollwise.endpoints.document360 import DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionJob
from pollwise.errors import ConfigurationError

__all__ = ["JOB_TYPES", "KEYS", "VENDORS", "VENDOR_KEYS", "FindForm", "JobForm", "UnknownEndpoint", "vendor_form"]

JOB_TYPES: Mapping[str, type[Hashable]] = {"document360": DeleteFileJob, "oracle-content": ExtractionJob}
"""The two vendors' endpoints, and the classes of their jobs."""

KEYS: Mapping[str, Sequence[str]] = {
    name: tuple(field.name for field in attrs.fields(job))  # type: ignore[arg-type]  # attrs classes all
    for name, job in JOB_TYPES.items()
}
"""The names of the two vendors' keys, in their order."""

VENDOR_KEYS = frozenset(key for keys in KEYS.values() for key in keys)


class UnknownEndpoint(UsageError):
    """There is no endpoint with a name. `hint` says in a few words which names there are; it is not safe to print."""

    def __init__(self, message: str, hint: str) -> None:
        super().__init__(message)
        self.hint = hint


@attrs.frozen(kw_only=True)
class JobForm:
    """Which keys the jobs of an endpoint have.

    Attributes:
        name: The endpoint's name.
        key_types: The keys in their order, with their types. None if the endpoint's codec does not say.
        job_from_keys: The job with these keys, which are texts. Raises ValueError.
    """

    name: str
    key_types: Mapping[str, type] | None
    job_from_keys: Callable[[Mapping[str, str]], Any]

    def job(self, keys: Mapping[str, str]) -> Any:
        """The job with these keys. Raises ValueError if they are not those that a job has, or one is wrong."""
        if self.key_types is not None and keys.keys() != self.key_types.keys():
            raise ConfigurationError(
                f"a job of {self.name} has exactly the keys {', '.join(self.key_types)};"
                f" got {', '.join(keys) or 'none'}"
            )
        return self.job_from_keys(keys)

    @property
    def columns(self) -> Mapping[str, type]:
        """The keys and their types, as a row needs them. Raises UsageError."""
        if self.key_types is None:
            raise UsageError(
                f"rows cannot name jobs of {self.name}: its codec has no key_types, a mapping of key to type, as"
                " AttrsCodec has it"
            )
        if "endpoint" in self.key_types:
            raise UsageError(f"rows cannot name jobs of {self.name}: its key endpoint is a field that each row has")
        return self.key_types


FindForm: TypeAlias = Callable[[str], JobForm]
"""The form of the jobs of the endpoint with this name. Raises UnknownEndpoint."""


def _job(kind: Callable[..., Any], keys: Mapping[str, str]) -> Any:
    return kind(**keys)


VENDORS: Mapping[str, JobForm] = {
    name: JobForm(name=name, key_types=dict.fromkeys(KEYS[name], str), job_from_keys=partial(_job, kind))
    for name, kind in JOB_TYPES.items()
}
"""The forms of the two vendors' jobs."""


def vendor_form(name: str) -> JobForm:
    """The form of a vendor's jobs. Raises UnknownEndpoint."""
    if name not in VENDORS:
        there = f"there are {' and '.join(VENDORS)}"
        raise UnknownEndpoint(f"no endpoint {name}; {there}", there)
    return VENDORS[name]
