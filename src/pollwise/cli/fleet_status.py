"""`pollwise fleet status`: which worker owns which shard, and how much waits there.

Rule 1: nothing is changed. The database is opened to look only, so a role that may only read is enough.
Rule 2: on a terminal `--watch` draws rows in place. Elsewhere it writes the lines, or one JSON document, for each look.
Rule 3: a database that fails ends the command. A live screen shows the error in its place and goes on, because it is looked at
while something fails.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import TYPE_CHECKING

from rich.console import Console, Group, RenderableType
from rich.text import Text

from pollwise.cli.error_text import error_text
from pollwise.cli.exit_status import ExitStatus
from pollwise.cli.fleet_options import StatusOptions
from pollwise.cli.fleet_rows import fleet_fields, fleet_lines, fleet_texts
from pollwise.cli.ledger_place import DatabaseUrl, in_database
from pollwise.cli.live_frame import LiveFrame
from pollwise.cli.safe_text import safe
from pollwise.cli.stdout import StdoutWriter
from pollwise.ledger import LedgerError

if TYPE_CHECKING:
    from pollwise.fleet import FleetStatus, PostgresLedger

__all__ = ["StatusFrame", "is_live_terminal", "run_status"]


async def run_status(place: DatabaseUrl, options: StatusOptions) -> ExitStatus:
    """Show the status, once or until Ctrl-C.

    Raises:
        UsageError: The extra `postgres` is not installed.
        ConfigurationError: The URL of the database is malformed.
        LedgerError: The database cannot be opened, or fails.
    """
    in_database()
    from pollwise.fleet import PostgresLedger, fleet_status  # noqa: PLC0415  it needs the extra

    async with PostgresLedger(place.dsn, read_only=True, connections=1) as store:
        if options.watch and not options.writes_documents and is_live_terminal():
            await _watch_live(store, options.every)
        writer = options.writer(stream=options.watch) if options.writes_documents else StdoutWriter()
        while True:
            status = await fleet_status(store)
            if options.writes_documents:
                await writer.line(json.dumps(fleet_fields(status, store.where), ensure_ascii=True))
            else:
                await writer.line("\n".join(fleet_lines(status)))
            if not options.watch:
                return ExitStatus.SUCCEEDED
            await asyncio.sleep(options.every)


async def _watch_live(store: PostgresLedger, every_s: float) -> None:
    from pollwise.fleet import fleet_status  # noqa: PLC0415  it needs the extra

    frame = StatusFrame()
    frame.show(await fleet_status(store))
    live = frame.open()
    try:
        while True:
            await asyncio.sleep(every_s)
            try:
                frame.show(await fleet_status(store))
            except LedgerError as error:
                frame.fail(error_text(error))
            live.draw()
    finally:
        live.close(keep=True)


def is_live_terminal() -> bool:
    """Whether stdout is a terminal on which rows can be drawn in place."""
    return sys.stdout.isatty() and os.environ.get("TERM", "").lower() not in {"dumb", "unknown"}


class StatusFrame:
    """The rows of a fleet on a terminal. `head` is a line above them."""

    def __init__(self, head: str = "") -> None:
        self.head = head
        self._console = Console(highlight=False, markup=False, emoji=False)
        self._status: FleetStatus | None = None
        self._error = ""

    def open(self) -> LiveFrame:
        """Draw the first frame. The caller draws the others, and closes it."""
        frame = LiveFrame(self._console, self._rows)
        frame.open()
        return frame

    def print(self) -> None:
        """Print the rows once."""
        self._console.print(self._rows(*self._console.size))

    def show(self, status: FleetStatus) -> None:
        """Show this status from the next frame on."""
        self._status, self._error = status, ""

    def fail(self, text: str) -> None:
        """Show this error above the last status."""
        self._error = text

    def _rows(self, columns: int, _lines: int) -> RenderableType:
        texts = [Text(safe(self.head, columns))] if self.head else []
        if self._error:
            texts.append(Text(safe(self._error, columns), style="red"))
        if self._status is not None:
            texts += fleet_texts(self._status, columns=columns)
        return Group(*texts)
