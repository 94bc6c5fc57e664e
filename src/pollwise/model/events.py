"""The events and outcomes of a watch.

Rule 1: a watch yields any number of `Progressed`, `Retrying` and `Throttled`, then exactly one outcome.
Rule 2: the outcome says how the *job* ended (`Succeeded`, `Failed`, `Cancelled`), or that pollwise stopped polling it
(`Abandoned`). A watch that ends early is never reported as a job that failed.
Rule 3: events are values, so they are still true when they are read late.
"""

from __future__ import annotations

from collections.abc import Hashable
from typing import Generic, TypeAlias, TypeVar

import attrs

from pollwise.errors import JobCancelled, JobFailed, PollError, WatchError
from pollwise.model.reading import Phase

__all__ = ["Abandoned", "Cancelled", "Event", "Failed", "Outcome", "Progressed", "Retrying", "Succeeded", "Throttled"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


@attrs.frozen(kw_only=True)
class Progressed(Generic[J, S]):
    """The status changed and the job is not over.

    Attributes:
        job: The job that is watched.
        status: The vendor's own typed answer.
        phase: QUEUED or RUNNING; a terminal phase here is one that still wants confirmation.
        fraction: Share of the work done, 0..1, or None where the vendor does not say.
        eta_s: Estimated seconds until the job is over, or None while there is nothing to go by.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges so far, good and bad.
    """

    job: J
    status: S
    phase: Phase
    fraction: float | None
    eta_s: float | None
    elapsed_s: float
    polls: int


@attrs.frozen(kw_only=True)
class Retrying(Generic[J]):
    """A poll failed and will be repeated.

    Attributes:
        job: The job that is watched.
        error: What went wrong with this poll.
        failures: Failed polls in a row, this one included (429 does not count).
        delay_s: Seconds until the next poll may be sent.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges so far, good and bad.
    """

    job: J
    error: PollError
    failures: int
    delay_s: float
    elapsed_s: float
    polls: int


@attrs.frozen(kw_only=True)
class Throttled(Generic[J]):
    """The next poll is due, but the token's budget holds it back. Reported once for each holding.

    Attributes:
        job: The job that is watched.
        delay_s: Seconds until the budget can next let a request go; not necessarily this watch's.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges so far, good and bad.
    """

    job: J
    delay_s: float
    elapsed_s: float
    polls: int


@attrs.frozen(kw_only=True)
class Succeeded(Generic[J, S]):
    """The job is over and succeeded.

    Attributes:
        job: The job that was watched.
        status: The vendor's own typed answer.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges, good and bad.
        detected_within_s: Max seconds between the job's end and the reply that showed it: the time since the last reply
            that showed the job running. None if this watch knows of no such reply.
    """

    job: J
    status: S
    elapsed_s: float
    polls: int
    detected_within_s: float | None = None


@attrs.frozen(kw_only=True)
class Failed(Generic[J, S]):
    """The job is over and failed: the vendor said so.

    `error` is what awaiting the watch raises; the others are as in `Succeeded`.
    """

    job: J
    status: S
    error: JobFailed
    elapsed_s: float
    polls: int
    detected_within_s: float | None = None


@attrs.frozen(kw_only=True)
class Cancelled(Generic[J, S]):
    """The job was cancelled on the server's side.

    `error` is what awaiting the watch raises; the others are as in `Succeeded`.
    """

    job: J
    status: S
    error: JobCancelled
    elapsed_s: float
    polls: int
    detected_within_s: float | None = None


@attrs.frozen(kw_only=True)
class Abandoned(Generic[J, S]):
    """We stopped looking; the job may well be running.

    Attributes:
        job: The job that was watched.
        error: Why; awaiting the watch raises it.
        status: The last status that was seen, or None.
        phase: The phase last seen, or None.
        elapsed_s: Seconds since the watch began.
        polls: Status exchanges, good and bad.
    """

    job: J
    error: WatchError
    status: S | None
    phase: Phase | None
    elapsed_s: float
    polls: int


Outcome: TypeAlias = Succeeded[J, S] | Failed[J, S] | Cancelled[J, S] | Abandoned[J, S]
Event: TypeAlias = Progressed[J, S] | Retrying[J] | Throttled[J] | Outcome[J, S]
