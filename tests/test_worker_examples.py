"""The programs of docs/workers.md run: a web app, a queue's task and a service, also after a restart."""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import re
import signal
import sqlite3
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from aiohttp.test_utils import TestClient, TestServer
from taskiq import TaskiqMessage, TaskiqResult

from pollwise import BearerAuth, DeadlineExceeded, JobWatcher, SqliteLedger
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import WatcherClosed
from pollwise.ledger import LedgerInUse
from pollwise.simulator import Simulator
from pollwise.testing import controlled

ROOT = Path(__file__).parents[1]
EXAMPLES = ("web_app", "queue_task", "service", "airflow_dag", "temporal_activity")  # the last two: tests/airflow
SECRET = "t0ken-of-a-test"
FILE, JOB = "D1", "ZX-1"
PATH = f"/extractions/{FILE}/{JOB}"
NEVER = float("inf")


def load(name: str) -> ModuleType:
    """A fresh module for each call, as in a new process."""
    spec = importlib.util.spec_from_file_location(name, ROOT / "examples" / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[name] = importlib.util.module_from_spec(spec)  # taskiq looks for it there
    spec.loader.exec_module(module)
    return module


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until the condition is true."""
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.001)


@pytest.fixture
async def simulator(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Simulator]:
    """The server, and the environment that points the examples at it."""
    async with Simulator(bearer=SECRET) as simulator:
        monkeypatch.setenv("ORACLE_CONTENT_BASE_URL", simulator.oracle_content_url)
        monkeypatch.setenv("ORACLE_CONTENT_TOKEN", SECRET)
        for name in ("JOBS", "LEDGER", "RESULTS", "TOKENS"):
            monkeypatch.setenv(name, str(tmp_path / name.lower()))
        yield simulator
    for name in EXAMPLES:
        sys.modules.pop(name, None)


def test_the_programs_of_the_page_are_the_examples() -> None:
    """Every Python block of docs/workers.md is exactly a file of `examples/`."""
    page = (ROOT / "docs" / "workers.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", page, re.DOTALL)
    files = [(ROOT / "examples" / f"{name}.py").read_text("utf-8") for name in EXAMPLES]
    assert sorted(blocks) == sorted(files)


# --- web_app.py -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def web_app(*, wait_s: float = 20.0) -> AsyncIterator[tuple[TestClient[Any, Any], Any]]:
    """The app as in one process, and its watcher."""
    module = load("web_app")
    module.WAIT_S = wait_s
    async with TestClient(TestServer(module.make_app())) as client:
        yield client, client.app[module.WATCHER]


async def answer(reply: Awaitable[Any]) -> tuple[int, Any]:
    async with await reply as response:
        return response.status, await response.json()


async def test_a_client_waits_for_a_job(simulator: Simulator) -> None:
    """A client waits until the job is over, and gets its outcome."""
    simulator.add_extraction(FILE, JOB, duration_s=0.0)
    simulator.add_extraction(FILE, "ZX-2", duration_s=0.0, outcome="failed")
    async with web_app() as (client, _):
        status, said = await answer(client.get(PATH))
        assert (status, said["state"]) == (200, "succeeded")
        status, said = await answer(client.get(f"/extractions/{FILE}/ZX-2"))
        assert (status, said["state"]) == (200, "failed")
        status, said = await answer(client.get(f"/extractions/{FILE}/ZX-3"))
        assert (status, said["state"]) == (502, "unknown")


async def test_a_client_gets_a_reply_before_its_time_out(simulator: Simulator) -> None:
    """The handler's time-out ends the wait, not the watch."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with web_app(wait_s=0.02) as (client, watcher):
        assert await answer(client.get(PATH)) == (202, {"state": "running"})
        assert watcher.open_count == 1


async def test_an_invalid_id_is_refused(simulator: Simulator) -> None:
    """An invalid ID is a client error, and nothing is sent."""
    async with web_app() as (client, _), client.get("/extractions/D1/..%00") as response:
        assert response.status == 400
    assert simulator.requests.total == 0


async def test_a_restarted_app_goes_on(simulator: Simulator) -> None:
    """A recorded job is watched after a restart without a client. A known outcome is reported without a poll."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with web_app() as (client, _):
        assert await answer(client.post(PATH)) == (202, {"state": "running"})
        await until(lambda: simulator.polls(FILE, JOB) == 1)
    simulator.finish(FILE, JOB)
    async with web_app() as (_, watcher):
        await until(lambda: watcher.open_count == 0)
    assert simulator.polls(FILE, JOB) > 1
    polls = simulator.polls(FILE, JOB)
    async with web_app() as (client, _):
        assert (await answer(client.get(PATH)))[1]["state"] == "succeeded"
    assert simulator.polls(FILE, JOB) == polls


async def test_a_shutdown_answers_waiting_clients(simulator: Simulator) -> None:
    """No client delays a shutdown, and each gets a reply."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with web_app(wait_s=600) as (client, _):
        asked = asyncio.create_task(answer(client.get(PATH)))
        await until(lambda: simulator.polls(FILE, JOB) == 1)
        await client.server.close()
        assert await asked == (503, {"state": "running"})


# --- queue_task.py ----------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def worker() -> AsyncIterator[ModuleType]:
    """One worker; leaving it, as a deployment does, waits for no job."""
    module = load("queue_task")
    await module.broker.startup()
    try:
        yield module
    finally:
        await module.broker.shutdown()
        await settled(module)


async def settled(module: ModuleType) -> None:
    """Every task has ended, retried ones included."""
    while module.broker._running_tasks:
        await module.broker.wait_all()
        await asyncio.sleep(0)  # a task that is done is forgotten a pass later


async def deliver(module: ModuleType, **labels: Any) -> None:
    """The message that the queue gives to a worker, the same for each delivery."""
    task = module.extraction
    message = TaskiqMessage(
        task_id="task-1",
        task_name=task.task_name,
        labels={**task.labels, **labels},
        args=[FILE, JOB],
        kwargs={},
    )
    await module.broker.kick(module.broker.formatter.dumps(message))


async def result_of(module: ModuleType) -> TaskiqResult[Any]:
    await settled(module)
    result: TaskiqResult[Any] = await module.broker.result_backend.get_result("task-1")
    return result


def tokens() -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(os.environ["TOKENS"])) as connection:
        return dict(connection.execute("SELECT task_id, token FROM tokens"))


