"""Tells a caller's observer and the log what a watcher does, and counts its watches.

Rule 1: what an observer raises is logged once for each of its methods, and goes no further.
Rule 2: a request is described only for an observer with `on_request`, or for the DEBUG log. A URL is shown without user name,
query and known secrets.
Rule 3: a traceparent is kept with its watch until the outcome. Only the W3C's own form is kept.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol, TypeVar

from yarl import URL

from pollwise.core.counters import RequestCounts, WatchCounts
from pollwise.core.machine import WatchMachine
from pollwise.core.watch_state import StepResult
from pollwise.errors import AuthenticationError, LedgerWriteFailed, OriginChanged, WatcherClosed
from pollwise.model.events import Abandoned, Outcome
from pollwise.model.log_fields import log_fields
from pollwise.model.masking import Mask
from pollwise.model.messages import Reply, Request
from pollwise.model.observer import Observer, RequestEnd, WatchEnd, WatchStart
from pollwise.model.protocols import Endpoint
from pollwise.model.stats import Histogram
from pollwise.model.traceparent import checked_traceparent
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.poller import PollResult, Unasked

__all__ = ["Observing", "OnRequest", "safe_url", "summary_of"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
A = TypeVar("A")

_log = logging.getLogger(__name__)


class Requested(Protocol):
    """A poller, as this file needs to know it."""

    refusal: AuthenticationError | None
    sent_at: float


class OnRequest(Protocol):
    """Is called after each request."""

    def __call__(
        self, poll: Requested, watch: DrivenWatch[Any, Any], result: PollResult, step: StepResult, now: float, /
    ) -> None:
        """The request had this result, which came to this step. `now` is in monotonic seconds."""
        ...


class Observing(Generic[J, S]):
    """What a watcher counts, and what it tells its observer.

    Args:
        endpoint: The endpoint of the watcher.
        observer: The caller's observer, or None.
        durable: Whether the watcher has a ledger.
        clock: Returns epoch seconds.

    Attributes:
        calls: Counts requests that are no polls.
        endpoint: The endpoint of the watcher.
        polls: Counts polls.
        traces: The traceparent of each open watch that has one.
        watches: Counts watches and outcomes.
    """

    def __init__(
        self,
        endpoint: Endpoint[J, S],
        observer: Observer | None,
        *,
        durable: bool,
        clock: Callable[[], float],
    ) -> None:
        self.polls, self.calls, self.watches = RequestCounts(), RequestCounts(), WatchCounts()
        self.traces: dict[J, str] = {}
        self.endpoint = endpoint
        self._durable = durable
        self._clock = clock
        self._failed: set[str] = set()  # methods of the observer that have failed
        self._on_start = _defined(observer, "on_start")
        self._on_outcome = _defined(observer, "on_outcome")
        self._on_request = _defined(observer, "on_request")

    # --- watches ------------------------------------------------------------------------------

    def started(self, job: J, *, resumed: bool = False) -> None:
        """A watch of this job began, or goes on. Its traceparent of an earlier run is in `traces`."""
        if resumed:
            self.watches.resumed += 1
        else:
            self.watches.started += 1
        if self._on_start is not None:
            endpoint, known = self.endpoint, self.traces.get(job)
            start = WatchStart(
                endpoint=endpoint.name, account=endpoint.account, job=job, resumed=resumed, traceparent=known
            )
            made = self._tell("on_start", self._on_start, lambda: start)
            if known is None:
                self.keep_trace(job, made)

    def keep_trace(self, job: J, traceparent: object) -> None:
        """The watch of this job was begun with this traceparent, as a row or a token says. Other values are ignored."""
        checked = checked_traceparent(traceparent)
        if checked is not None:
            self.traces[job] = checked

    def ended(self, then: Callable[[DrivenWatch[J, S]], None], watch: DrivenWatch[J, S]) -> None:
        """The watch has come to its outcome: count it, tell the observer, and then report it with `then`."""
        outcome = watch.machine.outcome
        if outcome is not None and outcome.polls <= watch.machine.polls:  # else a ledger had it from an earlier run
            self.watches.end(outcome)
            if self._on_outcome is not None:
                self._tell("on_outcome", self._on_outcome, lambda: self._end_of(outcome))
        if self.traces and not self._goes_on(outcome):  # else its last state is written yet
            self.traces.pop(watch.job, None)
        then(watch)

    def _goes_on(self, outcome: Outcome[J, S] | None) -> bool:
        """Whether the row stays open after this outcome."""
        error = outcome.error if self._durable and isinstance(outcome, Abandoned) else None
        if isinstance(error, LedgerWriteFailed):
            return error.asked
        return isinstance(error, (WatcherClosed, OriginChanged))

    def _end_of(self, outcome: Outcome[J, S]) -> WatchEnd:
        return WatchEnd(
            endpoint=self.endpoint.name,
            account=self.endpoint.account,
            outcome=outcome,
            ended_at=self._clock(),
            goes_on=self._goes_on(outcome),
            traceparent=self.traces.get(outcome.job),
        )

    def durations(self) -> dict[int | str, Histogram]:
        """How long all requests took, by status code or error. Any thread may call it."""
        found = self.polls.durations()
        for key, more in self.calls.durations().items():
            found[key] = found[key] + more if key in found else more
        return found

    # --- requests -----------------------------------------------------------------------------

    def on_request(self, mask: Callable[[], Mask]) -> OnRequest | None:
        """What is to be called after each request, or None if neither the observer nor the log wants it.

        `mask` returns what masks the secrets of the requests.
        """
        logs = _log.isEnabledFor(logging.DEBUG)  # looked up once, because each poll needs it
        if not logs and self._on_request is None:
            return None

        def ended(
            poll: Requested, watch: DrivenWatch[Any, Any], result: PollResult, step: StepResult, now: float, /
        ) -> None:
            if isinstance(result, Unasked):
                return
            machine, answer = watch.machine, result

            def describe() -> RequestEnd:
                found = self._request_end(poll, machine, answer, step, now, mask())
                if logs:
                    _log_request(found, step, summary_of(machine, step, now))
                return found

            self._tell("on_request", self._on_request or _ignore, describe)

        return ended

    def _request_end(
        self,
        poll: Requested,
        machine: WatchMachine[Any, Any],
        result: Reply | Exception,
        step: StepResult,
        now: float,
        mask: Mask,
    ) -> RequestEnd:
        reply = None if isinstance(result, Exception) else result
        request = self._request_of(machine) if reply is None or reply.request is None else reply.request
        return RequestEnd(
            endpoint=self.endpoint.name,
            account=self.endpoint.account,
            job=machine.job,
            polls=machine.polls,
            method=None if request is None else request.method,
            url=None if request is None else mask.text(safe_url(request.url)),
            http_status=None if reply is None else reply.status,
            duration_s=now - poll.sent_at,
            error=_error_of(poll, machine, result, step),
        )

    def _request_of(self, machine: WatchMachine[Any, Any]) -> Request | None:
        """The request once more, for its URL."""
        try:
            call = machine.call
            return self.endpoint.request(machine.job) if call is None else call.request(machine.job, machine.cursor)
        except Exception:  # noqa: BLE001  # foreign code, which has failed for the poll already
            return None

    # --- the observer -------------------------------------------------------------------------

    def _tell(self, name: str, method: Callable[[A], object], value: Callable[[], A]) -> object:
        try:
            return method(value())
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as exc:  # noqa: BLE001  # rule 1
            if name not in self._failed:
                self._failed.add(name)
                _log.error(
                    "%s: %s of the observer raised %s; this is logged once",
                    self.endpoint.name,
                    name,
                    type(exc).__name__,
                    exc_info=exc,
                    extra=log_fields(endpoint=self.endpoint.name, error_type=type(exc).__name__),
                )
            return None


def _defined(observer: Observer | None, name: str) -> Callable[[Any], object] | None:
    """The method of the observer, or None if it is the one of `Observer` that does nothing."""
    if observer is None or getattr(type(observer), name, None) is getattr(Observer, name):
        return None
    method: Callable[[Any], object] = getattr(observer, name)
    return method


def _error_of(
    poll: Requested, machine: WatchMachine[Any, Any], result: Reply | Exception, step: StepResult
) -> BaseException | None:
    """Why the request brought no reading, or None."""
    if isinstance(result, Exception):
        return result
    outcome = machine.outcome
    if step is StepResult.RETRYING:
        return machine.last_error
    if step is StepResult.RENEW:
        return poll.refusal
    return outcome.error if step is StepResult.OVER and isinstance(outcome, Abandoned) else None


def _ignore(_request: RequestEnd) -> None:
    """The log alone wants to know."""


def _log_request(found: RequestEnd, step: StepResult, summary: str) -> None:
    _log.debug(
        "%s: %r: poll %d: %s %s %s in %.3f s: %s",
        found.endpoint,
        found.job,
        found.polls,
        found.method,
        found.url,
        found.http_status or type(found.error).__name__,
        found.duration_s,
        summary,
        extra=_fields_of(found, step),
    )


def safe_url(url: URL) -> str:
    """The URL without user name, query and fragment, which may hold secrets."""
    server = url.host_port_subcomponent
    text = url.raw_path if server is None else f"{url.scheme}://{server}{url.raw_path}"
    return f"{text}?..." if url.raw_query_string else text


def summary_of(machine: WatchMachine[Any, Any], step: StepResult, now: float) -> str:
    """The result of a poll, for the log: its step and its times, and no word of the vendor's."""
    outcome, phase = machine.outcome, machine.phase
    if outcome is not None:
        return type(outcome).__name__.lower()
    seen = "not seen yet" if phase is None else phase.value
    return f"{seen}, {step.name.lower()}, asked again in {max(0.0, machine.due_at - now):.3g} s"


def _fields_of(found: RequestEnd, step: StepResult) -> dict[str, Any]:
    return log_fields(
        endpoint=found.endpoint,
        account=found.account or None,
        job=repr(found.job),
        polls=found.polls,
        method=found.method,
        url=found.url,
        http_status=found.http_status,
        duration_s=round(found.duration_s, 6),
        step=step.name.lower(),
        error_type=None if found.error is None else type(found.error).__name__,
    )
