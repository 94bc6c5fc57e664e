"""The protocols between the packages: an endpoint builds requests and reads replies, a transport sends, an auth authorises.

Rule: a protocol is a promise. Nothing here sends, waits or remembers.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Collection, Hashable, Mapping
from typing import Any, Final, Generic, NoReturn, Protocol, TypeVar, cast

from pollwise.errors import ConfigurationError, Problem
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = ["NO_CODEC", "Auth", "Endpoint", "EndpointLike", "LedgerCodec", "Transport"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
J_contra = TypeVar("J_contra", bound=Hashable, contravariant=True)


class Transport(Protocol):
    """What sends a request. Raises `PollError` for whatever keeps a whole reply from arriving.

    A request with a `first_host` goes to a server that is not the API's own. Send it without cookies and credentials of
    your own, and raise `UnsafeUrl` for a private address, as `AiohttpTransport` does.

    Set `sent = False` on an error if there was certainly no connection. Then a request that starts a job is sent again.
    """

    async def send(self, request: Request, /) -> Reply:
        """Send it once and return the whole reply, whatever its status code."""
        ...


class Auth(Protocol):
    """What puts credentials on requests. One may serve many endpoints and watchers at once.

    It may have a further method `sign(request) -> Request`, for signatures over the whole request. It gets the complete
    request just before it is sent, at every attempt anew, and returns it with what the signature adds to the header fields,
    the query or the body. It is not called for a request that goes to another server than the API's. `SigningAuth` in
    `pollwise.http` has all else that such an auth needs.
    """

    def headers(self, now: float, /) -> Mapping[str, str] | None:
        """The header fields to send, or None where they must be renewed first. `now` is monotonic seconds."""
        ...

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        """Get new credentials in place of `stale`; once for any number of concurrent callers.

        Args:
            via: What to send the request with, if one is needed.
            now: Monotonic seconds.
            stale: The headers that the server refused; None when there were none yet.

        Raises:
            AuthenticationError: These credentials cannot be renewed, or the renewal was refused.
            PollError: The renewal could not be had just now; it may be tried again.
        """
        ...


class LedgerCodec(Protocol[J, S]):
    """How jobs and statuses become what a ledger and a resume token keep, and jobs and statuses again.

    `pollwise.endpoints.AttrsCodec` is one for attrs classes.
    """

    def job_to_keys(self, job: J, /) -> dict[str, str]:
        """The job's keys by name."""
        ...

    def job_from_keys(self, keys: Mapping[str, str], /) -> J:
        """The job again. Raises ValueError for keys that are not a job's."""
        ...

    def status_to_json(self, status: S, /) -> Any:
        """The status as JSON-ready values."""
        ...

    def status_from_json(self, data: Any, /) -> S:
        """The status again. Raises ValueError for data that is not a status's."""
        ...


class _NoCodec:
    """The codec of an endpoint that has none: each use says how to get one."""

    def _refuse(self, _value: object, /) -> NoReturn:
        raise ConfigurationError(
            "the endpoint has no codec, which ledgers and resume tokens need; give its class one, such as"
            " codec = AttrsCodec(MyJob, MyStatus) from pollwise.endpoints"
        )

    job_to_keys = job_from_keys = status_to_json = status_from_json = _refuse


NO_CODEC: Final = cast("LedgerCodec[Any, Any]", _NoCodec())


class EndpointLike(Protocol[J_contra, S]):
    """The three members that every endpoint has. Any object with them can be watched, whatever its class.

    Each other member of `Endpoint` may be there, too. A watcher looks them up once, when it is made.
    """

    @property
    def name(self) -> str:
        """A short stable name, as in logs, tokens and ledgers: `oracle-content`."""
        ...

    def request(self, job: J_contra, /) -> Request:
        """The request that asks for the job's status, without credentials."""
        ...

    def read(self, reply: Reply, /) -> Reading[S]:
        """Make a reading of a reply whose status code is 2xx, or in `answer_statuses` if the endpoint has that."""
        ...


