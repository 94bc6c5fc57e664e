"""The caller asked for something that cannot be."""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.errors._root import PollwiseError
from pollwise.errors._watches import WatchError

__all__ = ["ConfigurationError", "InsecureUrl", "OriginChanged", "TokenError"]


class ConfigurationError(PollwiseError, ValueError):
    """An argument cannot be right. Raised at once, before anything is sent."""


@attrs.define
class InsecureUrl(ConfigurationError, WatchError):
    """Credentials would travel in clear text; nothing was sent. `origin` is scheme, host and port."""

    origin: str

    def __str__(self) -> str:
        return (
            f"{self.origin} is plain http to a host that is not this machine. Use https, or pass"
            " allow_plain_http=True if you accept that anybody on the way can read the credentials."
        )


@attrs.define
class OriginChanged(ConfigurationError, WatchError):
    """A watch was asked at another server than the endpoint asks now; nothing was sent, and the watch stays as it was.

    Attributes:
        job: What is watched, or one of several jobs.
        recorded: The origin (scheme, host and port) at which it was asked, as the ledger or the token has it.
        configured: The origin at which the endpoint would ask.
        watches: How many watches of the ledger are concerned.
    """

    job: Any
    recorded: str
    configured: str
    watches: int = 1

    def __str__(self) -> str:
        return (
            f"{self.subject} at {self.recorded}, but the endpoint now asks at {self.configured}. Nothing was sent. Use"
            f" the earlier base URL. If {self.configured} is another server, give its endpoint an account name of its"
            f" own. If the API has moved there, pass moved_from=({self.recorded!r},)."
        )

    @property
    def subject(self) -> str:
        """What is concerned, as the beginning of a sentence: one job, or how many."""
        if self.watches == 1:
            return f"{self.job} was asked about"
        return f"{self.watches} open jobs, such as {self.job}, were asked about"


@attrs.define
class TokenError(ConfigurationError):
    """A text is no watch token that this watcher can take up; `reason` says why. Nothing of it was used."""

    reason: str

    def __str__(self) -> str:
        return f"the watch token cannot be used: {self.reason}. Keep what `watch.resume_token` gave, unaltered."
