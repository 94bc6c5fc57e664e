"""What the endpoints for exports and for files have in common: the server, its credentials, and where they go."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Final, TypeVar

from yarl import URL

from pollwise.core.identity import checked_account
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._reader import ReplyReader
from pollwise.endpoints.fhir_bulk_data.manifest import MANIFEST
from pollwise.endpoints.fhir_bulk_data.outcomes import problem_in
from pollwise.errors import ConfigurationError, Problem, UnsafeUrl
from pollwise.model.masked_values import masked_value
from pollwise.model.messages import Reply
from pollwise.model.protocols import Auth, Endpoint

__all__ = ["ACCEPT_JSON", "BulkEndpoint"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

ACCEPT_JSON: Final = {"Accept": "application/json"}


class BulkEndpoint(Endpoint[J, S]):
    """An endpoint whose jobs have URLs that a FHIR server named.

    Args:
        base_url: The base URL of the FHIR server, such as `https://fhir.example.com/r4`.
        auth: The credentials, such as those of SMART Backend Services, or None.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        origins: Further origins that get the credentials.
        name: Its name in logs, ledgers and tokens. None for that of the class. Two servers in one ledger need two names.

    Raises:
        ConfigurationError: `base_url` is not an http or https URL with a host, or has credentials, a query or a fragment.
            Or `account` is not a valid name.
    """

    server_named_urls = True

    def __init__(
        self,
        base_url: str,
        *,
        auth: Auth | None = None,
        account: str = "",
        origins: tuple[str, ...] = (),
        name: str | None = None,
    ) -> None:
        self._root = root = ApiRoot.parse(base_url)
        if name is not None:
            self.name = name
        self.auth = auth
        self.account = checked_account(account, auth)
        self.fixed_origin = str(root.origin)
        self.origins = origins
        self._manifests = ReplyReader(MANIFEST, self.name, problem_in)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({str(self._root)!r})"

    def problem(self, reply: Reply, /) -> Problem | None:
        """The codes and words of an OperationOutcome, or None."""
        problem = problem_in(reply)
        return None if problem is None else masked_value(reply.mask, problem)

    def _with_credentials(self, text: str, what: str) -> URL:
        """The URL. Raises ConfigurationError if the credentials do not go to its origin, and UnsafeUrl if it has none."""
        url = URL(text, encoded=True)
        if url.scheme not in {"http", "https"} or not url.raw_host:
            raise UnsafeUrl(url.raw_host or "", f"{what} is at no absolute http or https URL")
        allowed = (str(self._root.origin), *self.origins)
        if not any(_origin(URL(origin)) == _origin(url) for origin in allowed):
            raise ConfigurationError(
                f"{what} is at {url.origin()}, and the credentials go to {self.fixed_origin}; if you trust that server,"
                f" name it: origins=('{url.origin()}',)"
            )
        return url


def _origin(url: URL) -> tuple[str, str | None, int | None]:
    return url.scheme, url.raw_host, url.port  # `URL.origin` tells `:443` from no port
