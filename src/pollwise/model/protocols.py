"""What crosses the seams: who makes requests and reads replies, who sends them, who authorises them.

Rule: a protocol is a promise. Nothing here sends, waits or remembers.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Any, Protocol, TypeVar, cast

import attrs

from pollwise.errors import ConfigurationError, Problem
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading

__all__ = ["Auth", "Endpoint", "Transport"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Transport(Protocol):
    """What sends a request. Raises `PollError` for whatever keeps a whole reply from arriving."""

    async def send(self, request: Request, /) -> Reply:
        """Send it once and return the whole reply, whatever its status code."""
        ...


class Auth(Protocol):
    """What puts credentials on requests. One may serve many endpoints and watchers at once."""

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


class Endpoint(Protocol[J, S]):
    """One vendor's status call: how to ask and how to read. Subclass it; `name`, `request` and `read` are yours.

    The rest has defaults: override `auth` where credentials are needed, `problem` where the vendor puts codes in
    the body of a refusal, `documented_limit` where its rate limit is known, and the four translations to use a ledger.
    """

    name: str
    """A short stable name, as in logs, tokens and ledgers: `oracle-content`."""

    def request(self, job: J, /) -> Request:
        """The request that asks for the job's status, without credentials. Cheap: called for every poll."""
        ...

    def read(self, reply: Reply, /) -> Reading[S]:
        """Make a reading of a reply whose status code is 2xx. `reply.json()` decodes its body.

        Raises:
            MalformedReply: It is not what the vendor documents (`raise reply.malformed("why")`).
        """
        ...

    def read_for(self, job: J, reply: Reply, /) -> Reading[S]:
        """Like `read`, and refuse a reply that names another job than this one.

        Override it if the vendor's replies name their job; it is then called in place of `read`. Whether an endpoint
        overrides it is looked up when a watcher is made.

        Raises:
            MalformedReply: The reply is about another job, or is not what the vendor documents.
        """
        return self.read(reply)

    @property
    def auth(self) -> Auth | None:
        """The credentials to send, or None. Looked up when a watcher is made and opened, not for every poll."""
        return None

    @property
    def account(self) -> str:
        """Whose jobs these are, where one ledger keeps the jobs of several accounts: a name, never a credential."""
        return ""

    @property
    def fixed_origin(self) -> str | None:
        """Scheme, host and port of every request, such as `https://api.example.com`. None: each request has its own.

        Looked up when a watcher is made. It saves a ledger the making of a request for each job that is recorded.
        """
        return None

    @property
    def heeded_headers(self) -> tuple[str, ...] | None:
        """The header fields that `read` looks at. Looked up when a watcher is made.

        A reply whose status code, body and heeded fields are the last one's is not read again. None, the default, says
        nothing of them: then every reply is read. `()` says that `read` looks at the body alone.
        """
        return None

    @property
    def documented_limit(self) -> tuple[int, float] | None:
        """The vendor's documented rate limit as (requests, seconds), or None."""
        return None

    def problem(self, reply: Reply, /) -> Problem | None:
        """The vendor's codes and words in the body of a reply that is not 2xx.

        Raises:
            RateLimited: These codes mean that the rate limit was hit, whatever the status code.
        """
        return None

    def job_to_keys(self, job: J, /) -> dict[str, str]:
        """The job's keys by name, for ledgers, tokens and the screen."""
        return {name: str(value) for name, value in attrs.asdict(cast("attrs.AttrsInstance", job)).items()}

    def job_from_keys(self, keys: Mapping[str, str], /) -> J:
        """The job again. Raises ValueError for keys that are not a job's."""
        raise ConfigurationError(f"the endpoint {self.name!r} does not define job_from_keys, which this needs")

    def status_to_json(self, status: S, /) -> Any:
        """The status as JSON-ready values, with the vendor's field names."""
        return attrs.asdict(cast("attrs.AttrsInstance", status))

    def status_from_json(self, data: Any, /) -> S:
        """The status again. Raises ValueError for data that is not a status's."""
        raise ConfigurationError(f"the endpoint {self.name!r} does not define status_from_json, which this needs")
