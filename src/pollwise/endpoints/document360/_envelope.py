"""The envelope around every reply of Document360's v2: `success`, `errors`, `warnings`, `information`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs

from pollwise.endpoints._lenient import lenient_bool, lenient_id, lenient_text
from pollwise.endpoints._reader import Reader, clipped, json_object_in
from pollwise.endpoints._strict import (
    Hook,
    json_object_or_null,
    json_value,
    text_or_null,
    true_or_false,
    true_or_false_or_null,
    yes_or_no,
)
from pollwise.errors import Problem, RequestRejected
from pollwise.model.messages import Reply

__all__ = [
    "LENIENT_HOOKS",
    "MAIN_TEXT",
    "STRICT_HOOKS",
    "ErrorItem",
    "InformationItem",
    "StartedV2",
    "WarningItem",
    "check_started",
    "problem_in",
    "problem_of",
    "reason_of",
]


@attrs.frozen(kw_only=True, weakref_slot=False)
class ErrorItem:
    """An error as the vendor describes it. Untrusted text. `stack_trace` is of the server."""

    extension_data: Any = None
    stack_trace: str | None = None
    description: str | None = None
    error_code: str | None = None
    custom_data: Mapping[str, Any] | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class WarningItem:
    """A warning as the vendor describes it. Untrusted text."""

    extension_data: Any = None
    description: str | None = None
    warning_code: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class InformationItem:
    """Information as the vendor describes it. Untrusted text."""

    extension_data: Any = None
    description: str | None = None


@attrs.frozen(kw_only=True, weakref_slot=False)
class _Refusal:
    """The part of a refusal's body that has the vendor's descriptions."""

    errors: tuple[ErrorItem, ...] = ()


@attrs.frozen(kw_only=True, weakref_slot=False)
class StartedV2:
    """What every reply to a request that starts something has."""

    success: bool | None = None
    errors: tuple[ErrorItem, ...] = ()


STRICT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool: true_or_false,
    bool | None: true_or_false_or_null,
    str | None: text_or_null,
    str | int | None: text_or_null,
    Mapping[str, Any] | None: json_object_or_null,
    Any: json_value,
}
LENIENT_HOOKS: Final[Mapping[Any, Hook]] = {
    bool: yes_or_no,
    bool | None: lenient_bool,
    str | None: lenient_text,
    str | int | None: lenient_id,
}
MAIN_TEXT: Final = {ErrorItem: "description", WarningItem: "description", InformationItem: "description"}
_REFUSAL: Final = Reader(_Refusal, STRICT_HOOKS, lenient_hooks=LENIENT_HOOKS, main_text=MAIN_TEXT)


def problem_of(errors: tuple[ErrorItem, ...]) -> Problem:
    """The codes and descriptions of these errors."""
    return Problem(
        codes=clipped([error.error_code for error in errors]),
        descriptions=clipped([error.description for error in errors]),
    )


def reason_of(errors: tuple[ErrorItem, ...]) -> str | None:
    """The errors as one text, or None if they say nothing."""
    problem = problem_of(errors)
    return str(problem) if problem.codes or problem.descriptions else None


def check_started(subject: str, reply: Reply, started: StartedV2, found: str | int | None) -> None:
    """Raise RequestRejected about the subject if a 2xx reply names no job, and says that the request failed."""
    if not found and (started.success is False or started.errors):
        raise RequestRejected(subject, reply.status, problem_of(started.errors))


def problem_in(reply: Reply) -> Problem | None:
    """The vendor's codes and descriptions in a refusal, or None if its body is no envelope."""
    body = json_object_in(reply)
    if body is None or {"success", "errors"}.isdisjoint(map(str.lower, body)):
        return None
    return problem_of(_REFUSAL.structure(body).errors)
