"""JobWatcher: watches the jobs of one endpoint.

Rule 1: it owns the transport that it opens, the pollers and the watches. Leaving its `async with` ends all of them. It
never closes a transport or a ledger that the caller passed in.
Rule 2: a job that is watched twice while its watch is open is polled by one watch.
Rule 3: with a ledger, a watch is on disk before its job is polled, and its outcome before it is reported.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterable, Callable, Collection, Hashable, Iterable
from contextlib import aclosing
from operator import itemgetter
from types import TracebackType
from typing import Generic, Never, Self, Unpack, overload

import attrs
from typing_extensions import TypeVar

from pollwise.core.callbacks import checked_clock
from pollwise.core.forecast import Forecast
from pollwise.core.identity import Origins, checked_account, origins_of
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.durable import Patience, Recorder
from pollwise.durable.bulk_recording import record_jobs
from pollwise.durable.codec import check_codec
from pollwise.durable.delivery import Deliveries
from pollwise.durable.intents import UnfinishedSubmit
from pollwise.durable.opened import OpenedParts, Setup
from pollwise.durable.resume import learn_durations, resume_all
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.http.transport import AiohttpTransport
from pollwise.ledger import Ledger
from pollwise.model.abilities import with_defaults
from pollwise.model.calls import status_call
from pollwise.model.events import Outcome
from pollwise.model.hosts import HostOutage
from pollwise.model.limits import Limits
from pollwise.model.observer import Observer
from pollwise.model.protocols import EndpointLike, Transport
from pollwise.model.results import HasPagedResult, HasResult, check_result_methods
from pollwise.model.stats import WatcherStats
from pollwise.model.submitting import CanSubmit, CanSubmitWithPagedResult, CanSubmitWithResult
from pollwise.runtime.batch import Batch
from pollwise.runtime.driven_watch import copy_for_raise
from pollwise.runtime.job_calls import check_can_cancel
from pollwise.runtime.options import WatcherOptions, check_first_delay, check_parts, check_seconds, policy_for
from pollwise.runtime.suspension import suspended_clock
from pollwise.runtime.watch import Watch

__all__ = ["JobWatcher", "parts_of", "share_forecast", "use_clock"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True, default=object)
O_contra = TypeVar("O_contra", contravariant=True, default=Never)
V = TypeVar("V")
W = TypeVar("W")


class JobWatcher(Generic[J, S, R_co, O_contra]):
    """Polls a status endpoint until jobs are over.

    Use it as an async context manager. Leaving the block ends its watches. It raises `LeaseLost` if the ledger said that
    another process owns them now.

        async with JobWatcher(endpoint, timeout_s=600) as watcher:
            status = await watcher.watch(job)

    Args:
        endpoint: The status call: how to ask and how to read. Any object with `name`, `request` and `read`.
        timeout_s: Longest duration of each watch in seconds. None sets no limit.
        pacing: When to poll again after a good poll.
        retry: When to poll again after a failed poll, and how long an outage may last.
        transport: What sends requests. The caller closes it. By default the watcher opens an `AiohttpTransport`.
        budget: The token's rate limit. Watchers that use the same token share one. By default it is the endpoint's
            `documented_limit` until the server says otherwise, or what the server's replies teach.
        limits: Requests in flight, open watches, the time for one request, and how much is kept of a reply.
        not_found_grace_s: How long a 404 may mean "not visible yet", in seconds and for at least three polls.
        confirmations: How many more polls confirm an end that is not final. 0 believes the first.
        confirm_s: Shortest time for these polls, in seconds. By default 60, or a tenth of `timeout_s` if that is less.
        longest_hint_s: The longest wait that a server may ask for in a header field, in seconds. After a longer one,
            one poll is sent at this time, or after half of the time that is left.
        heartbeat_s: Report an unchanged status when nothing was reported for this many seconds. None for never.
        cancel_on_deadline: Ask the server to cancel a job whose watch its deadline has ended. The outcome waits for the
            reply, at most `request_timeout_s`, and `DeadlineExceeded.cancel` says what became of the request.
        count_suspended: Count the time in which the computer was suspended towards deadlines, as a wall clock would. By
            default it does not count, because the event loop's clock stands still. A watch whose deadline has passed
            meanwhile is polled once more. Not counted is the time in which a virtual machine was paused.
        ledger: An open ledger, in which watches are recorded. The caller closes it after the watcher.
        ledger_patience_s: How long a failed call of the ledger is repeated, in seconds. After that, a watch whose row
            or outcome is not written ends with `LedgerWriteFailed`, and other calls raise the ledger's error.
        moved_from: URLs at which the API was before, such as `"https://old.example.com"`. Watches that were polled
            there go on at the endpoint's present origin. Without it they are refused with `OriginChanged`.
        observer: Is told of watches, outcomes and requests, such as `pollwise.telemetry.otel.WatchSpans()`.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    # pyright warns of class-scoped type variables in `self`, and mypy wants them there
    @overload
    def __init__(
        self: JobWatcher[J, S, V, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmitWithPagedResult[J, S, V, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: JobWatcher[J, S, V, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmitWithResult[J, S, V, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: JobWatcher[J, S, object, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmit[J, S, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: JobWatcher[J, S, V, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: HasPagedResult[J, S, V],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: JobWatcher[J, S, V, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: HasResult[J, S, V],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: JobWatcher[J, S, object, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: EndpointLike[J, S],
        **options: Unpack[WatcherOptions],
    ) -> None: ...

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
        cancel_on_deadline: bool = False,
        count_suspended: bool = False,
        ledger: Ledger | None = None,
        ledger_patience_s: float = 60.0,
        moved_from: str | Collection[str] = (),
        observer: Observer | None = None,
    ) -> None:
        check_parts(pacing=pacing, retry=retry, transport=transport, budget=budget, limits=limits)
        check_parts(ledger=ledger, observer=observer)
        check_seconds(ledger_patience_s=ledger_patience_s)
        self.endpoint = endpoint
        whole = with_defaults(endpoint)
        check_result_methods(whole)
        if cancel_on_deadline:
            check_can_cancel(whole)
        checked_account(whole.account, whole.auth)
        if ledger is not None:
            check_codec(whole)
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
            call=status_call(whole),
        )
        self.budget = budget or RateBudget.documented(whole.documented_limit, longest_hint_s=longest_hint_s)
        self._setup: Setup[J, S] = Setup(
            endpoint=whole,
            origins=Origins(whole, origins_of(moved_from)),
            policy=self._policy,
            budget=self.budget,
            limits=limits or Limits(),
            cancels=cancel_on_deadline,
            ledger=ledger,
            ledger_patience_s=ledger_patience_s,
            observer=observer,
            clock=lambda: self._clock(),  # noqa: PLW0108  # a test may replace it
        )
        self._seeded = ledger is None  # whether the forecast knows of the jobs that the ledger has seen to end
        self._untaught: Forecast | None = self._policy.forecast  # if it does not know of those that it has open
        self._dice: Callable[[], float] = random.random
        self._clock: Callable[[], float] = checked_clock(time.time)
        self._suspended_clock = suspended_clock() if count_suspended else None
        self._given_transport = transport
        self._own_transport: AiohttpTransport | None = None
        self._opened: OpenedParts[J, S] | None = None

    def __repr__(self) -> str:
        state = "closed" if self._opened is None else f"{len(self._opened.watches)} watches"
        return f"<JobWatcher {self._setup.endpoint.name} {state}>"

    async def __aenter__(self) -> Self:
        """Open the watcher.

        Raises:
            ConfigurationError: The watcher is open already.
            LedgerError: The ledger is not open, or cannot be read.
        """
        setup = self._setup
        if setup.ledger is not None and not self._seeded:
            now, durations = asyncio.get_running_loop().time, self._policy.forecast.durations
            patience = Patience("calls", patience_s=setup.ledger_patience_s, now=now, closing=asyncio.Event())
            await learn_durations(setup.ledger, setup.endpoint.name, setup.endpoint.account, durations, patience)
            self._seeded = True
        if setup.ledger is not None and self._opened is None:
            await setup.ledger_counts.count_unacknowledged(setup.ledger)
        if self._opened is not None:
            raise ConfigurationError("this watcher is open already; make another one")
        if self._given_transport is None:
            self._own_transport = AiohttpTransport(connections=setup.limits.concurrency)
        self._opened = OpenedParts(
            setup, self.transport, self._own_transport, self._dice, self._clock, self._suspended_clock
        )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        opened, self._opened, self._own_transport = self._opened, None, None
        if opened is not None:
            await opened.aclose()
            lost = None if opened.recorder is None else opened.recorder.lost
            if lost is not None and kind is None:
                raise copy_for_raise(lost)

    def _use_forecast(self, forecast: Forecast, *, learnt: bool) -> None:
        self._policy = attrs.evolve(self._policy, forecast=forecast)
        self._setup = attrs.evolve(self._setup, policy=self._policy)
        self._untaught = forecast
        self._seeded = self._seeded or learnt

    def _parts(self, job: J | None = None) -> OpenedParts[J, S]:
        if self._opened is None:
            raise WatcherClosed(job)
        return self._opened

    @property
    def transport(self) -> Transport:
        """What sends, for calls of your own.

        Raises:
            WatcherClosed: The watcher is not open.
        """
        transport = self._own_transport if self._given_transport is None else self._given_transport
        if transport is None:
            raise WatcherClosed
        return transport

    @property
    def open_count(self) -> int:
        """The number of open watches."""
        return 0 if self._opened is None else len(self._opened.watches)

    @property
    def hosts_down(self) -> tuple[HostOutage, ...]:
        """The hosts that fail for every watch of this token now, each as one value. Empty while all of them answer.

        Watchers with the same budget share them. `str()` of such a value is one line to show. `Limits.concurrency` polls of
        different jobs may fail before an outage is noticed, or a few. Any thread may ask. `stats()` has them, too.
        """
        opened = self._opened
        return () if opened is None else engine_of(self.budget).hosts.outages(opened.dispatcher.loop.time())

    def stats(self) -> WatcherStats:
        """What the watcher has done so far and does now: polls, watches, outcomes, durations, budget and ledger.

        Counts go on when the watcher is opened again. Any thread may call it. It takes some microseconds, and some tens
        of milliseconds with a hundred thousand open watches.
        """
        return self._setup.stats(self._opened)

    def watch(self, job: J, *, first_after_s: float = 0.0) -> Watch[J, S, R_co]:
        """Follow this job to its outcome. A job with an open watch gets that watch.

        With a ledger the first poll is sent when the job is on disk, and the ledger's row of the job counts. An open
        watch is resumed. A known end is reported without a poll. An abandoned job is polled again for `timeout_s`. A
        watch that was polled at another origin ends as `Abandoned` with `OriginChanged`, and stays open in the ledger.

        Args:
            job: The job.
            first_after_s: Seconds until the first poll of a watch that begins now. At once by default. The last poll
                before the deadline is sent all the same.

        Raises:
            WatcherClosed: The watcher is not open.
            ConfigurationError: The job is not hashable, or the ledger cannot keep its keys.
            RuntimeError: It was opened in another event loop.
        """
        opened = self._parts(job)
        if first_after_s != 0.0:
            check_first_delay(first_after_s)
        return opened.watch(job, first_after_s=first_after_s)

    async def submit(
        self, order: O_contra, *, key: str | None = None, timeout_s: float | None = None
    ) -> Watch[J, S, R_co]:
        """Start a job at the server, and follow it. Returns its watch when the server has named the job.

        If the server did the work before it answered, that watch is over, and has the outcome and the result.

        The request has the credentials, retries and rate budget of the polls. It is sent again only if it certainly did
        nothing (no connection, 401, 429), or if it is idempotent (`Request.is_idempotent`). `Retry-After` of the reply,
        or `Endpoint.first_after_s` if that is longer, is the delay of the first poll.

        With a ledger, the key is on disk before the request is sent, and the job when this returns. A key whose job is
        known gives the watch of that job, and no request is sent. A key that an earlier run may have sent is sent again if
        the request is idempotent. Otherwise it is `SubmitDoubtful`, until `unfinished_submits` has settled it.

        Calls with the same key that come while a start is under way share it. Without a ledger, a key is known for so
        long only. A caller that is cancelled stops the start, if it is the only one.

        Args:
            order: What the job is to do, as `submit_request` of the endpoint takes it.
            key: A text that names this order, and that the API may get as an idempotency key. By default a random UUID.
            timeout_s: Longest time until the server has answered, in seconds. None for the watcher's `timeout_s`.

        Raises:
            ConfigurationError: The endpoint cannot start jobs, the key is no valid text, or it was used for another
                order.
            SubmitDoubtful: The job may have been started, and the reply is lost.
            LedgerError: The ledger did not write the key within `ledger_patience_s`, or not the job that was started.
            UnsafeUrl: The job was started. Its status is at another origin, which `Endpoint.origins` does not list.
            WatchError: The server refused the request, such as with `PermissionDenied`, or did not answer in time. No job
                was started.
            WatcherClosed: The watcher is not open.
            RuntimeError: It was opened in another event loop.
        """
        return await self._parts().submits.submit(order, key, timeout_s)

    async def unfinished_submits(self) -> list[UnfinishedSubmit[J, S]]:
        """The starts of this endpoint and account of which it is not known whether there is a job, in the order recorded.

        Each has a `key`, when it `began`, and a `digest` of its request. `await start.settle(job)` says which job it has
        started. `await start.forget()` says that there is none. Those that this watcher has under way are left out.

        Raises:
            LedgerError: The ledger cannot be read.
            ConfigurationError: There is no ledger, or it cannot keep starts.
            WatcherClosed: The watcher is not open.
        """
        self._needs_ledger()
        opened = self._parts()
        assert opened.kept_starts is not None  # noqa: S101  # there is a ledger
        return await opened.kept_starts.unfinished(lambda: opened.submits.keys)

    def watch_from_token(self, text: str) -> Watch[J, S, R_co]:
        """Resume the watch of this `Watch.resume_token`.

        Its deadline is kept, and is at most the watcher's `timeout_s` away. If it has passed, the job is polled once
        more. A row of the job in the ledger wins over the token.

        Raises:
            TokenError: The text is no token, or of another version, endpoint or account. Nothing of it was used.
            OriginChanged: The job was polled at another origin, and `moved_from` does not name it.
            WatcherClosed: The watcher is not open.
            RuntimeError: It was opened in another event loop.
        """
        return self._parts().watch_from_token(text)

    async def record(self, job: J) -> Watch[J, S, R_co]:
        """Follow this job, and return when its watch is on disk. From then on no crash loses the watch.

        Raises:
            LedgerError: The ledger did not write it within `ledger_patience_s`. The job is not watched.
            DeadlineExceeded: The watch's deadline passed before it was on disk.
            OriginChanged: The job was polled at another origin, and `moved_from` does not name it.
            ConfigurationError: There is no ledger, or it cannot keep the job's keys.
            WatcherClosed: The watcher is not open, or was closed before the watch was on disk.
            WatchStopped: The watch was stopped before it was on disk.
        """
        recorder = self._needs_ledger()
        watch = self.watch(job)
        await recorder.wait_recorded(watch)
        return watch

    async def record_all(self, jobs: Iterable[J] | AsyncIterable[J]) -> list[Watch[J, S, R_co]]:
        """Follow all of these jobs, and return when all watches are on disk; they are in the order of the jobs.

        Jobs are read from the iterable as the ledger writes them, some thousands ahead. Errors are those of `record`;
        the watches that are on disk by then go on. An error of the iterable is raised when the jobs before it are on disk.
        """
        return await record_jobs(self._needs_ledger(), self._parts().watch, jobs)

    async def resume(self) -> list[Watch[J, S, R_co]]:
        """Resume every watch of this endpoint and account that is open in the ledger, in the order recorded.

        Deadlines are kept by the wall clock, and polls and failures are counted on. A watch whose deadline has passed
        is polled once more. The first polls are spread over the budget or, without a known budget, over the pacing. They
        begin while rows are still read. A watch that this watcher has open already is not changed.

        Raises:
            LedgerError: The ledger cannot be read to the end. The watches that were resumed go on.
            OriginChanged: Watches were polled at another origin that `moved_from` does not name. They stay open in the
                ledger. Where an endpoint has several origins, the watches of the others go on.
            ConfigurationError: There is no ledger.
            WatcherClosed: The watcher is not open, or was closed meanwhile.
        """
        recorder, opened = self._needs_ledger(), self._parts()
        resumed = await resume_all(recorder, watches=opened.watches, spread=opened.spread(), forecast=self._untaught)
        self._untaught = None
        return list(resumed)

    def outcomes(self, *, follow: bool = False) -> Deliveries[J, S]:
        """Every outcome of this endpoint and account that is not acknowledged: first those of earlier runs.

            async for delivery in watcher.outcomes():
                save(delivery.outcome)
                await delivery.ack()

        The next call delivers an outcome again that was not acknowledged, in another process, too. So each outcome is
        delivered at least once. Of all acknowledgements of one outcome exactly one returns True.

        Args:
            follow: Wait for further outcomes until the watcher is closed. By default the iteration ends when no watch
                is open and everything is delivered, so call `resume` and `record_all` first.

        Returns:
            An async iterator, which several tasks may share. It raises LedgerError when the ledger cannot be read, and
            without `follow` WatcherClosed when the watcher is closed before the end.

        Raises:
            ConfigurationError: There is no ledger.
            WatcherClosed: The watcher is not open.
        """
        return Deliveries(self._needs_ledger(), watches=self._parts().watches, follow=follow)

    def _needs_ledger(self) -> Recorder[J, S]:
        if self._setup.ledger is None:
            raise ConfigurationError("this needs a ledger: JobWatcher(..., ledger=SqliteLedger(path))")
        recorder = self._parts().recorder
        assert recorder is not None  # noqa: S101  # there is a ledger
        return recorder

    def as_completed(self, jobs: Iterable[J] | AsyncIterable[J]) -> Batch[J, S]:
        """Watch all of these jobs, and yield each outcome when it comes; as many outcomes as jobs.

        Jobs are read from the iterable as `Limits.capacity` allows. An error of the iterable is raised here, after the
        outcomes of all jobs before it. Leaving the loop early reads no more jobs and closes an async generator of jobs;
        the watches go on. To wait for that use `async with contextlib.aclosing(watcher.as_completed(jobs))`.

        Raises:
            WatcherClosed: The watcher is not open, or was closed before all jobs were read.
        """
        opened = self._parts()
        return Batch(opened.watch, opened.dispatcher.start, jobs, self._setup.limits.capacity)

    async def gather(self, jobs: Iterable[J] | AsyncIterable[J]) -> list[Outcome[J, S]]:
        """The outcomes of these jobs, in the order of the jobs. It raises what `as_completed` raises, without outcomes."""
        async with aclosing(self.as_completed(jobs)) as batch:
            found = [(batch.position, outcome) async for outcome in batch]
        return [outcome for _, outcome in sorted(found, key=itemgetter(0))]


def parts_of(watcher: JobWatcher[J, S, R_co, O_contra]) -> OpenedParts[J, S]:
    """The parts of an open watcher. Internal: for the packages of pollwise that run watchers.

    Raises:
        WatcherClosed: It is not open.
    """
    return watcher._parts()  # noqa: SLF001  # the one way in


def share_forecast(watcher: JobWatcher[J, S, R_co, O_contra], forecast: Forecast, *, learnt: bool = False) -> None:
    """Use this forecast, which other watchers of the same kind of job may use, too. Internal, as `parts_of`.

    Args:
        watcher: A watcher that was not opened yet.
        forecast: What is known about when jobs end. It learns from this watcher's jobs, too.
        learnt: Whether it has learnt the durations in this watcher's ledger already.

    Raises:
        ConfigurationError: The watcher is open.
    """
    if watcher._opened is not None:  # noqa: SLF001
        raise ConfigurationError("a forecast is shared before the watcher is opened")
    watcher._use_forecast(forecast, learnt=learnt)  # noqa: SLF001


def use_clock(watcher: JobWatcher[J, S, R_co, O_contra], clock: Callable[[], float]) -> None:
    """Use this in place of the wall clock of this machine. It returns epoch seconds. Internal, as `parts_of`.

    Raises:
        ConfigurationError: The watcher is open.
    """
    if watcher._opened is not None:  # noqa: SLF001
        raise ConfigurationError("a clock is set before the watcher is opened")
    watcher._clock = checked_clock(clock)  # noqa: SLF001
