"""The result of a job that succeeded: the call that fetches it, page by page.

Rule 1: `result_request` makes the requests, and `read_result` reads the replies. Both get the cursor of the page if they have
a parameter `cursor`.
Rule 2: a result is whole or not there. Nothing of it is left out, and a page is never counted twice.
Rule 3: the pages of one result are bounded in size, because a server may have no last page.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from functools import reduce
from itertools import chain
from operator import add
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from pollwise.errors import ConfigurationError, Problem, ResultTooLarge
from pollwise.model.bounded_reply import UNLIMITED
from pollwise.model.calls import checked_cursor, cursor_in, passing_cursor
from pollwise.model.cursor import Cursor
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint, EndpointLike
from pollwise.model.reading import Reading

__all__ = ["WHOLE", "HasPagedResult", "HasResult", "ResultCall", "ResultPage", "check_result_methods"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
R = TypeVar("R")
J_contra = TypeVar("J_contra", bound=Hashable, contravariant=True)
R_co = TypeVar("R_co", covariant=True)

_METHODS: Final = ("result_request", "read_result")
WHOLE: Final = ReplyLimits(items=UNLIMITED, values=UNLIMITED, depth=200, text=UNLIMITED, size=UNLIMITED)
_LEAST_BYTES: Final = 1_024  # that a page counts, so that empty pages have an end, too


@attrs.frozen(weakref_slot=False)
class ResultPage(Generic[R]):
    """One page of a result. `read_result` returns it where a result may have several pages.

    Attributes:
        value: What the page holds. The values of several pages are joined with `+`, so they are lists, tuples, texts or
            bytes.
        next: The cursor of the next page, such as its URL or its number. None for the last page.
    """

    value: R
    next: Cursor = attrs.field(default=None, repr=False)


class HasResult(EndpointLike[J_contra, S], Protocol[J_contra, S, R_co]):
    """An endpoint whose jobs have a result. The methods may have a further parameter `cursor`, whose default is None."""

    def result_request(self, job: J_contra, status: S, /) -> Request | ResultPage[Any] | None:
        """The request for the result, without credentials. None if the status itself is the result.

        A `ResultPage` without `next` is the result itself: it is in the status, and nothing is asked.
        """
        ...

    def read_result(self, reply: Reply, /) -> ResultPage[R_co] | R_co:
        """The result in a 2xx reply, or one page of it. Raises MalformedReply as `read` does."""
        ...


class HasPagedResult(EndpointLike[J_contra, S], Protocol[J_contra, S, R]):
    """An endpoint whose results always come in pages. As `HasResult`."""

    def result_request(self, job: J_contra, status: S, /) -> Request | None:
        """The request for the first page, or for the page of the cursor."""
        ...

    def read_result(self, reply: Reply, /) -> ResultPage[R]:
        """One page of the result."""
        ...


class ResultCall(Generic[J, S]):
    """Fetches the result of one job. It has the pages that were read, so it serves one fetch.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.
        status: The job's last status.
        most_bytes: Most bytes of all pages together.
    """

    compares: bool = False
    deciding_keys: Collection[str] = ()
    limits: ReplyLimits | None = WHOLE
    at_once: bool = True
    starts_own: bool = False

    def __init__(self, endpoint: Endpoint[J, S], status: S, *, most_bytes: int) -> None:
        made: Any = endpoint
        self.answer_statuses: frozenset[int] = endpoint.result_answer_statuses
        self._request: Callable[[J, S, Cursor], Request] = passing_cursor(made.result_request)
        self._read: Callable[[Reply, Cursor], Any] = passing_cursor(made.read_result)
        self.problem: Callable[[Reply], Problem | None] = endpoint.problem
        self._status = status
        self.most_bytes = most_bytes
        self._bytes = 0
        self._pages: list[Any] = []

    def request(self, job: J, cursor: Cursor, /) -> Request:
        """The request for the result, or for one page of it."""
        return self._request(job, self._status, cursor)

    def read(self, job: J, reply: Reply, cursor: Cursor, /) -> Reading[Any]:
        """The result is the status of the last reading."""
        made = self._read(reply, cursor)
        if isinstance(made, Reading):  # of a reply whose status code is in `result_answer_statuses`
            return made
        page = made if isinstance(made, ResultPage) else ResultPage(made)
        following = cursor_in(reply, page.next, "the cursor of its next page")  # before the page is counted
        if following is not None and following == cursor:
            raise reply.malformed("its next page is the page itself")
        self._bytes += max(_LEAST_BYTES, len(reply.body))
        if self._bytes > self.most_bytes:
            raise ResultTooLarge(job, self.most_bytes)
        self._pages.append(page.value)
        if following is not None:
            return Reading.running(None, cursor=following)
        return Reading.succeeded(_joined(self._pages))


def check_result_methods(endpoint: Endpoint[Any, Any]) -> bool:
    """Whether the endpoint has results.

    Raises:
        ConfigurationError: It has one of the two methods, or a parameter `cursor` without a default.
    """
    there = [name for name in _METHODS if hasattr(endpoint, name)]
    if len(there) == 1:
        (missing,) = set(_METHODS) - set(there)
        raise ConfigurationError(
            f"the endpoint {endpoint.name} has {there[0]} and no {missing}: a result needs result_request(job, status)"
            " and read_result(reply)"
        )
    for name in there:
        checked_cursor(endpoint, name)
    return bool(there)


def _joined(pages: list[Any]) -> Any:
    if len(pages) == 1:
        return pages[0]
    if all(type(page) is list for page in pages):
        return list(chain.from_iterable(pages))
    if all(type(page) in {str, bytes} for page in pages) and len({type(page) for page in pages}) == 1:
        return pages[0][:0].join(pages)
    try:
        return reduce(add, pages)
    except TypeError:
        kinds = sorted({type(page).__name__ for page in pages})
    raise ConfigurationError(
        "the values of the pages of a result are joined with `+`, so each ResultPage needs a list, a tuple, a text or"
        f" bytes; got {' and '.join(kinds)}"
    )
