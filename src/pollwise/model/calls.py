"""Calls: the requests about a job that are made with a cursor.

Rule 1: every call is sent by the pollers, and its replies are read by `core/poll_results.py`, as polls are. So credentials,
retries, the deadline, the budget, limits, masks and logs are the same for all of them.
Rule 2: an endpoint that takes no cursor has no call. Its `request` and `read` are used directly.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

from pollwise.errors import ConfigurationError, Problem
from pollwise.model.cursor import Cursor, CursorTooLarge, own_cursor
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading

__all__ = ["Call", "StatusCall", "checked_cursor", "cursor_in", "passing_cursor", "status_call"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
J_contra = TypeVar("J_contra", bound=Hashable, contravariant=True)

_CURSOR: Final = "cursor"
_USERS: Final = ("request", "read", "read_for")


class Call(Protocol[J_contra, S]):
    """One kind of request about a job, and how its replies are read. One object serves any number of jobs.

    Attributes:
        answer_statuses: Status codes outside 2xx whose replies `read` gets.
        compares: Whether a reply is not read again if it equals the last one, in what the endpoint heeds of a status.
        deciding_keys: As in `Endpoint`.
        limits: How much of a reply is kept. None for the limits of a status.
        at_once: Whether the next request is sent at once when a reading has another cursor than the one before, as for
            the pages of a list. Otherwise it is paced like any poll.
        starts_own: Whether no server has had a part in the URL of the request without a cursor.
    """

    answer_statuses: frozenset[int]
    compares: bool
    deciding_keys: Collection[str]
    limits: ReplyLimits | None
    at_once: bool
    starts_own: bool

    def request(self, job: J_contra, cursor: Cursor, /) -> Request:
        """The request, without credentials. `cursor` is None at the start."""
        ...

    def read(self, job: J_contra, reply: Reply, cursor: Cursor, /) -> Reading[S]:
        """The reading of a reply to a request that was made with this cursor. As `Endpoint.read`."""
        ...

    def problem(self, reply: Reply, /) -> Problem | None:
        """As `Endpoint.problem`."""
        ...


class StatusCall(Generic[J, S]):
    """The status call of an endpoint that takes a cursor. It passes the cursor on to the methods that have the parameter.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.

    Attributes:
        starts_own: Whether no server named the URL of the request without a cursor.
    """

    compares: bool = True
    limits: ReplyLimits | None = None
    at_once: bool = False

    def __init__(self, endpoint: Endpoint[J, S]) -> None:
        self.starts_own: bool = not endpoint.server_named_urls
        self.answer_statuses: frozenset[int] = endpoint.answer_statuses
        self.deciding_keys: Collection[str] = endpoint.deciding_keys
        self.problem: Callable[[Reply], Problem | None] = endpoint.problem
        self.request: Callable[[J, Cursor], Request] = passing_cursor(endpoint.request)
        if getattr(endpoint.read_for, "__func__", None) is Endpoint.read_for:
            read: Callable[[Reply, Cursor], Reading[S]] = passing_cursor(endpoint.read)
            self.read: Callable[[J, Reply, Cursor], Reading[S]] = lambda _job, reply, cursor: read(reply, cursor)
        else:
            self.read = passing_cursor(endpoint.read_for)


def status_call(endpoint: Endpoint[J, S]) -> Call[J, S] | None:
    """The status call of an endpoint, or None if no method of it takes a cursor.

    Raises:
        ConfigurationError: A method has a parameter `cursor` without a default. Or `server_named_urls` is set without what
            it needs.
    """
    takes = [name for name in _USERS if checked_cursor(endpoint, name) is not None]
    if endpoint.server_named_urls and (not takes or endpoint.fixed_origin is None):
        raise ConfigurationError(
            f"the endpoint {endpoint.name} has server_named_urls, so it needs a fixed_origin, which is the origin that gets"
            " the credentials, and a parameter cursor=None of request, read or read_for"
        )
    return StatusCall(endpoint) if takes else None


def checked_cursor(endpoint: Endpoint[Any, Any], name: str) -> inspect.Parameter | None:
    """The parameter `cursor` of this method, or None. Raises ConfigurationError if it has no default."""
    found = _parameter(getattr(endpoint, name))
    if found is not None and found.default is inspect.Parameter.empty:
        raise ConfigurationError(
            f"the parameter cursor of {name} of the endpoint {endpoint.name} must have a default: write cursor=None,"
            " which is the start"
        )
    return found


def cursor_in(reply: Reply, cursor: Cursor, what: str) -> Cursor:
    """The cursor that was read in a reply, as it may be kept. Raises MalformedReply for one that is too large."""
    try:
        return own_cursor(cursor)
    except CursorTooLarge as exc:
        why = f"{what} cannot be kept: {exc}"
    raise reply.malformed(why)  # raised out here, so that the error does not refer to the cursor


def _parameter(method: Callable[..., Any]) -> inspect.Parameter | None:
    try:
        return inspect.signature(method).parameters.get(_CURSOR)
    except (TypeError, ValueError):  # a callable of C code
        return None


def passing_cursor(method: Callable[..., Any]) -> Callable[..., Any]:
    """The method as a function of one argument more, which is the cursor."""
    found = _parameter(method)
    if found is None:
        return lambda *args: method(*args[:-1])
    if found.kind is inspect.Parameter.POSITIONAL_ONLY:
        return method
    return lambda *args: method(*args[:-1], cursor=args[-1])
