"""The statements of a ledger in PostgreSQL.

Rule 1: each call that writes is one statement, hence one transaction. A process that is frozen between two statements of a
transaction would keep the locks of its rows.
Rule 2: a fenced statement looks at the epoch of its shard and writes, or does neither. `FOR SHARE` makes a takeover wait until
the statement is over, and a statement that waited for a takeover sees the new epoch.
Rule 3: the numbers of the watches of one shard become visible in their order, because recording takes the shard's advisory
lock before it takes numbers. Otherwise a reader of `id > after` could miss a row that is committed late.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from pollwise.ledger.postgres.columns import COLUMNS

__all__ = ["REOPENED", "Fence", "Statements", "statements_of"]

_STATE = (
    ("phase", "text"),
    ("polls", "bigint"),
    ("failures", "bigint"),
    ("status", "bytea"),
    ("seen_s", "double precision"),
)
_OUTCOME = (
    ("outcome", "text"),
    ("elapsed_s", "double precision"),
    ("error_type", "text"),
    ("error_message", "text"),
    ("error_data", "bytea"),
)
_CURSOR = (("cursor", "bytea"),)
_JOB = (
    ("identity", "bytea"),
    ("endpoint", "text"),
    ("account", "text"),
    ("job", "text"),
    ("origin", "text"),
    ("first_seen_us", "bigint"),
    ("deadline_us", "bigint"),
)
_INTENT = (
    ("identity", "bytea"),
    ("endpoint", "text"),
    ("account", "text"),
    ("submit_key", "text"),
    ("digest", "text"),
    ("began_us", "bigint"),
)
_ID = (("id", "bigint"),)
_GENERATION = (("id", "bigint"), ("generation", "bigint"))
_WATCH = (*_JOB, *_STATE, *_OUTCOME, *_CURSOR)
REOPENED = (
    "deadline_us = c.deadline_us, origin = coalesce(c.origin, w.origin), generation = w.generation + 1,"
    " failures = 0, outcome = NULL, elapsed_s = NULL, error_type = NULL, error_message = NULL,"
    " error_data = NULL, acknowledged = false, claimed_until = NULL"
)
"""What opening the watch `w` again sets, from the values `c`."""

Named = Sequence[tuple[str, str]]


@attrs.frozen
class Fence:
    """The right to write the watches of one shard: that of its owner in this epoch."""

    endpoint: str
    account: str
    epoch: int

    @property
    def values(self) -> tuple[str, str, int]:
        """The first parameters of a fenced statement."""
        return (self.endpoint, self.account, self.epoch)


@attrs.frozen(kw_only=True)
class Statements:
    """The statements for one schema. Those that write return the column `held`, and are fenced or not.

    The first parameters of a fenced statement are `Fence.values`. Then come one array for each column.
    """

    record: str
    update: str
    conclude: str
    acknowledge: str
    reopen: str
    relocate: str
    claim: str
    release: str
    intend: str
    forget: str
    open: str
    unacknowledged: str
    count_unacknowledged: str
    durations: str
    origins: str
    export: str
    unfinished: str
    probe_reading: str
    probe_writing: str


def statements_of(schema: str, *, fenced: bool) -> Statements:
    """The statements for this schema, whose name needs no escapes."""
    return _Writing(f'"{schema}"', schema, fenced=fenced).all()


class _Writing:
    """Builds statements. S608 below: their parts are constants, and a checked name."""

    def __init__(self, schema: str, channel: str, *, fenced: bool) -> None:
        self._watches, self._submits, self._shards = f"{schema}.watches", f"{schema}.submits", f"{schema}.shards"
        self._channel = channel
        self._fenced = fenced
        self._first = 4 if fenced else 1  # the number of the first parameter that is not of the fence
        self._fence = (
            f"fence AS MATERIALIZED (SELECT FROM {self._shards} WHERE endpoint = $1 AND account = $2"
            " AND epoch = $3 AND owner IS NOT NULL FOR SHARE)"
            if fenced
            else "fence AS MATERIALIZED (SELECT)"
        )
        self._of_shard = " AND w.endpoint = $1 AND w.account = $2" if fenced else ""

    def all(self) -> Statements:
        known = ", ".join(f"w.{name}" for name in COLUMNS.split(", "))
        ours = "w.endpoint = $1 AND w.account = $2"
        following = "w.id > $3 ORDER BY w.id LIMIT $4"
        unacknowledged = "w.outcome IS NOT NULL AND NOT w.acknowledged"
        watches = f"{self._watches} w"
        names, intent = (", ".join(name for name, _ in columns) for columns in (_WATCH, _INTENT))
        return Statements(
            record=self._record(known),
            update=self._change((*_ID, *_STATE, *_CURSOR), "w.outcome IS NULL"),
            conclude=self._change((*_ID, *_STATE, *_OUTCOME, *_CURSOR), "w.outcome IS NULL"),
            acknowledge=self._change(
                _GENERATION,
                f"w.generation = c.generation AND {unacknowledged}",
                "acknowledged = true, claimed_until = NULL",
            ),
            reopen=self._change(
                (*_GENERATION, ("deadline_us", "bigint"), ("origin", "text")),
                "w.generation = c.generation AND w.outcome = 'abandoned'",
                REOPENED,
            ),
            relocate=self._change((*_ID, ("origin", "text")), "w.outcome IS NULL", "origin = c.origin"),
            claim=self._claim(known, unacknowledged),
            release=self._change(
                _GENERATION, f"w.generation = c.generation AND {unacknowledged}", "claimed_until = NULL"
            ),
            intend=self._intend(),
            forget=self._forget(),
            open=f"SELECT {known} FROM {watches} WHERE {ours} AND w.outcome IS NULL AND {following}",  # noqa: S608
            unacknowledged=f"SELECT {known} FROM {watches} WHERE {ours} AND {unacknowledged} AND {following}",  # noqa: S608
            count_unacknowledged=f"SELECT count(*) FROM {watches} WHERE {ours} AND {unacknowledged}",  # noqa: S608
            durations=(
                f"SELECT w.elapsed_s FROM {watches} WHERE {ours} AND w.outcome = 'succeeded'"  # noqa: S608
                " ORDER BY w.id DESC LIMIT $3"
            ),
            origins=(
                "SELECT o.origin, o.watches, f.job FROM (SELECT w.origin, count(*) AS watches, min(w.id) AS first"  # noqa: S608
                f" FROM {watches} WHERE {ours} AND w.outcome IS NULL GROUP BY w.origin) o"
                f" JOIN {self._watches} f ON f.id = o.first ORDER BY o.first"
            ),
            export=(
                f"SELECT {known} FROM {watches} WHERE w.id > $1 AND (w.outcome IS NOT NULL OR $2)"  # noqa: S608
                " ORDER BY w.id LIMIT $3"
            ),
            unfinished=(
                "SELECT s.id, s.endpoint, s.account, s.submit_key, s.digest, s.began_us, NULL::text AS job"  # noqa: S608
                f" FROM {self._submits} s WHERE s.watch IS NULL AND s.endpoint = coalesce($1, s.endpoint)"
                " AND s.account = coalesce($2, s.account) ORDER BY s.id"
            ),
            probe_reading=f"SELECT FROM {self._watches}, {self._submits} LIMIT 0",
            probe_writing=(
                f"UPDATE {self._watches} SET polls = polls WHERE false; UPDATE {self._submits} SET watch = watch WHERE false;"  # noqa: S608
                f" DELETE FROM {self._submits} WHERE false; UPDATE {self._shards} SET epoch = epoch WHERE false;"
                f" INSERT INTO {self._watches} ({names}) SELECT {names} FROM {self._watches} WHERE false;"
                f" INSERT INTO {self._submits} ({intent}, call) SELECT {intent}, call FROM {self._submits} WHERE false;"
                f" INSERT INTO {self._shards} (endpoint, account) SELECT endpoint, account FROM {self._shards} WHERE false"
            ),
        )

    def _given(self, columns: Named, alias: str, first: int, *, numbered: bool = False) -> str:
        """The parameters from `first` on as rows of a table."""
        arrays = ", ".join(f"${number}::{kind}[]" for number, (_, kind) in enumerate(columns, first))
        names = ", ".join(name for name, _ in columns)
        if numbered:
            return f"unnest({arrays}) WITH ORDINALITY AS {alias}({names}, n)"
        return f"unnest({arrays}) AS {alias}({names})"

    def _change(self, columns: Named, where: str, change: str = "") -> str:
        """A statement that changes the rows of these numbers. It returns the first two columns of each changed row."""
        change = change or ", ".join(f"{name} = c.{name}" for name, _ in columns[1:])
        key = "c.id, c.generation" if columns[1][0] == "generation" else "c.id, 0::bigint AS generation"
        return (
            f"WITH {self._fence}, done AS (UPDATE {self._watches} w SET {change}"  # noqa: S608
            f" FROM fence, {self._given(columns, 'c', self._first)}"
            f" WHERE w.id = c.id AND {where}{self._of_shard} RETURNING {key})"
            " SELECT f.held, d.id, d.generation FROM (SELECT count(*) > 0 AS held FROM fence) f LEFT JOIN done d ON true"
        )

    def _record(self, known: str) -> str:
        after = self._first + len(_WATCH)
        names = ", ".join(name for name, _ in _WATCH)
        nothing = ", ".join("NULL" for _ in COLUMNS.split(", ")[1:])
        return (
            f"WITH {self._fence},"  # noqa: S608
            f" locked AS MATERIALIZED (SELECT count(pg_advisory_xact_lock(k)) AS taken FROM unnest(${after}::bigint[]) k),"
            f" given AS MATERIALIZED (SELECT * FROM {self._given(_WATCH, 'g', self._first, numbered=True)}),"
            f" added AS (INSERT INTO {self._watches} ({names}) SELECT {', '.join(f'g.{name}' for name, _ in _WATCH)}"
            f" FROM fence, locked, given g WHERE locked.taken >= 0 AND NOT EXISTS (SELECT FROM {self._watches} w"
            " WHERE w.identity = g.identity) ORDER BY g.n ON CONFLICT (identity) DO NOTHING"
            " RETURNING id, identity, endpoint, account),"
            f" known AS (SELECT w.identity, {known} FROM {self._watches} w WHERE w.identity = ANY(${self._first}::bytea[])),"
            f" finished AS (UPDATE {self._submits} s SET watch = r.id FROM fence, (SELECT id, identity FROM added UNION ALL"
            f" SELECT id, identity FROM known) r, unnest(${after + 1}::bigint[], ${after + 2}::bytea[]) AS i(id, identity)"
            " WHERE i.identity = r.identity AND s.id = i.id AND s.watch IS NULL),"
            f" shard AS (INSERT INTO {self._shards} (endpoint, account) SELECT DISTINCT endpoint, account FROM added a"
            f" WHERE NOT EXISTS (SELECT FROM {self._shards} s WHERE s.endpoint = a.endpoint AND s.account = a.account)"
            " ON CONFLICT DO NOTHING),"
            f" notified AS MATERIALIZED (SELECT count(pg_notify('{self._channel}', json_build_array(endpoint, account)::text))"
            f" AS shards FROM (SELECT DISTINCT endpoint, account FROM added) a WHERE ${after + 3}::boolean)"
            " SELECT f.held, t.shards, r.* FROM (SELECT count(*) > 0 AS held FROM fence) f CROSS JOIN notified t LEFT JOIN"
            f" (SELECT true AS is_new, identity, id, {nothing} FROM added"
            " UNION ALL SELECT false, known.* FROM known) r ON true"
        )

    def _claim(self, known: str, unacknowledged: str) -> str:
        endpoint, account, limit, lease = (f"${self._first + n}" for n in range(4))
        return (
            f"WITH {self._fence}, free AS MATERIALIZED (SELECT w.id FROM {self._watches} w"  # noqa: S608
            f" WHERE w.endpoint = {endpoint} AND w.account = {account} AND {unacknowledged}"
            " AND (w.claimed_until IS NULL OR w.claimed_until <= clock_timestamp())"
            f" ORDER BY w.id LIMIT {limit} FOR UPDATE SKIP LOCKED),"
            f" done AS (UPDATE {self._watches} w SET claimed_until = clock_timestamp() + make_interval(secs => {lease})"
            f" FROM fence, free WHERE w.id = free.id RETURNING {known})"
            " SELECT f.held, d.* FROM (SELECT count(*) > 0 AS held FROM fence) f LEFT JOIN done d ON true ORDER BY d.id"
        )

    def _intend(self) -> str:
        call = self._first + len(_INTENT)
        names = ", ".join(name for name, _ in _INTENT)
        return (
            f"WITH {self._fence},"  # noqa: S608
            f" given AS MATERIALIZED (SELECT * FROM {self._given(_INTENT, 'g', self._first, numbered=True)}),"
            f" added AS (INSERT INTO {self._submits} ({names}, call)"
            f" SELECT {', '.join(f'g.{name}' for name, _ in _INTENT)}, ${call}::bytea"
            f" FROM fence, given g WHERE NOT EXISTS (SELECT FROM {self._submits} s WHERE s.identity = g.identity)"
            " ORDER BY g.n ON CONFLICT (identity) DO NOTHING RETURNING id, identity)"
            " SELECT f.held, r.* FROM (SELECT count(*) > 0 AS held FROM fence) f LEFT JOIN"
            " (SELECT true AS is_new, identity, id, NULL AS endpoint, NULL AS account, NULL AS submit_key, NULL AS digest,"
            " NULL::bigint AS began_us, NULL AS job FROM added"
            f" UNION ALL SELECT s.call = ${call}::bytea AND s.watch IS NULL, s.identity, s.id, s.endpoint, s.account,"
            f" s.submit_key, s.digest, s.began_us, w.job FROM {self._submits} s LEFT JOIN {self._watches} w ON w.id = s.watch"
            f" WHERE s.identity = ANY(${self._first}::bytea[])) r ON true"
        )

    def _forget(self) -> str:
        return (
            f"WITH {self._fence}, done AS (DELETE FROM {self._submits} w USING fence"  # noqa: S608
            f" WHERE w.id = ANY(${self._first}::bigint[]) AND w.watch IS NULL{self._of_shard} RETURNING w.id)"
            " SELECT f.held, d.id FROM (SELECT count(*) > 0 AS held FROM fence) f LEFT JOIN done d ON true"
        )
