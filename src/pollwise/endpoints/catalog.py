"""Ready declarations of status calls that many people use.

    endpoint = from_catalog("openai-batch")
    async with JobWatcher(endpoint, timeout_s=86_400) as watcher:
        status = await watcher.watch(endpoint.job(id="batch_7"))

Rule 1: each entry of `catalog.toml` was checked against the vendor's public pages or repository. It names them, and the day.
Rule 2: a base at `.example` (RFC 2606) stands for the user's own server. Nothing is ever sent there.
"""

from __future__ import annotations

import datetime as dt
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from types import MappingProxyType
from typing import Any, Final, TypeVar, overload

import attrs
from yarl import URL

from pollwise.endpoints.declared.endpoint import DeclaredEndpoint
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.endpoints.declared.vocabulary import Declaration
from pollwise.errors import ConfigurationError
from pollwise.model.protocols import Auth

__all__ = ["CatalogEntry", "catalog", "from_catalog"]

S = TypeVar("S")

_FILE: Final = "catalog.toml"


@attrs.frozen(kw_only=True)
class CatalogEntry:
    """A status call of the catalog.

    Attributes:
        declaration: How to ask and how to read.
        page: The URL of the vendor's page.
        checked: The day on which the declaration was checked against the vendor's public pages.
        own_server: Whether the base URL is missing, because each customer has a server of their own.
    """

    declaration: Declaration
    page: str
    checked: dt.date
    own_server: bool


@cache
def catalog() -> Mapping[str, CatalogEntry]:
    """All entries by name. The file is read once.

    Raises:
        ConfigurationError: JMESPath is not installed; some entries need it (`pip install 'pollwise[declared]'`).
    """
    return MappingProxyType({name: _entry(name) for name in _tables()})


@overload
def from_catalog(
    name: str, *, auth: Auth | None = ..., account: str = ..., base_url: str | None = ..., status: None = ...
) -> DeclaredEndpoint[Any]: ...


@overload
def from_catalog(
    name: str, *, auth: Auth | None = ..., account: str = ..., base_url: str | None = ..., status: type[S]
) -> DeclaredEndpoint[S]: ...


def from_catalog(
    name: str,
    *,
    auth: Auth | None = None,
    account: str = "",
    base_url: str | None = None,
    status: type[Any] | None = None,
) -> DeclaredEndpoint[Any]:
    """The endpoint of the catalog with this name. The other arguments are those of `DeclaredEndpoint`.

    Raises:
        ConfigurationError: There is no such entry, `base_url` is missing for an entry that needs it, an environment
            variable is not set, JMESPath is missing for an entry that needs it, or another argument is invalid.
    """
    if name not in _tables():
        raise ConfigurationError(f"the catalog has no entry {name!r}; it has {', '.join(_tables())}")
    entry = _entry(name)
    if entry.own_server and base_url is None:
        raise ConfigurationError(f"give the base URL of your own server, because {name} has no common one")
    return DeclaredEndpoint(entry.declaration, auth=auth, account=account, base_url=base_url, status=status)


@cache
def _tables() -> Mapping[str, Mapping[str, Any]]:
    text = resources.files("pollwise.endpoints").joinpath(_FILE).read_text(encoding="utf-8")
    return MappingProxyType(tomllib.loads(text))


@cache
def _entry(name: str) -> CatalogEntry:
    """One entry. Those whose expressions are dotted paths need no JMESPath."""
    words = dict(_tables()[name])
    page, checked = words.pop("page"), words.pop("checked")
    declared = declarations_of({name: words}, file=_FILE)[name]
    own = (URL(declared.base or "").host or "").endswith(".example")
    return CatalogEntry(declaration=declared, page=page, checked=checked, own_server=own)
