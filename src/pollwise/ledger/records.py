"""The arguments and results of a ledger, and its protocol.

Rule 1: this file has values and a protocol only. It opens, writes and waits for nothing.
Rule 2: times are aware datetimes of the wall clock. A ledger has no clock. Times come back in UTC, exact to the
microsecond.
Rule 3: a job is a mapping of key names to texts, and a status is one JSON document in bytes. Only the endpoint knows
what they mean.
"""

from __future__ import annotations

import enum
from collections.abc import AsyncIterator, Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol, Self

import attrs

from pollwise.errors import ConfigurationError
from pollwise.ledger.intents import KeepsIntents
from pollwise.model.reading import Phase

__all__ = [
    "Acknowledgement",
    "Change",
    "Concluded",
    "Conclusion",
    "DamagedRow",
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
    """A copy, because the caller may change its own mapping later."""
    return dict(keys)


@attrs.frozen(kw_only=True)
class NewWatch:
    """A new watch of a job.

    Attributes:
        endpoint: The endpoint's name.
        account: The account of the job, where the endpoint has several; else an empty text.
        keys: The job's keys by name, in any order. Endpoint, account and keys are the identity of the row.
        origin: Scheme, host and port at which the job is asked about, or None if that is unknown.
        first_seen: When the watch began; aware.
        deadline: When the watch ends at the latest; aware. None: never.
        cursor: As in `Change`.
        intent: The number of the intent that started the job, which has its job from then on. None without one.
        outcome: The outcome of a job that was over when its watch began, in the same transaction. Its `id` does not count. A
            job that has a row keeps that row as it is. None for a job that goes on.
    """

    endpoint: str
    account: str = attrs.field(default="", validator=_text)
    origin: str | None = attrs.field(default=None, validator=_text)
    keys: Mapping[str, str] = attrs.field(converter=_own, validator=_texts)
    first_seen: datetime = attrs.field(validator=_aware)
    deadline: datetime | None = attrs.field(validator=_aware)
    cursor: bytes | None = attrs.field(default=None, repr=False)
    intent: int | None = None
    outcome: Conclusion | None = None


@attrs.frozen(kw_only=True)
class Change:
    """The state of an open watch. It is complete, so only the newest one of a watch must be written.

    Attributes:
        id: The watch.
        phase: The phase last seen, or None before the first good reading.
        polls: Polls so far, with or without a reading.
        failures: Polls in a row without a reading.
        status: The last status as one JSON document, or None before the first good reading.
        seen_s: Seconds from the beginning of the watch until a reading last said that the job goes on, or None.
        cursor: Where or how the job is asked about next, as one JSON document, or None for the start. It may hold the
            traceparent of the watch, too.
    """

    id: int
    phase: Phase | None
    polls: int
    failures: int
    status: bytes | None = attrs.field(repr=False)
    seen_s: float | None = None
    cursor: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Conclusion:
    """The outcome of a watch. The first one of a watch stays.

    Attributes:
        id: The watch.
        outcome: The kind of the outcome.
        phase: The phase last seen, or None if there was no reading.
        polls: All polls, with or without a reading.
        failures: Polls in a row without a reading, at the end.
        status: The last status as one JSON document, or None if there was none.
        elapsed_s: Seconds from the watch's beginning to its outcome.
        error_type: The class name of the outcome's error, or None for a success.
        error_message: Its message, which holds no secret, or None for a success. Untrusted text, for people to read.
        error_data: The error as one JSON document, from which it is made again, or None for a success.
        seen_s: Seconds from the beginning of the watch until a reading last said that the job goes on, or None.
        cursor: Where or how the job would be asked about next, as one JSON document, or None for the start.
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
    cursor: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Acknowledgement:
    """The outcome of a watch was processed.

    Attributes:
        id: The watch.
        generation: Of the outcome: how often the watch had been opened again before it.
    """

    id: int
    generation: int


@attrs.frozen(kw_only=True)
class Renewal:
    """An abandoned watch is to be opened again.

    Attributes:
        id: The watch.
        generation: Of its outcome. A watch that was opened again since then stays as it is.
        deadline: Its new deadline; aware. None: never.
        origin: Where the job is asked about from now on. None leaves the origin of the row as it is.
    """

    id: int
    generation: int
    deadline: datetime | None = attrs.field(validator=_aware)
    origin: str | None = None


@attrs.frozen(kw_only=True)
class Relocation:
    """The job of the open watch `id` is asked about at `origin` from now on."""

    id: int
    origin: str


@attrs.frozen(kw_only=True)
class OriginCount:
    """The number of open watches of an endpoint and account whose jobs are asked about at one origin.

    Attributes:
        origin: Scheme, host and port. None for rows of schema version 1, which had no origin.
        watches: The number of watches.
        keys: The job's keys of the first of them.
    """

    origin: str | None
    watches: int
    keys: Mapping[str, str]


@attrs.frozen(kw_only=True)
class OpenWatch:
    """A watch without an outcome: the data of its `NewWatch` and its last `Change`.

    `generation` is how often it was opened again.
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
    seen_s: float | None = None
    account: str = ""
    origin: str | None = None
    generation: int = 0
    cursor: bytes | None = attrs.field(default=None, repr=False)


@attrs.frozen(kw_only=True)
class Concluded:
    """A watch with its outcome: the data of its `NewWatch` and its `Conclusion`, and whether it was acknowledged.

    `generation` is how often it was opened again before this outcome.
    `error_data` is also None where schema version 1 or 2 wrote the outcome, because those kept the message alone.
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
    generation: int = 0
    cursor: bytes | None = attrs.field(default=None, repr=False)

    @property
    def acknowledgement(self) -> Acknowledgement:
        """What acknowledges this outcome, and no later one of the watch."""
        return Acknowledgement(id=self.id, generation=self.generation)

    @property
    def detected_within_s(self) -> float | None:
        """Max seconds between the end of the job and the poll that saw it. None if that is unknown."""
        if self.seen_s is None or self.outcome is OutcomeKind.ABANDONED:
            return None
        return self.elapsed_s - self.seen_s


@attrs.frozen(kw_only=True)
class Recorded:
    """The result for one `NewWatch`.

    Attributes:
        id: The number of the watch: positive, rising in the order of recording, never used twice.
        known: The row that the ledger already had of this job, or None where this call wrote a new row.
    """

    id: int
    known: OpenWatch | Concluded | None


@attrs.frozen(kw_only=True)
class DamagedRow:
    """A row of a ledger that is not as it was written.

    Attributes:
        id: Its number.
        reason: What is wrong.
        endpoint: The endpoint's name, or None if it cannot be read.
        account: The account, or None if it cannot be read.
        keys: The job's keys, or None if they cannot be read.
        certain: Whether endpoint, account and keys are as they were written. Otherwise they may be wrong.
    """

    id: int
    reason: str
    endpoint: str | None = None
    account: str | None = None
    keys: Mapping[str, str] | None = None
    certain: bool = False


class Ledger(KeepsIntents, Protocol):
    """A durable record of watches. Each call takes many items, and is carried out whole or not at all.

    A later change of a list that was passed does not change the call. A call that is cancelled may still be carried out. A
    repeated call changes nothing, except `claim`, which leaves out what it has claimed before.

    A ledger may have an attribute `rest_s`: the least seconds between two states of one watch, for `update`. Another phase or
    cursor comes at once all the same.

    Raises:
        LedgerError: From every call. Nothing of that call was kept.
        ConfigurationError: From the calls that write: a value cannot be kept.
    """

    async def record(self, watches: Sequence[NewWatch], /) -> Sequence[Recorded]:
        """Record new watches, on disk on return. A job that has a row gets no second one, and its row stays as it is."""
        ...

    async def update(self, changes: Sequence[Change], /) -> None:
        """Record the state of open watches, on disk on return. A watch with an outcome stays as it is.

        The call may wait shortly for others, to share their transaction.
        """
        ...

    async def conclude(self, outcomes: Sequence[Conclusion], /) -> int:
        """Record outcomes, on disk on return. They are reported only after that.

        Returns:
            The number of new ones. The first outcome of a watch stays, and a second one is ignored.
        """
        ...

    async def acknowledge(self, outcomes: Sequence[Acknowledgement], /) -> int:
        """Mark outcomes as delivered, on disk on return.

        The outcome of a watch that was opened again since then stays as it is.

        Returns:
            The number of newly marked ones. Of all calls that acknowledge one outcome, exactly one counts it.
        """
        ...

    async def claim(
        self, endpoint: str, account: str = "", /, *, limit: int = 1_000, lease_s: float = 60.0
    ) -> Sequence[Concluded]:
        """Claim outcomes that are not acknowledged, so that no other consumer processes them meanwhile.

        An outcome that another call has claimed is left out until that claim is over. `acknowledge` ends a claim.
        `unacknowledged` does not regard claims.

        Args:
            endpoint: The endpoint's name.
            account: The account.
            limit: How many outcomes at most.
            lease_s: Seconds until they can be claimed again. A consumer that takes longer may process an outcome that
                another consumer processes, too.

        Returns:
            The first ones that are free, in the order recorded. Empty if there are none.

        Raises:
            ConfigurationError: `limit` or `lease_s` cannot be right.
        """
        ...

    async def release_claims(self, outcomes: Sequence[Acknowledgement], /) -> None:
        """End the claims of outcomes that their consumer does not process, so that they can be claimed at once.

        Only the consumer that has claimed them calls this, and before its `lease_s` are over.
        """
        ...

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """Open abandoned watches again, on disk on return. Their outcome is removed, acknowledged or not.

        The number of polls and the first time seen stay. Failures start at zero, and the generation rises by one. A watch
        that is open, of another generation, or has another outcome, stays as it is.

        Returns:
            The number of reopened ones.
        """
        ...

    async def relocate(self, relocations: Sequence[Relocation], /) -> None:
        """Record where the jobs of open watches are asked about from now on, on disk on return.

        A watch with an outcome stays as it is.
        """
        ...

    async def origins(self, endpoint: str, account: str = "", /) -> Sequence[OriginCount]:
        """The origins at which the jobs of the open watches are asked about, and the number of watches at each."""
        ...

    def open_watches(
        self, endpoint: str, account: str = "", /, *, after: int = 0
    ) -> AsyncIterator[Sequence[OpenWatch]]:
        """The watches of this endpoint and account that have no outcome, in the order recorded.

        They come in chunks of about 1,000, of which none is empty.

        Args:
            endpoint: The endpoint's name.
            account: The account.
            after: The number of a watch. Only watches that were recorded after it come.
        """
        ...

    def unacknowledged(self, endpoint: str, account: str = "", /) -> AsyncIterator[Sequence[Concluded]]:
        """The outcomes of this endpoint and account that are not acknowledged, in the order recorded.

        They come in chunks of about 1,000. Each that was there at the first chunk comes once. For later ones another
        call may be needed.
        """
        ...

    async def durations(self, endpoint: str, account: str = "", /, *, newest: int = 1_000) -> Sequence[float]:
        """`elapsed_s` of up to `newest` successes of this endpoint and account, the last recorded first."""
        ...

    def export(self, *, include_open: bool = False) -> AsyncIterator[bytes]:
        """All watches with an outcome, or with `include_open` all watches, as JSON lines in the order recorded.

        Yields:
            Whole lines, many at a time, each one object: `outcome` (null while open), `endpoint`, `account` (left out
            where there is none), `job` (its keys), `phase`, `first_seen`, `deadline` (RFC 3339, or null), `elapsed_s`,
            `detected_within_s` (as in `Succeeded`), `polls`, `failures`, `status`, `error` (`type`,
            `message` and `data`, or null; `data` is what the error is made from, left out where schema version 1 or 2
            wrote the outcome), `acknowledged`, `origin` (left out if it is unknown), `cursor` and `traceparent` (left
            out where there is none).
        """
        ...

    async def aclose(self) -> None:
        """Finish all accepted calls, then close the ledger. A second call does nothing."""
        ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(self, *exc_info: object) -> None: ...
