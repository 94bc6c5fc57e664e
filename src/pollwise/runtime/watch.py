"""The handle of one watch: what a caller awaits, iterates, reads and stops.

Rule 1: iterating reports, awaiting raises. `async for` ends after exactly one outcome, and raises nothing about the job.
`await` returns the typed status of a success, and raises the outcome's error otherwise.
Rule 2: any number of tasks may do either at the same time, and after the end. Each may leave at any time.
Rule 3: a slow reader costs nothing. Of the unread events only the newest of each kind is kept, and always the outcome.
Rule 4: a caller sees this class only. What drives a watch is in `driven_watch.py`.
"""

from __future__ import annotations

import os
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Hashable
from typing import Any, Generic

from typing_extensions import TypeVar

from pollwise.model.events import Event, Outcome

__all__ = ["Watch"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
R_co = TypeVar("R_co", covariant=True, default=object)


class Watch(ABC, Generic[J, S, R_co]):
    """Following one job to its outcome. `JobWatcher.watch` returns it.

    `await watch` returns the typed status of a success, and raises `JobFailed`, `JobCancelled` or a `WatchError`
    otherwise. `async for event in watch` gives typed events, the last one the outcome. `await watch.result()` returns what
    the job made.
    """

    __slots__ = ()

    @property
    @abstractmethod
    def job(self) -> J:
        """The job that is watched."""

    @property
    @abstractmethod
    def outcome(self) -> Outcome[J, S] | None:
        """The one terminal event, or None while the watch goes on."""

    @property
    @abstractmethod
    def last(self) -> Event[J, S] | None:
        """The last event, without polling. None before the first one."""

    @property
    @abstractmethod
    def resume_token(self) -> str:
        """The watch as one short text, from which `JobWatcher.watch_from_token` resumes it, also in another process.

        It holds the job's keys, when the watch began and ends, and how far it got. It holds no credential and no status.

        Raises:
            TokenError: The job's keys are too long for one.
            ConfigurationError: The endpoint has no codec.
        """

    @abstractmethod
    def result(self, *, timeout_s: float | None = None) -> Awaitable[R_co]:
        """The result of the job: `await watch.result()` waits for the outcome, and then fetches what the job made.

        The requests of the fetch have the credentials, retries and rate budget of the polls. If the link to the result has
        expired, the status is asked once more for a fresh one.

        All callers share one fetch. The value is kept while a caller holds what this method returns; after that, the next
        call fetches it again. A fetch that failed is repeated by the next `await`.

        Args:
            timeout_s: Longest duration of the fetch in seconds, from the outcome on. None for the watcher's `timeout_s`.
                If a fetch is under way, its own limit counts.

        Raises:
            ConfigurationError: The endpoint has no `result_request` and `read_result`. This method raises it. Everything
                else is raised by the `await`.
            JobError: The job failed or was cancelled.
            ResultTooLarge: The result is larger than `Limits(result_bytes=...)`, or a reply than the transport's `max_body`.
            WatchError: The watch ended before the job did, or the result could not be fetched. `watch.outcome` is a
                `Succeeded` in the second case.
        """

    @abstractmethod
    async def save_result(self, path: str | os.PathLike[str], *, max_bytes: int, timeout_s: float | None = None) -> int:
        """Wait for the outcome, then write the bytes of the result to a file, which is whole or not there.

        The body of the reply to `result_request` is streamed to a temporary file beside `path`, and moved there at the end.
        A file that was there is replaced. Only this user can read the new one. `read_result` is not called, and the bytes
        are those that the server sends. A connection that breaks is tried again from the start.

        Args:
            path: Where the file is to be.
            max_bytes: Its largest size in bytes.
            timeout_s: Longest duration in seconds, from the outcome on. None for the watcher's `timeout_s`.
                `Limits(request_timeout_s=...)` is the longest time between two pieces.

        Returns:
            The size in bytes.

        Raises:
            ConfigurationError: The endpoint has no result, its status is the result, or its results have pages: then
                `result_request` has a parameter `cursor`. Or the transport has no `stream`.
            OSError: The file cannot be written.
            JobError: The job failed or was cancelled.
            ResultTooLarge: The result has more than `max_bytes`.
            WatchError: As with `result`.
        """

    @abstractmethod
    async def cancel(self, *, timeout_s: float | None = None) -> bool:
        """Ask the server to stop the job. The watch goes on: its outcome comes from the job's status.

        Each call sends one request. It is sent again only if it certainly did nothing (401, 429, no connection), or if it is
        idempotent, such as DELETE and PUT. After an accepted request the job is polled soon.

        Args:
            timeout_s: Longest time until the server has answered, in seconds. None for the watcher's `timeout_s`.

        Returns:
            Whether the server accepted the request. False if there is nothing to stop: the job is over, or the server
            answered 404, 409 or 410.

        Raises:
            ConfigurationError: The endpoint has no `cancel_request`.
            CancelDoubtful: The reply was lost, so the server may or may not have received the request.
            WatchError: The server refused the request, such as with `PermissionDenied`, or did not answer in time.
        """

    @abstractmethod
    def stop(self) -> None:
        """End the watch. Its outcome is `Abandoned` with `WatchStopped`. Does nothing after the end.

        Raises:
            RuntimeError: The watcher was opened in another event loop.
        """

    @abstractmethod
    def on_outcome(self, callback: Callable[[Watch[J, S, R_co]], object]) -> None:
        """Call `callback` with the watch at its end, or at once if it has ended.

        The call comes between two steps of the event loop, so it must be quick. The loop's exception handler gets what
        it raises.
        """

    @abstractmethod
    async def wait(self) -> S:
        """What `await watch` does, as a coroutine: for `TaskGroup.create_task` and `asyncio.create_task`, which take no watch.

        If the task is cancelled, the watch goes on.

        Raises:
            JobError: The job failed or was cancelled.
            WatchError: The watch ended, and the job may still be running.
        """

    @abstractmethod
    def __await__(self) -> Generator[Any, None, S]:
        """Wait for the outcome.

        Raises:
            JobError: The job failed or was cancelled.
            WatchError: The watch ended, and the job may still be running.
        """

    @abstractmethod
    def __aiter__(self) -> AsyncIterator[Event[J, S]]:
        """Iterate from the newest event on."""
