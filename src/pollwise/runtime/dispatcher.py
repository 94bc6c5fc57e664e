"""The pool that drives watches: a bounded number of tasks, each sending one poll at a time.

Rule 1: it decides nothing. What is asked when is the agenda's and the machine's, whether it may go is the budget's,
what an answer means is said in `runtime/poll_results.py`.
Rule 2: a waiting watch has no task, timer or future of its own. One timer serves the whole pool: for what falls due,
for the budget, and for the time limit of every request in flight.
Rule 3: what is answered in one turn of the event loop is taken in together, and who is next is handed out together. To
decide in between, a poll here and a poll there, would cost half as much again: what decides would have to come into the
processor's caches each time anew. An answer that comes alone waits for no other.
Rule 4: at its deadline a watch ends there and then, however long a send that was cut takes to give in.
Rule 5: the tasks of a watcher are started here and end here. They run in the context of who opened the watcher, not
of who happened to watch first.

This file is long because taking in, handing out and the timer work on one state.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import math
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable
from functools import partial
from time import thread_time
from typing import Any, Generic, Protocol, TypeVar

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.forecast import Forecast
from pollwise.core.machine import StepResult, WatchMachine
from pollwise.core.poll_results import PollResults, stop_with
from pollwise.core.rate_budget import RateBudget
from pollwise.core.scheduler import Scheduler
from pollwise.errors import ConnectFailed, WatcherClosed, WatchError, WatchStopped
from pollwise.model.protocols import Endpoint, Transport
from pollwise.runtime.poller import CANCELLED_WITHIN, Poller, PollResult, Unasked
from pollwise.runtime.unknown_values import UnknownValues
from pollwise.runtime.watch import Watch

__all__ = ["Dispatcher"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_REVIVAL_S = 1.0
_RECHECK_S = 1.0
_DENSE_S = 0.0003  # answers that come sooner after one another are worth waiting for
_CHUNK = 200  # watches that are ended without giving way to the rest of the program: about a millisecond
_TOGETHER = 16  # to take in more before anybody is asked again would leave a slow server idle

_log = logging.getLogger(__name__)


class WriteToken(Protocol):
    """Writes the resume token of a watch."""

    def __call__(self, machine: WatchMachine[Any, Any], /, *, now: float, wall_now: float) -> str:
        """The token; `now` is in monotonic seconds, `wall_now` the same moment in epoch seconds."""
        ...


class Dispatcher(Generic[J, S]):
    """Drives the watches of one watcher.

    Args:
        endpoint: How to ask and how to read.
        transport: What sends.
        budget: The token's rate budget.
        forecast: What is known about when jobs end.
        concurrency: Most requests in flight at once.
        request_timeout_s: Longest time for one request, in seconds.
        dice: Returns a random number in [0, 1).
        clock: Returns the time in epoch seconds.
        on_over: Called with each watch at its end; it lets the watch's audience know.
        write_token: Writes the resume token of a watch.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint[J, S],
        transport: Transport,
        budget: RateBudget,
        forecast: Forecast,
        concurrency: int,
        request_timeout_s: float,
        dice: Callable[[], float],
        clock: Callable[[], float],
        on_over: Callable[[Watch[J, S]], None],
        write_token: WriteToken,
    ) -> None:
        self._endpoint = endpoint
        self._transport = transport
        self._share = budget.share()
        self._concurrency = ConcurrencyLimiter(concurrency)
        self._request_timeout_s = request_timeout_s
        self._clock = clock
        self._on_over = on_over
        self._write_token = write_token
        self.loop = asyncio.get_running_loop()
        self._now = self.loop.time
        self._context = contextvars.copy_context()
        self._scheduler: Scheduler[Watch[J, S]] = Scheduler(forecast, self._share, Watch.tell_throttled)
        self._results = PollResults(
            endpoint=endpoint,
            share=self._share,
            dice=dice,
            clock=clock,
            on_unknown=UnknownValues(endpoint.name).log_once,
        )
        self._tasks: set[asyncio.Task[Any]] = set()
        self._pollers: set[Poller[J, S]] = set()
        self._idle: list[Poller[J, S]] = []
        self._replied: deque[Poller[J, S]] = deque()
        self._draining = False  # nobody is asked any more
        self._closed = False
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._next_limit = math.inf  # no request in flight is cut before; it may have been answered since
        self._next_tick: asyncio.Handle | None = None
        self._ticked_at = -math.inf  # when all was done last
        self._logs_polls = _log.isEnabledFor(logging.DEBUG)  # looked at once: it is on the way of every poll

    # --- from outside -------------------------------------------------------------------------

    def check_loop(self) -> None:
        """Raise RuntimeError if this is not the event loop that the watcher was opened in."""
        try:
            running: asyncio.AbstractEventLoop | None = asyncio.get_running_loop()
        except RuntimeError:
            running = None
        if running is not self.loop:
            raise RuntimeError(
                "a watcher belongs to the event loop that it was opened in;"
                " from elsewhere go through that loop's call_soon_threadsafe"
            )

    def add(self, watch: Watch[J, S]) -> None:
        """Drive this watch from now on.

        Raises:
            WatcherClosed: The pool has been closed.
            RuntimeError: This is not the event loop that the watcher was opened in.
        """
        self.check_loop()
        if self._closed:
            raise WatcherClosed(watch.job)
        if not self._draining:  # else it ends with the others
            self._scheduler.put(watch, self._now())
            self._tick_soon()

    def stop(self, watch: Watch[J, S]) -> None:
        """End this watch now; a request of its that is in flight is cut.

        Raises:
            RuntimeError: The watch goes on, and this is not the event loop that the watcher was opened in.
        """
        if watch.outcome is not None or watch.machine.outcome is not None:
            return  # the ledger may know an end of which the machine does not
        self.check_loop()
        self.end(watch, WatchStopped(watch.job))
        for poller in self._pollers:
            if poller.watch is watch:
                # not at once: this may be that poller's own task, inside a transport or an endpoint
                self.loop.call_soon(_cancel_request, poller, watch, context=self._context)

    def end(self, watch: Watch[J, S], error: WatchError) -> None:
        """End this watch now, unless it has ended; a request of its that is in flight goes on unheard."""
        now = self._now()
        if watch.machine.outcome is None:
            self._conclude_step(watch, watch.machine.on_stop(error, now=now), now)

    def resume_token(self, watch: Watch[J, S]) -> str:
        """The watch as a text, to be taken up again."""
        return self._write_token(watch.machine, now=self._now(), wall_now=self._clock())

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[None]:
        """Start a task that ends with the pool at the latest.

        Raises:
            WatcherClosed: The pool has been closed.
            RuntimeError: This is not the event loop that the watcher was opened in.
        """
        try:
            self.check_loop()
        except RuntimeError:
            work.close()
            raise
        if self._closed:
            work.close()
            raise WatcherClosed
        task = self.loop.create_task(work, name=name, context=context)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def drain(self, watches: Iterable[Watch[J, S]]) -> None:
        """Ask nobody any more, and end these watches, some at a time; all that are left at once if it is cancelled."""
        self._draining = True
        self._scheduler.clear()  # of all of them: nobody falls due any more
        left = list(watches)[::-1]  # to be popped: each is freed when it has ended
        try:
            while left:
                self._end_some(left, _CHUNK)
                if left:
                    await asyncio.sleep(0)
        finally:
            self._end_some(left, len(left))

    def _end_some(self, left: list[Watch[J, S]], most: int) -> None:
        for _ in range(min(most, len(left))):
            watch = left.pop()
            self.end(watch, WatcherClosed(watch.job))

    async def close(self) -> None:
        """End all tasks, and return when they are over. It has been retired before."""
        self._closed = True
        for handle in (self._timer, self._next_tick):
            if handle is not None:
                handle.cancel()
        self._timer_at = -math.inf  # nothing is scheduled any more
        await _end_all(self._tasks)

    # --- the one timer ------------------------------------------------------------------------

    def _tick_soon(self) -> None:
        """There is something to do, in the next turn of the event loop."""
        if self._next_tick is None:
            self._next_tick = self.loop.call_soon(self._tick, context=self._context)

    def _tick(self) -> None:
        """Take in what has come, hand out what is due, to idle pollers or new ones, and set the timer for what is next."""
        self._next_tick = None
        now = self._now()
        if self._replied:
            try:
                self._process_replies(now)
            except BaseException:
                self._tick_soon()  # for the others' answers
                raise
            now = self._now()
        if self._next_limit <= now:
            self._cancel_late(now)
        self._scheduler.ripen(now)
        while len(self._pollers) - len(self._idle) < self._concurrency.limit:
            found = self._next(now)
            if found is None:
                break
            self._dispatch(*found, now)
        if now >= self._concurrency.look_at:
            self._adjust_limit(now)
        for watch in self._scheduler.expired(now):
            if watch.machine.outcome is None:
                self._expire(watch, now)
        self._wake_at(min(self._scheduler.next_at, self._next_limit))
        if self._replied:
            self._tick_soon()
        self._ticked_at = self._now()

    def _adjust_limit(self, now: float) -> None:
        """Let more or fewer be in flight from now on."""
        limiter, in_flight, before = self._concurrency, len(self._pollers) - len(self._idle), self._concurrency.limit
        limiter.look(now, thread_time(), waiting=self._scheduler.held > 0 and in_flight >= before)
        if limiter.limit > before:
            self._tick_soon()
        if limiter.limit < limiter.most:
            self._wake_at(limiter.look_at)  # it may be that nothing is answered until then

    def _cancel_late(self, now: float) -> None:
        """Cut the requests whose time is over."""
        for poller in self._pollers:
            if poller.limit_at <= now and poller.watch is not None:
                watch = poller.watch
                poller.cancel_request()
                if watch.machine.deadline <= now:
                    self._expire(watch, now)
        self._next_limit = min((poller.limit_at for poller in self._pollers), default=math.inf)

    def _wake_at(self, at: float) -> None:
        if at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._on_timer, context=self._context)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._tick()

    def _next(self, now: float) -> tuple[Watch[J, S], int] | None:
        """The watch to poll now and its ticket; None when nothing is due or nothing may go."""
        while isinstance(turn := self._scheduler.next(now), tuple):
            watch, permit = turn
            if permit > 0:
                return turn
            if watch.machine.outcome is None:
                self._expire(watch, now)
        if self._scheduler.held:
            # all places may be taken by another watcher's requests, whose ends we do not hear of
            self._wake_at(min(turn, now + _RECHECK_S))
        return None

    def _dispatch(self, watch: Watch[J, S], permit: int, now: float) -> None:
        while self._idle:
            poller = self._idle.pop()
            if poller.assign(watch, permit, now):  # else somebody has cancelled it
                break
        else:
            poller = Poller(
                endpoint=self._endpoint,
                transport=self._transport,
                timeout_s=self._request_timeout_s,
                loop=self.loop,
                on_result=self._on_result,
            )
            poller.assign(watch, permit, now)
            self._pollers.add(poller)
            name = f"pollwise-poller-{len(self._pollers)}"
            task = self.start(poller.run(), name=name, context=self._context.copy())
            task.add_done_callback(partial(self._on_exit, poller), context=self._context)
        if poller.limit_at < self._next_limit:
            self._next_limit = poller.limit_at

    # --- answers ------------------------------------------------------------------------------

    def _on_result(self, poller: Poller[J, S]) -> None:
        self._replied.append(poller)
        if self._next_tick is None and not self._closed:
            if self._now() - self._ticked_at < _DENSE_S:
                self._tick_soon()
            else:
                self._tick()  # nothing to wait for: it comes alone

    def _process_replies(self, now: float) -> None:
        """Learn from the answers that have come, and say when their watches are to be asked again."""
        for _ in range(min(len(self._replied), _TOGETHER)):
            poller = self._replied.popleft()
            watch, result = poller.watch, poller.result
            poller.watch, poller.result = None, Unasked.IDLE
            assert watch is not None  # noqa: S101  # who has an answer has its watch in hand
            try:
                news = self._learn(poller, watch, result, now)
            except BaseException as exc:
                self._idle.append(poller)
                self._conclude_step(watch, stop_with(watch.machine, exc, now), now)
                raise
            finally:
                self._release(poller, now)
            if self._logs_polls:
                _log_poll(self._endpoint.name, watch.machine, news, now)
            if news is StepResult.RENEW:
                if not self._draining and poller.renew(watch, now):
                    self._next_limit = min(self._next_limit, poller.limit_at)
                    continue
                news = stop_with(watch.machine, WatcherClosed(watch.job), now)  # or a stranger has cancelled it
            self._idle.append(poller)
            if news is StepResult.OVER:
                self._on_over(watch)
            elif watch.machine.outcome is None:
                watch.tell(news, now)
                if not self._draining:
                    self._scheduler.put(watch, now)

    def _learn(self, poller: Poller[J, S], watch: Watch[J, S], result: PollResult, now: float) -> StepResult:
        if isinstance(result, Unasked):
            if result is Unasked.RENEWED:
                watch.machine.on_renewed(now=now)
            return StepResult.QUIET
        try:
            return self._results.on_result(poller, watch.machine, result, now)
        except asyncio.CancelledError:  # raised by the endpoint itself, because no task of ours awaits here
            return self._results.on_result(poller, watch.machine, ConnectFailed(CANCELLED_WITHIN), now)

    # --- ends ---------------------------------------------------------------------------------

    def _release(self, poller: Poller[J, S], now: float) -> None:
        if poller.permit:
            self._share.release(poller.permit, now)
            poller.permit = 0

    def _expire(self, watch: Watch[J, S], now: float) -> None:
        self._conclude_step(watch, watch.machine.on_deadline(now=now), now)

    def _conclude_step(self, watch: Watch[J, S], news: StepResult, now: float) -> None:
        if news is StepResult.OVER:
            self._on_over(watch)
        else:
            watch.tell(news, now)

    def _on_exit(self, poller: Poller[J, S], task: asyncio.Task[None]) -> None:
        """A poller's task is over: at the close, cancelled by a stranger, or killed by more than an `Exception`."""
        killer = None if task.cancelled() else task.exception()
        self._pollers.discard(poller)
        for those in (self._idle, self._replied):
            if poller in those:
                those.remove(poller)
        now = self._now()
        self._release(poller, now)
        if self._closed:
            return
        watch = poller.watch
        if watch is not None and watch.machine.outcome is None:
            self._conclude_step(
                watch, stop_with(watch.machine, WatcherClosed(watch.job) if killer is None else killer, now), now
            )
        # a stranger who cancels tasks ends the program as a rule: what else is due waits a little for that
        self._wake_at(now + _REVIVAL_S)


