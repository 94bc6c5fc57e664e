from __future__ import annotations

import asyncio
import io
import sys
from typing import Any

import pytest
from rich.text import Text

from pollwise.cli.follow import WatchRecord, follow, follow_all, outcome_text
from pollwise.cli.screen import LineScreen
from pollwise.core.pacing import Pacing, Retry
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import InsecureUrl
from pollwise.model.events import Retrying, Succeeded
from pollwise.simulator import Fault, Simulator
from pollwise.watcher import JobWatcher

QUICK: dict[str, Any] = {"timeout_s": 30.0, "pacing": Pacing.fixed(0.02), "retry": Retry(base_s=0.02)}


class RecordingScreen(LineScreen):
    """Keeps the shown events."""

    def __init__(self) -> None:
        super().__init__()
        self.events: list[Any] = []

    async def show(self, endpoint: Any, event: Any, /) -> None:
        self.events.append(event)


class Broken(LineScreen):
    """A screen whose reader has closed the pipe."""

    async def show(self, endpoint: Any, event: Any, /) -> None:
        raise BrokenPipeError

    async def print_text(self, text: Text, /) -> None:
        raise AssertionError


async def test_every_event_is_shown_and_retries_are_counted(simulator: Simulator) -> None:
    """The screen gets every event of the watch, the outcome last. The record counts the `Retrying` events."""
    simulator.add_extraction("F", "J", duration_s=0.0, script=[Fault.SERVER_ERROR, Fault.BROKEN_JSON])
    endpoint = ExtractionEndpoint(simulator.oracle_content_url)
    screen = RecordingScreen()
    async with JobWatcher(endpoint, **QUICK) as watcher:
        record = await follow(watcher, endpoint, ExtractionJob("F", "J"), screen)
    assert record.retries == 2
    assert isinstance(record.outcome, Succeeded)
    assert [type(event) for event in screen.events] == [Retrying, Retrying, Succeeded]
    assert outcome_text(record).plain.startswith("✓ succeeded  oracle-content F / J (")
    assert "3 polls, 2 of them repeated): 3 processed" in outcome_text(record).plain


async def test_records_are_in_the_order_of_the_jobs(simulator: Simulator) -> None:
    """Records are in the order of the jobs, not in the order of the outcomes."""
    endpoint = ExtractionEndpoint(simulator.oracle_content_url)
    jobs = [ExtractionJob("F", f"J{number}") for number in range(3)]
    for job, duration_s in zip(jobs, (0.2, 0.0, 0.1), strict=True):
        simulator.add_extraction(job.file_id, job.job_id, duration_s=duration_s)
    async with JobWatcher(endpoint, **QUICK) as watcher:
        records = await follow_all(((watcher, endpoint, job) for job in jobs), RecordingScreen())
    assert [record.outcome.job for record in records] == jobs


async def test_a_screen_without_a_reader_ends_all_watches(simulator: Simulator) -> None:
    """BrokenPipeError is raised by itself, not in a group, and all watches end."""
    endpoint = ExtractionEndpoint(simulator.oracle_content_url)
    for number in range(3):
        simulator.add_extraction("F", f"J{number}", duration_s=60.0)
    async with JobWatcher(endpoint, **QUICK) as watcher:
        with pytest.raises(BrokenPipeError):
            await follow_all(((watcher, endpoint, ExtractionJob("F", f"J{number}")) for number in range(3)), Broken())


async def test_clear_text_to_another_machine_is_no_outcome() -> None:
    """A URL that is not allowed raises InsecureUrl and shows no event, so no job is abandoned."""
    endpoint = ExtractionEndpoint("http://example.invalid")
    screen = RecordingScreen()
    async with JobWatcher(endpoint, **QUICK) as watcher:
        with pytest.raises(InsecureUrl):
            await follow(watcher, endpoint, ExtractionJob("F", "J"), screen)
    assert screen.events == []


async def test_a_cancelled_command_stops_following(simulator: Simulator) -> None:
    """Cancelling `follow_all` while a request hangs ends it at once."""
    simulator.add_extraction("F", "J", script=[Fault.HANG])
    endpoint = ExtractionEndpoint(simulator.oracle_content_url)
    async with JobWatcher(endpoint, **QUICK) as watcher:
        task = asyncio.create_task(follow_all([(watcher, endpoint, ExtractionJob("F", "J"))], RecordingScreen()))
        while not simulator.requests.total:
            await asyncio.sleep(0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task


def test_a_summary_line_in_ascii(
    extractions: ExtractionEndpoint, extraction_status: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """If the encoding of stdout is ASCII, the symbol is ASCII, too."""
    outcome: Any = Succeeded(job=ExtractionJob("F", "J"), status=extraction_status(), elapsed_s=1.0, polls=1)
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(io.BytesIO(), encoding="ascii"))
    text = outcome_text(WatchRecord(endpoint=extractions, outcome=outcome, retries=0))
    assert text.plain.startswith("+ succeeded  oracle-content F / J (1.0 s, 1 poll)")


def test_a_summary_line_is_safe(extractions: ExtractionEndpoint, hostile: str, extraction_status: Any) -> None:
    """Hostile keys and messages in a summary line are safe to print."""
    status = extraction_status(progress="SUCCEEDED", skippedItems=[{"id": hostile, "error": hostile}])
    job = ExtractionJob("[red]\u202eD", "ZX")
    outcome: Any = Succeeded(job=job, status=status, elapsed_s=1.0, polls=1)
    text = outcome_text(WatchRecord(endpoint=extractions, outcome=outcome, retries=0))
    assert text.plain.isprintable()
    assert "[red]D" in text.plain
    assert "[bold]x[/]" in text.plain
