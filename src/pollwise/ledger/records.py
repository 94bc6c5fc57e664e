"""What crosses into a ledger and out of it, and what a ledger promises.

Rule 1: everything here is a value or a promise; nothing here opens, writes or waits.
Rule 2: times are wall-clock, aware, and handed in: a ledger has no clock of its own. They come back in UTC,
exact to the microsecond.
Rule 3: a job is its keys, text by text; a status is one JSON document in bytes. What they mean is the endpoint's.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self

import attrs

from pollwise.errors import ConfigurationError
from pollwise.model.reading import Phase

__all__ = [
    "Change",
    "Concluded",
    "Conclusion",
    "Ledger",
    "NewWatch",
    "OpenWatch",
    "OriginCount",
    "OutcomeKind",
    "Recorded",
    "Relocation",
    "Renewal",
]


class OutcomeKind(enum.Enum):
    """How a watch ended, in the words of the outcome events."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    ABANDONED = "abandoned"


def _aware(_instance: Any, attribute: attrs.Attribute[Any], value: datetime | None) -> None:
    if value is not None and value.utcoffset() is None:
        raise ConfigurationError(
            f"{attribute.name} must be an aware datetime, such as datetime.now(UTC); got {value!r}"
        )


def _texts(_instance: Any, attribute: attrs.Attribute[Any], value: dict[Any, Any]) -> None:
    for key, text in value.items():
        if not (isinstance(key, str) and isinstance(text, str)):
            raise ConfigurationError(f"{attribute.name} must map text to text; got {key!r}: {text!r}")


def _text(_instance: Any, attribute: attrs.Attribute[Any], value: object) -> None:
    if not (isinstance(value, str) or value is attribute.default):
        raise ConfigurationError(f"{attribute.name} must be a text; got {value!r}")


def _own(keys: Mapping[str, str]) -> dict[str, str]:
    """A copy: what the caller does with its own is its own affair."""
    return dict(keys)


@attrs.frozen(kw_only=True)
class NewWatch:
    """A job that is to be watched.

    Attributes:
        endpoint: The endpoint's name.
        account: Whose jobs these are, where the endpoint has several accounts; else an empty text.
        keys: The job's keys by name. With endpoint and account they are the job's identity, in whatever order they come.
        origin: Scheme, host and port at which the job is asked about, or None where that is not known.
        first_seen: When the watch began; aware.
        deadline: When to stop looking; aware. None: never.
    """

    endpoint: str
    account: str = attrs.field(default="", validator=_text)
    origin: str | None = attrs.field(default=None, validator=_text)
    keys: Mapping[str, str] = attrs.field(converter=_own, validator=_texts)
    first_seen: datetime = attrs.field(validator=_aware)
    deadline: datetime | None = attrs.field(validator=_aware)


@attrs.frozen(kw_only=True)
class Change:
    """How far an open watch has got: the whole of it, so that only the newest need be written.

    Attributes:
        id: The watch.
        phase: The phase last seen, or None before the first good reading.
        polls: Status exchanges so far, good and bad.
        failures: Polls in a row that taught nothing.
        status: The last status as one JSON document, or None before the first good reading.
        seen_s: Seconds from the watch's beginning until the job was last seen going on, or None if it never was.
    """

    id: int
    phase: Phase | None
    polls: int
    failures: int
    status: bytes | None = attrs.field(repr=False)
    seen_s: float | None = None


@attrs.frozen(kw_only=True)
class Conclusion:
    """How a watch ended. The first one of a watch counts.

    Attributes:
        id: The watch.
        outcome: What the outcome says.
        phase: The phase last seen, or None if there never was a good reading.
        polls: Status exchanges in all, good and bad.
        failures: Polls in a row that taught nothing, at the end.
        status: The last status as one JSON document, or None if there never was one.
        elapsed_s: Seconds from the watch's beginning to its outcome.
        error_type: The class name of the outcome's error, or None for a success.
        error_message: Its message, which holds no secret, or None for a success. Untrusted text, for people to read.
        error_data: The error as one JSON document, from which it is made again, or None for a success.
        seen_s: Seconds from the watch's beginning until the job was last seen going on, or None if it never was.
    """

    id: int
    outcome: OutcomeKind
    phase: Phase | None
    polls: int
    failures: int = 0
    status: bytes | None = attrs.field(repr=False)
    elapsed_s: float
    error_type: str | None = None
    error_message: str | None = None
    error_data: bytes | None = attrs.field(default=None, repr=False)
    seen_s: float | None = None


@attrs.frozen(kw_only=True)
class Renewal:
    """That an abandoned watch is wanted again.

    Attributes:
        id: The watch.
        deadline: Its new deadline; aware. None: never.
        origin: Where it is asked about from now on; None leaves that as it is.
    """

    id: int
    deadline: datetime | None = attrs.field(validator=_aware)
    origin: str | None = None


