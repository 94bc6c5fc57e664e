from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.observed_ledger import ObservedLedger
from pollwise.ledger import (
    Acknowledgement,
    Change,
    Conclusion,
    LedgerClosed,
    NewWatch,
    OutcomeKind,
    Renewal,
    SqliteLedger,
)
from pollwise.model.reading import Phase

USUAL: dict[str, Any] = {"polls": 3, "status": None}


def new(task_id: str, age_s: float = 0.0) -> NewWatch:
    first_seen = datetime.now(UTC) - timedelta(seconds=age_s)
    return NewWatch(endpoint="document360", keys={"task_id": task_id}, first_seen=first_seen, deadline=None)


def end(number: int, outcome: OutcomeKind = OutcomeKind.SUCCEEDED, **more: Any) -> Conclusion:
    return Conclusion(id=number, outcome=outcome, phase=Phase.SUCCEEDED, elapsed_s=1.0, **{**USUAL, **more})


@pytest.fixture
def progress() -> BatchProgress:
    return BatchProgress(10, ["document360"], 1000.0)


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        yield ledger


async def test_the_progress_follows_the_ledger(ledger: SqliteLedger, progress: BatchProgress) -> None:
    """New, changed and ended watches are in the progress as soon as they are in the ledger."""
    observed = ObservedLedger(ledger, progress, lambda: 1005.0)
    one, two = await observed.record([new("a"), new("b")])
    assert [line.at for line in progress.longest(2)] == [1005.0, 1005.0]
    await observed.update([Change(id=one.id, phase=Phase.RUNNING, failures=0, **USUAL)])
    assert +progress.counts == {"waiting": 9, "running": 1}
    texts = {
        "error_type": "JobFailed",
        "error_message": "DeleteFileJob(task_id='b') failed: why. See .status for all that the server reported.",
    }
    assert await observed.conclude([end(two.id, OutcomeKind.FAILED, **texts)]) == 1
    assert +progress.counts == {"waiting": 8, "running": 1, "failed": 1}
    assert progress.unsuccessful(1)[0].note.startswith("why")


async def test_watches_of_an_earlier_run(ledger: SqliteLedger, progress: BatchProgress) -> None:
    """Ended watches count as known, open ones keep their age, and abandoned ones are watched again."""
    first, second, third, _ = await ledger.record([new("a"), new("b", 60.0), new("c", 90.0), new("d")])
    await ledger.conclude([end(first.id), end(third.id, OutcomeKind.ABANDONED)])
    await ledger.update([Change(id=second.id, phase=None, failures=2, **USUAL)])
    observed = ObservedLedger(ledger, progress, lambda: 1000.0)
    await observed.record([new("a"), new("b"), new("c"), new("d")])
    assert +progress.counts == {"succeeded": 1, "retrying": 1, "waiting": 8}
    assert progress.known == 1
    await observed.reopen([Renewal(id=third.id, generation=0, deadline=None)])
    assert [line.keys["task_id"] for line in progress.longest(3)] == ["c", "b", "d"]
    assert 938.0 <= progress.longest(2)[1].at <= 940.0
    assert [line.polls for line in progress.longest(2)] == [3, 3]


async def test_a_failed_write_does_not_change_the_progress(ledger: SqliteLedger, progress: BatchProgress) -> None:
    """The progress never shows more than is on disk."""
    observed = ObservedLedger(ledger, progress, lambda: 1000.0)
    await ledger.aclose()
    with pytest.raises(LedgerClosed):
        await observed.record([new("a")])
    with pytest.raises(LedgerClosed):
        await observed.conclude([end(1)])
    assert +progress.counts == {"waiting": 10}


async def test_other_calls_pass_through(tmp_path: Path, progress: BatchProgress) -> None:
    """All other methods call the ledger."""
    async with ObservedLedger(SqliteLedger(tmp_path / "other"), progress, lambda: 0.0) as observed:
        one, _ = await observed.record([new("a"), new("b")])
        await observed.conclude([end(one.id)])
        assert [page[0].id async for page in observed.unacknowledged("document360")] == [one.id]
        (claimed,) = await observed.claim("document360", limit=1, lease_s=5.0)
        assert await observed.claim("document360") == []
        await observed.release_claims([claimed.acknowledgement])
        assert await observed.claim("document360") == [claimed]
        assert [page async for page in observed.open_watches("document360", after=one.id + 1)] == []
        assert await observed.acknowledge([Acknowledgement(id=one.id, generation=0)]) == 1
        assert [page[0].keys async for page in observed.open_watches("document360")] == [{"task_id": "b"}]
        assert list(await observed.durations("document360")) == [1.0]
        lines = b"".join([lines async for lines in observed.export(include_open=True)])
        assert lines.count(b"\n") == 2
        await observed.aclose()
