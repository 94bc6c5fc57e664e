"""An open database of a fleet."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from pollwise.fleet import PostgresLedger
from real_postgres import open_postgres


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[PostgresLedger]:
    """An open and empty database in the test's own schema."""
    store = await open_postgres(tmp_path, timeout_s=10.0)
    try:
        yield store
    finally:
        await store.aclose()