class Endpoint(ABC, Generic[J, S]):
    """One vendor's status call: how to ask and how to read. Subclass it; `name`, `request` and `read` are yours.

    Everything else has a default. Set the attributes in the class or in `__init__`. A watcher looks them up when it is
    made, and not for every poll.

    An API whose replies say where or how to ask next, such as with a `Location` that moves, is followed with a cursor.
    Give `request`, `read` or `read_for` a further parameter `cursor: Cursor = None`. It is the `cursor` of the job's last
    reading, and None at the start:

        def request(self, job: Export, /, cursor: Cursor = None) -> Request:
            return Request(URL(cursor, encoded=True) if isinstance(cursor, str) else self._base / "exports" / job.id)

        def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[str]:
            if reply.status == 202:
                return Reading.running("accepted", cursor=reply.headers.get("Location", cursor))

    Name the header fields that `read` looks at in `heeded_headers`, or leave that at None.

    Further methods, which have no default, are abilities. `result_request(job, status)` and `read_result(reply)` fetch what
    the job made: `await watch.result()`. `cancel_request(job, status)` returns the request that stops the job:
    `await watch.cancel()`. `submit_request(order, key)` and `read_submitted(order, reply)` start a job:
    `await watcher.submit(order)`. `docs/architecture.md` has their rules.
    """

    name: str
    """A short stable name, as in logs, tokens and ledgers: `oracle-content`."""

    auth: Auth | None = None
    """The credentials to send, or None."""

    account: str = ""
    """Whose jobs these are, where one ledger keeps the jobs of several accounts: a name, never a credential."""

    codec: LedgerCodec[J, S] = NO_CODEC
    """How jobs and statuses are kept in ledgers and resume tokens; such as `AttrsCodec(MyJob, MyStatus)`."""

    documented_limit: RateLimit | None = None
    """The rate limit that the vendor documents, or None."""

    fixed_origin: str | None = None
    """Scheme, host and port of every request, such as `https://api.example.com`. None: each request has its own.

    It saves a ledger the making of a request for each job that is recorded.
    """

    origins: tuple[str, ...] = ()
    """Further origins of the API, such as `("https://downloads.example.com",)`. Requests to them have the credentials.

    Credentials go to the origin of `request(job)` and to these alone. A URL at another origin that a server names, such as
    in a cursor, is asked without credentials, or refused with `UnsafeUrl`.
    """

    server_named_urls: bool = False
    """Whether a server named the URL of `request(job)`, such as in the `Location` of the reply that started the job.

    Then that URL has the rules of every URL that a server names: credentials go to `fixed_origin` and to `origins` alone.
    It needs a `fixed_origin`, and a parameter `cursor` of `request`, `read` or `read_for`.
    """

    heeded_headers: tuple[str, ...] | None = None
    """The header fields that `read` looks at.

    A reply whose status code, body and heeded fields are the last one's is not read again. None, the default, says
    nothing of them: then every reply is read. `()` says that `read` looks at the body alone. A reply to a request with
    another cursor is always read.
    """

    deciding_keys: Collection[str] = ()
    """The JSON keys that say whether the job is over, such as `("state", "error")`.

    A long reply is cut down to `ReplyLimits`. These keys are kept wherever they are. Letter case, `_` and `-` do not matter.
    """

    answer_statuses: frozenset[int] = frozenset()
    """Status codes outside 2xx whose replies are answers about the job, such as 404 for a job that is a deletion.

    `read` gets these replies, too, and looks at `reply.status`. If it raises MalformedReply for one, the reply is a refusal
    as it would be without this. All other codes outside 2xx are refusals. 401 and 429 cannot be answers, because they
    concern the credentials and the rate limit.
    """

    first_after_s: float = 0.0
    """Seconds until the first poll of a job that `JobWatcher.submit` has started, such as the shortest time that jobs take.

    The reply to the start may ask for longer.
    """

    result_answer_statuses: frozenset[int] = frozenset()
    """Status codes outside 2xx whose replies to the request for a result are answers, such as 422 for a job that failed.

    `read_result` gets these replies, too, and looks at `reply.status`. It returns `Reading.failed(...)` for a job that has
    failed after all; then `result()` and `save_result()` raise JobFailed. The codes are those of `answer_statuses`.
    """

    submit_answer_statuses: frozenset[int] = frozenset()
    """Status codes outside 2xx whose replies to the start of a job are answers, such as 303 for a job that exists.

    `read_submitted` gets these replies, too, and looks at `reply.status`. The codes are those of `answer_statuses`.
    """

    submit_advice: str = ""
    """What a user should look at if it is not known whether a job was started: one or two sentences, which `SubmitDoubtful`
    adds to its message. Empty for none."""

    @abstractmethod
    def request(self, job: J, /) -> Request:
        """The request that asks for the job's status, without credentials. Cheap: called for every poll."""

    @abstractmethod
    def read(self, reply: Reply, /) -> Reading[S]:
        """Make a reading of a reply whose status code is 2xx or in `answer_statuses`.

        `reply.json()` decodes its body.

        Raises:
            MalformedReply: It is not what the vendor documents (`raise reply.malformed("why")`).
        """

    def read_for(self, job: J, reply: Reply, /) -> Reading[S]:
        """Like `read`, and refuse a reply that names another job than this one.

        Override it if the vendor's replies name their job. It is then called in place of `read`.

        Raises:
            MalformedReply: The reply is about another job, or is not what the vendor documents.
        """
        return self.read(reply)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The vendor's codes and words in the body of a reply that is not 2xx.

        Raises:
            RateLimited: These codes mean that the rate limit was hit, whatever the status code.
        """
        return None
