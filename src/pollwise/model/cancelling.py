"""The call that asks the server to stop a job.

Rule: an accepted request is no outcome. The job is cancelled when its status says so.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Hashable
from typing import Any, Final, Generic, TypeVar

from pollwise.errors import CancelDoubtful, PollError, Problem, WatchError
from pollwise.model.cursor import Cursor
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading

__all__ = ["CancelCall"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_TOO_LATE: Final = frozenset({404, 409, 410})


class CancelCall(Generic[J, S]):
    """Asks once for one job to be stopped. The status of its reading says whether the server accepted that.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.
        status: The job's last status, or None.

    Attributes:
        is_idempotent: Whether the last request may be sent again if its reply was lost.
    """

    answer_statuses: frozenset[int] = _TOO_LATE
    compares: bool = False
    deciding_keys: Collection[str] = ()
    limits: ReplyLimits | None = None
    at_once: bool = False
    starts_own: bool = False

    def __init__(self, endpoint: Endpoint[J, S], status: S | None) -> None:
        made: Any = endpoint
        self._request: Callable[[J, S | None], Request] = made.cancel_request
        self._read: Callable[[Reply], bool] = getattr(endpoint, "read_cancelled", _is_accepted)
        self.problem: Callable[[Reply], Problem | None] = endpoint.problem
        self._status = status
        self.is_idempotent = False

    def request(self, job: J, _cursor: Cursor, /) -> Request:
        """The request that the endpoint makes."""
        request = self._request(job, self._status)
        self.is_idempotent = request.is_idempotent
        return request

    def read(self, _job: J, reply: Reply, _cursor: Cursor, /) -> Reading[bool]:
        """What `read_cancelled` of the endpoint says.

        Without it, any 2xx accepts the request. The other answers say that there is nothing to stop any more.
        """
        return Reading.succeeded(self._read(reply))

    def doubtful(self, job: J, error: PollError, /) -> WatchError:
        """The error if the reply was lost."""
        return CancelDoubtful(job, error)


def _is_accepted(reply: Reply) -> bool:
    return reply.status not in _TOO_LATE
