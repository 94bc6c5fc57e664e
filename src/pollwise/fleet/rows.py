"""The jobs of a client as rows, and the rows of the workers as outcomes.

Rule: the row of a job has the account of its part, where the shard is split.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from typing import Generic, TypeVar

import attrs

from pollwise.core.identity import Origins, checked_account
from pollwise.durable.codec import (
    check_codec,
    deadline_of,
    job_of,
    new_watch,
    outcome_of,
    unreadable_outcome,
    utc_datetime,
)
from pollwise.fleet.splitting import part_of, shards_of
from pollwise.ledger import Concluded, NewWatch, Renewal, Shard
from pollwise.model.abilities import with_defaults
from pollwise.model.events import Outcome
from pollwise.model.protocols import EndpointLike

__all__ = ["ClientRows"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class ClientRows(Generic[J, S]):
    """Translates for one endpoint and account.

    Args:
        endpoint: The endpoint. Its credentials are not used.
        split: In how many parts the shard is split.

    Attributes:
        endpoint: With all that an endpoint can have.
        shards: The parts of the shard, or the shard.

    Raises:
        ConfigurationError: An argument cannot be right, or the endpoint's jobs cannot be kept.
    """

    def __init__(self, endpoint: EndpointLike[J, S], split: int) -> None:
        self.endpoint = with_defaults(endpoint)
        check_codec(self.endpoint)
        checked_account(self.endpoint.account, self.endpoint.auth)
        self.shards = shards_of(Shard(self.endpoint.name, self.endpoint.account), split)
        self._origins: Origins[J] = Origins(self.endpoint)

    def place(self, job: J) -> tuple[Shard, Mapping[str, str]]:
        """The shard of this job, and its keys. Raises ConfigurationError if the keys cannot be kept."""
        keys = self.endpoint.codec.job_to_keys(job)
        return self._shard(keys), keys

    def _shard(self, keys: Mapping[str, str]) -> Shard:
        return self.shards[0] if len(self.shards) == 1 else self.shards[part_of(keys, len(self.shards))]

    def new(self, job: J, now_s: float, timeout_s: float | None) -> NewWatch:
        """The row of a job that is submitted now, in epoch seconds. Raises ConfigurationError as `place` does."""
        row = new_watch(self.endpoint, job, first_seen_s=now_s, timeout_s=timeout_s, origin=self._origins.of(job))
        return attrs.evolve(row, account=self._shard(row.keys).account)

    def renewal(self, job: J, known: Concluded, now_s: float, timeout_s: float | None) -> Renewal:
        """What opens the abandoned watch of this job again."""
        deadline = deadline_of(utc_datetime(now_s), timeout_s)
        return Renewal(id=known.id, generation=known.generation, deadline=deadline, origin=self._origins.of(job))

    def outcome(self, known: Concluded, job: J | None = None) -> Outcome[J, S] | None:
        """The outcome of a row. None for a row that is not of this endpoint."""
        job = job_of(known, self.endpoint) if job is None else job
        if job is None:
            return None
        try:
            return outcome_of(known, job, self.endpoint)
        except Exception as exc:  # noqa: BLE001  # the endpoint's code
            return unreadable_outcome(known, job, exc)
