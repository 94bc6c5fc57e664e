"""What an endpoint can do, looked up and checked once.

Rule 1: any object with `name`, `request` and `read` is an endpoint. What it lacks has the default of `Endpoint`.
Rule 2: a member of the wrong type is a ConfigurationError that says what to write.
Rule 3: no poll pays for it. A subclass of `Endpoint` is used as it is.
"""

from __future__ import annotations

import inspect
import math
import re
from collections.abc import Callable, Hashable, Mapping
from typing import Final, TypeVar

from pollwise.errors import ConfigurationError
from pollwise.model.limits import RateLimit, is_number
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint, EndpointLike
from pollwise.model.reading import Reading

__all__ = ["NEVER_ANSWERS", "sign_method", "with_defaults"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_LONGEST_NAME: Final = 100
_ORIGIN: Final = re.compile(r"https?://[^\s/?#@\\]+", re.ASCII | re.IGNORECASE)  # scheme, host and port
NEVER_ANSWERS: Final = frozenset({401, 429})  # they concern the credentials and the rate limit, not the job
_NEEDED: Final = ("name", "request", "read")
_VALUES: Final = (
    "auth",
    "account",
    "codec",
    "documented_limit",
    "fixed_origin",
    "origins",
    "server_named_urls",
    "heeded_headers",
    "deciding_keys",
    "answer_statuses",
    "first_after_s",
    "result_answer_statuses",
    "submit_answer_statuses",
    "submit_advice",
)
_METHODS: Final = (
    "request",
    "read",
    "read_for",
    "problem",
    "result_request",
    "read_result",
    "cancel_request",
    "read_cancelled",
    "submit_request",
    "read_submitted",
)


def with_defaults(endpoint: EndpointLike[J, S]) -> Endpoint[J, S]:
    """The endpoint with all that `Endpoint` has.

    Raises:
        ConfigurationError: It is no endpoint, or a member cannot be right.
    """
    if isinstance(endpoint, type):
        raise ConfigurationError(f"endpoint must be an object, got a class; write {endpoint.__name__}(...)")
    missing = [name for name in _NEEDED if not hasattr(endpoint, name)]
    if missing:
        raise ConfigurationError(
            "an endpoint needs a name, request(job) and read(reply);"
            f" {type(endpoint).__name__} has no {' and no '.join(missing)}"
        )
    whole = endpoint if isinstance(endpoint, Endpoint) else _Structural(endpoint)
    for name in _METHODS:
        _check_method(endpoint, name)
    for name, (fits, wanted) in _WANTED.items():
        value: object = getattr(whole, name)
        if not fits(value):
            raise ConfigurationError(
                f"{name} of the endpoint {type(endpoint).__name__} must be {wanted}, got {type(value).__name__}"
            )
    sign_method(whole.auth)
    return whole


def sign_method(auth: Auth | None) -> Callable[[Request], Request] | None:
    """The method `sign` of an auth, or None if it has none.

    Raises:
        ConfigurationError: It is no method, or a coroutine method.
    """
    sign: Callable[[Request], Request] | None = getattr(auth, "sign", None)
    if sign is None:
        return None
    name = f"sign of {type(auth).__name__}"
    if not callable(sign):
        raise ConfigurationError(f"{name} must be a method that takes a Request and returns one")
    if inspect.iscoroutinefunction(sign):
        raise ConfigurationError(f"{name} must be a plain method, without `async`; what has to wait belongs into renew")
    return sign


class _Structural(Endpoint[J, S]):
    """An object of another class, with the defaults of `Endpoint` for what it lacks."""

    def __init__(self, own: EndpointLike[J, S]) -> None:
        self.name = own.name
        for name in (*_VALUES, *_METHODS):
            if hasattr(own, name):
                setattr(self, name, getattr(own, name))

    def request(self, job: J, /) -> Request:  # pragma: no cover  # the object's own is in its place
        raise NotImplementedError

    def read(self, reply: Reply, /) -> Reading[S]:  # pragma: no cover  # the object's own is in its place
        raise NotImplementedError


def _check_method(endpoint: object, name: str) -> None:
    method = getattr(endpoint, name, _do_nothing)
    if not callable(method):
        raise ConfigurationError(f"{name} of the endpoint {type(endpoint).__name__} must be a method")
    if inspect.iscoroutinefunction(method):
        raise ConfigurationError(
            f"{name} of the endpoint {type(endpoint).__name__} must be a plain method, without `async`;"
            " the watcher does the waiting"
        )


def _do_nothing() -> None:
    """Stands for a method that is not there."""


def _is_name(value: object) -> bool:
    return isinstance(value, str) and 0 < len(value) <= _LONGEST_NAME and value.isprintable() and value == value.strip()


def _is_tuple_of_text(value: object) -> bool:
    return value is None or (type(value) is tuple and all(isinstance(field, str) for field in value))


def _is_origins(value: object) -> bool:
    return type(value) is tuple and all(isinstance(origin, str) and _ORIGIN.fullmatch(origin) for origin in value)


def _is_texts(value: object) -> bool:
    return isinstance(value, (tuple, list, frozenset, set)) and all(isinstance(key, str) for key in value)


def _is_answer_statuses(value: object) -> bool:
    return isinstance(value, frozenset) and all(
        type(code) is int and 300 <= code <= 599 and code not in NEVER_ANSWERS for code in value
    )


def _has(*methods: str) -> Callable[[object], bool]:
    return lambda value: not isinstance(value, type) and all(callable(getattr(value, name, None)) for name in methods)


_ANSWER_STATUSES: Final = "a frozenset of status codes from 300 to 599 without 401 and 429, such as frozenset({404})"
_is_codec = _has("job_to_keys", "job_from_keys", "status_to_json", "status_from_json")
_is_auth = _has("headers", "renew")

_WANTED: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "name": (_is_name, f"a text of 1 to {_LONGEST_NAME} printable characters, such as 'oracle-content'"),
    "auth": (lambda value: value is None or _is_auth(value), "None or credentials, such as BearerAuth('...')"),
    "codec": (_is_codec, "a LedgerCodec, such as AttrsCodec(MyJob, MyStatus)"),
    "documented_limit": (
        lambda value: value is None or isinstance(value, RateLimit),
        "None or a RateLimit, such as RateLimit(60, per_s=60.0)",
    ),
    "fixed_origin": (
        lambda value: value is None or isinstance(value, str),
        "None or a text such as 'https://api.example.com'",
    ),
    "origins": (_is_origins, "a tuple of origins, such as ('https://downloads.example.com',)"),
    "server_named_urls": (lambda value: type(value) is bool, "True or False"),
    "deciding_keys": (_is_texts, "a tuple of texts, such as ('state', 'error')"),
    "answer_statuses": (_is_answer_statuses, _ANSWER_STATUSES),
    "result_answer_statuses": (_is_answer_statuses, _ANSWER_STATUSES),
    "submit_answer_statuses": (_is_answer_statuses, _ANSWER_STATUSES),
    "submit_advice": (lambda value: isinstance(value, str), "a text, such as 'Look at the list of exports.'"),
    "first_after_s": (
        lambda value: is_number(value) and 0.0 <= value < math.inf,
        "a number of seconds of at least 0, such as 5.0",
    ),
    "heeded_headers": (_is_tuple_of_text, "None or a tuple of texts, such as ('ETag',)"),
}
