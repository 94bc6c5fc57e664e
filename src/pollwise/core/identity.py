"""The account and the origin of a watch.

Rule 1: an account is a name. A text that looks like a credential is refused, and no error shows it.
Rule 2: an origin is scheme, host and port of the job's URL. It has no path, query or user name.
Rule 3: a watch is polled at one origin. It moves to another one only if the caller states with `moved_from` that the API
has moved.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Hashable
from typing import Any, Generic, TypeVar

import attrs
from yarl import URL

from pollwise.errors import ConfigurationError, OriginChanged
from pollwise.model.protocols import Auth, Endpoint

__all__ = ["Origins", "checked_account", "origins_of"]

J = TypeVar("J", bound=Hashable)

_LONGEST_ACCOUNT = 200
_CREDENTIAL = re.compile(
    r"(?i:basic|bearer) (?=.*[0-9=])\S{6,}"  # a header's value
    r"|eyJ[\w-]+\.[\w-]+\.[\w-]*"  # a JSON web token
    r"|(?=.*[a-z])(?=.*[A-Z])(?=.*[0-9])[A-Za-z0-9+/_]{32,}={0,2}",  # random characters; IDs have one case alone
    re.ASCII,
)


def checked_account(account: object, auth: Auth | None = None) -> str:
    """Return the account if it is valid. Else raise ConfigurationError, which does not show it.

    Args:
        account: A name of printable characters, or an empty text for none.
        auth: The credentials of the account. The account must not repeat them.
    """
    if not isinstance(account, str):
        raise ConfigurationError(f"account must be a str, got {type(account).__name__}")
    if len(account) > _LONGEST_ACCOUNT:
        raise ConfigurationError(f"account must have at most {_LONGEST_ACCOUNT} characters, got {len(account)}")
    if not account.isprintable() or account != account.strip():
        raise ConfigurationError("account must hold printable characters alone, and no spaces around them")
    if account and (_CREDENTIAL.fullmatch(account) or _repeats(account, auth)):
        raise ConfigurationError(
            "account must be a name of yours, such as 'acme', and this looks like a credential; accounts are written to"
            " ledgers and resume tokens"
        )
    return account


def _repeats(account: str, auth: Auth | None) -> bool:
    """Whether the account equals a credential that `auth` sends."""
    fields = None if auth is None else auth.headers(0.0)
    values = () if fields is None else fields.values()
    return any(account in {value, value.rpartition(" ")[2]} for value in values)


def origins_of(urls: str | Collection[str]) -> frozenset[str]:
    """The origins of these URLs. Raises ConfigurationError, which shows no URL, because it may have a password."""
    return frozenset(map(_origin_of, [urls] if isinstance(urls, str) else urls))


def _origin_of(url: object) -> str:
    try:
        parsed = URL(url) if isinstance(url, str) else None
        if parsed is not None and parsed.scheme in {"http", "https"} and parsed.host:
            return str(parsed.origin())
    except ValueError:
        pass
    raise ConfigurationError("moved_from must hold absolute http or https URLs, such as 'https://api.example.com'")


@attrs.frozen
class Origins(Generic[J]):
    """The present origins of an endpoint's jobs, and the earlier ones.

    Attributes:
        endpoint: Builds the requests.
        moved_from: The origins from which the API has moved, as the caller states.
    """

    endpoint: Endpoint[J, Any]
    moved_from: frozenset[str] = frozenset()
    _fixed: str | None = attrs.field(
        init=False, default=attrs.Factory(lambda origins: origins.endpoint.fixed_origin, takes_self=True)
    )

    def of(self, job: J) -> str | None:
        """The job's origin, or None if the endpoint fails to build a request for it."""
        if self._fixed is not None:
            return self._fixed
        try:
            return str(self.endpoint.request(job).url.origin())
        except Exception:  # noqa: BLE001  # foreign code; the first poll reports the error
            return None

    def moved(self, job: J, recorded: str | None) -> bool:
        """Whether the job is polled at another origin than `recorded`, its earlier one, if both are known."""
        return _differ(self.of(job), recorded)

    def check(self, job: J, recorded: str | None, *, watches: int = 1) -> str | None:
        """Return the job's present origin, if its watch may be resumed there.

        Args:
            job: The job of the watch that is to be resumed.
            recorded: Its earlier origin, or None if that is unknown.
            watches: The number of watches with that origin, for the error.

        Raises:
            OriginChanged: The two origins differ, and the earlier one is not in `moved_from`.
        """
        configured = self.of(job)
        if recorded is not None and _differ(configured, recorded) and recorded not in self.moved_from:
            raise OriginChanged(job, recorded, str(configured), watches)
        return configured


def _differ(configured: str | None, recorded: str | None) -> bool:
    """Whether these origins differ, if both are known."""
    return recorded is not None and configured not in {None, recorded}
