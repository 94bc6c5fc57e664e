"""`pollwise batch`: watches all jobs of a file to their outcomes. It can be interrupted and continued.

Rule 1: no request is sent before the rows, the secrets, the output paths and the ledger are checked.
Rule 2: only the ledger records the progress. A job that is over is never polled again. The next run watches an
abandoned job again.
Rule 3: an interrupted batch loses nothing and prints how to continue. The result file is only written whole.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, aclosing
from functools import partial
from pathlib import Path
from typing import Any

import attrs
from rich.text import Text

from pollwise.cli.atomic_file import check_writable
from pollwise.cli.batch_options import BatchOptions
from pollwise.cli.batch_progress import BatchProgress
from pollwise.cli.batch_screen import PlainBatch, counts_text, open_batch_screen
from pollwise.cli.batch_transport import BatchTransport
from pollwise.cli.connections import GRACE_S, RETRY, transport_for
from pollwise.cli.credential_variables import credential_variables
from pollwise.cli.error_text import error_text
from pollwise.cli.event_text import ENDED, AnyEndpoint, AnyOutcome
from pollwise.cli.exec_command import ExecOptions
from pollwise.cli.exit_status import ExitStatus, exit_status_of
from pollwise.cli.fail_fast import UnsuccessfulJob, known_failure, unsuccessful
from pollwise.cli.fresh_ledger import start_over
from pollwise.cli.job_table import JobTable
from pollwise.cli.ledger_commands import reason_texts, summarize
from pollwise.cli.ledger_place import OpenLedger, file_of, open_place
from pollwise.cli.metrics_server import AddWatcher, metrics_served
from pollwise.cli.observed_ledger import ObservedLedger
from pollwise.cli.origin_checks import check_job_origins, check_urls
from pollwise.cli.rate_notice import notice_of_rate
from pollwise.cli.read_jobs import read_jobs
from pollwise.cli.report import write_report
from pollwise.cli.result_file import write_results
from pollwise.cli.run_times import run_recorded
from pollwise.cli.safe_text import counted, duration, safe
from pollwise.cli.screen import Screen
from pollwise.cli.terminal import print_note
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import AuthenticationError, LedgerWriteFailed, OriginChanged, SetupError
from pollwise.ledger import LedgerError
from pollwise.model.events import Abandoned
from pollwise.model.limits import Limits
from pollwise.watcher import JobWatcher

__all__ = ["batch_exit_status", "batch_facts", "run_batch"]

_MOST_REASONS = 5
_LEDGER_PATIENCE_S = 60.0  # time to free space on a full disk
_CONTINUE = "Run the same command to continue"
_WITHOUT_FAIL_FAST = "Run the command without --fail-fast to continue"
_NO_EXEC = ExecOptions()
_OUTCOMES = {ExitStatus.SUCCEEDED: "succeeded", ExitStatus.FAILED: "failed", ExitStatus.ABANDONED: "abandoned"}


async def run_batch(jobs: str, options: BatchOptions, at_end: ExecOptions = _NO_EXEC) -> ExitStatus:
    """Watch the jobs of the file (`-` is stdin), then run the command of `--exec`.

    Raises:
        UsageError: JOBS or the options are not valid; no request was sent.
        LedgerError: The ledger cannot be opened, or a write during the batch failed.
        OSError: The result file, the report or stdout cannot be written.
    """
    command = at_end.parsed()
    form, ledger_path = options.form_of(jobs), options.ledger_of(jobs)
    options.check_files(jobs)
    options.pacing()
    transport_for(options)  # an option that cannot be used is found before the rows are read
    moved, names = options.moved(), options.names()
    with JobTable() as job_table:
        await read_jobs(jobs, form, options.endpoint, job_table, names.form)
        endpoints = [names.endpoint(name) for name in job_table.endpoints]
        for path in (options.out, options.report):
            if path is not None:
                check_writable(path)
        check_urls(endpoints, job_table, allow_plain_http=options.allow_plain_http)
        if options.fresh:
            accounts = {endpoint.name: endpoint.account for endpoint in endpoints}
            await start_over(options.file_to_move(jobs), job_table, accounts, taken=options.written_files())
        async with open_place(ledger_path) as ledger:
            await check_job_origins(endpoints, job_table, ledger, moved)
            counts = job_table.endpoints
            budgets = {endpoint.name: options.budget(endpoint.documented_limit) for endpoint in endpoints}
            began_at = asyncio.get_running_loop().time()
            progress = BatchProgress(sum(counts.values()), counts, began_at, jobs=counts, budgets=budgets)
            status = await _Batch(jobs, options, job_table, endpoints, ledger, progress, budgets).run()
    if command is None:
        return status
    files = options.files_of(jobs, complete=progress.ended == progress.total)
    facts = batch_facts(progress, asyncio.get_running_loop().time(), files)
    return await command.run(status, facts, credential_variables(endpoints))


@attrs.frozen
class _Batch:
    """One run of a batch, after its rows, output paths and ledger were checked."""

    jobs: str
    options: BatchOptions
    job_table: JobTable
    endpoints: Sequence[AnyEndpoint]
    ledger: OpenLedger
    progress: BatchProgress
    budgets: Mapping[str, RateBudget]

    async def run(self) -> ExitStatus:
        progress, now = self.progress, asyncio.get_running_loop().time
        if self.options.fail_fast:
            known = await known_failure(self.endpoints, self.job_table, self.ledger, progress)
            if known is not None:
                self._print_failure(known, "; nothing was sent")
                await self._stop_early(progress, _WITHOUT_FAIL_FAST)
                return known.status
        screen = open_batch_screen(
            progress,
            self.budgets,
            json=self.options.writes_documents,
            quiet=self.options.quiet,
            output=self.options.writer(),
        )
        try:
            async with (
                run_recorded(file_of(self.options.ledger_of(self.jobs))),
                metrics_served(self.options.metrics_port, self.options.metrics_host) as add,
                screen,
            ):
                await self._watch(progress, self.budgets, screen, add)
            await self._write()
        except UnsuccessfulJob as job:
            self._print_failure(job)
            await self._stop_early(progress, _WITHOUT_FAIL_FAST)
            return job.status
        except asyncio.CancelledError:
            await self._stop_early(progress)
            raise
        except LedgerError:
            self._print_how_to_continue(progress)
            raise
        except (AuthenticationError, SetupError) as error:
            _print_to_stderr(safe(error_text(error)))
            await self._stop_early(progress)
            return exit_status_of(error)
        await self._print_summary(progress, screen, now() - progress.began_at)
        return batch_exit_status(progress)

    # --- watching -----------------------------------------------------------------------------

    async def _watch(
        self, progress: BatchProgress, budgets: Mapping[str, RateBudget], screen: Screen, add: AddWatcher
    ) -> None:
        ledger = ObservedLedger(self.ledger, progress, asyncio.get_running_loop().time)
        try:
            async with asyncio.TaskGroup() as group:
                for endpoint in self.endpoints:
                    work = self._follow(endpoint, ledger, progress, budgets[endpoint.name], screen, add)
                    group.create_task(work, name=f"pollwise batch {endpoint.name}")
        except* Exception as broken:  # noqa: BLE001  the first one is reported
            error = broken.exceptions[0]
            raise error from None

    async def _follow(
        self,
        endpoint: AnyEndpoint,
        ledger: ObservedLedger,
        progress: BatchProgress,
        budget: RateBudget,
        screen: Screen,
        add: AddWatcher,
    ) -> None:
        options = self.options
        transport = transport_for(options, connections=options.concurrency)
        batch_transport = BatchTransport(endpoint.name, transport, progress.request_counters[endpoint.name])
        watcher: JobWatcher[Any, Any] = JobWatcher(
            endpoint,
            timeout_s=options.timeout,
            pacing=options.pacing(),
            retry=RETRY,
            not_found_grace_s=GRACE_S,
            transport=batch_transport,
            budget=budget,
            limits=Limits(concurrency=options.concurrency),
            ledger=ledger,
            ledger_patience_s=_LEDGER_PATIENCE_S,
            moved_from=options.moved(),
        )
        add(watcher)
        async with transport, watcher:
            jobs = map(endpoint.codec.job_from_keys, self.job_table.jobs(endpoint.name))
            ends_batch = partial(self._ends_batch, endpoint, progress)
            outcomes = _show_outcomes(watcher, jobs, endpoint, screen, ends_batch)
            async with AsyncExitStack() as stack:
                if isinstance(screen, PlainBatch):
                    documented, is_option = endpoint.documented_limit, options.rate is not None
                    await stack.enter_async_context(notice_of_rate(watcher, budget, documented, is_option=is_option))
                await _run_unless_failed(batch_transport.fatal_error, outcomes)

    def _ends_batch(
        self, endpoint: AnyEndpoint, progress: BatchProgress, outcome: AnyOutcome
    ) -> UnsuccessfulJob | None:
        """What ends the batch if this outcome does."""
        if not self.options.fail_fast or progress.ended == progress.total:
            return None
        return unsuccessful(endpoint, outcome)

    # --- the end ------------------------------------------------------------------------------

    async def _write(self) -> None:
        """Write the result file and the report."""
        if self.options.out is not None:
            accounts = {endpoint.name: endpoint.account for endpoint in self.endpoints}
            await write_results(self.options.out, self.job_table, self.ledger, accounts)
        await self._report()

    async def _report(self) -> None:
        if self.options.report is not None:
            summary, ledger = await summarize(self.ledger), self.options.ledger_of(self.jobs)
            write_report(self.options.report, summary, self.jobs, ledger, damaged=len(self.ledger.damaged))

    async def _print_summary(self, progress: BatchProgress, screen: Screen, took_s: float) -> None:
        """Print the counts, the commonest reasons and the names of the written files."""
        polls = sum(counter.sent for counter in progress.request_counters.values())
        known = f", {progress.known:,} of them in earlier runs" if progress.known else ""
        text = Text(f"{counted(progress.total, 'job')} in {duration(took_s)}{known}: ").append(counts_text(progress))
        text.append(f". {counted(polls, 'request')}.")
        await screen.print_text(text if progress.total else Text("There are no jobs."))
        if progress.ended > progress.counts["succeeded"] and not self.options.writes_documents:
            for reason in reason_texts(await summarize(self.ledger), _MOST_REASONS):
                await screen.print_text(reason)
        for name, path in (("results", self.options.out), ("report", self.options.report)):
            if path is not None:
                await screen.print_text(Text(f"{name}: {safe(path)}"))
        if progress.counts["abandoned"]:
            await screen.print_text(Text("Run the same command to watch the abandoned jobs again."))

    async def _stop_early(self, progress: BatchProgress, advice: str = _CONTINUE) -> None:
        """Print how to continue, and write the report."""
        self._print_how_to_continue(progress, advice)
        await self._report()
        if self.options.report is not None:
            _print_to_stderr(f"the report so far is {safe(self.options.report)}")

    def _print_how_to_continue(self, progress: BatchProgress, advice: str = _CONTINUE) -> None:
        ledger = shlex.quote(safe(self.options.ledger_of(self.jobs)))
        are = "is" if 1 in {progress.ended, progress.total} else "are"
        abandoned = f", {progress.counts['abandoned']:,} of them abandoned" if progress.counts["abandoned"] else ""
        others = "" if progress.ended == progress.total else "; the others may still be running"
        _print_to_stderr(
            f"{progress.ended:,} of {counted(progress.total, 'job')} {are} over{abandoned}{others}."
            f" {advice}; `pollwise ledger export {ledger}` has the known outcomes."
        )

    def _print_failure(self, job: UnsuccessfulJob, more: str = "") -> None:
        out = f"; {safe(self.options.out)} is not written" if self.options.out is not None else ""
        _print_to_stderr(f"--fail-fast ended the batch{more}{out}: {job.text}")


def _print_to_stderr(text: str) -> None:
    print_note(f"pollwise: {text}")


async def _show_outcomes(
    watcher: JobWatcher[Any, Any],
    jobs: Iterator[Any],
    endpoint: AnyEndpoint,
    screen: Screen,
    ends_batch: Callable[[AnyOutcome], UnsuccessfulJob | None],
) -> None:
    async with aclosing(watcher.as_completed(jobs)) as outcomes:
        async for outcome in outcomes:
            if isinstance(outcome, Abandoned) and isinstance(outcome.error, LedgerWriteFailed):
                raise outcome.error.__cause__ or outcome.error
            if isinstance(outcome, Abandoned) and isinstance(outcome.error, (OriginChanged, SetupError)):
                raise outcome.error
            await screen.show(endpoint, outcome)
            job = ends_batch(outcome)
            if job is not None:
                raise job


async def _run_unless_failed(fatal_error: asyncio.Future[None], work: Coroutine[Any, Any, None]) -> None:
    """Do the work until it ends or `fatal_error` fails, and raise the error of either."""
    task = asyncio.create_task(work, name="pollwise batch outcomes")
    try:
        await asyncio.wait((task, fatal_error), return_when=asyncio.FIRST_COMPLETED)
        (fatal_error if fatal_error.done() else task).result()
    finally:
        task.cancel()
        await asyncio.wait((task,))
        for future in (task, fatal_error):  # if both fail at once, one error is raised and the other is only retrieved
            if not future.cancel() and not future.cancelled():
                future.exception()


def batch_facts(progress: BatchProgress, now: float, files: Mapping[str, Path]) -> dict[str, str]:
    """The environment variables about a batch for the command of `--exec`. `files` are its files by variable."""
    is_over = progress.ended == progress.total
    outcome = _OUTCOMES[batch_exit_status(progress)] if is_over else "stopped"
    return {
        "POLLWISE_COMMAND": "batch",
        "POLLWISE_OUTCOME": outcome,
        "POLLWISE_ELAPSED_S": f"{now - progress.began_at:.3f}",
        "POLLWISE_JOBS": f"{progress.total}",
        **{f"POLLWISE_{state.upper()}": f"{progress.counts[state]}" for state in sorted(ENDED)},
        **{name: os.path.realpath(path) for name, path in files.items()},
    }


def batch_exit_status(progress: BatchProgress) -> ExitStatus:
    """The exit status of a batch. One abandoned job makes it ABANDONED, also if other jobs failed."""
    if progress.counts["abandoned"]:
        return ExitStatus.ABANDONED
    return ExitStatus.SUCCEEDED if progress.counts["succeeded"] == progress.total else ExitStatus.FAILED
