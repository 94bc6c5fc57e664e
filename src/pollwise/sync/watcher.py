"""SyncWatcher: a JobWatcher on the background thread, for code without asyncio.

Rule 1: it decides nothing. It opens a `JobWatcher` in the background loop, and runs its methods there.
Rule 2: it opens and closes the ledger and the transport that it is given, because both belong to one event loop, and code
without asyncio has none.
Rule 3: leaving its `with` ends its watches. One that is open when the interpreter exits is closed then.
"""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Hashable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, suppress
from types import TracebackType
from typing import Any, Generic, Never, Self, TypeVar, Unpack, overload

from typing_extensions import TypeVar as TypeVarWithDefault

from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.model.events import Outcome
from pollwise.model.hosts import HostOutage
from pollwise.model.protocols import EndpointLike
from pollwise.model.results import HasPagedResult, HasResult
from pollwise.model.stats import WatcherStats
from pollwise.model.submitting import CanSubmit, CanSubmitWithPagedResult, CanSubmitWithResult
from pollwise.runtime.options import WatcherOptions
from pollwise.runtime.watch import Watch
from pollwise.sync.background import BackgroundLoop
from pollwise.sync.outcomes import SyncOutcomes
from pollwise.sync.watch import SyncWatch
from pollwise.watcher import JobWatcher

