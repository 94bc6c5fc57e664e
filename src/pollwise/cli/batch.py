"""`pollwise batch`: all jobs of a file, to their outcomes, however often it is interrupted.

Rule 1: nothing is sent before everything that can be checked was: rows, secrets, places to write to, the ledger.
Rule 2: the ledger alone knows how far it got. A job that is over is never asked about again; one that was abandoned is
taken up again by the next run.
Rule 3: whoever ends it early loses nothing, and is told how to go on. The result file is only ever written whole.
"""

from __future__ import annotations

import asyncio
import shlex
import sys
from collections.abc import Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing
from typing import Any

import attrs
from rich.text import Text

from pollwise.cli import vendors
from pollwise.cli.atomic_file import probe
from pollwise.cli.batch_options import BatchOptions
from pollwise.cli.batch_progress import Board
from pollwise.cli.batch_screen import counts_text, open_batch_screen
from pollwise.cli.batch_transport import Gate
from pollwise.cli.event_text import AnyEndpoint
from pollwise.cli.exit_status import Exit, UsageError
from pollwise.cli.job_table import Asked
from pollwise.cli.ledger_commands import reason_texts, tally_of
from pollwise.cli.observed_ledger import WitnessedLedger
from pollwise.cli.origin_checks import check_places, check_urls
from pollwise.cli.read_jobs import take_in
from pollwise.cli.report import write_report
from pollwise.cli.result_file import write_results
from pollwise.cli.safe_text import duration, safe
from pollwise.cli.screen import Screen
from pollwise.core.pacing import Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import AuthenticationError, LedgerWriteFailed, OriginChanged
from pollwise.http.transport import AiohttpTransport
from pollwise.ledger import LedgerError, SqliteLedger
from pollwise.model.events import Abandoned
from pollwise.model.limits import Limits
from pollwise.watcher import JobWatcher

__all__ = ["exit_for_all", "run_batch"]

_MOST_REASONS = 5
_LEDGER_PATIENCE_S = 60.0  # so long room can be made on a full disk
_PATIENCE = Retry(outage_s=1800.0)  # a batch may run overnight: half an hour of outage abandons no job


async def run_batch(jobs: str, options: BatchOptions) -> Exit:
    """Watch the jobs of the file (`-` is stdin).

    Raises:
        UsageError: Something is wrong with JOBS or the options; nothing was sent.
        LedgerError: The ledger cannot be used, or could not be written on the way.
        OSError: What was asked for cannot be written.
    """
    form, ledger_path = options.form_of(jobs), options.ledger_of(jobs)
    options.check_files(jobs)
    options.pacing()
    moved = options.moved()
    with Asked() as asked:
        await take_in(jobs, form, options.endpoint, asked)
        endpoints = [_endpoint(name, options) for name in asked.endpoints]
        for path in (options.out, options.report):
            if path is not None:
                probe(path)
        check_urls(endpoints, asked, allow_plain_http=options.allow_plain_http)
        async with SqliteLedger(ledger_path) as ledger:
            await check_places(endpoints, asked, ledger, moved)
            return await _Batch(jobs, options, asked, endpoints, ledger).run()


def _endpoint(name: str, options: BatchOptions) -> AnyEndpoint:
    url = {"document360": options.document360_url, "oracle-content": options.oracle_content_url}[name]
    if not url:
        variable = f"{name.upper().replace('-', '_')}_BASE_URL"
        raise UsageError(f"there are jobs of {name}: say where it is with --{name}-url, or set {variable}")
    make = vendors.document360 if name == "document360" else vendors.oracle_content
    return make(url, options.account)


