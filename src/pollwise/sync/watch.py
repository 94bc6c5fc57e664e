"""The handle of one watch for code without asyncio.

Rule 1: it decides nothing. Each call runs the method of the `Watch` in the background loop, and waits for it.
Rule 2: any number of threads may use one handle, also after the end of the watch and of its watcher.
Rule 3: Ctrl-C and a time-out end the wait of this thread, and the watch goes on.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Coroutine, Hashable, Iterator
from typing import Any, Generic, TypeVar

from typing_extensions import TypeVar as TypeVarWithDefault

from pollwise.errors import WatcherClosed
from pollwise.model.events import Event, Outcome
from pollwise.model.limits import require_seconds
from pollwise.runtime.watch import Watch
from pollwise.sync.background import BackgroundLoop

__all__ = ["SyncWatch"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")
R_co = TypeVarWithDefault("R_co", covariant=True, default=object)


class SyncWatch(Generic[J, S, R_co]):
    """Following one job to its outcome. `SyncWatcher.watch` returns it.

    `watch.wait()` returns the typed status of a success, and raises `JobFailed`, `JobCancelled` or a `WatchError` otherwise.
    `for event in watch` gives typed events, the last one the outcome. `watch.result()` returns what the job made.

    Each call raises ConfigurationError in a fork of the process, and on the background thread itself.
    """

    __slots__ = ("_background", "_keeps", "_watch")

    def __init__(self, watch: Watch[J, S, R_co], background: BackgroundLoop, keeps: object) -> None:
        self._watch = watch
        self._background = background
        self._keeps = keeps  # the watcher, which is closed when it is collected

    def __repr__(self) -> str:
        return f"<SyncWatch {self._watch!r}>"

    @property
    def job(self) -> J:
        """The job that is watched."""
        return self._watch.job

    @property
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, or None while the watch goes on."""
        return self._watch.outcome

    @property
    def last(self) -> Event[J, S] | None:
        """The last event, without polling. None before the first one."""
        return self._call(lambda: self._watch.last)

    @property
    def resume_token(self) -> str:
        """The watch as one short text; see `Watch.resume_token`."""
        return self._call(lambda: self._watch.resume_token)

    def wait(self, timeout_s: float | None = None) -> S:
        """Wait for the outcome.

        Args:
            timeout_s: Longest duration of this wait in seconds; None for the watch's own deadline. The watch goes on.

        Raises:
            JobError: The job failed or was cancelled.
            WatchError: The watch ended, and the job may still be running. Catch it before TimeoutError, because
                `DeadlineExceeded` is one, too.
            TimeoutError: The watch was not over after `timeout_s`.
        """
        if timeout_s is not None:
            require_seconds("timeout_s", timeout_s)
        try:
            return self._run(self._watch.wait(), timeout_s)
        except TimeoutError as exc:
            if timeout_s is None or type(exc) is not TimeoutError:
                raise
            raise TimeoutError(
                f"the watch of {self.job!r} was not over after {timeout_s:g} s, and goes on; call `wait` again"
            ) from None

    def __iter__(self) -> Iterator[Event[J, S]]:
        """Iterate from the newest event on."""
        events = self._watch.__aiter__()
        while True:
            try:
                yield self._run(_next_of(events))
            except StopAsyncIteration:
                return

    def result(self, *, timeout_s: float | None = None) -> R_co:
        """Wait for the outcome, and then fetch what the job made. Arguments and errors are those of `Watch.result`."""

        async def fetch() -> R_co:
            return await self._watch.result(timeout_s=timeout_s)

        return self._run(fetch())

    def save_result(self, path: str | os.PathLike[str], *, max_bytes: int, timeout_s: float | None = None) -> int:
        """Wait for the outcome, then write the result to a file; see `Watch.save_result`. Returns its size in bytes."""
        return self._run(self._watch.save_result(path, max_bytes=max_bytes, timeout_s=timeout_s))

    def cancel(self, *, timeout_s: float | None = None) -> bool:
        """Ask the server to stop the job; see `Watch.cancel`. Returns whether the server accepted the request."""
        return self._run(self._watch.cancel(timeout_s=timeout_s))

    def stop(self) -> None:
        """End the watch. Its outcome is `Abandoned` with `WatchStopped`. Does nothing after the end."""
        self._call(self._watch.stop)

    def _call(self, function: Callable[[], T]) -> T:
        async def called() -> T:
            return function()

        return self._run(called())

    def _run(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        background, over = self._background, self.outcome is not None
        if over and not background.is_usable:
            return _run_here(work, self.job)
        try:
            return background.run(work, timeout_s)
        except WatcherClosed as exc:
            raise exc if exc.job is not None else WatcherClosed(self.job) from None


async def _next_of(events: Any) -> Any:
    return await events.__anext__()


def _run_here(work: Coroutine[Any, Any, T], job: object) -> T:
    """The watch is over and its loop, too: what is known needs no loop."""
    try:
        work.send(None)
    except StopIteration as done:
        value: T = done.value
        return value
    finally:
        work.close()
    raise WatcherClosed(job)
