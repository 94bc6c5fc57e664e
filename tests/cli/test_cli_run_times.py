from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.run_times import RUNS_SUFFIX, Run, read_runs, run_recorded
from pollwise.simulator import Simulator

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
AT = NOON.timestamp()


class Clock:
    """A wall clock that a test sets."""

    def __init__(self) -> None:
        self.ahead_s = 0.0

    def __call__(self) -> datetime:
        return NOON + timedelta(seconds=self.ahead_s)


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    return tmp_path / "jobs.ledger"


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def test_a_run_is_recorded(ledger: Path, clock: Clock) -> None:
    """The file beside the ledger has the beginning and the end of each run, and only its user can read it."""
    async with run_recorded(ledger, clock):
        clock.ahead_s = 7.0
    clock.ahead_s = 100.0
    async with run_recorded(ledger, clock):
        clock.ahead_s = 101.5
    assert read_runs(ledger) == [Run(AT, AT + 7.0), Run(AT + 100.0, AT + 101.5)]
    assert Path(f"{ledger}{RUNS_SUFFIX}").stat().st_mode & 0o777 == 0o600


@pytest.mark.looptime
async def test_a_killed_run_is_known_to_within_two_seconds(ledger: Path, clock: Clock) -> None:
    """The end of a run is written while it lasts, so it is also known of a killed process."""
    async with run_recorded(ledger, clock):
        for second in range(11):
            clock.ahead_s = float(second)
            await asyncio.sleep(1.0)
        (run,) = read_runs(ledger)
        assert run.began == AT
        assert AT + 8.0 <= run.until <= AT + 10.0


@pytest.mark.looptime
async def test_a_machine_that_slept_divides_a_run(ledger: Path, clock: Clock) -> None:
    """The time in which a machine slept belongs to no run."""
    async with run_recorded(ledger, clock):
        clock.ahead_s = 2.0
        await asyncio.sleep(3.0)
        clock.ahead_s = 3600.0
        await asyncio.sleep(2.0)
        clock.ahead_s = 3605.0
    assert read_runs(ledger) == [Run(AT, AT + 2.0), Run(AT + 3600.0, AT + 3605.0)]


async def test_a_clock_that_was_set_back(ledger: Path, clock: Clock) -> None:
    """A run never ends before it began."""
    async with run_recorded(ledger, clock):
        clock.ahead_s = -50.0
    assert read_runs(ledger) == [Run(AT, AT)]


async def test_the_number_of_runs_is_bounded(ledger: Path, clock: Clock) -> None:
    """The file keeps the newest thousand runs. Lines that are no runs are dropped."""
    line = "2026-11-30T12:00:00.000Z 2026-11-30T12:00:01.000Z\n"
    Path(f"{ledger}{RUNS_SUFFIX}").write_text("torn\n" + line * 1_500 + line[:20])
    clock.ahead_s = 60.0
    async with run_recorded(ledger, clock):
        pass
    runs = read_runs(ledger)
    assert len(runs) == 1_000
    assert runs[-1] == Run(AT + 60.0, AT + 60.0)


@pytest.mark.parametrize(
    "content",
    [b"", b"\x00\xff" * 60, b"x" * 49 + b"\n", b"2026-11-30T12:00:01.000Z 2026-11-30T12:00:00.000Z\n", b"\n" * 99],
)
def test_what_is_no_run_is_left_out(ledger: Path, content: bytes) -> None:
    """A damaged file of runs gives no runs, and no error."""
    assert read_runs(ledger) == []
    Path(f"{ledger}{RUNS_SUFFIX}").write_bytes(content)
    assert read_runs(ledger) == []


@pytest.mark.parametrize("make", [os.mkdir, os.mkfifo])
async def test_a_batch_goes_on_without_the_file(
    make: Callable[[Path], None], ledger: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """If the runs cannot be recorded, a warning says so, and the batch goes on."""
    make(Path(f"{ledger}{RUNS_SUFFIX}"))
    async with run_recorded(ledger, clock):
        reached = True
    assert reached
    assert "the report will not know when this command ran" in caplog.text
    assert read_runs(ledger) == []


@pytest.mark.parametrize("names", [1, 2])
async def test_another_file_with_the_name_is_not_changed(
    names: int, ledger: Path, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    """A file that has other contents, or a second name, stays as it is. A warning names it."""
    path, text = Path(f"{ledger}{RUNS_SUFFIX}"), "my notes\nprecious\n" if names == 1 else ""
    path.write_text(text)
    if names == 2:
        ledger.with_name("precious").hardlink_to(path)
    async with run_recorded(ledger, clock):
        pass
    assert path.read_text() == text
    assert f"{path}" in caplog.text


@pytest.mark.parametrize("content", [b"\0" * 30, b"2026-11-30T12:00:00.000Z 2026-1"])
async def test_a_line_that_was_not_written_whole_is_replaced(content: bytes, ledger: Path, clock: Clock) -> None:
    """After a loss of power the runs are recorded again."""
    Path(f"{ledger}{RUNS_SUFFIX}").write_bytes(content)
    async with run_recorded(ledger, clock):
        pass
    assert read_runs(ledger) == [Run(AT, AT)]


async def test_an_interrupted_run_is_recorded(ledger: Path, clock: Clock) -> None:
    """An interrupted run is recorded to its end."""
    reached = asyncio.Event()

    async def batch() -> None:
        async with run_recorded(ledger, clock):
            reached.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(batch())
    await reached.wait()
    clock.ahead_s = 9.0
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert read_runs(ledger) == [Run(AT, AT + 9.0)]


async def test_no_link_is_followed(ledger: Path, clock: Clock) -> None:
    """A symbolic link in the place of the file is not written through."""
    other = ledger.with_name("other")
    other.write_text("precious")
    Path(f"{ledger}{RUNS_SUFFIX}").symlink_to(other)
    async with run_recorded(ledger, clock):
        pass
    assert other.read_text() == "precious"


async def test_a_batch_records_its_runs(
    simulator: Simulator, command: Callable[..., Any], environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Each run of `pollwise batch` is recorded beside its ledger, and a report says that nothing ran in between."""
    environment.chdir(tmp_path)
    environment.setenv("DOCUMENT360_BASE_URL", str(simulator.document360_url))
    simulator.add_delete("t-1", duration_s=0.0)
    began = (datetime.now(UTC) - timedelta(hours=3)).isoformat(timespec="milliseconds")[:-6] + "Z"
    Path("jobs.jsonl.ledger-runs").write_text(f"{began} {began}\n")
    Path("jobs.jsonl").write_text(json.dumps({"endpoint": "document360", "task_id": "t-1"}))
    status, _, _ = await command("batch", "jobs.jsonl", "--report", "page.html")
    assert status == 0
    _, run = read_runs(Path("jobs.jsonl.ledger"))
    assert abs(datetime.now(UTC).timestamp() - run.until) < 60.0
    assert "Nothing ran" not in Path("page.html").read_text()  # the earlier run ended before the first job began
    status, _, err = await command("batch", "jobs.jsonl", "--report", "jobs.jsonl.ledger-runs")
    assert (status, "is a part of the ledger" in err) == (2, True)
