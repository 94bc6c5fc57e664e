"""A ledger's file and an open ledger."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pollwise.ledger import SqliteLedger


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Where a test's ledger is."""
    return tmp_path / "jobs.ledger"


@pytest.fixture
async def ledger(path: Path) -> AsyncIterator[SqliteLedger]:
    """An open ledger, at `path`."""
    async with SqliteLedger(path, linger_s=0.0) as ledger:
        yield ledger
