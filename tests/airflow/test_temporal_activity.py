"""The activity of docs/workers.md, in Temporal's environment for activities."""

from __future__ import annotations

import asyncio
import dataclasses
import importlib.util
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

pytest.importorskip("temporalio", reason="Temporal has an environment of its own: .ci/airflow runs these tests")

from job_server import SECRET, JobServer
from temporalio.activity import ActivityCancellationDetails
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from pollwise import JobWatcher

EXAMPLE = Path(__file__).parents[2] / "examples" / "temporal_activity.py"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    with JobServer() as server:
        monkeypatch.setenv("ACME_URL", server.url)
        monkeypatch.setenv("ACME_TOKEN", SECRET)
        yield server


@pytest.fixture
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("temporal_activity", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


class Attempt:
    """One attempt of the activity, and its heartbeats."""

    def __init__(self, *details: str) -> None:
        self.beats: list[str] = []
        self.environment = ActivityEnvironment()
        self.environment.info = dataclasses.replace(self.environment.info, heartbeat_details=details)
        self.environment.on_heartbeat = self.beats.append

    async def run(self, example: Any, table: str) -> Any:
        async with JobWatcher(example.make_endpoint(), timeout_s=600) as watcher:
            return await self.environment.run(example.Exports(watcher).export, table)

    async def cancelled(self, example: Any, server: JobServer, **details: bool) -> None:
        """Cancel the attempt when it polls."""
        running = asyncio.create_task(self.run(example, "slow"))
        while not server.requests["GET"]:
            await asyncio.sleep(0.01)
        self.environment.cancel(ActivityCancellationDetails(**details))
        with pytest.raises(asyncio.CancelledError):
            await running


async def test_the_activity_returns_the_status(server: JobServer, example: ModuleType) -> None:
    """It starts one job, beats with its token, and returns the status of its end."""
    attempt = Attempt()
    assert (await attempt.run(example, "quick"))["state"] == "done"
    assert (server.started, len(attempt.beats)) == (1, 1)
    assert SECRET not in attempt.beats[0]


async def test_an_attempt_after_a_dead_worker_goes_on(server: JobServer, example: ModuleType) -> None:
    """The next attempt resumes from the last heartbeat, and starts no second job. A shutdown cancels nothing."""
    first = Attempt()
    await first.cancelled(example, server, worker_shutdown=True)
    server.finish()
    assert (await Attempt(first.beats[-1]).run(example, "slow"))["state"] == "done"
    assert (server.started, server.requests["DELETE"]) == (1, 0)


async def test_an_attempt_without_a_heartbeat_asks_with_the_same_key(server: JobServer, example: ModuleType) -> None:
    """If the worker died before its first heartbeat, the API names the job of the same key."""
    await Attempt().run(example, "quick")
    await Attempt().run(example, "quick")
    assert server.started == 1


async def test_a_failed_job_is_not_retried(server: JobServer, example: ModuleType) -> None:
    """The job's failure is an error that Temporal does not retry."""
    with pytest.raises(ApplicationError, match="failed") as caught:
        await Attempt().run(example, "bad")
    assert caught.value.non_retryable


async def test_cancelling_the_activity_cancels_the_job(server: JobServer, example: ModuleType) -> None:
    """When the workflow cancels the activity, the server is asked to stop the job."""
    await Attempt().cancelled(example, server, cancel_requested=True)
    assert server.requests["DELETE"] == 1