@attrs.frozen(kw_only=True)
class Relocation:
    """That an open watch, which `id` names, is asked about at `origin` from now on."""

    id: int
    origin: str


@attrs.frozen(kw_only=True)
class OriginCount:
    """How many open watches of an endpoint and account were asked about at one origin.

    Attributes:
        origin: Scheme, host and port; None for those of a release that did not write it down.
        watches: How many they are.
        keys: The job's keys of the first of them.
    """

    origin: str | None
    watches: int
    keys: Mapping[str, str]


@attrs.frozen(kw_only=True)
class OpenWatch:
    """A watch without an outcome, as the ledger knows it: what `NewWatch` and the last `Change` said."""

    id: int
    endpoint: str
    keys: Mapping[str, str]
    first_seen: datetime
    deadline: datetime | None
    phase: Phase | None
    polls: int
    failures: int
    status: bytes | None = attrs.field(repr=False)
    seen_s: float | None = None
    account: str = ""
    origin: str | None = None


@attrs.frozen(kw_only=True)
class Concluded:
    """A watch with its outcome: what `NewWatch` and the `Conclusion` said, and whether it was acknowledged.

    `error_data` is None, too, where schema version 1 or 2 wrote the outcome: those kept the message alone.
    """

    id: int
    endpoint: str
    keys: Mapping[str, str]
    first_seen: datetime
    deadline: datetime | None
    phase: Phase | None
    polls: int
    failures: int
    status: bytes | None = attrs.field(repr=False)
    outcome: OutcomeKind
    elapsed_s: float
    error_type: str | None
    error_message: str | None
    error_data: bytes | None = attrs.field(default=None, repr=False)
    acknowledged: bool
    seen_s: float | None = None
    account: str = ""
    origin: str | None = None

    @property
    def detected_within_s(self) -> float | None:
        """The job ended at most so many seconds before its end was seen; None where nobody knows."""
        if self.seen_s is None or self.outcome is OutcomeKind.ABANDONED:
            return None
        return self.elapsed_s - self.seen_s


@attrs.frozen(kw_only=True)
class Recorded:
    """The answer to one `NewWatch`.

    Attributes:
        id: The watch's number: positive, rising in the order of recording, never used twice.
        known: What the ledger already knew of this job, or None where this call wrote its row.
    """

    id: int
    known: OpenWatch | Concluded | None


class Ledger(Protocol):
    """A durable record of watches. All calls are batch-wise, and each is kept whole or not at all.

    A call that is cancelled may still be carried out. Every call can be repeated without harm.

    Raises:
        LedgerError: From every call; nothing of that call was kept.
        ConfigurationError: From the calls that write: a value cannot be kept as it is.
    """

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        """Write down new watches; on disk on return. A job that is known gets no second row and is left as it is."""
        ...

    async def update(self, changes: Sequence[Change], /) -> None:
        """Write down how far open watches have got. What has an outcome is left as it is.

        On disk on return, but in no hurry: it may wait a moment for others, to share their transaction.
        """
        ...

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """Write down outcomes, before anybody is told of them; on disk on return.

        Returns:
            How many were new: the first outcome of a watch stays, a second one is ignored.
        """
        ...

    async def acknowledge(self, ids: Sequence[int], /) -> int:
        """Mark outcomes as having reached who wanted them; on disk on return.

        Returns:
            How many were newly marked: of all who ever acknowledge one outcome, exactly one is told so.
        """
        ...

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """Take up abandoned watches again; on disk on return. Their outcome, acknowledged or not, is forgotten.

        Polls and the first time seen go on, failures start at zero. What is open or ended otherwise is left as it is.

        Returns:
            How many were reopened.
        """
        ...

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        """Write down where open watches are asked about from now on; on disk on return.

        What has an outcome is left as it is.
        """
        ...

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        """At which origins the open watches of this endpoint and account were asked about, and how many at each."""
        ...

    def open_watches(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[OpenWatch]]:
        """The watches of this endpoint and account that have no outcome, in the order recorded.

        They come in chunks of about 1,000.
        """
        ...

    def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        """The outcomes of this endpoint and account that are not acknowledged, in the order recorded.

        They come in chunks of about 1,000.

        Each that was there at the first chunk comes once; those that come later may need another call.
        """
        ...

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        """`elapsed_s` of up to `newest` successes of this endpoint and account, the most recently recorded first."""
        ...

    def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        """All watches with an outcome, or simply all, as JSON lines in the order recorded.

        Yields:
            Whole lines, many at a time, each one object: `outcome` (null while open), `endpoint`, `account` (left out
            where there is none), `job` (its keys), `phase`, `first_seen`, `deadline` (RFC 3339, or null), `elapsed_s`,
            `detected_within_s` (as in `Succeeded`), `polls`, `failures`, `status`, `error` (`type` and `message`, or
            null), `acknowledged`, `origin` (left out where it is not known).
        """
        ...

    async def aclose(self) -> None:
        """Finish all that was accepted, then let go of the file. Again: nothing."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...
