"""The ledger in a PostgreSQL database, for several processes. It needs `pip install 'pollwise[postgres]'`.

    ledger.py       `PostgresLedger`, and `FencedLedger` for the owner of one shard
    calls.py        the calls of both
    kinds.py        the calls that write: their rows and results
    writer.py       the task that groups them into statements
    sql.py          the statements
    columns.py      values as columns, and rows as values
    leases.py       which process owns a shard
    arrivals.py     which shards have watches of other processes
    connections.py  lends connections, with limits in time; the URL without its credentials
    faults.py       what asyncpg raises, as errors of a ledger
    migrations.py   tables, versions, migrations

Rule 1: only this package imports asyncpg, and `pollwise.ledger` does not import this package.
Rule 2: a call returns after the server has committed it. `synchronous_commit` of the role says whether it is on disk then.
Rule 3: no table has a column for a credential, and no text shows the URL's.
"""

from __future__ import annotations

from pollwise.ledger.postgres.arrivals import Arrivals
from pollwise.ledger.postgres.connections import is_postgres_url, url_without_credentials
from pollwise.ledger.postgres.leases import Lease, Leases, ShardOwner
from pollwise.ledger.postgres.ledger import FencedLedger, PostgresLedger
from pollwise.ledger.postgres.migrations import Migrated, migrate

__all__ = [
    "Arrivals",
    "FencedLedger",
    "Lease",
    "Leases",
    "Migrated",
    "PostgresLedger",
    "ShardOwner",
    "is_postgres_url",
    "migrate",
    "url_without_credentials",
]
