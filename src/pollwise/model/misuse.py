"""What is wrong with what an endpoint returned, in a sentence that says what to write.

Rule 1: nothing here is called for a poll that goes well. A wrong value shows by the error that its use raises.
Rule 2: a sentence names types and fields. It holds no value, because a value may be a secret.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import attrs
from yarl import URL

from pollwise.model.limits import is_number
from pollwise.model.messages import Request
from pollwise.model.reading import Phase, Reading

__all__ = ["explained", "wrong_with_body", "wrong_with_reading", "wrong_with_request"]

_READING_FIELDS: Final = frozenset(field.name for field in attrs.fields(Reading))
_REQUEST_FIELDS: Final = frozenset(field.name for field in attrs.fields(Request)) | {"is_idempotent"}


def wrong_with_request(made: Any) -> str | None:
    """What is wrong with what `request` returned, or None."""
    if not isinstance(made, Request):
        return f"request must return a Request, such as Request(URL('https://...')); it returned {_kind(made)}"
    url: object = made.url
    if not isinstance(url, URL):
        return f"the url of a Request must be a yarl.URL, such as URL('https://...'); it is {_kind(url)}"
    method: object = made.method
    if not isinstance(method, str):
        return f"the method of a Request must be a str; it is {_kind(method)}"
    idempotent: object = made.idempotent
    if idempotent is not None and not isinstance(idempotent, bool):
        return f"idempotent of a Request must be True, False or None; it is {_kind(idempotent)}"
    return _wrong_with_headers(made.headers) or wrong_with_body(made.body)


def _wrong_with_headers(headers: object) -> str | None:
    if not isinstance(headers, Mapping):
        return f"the headers of a Request must be a mapping of texts; they are {_kind(headers)}"
    for name, value in headers.items():
        if not isinstance(name, str):
            return f"the names of header fields must be str; one is {_kind(name)}"
        if not isinstance(value, str):
            return f"the value of header field {name} must be a str; it is {_kind(value)}"
    return None


def wrong_with_body(body: object) -> str | None:
    """What is wrong with the body of a request, or None."""
    if body is None or isinstance(body, bytes):
        return None
    return f"the body of a Request must be bytes or None, such as text.encode(); it is {_kind(body)}"


def wrong_with_reading(made: Any) -> str | None:
    """What is wrong with what `read` returned, or None."""
    if not isinstance(made, Reading):
        return f"read must return a Reading, such as Reading.running(status); it returned {_kind(made)}"
    phase: object = made.phase
    if not isinstance(phase, Phase):
        return f"the phase of a Reading must be a Phase; it is {_kind(phase)}"
    fraction: object = made.fraction
    if is_number(fraction):
        within = 0.0 <= fraction <= 1.0
        return None if within else f"the fraction of a Reading must be from 0 to 1, or None; it is {fraction!r}"
    if fraction is None:
        return None
    return f"the fraction of a Reading must be a number from 0 to 1, or None; it is {_kind(fraction)}"


def explained(exc: BaseException) -> str | None:
    """What the endpoint returned wrongly, if this error came of using it; None for any other error."""
    if not isinstance(exc, AttributeError) or not _is_raised_here(exc):
        return None
    if isinstance(exc.obj, (str, bytes)) and exc.name not in _READING_FIELDS | _REQUEST_FIELDS:
        return wrong_with_request(Request(exc.obj)) if hasattr(URL, exc.name) else None  # type: ignore[arg-type]
    if exc.name in _READING_FIELDS and not isinstance(exc.obj, Reading):
        return wrong_with_reading(exc.obj)
    if exc.name in _REQUEST_FIELDS and not isinstance(exc.obj, Request):
        return wrong_with_request(exc.obj)
    return None


def _is_raised_here(exc: BaseException) -> bool:
    """Whether it was raised in this package's code, and not in the endpoint's."""
    trace = exc.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return trace is not None and str(trace.tb_frame.f_globals.get("__name__")).startswith("pollwise.")


def _kind(value: object) -> str:
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return f"a value of type {type(value).__name__}"
