"""JobWatcher: watches jobs of one endpoint, one or a hundred thousand, by the same road.

Rule 1: it owns what it opens: the transport that was not handed in, the pollers, the watches. Leaving its
`async with` ends all of them, however it is left. A ledger is handed in open, and never closed here.
Rule 2: the same job watched twice while it is open is asked once.
Rule 3: with a ledger a watch takes one more step at either end: its row before it is asked about, its outcome before
anybody is told. In between it takes the same road as without.
"""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections.abc import AsyncIterable, AsyncIterator, Callable, Collection, Hashable, Iterable
from contextlib import aclosing
from functools import partial
from operator import itemgetter
from types import TracebackType
from typing import Generic, Self, TypeVar

from pollwise.core.forecast import Forecast
from pollwise.core.identity import Origins, checked_account, origins_of
from pollwise.core.machine import StepResult, WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.durable import MachineFactory, Patience, Recorder, WatchRows, on_machine_end
from pollwise.durable.codec import check_codec
from pollwise.durable.delivery import Deliveries
from pollwise.durable.resume import Stagger, learn_durations, resume_all
from pollwise.durable.resume_token import read_token, write_token
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.http.transport import AiohttpTransport
from pollwise.ledger import Ledger
from pollwise.model.abilities import with_defaults
from pollwise.model.events import Outcome
from pollwise.model.limits import Limits
from pollwise.model.protocols import EndpointLike, Transport
from pollwise.runtime.batch import Batch
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.fairness import STEPS, Yielder
from pollwise.runtime.options import check_parts, check_seconds, policy_for
from pollwise.runtime.watch import Watch

