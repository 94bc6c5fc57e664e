"""Which environment variables have the credentials of an endpoint.

Rule 1: those of the vendors and of declarations are known by their names.
Rule 2: a class of a package does not name its variables, and a variable may be a copy of another one. So every variable counts
whose value is a secret that a request carries.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from typing import Any

from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.vendors import CREDENTIALS, MAKERS
from pollwise.endpoints.declared import DeclaredEndpoint
from pollwise.endpoints.declared.plan import auth_variables
from pollwise.model.secrets import secrets_in

__all__ = ["credential_variables"]


def credential_variables(endpoints: Iterable[AnyEndpoint]) -> frozenset[str]:
    """The names of the variables that have the credentials of any of these endpoints."""
    return frozenset(name for endpoint in endpoints for name in _of(endpoint))


def _of(endpoint: AnyEndpoint) -> Iterable[str]:
    named = set(CREDENTIALS if endpoint.name in MAKERS else ())
    if isinstance(endpoint, DeclaredEndpoint) and endpoint.declaration.auth is not None:
        named.update(auth_variables(endpoint.declaration.auth))
    sent = _sent_by(endpoint.auth)
    return named | {name for name, value in os.environ.items() if value in sent}


def _sent_by(auth: Any) -> frozenset[str]:
    """The secrets that a request would carry now. Empty without credentials, and if the auth fails."""
    try:
        headers = None if auth is None else auth.headers(time.monotonic())
        return secrets_in(headers or {})
    except Exception:  # noqa: BLE001  an auth of a package
        return frozenset()
