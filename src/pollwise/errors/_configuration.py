"""An argument or a setting cannot be right."""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.errors._root import PollwiseError
from pollwise.errors._watches import WatchError

__all__ = ["ConfigurationError", "InsecureUrl", "OriginChanged", "TokenError"]


class ConfigurationError(PollwiseError, ValueError):
    """An argument cannot be right. It is raised at once, before any request is sent."""


@attrs.define
class InsecureUrl(ConfigurationError, WatchError):
    """Credentials would be sent in clear text, so nothing was sent. `origin` is scheme, host and port."""

    origin: str

    def __str__(self) -> str:
        return (
            f"{self.origin} is plain http to a host that is not this machine. Use https, or pass"
            " allow_plain_http=True if you accept that the network can read the credentials."
        )


@attrs.define
class OriginChanged(ConfigurationError, WatchError):
    """The endpoint asks another server than the one at which the watch was asked. Nothing was sent, and the row stays open.

    Attributes:
        job: What is watched, or one of several jobs.
        recorded: The origin (scheme, host and port) in the ledger or in the resume token.
        configured: The origin of the endpoint's requests now.
        watches: The number of watches in the ledger that this concerns.
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
        """The beginning of the message: one job, or the number of jobs."""
        if self.watches == 1:
            return f"{self.job} was asked about"
        return f"{self.watches} open jobs, such as {self.job}, were asked about"


@attrs.define
class TokenError(ConfigurationError):
    """A text is no resume token that this watcher can use. `reason` says why. Nothing of the text was used."""

    reason: str

    def __str__(self) -> str:
        return (
            f"the resume token cannot be used: {self.reason}. Pass the text that `watch.resume_token` gave, unaltered."
        )