def _cancel_request(poller: Poller[J, S], watch: Watch[J, S]) -> None:
    """Cut the request for this watch, if it is still in hand."""
    if poller.watch is watch:
        poller.cancel_request()


def _log_poll(endpoint: str, machine: WatchMachine[Any, Any], news: StepResult, now: float) -> None:
    """What a poll came to: a line that holds the job and the counts, and no word of the vendor's."""
    outcome, phase = machine.outcome, machine.phase
    if outcome is not None:
        what = type(outcome).__name__.lower()
    else:
        seen = "not seen yet" if phase is None else phase.value
        what = f"{seen}, {news.name.lower()}, asked again in {max(0.0, machine.due_at - now):.3g} s"
    _log.debug("%s: %r: poll %d: %s", endpoint, machine.job, machine.polls, what)


async def _end_all(tasks: Iterable[asyncio.Task[Any]]) -> None:
    """Cancel these and wait for their ends. To be cancelled meanwhile cancels them once more, and is passed on."""
    pending = set(tasks)
    cancelled: asyncio.CancelledError | None = None
    while pending:
        for task in pending:
            task.cancel()
        try:
            await asyncio.wait(pending)
        except asyncio.CancelledError as exc:
            cancelled = exc
        pending = {task for task in pending if not task.done()}
    if cancelled is not None:
        raise cancelled
