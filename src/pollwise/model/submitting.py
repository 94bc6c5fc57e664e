"""The call that starts a job.

Rule 1: the endpoint makes the request once. Every time that it is sent, it is the same.
Rule 2: the call knows whether the request may have left. What that means is decided in `core/call_machine.py`.
Rule 3: the job of the reply is not masked, because its ID may look like a secret. Errors do not show the order, which may
have one. They name its key.
Rule 4: a first reading is an extra. One that cannot be kept is left out, and the job is polled.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Hashable
from typing import Any, Final, Generic, Protocol, TypeVar

import attrs

from pollwise.errors import ConfigurationError, MalformedReply, PollwiseError, Problem, SubmitDoubtful
from pollwise.model.calls import cursor_in
from pollwise.model.cursor import Cursor
from pollwise.model.limits import ReplyLimits, is_number
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_request
from pollwise.model.protocols import Endpoint, EndpointLike
from pollwise.model.reading import Phase, Reading
from pollwise.model.results import WHOLE, HasPagedResult, HasResult
from pollwise.model.tracebacks import endpoint_bug

__all__ = [
    "CanSubmit",
    "CanSubmitWithPagedResult",
    "CanSubmitWithResult",
    "SubmitCall",
    "Submitted",
    "check_can_submit",
    "checked_key",
    "subject_of",
]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
R = TypeVar("R")
R_co = TypeVar("R_co", covariant=True)
O_contra = TypeVar("O_contra", contravariant=True)

_METHODS: Final = ("submit_request", "read_submitted")
_NO_SUBMIT: Final = (
    "the endpoint {} cannot start jobs: give it submit_request(order, key), which returns a Request, and"
    " read_submitted(order, reply), which returns the job"
)
_KEY: Final = re.compile(r"[!-~](?:[ -~]{0,253}[!-~])?").fullmatch


@attrs.frozen(weakref_slot=False)
class Submitted(Generic[J]):
    """A job that was started. `read_submitted` returns it where the reply says more than which job it is.

    Attributes:
        job: The job.
        poll_after_s: Seconds until the first poll that the body asks for. The longer of this and `Retry-After` counts.
        reading: What the reply says about the job, or None. It counts as the reading of a first poll. A final one ends the
            watch, and the job is not polled; such as where the server did the work before it answered.
    """

    job: J
    poll_after_s: float | None = None
    reading: Reading[Any] | None = attrs.field(default=None, kw_only=True)


class CanSubmit(EndpointLike[J, S], Protocol[J, S, O_contra]):
    """An endpoint that can start jobs."""

    def submit_request(self, order: O_contra, key: str, /) -> Request:
        """The request that starts a job, without credentials.

        Put `key` where the API has an idempotency key. If that is no header field `Idempotency-Key`, pass
        `idempotent=True` to the Request. Without it, the request is sent again only where the server did nothing.

        The same order and key must give the same request, because a digest of it tells one order from another.
        """
        ...

    def read_submitted(self, order: O_contra, reply: Reply, /) -> J | Submitted[J]:
        """The job in a 2xx reply, or in one whose status code is in `submit_answer_statuses`.

        An API that may do the work before it answers, and names no job then, needs a job with an ID of the endpoint's own:
        `Submitted(job, reading=Reading.succeeded(status))`. The ID must be new each time.

        Raises:
            MalformedReply: The reply has no job. It is not known whether one was started.
            RequestRejected: The reply says that no job was started. Or another `WatchError`.
        """
        ...


class CanSubmitWithResult(HasResult[J, S, R_co], CanSubmit[J, S, O_contra], Protocol[J, S, R_co, O_contra]):
    """An endpoint that can start jobs, which have a result."""


class CanSubmitWithPagedResult(HasPagedResult[J, S, R], CanSubmit[J, S, O_contra], Protocol[J, S, R, O_contra]):
    """An endpoint that can start jobs, whose results always come in pages."""


class SubmitCall(Generic[J]):
    """Starts one job.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it. It can submit.
        order: What it makes the request of.
        key: The key of the order.

    Attributes:
        job: The job, once it was started.
        intent: The number of its intent in a ledger, or None.
        sent: Whether the last request may have left, and what became of it is not known.
        was_read: Whether a reply was read.
        made: The request.
        starts_own: As in `StatusCall`. The endpoint named the URL.

    Raises:
        PollwiseError: The endpoint raised it, or anything else, which is an `EndpointBug`.
    """

    compares: bool = False
    deciding_keys: Collection[str] = ()
    limits: ReplyLimits | None = WHOLE
    at_once: bool = False
    starts_own: bool = True

    def __init__(self, endpoint: Endpoint[J, Any], order: Any, key: str) -> None:
        ability: Any = endpoint
        self.key = key
        self.made = _made(ability.submit_request, order, key)
        self.answer_statuses: frozenset[int] = endpoint.submit_answer_statuses
        self.problem: Callable[[Reply], Problem | None] = endpoint.problem
        self.job: J | None = None
        self.intent: int | None = None
        self.sent = False
        self.was_read = False
        self._read: Callable[[Any, Reply], Any] = ability.read_submitted
        self._order = order
        self._advice: str = endpoint.submit_advice
        self._first: Reading[Any] | None = None

    @property
    def is_idempotent(self) -> bool:
        """Whether the request may be sent again if its reply was lost."""
        return self.made.is_idempotent

    @property
    def digest(self) -> str:
        """What tells this order from another one with the same key."""
        made = self.made
        parts = (
            made.method.encode(),
            made.url.raw_path_qs.encode(),
            made.body or b"",
        )  # an API may move to another host
        return hashlib.sha256(b"".join(b"%d:%b" % (len(part), part) for part in parts)).hexdigest()

    def request(self, _subject: object, _cursor: Cursor, /) -> Request:
        """The request."""
        self.sent = self.was_read = False
        return self.made

    def on_send(self) -> None:
        """The request is given to the transport."""
        self.sent = True

    def read(self, _subject: object, reply: Reply, _cursor: Cursor, /) -> Reading[Reading[Any] | None]:
        """Read the job. A reading with it is final. Its status is the first reading of the job, or None."""
        self.was_read = True
        made = self._read(self._order, reply)
        wait_s = first = None
        if isinstance(made, Submitted):
            wait_s = made.poll_after_s if is_number(made.poll_after_s) else None
            first = _first_reading(made.reading, reply)
            made = made.job
        try:
            hash(made)
        except TypeError:
            raise ConfigurationError(
                f"read_submitted must return a job, which is hashable; it returned {type(made).__name__}"
            ) from None
        if made is None:
            raise ConfigurationError("read_submitted must return a job; it returned None")
        self.job = made
        self._first = first
        if first is None:
            done: Reading[Reading[Any] | None] = Reading.succeeded(None)
            return done if wait_s is None else attrs.evolve(done, poll_after_s=wait_s)
        if wait_s is None:
            wait_s = first.poll_after_s
        return Reading(status=first, phase=Phase.SUCCEEDED, final=True, unknown=first.unknown, poll_after_s=wait_s)

    def first_reading(self, read: Reading[Any] | None, /) -> Reading[Any] | None:
        """The first reading of the job, of the status of `read`, which may have been masked since.

        None for one that is not final and whose cursor has a secret, because a cursor is sent as it is.
        """
        if read is None or self._first is None or read.final or read.cursor == self._first.cursor:
            return read
        return None

    def doubtful(self, error: PollwiseError | None, /) -> SubmitDoubtful:
        """The error if it is not known whether the job was started."""
        detail = "" if error is None else str(error)
        doubt = SubmitDoubtful(self.key, detail, self.is_idempotent, self._advice)
        doubt.__cause__ = error
        return doubt


def check_can_submit(endpoint: Endpoint[Any, Any]) -> None:
    """Raise ConfigurationError unless the endpoint can start jobs."""
    if not all(hasattr(endpoint, name) for name in _METHODS):
        raise ConfigurationError(_NO_SUBMIT.format(endpoint.name))


def checked_key(key: object) -> str:
    """Return the key if it can be one. Else raise ConfigurationError."""
    if isinstance(key, str) and _KEY(key):
        return key
    raise ConfigurationError(
        "key must be a text of 1 to 255 printable ASCII characters without spaces around them, such as 'order-17'"
    )


def subject_of(key: str) -> str:
    """How errors name an order of which there is no job yet."""
    return f"the order with the key {key!r}"


def _first_reading(reading: object, reply: Reply) -> Reading[Any] | None:
    """The reading, or None if there is none, or its cursor is too large. Raises ConfigurationError for another value."""
    if reading is None:
        return None
    if not isinstance(reading, Reading):
        raise ConfigurationError(f"the reading of Submitted must be a Reading or None, got {type(reading).__name__}")
    try:
        cursor = cursor_in(reply, reading.cursor, "its cursor")
    except MalformedReply:
        return None
    return reading if cursor is reading.cursor else attrs.evolve(reading, cursor=cursor)


def _made(submit_request: Callable[[Any, str], Any], order: Any, key: str) -> Request:
    try:
        made = submit_request(order, key)
    except PollwiseError:
        raise
    except Exception as exc:  # noqa: BLE001  # an endpoint's code
        bug = endpoint_bug(subject_of(key), exc, "submit_request raised it")
    else:
        wrong = wrong_with_request(made)
        if wrong is None:
            request: Request = made
            return request
        raise ConfigurationError(f"submit_{wrong}" if wrong.startswith("request") else f"submit_request: {wrong}")
    raise bug
