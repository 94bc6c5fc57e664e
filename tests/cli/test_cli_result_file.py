from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.job_table import JobTable
from pollwise.cli.jobs_file import JobRow
from pollwise.cli.jsonlines import event_to_json
from pollwise.cli.result_file import write_results
from pollwise.durable.codec import conclusion_of
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.errors import JobCancelled, JobFailed, JobNotFound
from pollwise.ledger import NewWatch, SqliteLedger
from pollwise.model.events import Abandoned, Cancelled, Failed, Outcome, Succeeded
from pollwise.model.reading import Phase

Make = Callable[..., Any]


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[SqliteLedger]:
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        yield ledger


@pytest.fixture
def job_table() -> Iterator[JobTable]:
    with JobTable() as job_table:
        yield job_table


def row(line: int, job: DeleteFileJob, **rest: Any) -> JobRow:
    return JobRow(line=line, endpoint="document360", keys={"task_id": job.task_id}, rest=rest)


async def record(ledger: SqliteLedger, endpoint: DeleteFileEndpoint, *outcomes: Outcome[Any, Any]) -> None:
    now = datetime.now(UTC)
    for outcome in outcomes:
        keys = endpoint.codec.job_to_keys(outcome.job)
        [found] = await ledger.record([NewWatch(endpoint=endpoint.name, keys=keys, first_seen=now, deadline=None)])
        await ledger.conclude([conclusion_of(found.id, outcome, endpoint, seen_s=0.5)])


async def test_a_line_begins_like_a_line_of_json(
    ledger: SqliteLedger,
    job_table: JobTable,
    deletions: DeleteFileEndpoint,
    deletion_status: Make,
    tmp_path: Path,
    hostile: str,
) -> None:
    """Each line has the keys and values of `--json`, then the line and the other fields of its row."""
    status = deletion_status(warnings=[{"description": hostile}])
    jobs = [DeleteFileJob(f"{number}日本") for number in range(4)]
    seen: dict[str, Any] = {"elapsed_s": 1.23456, "polls": 7}
    ended: dict[str, Any] = {**seen, "detected_within_s": 0.73456}
    outcomes: list[Outcome[Any, Any]] = [
        Succeeded(job=jobs[0], status=status, **ended),
        Failed(job=jobs[1], status=status, error=JobFailed(jobs[1], status, hostile), **ended),
        Cancelled(job=jobs[2], status=status, error=JobCancelled(jobs[2], status), **ended),
        Abandoned(job=jobs[3], status=None, phase=Phase.RUNNING, error=JobNotFound(jobs[3], 404), **seen),
    ]
    await record(ledger, deletions, *outcomes)
    job_table.add([row(2 * number + 1, job, customer="Ä", n=number) for number, job in enumerate(jobs)])
    await write_results(tmp_path / "out", job_table, ledger)
    text = (tmp_path / "out").read_text(encoding="ascii")
    for number, (line, outcome) in enumerate(zip(text.splitlines(), outcomes, strict=True)):
        assert line.startswith(event_to_json(deletions, outcome)[:-1])
        found = json.loads(line)
        assert list(found)[-2:] == ["line", "row"]
        assert (found["line"], found["row"]) == (2 * number + 1, {"customer": "Ä", "n": number})


async def test_a_line_for_each_row_in_order(
    ledger: SqliteLedger, job_table: JobTable, deletions: DeleteFileEndpoint, deletion_status: Make, tmp_path: Path
) -> None:
    """The order is that of JOBS, not that of the outcomes. A job with two rows has two lines. All are acknowledged."""
    a, b = DeleteFileJob("a"), DeleteFileJob("b")
    await record(
        ledger, deletions, *(Succeeded(job=job, status=deletion_status(), elapsed_s=1.0, polls=1) for job in (b, a))
    )
    job_table.add([row(1, a), row(2, b), row(3, a, copy=True)])
    await write_results(tmp_path / "out", job_table, ledger)
    lines = [json.loads(line) for line in (tmp_path / "out").read_text().splitlines()]
    assert [(line["job"]["task_id"], line["line"]) for line in lines] == [("a", 1), ("b", 2), ("a", 3)]
    assert [page async for page in ledger.unacknowledged("document360")] == []


async def test_no_file_before_every_row_has_its_outcome(
    ledger: SqliteLedger, job_table: JobTable, deletions: DeleteFileEndpoint, deletion_status: Make, tmp_path: Path
) -> None:
    """A result file is complete, or it does not exist."""
    await record(ledger, deletions, Succeeded(job=DeleteFileJob("a"), status=deletion_status(), elapsed_s=1.0, polls=1))
    job_table.add([row(1, DeleteFileJob("a")), row(2, DeleteFileJob("open"))])
    with pytest.raises(AssertionError, match="row 2 has no outcome"):
        await write_results(tmp_path / "out", job_table, ledger)
    assert not (tmp_path / "out").exists()
