"""`pollwise fleet worker`: watches the jobs of the shards that it takes, until a signal.

Rule 1: the first Ctrl-C or SIGTERM drains: no new poll is sent, and the shards are given to other workers. A second one ends the
process at once (run.py), which costs other workers a second.
Rule 2: a shard that this worker cannot serve is left to others, and told once: its endpoint is unknown, it has no credentials, or
the shard is of another account. The credentials of one account are never sent for the jobs of another one.
Rule 3: a line on stderr for each shard that is taken, lost or released, unless --quiet is given.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
from collections.abc import Callable, Iterator
from typing import Final

from pollwise.cli.batch_options import budget_of, moved_origins
from pollwise.cli.connections import GRACE_S, RETRY, transport_for
from pollwise.cli.endpoint_names import EndpointNames
from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.fleet_options import FleetNames, WorkerOptions
from pollwise.cli.ledger_place import DatabaseUrl, in_database
from pollwise.cli.safe_text import safe
from pollwise.cli.terminal import print_note
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError
from pollwise.ledger import Shard
from pollwise.model.limits import Limits

__all__ = ["endpoint_maker", "run_worker"]

_WORKER_LOG: Final = "pollwise.fleet.worker"
_STDIN: Final = 0
_PARENT_ENDED: Final = 1
_RELEASE_S: Final = 15.0  # for the last writes, after the replies


async def run_worker(place: DatabaseUrl, names: FleetNames, options: WorkerOptions) -> ExitStatus:
    """Watch until a signal.

    Raises:
        UsageError: An option is not valid, or the extra `postgres` is not installed.
        ConfigurationError: The URL of the database is malformed, or an option cannot be right.
        LedgerError: The database cannot be opened.
    """
    in_database()  # a missing extra has a message of its own
    from pollwise.fleet import PostgresLedger, Worker  # noqa: PLC0415  it needs the extra

    known = names.names(options.account, quiet=True, credentials=True)
    make = endpoint_maker(known)

    def budget_for(shard: Shard) -> RateBudget:
        return budget_of(options.rate, make(shard).documented_limit)

    pacing, moved = options.pacing(), sorted(moved_origins(options.moved_from))
    with _logged(quiet=options.quiet), _ended_with_stdin(wanted=options.end_with_stdin):
        async with (
            transport_for(options, connections=options.concurrency) as transport,
            PostgresLedger(place.dsn) as store,
            Worker(
                store,
                endpoint_for=make,
                ttl_s=options.ttl,
                name=options.name,
                drain_s=options.drain,
                budget_for=budget_for,
                pacing=pacing,
                retry=RETRY,
                not_found_grace_s=GRACE_S,
                transport=transport,
                limits=Limits(concurrency=options.concurrency),
                moved_from=moved,
            ) as worker,
        ):
            if not options.quiet:
                print_note(
                    f"pollwise: worker {safe(worker.name)} watches the jobs in {safe(store.where)}; Ctrl-C drains it"
                )
            running = asyncio.create_task(worker.run(), name="pollwise fleet worker")
            await _until_drained(running, worker.drain, drain_s=options.drain, quiet=options.quiet)
    return ExitStatus.SUCCEEDED


async def _until_drained(
    running: asyncio.Task[None], drain: Callable[[], None], *, drain_s: float, quiet: bool
) -> None:
    """Wait for the worker. The first cancellation drains it, and a second one ends it.

    If the database does not answer, nothing can be released. Then the process ends at once.
    """
    try:
        try:
            await asyncio.shield(running)
        except asyncio.CancelledError:
            task = asyncio.current_task()
            if running.done() or task is None:
                raise
            task.uncancel()
            if not quiet:
                print_note("pollwise: draining: other workers go on with its jobs. A second signal ends it at once.")
            drain()
            await asyncio.wait((running,), timeout=drain_s + _RELEASE_S)
            if not running.done():
                print_note("pollwise: the database does not answer, so the shards expire by themselves")
                os._exit(ExitStatus.OUTPUT)
            running.result()
    finally:
        running.cancel()
        await asyncio.wait((running,))


def endpoint_maker(names: EndpointNames) -> Callable[[Shard], AnyEndpoint]:
    """What makes the endpoint of a shard, once for each.

    It raises ConfigurationError for a shard that cannot be served here. The worker logs that text.
    """
    made: dict[Shard, AnyEndpoint] = {}

    def make(shard: Shard) -> AnyEndpoint:
        if shard not in made:
            ours = names.account_of(shard.endpoint)
            try:
                endpoint = names.endpoint(shard.endpoint)
            except UsageError as error:
                raise ConfigurationError(str(error)) from None
            if ours != shard.account:
                raise ConfigurationError(
                    f"this worker has the credentials of {_account(ours)}; name another one with --account or --account-of"
                )
            made[shard] = endpoint
        return made[shard]

    return make


def _account(name: str) -> str:
    return f"the account {safe(name, 60)}" if name else "the account without a name"


@contextlib.contextmanager
def _logged(*, quiet: bool) -> Iterator[None]:
    """Show the lines about shards while the block runs."""
    log = logging.getLogger(_WORKER_LOG)
    before = log.level
    if not quiet and not log.isEnabledFor(logging.INFO):
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.setLevel(before)


@contextlib.contextmanager
def _ended_with_stdin(*, wanted: bool) -> Iterator[None]:
    """End the process when stdin is closed. Other workers take its shards, as if it was killed.

    Raises:
        UsageError: stdin is no pipe.
    """
    if not wanted:
        yield
        return
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            ended = not os.read(_STDIN, 4096)
        except OSError:
            ended = True
        if ended:
            os._exit(_PARENT_ENDED)

    try:
        loop.add_reader(_STDIN, read)
    except (OSError, ValueError, NotImplementedError):
        raise UsageError("--end-with-stdin needs a pipe as stdin") from None
    try:
        yield
    finally:
        loop.remove_reader(_STDIN)
