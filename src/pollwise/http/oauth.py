"""The OAuth 2 client credentials grant (RFC 6749, 4.4): builds the token request and reads its reply.

Rule 1: this file does no I/O. A request is returned as a value, and a reply is passed in as one.
Rule 2: `access_token` is read strictly: a reply without a usable one is malformed. The other fields of RFC 6749, 5.1 are
read leniently: a missing type means Bearer, and a lifetime that is not a number of seconds is unknown.
Rule 3: no error quotes the body, because it may have a token. The server's description of a refusal is masked and cut.
"""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from typing import Any, Final
from urllib.parse import quote_plus, urlencode

import attrs
from yarl import URL

from pollwise.core.classification import refusal
from pollwise.core.header_hints import HintReader
from pollwise.core.header_values import LONGEST_WAIT_S, number
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedReply,
    PollError,
    Problem,
    RateLimited,
    ServerUnavailable,
)
from pollwise.http.credentials import Credential, basic, bearer, checked_text, header_fields
from pollwise.model.json_body import decoded
from pollwise.model.limits import is_number
from pollwise.model.masking import mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.secrets import secrets_in

__all__ = ["ClientCredentialsGrant"]

_TOKEN = re.compile(r"[!-~]+")  # RFC 6749 A.12, without the space, which ends a token in a header field
_CODE = re.compile(r"[ !#-\[\]-~]{1,64}")  # RFC 6749 5.2, with a max length
_BEARER: Final = frozenset({"", "bearer", "bearertoken"})
_TEMPORARY: Final = frozenset(
    {"server_error", "temporarily_unavailable"}
)  # RFC 6749 4.1.2.1; some token endpoints send them as well
_DESCRIPTION_CHARS: Final = 200


@attrs.frozen(kw_only=True)
class ClientCredentialsGrant:
    """The grant of one client.

    Attributes:
        request: The token request. It can be sent any number of times.
        secrets: Texts to mask in the server's descriptions, as given and as sent.
    """

    request: Request
    secrets: tuple[str, ...] = attrs.field(repr=False)

    @classmethod
    def of(cls, token_url: str, client_id: str, client_secret: str, scope: str | None) -> ClientCredentialsGrant:
        """The grant for this client. Raises ConfigurationError, whose message shows no argument."""
        form = {"grant_type": "client_credentials"}
        if scope is not None:
            form["scope"] = checked_text("the scope", scope)
        # RFC 6749 2.3.1: both are form-encoded first, so they may have colons and non-ASCII characters
        user = quote_plus(checked_text("the client ID", client_id))
        password = quote_plus(checked_text("the client secret", client_secret))
        fields = {"Authorization": basic(user, password)}
        more = {"Content-Type": "application/x-www-form-urlencoded", "Accept": "application/json"}
        return cls(
            request=Request(_address(token_url), header_fields({**fields, **more}), "POST", urlencode(form).encode()),
            secrets=(*secrets_in(fields), client_secret, password),
        )

    def read(self, reply: Reply) -> Credential:
        """The credential in a reply.

        Raises:
            AuthenticationError: The server refused the client.
            PollError: The server failed, or its reply has no token. The request may be retried.
        """
        if not 200 <= reply.status < 300:  # RFC 6749 5.1 says 200; some servers send 201
            raise self._refusal(reply)
        answer = _document(reply)
        if answer is None:
            raise self._malformed(reply, "the token endpoint's reply is not a JSON object")
        token, kind = answer.get("access_token"), answer.get("token_type")
        if token is None and self._problem(reply) is not None:
            raise self._refusal(reply)
        if not isinstance(token, str) or _TOKEN.fullmatch(token) is None:
            raise self._malformed(reply, "access_token is missing or cannot be sent in a header")
        if kind is not None and not (isinstance(kind, str) and kind.strip().lower() in _BEARER):
            raise self._malformed(reply, "token_type is not Bearer")
        return Credential({"Authorization": bearer(token)}, _lifetime_s(answer.get("expires_in")))

    def _refusal(self, reply: Reply) -> AuthenticationError | PollError:
        status, problem = reply.status, self._problem(reply)
        hints = HintReader().read(reply.headers, time.time)
        if problem is not None and not _TEMPORARY.isdisjoint(problem.codes):
            return ServerUnavailable(status, None if hints is None else hints.retry_after_s, problem)
        error = refusal(reply, problem, None, hints=hints)
        if isinstance(error, ServerUnavailable):
            return error
        if isinstance(error, MalformedReply):
            return self._malformed(reply, error.reason)
        if isinstance(error, RateLimited) and (problem is None or status == 429 or error.retry_after_s is not None):
            return error  # "no request left" alone is a rate limit only if the reply names no other reason
        where = self.request.url.origin()
        if 300 <= status < 400:
            return AuthenticationError(
                f"{where} replied with a redirect (HTTP {status}), which is not followed. Pass the URL of the token endpoint itself."
            )
        return AuthenticationError(
            f"{where} refused to grant a token (HTTP {status}). Check the client ID, the secret and the scope.", problem
        )

    def _problem(self, reply: Reply) -> Problem | None:
        """RFC 6749, 5.2: `error` and `error_description`."""
        answer = _document(reply) or {}
        code, words = answer.get("error"), answer.get("error_description")
        if not isinstance(code, str) or _CODE.fullmatch(code) is None:
            return None
        said = (self._masked(words),) if isinstance(words, str) else ()
        return Problem(codes=(self._masked(code),), descriptions=said)

    def _masked(self, text: str) -> str:
        return mask_of(frozenset(self.secrets)).text(text)[:_DESCRIPTION_CHARS]

    def _malformed(self, reply: Reply, reason: str) -> MalformedReply:
        """Rule 3: without an excerpt."""
        kind = reply.content_type
        return MalformedReply(reason, reply.status, None if kind is None else self._masked(kind))


def _address(token_url: str) -> URL:
    try:
        url = URL(token_url)
    except (TypeError, ValueError):  # not chained: its message has the URL
        url = URL()
    if url.scheme not in {"http", "https"} or not url.raw_host:
        raise ConfigurationError("token_url must be an absolute https URL")
    if "@" in url.raw_authority or url.raw_fragment:
        raise ConfigurationError(
            "token_url must have neither credentials nor a fragment; pass client_id and client_secret"
        )
    return url


def _document(reply: Reply) -> Mapping[str, Any] | None:
    try:  # the media type does not matter: some servers send a wrong one
        answer = decoded(reply.text())
    except ValueError:  # not chained: it may hold the whole body
        return None
    return answer if isinstance(answer, dict) else None


def _lifetime_s(value: object) -> float | None:
    """Seconds, from a number or a numeric text. None if it is unknown: RFC 6749 5.1 only recommends the field."""
    if isinstance(value, str):
        value = number(value.strip())
    if is_number(value) and value > 0:
        return float(min(value, LONGEST_WAIT_S))
    return None  # 0 or -1 often means "does not expire"; if that is wrong, the first 401 renews it
