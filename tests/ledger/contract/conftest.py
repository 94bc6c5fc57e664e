"""An open ledger of each kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from ledger_kinds import KINDS, open_ledger

from pollwise.ledger import Ledger


@pytest.fixture(params=KINDS)
def ledger_kind(request: pytest.FixtureRequest) -> str:
    """The name of a kind of ledger."""
    kind: str = request.param
    return kind


@pytest.fixture
async def ledger(ledger_kind: str, tmp_path: Path) -> AsyncIterator[Ledger]:
    """An open and empty ledger of this kind."""
    ledger = await open_ledger(ledger_kind, tmp_path)
    try:
        yield ledger
    finally:
        await ledger.aclose()
