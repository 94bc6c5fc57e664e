from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from rich.cells import cell_len

from pollwise.cli.fleet_rows import fleet_fields, fleet_lines, fleet_texts
from pollwise.fleet import FleetStatus, Shard, ShardStatus
from pollwise.ledger.postgres.workers import WorkerRow

SINCE = datetime(2026, 11, 30, 9, 0, 0, 250_000, tzinfo=UTC)


def worker(name: str, **more: Any) -> WorkerRow:
    return WorkerRow(**{"name": name, "session": 1, "started_at": SINCE, "is_live": True, "is_draining": False, **more})


def shard(account: str, owner: str | None, **more: Any) -> ShardStatus:
    usual: dict[str, Any] = {
        "shard": Shard("exports", account),
        "owner": owner,
        "epoch": 3,
        "owned_s": None if owner is None else 75.0,
        "lease_left_s": None if owner is None else 12.34,
        "open": 0,
        "unseen": 0,
        "lag_s": 0.0,
        "unacknowledged": 0,
        "requests": 0,
    }
    return ShardStatus(**{**usual, **more})


STATUS = FleetStatus(
    shards=[
        shard("", "w-1", open=1200, unseen=30, lag_s=61.0, unacknowledged=2),
        shard("acme", None, open=5, unseen=5, lag_s=3.0),
        shard("idle", None),
    ],
    workers=[worker("w-1"), worker("w-2", is_draining=True), worker("gone", is_live=False)],
)


def test_a_row_for_each_shard() -> None:
    """The lines say which worker owns what, how much waits, and which shard has no worker."""
    assert list(fleet_lines(STATUS)) == [
        "2 workers: w-1 (1 shard), w-2 (0 shards, draining)",
        "3 shards, 1,205 open, 2 outcomes not acknowledged, 1 without a worker",
        "shard           worker      open  unseen   lag  outcomes   lease  since",
        "exports         w-1        1,200      30  1:01         2  12.3 s   1:15",
        "exports (acme)  no worker      5       5  0:03         0       -      -",
        "exports (idle)  -              0       0     -         0       -      -",
    ]


def test_an_empty_fleet_has_two_lines() -> None:
    """Without workers and shards, that is said."""
    empty = FleetStatus(shards=[], workers=[])
    assert list(fleet_lines(empty)) == [
        "no worker is live",
        "0 shards, 0 open, 0 outcomes not acknowledged",
    ]


@pytest.mark.parametrize("columns", [20, 40, 60, 79])
def test_rows_fit_a_narrow_terminal(columns: int) -> None:
    """The last columns are left out first; the shard and its worker stay."""
    texts = fleet_texts(STATUS, columns=columns)
    if columns >= 40:
        assert max(cell_len(text.plain.rstrip()) for text in texts) <= columns
    assert texts[3].plain.split()[:2] == ["exports", "w-1"]


def test_names_of_others_are_safe_to_print(hostile: str) -> None:
    """A worker's name with escape codes acts on no terminal."""
    status = FleetStatus(shards=[shard("", hostile, open=1)], workers=[worker(hostile)])
    assert not any("\x1b" in line or "\x9b" in line or "\n" in line for line in fleet_lines(status))


def test_the_fields_have_all_of_it() -> None:
    """The JSON has numbers in seconds and times in UTC, and null without an owner."""
    fields = fleet_fields(STATUS, "postgresql://db:5432/jobs")
    assert fields["database"] == "postgresql://db:5432/jobs"
    assert fields["workers"][1] == {
        "name": "w-2",
        "live": True,
        "draining": True,
        "since": "2026-11-30T09:00:00.250Z",
    }
    assert fields["shards"][0] == {
        "endpoint": "exports",
        "account": "",
        "owner": "w-1",
        "owned_s": 75.0,
        "lease_left_s": 12.34,
        "open": 1200,
        "unseen": 30,
        "lag_s": 61.0,
        "unacknowledged": 2,
        "requests": 0,
    }
    assert fields["shards"][1]["owner"] is None
    assert fields["shards"][1]["lease_left_s"] is None
