"""The background thread, with the event loop in which every SyncWatcher of the process runs.

Rule 1: one thread serves all watchers that are open at the same time, so they may share budgets, endpoints and
credentials, which belong to one event loop.
Rule 2: the thread starts with the first open watcher and ends with the last. What the program left open is closed when the
interpreter exits.
Rule 3: a call that was accepted ends: with its result, or with `WatcherClosed` when the thread ends.
Rule 4: a fork has no such thread. There each call raises at once, and touches nothing that the parent still uses.
"""

from __future__ import annotations

import asyncio
import atexit
import logging
import os
import queue
import sys
import threading
from collections.abc import Callable, Coroutine
from concurrent.futures import CancelledError, Future, wait
from contextlib import suppress
from typing import Any, Final, TypeVar

from pollwise.errors import ConfigurationError, WatcherClosed

__all__ = ["BackgroundLoop", "Closer", "get_before"]

_log = logging.getLogger(__name__)

T = TypeVar("T")
Closer = Callable[[], Coroutine[Any, Any, None]]

# Windows does not interrupt a wait for a lock, so Ctrl-C is only seen between two waits.
_STEP_S: Final = 0.25 if sys.platform == "win32" else None
_EXIT_S: Final = 10.0  # longest time that open watchers delay the exit of the interpreter