__all__ = ["JobWatcher"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_AHEAD = 4_000  # jobs that may be ahead of the ledger: enough for the next call while one is under way


class JobWatcher(Generic[J, S]):
    """Asks a status endpoint, politely and cleverly, until jobs are over.

    Use it as an async context manager; watches live inside its block.

        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            status = await watcher.watch(job)

    Args:
        endpoint: The status call: how to ask and how to read.
        timeout_s: Longest duration of each watch in seconds. None waits for ever: a decision, never a default.
        pacing: When to ask again after a good poll.
        retry: When to ask again after a poll that taught nothing, and when to give up.
        transport: What sends; yours to close. By default an `AiohttpTransport` that the watcher opens and closes.
        budget: The token's rate limit; share one between all watchers that use the same token. By default what
            the endpoint's vendor documents until the server says otherwise, or what the server's replies teach.
        limits: How much it does at a time: requests in flight, open watches, and the time for one request.
        not_found_grace_s: How long a 404 may only mean "not visible yet", in seconds. It takes three polls at least. A
            job that was seen before has `Retry.outage_s`.
        confirmations: How many more polls confirm an answer that looks over but is not final. 0 believes the first.
        confirm_s: The shortest time over which these polls are spread, in seconds. By default 60, or a tenth of
            `timeout_s` where that is shorter.
        longest_hint_s: The longest wait that a server may ask for in a header field, in seconds. After a longer one, one
            poll asks then, or after half of the time that is left.
        heartbeat_s: Report an unchanged status, too, when nothing was reported for this long. None for never.
        ledger: Where watches are written down, so that none is lost in a crash: open, and yours to close, after the
            watcher. See `record`, `resume` and `outcomes`.
        ledger_patience_s: How long a call of the ledger that fails is made again, in seconds: it may be locked or full
            for some time. Then a watch whose row or outcome could not be written ends with `LedgerWriteFailed`, and
            other calls raise the ledger's error.
        moved_from: URLs at which the API was before, such as `"https://old.example.com"`. What was asked there is taken
            up where the endpoint asks now; without it, that is refused with `OriginChanged`.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    def __init__(
        self,
        endpoint: EndpointLike[J, S],
        *,
        timeout_s: float | None,
        pacing: Pacing | None = None,
        retry: Retry | None = None,
        transport: Transport | None = None,
        budget: RateBudget | None = None,
        limits: Limits | None = None,
        not_found_grace_s: float = 30.0,
        confirmations: int = 2,
        confirm_s: float | None = None,
        longest_hint_s: float = 3600.0,
        heartbeat_s: float | None = None,
        ledger: Ledger | None = None,
        ledger_patience_s: float = 60.0,
        moved_from: str | Collection[str] = (),
    ) -> None:
        check_parts(pacing=pacing, retry=retry, transport=transport, budget=budget, limits=limits, ledger=ledger)
        check_seconds(ledger_patience_s=ledger_patience_s)
        self.endpoint = endpoint
        self._endpoint = whole = with_defaults(endpoint)
        checked_account(whole.account, whole.auth)
        if ledger is not None:
            check_codec(whole)
        self._origins: Origins[J] = Origins(whole, origins_of(moved_from))
        self._policy = policy_for(
            pacing=pacing,
            retry=retry,
            timeout_s=timeout_s,
            not_found_grace_s=not_found_grace_s,
            confirmations=confirmations,
            confirm_s=confirm_s,
            longest_hint_s=longest_hint_s,
            heartbeat_s=heartbeat_s,
            renewable=whole.auth is not None,
            endpoint_name=whole.name,
        )
        self.budget = budget or RateBudget.documented(whole.documented_limit, longest_hint_s=longest_hint_s)
        self._limits = limits or Limits()
        self._ledger = ledger
        self._ledger_patience_s = ledger_patience_s
        self._seeded = ledger is None  # whether the forecast knows of the jobs that the ledger has seen to end
        self._untaught: Forecast | None = self._policy.forecast  # if it does not know of those that it has open
        self._dice: Callable[[], float] = random.random
        self._clock: Callable[[], float] = time.time
        self._given_transport = transport
        self._own_transport: AiohttpTransport | None = None
        self._dispatcher: Dispatcher[J, S] | None = None
        self._recorder: Recorder[J, S] | None = None
        self._open: dict[J, Watch[J, S]] = {}
        self._now: Callable[[], float] = _never

    def __repr__(self) -> str:
        state = "closed" if self._dispatcher is None else f"{len(self._open)} watches"
        return f"<JobWatcher {self._endpoint.name} {state}>"

    async def __aenter__(self) -> Self:
        """Open it.

        Raises:
            ConfigurationError: It is open already.
            LedgerError: The ledger is not open, or cannot be read.
        """
        if self._ledger is not None and not self._seeded:
            now, endpoint, durations = asyncio.get_running_loop().time, self._endpoint, self._policy.forecast.durations
            patience = Patience("calls", patience_s=self._ledger_patience_s, now=now, closing=asyncio.Event())
            await learn_durations(self._ledger, endpoint.name, endpoint.account, durations, patience)
            self._seeded = True
        if self._dispatcher is not None:
            raise ConfigurationError("this watcher is open already; make another one")
        self._now = asyncio.get_running_loop().time
        if self._given_transport is None:
            self._own_transport = AiohttpTransport(connections=self._limits.concurrency)
        self._open = {}
        self._dispatcher = Dispatcher(
            endpoint=self._endpoint,
            transport=self.transport,
            budget=self.budget,
            forecast=self._policy.forecast,
            concurrency=self._limits.concurrency,
            request_timeout_s=self._limits.request_timeout_s,
            dice=self._dice,
            clock=self._clock,
            on_over=partial(_end, self._open) if self._ledger is None else on_machine_end,
            write_token=partial(write_token, self._endpoint),
        )
        self._recorder = None if self._ledger is None else self._recorder_for(self._ledger, self._dispatcher)
        return self

    def _recorder_for(self, ledger: Ledger, dispatcher: Dispatcher[J, S]) -> Recorder[J, S]:
        machines = MachineFactory(
            policy=self._policy, grace_s=self._limits.request_timeout_s, now=self._now, clock=self._clock
        )
        return Recorder(
            ledger=ledger,
            rows=WatchRows(endpoint=self._endpoint, origins=self._origins, machines=machines),
            dispatcher=dispatcher,
            patience_s=self._ledger_patience_s,
            on_end=partial(_forget, self._open),
        )

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pollers, self._dispatcher = self._dispatcher, None
        recorder, self._recorder = self._recorder, None
        transport, self._own_transport = self._own_transport, None
        watches, self._open = self._open, {}
        if pollers is None:
            return
        if recorder is not None:
            recorder.begin_closing()
        try:
            await pollers.drain(watches.values())
            if recorder is not None:
                await recorder.aclose()
        finally:
            try:
                await pollers.close()
            finally:
                if recorder is not None:
                    recorder.detach(watches.values())  # what is left, if this call was cancelled before it was done
                if transport is not None:
                    await transport.aclose()

    @property
    def transport(self) -> Transport:
        """What sends, for calls of your own such as `ExtractionEndpoint.start`.

        Raises:
            WatcherClosed: The watcher is not open.
        """
        transport = self._own_transport if self._given_transport is None else self._given_transport
        if transport is None:
            raise WatcherClosed
        return transport

    @property
    def open_count(self) -> int:
        """How many watches are open now."""
        return len(self._open)

    def watch(self, job: J) -> Watch[J, S]:
        """Follow this job to its outcome. The first poll goes at once; the same open job is asked once.

        With a ledger the first poll goes as soon as the job is written down, and what the ledger knows of it counts: an
        open watch goes on where it was, an end that is known is told again without asking, and a job that was
        abandoned is asked about again, with all of `timeout_s` before it. An open watch that was asked at another
        origin is refused: its outcome here is `Abandoned` with `OriginChanged`, and in the ledger it stays open.

        Raises:
            WatcherClosed: The watcher is not open.
            ConfigurationError: The ledger cannot keep the job's keys.
            RuntimeError: It was opened in another event loop.
        """
        if self._dispatcher is None:
            raise WatcherClosed(job)
        try:
            watch = self._open.get(job)
        except TypeError as exc:
            raise ConfigurationError(
                f"a job must be hashable, such as an object of an attrs.frozen class; got {type(job).__name__}"
            ) from exc
        if watch is None:
            if self._recorder is None:
                machine: WatchMachine[J, S] = WatchMachine(job, self._policy, now=self._now())
                watch = Watch(machine, self._dispatcher)
                self._dispatcher.add(watch)
            else:
                self._dispatcher.check_loop()
                watch = self._recorder.admit(job)
            self._open[job] = watch
        return watch

    def _watch_here(self, pollers: Dispatcher[J, S] | None, job: J) -> Watch[J, S]:
        """The same for what takes its time: it ends with these pollers, even if the watcher is opened anew."""
        if self._dispatcher is not pollers:
            raise WatcherClosed(job)
        return self.watch(job)

    def watch_from_token(self, text: str) -> Watch[J, S]:
        """Take up the watch that this `Watch.resume_token` was of, where it was.

        Its deadline is kept, but it is never more than the watcher's `timeout_s` away. If it has passed, the job is
        asked about once more. Where there is a ledger, what that knows of the job goes before the token.

        Raises:
            TokenError: It is no token, of another version, endpoint or account. Nothing of it was used.
            OriginChanged: The job was asked about at another origin, and `moved_from` does not name it.
            WatcherClosed: The watcher is not open.
            RuntimeError: It was opened in another event loop.
        """
        if self._dispatcher is None:
            raise WatcherClosed
        self._dispatcher.check_loop()
        token = read_token(self._endpoint, text)
        self._origins.check(token.job, token.origin)
        watch = self._open.get(token.job)
        if watch is None:
            past = token.resume_state(self._clock()).at_most(self._policy.timeout_s)
            if self._recorder is None:
                machine: WatchMachine[J, S] = WatchMachine.resumed(
                    token.job, self._policy, past, now=self._now(), grace_s=self._limits.request_timeout_s
                )
                watch = Watch(machine, self._dispatcher)
                self._dispatcher.add(watch)
            else:
                watch = self._recorder.admit_resumed(token.job, past)
            self._open[token.job] = watch
        return watch

    async def record(self, job: J) -> Watch[J, S]:
        """Follow this job, and return when that is on disk: from then on no crash loses the watch.

        Raises:
            LedgerError: The ledger did not take it within `ledger_patience_s`; the job is not watched.
            DeadlineExceeded: The watch's deadline passed before the ledger took it.
            OriginChanged: The ledger has it open, as asked at another origin that `moved_from` does not name.
            ConfigurationError: There is no ledger, or it cannot keep the job's keys.
            WatcherClosed: The watcher is not open, or was left before it was on disk.
            WatchStopped: The watch was stopped before it was on disk.
        """
        recorder = self._needs_ledger()
        watch = self.watch(job)
        await recorder.wait_recorded(watch)
        return watch

    async def record_all(self, jobs: Iterable[J] | AsyncIterable[J]) -> list[Watch[J, S]]:
        """The same for all of them, many at a time; their watches in the order of the jobs.

        Jobs are taken from the iterable as the ledger takes them, some thousands ahead.

        Raises:
            LedgerError: The ledger did not take one of them within `ledger_patience_s`. Those that it took are watched.
            DeadlineExceeded: A watch's deadline passed before the ledger took it.
            ConfigurationError: There is no ledger, or it cannot keep a job's keys.
            WatcherClosed: The watcher is not open, or was left before they were on disk.
            WatchStopped: A watch was stopped before it was on disk.
        """
        recorder, pollers = self._needs_ledger(), self._dispatcher
        watches: list[Watch[J, S]] = []
        fair = Yielder()
        async for job in _each(jobs):
            watches.append(self._watch_here(pollers, job))
            await fair.checkpoint()
            if len(watches) % STEPS == 0 and len(watches) > _AHEAD:
                await recorder.wait_settled(watches[-_AHEAD])
        for watch in watches:
            await recorder.wait_recorded(watch)
        return watches

    async def resume(self) -> list[Watch[J, S]]:
        """Take up every watch of this endpoint and account that the ledger has open, in the order recorded.

        Deadlines are kept by the wall clock, and each watch goes on with the polls and failures that it had. One whose
        deadline has passed meanwhile is asked about once more before it is given up. First polls are spread over the
        budget or, where there is none, over the pacing; they begin while the rest is still read. A watch that the
        watcher has open already goes on as it does.

        Raises:
            LedgerError: The ledger cannot be read to the end. What was taken up goes on.
            OriginChanged: Watches were asked at another origin that `moved_from` does not name. They stay in the ledger
                as they are, and nothing was taken up. Where an endpoint asks at several origins, those that could be
                taken up go on.
            ConfigurationError: There is no ledger.
            WatcherClosed: The watcher is not open, or was left meanwhile.
        """
        recorder = self._needs_ledger()
        spread = Stagger(self.budget.spacing_s, self._policy.pacing, self._limits.concurrency)
        watches = await resume_all(recorder, watches=self._open, spread=spread, forecast=self._untaught)
        self._untaught = None
        return watches

    def outcomes(self, *, follow: bool = False) -> Deliveries[J, S]:
        """Every outcome of this endpoint and account that is not acknowledged: of earlier runs, then those that come.

            async for delivery in watcher.outcomes():
                save(delivery.outcome)
                await delivery.ack()

        An outcome that was not acknowledged is delivered again by the next call, also in another process. So each
        comes at least once; of all acknowledgements of one outcome exactly one returns True.

        Args:
            follow: Wait for more when no watch is open and all is delivered, until the watcher is left. By default
                the iteration ends there, so begin with `resume` and `record_all`.

        Returns:
            An async iterator, which several tasks may share. It raises LedgerError when the ledger cannot be read, and
            without `follow` WatcherClosed when the watcher is left before the end.

        Raises:
            ConfigurationError: There is no ledger.
            WatcherClosed: The watcher is not open.
        """
        recorder = self._needs_ledger()
        return Deliveries(recorder, watches=self._open, follow=follow)

    def _needs_ledger(self) -> Recorder[J, S]:
        if self._ledger is None:
            raise ConfigurationError("this needs a ledger: JobWatcher(..., ledger=SqliteLedger(path))")
        if self._recorder is None:
            raise WatcherClosed
        return self._recorder

    def as_completed(self, jobs: Iterable[J] | AsyncIterable[J]) -> Batch[J, S]:
        """Watch all of them and yield each one's outcome as it comes; as many outcomes as jobs.

        Jobs are taken from the iterable as the watcher's `Limits.capacity` allows. What the iterable raises comes out
        here, after the outcomes that came before. Leaving the loop early takes no more jobs, and closes an async
        generator that they came from; the watches that it has begun go on until the watcher is left. To wait until
        that is done use `async with contextlib.aclosing(watcher.as_completed(jobs)) as outcomes`.

        Raises:
            WatcherClosed: The watcher is not open, or was left before the jobs were all taken.
        """
        if self._dispatcher is None:
            raise WatcherClosed
        return Batch(partial(self._watch_here, self._dispatcher), self._dispatcher.start, jobs, self._limits.capacity)

    async def gather(self, jobs: Iterable[J] | AsyncIterable[J]) -> list[Outcome[J, S]]:
        """Watch all of them; their outcomes in the order of the jobs. Does not raise for what happened to a job.

        Raises:
            WatcherClosed: The watcher is not open, or was left before the jobs were all taken.
        """
        async with aclosing(self.as_completed(jobs)) as batch:
            found = [(batch.position, outcome) async for outcome in batch]
        return [outcome for _, outcome in sorted(found, key=itemgetter(0))]


def _never() -> float:
    return math.nan


def _forget(watches: dict[J, Watch[J, S]], watch: Watch[J, S]) -> None:
    del watches[watch.job]


def _end(watches: dict[J, Watch[J, S]], watch: Watch[J, S]) -> None:
    del watches[watch.job]
    watch.tell(StepResult.OVER, math.nan)


async def _each(jobs: Iterable[J] | AsyncIterable[J]) -> AsyncIterator[J]:
    if isinstance(jobs, AsyncIterable):
        async for job in jobs:
            yield job
    else:
        for job in jobs:
            yield job
