"""The kinds of ledger that keep the contract of `pollwise.ledger.Ledger`, and how a test gets one.

Each test of this folder runs once for each kind. It gets an open and empty ledger by the fixture `ledger`, and the name of
the kind by `ledger_kind`.

Another kind of ledger is added here, and in no test:
- `KINDS`: its name. A kind that cannot run everywhere is a `pytest.param(name, marks=pytest.mark.skipif(...))`.
- `LASTING` and `LASTING_CLAIMS`: its name, where that is so.
- `open_ledger`: opens it. All calls with one `tmp_path` open the same record.
- `pass_lease`: lets the lease of its claims pass, where that lease is not of the loop's clock.

A test uses only the protocol and these functions. It takes no number of a row for granted but those of rows that it has
recorded in one call as the first ones: these are 1, 2, 3 and so on.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from memory_ledger import MemoryLedger
from pollwise.ledger import Ledger, SqliteLedger
from real_postgres import let_claims_pass, needs_postgres, open_postgres

KINDS: Sequence[Any] = ["memory", "sqlite", pytest.param("postgres", marks=needs_postgres)]
LASTING = frozenset({"sqlite", "postgres"})  # kinds whose record is still there after the ledger was closed
LASTING_CLAIMS = frozenset({"postgres"})  # kinds whose claims are still there then


async def open_ledger(kind: str, tmp_path: Path) -> Ledger:
    """An open ledger of this kind. The caller closes it with `aclose`."""
    match kind:
        case "memory":
            return MemoryLedger(latency_s=0.0)
        case "sqlite":
            return await SqliteLedger(tmp_path / "jobs.ledger", synchronous="normal", linger_s=0.0).__aenter__()
        case "postgres":
            return await open_postgres(tmp_path)
    raise AssertionError(f"there is no kind of ledger with the name {kind!r}")


async def pass_lease(ledger: Ledger, lease_s: float) -> None:
    """Let the lease of claims pass that were made for `lease_s`. The test has the mark `looptime`."""
    await asyncio.sleep(lease_s)
    await let_claims_pass(ledger, lease_s)
