"""`pollwise fleet demo`: three workers on a real PostgreSQL server, of which one is killed.

Rule 1: only the vendors' servers are simulated. The workers are processes of `pollwise fleet worker`.
Rule 2: the simulator refuses requests beyond the limit of each vendor's token, and counts them.
Rule 3: the demo succeeds if each job has its planned outcome once, and nothing was refused.
Rule 4: nothing stays behind, however the command ends: no process, no server, no folder.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any, Final

import attrs

from pollwise.cli.event_text import AnyEndpoint, counts_line, view_of
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.fleet_demo_processes import WorkerProcess, check_packages, database_server, worker_processes
from pollwise.cli.fleet_status import StatusFrame, is_live_terminal
from pollwise.cli.options import EventOptions
from pollwise.cli.safe_text import counted, duration
from pollwise.cli.stdout import StdoutWriter
from pollwise.cli.terminal import print_note
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.simulator import RateLimit, Simulator

if TYPE_CHECKING:
    from pollwise.fleet import Client, FleetStatus, PostgresLedger

__all__ = ["DemoResult", "run_fleet_demo"]

_WORKERS: Final = ("worker-1", "worker-2", "worker-3")
_SPLIT: Final = 3  # shards for each vendor
_LIMIT: Final = 100  # requests a second for each vendor's token
# Less than the limit: the next owner of a shard does not know what the killed one has sent in the same second.
_RATE: Final = 60
_OPTIONS: Final = (
    *("--ttl", "3s", "--rate", f"{_RATE}/s", "--interval", "0.5s", "--max-interval", "2s"),
    *("--profile", "none", "--proxy", "none"),
)
_SHORTEST: Final = 0.2  # job, as a share of the longest one
_KILLED_AFTER: Final = 0.3  # of the outcomes
_LOOK_S: Final = 0.05
_DRAW_S: Final = 0.25
_LIMIT_S: Final = 60.0
_FAILED_EVERY, _CANCELLED_EVERY = 7, 11


@attrs.frozen(kw_only=True)
class DemoResult:
    """How the demo ended.

    Attributes:
        jobs: How many jobs were submitted.
        outcomes: Their outcomes by name.
        lost: Jobs without an outcome.
        doubled: Jobs whose outcome was delivered more than once.
        wrong: Jobs with another outcome than the planned one.
        requests: Requests that the vendors have got.
        refused: Those that were beyond the limit: 429.
        killed: The worker that was killed.
        shards: How many shards it owned.
        takeover_s: Seconds until other workers owned them all. None if they never did.
        took_s: Seconds from the first job that was submitted to the last outcome.
    """

    jobs: int
    outcomes: dict[str, int]
    lost: int
    doubled: int
    wrong: int
    requests: int
    refused: int
    killed: str | None
    shards: int
    takeover_s: float | None
    took_s: float

    @property
    def is_good(self) -> bool:
        """Whether all is as it has to be."""
        is_taken_over = self.shards > 0 and self.takeover_s is not None
        return is_taken_over and not (self.lost or self.doubled or self.wrong or self.refused)

    def lines(self) -> Sequence[str]:
        """The table."""
        takeover = "none" if self.takeover_s is None else duration(self.takeover_s)
        rows = [
            ("jobs", f"{self.jobs:,} in {duration(self.took_s)}: {counts_line(self.outcomes).plain}"),
            ("lost", f"{self.lost:,}"),
            ("delivered twice", f"{self.doubled:,}"),
            ("wrong outcome", f"{self.wrong:,}"),
            ("refused (429)", f"{self.refused:,} of {counted(self.requests, 'request')}"),
            ("killed", f"{self.killed or 'none'}, which owned {counted(self.shards, 'shard')}"),
            ("taken over in", takeover),
        ]
        return [f"{name:<16}{text}" for name, text in rows]


async def run_fleet_demo(*, jobs: int, seconds: float, options: EventOptions) -> ExitStatus:
    """Run the demo with jobs of up to `seconds`. Returns SUCCEEDED if nothing was lost, doubled or refused.

    Raises:
        UsageError: A package is missing, or a process does not start.
        LedgerError: The database failed.
    """
    check_packages()
    shows = not (options.writes_documents or options.quiet)
    try:
        result = await _run(jobs, seconds, shows=shows)
    except asyncio.CancelledError:
        print_note("pollwise: stopped before the end of the demo. All that it started has ended.")
        raise
    if options.writes_documents:
        fields = {**attrs.asdict(result), "good": result.is_good}
        await options.writer(stream=False).line(json.dumps(fields, ensure_ascii=True))
    else:
        await StdoutWriter().line("\n".join(result.lines()))
    return ExitStatus.SUCCEEDED if result.is_good else ExitStatus.FAILED


async def _run(count: int, seconds: float, *, shows: bool) -> DemoResult:
    from pollwise.fleet import PostgresLedger  # noqa: PLC0415  it needs the extra
    from pollwise.ledger.postgres import migrate  # noqa: PLC0415

    if shows:
        await StdoutWriter().line(
            f"{counted(count, 'job')} of two vendors, which allow {_LIMIT} requests a second each; three workers; one is killed."
        )
    limit = RateLimit(
        limit=_LIMIT, per_s=1.0, window="sliding", headers="hidden", vendors={"document360", "oracle-content"}
    )
    async with database_server() as database, Simulator(rate_limit=limit) as simulator:
        await migrate(database)
        variables = {
            "DOCUMENT360_BASE_URL": simulator.document360_url,
            "DOCUMENT360_API_TOKEN": "of-the-demo",
            "ORACLE_CONTENT_BASE_URL": simulator.oracle_content_url,
            "ORACLE_CONTENT_TOKEN": "of-the-demo",
        }
        async with (
            worker_processes(_WORKERS, _OPTIONS, database, variables) as workers,
            PostgresLedger(database) as store,
        ):
            return await _Demo(store, simulator, workers, count, seconds, shows=shows).run()


class _Demo:
    def __init__(
        self,
        store: PostgresLedger,
        simulator: Simulator,
        workers: Sequence[WorkerProcess],
        count: int,
        seconds: float,
        *,
        shows: bool,
    ) -> None:
        self._store = store
        self._simulator = simulator
        self._workers = workers
        self._count = count
        self._seconds = seconds
        self._shows = shows
        self._live = shows and is_live_terminal()
        self._frame = StatusFrame("starting three workers")
        self._now = asyncio.get_running_loop().time
        self._began = self._now()
        self._planned: dict[Any, str] = {}
        self._delivered: Counter[Any] = Counter()
        self._outcomes: dict[Any, str] = {}
        self._killed: WorkerProcess | None = None
        self._shards = 0
        self._takeover_s: float | None = None

    async def run(self) -> DemoResult:
        async with self._screen():
            with contextlib.suppress(TimeoutError):  # the result says what is missing
                async with asyncio.timeout(_LIMIT_S + self._seconds):
                    await self._watch()
        log = self._simulator.requests
        return DemoResult(
            jobs=self._count,
            outcomes=dict(Counter(self._outcomes.values())),
            lost=self._count - len(self._outcomes),
            doubled=sum(times > 1 for times in self._delivered.values()),
            wrong=sum(self._planned[job] != outcome for job, outcome in self._outcomes.items()),
            requests=log.total,
            refused=log.refused,
            killed=None if self._killed is None else self._killed.name,
            shards=self._shards,
            takeover_s=self._takeover_s,
            took_s=self._now() - self._began,
        )

    async def _watch(self) -> None:
        """Submit, kill, and wait for all outcomes.

        Raises:
            UsageError: A worker has ended by itself.
            LedgerError: The database failed.
        """
        try:
            async with asyncio.TaskGroup() as group:
                await self._until(self._all_started)
                self._began = self._now()
                for client in await self._submit():
                    group.create_task(self._consume(client), name="pollwise demo consumer")
                await self._say(f"{counted(self._count, 'job')} submitted")
                await self._until(self._most_are_over)
                await self._kill(await self._look())
                await self._until(lambda _status: len(self._outcomes) == self._count)
        except* Exception as broken:  # noqa: BLE001  the first one is reported
            error = broken.exceptions[0]
            raise error from None

    # --- jobs and outcomes --------------------------------------------------------------------

    async def _submit(self) -> Sequence[Client[Any, Any]]:
        from pollwise.fleet import Client  # noqa: PLC0415  it needs the extra

        deletions: list[DeleteFileJob] = []
        extractions: list[ExtractionJob] = []
        for number in range(self._count):
            share = (number * 37 % 100) / 100
            length_s = self._seconds * (_SHORTEST + share * (1.0 - _SHORTEST))
            outcome: Any = "failed" if number % _FAILED_EVERY == 3 else "succeeded"
            if number % 2:
                extractions.append(ExtractionJob(f"archive-{number}.zip", f"ZX-{number}"))
                self._planned[extractions[-1]] = outcome
                self._simulator.add_extraction(
                    f"archive-{number}.zip", f"ZX-{number}", duration_s=length_s, outcome=outcome
                )
            else:
                outcome = "cancelled" if number % _CANCELLED_EVERY == 5 else outcome
                deletions.append(DeleteFileJob(f"folder-{number}"))
                self._planned[deletions[-1]] = outcome
                self._simulator.add_delete(f"folder-{number}", duration_s=length_s, outcome=outcome)
        clients: list[Client[Any, Any]] = []
        endpoints: Sequence[tuple[AnyEndpoint, Sequence[Any]]] = (
            (DeleteFileEndpoint(self._simulator.document360_url), deletions),
            (ExtractionEndpoint(self._simulator.oracle_content_url), extractions),
        )
        for endpoint, jobs in endpoints:
            client: Client[Any, Any] = Client(self._store, endpoint, split=_SPLIT)
            await client.submit_many(jobs, timeout_s=600.0)
            clients.append(client)
        return clients

    async def _consume(self, client: Client[Any, Any]) -> None:
        async with client.outcomes() as outcomes:
            async for delivery in outcomes:
                job = delivery.outcome.job
                self._delivered[job] += 1
                if await delivery.ack():
                    self._outcomes[job] = view_of(delivery.outcome).state

    # --- the kill -----------------------------------------------------------------------------

    async def _kill(self, status: FleetStatus) -> None:
        """Kill the worker that owns most shards, and wait until others own them."""
        owned = Counter(shard.owner for shard in status.shards)
        self._killed = max(self._workers, key=lambda worker: owned[worker.name])
        name = self._killed.name
        taken = {shard.shard for shard in status.shards if shard.owner == name}
        self._shards = len(taken)
        self._killed.kill()
        killed_at = self._now()
        await self._say(f"{name} is killed with SIGKILL; it owned {counted(len(taken), 'shard')}")

        def all_taken(now: FleetStatus) -> bool:
            owners = {shard.shard: shard.owner for shard in now.shards}
            return all(owners.get(shard) not in {None, name} for shard in taken)

        await self._until(all_taken)
        self._takeover_s = self._now() - killed_at
        await self._say(f"other workers own them after {duration(self._takeover_s)}")

    # --- looking ------------------------------------------------------------------------------

    def _all_started(self, status: FleetStatus) -> bool:
        return sum(worker.is_live for worker in status.workers) == len(self._workers)

    def _most_are_over(self, _status: FleetStatus) -> bool:
        return len(self._outcomes) >= _KILLED_AFTER * self._count

    async def _until(self, is_over: Callable[[FleetStatus], bool]) -> None:
        """Look at the fleet until this is true.

        Raises:
            UsageError: A worker has ended by itself.
        """
        while not is_over(await self._look()):
            for worker in self._workers:
                if worker.failure is not None:
                    raise UsageError(worker.failure)
            await asyncio.sleep(_LOOK_S)

    async def _look(self) -> FleetStatus:
        from pollwise.fleet import fleet_status  # noqa: PLC0415  it needs the extra

        status = await fleet_status(self._store)
        self._frame.show(status)
        return status

    # --- the screen ---------------------------------------------------------------------------

    async def _say(self, text: str) -> None:
        self._frame.head = text
        if self._shows and not self._live:
            await StdoutWriter().line(text)

    @contextlib.asynccontextmanager
    async def _screen(self) -> AsyncIterator[None]:
        """Rows on a terminal, which are removed at the end; lines elsewhere."""
        if not self._live:
            yield
            return
        live = self._frame.open()
        drawing = asyncio.create_task(_draw(live.draw), name="pollwise demo screen")
        try:
            yield
        finally:
            drawing.cancel()
            await asyncio.wait((drawing,))
            live.close(keep=True)


async def _draw(draw: Callable[[], None]) -> None:
    while True:
        await asyncio.sleep(_DRAW_S)
        draw()
