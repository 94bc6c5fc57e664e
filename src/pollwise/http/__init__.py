"""The only package that sends requests: aiohttp, content codings and credentials."""

from __future__ import annotations

from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth, RenewingAuth, SigningAuth
from pollwise.http.transport import AiohttpTransport
from pollwise.model.protocols import Auth, Transport

__all__ = [
    "AiohttpTransport",
    "ApiKeyAuth",
    "Auth",
    "BasicAuth",
    "BearerAuth",
    "ClientCredentialsAuth",
    "RenewingAuth",
    "SigningAuth",
    "Transport",
]
