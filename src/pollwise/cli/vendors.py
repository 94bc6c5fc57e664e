"""Each vendor's endpoint, with its secrets from the environment.

Rule 1: a secret is read from the environment and passed to an `Auth`. No message contains any part of it.
Rule 2: a missing secret is a usage error that names the variable to set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from pollwise.cli.exit_status import UsageError
from pollwise.core.identity import checked_account
from pollwise.endpoints.document360 import DeleteFileEndpoint
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import ConfigurationError
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.model.protocols import Auth, Endpoint

__all__ = ["BASE_URLS", "MAKERS", "document360", "oracle_content"]

BASE_URLS: Final[Mapping[str, str]] = {
    "document360": "DOCUMENT360_BASE_URL",
    "oracle-content": "ORACLE_CONTENT_BASE_URL",
}
"""The environment variable with the base URL of each vendor's endpoint."""


def document360(base_url: str, account: str = "") -> DeleteFileEndpoint:
    """The endpoint with the key in `DOCUMENT360_API_TOKEN`."""
    auth = ApiKeyAuth(_secret("DOCUMENT360_API_TOKEN"))
    return DeleteFileEndpoint(base_url, auth=auth, account=_account(account, auth))


def oracle_content(base_url: str, account: str = "") -> ExtractionEndpoint:
    """The endpoint with `ORACLE_CONTENT_TOKEN`, or else with `ORACLE_CONTENT_USER` and `ORACLE_CONTENT_PASSWORD`."""
    auth = _oracle_auth()
    return ExtractionEndpoint(base_url, auth=auth, account=_account(account, auth))


def _account(name: str, auth: Auth) -> str:
    try:
        return checked_account(name, auth)
    except ConfigurationError as error:
        raise UsageError(f"--{error}") from None


def _oracle_auth() -> Auth:
    if os.environ.get("ORACLE_CONTENT_TOKEN"):
        return BearerAuth(_secret("ORACLE_CONTENT_TOKEN"))
    user = os.environ.get("ORACLE_CONTENT_USER")
    if not user:
        raise UsageError("set ORACLE_CONTENT_TOKEN, or ORACLE_CONTENT_USER and ORACLE_CONTENT_PASSWORD, to sign in")
    return BasicAuth(user, _secret("ORACLE_CONTENT_PASSWORD"))


def _secret(name: str) -> str:
    value = os.environ.get(name)
    if not value:
        raise UsageError(f"set the environment variable {name}; secrets are never given as arguments")
    return value


MAKERS: Final[Mapping[str, Callable[[str, str], Endpoint[Any, Any]]]] = {
    "document360": document360,
    "oracle-content": oracle_content,
}
"""What makes each vendor's endpoint of its base URL and account."""
