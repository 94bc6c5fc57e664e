"""`pollwise ledger migrate`: make the tables of a ledger in PostgreSQL, or bring them to the version of this pollwise."""

from __future__ import annotations

import json

from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.ledger_place import DatabaseUrl, Place, in_database
from pollwise.cli.options import CommonOptions
from pollwise.cli.safe_text import safe
from pollwise.cli.stdout import StdoutWriter

__all__ = ["migrate_ledger"]

_LONGEST_S = 3_600.0  # a large table takes a while; Ctrl-C changes nothing either


async def migrate_ledger(place: Place, *, options: CommonOptions) -> ExitStatus:
    """Migrate, and print what was done.

    Raises:
        UsageError: The ledger is a file.
        LedgerError: The database cannot be reached, or refuses. Nothing was changed.
    """
    if not isinstance(place, DatabaseUrl):
        raise UsageError(
            f"{place} is a file, and a file is migrated when it is opened for writing. To migrate a database, name it by a"
            " URL such as postgresql://user@host:5432/database"
        )
    done = await in_database().migrate(place.dsn, timeout_s=_LONGEST_S)
    if options.writes_documents:
        await options.writer(stream=False).line(
            json.dumps({"ledger": done.where, "before": done.before, "after": done.after})
        )
        return ExitStatus.SUCCEEDED
    if done.before == done.after:
        text = f"has schema version {done.after} already"
    elif done.before == 0:
        text = f"has schema version {done.after} now, with new tables in the schema pollwise"
    else:
        text = f"was migrated from schema version {done.before} to {done.after}"
    await StdoutWriter().line(f"{safe(done.where)} {text}")
    return ExitStatus.SUCCEEDED
