"""Several processes that share watches, budgets and outcomes through PostgreSQL. It needs `pip install 'pollwise[postgres]'`.

    worker.py       `Worker`: takes shards and releases them
    lease_keeper.py  renews leases, and says when the database is away
    endpoint_making.py  makes the endpoints of shards
    options.py      the options of a worker
    lease_counts.py  counts leases, for telemetry
    notices.py      what a worker hears from other processes, and tells them
    shares.py       decides how many shards a worker takes and releases
    setup_guard.py  keeps outcomes of a wrong set-up out of the ledger
    owned_shard.py  runs the `JobWatcher` of one shard
    owner_requests.py  carries out what other processes ask of the owner
    client.py       `Client`: submits jobs and gets their outcomes, from any process
    deliveries.py   outcomes for several consumers, each to one of them
    waiting.py      waits for the outcomes of single jobs
    rows.py         jobs and outcomes of a client as rows
    splitting.py    a token that is too large for one process
    spending.py     how much of its window a token has used, for the next owner
    store_clock.py  the server's clock
    status.py       who owns what, from any process
    errors.py       the errors of a fleet
    stats.py        what a worker has done

Rule 1: a shard is an endpoint and an account. One process owns it, and runs the ordinary `JobWatcher` with one budget over it.
Rule 2: a process that may have lost a shard sends nothing for it (`RateBudget.close_at`), and what it still writes is refused
(`PostgresLedger.fenced`).
Rule 3: no credential is in the database. The worker makes each endpoint with its credentials.
Rule 4: deadlines are on the server's clock, whatever the clock of a worker or client says.
"""

from __future__ import annotations

from pollwise.fleet.client import Client
from pollwise.fleet.deliveries import ClaimedDelivery, ClaimedOutcomes
from pollwise.fleet.errors import JobNotRecorded
from pollwise.fleet.splitting import base_of, shards_of
from pollwise.fleet.stats import OwnedShardStats, WorkerStats
from pollwise.fleet.status import FleetStatus, ShardStatus, fleet_status
from pollwise.fleet.worker import Worker
from pollwise.ledger.postgres import PostgresLedger
from pollwise.ledger.postgres.workers import WorkerRow
from pollwise.ledger.shards import Shard

__all__ = [
    "ClaimedDelivery",
    "ClaimedOutcomes",
    "Client",
    "FleetStatus",
    "JobNotRecorded",
    "OwnedShardStats",
    "PostgresLedger",
    "Shard",
    "ShardStatus",
    "Worker",
    "WorkerRow",
    "WorkerStats",
    "base_of",
    "fleet_status",
    "shards_of",
]