@attrs.frozen
class _Batch:
    """One run of a batch whose rows, places and ledger are good."""

    jobs: str
    options: BatchOptions
    asked: Asked
    endpoints: Sequence[AnyEndpoint]
    ledger: SqliteLedger

    async def run(self) -> Exit:
        jobs, now = self.asked.endpoints, asyncio.get_running_loop().time
        budgets = {endpoint.name: self.options.budget(endpoint.documented_limit) for endpoint in self.endpoints}
        board = Board(sum(jobs.values()), jobs, now())
        screen = open_batch_screen(board, budgets, json=self.options.json)
        try:
            async with screen:
                await self._watch(board, budgets, screen)
            await self._write()
        except asyncio.CancelledError:
            await self._leave(board)
            raise
        except LedgerError:
            self._advise(board)
            raise
        except AuthenticationError as error:
            print(f"pollwise: {safe(error)}", file=sys.stderr)
            await self._leave(board)
            return Exit.ABANDONED
        await self._tell(board, screen, now() - board.began_at)
        return exit_for_all(board)

    # --- watching -----------------------------------------------------------------------------

    async def _watch(self, board: Board, budgets: Mapping[str, RateBudget], screen: Screen) -> None:
        ledger = WitnessedLedger(self.ledger, board, asyncio.get_running_loop().time)
        try:
            async with asyncio.TaskGroup() as group:
                for endpoint in self.endpoints:
                    work = self._follow(endpoint, ledger, board, budgets[endpoint.name], screen)
                    group.create_task(work, name=f"pollwise batch {endpoint.name}")
        except* Exception as broken:  # noqa: BLE001  one of them says it all
            error = broken.exceptions[0]
            raise error from None

    async def _follow(
        self, endpoint: AnyEndpoint, ledger: WitnessedLedger, board: Board, budget: RateBudget, screen: Screen
    ) -> None:
        options = self.options
        transport = AiohttpTransport(connections=options.concurrency, allow_plain_http=options.allow_plain_http)
        gate = Gate(endpoint.name, transport, board.traffic[endpoint.name])
        watcher: JobWatcher[Any, Any] = JobWatcher(
            endpoint,
            timeout_s=options.timeout,
            pacing=options.pacing(),
            retry=_PATIENCE,
            transport=gate,
            budget=budget,
            limits=Limits(concurrency=options.concurrency),
            ledger=ledger,
            ledger_patience_s=_LEDGER_PATIENCE_S,
            moved_from=options.moved(),
        )
        async with transport, watcher:
            jobs = map(endpoint.codec.job_from_keys, self.asked.jobs(endpoint.name))
            await _unless(gate.trouble, _show(watcher, jobs, endpoint, screen))

    # --- the end ------------------------------------------------------------------------------

    async def _write(self) -> None:
        """What is only written once everything is known, and what is always written."""
        if self.options.out is not None:
            await write_results(self.options.out, self.asked, self.ledger, self.options.account)
        await self._report()

    async def _report(self) -> None:
        if self.options.report is not None:
            write_report(self.options.report, await tally_of(self.ledger), self.jobs)

    async def _tell(self, board: Board, screen: Screen, took_s: float) -> None:
        """A person is told how it ended."""
        polls = sum(traffic.sent for traffic in board.traffic.values())
        known = f", {board.known:,} of them before" if board.known else ""
        text = Text(f"{board.total:,} jobs in {duration(took_s)}{known}: ").append(counts_text(board))
        text.append(f". {polls:,} requests.")
        await screen.say(text if board.total else Text("There are no jobs."))
        if board.ended > board.counts["succeeded"] and not self.options.json:
            for reason in reason_texts(await tally_of(self.ledger), _MOST_REASONS):
                await screen.say(reason)
        for what, path in (("results", self.options.out), ("report", self.options.report)):
            if path is not None:
                await screen.say(Text(f"{what}: {safe(path)}"))
        if board.counts["abandoned"]:
            await screen.say(Text("The same command looks at those again that were abandoned."))

    async def _leave(self, board: Board) -> None:
        """Somebody, or something, ends it early."""
        self._advise(board)
        await self._report()

    def _advise(self, board: Board) -> None:
        ledger = shlex.quote(safe(self.options.ledger_of(self.jobs)))
        others = "" if board.ended == board.total else "; the others may still be running"
        print(
            f"pollwise: {board.ended:,} of {board.total:,} jobs are over{others}."
            f" The same command goes on from here, and `pollwise ledger export {ledger}` has what is known.",
            file=sys.stderr,
            flush=True,
        )


async def _show(watcher: JobWatcher[Any, Any], jobs: Iterator[Any], endpoint: AnyEndpoint, screen: Screen) -> None:
    async with aclosing(watcher.as_completed(jobs)) as outcomes:
        async for outcome in outcomes:
            if isinstance(outcome, Abandoned) and isinstance(outcome.error, LedgerWriteFailed):
                raise outcome.error.__cause__ or outcome.error
            if isinstance(outcome, Abandoned) and isinstance(outcome.error, OriginChanged):
                raise outcome.error
            await screen.show(endpoint, outcome)


async def _unless(trouble: asyncio.Future[None], work: Coroutine[Any, Any, None]) -> None:
    """Do the work, unless there is trouble first."""
    task = asyncio.create_task(work, name="pollwise batch outcomes")
    try:
        await asyncio.wait((task, trouble), return_when=asyncio.FIRST_COMPLETED)
        (trouble if trouble.done() else task).result()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        for future in (task, trouble):  # of two that fail at once, one is told
            if not future.cancel() and not future.cancelled():
                future.exception()


def exit_for_all(board: Board) -> Exit:
    """The exit status of a batch: that a job was lost sight of says more than that another one failed."""
    if board.counts["abandoned"]:
        return Exit.ABANDONED
    return Exit.SUCCEEDED if board.counts["succeeded"] == board.total else Exit.FAILED
