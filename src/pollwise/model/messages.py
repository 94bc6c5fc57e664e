"""Requests and replies.

Rule 1: everything here is a value; nothing here sends, waits or remembers.
Rule 2: a credential is on a `Request` only on its way out, and never in a `repr` or an excerpt.
"""

from __future__ import annotations

from collections.abc import Generator, Hashable, Mapping
from functools import lru_cache
from typing import Any, TypeVar

import attrs
import orjson
from yarl import URL

from pollwise.errors import MalformedReply
from pollwise.model.bounded_reply import SHORT, Bounds, bounded
from pollwise.model.json_body import body_text, decoded
from pollwise.model.masking import Mask, mask_of, without_tokens
from pollwise.model.secrets import secrets_in, secrets_named_in

__all__ = ["Reply", "Request"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_NO_HEADERS: Mapping[str, str] = {}
_NOTHING: Mapping[str, int] = {}
_NO_SECRETS: frozenset[str] = frozenset()
_IDEMPOTENT = frozenset({"GET", "HEAD", "OPTIONS", "TRACE", "PUT", "DELETE"})
_KEY_FIELD = "idempotency-key"
_HARMLESS = frozenset(
    {
        "accept",
        "accept-encoding",
        "accept-language",
        "cache-control",
        "content-type",
        "if-modified-since",
        "if-none-match",
        "prefer",
        "user-agent",
    }
)
_EXCERPT_CHARS = 160
_TYPE_CHARS = 60
_BYTES_TO_MASK = 16_384  # of which the excerpt is taken, so that no secret is cut before it is masked


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
        first_host: The host of the job's own URL, for a request to another origin that a server named; else None. Such a
            request has no credentials. It goes over no connection that has any, and to a private address only if
            `first_host` is at one of the same kind.
        idempotent: Whether sending it twice does no more than sending it once. None, the default: as `is_idempotent` says.
    """

    url: URL
    headers: Mapping[str, str] = attrs.field(default=_NO_HEADERS, repr=False)
    method: str = "GET"
    body: bytes | None = attrs.field(default=None, repr=False)
    first_host: str | None = None
    idempotent: bool | None = None

    @property
    def named_secrets(self) -> frozenset[str]:
        """The secrets in header fields, query parameters and fields of the body that are named like credentials."""
        if not self.headers and self.body is None and not self.url.raw_query_string:
            return _NO_SECRETS
        return secrets_named_in(self.headers, self.url.raw_query_string, self.body)

    @property
    def is_idempotent(self) -> bool:
        """Whether sending it twice is meant to do no more than sending it once.

        That is what `idempotent` says. Without it: by the method (RFC 9110, 9.2.2), or if there is a header field
        `Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header).
        """
        if self.idempotent is not None:
            return self.idempotent
        return self.method.upper() in _IDEMPOTENT or any(name.lower() == _KEY_FIELD for name in self.headers)


@attrs.frozen(weakref_slot=False)
class Reply:
    """One whole HTTP reply, body decompressed and within the size limit.

    Attributes:
        status: The HTTP status code.
        headers: Case-insensitive mapping of header fields.
        body: The whole body.
        request: What it answers; for masking its credentials in excerpts.
        bounds: What was left out of the body, once it has been cut down to limits; None before that.
    """

    status: int
    headers: Mapping[str, str] = attrs.field(repr=False)
    body: bytes = attrs.field(repr=False)
    request: Request | None = attrs.field(default=None, repr=False)
    bounds: Bounds | None = attrs.field(default=None, repr=False)

    @property
    def left_out(self) -> Mapping[str, int]:
        """How many items of a list, members of an object or bytes of a text were left out of the body, by path.

        Such as `{"errors": 348493, "task.log[].text": 2048}`. `$` is the document itself. Empty for a whole body.
        """
        return _NOTHING if self.bounds is None else self.bounds.left_out

    @property
    def content_type(self) -> str | None:
        """The media type without parameters, in lower case, escaped and short, or None."""
        value = self.headers.get("Content-Type")
        if value is None:
            return None
        return ascii(self.mask.text(_media_type(value))[:_TYPE_CHARS])[1:-1]

    @property
    def is_json(self) -> bool:
        """Whether the content type says so: `application/json` and every `application/*+json` (RFC 6839)."""
        value = self.headers.get("Content-Type")
        return value is not None and _means_json(value)

    def json(self) -> Any:
        """The JSON in the body, whatever the content type says.

        A byte order mark, UTF-16, a declared charset, NaN (as None) and very deep nesting (as None) are understood, too.
        A watcher has cut the body down to its `ReplyLimits`: see `left_out`. Else it is cut down to their defaults here.

        Raises:
            MalformedReply: The body is no JSON. The error says what it is instead.
        """
        document = self.body
        if self.bounds is not None:
            if self.bounds.broken:
                raise self.malformed(self.bounds.broken)
            document = self.body if self.bounds.document is None else self.bounds.document
        elif len(self.body) > SHORT:
            return bounded(self).json()
        try:
            return orjson.loads(document)
        except orjson.JSONDecodeError:
            text = self.text()
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
        return MalformedReply(self.mask.text(reason), self.status, self.content_type, self.excerpt())

    def masking(self, credentials: Mapping[str, str]) -> Reply:
        """This reply without the credentials that a server has echoed, whatever they stand in."""
        return self.masked(mask_of(secrets_in(credentials)), with_headers=True)

    def masked(self, mask: Mask, *, with_headers: bool) -> Reply:
        """This reply without the strong secrets of a mask: the same object if it has none.

        Args:
            mask: The mask.
            with_headers: Whether the header fields are searched, too. A vendor's endpoint looks at none of them.
        """
        raw = self._in_ascii_units()
        return self._without(raw, mask.body(raw), mask.headers(self.headers) if with_headers else self.headers)

    def masked_in_steps(self, mask: Mask, *, with_headers: bool) -> Generator[None, None, Reply]:
        """The same in steps of some milliseconds. Yields between them, and returns the reply."""
        raw = self._in_ascii_units()
        body = yield from mask.body_in_steps(raw)
        return self._without(raw, body, mask.headers(self.headers) if with_headers else self.headers)

    def _in_ascii_units(self) -> bytes:
        """The body; in UTF-8 if it is UTF-16 or UTF-32, in which no search finds a secret."""
        if b"\0" not in self.body:
            return self.body
        return body_text(self.body, self.headers.get("Content-Type")).encode("utf-8", "replace")

    def _without(self, raw: bytes, body: bytes, headers: Mapping[str, str]) -> Reply:
        if body is raw and headers is self.headers:
            return self
        return attrs.evolve(self, body=self.body if body is raw else body, headers=headers)

    def excerpt(self) -> str:
        """The first characters of the body, escaped, with everything that may be a credential masked."""
        text = self.mask.text(body_text(self.body[:_BYTES_TO_MASK], self.headers.get("Content-Type")))
        text = without_tokens(text[: 4 * _EXCERPT_CHARS])[:_EXCERPT_CHARS]
        return ascii(text)[1:-1]

    @property
    def mask(self) -> Mask:
        """Masks the secrets of the request that this reply answers. For errors and logs, which are rare."""
        request = self.request
        if request is None:
            return mask_of(_NO_SECRETS)
        sent = {name: value for name, value in request.headers.items() if name.lower() not in _HARMLESS}
        return mask_of(secrets_in(sent) | request.named_secrets)

    def text(self) -> str:
        """The body's text; in UTF-16 and UTF-32 a credential that the server echoed is not masked yet."""
        text = body_text(self.body, self.headers.get("Content-Type"))
        if b"\0" not in self.body or self.request is None:
            return text
        return self.mask.body(text.encode("utf-8", "replace")).decode()


def _media_type(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


@lru_cache(maxsize=64)  # a server says the same each time
def _means_json(content_type: str) -> bool:
    kind = _media_type(content_type)
    return kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))
