"""Intents: the jobs that are to be started, as a ledger keeps them.

Rule 1: an intent is on disk before the request that starts its job is sent.
Rule 2: an intent is finished by its job. `Ledger.record` writes the job's row and the end of the intent in one transaction
(`NewWatch.intent`).
Rule 3: a finished intent stays, so that its key starts no second job. It is not forgotten.
Rule 4: an intent has a digest of its order, and no part of the order.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["Intended", "Intent", "KeepsIntents", "NewIntent"]


def _aware(_instance: Any, attribute: attrs.Attribute[Any], value: datetime) -> None:
    if value.utcoffset() is None:
        raise ConfigurationError(
            f"{attribute.name} must be an aware datetime, such as datetime.now(UTC); got {value!r}"
        )


@attrs.frozen(kw_only=True)
class NewIntent:
    """A job that is to be started.

    Attributes:
        endpoint: The endpoint's name.
        account: The account of the job, where the endpoint has several; else an empty text.
        key: The key of the order. Endpoint, account and key are the identity of the intent.
        digest: A digest of the order, as hexadecimal text.
        began: When it was to be started first; aware.
    """

    endpoint: str
    account: str = ""
    key: str
    digest: str
    began: datetime = attrs.field(validator=_aware)


@attrs.frozen(kw_only=True)
class Intent:
    """An intent of a ledger: the data of its `NewIntent`, and the job.

    Attributes:
        id: Its number: positive, rising, never used twice.
        keys: The job's keys by name, once it is recorded. None before: then it is not known whether it was started.
    """

    id: int
    endpoint: str
    account: str
    key: str
    digest: str
    began: datetime
    keys: Mapping[str, str] | None = None


@attrs.frozen(kw_only=True)
class Intended:
    """The result for one `NewIntent`.

    Attributes:
        id: The number of the intent.
        known: The intent that the ledger already had with this key, or None where this call wrote a new one.
    """

    id: int
    known: Intent | None


class KeepsIntents(Protocol):
    """What a ledger has for the starts of jobs. `Ledger` has the rules of its calls."""

    async def intend_submits(self, intents: Sequence[NewIntent], /) -> Sequence[Intended]:
        """Record that these jobs are to be started, on disk on return. A key that is known stays as it is."""
        ...

    async def unfinished_submits(self, endpoint: str | None = None, account: str | None = None, /) -> Sequence[Intent]:
        """The intents without a job, in the order recorded. None for every endpoint or account."""
        ...

    async def forget_submits(self, ids: Sequence[int], /) -> int:
        """Remove these intents, on disk on return. One that has a job stays.

        Returns:
            The number of removed ones.
        """
        ...