class BackgroundLoop:
    """The thread and its event loop. `join` gives the one that runs, or starts one."""

    _running: BackgroundLoop | None = None
    _starting = threading.Lock()  # guards `_running` and the `_closers` of it

    def __init__(self) -> None:
        self._pid = os.getpid()
        self._accepting = threading.RLock()  # guards `_loop`; garbage may be collected, and closed, while it is held
        self._started = threading.Event()
        self._failure: Exception | None = None
        self._is_unwanted = False  # the call that started it was interrupted
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event
        self._closers: dict[int, Closer] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._thread = threading.Thread(target=self._run, name="pollwise-sync", daemon=True)

    # --- who uses it --------------------------------------------------------------------------

    @classmethod
    def join(cls, user: object, closer: Closer) -> BackgroundLoop:
        """The running thread, of which `user` is now a user. `closer` closes it if the interpreter exits before `leave`."""
        with cls._starting:
            running = cls._running
            if running is None or running.is_forked or running._loop is None:  # noqa: SLF001  # of this class
                running = cls()
                running._start()
                cls._running = running
            running._closers[id(user)] = closer
        return running

    def leave(self, user: object, *, wait: bool = True) -> None:
        """`user` is closed. The thread of the last user ends; with `wait` this returns when it has ended."""
        with BackgroundLoop._starting:
            self._closers.pop(id(user), None)
            if self._closers:
                return
            if BackgroundLoop._running is self:
                BackgroundLoop._running = None
        self._end()
        if wait:
            self._join_thread(None)

    @property
    def is_forked(self) -> bool:
        """Whether this process is a fork of the one that has the thread."""
        return os.getpid() != self._pid

    @property
    def is_open(self) -> bool:
        """Whether the loop takes calls of this process."""
        return self._loop is not None and not self.is_forked

    @property
    def is_usable(self) -> bool:
        """Whether a call from this thread can run in the loop."""
        return self.is_open and threading.current_thread() is not self._thread

    # --- calls from other threads -------------------------------------------------------------

    def check(self) -> None:
        """Raise ConfigurationError if a call cannot work from here: in a fork, or on the background thread itself."""
        if self.is_forked:
            raise ConfigurationError(
                f"this SyncWatcher was opened in process {self._pid}, and process {os.getpid()} is a fork of it, without its"
                " thread; open a SyncWatcher after the fork, in each process"
            )
        if threading.current_thread() is self._thread:
            raise ConfigurationError(
                "this call would wait for its own thread: an endpoint or a callback of a SyncWatcher runs on the"
                " background thread; there use the JobWatcher, or call this from another thread"
            )

    def post(self, work: Coroutine[Any, Any, T]) -> Future[T]:
        """Run this coroutine in the loop; do not wait for it.

        Raises:
            WatcherClosed: The thread has ended.
        """
        with self._accepting:
            if self._loop is None:
                work.close()
                raise WatcherClosed
            return asyncio.run_coroutine_threadsafe(work, self._loop)

    def run(self, work: Coroutine[Any, Any, T], timeout_s: float | None = None) -> T:
        """Run this coroutine in the loop, and return what it returns. A wait that is interrupted cancels it.

        Raises:
            TimeoutError: It took longer than `timeout_s`, and was cancelled.
            WatcherClosed: The thread ended meanwhile.
        """
        try:
            self.check()
        except BaseException:
            work.close()
            raise
        future = self.post(work)
        try:
            return _result_of(future, timeout_s)
        except CancelledError:
            raise WatcherClosed from None
        finally:
            future.cancel()  # does nothing once it is done
            del future  # its error refers to this frame

    def call(self, function: Callable[[], T]) -> T:
        """Call this function in the loop, and return what it returns."""

        async def called() -> T:
            return function()

        return self.run(called())

    def call_soon(self, function: Callable[..., object], *args: Any) -> None:
        """Call this function in the loop; do not wait for it. Does nothing in a fork, or if the thread has ended."""
        if self.is_forked:
            return
        with self._accepting:
            if self._loop is not None:
                self._loop.call_soon_threadsafe(function, *args)

    def start(self, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        """Start a task. Only in the loop."""
        task = asyncio.get_running_loop().create_task(work(), name="pollwise-sync-close")
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # --- the thread ---------------------------------------------------------------------------

    def _start(self) -> None:
        self._thread.start()
        try:
            self._started.wait()
        except BaseException:  # Ctrl-C
            self._is_unwanted = True
            self._end()
            raise
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        runner = asyncio.Runner()
        try:
            runner.run(self._serve())
        except Exception as exc:
            if self._started.is_set():
                raise
            self._failure = exc  # there was no loop, such as for want of file descriptors
        except (SystemExit, KeyboardInterrupt) as exc:
            _log.error("an endpoint or a callback raised %s, which has ended the background thread", type(exc).__name__)
        finally:
            if self._started.is_set():
                runner.run(self._close_open())
            self._started.set()
            # At exit asyncio cannot start the thread that joins those of its executor. The interpreter has joined them.
            with suppress(RuntimeError):
                runner.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        self._started.set()
        if not self._is_unwanted:
            await self._stop.wait()

    async def _close_open(self) -> None:
        """Close what is open: at the exit of the interpreter, or because foreign code has ended the loop."""
        for closer in reversed(list(self._closers.values())):
            with suppress(Exception):  # the others are closed all the same
                await closer()
        with self._accepting:
            self._loop = None
        await asyncio.sleep(0)  # each accepted call has a task now, which the runner cancels

    def _end(self) -> None:
        self.call_soon(lambda: self._stop.set())  # noqa: PLW0108  # it is made in the thread

    def _join_thread(self, timeout_s: float | None) -> None:
        if threading.current_thread() is self._thread:
            return
        while self._thread.is_alive():
            self._thread.join(_STEP_S if timeout_s is None else timeout_s)
            if timeout_s is not None:
                return


def _result_of(future: Future[T], timeout_s: float | None) -> T:
    """The result of the future, as soon as it is done."""
    try:
        if timeout_s is None and _STEP_S is not None:
            while not future.done():
                wait([future], _STEP_S)
        if timeout_s is not None and not wait([future], timeout_s).done:
            raise TimeoutError(f"it was not over after {timeout_s:g} s")
        return future.result()
    finally:
        del future  # its error refers to this frame


def get_before(messages: queue.SimpleQueue[T]) -> T:
    """The next message. Ctrl-C interrupts the wait for it."""
    while True:
        with suppress(queue.Empty):
            return messages.get(timeout=_STEP_S)


def _close_at_exit() -> None:
    running = BackgroundLoop._running  # noqa: SLF001  # of this file
    if running is not None and not running.is_forked:
        running._end()  # noqa: SLF001
        running._join_thread(_EXIT_S)  # noqa: SLF001


def _after_fork() -> None:
    """The lock may have been held by a thread that this process does not have."""
    BackgroundLoop._starting = threading.Lock()  # noqa: SLF001  # of this file
    BackgroundLoop._running = None  # noqa: SLF001


atexit.register(_close_at_exit)
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)
