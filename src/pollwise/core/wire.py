"""What crosses the seams: requests, replies, and the protocols of those who make, send and authorise them.

Rule 1: everything here is a value or a promise; nothing here sends, waits or remembers.
Rule 2: a credential is on a `Request` only on its way out, and never in a `repr` or an excerpt.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping
from functools import lru_cache
from typing import Any, Protocol, TypeVar, cast

import attrs
import orjson
from yarl import URL

from pollwise.core.decoding import body_text, decoded
from pollwise.core.phase import Reading
from pollwise.errors import ConfigurationError, MalformedReply, Problem

__all__ = ["Auth", "Endpoint", "Reply", "Request", "Transport"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_NO_HEADERS: Mapping[str, str] = {}
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_EXCERPT_CHARS = 160
_TYPE_CHARS = 60
_SHORTEST_SECRET = 4
_SHORTEST_ECHO = 8  # what is shorter may be a word of the reply's own
_TOKEN_LIKE = re.compile(r"[A-Za-z0-9+/_.~=-]{24,}")


@attrs.frozen(weakref_slot=False)
class Request:
    """One HTTP request. The transport adds what it can read, and what a connection needs.

    A transport sends it once. Where a kept-alive connection had been closed, the watcher sends a poll a second time, but
    only if its method is idempotent.

    Attributes:
        url: An absolute http or https URL, already percent-encoded.
        headers: Sent as they are, also in place of a field that the transport would add. May hold credentials, hence
            not in the `repr`.
        method: The HTTP method.
        body: The request body, or None. May hold credentials, hence not in the `repr`.
    """

    url: URL
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    method: str = "GET"
    body: bytes | None = attrs.field(default=None, repr=False)

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice is meant to do no more than sending it once (RFC 9110, 9.2.2)."""
        return self.method.upper() in _IDEMPOTENT


@attrs.frozen(weakref_slot=False)
class Reply:
    """One whole HTTP reply, body decompressed and within the size limit.

    Attributes:
        status: The HTTP status code.
        headers: Case-insensitive mapping of header fields.
        body: The whole body.
        request: What it answers; for masking its credentials in excerpts.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    request: Request | None = attrs.field(default=None, repr=False)

    @property
    def content_type(self) -> str | None:
        """The media type without parameters, in lower case, escaped and short, or None."""
        value = self.headers.get("Content-Type")
        return None if value is None else ascii(_media_type(value)[:_TYPE_CHARS])[1:-1]

    @property
    def is_json(self) -> bool:
        """Whether the content type says so: `application/json` and every `application/*+json` (RFC 6839)."""
        value = self.headers.get("Content-Type")
        return value is not None and _means_json(value)

    def json(self) -> Any:
        """The JSON in the body, whatever the content type says.

        A byte order mark, UTF-16, a declared charset, NaN (as None) and very deep nesting (as None) are understood, too.

        Raises:
            MalformedReply: The body is no JSON. The error says what it is instead.
        """
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            text = self._text()
        try:
            return decoded(text)
        except ValueError as exc:
            why = str(exc)
        if not text.strip():
            why = "expected JSON, got an empty body"
        elif not self.is_json and not text.lstrip().startswith(("{", "[")):
            why = f"expected JSON, got {self.content_type or 'no content type'}"
        # Raised out here, so that the error does not drag the body along as its context.
        raise self.malformed(why)

    def malformed(self, reason: str) -> MalformedReply:
        """The error for this reply, with a redacted excerpt of it."""
        return MalformedReply(reason, self.status, self.content_type, self.excerpt())

    def masking(self, credentials: Mapping[str, str]) -> Reply:
        """This reply without the credentials that a server has echoed in its body, whatever they stand in."""
        body = self.body
        escapes = b"\\" in body  # JSON may spell a character otherwise; encoders do that to some signs, as `+` and `/`
        for secret in _secrets(credentials):
            if len(secret) >= _SHORTEST_ECHO:
                if escapes:
                    body = re.sub("".join(map(_spelt, secret)).encode(), b"***", body)
                else:
                    body = body.replace(secret.encode(), b"***")
        return self if body == self.body else attrs.evolve(self, body=body)

    def excerpt(self) -> str:
        """The first characters of the body, escaped, with everything that may be a credential masked."""
        text = body_text(self.body[: 4 * _EXCERPT_CHARS], self.headers.get("Content-Type"))
        if self.request is not None:
            for secret in _secrets(self.request.headers):
                if len(secret) >= _SHORTEST_SECRET:
                    text = text.replace(secret, "***")
        text = _TOKEN_LIKE.sub("***", text)[:_EXCERPT_CHARS]
        return ascii(text)[1:-1]

    def _text(self) -> str:
        """The body's text; in UTF-16 and UTF-32 a credential that the server echoed is not masked yet."""
        text = body_text(self.body, self.headers.get("Content-Type"))
        if b"\0" not in self.body or self.request is None:
            return text
        masked = attrs.evolve(self, body=text.encode("utf-8", "replace")).masking(self.request.headers)
        return masked.body.decode()


def _spelt(char: str) -> str:
    """A pattern for what JSON may have for this character."""
    plain = re.escape(char)
    return plain if char.isalnum() else rf"(?:\\?{plain}|(?i:\\u{ord(char):04x}))"


def _secrets(headers: Mapping[str, str]) -> set[str]:
    """What may be a credential: each whole value, and its last word without the scheme before it."""
    values = headers.values()
    return {*values, *(value.rpartition(" ")[2] for value in values)}


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=64)  # a server says the same each time
def _means_json(content_type: str) -> bool:
    kind = _media_type(content_type)
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))


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
    the body of a refusal, `allowance` where its rate limit is known, and the four translations to use a ledger.
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
    def allowance(self) -> tuple[int, float] | None:
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
