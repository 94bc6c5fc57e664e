"""What a process asks of the owner of a shard: to cancel a job, or to go on with a watch that was opened again.

Rule 1: a request is a row, so it outlives both processes. Its owner removes it when it was carried out.
Rule 2: a request is one statement, which notifies the owner as new watches do (`Arrivals`). A notification can be lost, so the owner
reads the requests of its shards from time to time anyway.
Rule 3: a second request of the same kind for one watch, while the first waits, is the first one.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import attrs
import orjson

from pollwise.ledger.postgres.columns import COLUMNS, identity_of, plain_text, watch_of
from pollwise.ledger.postgres.sql import REOPENED
from pollwise.ledger.records import Concluded, OpenWatch, Renewal
from pollwise.ledger.rows import UnsoundRow, key_text, microseconds
from pollwise.ledger.shards import Shard

if TYPE_CHECKING:
    from pollwise.ledger.postgres.connections import Connections

__all__ = ["OwnerRequest", "RequestKind", "Requests"]


class RequestKind(enum.Enum):
    """What the owner is asked to do."""

    CANCEL = "cancel"
    WATCH = "watch"


@attrs.frozen(kw_only=True)
class OwnerRequest:
    """One request.

    Attributes:
        id: Its number.
        kind: What is asked.
        watch: The number of the watch.
        keys: The keys of its job.
        is_open: Whether the watch is open.
    """

    id: int
    kind: RequestKind
    watch: int
    keys: Mapping[str, str]
    is_open: bool


class Requests:
    """The requests in one database.

    Args:
        connections: Its connections.
    """

    # S608 below: the statements are made of constants and a checked name.
    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._schema = f'"{connections.schema}"'

    async def find(self, wanted: Iterable[tuple[Shard, Mapping[str, str]]]) -> Sequence[OpenWatch | Concluded | None]:
        """The watches of these jobs, in the order of the jobs. None for a job that has none, or whose row is damaged."""
        identities = [_identity(shard, keys) for shard, keys in wanted]
        known = ", ".join(f"w.{name}" for name in COLUMNS.split(", "))
        rows = await self._connections.fetch(
            f"SELECT w.identity, {known} FROM {self._schema}.watches w WHERE w.identity = ANY($1::bytea[])",  # noqa: S608
            identities,
            rows=len(identities),
        )
        found: dict[bytes, OpenWatch | Concluded] = {}
        for identity, *row in rows:
            try:
                found[identity] = watch_of(row)
            except UnsoundRow:
                continue
        return [found.get(identity) for identity in identities]

    async def cancel(self, shard: Shard, keys: Mapping[str, str], /) -> bool | None:
        """Ask the owner to cancel this job. False if its watch has an outcome, None if the job has no watch."""
        rows = await self._connections.fetch(
            f"WITH w AS MATERIALIZED (SELECT id, endpoint, account, outcome IS NULL AS is_open FROM {self._schema}.watches"  # noqa: S608
            f" WHERE identity = $1), asked AS (INSERT INTO {self._schema}.requests (endpoint, account, watch, kind)"
            " SELECT endpoint, account, id, $2 FROM w WHERE is_open ON CONFLICT DO NOTHING),"
            f" told AS MATERIALIZED (SELECT count(pg_notify('{self._connections.schema}',"
            " json_build_array(endpoint, account)::text)) AS shards FROM w WHERE is_open)"
            " SELECT w.is_open, told.shards FROM w CROSS JOIN told",
            _identity(shard, keys),
            RequestKind.CANCEL.value,
        )
        return bool(rows[0]["is_open"]) if rows else None

    async def reopen(self, renewals: Sequence[Renewal], /) -> int:
        """As `Ledger.reopen`, and ask the owners to go on with these watches."""
        if not renewals:
            return 0
        rows = await self._connections.fetch(
            f"WITH done AS (UPDATE {self._schema}.watches w SET {REOPENED} FROM"  # noqa: S608
            " unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::text[]) AS c(id, generation, deadline_us, origin)"
            " WHERE w.id = c.id AND w.generation = c.generation AND w.outcome = 'abandoned'"
            " RETURNING w.id, w.endpoint, w.account),"
            f" asked AS (INSERT INTO {self._schema}.requests (endpoint, account, watch, kind)"
            " SELECT endpoint, account, id, $5 FROM done ON CONFLICT DO NOTHING),"
            f" told AS MATERIALIZED (SELECT count(pg_notify('{self._connections.schema}',"
            " json_build_array(endpoint, account)::text)) AS shards FROM (SELECT DISTINCT endpoint, account FROM done) d)"
            " SELECT (SELECT count(*) FROM done) AS opened, told.shards FROM told",
            [one.id for one in renewals],
            [one.generation for one in renewals],
            [microseconds(one.deadline) for one in renewals],
            [plain_text(one.origin, "origin") for one in renewals],
            RequestKind.WATCH.value,
            rows=len(renewals),
        )
        return int(rows[0]["opened"])

    async def of(self, shard: Shard, /, *, limit: int = 1_000) -> Sequence[OwnerRequest]:
        """The requests of this shard, in their order."""
        rows = await self._connections.fetch(
            "SELECT r.id, r.kind, r.watch, w.job, w.outcome IS NULL AS is_open"  # noqa: S608
            f" FROM {self._schema}.requests r JOIN {self._schema}.watches w ON w.id = r.watch"
            " WHERE r.endpoint = $1 AND r.account = $2 ORDER BY r.id LIMIT $3",
            shard.endpoint,
            shard.account,
            limit,
        )
        return [
            OwnerRequest(id=number, kind=RequestKind(kind), watch=watch, keys=orjson.loads(job), is_open=is_open)
            for number, kind, watch, job, is_open in rows
        ]

    async def remove(self, ids: Sequence[int], /) -> None:
        """These requests were carried out."""
        await self._connections.fetch(
            f"DELETE FROM {self._schema}.requests WHERE id = ANY($1::bigint[])",  # noqa: S608
            list(ids),
            rows=len(ids),
        )


def _identity(shard: Shard, keys: Mapping[str, str]) -> bytes:
    return identity_of(shard.endpoint, shard.account, key_text(keys))
