"""`pollwise fleet submit`: records the jobs of a file in a database, for workers to watch.

Rule 1: nothing is submitted before all rows are read and are right, as in `batch`.
Rule 2: a job is on disk when it is counted. An interrupted command is run again, and known jobs stay as they are.
Rule 3: outcomes that are waited for are shown, and not acknowledged. They are for the consumers of the application.
"""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any, Final

import attrs
from rich.text import Text

from pollwise.cli.batch_options import form_of
from pollwise.cli.event_text import AnyEndpoint, counts_line, view_of
from pollwise.cli.exit_status import ExitStatus, exit_status_for
from pollwise.cli.fleet_options import FleetNames, SubmitOptions
from pollwise.cli.job_table import JobTable
from pollwise.cli.ledger_place import DatabaseUrl, in_database
from pollwise.cli.read_jobs import read_jobs
from pollwise.cli.safe_text import counted, safe
from pollwise.cli.screen import open_screen
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.terminal import print_note

if TYPE_CHECKING:
    from pollwise.fleet import Client, PostgresLedger

__all__ = ["run_submit"]

_WAITED_FOR: Final = 1_000  # outcomes at a time
_RANK: Final = (ExitStatus.SUCCEEDED, ExitStatus.FAILED)  # then all others, which are of abandoned jobs


@attrs.frozen(kw_only=True)
class _Submitted:
    """What was submitted of one endpoint: all different jobs of the file, and how many of them are new."""

    endpoint: str
    account: str
    jobs: int
    new: int


async def run_submit(place: DatabaseUrl, jobs: str, names: FleetNames, options: SubmitOptions) -> ExitStatus:
    """Submit the jobs of the file (`-` is stdin).

    Raises:
        UsageError: JOBS or the options are not valid, or the extra `postgres` is not installed; nothing was submitted.
        ConfigurationError: The URL of the database is malformed, or an option cannot be right.
        LedgerError: The database cannot be opened, or a write failed.
    """
    in_database()
    from pollwise.fleet import Client, PostgresLedger, fleet_status  # noqa: PLC0415  it needs the extra

    form = form_of(jobs, options.form)
    known = names.names(options.account, quiet=options.quiet, credentials=False)
    if options.endpoint is not None:
        known.find(options.endpoint)
    with JobTable() as table:
        await read_jobs(jobs, form, options.endpoint, table, known.form)
        endpoints = [known.endpoint(name) for name in table.endpoints]
        async with PostgresLedger(place.dsn) as store:
            clients: list[tuple[AnyEndpoint, Client[Any, Any]]] = []
            done: list[_Submitted] = []
            for endpoint in endpoints:
                client: Client[Any, Any] = Client(store, endpoint, split=options.split)
                new = await client.submit_many(_jobs(endpoint, table), timeout_s=options.timeout)
                count = table.endpoints[endpoint.name]
                done.append(_Submitted(endpoint=endpoint.name, account=endpoint.account, jobs=count, new=new))
                clients.append((endpoint, client))
            await _show(done, store, options)
            live = [worker for worker in (await fleet_status(store)).workers if worker.is_live]
            if not live and done and not options.quiet:
                print_note("pollwise: no worker is there to watch them; start one with: pollwise fleet worker DATABASE")
            if not options.wait:
                return ExitStatus.SUCCEEDED
            return await _wait(clients, table, options)


def _jobs(endpoint: AnyEndpoint, table: JobTable) -> Iterator[Any]:
    return map(endpoint.codec.job_from_keys, table.jobs(endpoint.name))


async def _show(done: Sequence[_Submitted], store: PostgresLedger, options: SubmitOptions) -> None:
    jobs, new = sum(one.jobs for one in done), sum(one.new for one in done)
    if options.writes_documents:
        fields = {
            "database": store.where,
            "jobs": jobs,
            "new": new,
            "known": jobs - new,
            "endpoints": [{**attrs.asdict(one), "known": one.jobs - one.new} for one in done],
        }
        await options.writer(stream=options.wait).line(json.dumps(fields, ensure_ascii=True))
    elif not options.quiet:
        text = f"{counted(jobs, 'job')}: {new:,} new, {jobs - new:,} known; in {safe(store.where)}"
        await StdoutWriter().line(text if jobs else "There are no jobs.")


async def _wait(
    clients: Iterable[tuple[AnyEndpoint, Client[Any, Any]]], table: JobTable, options: SubmitOptions
) -> ExitStatus:
    """Show the outcomes. Returns the worst exit status."""
    counts: Counter[str] = Counter()
    worst = ExitStatus.SUCCEEDED
    screen = open_screen(json=options.writes_documents, quiet=True, output=options.writer())
    async with screen:
        for endpoint, client in clients:
            jobs = _jobs(endpoint, table)
            while some := list(islice(jobs, _WAITED_FOR)):
                async with asyncio.TaskGroup() as group:
                    waiting = [group.create_task(client.outcome(job), name="pollwise outcome") for job in some]
                for task in waiting:
                    outcome = task.result()
                    counts[view_of(outcome).state] += 1
                    worst = max(worst, exit_status_for(outcome), key=_rank)
                    await screen.show(endpoint, outcome)
        if not options.quiet:
            await screen.print_text(counts_line(counts) if counts else Text("There are no jobs."))
    return worst if worst in _RANK else ExitStatus.ABANDONED


def _rank(status: ExitStatus) -> int:
    return _RANK.index(status) if status in _RANK else len(_RANK)
