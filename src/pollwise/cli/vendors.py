"""Each vendor's endpoint, with its secrets from the environment.

Rule 1: a secret is read from the environment and passed to an `Auth`. No message contains any part of it.
Rule 2: a missing secret is a usage error that names the variable to set.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial
from importlib import import_module
from typing import Any, Final

from pollwise.cli.exit_status import UsageError
from pollwise.core.identity import checked_account
from pollwise.endpoints.document360 import DeleteFileEndpoint
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import ConfigurationError
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.model.protocols import Auth, Endpoint

__all__ = [
    "BASE_URLS",
    "CREDENTIALS",
    "FURTHER",
    "MAKERS",
    "base_url_of",
    "class_of",
    "document360",
    "further_class",
    "oracle_content",
]

FURTHER: Final[Mapping[str, tuple[str, str]]] = {
    "document360-export": ("document360.projects", "ExportV2Endpoint"),
    "document360-import": ("document360.projects", "ImportV2Endpoint"),
    "document360-v3-drive-task": ("document360.v3", "DriveTaskEndpoint"),
    "document360-v3-export": ("document360.v3", "ExportV3Endpoint"),
    "document360-v3-import": ("document360.v3", "ImportV3Endpoint"),
    "oracle-content-bulk-operation": ("oracle_content.management", "BulkOperationEndpoint"),
    "oracle-content-download": ("oracle_content.downloads", "DownloadEndpoint"),
    "oracle-content-site": ("oracle_content.sites", "SiteJobEndpoint"),
    "oracle-content-taxonomy-publish": ("oracle_content.management", "TaxonomyPublishEndpoint"),
    "oracle-content-template": ("oracle_content.sites", "TemplateJobEndpoint"),
}
"""The other calls of the two vendors by name: module and class. A module is imported when its endpoint is asked for."""

BASE_URLS: Final[Mapping[str, str]] = {
    "document360": "DOCUMENT360_BASE_URL",
    "oracle-content": "ORACLE_CONTENT_BASE_URL",
    **{name: f"{'ORACLE_CONTENT' if name.startswith('oracle') else 'DOCUMENT360'}_BASE_URL" for name in FURTHER},
}
"""The environment variable with the base URL of each vendor's endpoint."""

CREDENTIALS: Final = frozenset(
    {"DOCUMENT360_API_TOKEN", "ORACLE_CONTENT_TOKEN", "ORACLE_CONTENT_USER", "ORACLE_CONTENT_PASSWORD"}
)
"""The environment variables with the credentials of the vendors' endpoints."""

_ROOTS: Final = {
    "DOCUMENT360_BASE_URL": "https://apihub.document360.io",
    "ORACLE_CONTENT_BASE_URL": "https://host[:port]",
}


def base_url_of(name: str, given: str | None, option: str = "--base-url") -> str:
    """The base URL of a vendor's endpoint: `given`, else that of the environment.

    Raises:
        UsageError: There is none.
    """
    variable = BASE_URLS[name]
    url = given or os.environ.get(variable)
    if not url:
        raise UsageError(f"{option} is missing: give the API's root, such as {_ROOTS[variable]}, or set {variable}")
    return url


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


def further_class(name: str) -> Callable[..., Endpoint[Any, Any]]:
    """The class of one of the other calls."""
    module, kind = FURTHER[name]
    made: Callable[..., Endpoint[Any, Any]] = getattr(import_module(f"pollwise.endpoints.{module}"), kind)
    return made


def class_of(name: str) -> Callable[..., Endpoint[Any, Any]]:
    """The class of any call of the vendors."""
    return _CLASSES.get(name) or further_class(name)


def _further(name: str, base_url: str, account: str = "") -> Endpoint[Any, Any]:
    """The endpoint with the vendor's credentials. Version 3 of Document360 takes its token as a bearer token."""
    if name.startswith("oracle"):
        auth = _oracle_auth()
    else:
        secret = _secret("DOCUMENT360_API_TOKEN")
        auth = BearerAuth(secret) if "-v3-" in name else ApiKeyAuth(secret)
    return further_class(name)(base_url, auth=auth, account=_account(account, auth))


_CLASSES: Final[Mapping[str, Callable[..., Endpoint[Any, Any]]]] = {
    "document360": DeleteFileEndpoint,
    "oracle-content": ExtractionEndpoint,
}

MAKERS: Final[Mapping[str, Callable[[str, str], Endpoint[Any, Any]]]] = {
    "document360": document360,
    "oracle-content": oracle_content,
    **{name: partial(_further, name) for name in FURTHER},
}
"""What makes each vendor's endpoint of its base URL and account."""
