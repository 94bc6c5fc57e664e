"""What a caller can be told of the watches of a `JobWatcher`: `JobWatcher(observer=...)`.

Rule 1: few and coarse calls. A method that an observer does not define costs nothing.
Rule 2: the calls come between two steps of the event loop, so they must be quick, and never block.
Rule 3: what an observer raises is logged once for each method, and harms no watch.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Any, Protocol

import attrs

from pollwise.model.events import Outcome

__all__ = ["Observer", "RequestEnd", "WatchEnd", "WatchStart"]


@attrs.frozen(kw_only=True)
class WatchStart:
    """A watch began, or goes on from an earlier one.

    Attributes:
        endpoint: The endpoint's name.
        account: The account, or an empty text.
        job: The job.
        resumed: Whether it goes on from a row of the ledger or a resume token.
        traceparent: What was kept with the earlier watch, or None.
    """

    endpoint: str
    account: str
    job: Hashable
    resumed: bool = False
    traceparent: str | None = None


@attrs.frozen(kw_only=True)
class WatchEnd:
    """A watch came to its outcome.

    Attributes:
        endpoint: The endpoint's name.
        account: The account, or an empty text.
        outcome: The outcome, with the job and the duration.
        ended_at: When, in epoch seconds. The watch began `outcome.elapsed_s` before, perhaps in another process.
        goes_on: Whether the watch is open in a ledger, so that another process can go on with it. Then this is the end of
            the watcher, and not of the watch.
        traceparent: What was kept with the watch, or None.
    """

    endpoint: str
    account: str
    outcome: Outcome[Any, Any]
    ended_at: float
    goes_on: bool
    traceparent: str | None


@attrs.frozen(kw_only=True)
class RequestEnd:
    """A request about a job is over.

    Attributes:
        endpoint: The endpoint's name.
        account: The account, or an empty text.
        job: The job.
        polls: Status exchanges of its watch so far, this one included.
        method: The HTTP method, or None if the request could not be made.
        url: The URL without user name, query and secrets, or None as with `method`.
        http_status: The status code, or None if there was no reply.
        duration_s: Seconds from the moment at which it could go until the event loop had its reply.
        error: Why it brought no reading, or None if it brought one.
    """

    endpoint: str
    account: str
    job: Hashable
    polls: int
    method: str | None
    url: str | None
    http_status: int | None
    duration_s: float
    error: BaseException | None


class Observer(Protocol):
    """What can be told of a watcher's work. Derive from it, and define the methods that you need."""

    def on_start(self, watch: WatchStart, /) -> str | None:  # noqa: ARG002
        """A watch began. Called in the context of the code that began it.

        Returns:
            A W3C `traceparent` to be kept with the watch, in ledger and resume token, or None. A resumed watch keeps the
            one that it has.
        """
        return None

    def on_outcome(self, watch: WatchEnd, /) -> None:
        """A watch came to its outcome, which is about to be reported to its readers."""

    def on_request(self, request: RequestEnd, /) -> None:
        """A request is over. Defining it costs some microseconds for each request."""
