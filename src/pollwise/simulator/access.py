"""Authentication: API token, Basic, Bearer, and the OAuth 2 client credentials grant of Oracle's identity service.

Rule 1: a vendor without a configured credential accepts every request.
Rule 2: a revoked or expired credential gets 401 until the client sends a newer one.
Rule 3: no `repr` and no log contains a secret.
"""

from __future__ import annotations

import base64
import hashlib
import math
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qs, quote_plus

import attrs

from pollwise.simulator.faults import ParsedEntry, parse_script
from pollwise.simulator.field_overrides import ABSENT, Absent
from pollwise.simulator.replies import SimulatedReply
from pollwise.simulator.vendor import Vendor

__all__ = ["Access", "OAuthClient"]

_SCOPE = "urn:opc:cec:all"
_FORM = "application/x-www-form-urlencoded"


@attrs.frozen(kw_only=True)
class OAuthClient:
    """The confidential client that can fetch bearer tokens (RFC 6749, 4.4).

    Attributes:
        client_id: Sent as the user of HTTP Basic.
        client_secret: Sent as the password of HTTP Basic.
        scope: The required scope; None accepts any that ends in `urn:opc:cec:all`.
        expires_in_s: Seconds that a token is valid; `expires_in` has them, rounded down.
        expires_in: The field verbatim in place of those seconds, such as `3600.0`, `"3600.0"`, `""`, `0`, `-1`. None
            sends the seconds; `ABSENT` omits the field, which RFC 6749, 5.1, allows.
        token_type: The field verbatim; `ABSENT` omits it. Its case does not matter (RFC 6749, 5.1).
        script: Its n-th entry applies to the n-th request for a token. None is a normal reply, also after the last entry.
    """

    client_id: str
    client_secret: str = attrs.field(repr=False)
    scope: str | None = None
    expires_in_s: float = attrs.field(default=3600.0, validator=attrs.validators.gt(0.0))
    expires_in: Any = None
    token_type: str | Absent = "Bearer"  # noqa: S105  # a field's value, no secret
    script: tuple[ParsedEntry, ...] = attrs.field(default=(), converter=parse_script)

    def grant(self, token: str) -> dict[str, Any]:
        """The reply document with a token."""
        expires_in = int(self.expires_in_s) if self.expires_in is None else self.expires_in
        fields = {"access_token": token, "token_type": self.token_type, "expires_in": expires_in}
        return {name: value for name, value in fields.items() if value is not ABSENT}

    def refuses(self, headers: Mapping[str, str], form: Mapping[str, list[str]]) -> SimulatedReply | None:
        """The error of RFC 6749, 5.2, for a request for a token; None if the request is valid."""
        good = {
            _basic(self.client_id, self.client_secret),
            _basic(quote_plus(self.client_id), quote_plus(self.client_secret)),
        }
        if headers.get("Authorization") not in good:
            return _oauth_error("invalid_client", 401).with_headers({"WWW-Authenticate": 'Basic realm="simulator"'})
        if headers.get("Content-Type", "").partition(";")[0].strip().lower() != _FORM:
            return _oauth_error("invalid_request")
        if form.get("grant_type") != ["client_credentials"]:
            return _oauth_error("unsupported_grant_type" if "grant_type" in form else "invalid_request")
        scopes = form.get("scope", [])
        if scopes != [self.scope] if self.scope is not None else not (len(scopes) == 1 and scopes[0].endswith(_SCOPE)):
            return _oauth_error("invalid_scope")
        return None


@attrs.define(kw_only=True)
class Access:
    """The credentials that are valid now.

    Attributes:
        seed: Makes the issued tokens the same in every run.
        api_token: The required `api_token` of Document360.
        basic: User and password that Oracle Content Management accepts.
        bearer: A bearer token that it accepts until revoked.
        oauth: The client that can fetch further bearer tokens.
    """

    seed: int = 0
    api_token: str | None = attrs.field(default=None, repr=False)
    basic: tuple[str, str] | None = attrs.field(default=None, repr=False)
    bearer: str | None = attrs.field(default=None, repr=False)
    oauth: OAuthClient | None = None
    _open: dict[str, bool] = attrs.field(init=False, repr=False)
    _good_until: dict[str, float] = attrs.field(init=False, repr=False, factory=dict)
    _issued: int = attrs.field(init=False, default=0)

    def __attrs_post_init__(self) -> None:
        oracle_open = self.basic is None and self.bearer is None and self.oauth is None
        self._open = {"document360": self.api_token is None, "oracle-content": oracle_open}
        if self.basic is not None:
            self._good_until[_basic(*self.basic)] = math.inf
        if self.bearer is not None:
            self._good_until[f"Bearer {self.bearer}"] = math.inf

    def admits(self, vendor: Vendor, token: str, now: float) -> bool:
        """True if that vendor accepts this token."""
        if self._open[vendor.name]:
            return True
        if vendor.name == "document360":
            return token == self.api_token
        return now < self._good_until.get(token, -math.inf)

    def issue_token(self, headers: Mapping[str, str], body: bytes, now: float) -> SimulatedReply:
        """The reply to a request for a token."""
        if self.oauth is None:
            return SimulatedReply(404)
        refusal = self.oauth.refuses(headers, parse_qs(body.decode("latin-1")))
        if refusal is not None:
            return refusal
        self._good_until = {token: until for token, until in self._good_until.items() if now < until}
        token = hashlib.blake2b(f"{self.seed}/{self._issued}".encode(), digest_size=24).hexdigest()
        self._issued += 1
        self._good_until[f"Bearer {token}"] = now + self.oauth.expires_in_s
        return SimulatedReply.of_json(self.oauth.grant(token), headers={"Cache-Control": "no-store"})

    def revoke(self, *, api_token: str | None, bearer: str | None) -> None:
        """Revoke all bearer tokens. Accept new fixed credentials if they are given."""
        self._good_until = {token: until for token, until in self._good_until.items() if token.startswith("Basic ")}
        if bearer is not None:
            self._good_until[f"Bearer {bearer}"] = math.inf
        if api_token is not None:
            self.api_token = api_token


def _basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


def _oauth_error(code: str, status: int = 400) -> SimulatedReply:
    return SimulatedReply.of_json({"error": code, "error_description": "see RFC 6749, 5.2"}, status=status)