__all__ = ["SyncWatcher", "wait"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")
R_co = TypeVarWithDefault("R_co", covariant=True, default=object)
O_contra = TypeVarWithDefault("O_contra", contravariant=True, default=Never)
V = TypeVar("V")
W = TypeVar("W")


class SyncWatcher(Generic[J, S, R_co, O_contra]):
    """Polls a status endpoint until jobs are over, for code without asyncio.

        with SyncWatcher(endpoint, timeout_s=600) as watcher:
            status = watcher.watch(job).wait()

    Any number of threads may use one, and several that are open share one background thread. In a fork of the process each
    call raises ConfigurationError: open a watcher after the fork. A method that waits is interrupted by Ctrl-C.

    Args:
        endpoint: The status call: how to ask and how to read. Any object with `name`, `request` and `read`.
        options: Those of `JobWatcher`. `timeout_s` is required. This watcher opens and closes the
            `ledger` and the `transport`, so both are its own.

    Raises:
        ConfigurationError: An argument cannot be right.
    """

    # pyright warns of class-scoped type variables in `self`, and mypy wants them there
    @overload
    def __init__(
        self: SyncWatcher[J, S, V, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmitWithPagedResult[J, S, V, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: SyncWatcher[J, S, V, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmitWithResult[J, S, V, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: SyncWatcher[J, S, object, W],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: CanSubmit[J, S, W],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: SyncWatcher[J, S, V, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: HasPagedResult[J, S, V],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: SyncWatcher[J, S, V, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: HasResult[J, S, V],
        **options: Unpack[WatcherOptions],
    ) -> None: ...
    @overload
    def __init__(
        self: SyncWatcher[J, S, object, Never],  # pyright: ignore[reportInvalidTypeVarUse]
        endpoint: EndpointLike[J, S],
        **options: Unpack[WatcherOptions],
    ) -> None: ...

    def __init__(self, endpoint: EndpointLike[J, S], **options: Unpack[WatcherOptions]) -> None:
        self._opened: _Opened | None = None
        self._watcher: JobWatcher[J, S, R_co, O_contra] = JobWatcher(endpoint, **options)  # type: ignore[assignment]
        self._own: list[object] = [options.get("ledger"), options.get("transport")]

    def __repr__(self) -> str:
        return f"<SyncWatcher {self._watcher!r}>"

    @property
    def budget(self) -> RateBudget:
        """The token's rate budget, to be shared with another watcher."""
        return self._watcher.budget

    @property
    def open_count(self) -> int:
        """The number of open watches."""
        return self._watcher.open_count

    @property
    def hosts_down(self) -> tuple[HostOutage, ...]:
        """The hosts that fail for every watch of this token now; see `JobWatcher.hosts_down`. It does not wait."""
        return self._watcher.hosts_down

    def stats(self) -> WatcherStats:
        """What the watcher has done so far and does now; see `JobWatcher.stats`. It does not wait."""
        return self._watcher.stats()

    # --- opening and closing ------------------------------------------------------------------

    def __enter__(self) -> Self:
        """Open the watcher; see `open`."""
        return self.open()

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def open(self) -> Self:
        """Open the watcher and its ledger, and start the background thread unless it runs. `with` does this, and closes.

        Raises:
            ConfigurationError: The watcher is open already.
            LedgerError: The ledger cannot be opened or read.
        """
        if self._opened is not None:
            raise ConfigurationError("this watcher is open already; close it first, or make another one")
        self._opened = opened = _Opened(self._watcher, self._own)
        try:
            opened.open()
        except BaseException:
            self._opened = None
            opened.close()
            raise
        return self

    def close(self) -> None:
        """End all watches, and close the ledger. Each open watch reports `WatcherClosed`. A second call does nothing.

        In a fork it does nothing: what is open belongs to the parent.
        """
        opened = self._opened
        if opened is not None:
            opened.check()
            self._opened = None
            opened.close()

    def __del__(self) -> None:
        opened = getattr(self, "_opened", None)  # `__init__` may have raised
        if opened is not None and opened.abandon():
            warnings.warn(
                f"{self!r} was not closed: use `with`, or call `close`", ResourceWarning, source=self, stacklevel=2
            )

    # --- jobs ---------------------------------------------------------------------------------

    def watch(self, job: J, *, first_after_s: float = 0.0) -> SyncWatch[J, S, R_co]:
        """Follow this job to its outcome; see `JobWatcher.watch`. Returns at once.

        Raises:
            WatcherClosed: The watcher is not open.
            ConfigurationError: The job is not hashable, or the ledger cannot keep its keys.
        """
        return self._handle(self._background.call(lambda: self._watcher.watch(job, first_after_s=first_after_s)))

    def watch_from_token(self, text: str) -> SyncWatch[J, S, R_co]:
        """Resume the watch of this resume token; see `JobWatcher.watch_from_token`."""
        return self._handle(self._background.call(lambda: self._watcher.watch_from_token(text)))

    def submit(
        self, order: O_contra, *, key: str | None = None, timeout_s: float | None = None
    ) -> SyncWatch[J, S, R_co]:
        """Start a job at the server, and follow it; see `JobWatcher.submit`. Returns when the server has named the job."""
        return self._handle(self.run(lambda watcher: watcher.submit(order, key=key, timeout_s=timeout_s)))

    def record(self, job: J) -> SyncWatch[J, S, R_co]:
        """Follow this job, and return when its watch is on disk; see `JobWatcher.record`."""
        return self._handle(self.run(lambda watcher: watcher.record(job)))

    def record_all(self, jobs: Iterable[J]) -> list[SyncWatch[J, S, R_co]]:
        """Follow all of these jobs, and return when all watches are on disk; see `JobWatcher.record_all`."""
        listed = list(jobs)  # read in this thread
        return [self._handle(watch) for watch in self.run(lambda watcher: watcher.record_all(listed))]

    def resume(self) -> list[SyncWatch[J, S, R_co]]:
        """Resume every watch that is open in the ledger; see `JobWatcher.resume`."""
        return [self._handle(watch) for watch in self.run(lambda watcher: watcher.resume())]

    def as_completed(self, jobs: Iterable[J]) -> SyncOutcomes[J, S]:
        """Watch all of these jobs, and yield each outcome when it comes; see `JobWatcher.as_completed`.

        A lazy iterable is read as `Limits.capacity` allows, in the thread that iterates and while it waits for an outcome.

        Raises:
            WatcherClosed: The watcher is not open.
        """
        return SyncOutcomes(self._watcher.as_completed, jobs, self._background, self)

    def gather(self, jobs: Iterable[J]) -> list[Outcome[J, S]]:
        """The outcomes of these jobs, in the order of the jobs."""
        listed = list(jobs)  # read in this thread
        return self.run(lambda watcher: watcher.gather(listed))

    def run(self, work: Callable[[JobWatcher[J, S, R_co, O_contra]], Awaitable[T]]) -> T:
        """Await what `work(job_watcher)` returns, in the background loop, and return its result.

        For everything that has no method here: `watcher.run(lambda watcher: watcher.unfinished_submits())`.

        Raises:
            WatcherClosed: The watcher is not open, or was closed meanwhile.
        """

        async def awaited() -> T:
            return await work(self._watcher)

        return self._background.run(awaited())

    @property
    def _background(self) -> BackgroundLoop:
        opened = self._opened
        if opened is None or opened.background is None:
            raise WatcherClosed
        return opened.background

    def _handle(self, watch: Watch[J, S, R_co]) -> SyncWatch[J, S, R_co]:
        return SyncWatch(watch, self._background, self)


class _Opened:
    """What one `open` has opened. It does not refer to the SyncWatcher, so one that is dropped is collected."""

    def __init__(self, watcher: JobWatcher[Any, Any, Any, Any], own: list[object]) -> None:
        self.background: BackgroundLoop | None = None
        self._watcher = watcher
        self._own = own
        self._stack = AsyncExitStack()

    def open(self) -> None:
        self.background = BackgroundLoop.join(self, self._stack.aclose)
        self.background.run(self._enter())

    def check(self) -> None:
        """Raise ConfigurationError if this is the background thread, which would wait for itself."""
        if self.background is not None and not self.background.is_forked:
            self.background.check()

    def close(self) -> None:
        background = self.background
        if background is None or background.is_forked:
            return
        try:
            with suppress(WatcherClosed):  # the interpreter is exiting, and the background thread has closed it
                background.run(self._stack.aclose())
        finally:
            background.leave(self)

    def abandon(self) -> bool:
        """Close it soon, from any thread and without waiting. Returns whether it was open."""
        background = self.background
        if background is None or not background.is_open:
            return False
        background.call_soon(background.start, self._close_in_loop)
        return True

    async def _enter(self) -> None:
        for own in self._own:
            if isinstance(own, AbstractAsyncContextManager):
                await self._stack.enter_async_context(own)
        await self._stack.enter_async_context(self._watcher)

    async def _close_in_loop(self) -> None:
        try:
            await self._stack.aclose()
        finally:
            if self.background is not None:
                self.background.leave(self, wait=False)


def wait(job: J, endpoint: EndpointLike[J, S], **options: Unpack[WatcherOptions]) -> S:
    """Wait until this job is over.

        status = sync.wait(job, endpoint, timeout_s=600)

    Args:
        job: The job.
        endpoint: The status call: how to ask and how to read.
        options: Those of `SyncWatcher`; `timeout_s` is required, in seconds, or None for no limit.

    Returns:
        The vendor's typed status of a success.

    Raises:
        JobError: The job failed or was cancelled.
        WatchError: pollwise stopped watching, and the job may still be running.
        ConfigurationError: An argument cannot be right.
    """
    with SyncWatcher(endpoint, **options) as watcher:
        return watcher.watch(job).wait()