@pytest.mark.parametrize(("outcome", "words"), [("succeeded", "processed"), ("failed", "did not succeed")])
async def test_a_tasks_result_is_the_vendors_outcome(simulator: Simulator, outcome: Any, words: str) -> None:
    """Success and failure are results, so the queue does not retry them. No token stays."""
    simulator.add_extraction(FILE, JOB, duration_s=0.0, outcome=outcome)
    async with worker() as module:
        await deliver(module)
        result = await result_of(module)
    assert not result.is_err
    assert words in result.return_value
    assert simulator.polls(FILE, JOB) == 1
    assert tokens() == {}


async def test_the_program_prints_the_result(
    simulator: Simulator, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Run as it is, the example queues one task and waits for it."""
    simulator.add_extraction("DC765D5CD846E67B395AE676435D1DBF", "ZX-E83150A29A911D33", duration_s=0.0)
    await load("queue_task").main()
    assert "processed" in capsys.readouterr().out


async def test_a_task_that_is_delivered_again_goes_on(simulator: Simulator) -> None:
    """A killed worker leaves the token, and the next worker resumes the watch from it."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with worker() as module:
        await deliver(module)
        await until(lambda: simulator.polls(FILE, JOB) == 1)
    assert isinstance((await result_of(module)).error, WatcherClosed)
    assert tokens().keys() == {"task-1"}
    simulator.finish(FILE, JOB)
    async with worker() as module:
        await deliver(module)
        assert not (await result_of(module)).is_err
    assert tokens() == {}


async def test_another_delivery_keeps_the_deadline(simulator: Simulator) -> None:
    """Each delivery after the deadline polls once more, and raises `DeadlineExceeded`."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with worker() as module:
        endpoint = ExtractionEndpoint(simulator.oracle_content_url, auth=BearerAuth(SECRET))
        async with controlled(JobWatcher(endpoint, timeout_s=10), clock=lambda: time.time() - 100) as earlier:
            module.broker.state.tokens.save("task-1", earlier.watch(ExtractionJob(FILE, JOB)).resume_token)
        asked = simulator.polls(FILE, JOB)
        await deliver(module, max_retries=3)
        assert isinstance((await result_of(module)).error, DeadlineExceeded)
    assert simulator.polls(FILE, JOB) == asked + 3


async def test_the_queues_own_limit_ends_the_watch(simulator: Simulator) -> None:
    """A task that the queue cancels leaves its token, but no watch."""
    simulator.add_extraction(FILE, JOB, duration_s=NEVER)
    async with worker() as module:
        await deliver(module, timeout=0.02, max_retries=1)
        assert isinstance((await result_of(module)).error, TimeoutError)
        assert module.broker.state.watcher.open_count == 0
    assert tokens().keys() == {"task-1"}


async def test_two_tasks_of_one_job_ask_once(simulator: Simulator) -> None:
    """In one process the same message twice is one watch."""
    simulator.add_extraction(FILE, JOB, duration_s=0.0)
    async with worker() as module:
        await deliver(module)
        await deliver(module)
        assert not (await result_of(module)).is_err
    assert simulator.polls(FILE, JOB) == 1


# --- service.py -------------------------------------------------------------------------------


@contextlib.asynccontextmanager
async def service() -> AsyncIterator[asyncio.subprocess.Process]:
    """The service in its own process, with warnings as errors."""
    pipe = asyncio.subprocess.PIPE
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", str(ROOT / "examples" / "service.py")), stdout=pipe, stderr=pipe
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


def write_jobs(*names: str) -> None:
    Path(os.environ["JOBS"]).write_text("".join(f"{FILE} {name}\n" for name in names), encoding="utf-8")


def results() -> dict[str, str]:
    with contextlib.closing(sqlite3.connect(os.environ["RESULTS"])) as connection:
        return dict(connection.execute("SELECT job_id, outcome FROM results"))


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 0), (signal.SIGINT, 130), (signal.SIGKILL, -9)])
async def test_a_service_resumes_after_any_end(simulator: Simulator, number: int, status: int) -> None:
    """After any end, the next start reports the rest once each, and polls no finished job."""
    names = [f"ZX-{count}" for count in range(6)]
    write_jobs(*names)
    for name in names:
        simulator.add_extraction(FILE, name, duration_s=0.0 if name in names[:3] else NEVER)
    async with service() as first:
        assert first.stdout is not None
        seen = {(await first.stdout.readline()).split()[0].decode() for _ in range(3)}
        await until(lambda: all(simulator.polls(FILE, name) for name in names))
        with pytest.raises(LedgerInUse):
            await SqliteLedger(os.environ["LEDGER"], busy_timeout_s=0).__aenter__()
        first.send_signal(number)
        out, err = await first.communicate()
        assert (first.returncode, err) == (status, b"")
        assert (b"the next start resumes" in out) == (number == signal.SIGTERM)
    assert seen == set(names[:3])
    assert results().keys() == seen
    for name in names[3:]:
        simulator.finish(FILE, name, outcome="failed" if name == names[5] else None)
    async with service() as second:
        out, err = await second.communicate()
        assert (second.returncode, err) == (0, b"")
    assert {line.split()[0] for line in out.decode().splitlines()} == set(names[3:])
    assert results() == {name: "Failed" if name == names[5] else "Succeeded" for name in names}
    assert [simulator.polls(FILE, name) for name in names[:3]] == [1, 1, 1]


async def test_an_outcome_that_was_not_acknowledged_comes_again(simulator: Simulator) -> None:
    """An outcome that was not acknowledged is delivered by the next process, without a poll."""
    write_jobs(JOB)
    simulator.add_extraction(FILE, JOB, duration_s=0.0)
    endpoint = ExtractionEndpoint(simulator.oracle_content_url, auth=BearerAuth(SECRET))
    async with (
        SqliteLedger(os.environ["LEDGER"]) as ledger,
        JobWatcher(endpoint, timeout_s=60, ledger=ledger) as watcher,
    ):
        await watcher.watch(ExtractionJob(FILE, JOB))
    async with service() as process:
        out, err = await process.communicate()
        assert (process.returncode, err) == (0, b"")
    assert out.split() == [JOB.encode(), b"Succeeded"]
    assert results() == {JOB: "Succeeded"}
    assert simulator.polls(FILE, JOB) == 1
