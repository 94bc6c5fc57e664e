"""`pollwise ledger`: its commands, their arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from pollwise.cli.exit_texts import LEDGER, REPAIR
from pollwise.cli.ledger_place import LedgerPlace
from pollwise.cli.options import CommonOptions, FilePath

__all__ = ["app"]

_USUAL = CommonOptions()

app = App(name="ledger", help_epilogue=LEDGER)


@app.command(name="show", help_epilogue=LEDGER)
async def show_ledger(ledger: LedgerPlace, /, *, report: FilePath = None, options: CommonOptions = _USUAL) -> int:
    """Show the numbers of a ledger.

    Args:
        ledger: The file, or the URL of a PostgreSQL database.
        report: Also write a report to this file, as one HTML page.
        options: What to show.
    """
    from pollwise.cli import ledger_commands

    return await ledger_commands.show_ledger(ledger, options=options, report=report)


@app.command(name="export", help_epilogue=LEDGER)
async def export_ledger(
    ledger: LedgerPlace,
    /,
    *,
    out: FilePath = None,
    include_open: Annotated[bool, Parameter(negative="", show_default=False)] = False,
    options: CommonOptions = _USUAL,
) -> int:
    """Write a ledger's outcomes as JSON lines, in the order of recording.

    Args:
        ledger: The file, or the URL of a PostgreSQL database.
        out: Write to this file instead of stdout, whole or not at all.
        include_open: Also write watches without an outcome.
        options: What to show.
    """
    from pollwise.cli import ledger_commands

    return await ledger_commands.export_ledger(ledger, options=options, out=out, include_open=include_open)


@app.command(name="check", help_epilogue=REPAIR)
async def check_ledger(ledger: LedgerPlace, /, *, options: CommonOptions = _USUAL) -> int:
    """List the damaged rows of a ledger. The ledger stays as it is.

    Args:
        ledger: The file, or the URL of a PostgreSQL database.
        options: What to show.
    """
    from pollwise.cli import ledger_repair

    return await ledger_repair.check(ledger, options=options)


@app.command(name="recover", help_epilogue=REPAIR)
async def recover_ledger(ledger: LedgerPlace, new: LedgerPlace, /, *, options: CommonOptions = _USUAL) -> int:
    """Write the sound rows of a damaged ledger to a new ledger.

    The damaged ledger stays as it is. The jobs of its damaged rows are listed,
    so that they can be recorded again.

    Args:
        ledger: The damaged file.
        new: The new file, which must not exist.
        options: What to show.
    """
    from pollwise.cli import ledger_repair

    return await ledger_repair.recover(ledger, new, options=options)


@app.command(name="migrate", help_epilogue=LEDGER)
async def migrate_ledger(ledger: LedgerPlace, /, *, options: CommonOptions = _USUAL) -> int:
    """Make the tables of a ledger in PostgreSQL, or bring them to this version.

    Everything is one transaction, and a second call changes nothing. The
    password comes from the URL, PGPASSWORD, or the file of PGPASSFILE.

    Args:
        ledger: The database, such as postgresql://user@host:5432/database.
        options: What to show.
    """
    from pollwise.cli import ledger_migration

    return await ledger_migration.migrate_ledger(ledger, options=options)
