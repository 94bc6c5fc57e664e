"""The status of a fleet as text: rows for a terminal, lines for a pipe, and fields for JSON.

Rule 1: this file decides what is shown, and reads nothing.
Rule 2: of a narrow terminal the last columns are left out first. Names of endpoints, accounts and workers are safe to print.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

import attrs
from rich.cells import cell_len
from rich.text import Text

from pollwise.cli.row_cells import fitted, joined
from pollwise.cli.safe_text import clock, counted, endpoint_label, safe

if TYPE_CHECKING:
    from pollwise.fleet import FleetStatus, ShardStatus

__all__ = ["fleet_fields", "fleet_lines", "fleet_texts"]

_LONGEST_NAME: Final = 40
_FREE: Final = "no worker"


@attrs.frozen(kw_only=True)
class _Column:
    """A column of the shards: its title, and whether it is a number."""

    title: str
    right: bool = True


_COLUMNS: Final = (
    _Column(title="shard", right=False),
    _Column(title="worker", right=False),
    _Column(title="open"),
    _Column(title="unseen"),
    _Column(title="lag"),
    _Column(title="outcomes"),
    _Column(title="lease"),
    _Column(title="since"),
)


def fleet_lines(status: FleetStatus) -> Iterator[str]:
    """The status as plain lines of any width."""
    for text in fleet_texts(status, columns=200):
        yield text.plain.rstrip()


def fleet_texts(status: FleetStatus, *, columns: int) -> Sequence[Text]:
    """The rows: the workers, the sums, the titles, and a row for each shard."""
    rows = [_cells(shard) for shard in status.shards]
    heads = [column.title for column in _COLUMNS]
    widths = [max(cell_len(row[n]) for row in [heads, *rows]) for n in range(len(heads))]
    while len(widths) > 2 and sum(widths) + 2 * (len(widths) - 1) > columns:
        widths.pop()
    texts = [fitted(_workers(status), columns)] if cell_len(_workers(status)) > columns else [Text(_workers(status))]
    texts.append(fitted(_sums(status), columns, "dim"))
    if rows:
        texts.append(_row(heads, widths, "dim"))
    for shard, row in zip(status.shards, rows, strict=True):
        texts.append(_row(row, widths, "yellow" if shard.owner is None and shard.open else ""))
    return texts


def fleet_fields(status: FleetStatus, where: str) -> dict[str, Any]:
    """The status as JSON."""
    return {
        "database": where,
        "workers": [
            {
                "name": worker.name,
                "live": worker.is_live,
                "draining": worker.is_draining,
                "since": _iso(worker.started_at),
            }
            for worker in status.workers
        ],
        "shards": [
            {
                "endpoint": shard.shard.endpoint,
                "account": shard.shard.account,
                "owner": shard.owner,
                "owned_s": _rounded(shard.owned_s),
                "lease_left_s": _rounded(shard.lease_left_s),
                "open": shard.open,
                "unseen": shard.unseen,
                "lag_s": round(shard.lag_s, 3),
                "unacknowledged": shard.unacknowledged,
                "requests": shard.requests,
            }
            for shard in status.shards
        ],
    }


def _cells(shard: ShardStatus) -> list[str]:
    return [
        endpoint_label(shard.shard.endpoint, shard.shard.account, _LONGEST_NAME),
        safe(shard.owner, _LONGEST_NAME) if shard.owner is not None else _FREE if shard.open else "-",
        f"{shard.open:,}",
        f"{shard.unseen:,}",
        clock(shard.lag_s) if shard.unseen else "-",
        f"{shard.unacknowledged:,}",
        "-" if shard.lease_left_s is None else f"{max(0.0, shard.lease_left_s):.1f} s",
        "-" if shard.owned_s is None else clock(shard.owned_s),
    ]


def _row(cells: Sequence[str], widths: Sequence[int], style: str) -> Text:
    parts = [
        fitted(cell, width, style, right=column.right)
        for cell, width, column in zip(cells, widths, _COLUMNS, strict=False)
    ]
    return joined(parts, "  ")


def _workers(status: FleetStatus) -> str:
    """Such as `2 workers: w1 (3 shards), w2 (3 shards, draining)`."""
    live = [worker for worker in status.workers if worker.is_live]
    if not live:
        return "no worker is live"
    owned = Counter(shard.owner for shard in status.shards)
    texts = [
        f"{safe(worker.name, _LONGEST_NAME)} ({counted(owned[worker.name], 'shard')}{', draining' if worker.is_draining else ''})"
        for worker in live
    ]
    return f"{counted(len(live), 'worker')}: {', '.join(texts)}"


def _sums(status: FleetStatus) -> str:
    shards = status.shards
    free = sum(shard.owner is None and shard.open > 0 for shard in shards)
    texts = [
        counted(len(shards), "shard"),
        f"{sum(shard.open for shard in shards):,} open",
        f"{counted(sum(shard.unacknowledged for shard in shards), 'outcome')} not acknowledged",
    ]
    if free:
        texts.append(f"{free:,} without a worker")
    return ", ".join(texts)


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)


def _iso(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
