"""`pollwise fleet`: its commands, their arguments and help.

Rule: as in app.py. A command imports its engine when it runs.
"""

# ruff: noqa: PLC0415  the rule

from __future__ import annotations

from typing import Annotated

from cyclopts import App, Parameter

from pollwise.cli import exit_texts
from pollwise.cli.exit_status import UsageError
from pollwise.cli.fleet_options import (
    DATABASE_VARIABLE,
    FleetNames,
    StatusOptions,
    SubmitOptions,
    WorkerOptions,
    database_of,
)
from pollwise.cli.ledger_place import POSTGRES_SCHEMES
from pollwise.cli.options import Count, Duration, EventOptions

__all__ = ["app"]

_NAMES = FleetNames()
_WORKER = WorkerOptions()
_SUBMIT = SubmitOptions()
_STATUS = StatusOptions()
_EVENTS = EventOptions()

app = App(name="fleet")


@app.command(name="worker", help_epilogue=exit_texts.FLEET_WORKER)
async def worker(
    database: str | None = None, /, *, names: FleetNames = _NAMES, options: WorkerOptions = _WORKER
) -> int:
    """Watch the jobs that are submitted to a database, until Ctrl-C or SIGTERM.

    Start as many workers as you like. Each takes its share of the shards. A
    shard is the jobs of one endpoint and account, and has one rate limit.

    The credentials are read from the environment, as for `pollwise watch`. A
    shard whose endpoint, account or credentials this worker does not have is
    left to other workers.

    Args:
        database: Its URL, such as postgresql://user@host:5432/database. Without it: POLLWISE_POSTGRES.
        names: What the names of endpoints mean.
        options: How to watch.
    """
    place = database_of(database)
    from pollwise.cli.fleet_worker import run_worker

    return await run_worker(place, names, options)


@app.command(name="submit", help_epilogue=exit_texts.FLEET_SUBMIT)
async def submit(
    database: str | None = None,
    jobs: str | None = None,
    /,
    *,
    stdin: Annotated[bool, Parameter(name="-", negative="", show_default=False)] = False,
    names: FleetNames = _NAMES,
    options: SubmitOptions = _SUBMIT,
) -> int:
    """Have workers watch all jobs of a file. The rows are those of `pollwise batch`.

    A job that is known already is not submitted a second time. No credentials
    are needed here, because nothing is sent to a vendor.

    Args:
        database: Its URL, such as postgresql://user@host:5432/database. Without it: POLLWISE_POSTGRES.
        jobs: A file ending in .jsonl or .csv.
        stdin: Read the jobs from stdin instead.
        names: What the names of endpoints mean.
        options: How long to watch, and what to show.
    """
    if jobs is None and database is not None and not database.startswith(POSTGRES_SCHEMES):
        database, jobs = None, database
    if stdin == (jobs is not None):
        raise UsageError(
            f"name the database, unless {DATABASE_VARIABLE} has it, and one file of jobs, or - for stdin. Try: pollwise fleet"
            " submit --help"
        )
    place = database_of(database)
    from pollwise.cli.fleet_submit import run_submit

    return await run_submit(place, "-" if jobs is None else jobs, names, options)


@app.command(name="status", help_epilogue=exit_texts.FLEET_STATUS)
async def status(database: str | None = None, /, *, options: StatusOptions = _STATUS) -> int:
    """Show which worker owns which shard, and how much waits there. Changes nothing.

    Args:
        database: Its URL, such as postgresql://user@host:5432/database. Without it: POLLWISE_POSTGRES.
        options: What to show.
    """
    place = database_of(database)
    from pollwise.cli.fleet_status import run_status

    return await run_status(place, options)


@app.command(name="demo", help_epilogue=exit_texts.FLEET_DEMO)
async def demo(*, jobs: Count = 400, seconds: Duration = 9.0, options: EventOptions = _EVENTS) -> int:
    """Kill a worker while you watch: three workers, a database and a simulator.

    Starts a PostgreSQL server and three workers, submits jobs of both vendors,
    and kills one worker with SIGKILL. Other workers take its shards. All ends
    with the command, within about half a minute.

    Args:
        jobs: How many jobs.
        seconds: Duration of the longest job.
        options: What to show.
    """
    from pollwise.cli.fleet_demo import run_fleet_demo

    return await run_fleet_demo(jobs=jobs, seconds=seconds, options=options)
