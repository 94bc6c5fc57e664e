"""The commands that check and recover a ledger."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.ledger_repair import check, recover
from pollwise.ledger import NewWatch, SqliteLedger


async def test_a_sound_ledger(tmp_path: Path, capsys: Any) -> None:
    """All rows are sound, and the copy is as well."""
    path, new = tmp_path / "a.ledger", tmp_path / "b.ledger"
    async with SqliteLedger(path) as ledger:
        first_seen = datetime(2026, 1, 1, tzinfo=UTC)
        await ledger.record([NewWatch(endpoint="toy", keys={"id": "1"}, first_seen=first_seen, deadline=None)])
    assert await check(path, json_wanted=False) is ExitStatus.SUCCEEDED
    assert "all 1 rows are sound" in capsys.readouterr().out
    assert await recover(path, new, json_wanted=True) is ExitStatus.SUCCEEDED
    assert json.loads(capsys.readouterr().out) == {"sound": 1, "damaged": [], "faults": []}
