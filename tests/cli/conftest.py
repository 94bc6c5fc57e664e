"""Events to show, and the command as a child process."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from aiohttp.test_utils import TestServer

from pollwise.cli import main
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.simulator import Simulator

HOSTILE = "[bold]x[/]\x1b[31m\x9b2J\u202egnp.exe\r\n\x07"
"""A text that a job, a vendor or a proxy may send: markup, escape codes in both forms, reordering, line ends, a bell."""


@pytest.fixture
def hostile() -> str:
    return HOSTILE


@pytest.fixture
def deletions() -> DeleteFileEndpoint:
    return DeleteFileEndpoint("https://api.example.com")


@pytest.fixture
def extractions() -> ExtractionEndpoint:
    return ExtractionEndpoint("https://example.com")


@pytest.fixture
def delete_job() -> DeleteFileJob:
    return DeleteFileJob("65868a00c536f34594713fec")


@pytest.fixture
def extract_job() -> ExtractionJob:
    return ExtractionJob("D1", "ZX-1")


@pytest.fixture
def extraction_status(extractions: ExtractionEndpoint) -> Callable[..., Any]:
    """Makes a typed status from the vendor's field names."""

    def make(**fields: Any) -> Any:
        usual = {"progress": "PROCESSING", "completed": False, "completedPercentage": 25}
        return extractions.codec.status_from_json({**usual, **fields})

    return make


@pytest.fixture
def deletion_status(deletions: DeleteFileEndpoint) -> Callable[..., Any]:
    """Makes a typed status from the vendor's field names."""

    def make(**fields: Any) -> Any:
        task = {"task_id": "t", "is_complete": False, "status": 2}
        return deletions.codec.status_from_json({"task_status": task, "success": True, **fields})

    return make


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(seed=7) as simulator:
        yield simulator


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """The environment without settings of this machine; a test sets the variables that it needs."""
    for name in list(os.environ):
        settings = name.startswith(("DOCUMENT360_", "ORACLE_CONTENT_")) or name.upper().endswith("_PROXY")
        if settings or name in {"NO_COLOR", "FORCE_COLOR", "COLUMNS"}:
            monkeypatch.delenv(name)
    monkeypatch.setenv("DOCUMENT360_API_TOKEN", "test-api-token")
    monkeypatch.setenv("ORACLE_CONTENT_TOKEN", "test-bearer-token")
    monkeypatch.setenv("PYTHONUTF8", "1")
    return monkeypatch


@pytest.fixture
def command(environment: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Any]:
    """Runs the command in a thread of this process: its exit status, and what it wrote to stdout and stderr."""

    async def run(*arguments: str) -> tuple[int, str, str]:
        status = await asyncio.to_thread(main, arguments)
        out, err = capsys.readouterr()
        return status, out, err

    return run


EXPORTS = """
[exports]
base = "https://api.example.com"
job = { id = "int" }
poll = "GET /exports/{id}"
auth = { bearer = "EXPORTS_TOKEN" }
state = "state"
queued = ["waiting"]
running = ["working"]
succeeded = ["done"]
failed = ["error"]
cancelled = ["stopped"]
progress = { done = "percent", of = 100 }
reason = "why"
result = { ask = "GET /files/{file}", raw = true }
cancel = "DELETE /exports/{id}"
submit = { ask = "POST /exports", json = "{order}", id = "id" }

[reports]
base = "https://api.example.com"
job = ["owner", "name"]
poll = "GET /reports/{owner}/{name}"
state = "state"
running = ["working"]
succeeded = ["done"]
failed = ["error"]
result = "rows"
"""


class ExportServer:
    """Exports and reports, as `EXPORTS` declares them. A job works at its first poll, and is over at the second one.

    Attributes:
        ends: The states of jobs at their ends, by the last part of their path. Others are `done`.
        polls: The status requests by path.
        cancels: The cancel requests by path.
        cancel_status: The status code of the reply to a cancel request.
        orders: The idempotency keys and the bodies of the start requests.
        submit_status: The status code of the reply to a start. 0 breaks the connection.
        file: The bytes of every file.
        seen: The credentials of the last request.
    """

    def __init__(self) -> None:
        self.ends: dict[str, str] = {}
        self.polls: Counter[str] = Counter()
        self.cancels: Counter[str] = Counter()
        self.cancel_status = 202
        self.orders: list[tuple[str | None, Any]] = []
        self.submit_status = 201
        self.file = b"\x00\x01 bytes \xff"
        self.file_status = 200
        self.seen: str | None = None
        self.url = ""

    async def poll(self, request: web.Request) -> web.Response:
        self.polls[request.path] += 1
        self.seen = request.headers.get("Authorization")
        end = self.ends.get(request.path.rpartition("/")[2], "done")
        if self.cancels[request.path] and self.cancel_status == 202:
            end = "stopped"
        if end == "forbidden":
            return web.json_response({}, status=403)
        if end == "never" or self.polls[request.path] == 1:
            return web.json_response({"state": "working", "percent": 25})
        number = request.path.rpartition("/")[2]
        return web.json_response(
            {"state": end, "why": f"no disk for {number}", "file": f"f{number}", "rows": [1, "é\x1b"]}
        )

    async def cancel(self, request: web.Request) -> web.Response:
        self.cancels[request.path] += 1
        return web.json_response({"why": "not allowed"}, status=self.cancel_status)

    async def submit(self, request: web.Request) -> web.Response:
        self.orders.append((request.headers.get("Idempotency-Key"), await request.json()))
        if not self.submit_status:
            assert request.transport is not None
            request.transport.close()
        return web.json_response({"id": 7, "why": "no such dataset"}, status=self.submit_status or 500)

    async def download(self, _request: web.Request) -> web.Response:
        return web.Response(body=self.file, status=self.file_status)


@pytest.fixture
async def exports(environment: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[ExportServer]:
    """The server. The current folder is `tmp_path`, with its declarations in `pollwise.toml`."""
    server = ExportServer()
    app = web.Application()
    for path in ("/exports/{id}", "/reports/{owner}/{name}"):
        app.router.add_get(path, server.poll)
        app.router.add_delete(path, server.cancel)
    app.router.add_get("/files/{name}", server.download)
    app.router.add_post("/exports", server.submit)
    environment.chdir(tmp_path)
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    environment.setenv("EXPORTS_TOKEN", "exports-secret")
    async with TestServer(app) as started:
        server.url = str(started.make_url("")).rstrip("/")
        (tmp_path / "pollwise.toml").write_text(EXPORTS.replace("https://api.example.com", server.url))
        yield server


class Child:
    """The command as a child process, with warnings as errors."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self.process = process

    async def line(self) -> str:
        """The next line of its stdout."""
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode()

    async def end(self) -> tuple[int, str, str]:
        """Its exit status and what else it wrote to stdout and stderr."""
        out, err = await self.process.communicate()
        assert self.process.returncode is not None
        return self.process.returncode, out.decode(), err.decode()


@pytest.fixture
async def start(environment: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[Callable[..., Any]]:
    """Starts `python -m pollwise ...`. Processes that still run after the test are killed."""
    children: list[asyncio.subprocess.Process] = []

    async def begin(*arguments: str, **options: Any) -> Child:
        pipe = asyncio.subprocess.PIPE
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            *("-W", "error", "-m", "pollwise", *arguments),
            **{"stdin": asyncio.subprocess.DEVNULL, "stdout": pipe, "stderr": pipe, "cwd": tmp_path, **options},
        )
        children.append(process)
        return Child(process)

    yield begin
    for process in children:
        if process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
