"""Damaged files: what is sound is saved, and the damaged file stays as it is."""

from __future__ import annotations

from pathlib import Path

import pytest
from ledger_values import ENDPOINT, every, new, raw, success

from pollwise.ledger import SqliteLedger
from pollwise.ledger.recovery import check_ledger, recover_ledger


async def test_a_page_that_cannot_be_read(path: Path) -> None:
    """Its rows are listed with their jobs, which the index has. All other rows are in the new ledger."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(number) for number in range(1, 401)])
        await ledger.conclude([success(number) for number in range(1, 201)])
    raw(path, "PRAGMA journal_mode = DELETE")
    data = bytearray(path.read_bytes())
    place = data.find(b"ZX-250") // 4096 * 4096
    data[place : place + 4096] = bytes(4096)
    path.write_bytes(data)
    fresh = path.with_name("new.ledger")
    survey = recover_ledger(str(path), str(fresh))
    assert path.read_bytes() == data
    assert survey.faults
    assert survey.sound > 300
    assert survey.sound + len(survey.damaged) == 400
    async with SqliteLedger(fresh) as ledger:
        found = await every(ledger.open_watches(ENDPOINT)) + await every(ledger.unacknowledged(ENDPOINT))
        assert len(found) == survey.sound
        assert ledger.damaged == []
    assert check_ledger(str(fresh)).faults == []
    with pytest.raises(FileExistsError):
        recover_ledger(str(path), str(fresh))


async def test_a_recovered_ledger_is_private(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its mode is 0600, also by a relative name and after a recovery that was killed."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    monkeypatch.chdir(path.parent)
    Path("new.ledger-pollwise-recovery").write_bytes(b"half a ledger")
    assert recover_ledger(str(path), "new.ledger").sound == 1
    assert Path("new.ledger").stat().st_mode & 0o777 == 0o600
    assert not Path("new.ledger-pollwise-recovery").exists()
