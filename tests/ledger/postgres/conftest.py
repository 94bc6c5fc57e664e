"""An open ledger in a real PostgreSQL database."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pollwise.ledger.postgres import PostgresLedger
from real_postgres import open_postgres


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[PostgresLedger]:
    """An open and empty ledger in the test's own schema."""
    ledger = await open_postgres(tmp_path, timeout_s=30.0)
    try:
        yield ledger
    finally:
        await ledger.aclose()
