"""The pool that drives watches: a bounded number of tasks, each sending one poll at a time.

Rule 1: the dispatcher decides nothing. It does what `Scheduler.next_action` says, and passes each reply to
`core/poll_results.py`, which says what the reply means.
Rule 2: a waiting watch has no task, timer or future of its own. One timer serves the whole pool: for what falls due,
for the budget, and for the time limit of every request in flight.
Rule 3: replies that come in one turn of the event loop are processed together, and the next polls are dispatched together.
One reply and one poll at a time would cost half as much again, because the code and the data of a decision would be
loaded into the processor's caches anew each time. A reply that comes alone is processed at once.
Rule 4: a watch ends at its deadline, even if its request is slow to react to its cancellation.
Rule 5: tasks run in the context of the code that opened the watcher, not of the code that watched first.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
from collections import deque
from collections.abc import Callable, Coroutine, Hashable, Iterable
from functools import partial
from time import thread_time
from typing import Any, Generic, TypeVar

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.forecast import Forecast
from pollwise.core.host_health import WatchedHosts
from pollwise.core.poll_results import PollResults, stop_with, taken_permit
from pollwise.core.scheduler import Expire, Fail, Scheduler, Send, SleepUntil
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.errors import ConnectFailed, WatcherClosed, WatchError, WatchStopped
from pollwise.http.signing import signing
from pollwise.http.turns import Turns
from pollwise.model.limits import ReplyLimits
from pollwise.model.protocols import Endpoint, Transport
from pollwise.model.secrets import KnownSecrets
from pollwise.runtime.driven_watch import Calls, DrivenWatch, WriteToken
from pollwise.runtime.fairness import Yielder
from pollwise.runtime.host_outages import log_host
from pollwise.runtime.observing import Observing
from pollwise.runtime.poller import CANCELLED_WITHIN, Poller, Unasked
from pollwise.runtime.task_owner import TaskOwner
from pollwise.runtime.unknown_values import UnknownValues

__all__ = ["Dispatcher"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_RESPAWN_S = 1.0  # after foreign code cancelled a poller: the program is probably exiting, so start no new one at once
_DENSE_S = 0.0003  # replies that come sooner after one another are processed together
_TOGETHER = 16  # most replies in one tick: with more, a slow server would be idle meanwhile


class Dispatcher(Generic[J, S]):
    """Drives the watches of one watcher.

    Args:
        endpoint: How to ask and how to read.
        transport: Sends the requests.
        budget: The token's rate budget.
        forecast: What is known about when jobs end.
        concurrency: Most requests in flight at once.
        request_timeout_s: Longest time for one request, in seconds.
        reply_limits: How much of a reply is kept.
        dice: Returns a random number in [0, 1), as `checked_dice` makes it.
        clock: Returns the time in epoch seconds.
        on_over: Called with each watch at its end; it notifies the watch's subscribers.
        write_token: Writes the resume token of a watch.
        observing: Counts the requests, and tells the observer and the log of them.
    """

    def __init__(
        self,
        *,
        endpoint: Endpoint[J, S],
        transport: Transport,
        budget: TokenBudget,
        forecast: Forecast,
        concurrency: int,
        request_timeout_s: float,
        reply_limits: ReplyLimits,
        dice: Callable[[], float],
        clock: Callable[[], float],
        on_over: Callable[[DrivenWatch[J, S]], None],
        write_token: WriteToken,
        observing: Observing[J, S],
    ) -> None:
        self.calls: Calls  # of the watches; the watcher sets it
        self._endpoint = endpoint
        self._turns = Turns()
        self._transport = signing(transport, endpoint.auth, self._turns)
        self._budget = budget
        self._request_timeout_s = request_timeout_s
        self._reply_limits = reply_limits
        self._clock = clock
        self._on_over = on_over
        self._write_token = write_token
        self._tasks = TaskOwner()
        self.loop = self._tasks.loop
        self._now = self.loop.time
        hosts = WatchedHosts(budget.hosts, endpoint, partial(log_host, endpoint.name, self._now, clock))
        self._scheduler: Scheduler[DrivenWatch[J, S]] = Scheduler(
            forecast,
            budget,
            ConcurrencyLimiter(concurrency),
            cpu_s=thread_time,
            on_throttled=DrivenWatch.notify_throttled,
            hosts=hosts,
        )
        self._secrets = KnownSecrets()
        self._results = PollResults(
            endpoint=endpoint,
            budget=budget,
            dice=dice,
            clock=clock,
            on_unknown=UnknownValues(endpoint.name).log_once,
            secrets=self._secrets,
            limits=reply_limits,
            polls=observing.polls,
            calls=observing.calls,
            hosts=hosts,
        )
        self._on_request = observing.on_request(lambda: self._secrets.mask)
        self._calls: set[DrivenWatch[Any, Any]] = set()  # single calls under way
        self._pollers: set[Poller[J, S]] = set()
        self._idle: list[Poller[J, S]] = []
        self._replied: deque[Poller[J, S]] = deque()
        self._draining = False  # no watch is asked any more
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = math.inf
        self._next_limit = math.inf  # no request in flight is cancelled before; its reply may have come since
        self._next_tick: asyncio.Handle | None = None
        self._ticked_at = -math.inf  # the end of the last tick
        budget.on_moved.add(self._tick_soon)

    # --- from outside -------------------------------------------------------------------------

    def check_loop(self) -> None:
        """Raise RuntimeError if this is not the event loop that the watcher was opened in."""
        self._tasks.check_loop()

    def add(self, watch: DrivenWatch[J, S]) -> None:
        """Drive this watch from now on.

        Raises:
            WatcherClosed: The pool has been closed.
            RuntimeError: This is not the event loop that the watcher was opened in.
        """
        self._tasks.check_loop()
        if self._tasks.closed:
            raise WatcherClosed(watch.job)
        if not self._draining:  # `drain` ends it with the other watches
            self._scheduler.put(watch, self._now())
            self._tick_soon()

    def add_call(self, call: DrivenWatch[J, Any]) -> None:
        """Drive this single call, as `add` does a watch. `on_over` is not called at its end."""
        if self._draining:
            raise WatcherClosed(call.job)
        self.add(call)
        self._calls.add(call)

    def hasten(self, watch: DrivenWatch[J, S]) -> None:
        """Poll this watch soon, because its job has probably changed."""
        if self._scheduler.hasten(watch, self._now()):
            self._tick_soon()

    def stop(self, watch: DrivenWatch[J, S]) -> None:
        """End this watch now, and cancel its request if one is in flight.

        Raises:
            RuntimeError: The watch goes on, and this is not the event loop that the watcher was opened in.
        """
        if watch.outcome is not None or watch.machine.outcome is not None:
            return  # an outcome from the ledger is not in the machine
        self._tasks.check_loop()
        self.end(watch, WatchStopped(watch.job))
        for poller in self._pollers:
            if poller.watch is watch:
                # not at once: this code may run in that poller's own task, inside a transport or an endpoint
                self.loop.call_soon(poller.cancel_request_for, watch, context=self._tasks.context)

    def end(self, watch: DrivenWatch[J, S], error: WatchError) -> None:
        """End this watch now, unless it has ended. The reply to a request in flight is ignored."""
        now = self._now()
        if watch.machine.outcome is None:
            self._conclude_step(watch, watch.machine.on_stop(error, now=now), now)

    def on_suspended(self, watches: Iterable[DrivenWatch[J, S]], suspended_s: float) -> None:
        """The computer was suspended for so long: count that towards the deadlines of these watches."""
        now = self._now()
        for watch in watches:
            watch.machine.on_suspended(suspended_s, now=now, grace_s=self._request_timeout_s)
        self._scheduler.requeue(now)
        self._tick_soon()

    def resume_token(self, watch: DrivenWatch[J, S]) -> str:
        """The watch as a text from which it can be resumed."""
        return self._write_token(watch.machine, now=self._now(), wall_now=self._clock())

    def start(
        self, work: Coroutine[Any, Any, None], *, name: str, context: contextvars.Context | None = None
    ) -> asyncio.Task[None]:
        """Start a task that ends with the pool at the latest.

        Raises:
            WatcherClosed: The pool has been closed.
            RuntimeError: This is not the event loop that the watcher was opened in.
        """
        return self._tasks.start(work, name=name, context=context)

    def halt(self) -> None:
        """Send nothing more, from now on. Call `drain` next."""
        self._draining = True
        self._scheduler.clear()
        for poller in self._pollers:
            # not at once: this code may run in that poller's own task, inside a transport or an endpoint
            self.loop.call_soon(poller.cancel_request, context=self._tasks.context)

    async def drain(self, watches: Iterable[DrivenWatch[J, S]]) -> None:
        """Send no more polls, and end these watches and all calls in steps; if it is cancelled, the rest at once."""
        self._draining = True
        self._scheduler.clear()
        left = [*self._calls, *watches][::-1]  # taken from the end: each watch is freed when it has ended
        fair = Yielder()
        try:
            while left:
                self._end_last(left)
                await fair.checkpoint()
        finally:
            while left:
                self._end_last(left)

    def _end_last(self, watches: list[DrivenWatch[J, S]]) -> None:
        watch = watches.pop()
        self.end(watch, WatcherClosed(watch.job))

    async def aclose(self) -> None:
        """End all tasks, and return when they are over. Call `drain` first."""
        self._budget.on_moved.discard(self._tick_soon)
        for handle in (self._timer, self._next_tick):
            if handle is not None:
                handle.cancel()
        self._timer_at = -math.inf  # no timer is set any more
        await self._tasks.aclose()

    @property
    def in_flight(self) -> int:
        """How many requests are sent and not answered."""
        return len(self._pollers) - len(self._idle)

    @property
    def waiting(self) -> int:
        """How many watches are due, and wait for a permit or for a free place in flight."""
        return self._scheduler.held

    # --- ticks --------------------------------------------------------------------------------

    def _tick_soon(self) -> None:
        if self._next_tick is None:
            self._next_tick = self.loop.call_soon(self._tick, context=self._tasks.context)

    def _tick(self, now: float | None = None) -> None:
        """Process replies, do what the scheduler says, and set the timer."""
        self._next_tick = None
        if now is None:
            now = self._now()
        if self._replied:
            try:
                self._process_replies(now)
            except BaseException:
                self._tick_soon()  # for the other replies
                raise
            now = self._now()
        if self._next_limit <= now:
            self._cancel_late(now)
        wake_at = self._obey(now)
        if self._next_limit < wake_at:
            wake_at = self._next_limit
        if wake_at < self._timer_at:
            self._wake_at(wake_at)
        if self._replied:
            self._tick_soon()
        self._ticked_at = self._now()

    def _obey(self, now: float) -> float:
        """Do what the scheduler says until it says to sleep. Returns until when."""
        scheduler = self._scheduler
        scheduler.in_flight = len(self._pollers) - len(self._idle)  # as `in_flight`, to save a call
        while True:
            action = scheduler.next_action(now)
            if isinstance(action, Send):
                self._dispatch(action.watch, action.permit, now)
            elif isinstance(action, SleepUntil):
                return action.at
            elif isinstance(action, Expire):
                self._expire(action.watch, now)
            else:
                self._fail(action, now)

    def _wake_at(self, at: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at = at
        self._timer = self.loop.call_at(at, self._on_timer, context=self._tasks.context)

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at = math.inf
        self._tick()

    # --- polls --------------------------------------------------------------------------------

    def _dispatch(self, watch: DrivenWatch[J, S], permit: int, now: float) -> None:
        """Poll this watch with an idle poller or a new one."""
        while self._idle:
            poller = self._idle.pop()
            if poller.assign(watch, permit, now):  # a poller whose task is being cancelled refuses
                break
        else:
            poller = Poller(
                endpoint=self._endpoint,
                transport=self._transport,
                timeout_s=self._request_timeout_s,
                limits=self._reply_limits,
                turns=self._turns,
                loop=self.loop,
                on_result=self._on_result,
                secrets=self._secrets,
            )
            poller.assign(watch, permit, now)
            self._pollers.add(poller)
            name, context = f"pollwise-poller-{len(self._pollers)}", self._tasks.context
            task = self._tasks.start(poller.run(), name=name, context=context.copy())
            task.add_done_callback(partial(self._on_exit, poller), context=context)
        if poller.limit_at < self._next_limit:
            self._next_limit = poller.limit_at

    def _cancel_late(self, now: float) -> None:
        """Cancel the requests whose time is over."""
        for poller in self._pollers:
            if poller.limit_at <= now and poller.watch is not None:
                watch = poller.watch
                poller.cancel_request()
                if watch.machine.deadline <= now:
                    self._expire(watch, now)
        self._next_limit = min((poller.limit_at for poller in self._pollers), default=math.inf)

    def _on_result(self, poller: Poller[J, S]) -> None:
        self._replied.append(poller)
        if self._next_tick is None and not self._tasks.closed:
            now = self._now()
            if now - self._ticked_at < _DENSE_S:
                self._tick_soon()
            else:
                self._tick(now)

    def _process_replies(self, now: float) -> None:
        """Pass each reply on."""
        for _ in range(min(len(self._replied), _TOGETHER)):
            poller = self._replied.popleft()
            watch, result = poller.watch, poller.result
            poller.watch, poller.result = None, Unasked.IDLE
            assert watch is not None  # noqa: S101  # a poller with a result has its watch
            try:
                try:  # here and not in a method, to save a call
                    if isinstance(result, Unasked):
                        step = self._on_unasked(watch, result, now)
                    else:
                        step = self._results.on_result(poller, watch.machine, result, now)
                except asyncio.CancelledError:  # raised by the endpoint itself, because no task of ours awaits here
                    step = self._results.on_result(poller, watch.machine, ConnectFailed(CANCELLED_WITHIN), now)
            except BaseException as exc:
                self._idle.append(poller)
                self._conclude_step(watch, stop_with(watch.machine, exc, now), now)
                raise
            finally:
                if poller.permit:
                    self._budget.release(taken_permit(poller), now)  # no reply has released it
            if self._on_request is not None:
                self._on_request(poller, watch, result, step, now)
            if step is not StepResult.RENEW or not self._renew(poller, watch, now):
                self._idle.append(poller)
                self._after_poll(watch, step, now)

    def _after_poll(self, watch: DrivenWatch[J, S], step: StepResult, now: float) -> None:
        """Notify subscribers, and put the watch back into the scheduler unless it is over."""
        if step is StepResult.RENEW:
            step = stop_with(watch.machine, WatcherClosed(watch.job), now)  # there is no poller for the renewal
        if step is StepResult.OVER:
            self._over(watch, now)
        elif watch.machine.outcome is None:
            if step is not StepResult.QUIET or watch.notes_every_poll:
                watch.notify(step, now)
            if not self._draining:
                self._scheduler.put(watch, now)

    def _renew(self, poller: Poller[J, S], watch: DrivenWatch[J, S], now: float) -> bool:
        """Let this poller renew the credentials. Whether it can: not if its task is being cancelled."""
        if self._draining or not poller.renew(watch, now):
            return False
        self._next_limit = min(self._next_limit, poller.limit_at)
        return True

    def _on_unasked(self, watch: DrivenWatch[J, S], result: Unasked, now: float) -> StepResult:
        if result is Unasked.RENEWED:
            watch.machine.on_renewed(now=now)
        return StepResult.QUIET

    def _fail(self, action: Fail[DrivenWatch[J, S]], now: float) -> None:
        """The host of this watch is down."""
        watch = action.watch
        self._after_poll(watch, self._results.on_host_down(watch.machine, action.error, action.down_since, now), now)

    # --- ends ---------------------------------------------------------------------------------

    def _expire(self, watch: DrivenWatch[J, S], now: float) -> None:
        self._conclude_step(watch, watch.machine.on_deadline(now=now), now)

    def _conclude_step(self, watch: DrivenWatch[J, S], step: StepResult, now: float) -> None:
        if step is StepResult.OVER:
            self._over(watch, now)
        else:
            watch.notify(step, now)

    def _over(self, watch: DrivenWatch[J, S], now: float) -> None:
        if watch in self._calls:
            self._calls.remove(watch)
            watch.notify(StepResult.OVER, now)  # a call has no row, and is no open watch
        else:
            self._on_over(watch)

    def _on_exit(self, poller: Poller[J, S], task: asyncio.Task[None]) -> None:
        """A poller's task is over: the pool closed, foreign code cancelled it, or more than an `Exception` was raised."""
        killer = None if task.cancelled() else task.exception()
        self._pollers.discard(poller)
        for pollers in (self._idle, self._replied):
            if poller in pollers:
                pollers.remove(poller)
        now = self._now()
        if poller.permit:
            self._budget.release(taken_permit(poller), now)
        if self._tasks.closed:
            return
        watch = poller.watch
        if watch is not None and watch.machine.outcome is None:
            error = WatcherClosed(watch.job) if killer is None else killer
            self._conclude_step(watch, stop_with(watch.machine, error, now), now)
        if now + _RESPAWN_S < self._timer_at:
            self._wake_at(now + _RESPAWN_S)
