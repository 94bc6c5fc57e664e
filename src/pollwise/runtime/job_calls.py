"""What a watch does beside its polls: fetch the result of its job, and ask the server to cancel it.

Rule 1: each is a single call, driven by the pool as a watch is. Its time limit is its own.
Rule 2: a result is fetched after a success. If its link has expired, the status is asked once more for a fresh one.
Rule 3: a call changes no watch and no row. The outcome of a watch comes from its polls alone.
Rule 4: with `cancel_on_deadline`, the outcome of a watch that its deadline ended is published when the cancel request is
answered, or its time limit is over.
"""

from __future__ import annotations

import os
from collections.abc import Awaitable, Callable, Hashable
from functools import partial
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

import attrs

from pollwise.core.call_machine import CallMachine, FetchMachine, OnceMachine, call_policy
from pollwise.core.policy import Policy
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    DeadlineExceeded,
    JobNotFound,
    PermissionDenied,
    PollwiseError,
    UnknownOutcome,
    WatcherClosed,
)
from pollwise.model.calls import Call, StatusCall, checked_cursor
from pollwise.model.cancelling import CancelCall
from pollwise.model.events import Abandoned, Failed, Outcome, Succeeded
from pollwise.model.limits import Limits, require_seconds
from pollwise.model.protocols import Endpoint
from pollwise.model.results import ResultCall, ResultPage, check_result_methods
from pollwise.model.tracebacks import endpoint_bug
from pollwise.runtime.dispatcher import Dispatcher
from pollwise.runtime.driven_watch import DrivenWatch, copy_for_raise
from pollwise.runtime.pending_result import PendingResult
from pollwise.runtime.result_file import ResultFile, SaveCall, WriteFailed
from pollwise.runtime.single_call import outcome_of_call
from pollwise.runtime.watch import Watch

__all__ = ["JobCalls", "check_can_cancel"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")

_MAYBE_EXPIRED = (AuthenticationError, PermissionDenied, JobNotFound)
_NO_RESULT = (
    "the endpoint {} has no result: give it result_request(job, status), which returns a Request, and read_result(reply),"
    " which returns the result or a ResultPage"
)
_NO_CANCEL = "the endpoint {} cannot cancel jobs: give it cancel_request(job, status), which returns a Request"


class JobCalls(Generic[J, S]):
    """Makes the calls of one watcher about its jobs.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.
        dispatcher: Drives the calls.
        policy: Of the watcher's watches.
        limits: How large a result may be, and how long a cancel request at a deadline may take.
        publish: Publishes the outcome of a watch.
        can_stream: Whether the transport has `stream`.

    Raises:
        ConfigurationError: A method of the endpoint cannot be right.
    """

    def __init__(
        self,
        endpoint: Endpoint[J, S],
        dispatcher: Dispatcher[J, S],
        policy: Policy,
        limits: Limits,
        publish: Callable[[DrivenWatch[J, S]], None],
        *,
        can_stream: bool = False,
    ) -> None:
        self._endpoint = endpoint
        self._dispatcher = dispatcher
        self._watch_policy = policy
        self._kept_policy: Policy | None = None
        self._result_bytes = limits.result_bytes
        self._has_result = check_result_methods(endpoint)
        self._request_timeout_s = limits.request_timeout_s
        self._publish = publish
        self._can_stream = can_stream
        self._held: set[DrivenWatch[J, S]] = set()
        self._pending: WeakValueDictionary[DrivenWatch[J, S], PendingResult[Any]] = WeakValueDictionary()

    # --- results ------------------------------------------------------------------------------

    def result(self, watch: DrivenWatch[J, S], timeout_s: float | None) -> Awaitable[Any]:
        """The awaitable of `Watch.result`: the same one while a caller holds it."""
        self._check_result(timeout_s)
        pending = self._pending.get(watch)
        if pending is None:
            pending = self._pending[watch] = PendingResult(
                watch.job,
                partial(self._fetch, watch, timeout_s),
                ended_badly=partial(_error_of, watch),
                start=self._dispatcher.start,
                loop=self._dispatcher.loop,
            )
        return pending

    async def save(
        self, watch: DrivenWatch[J, S], path: str | os.PathLike[str], max_bytes: int, timeout_s: float | None
    ) -> int:
        """As `Watch.save_result`."""
        self._check_result(timeout_s)
        if not self._can_stream:
            raise ConfigurationError(
                "save_result needs a transport with stream(request, sink), as AiohttpTransport has it"
            )
        if checked_cursor(self._endpoint, "result_request") is not None:
            raise ConfigurationError(
                f"the results of the endpoint {self._endpoint.name} may have several pages, of which a file would be the"
                " first; use result()"
            )
        if type(max_bytes) is not int or max_bytes < 1:
            raise ConfigurationError(f"max_bytes must be a whole number of at least 1, got {max_bytes!r}")
        await watch
        file = ResultFile(path, watch.job, max_bytes)
        try:
            size = await self._fetch(watch, timeout_s, file)
            if type(size) is not int or size != file.size:
                raise ConfigurationError("result_request returned None: the status itself is the result, and no file")
            await file.finish()
        except PollwiseError:
            if file.failure is None:
                raise
        else:
            return file.size
        finally:
            file.discard()
        raise file.failure

    def _check_result(self, timeout_s: float | None) -> None:
        if not self._has_result:
            raise ConfigurationError(_NO_RESULT.format(self._endpoint.name))
        _check_timeout(timeout_s)

    async def _fetch(self, watch: DrivenWatch[J, S], timeout_s: float | None, file: ResultFile | None = None) -> Any:
        """Wait for the outcome, then fetch the result, or its size if it goes to a file."""
        job, status = watch.job, await watch
        began = self._dispatcher.loop.time()
        call, first = self._result_call(job, status, file)
        if first is None or isinstance(first, ResultPage):
            return _in_status(first, status, file)
        outcome = await self._drive(FetchMachine, job, call, began, timeout_s)
        if not isinstance(outcome, Succeeded) and isinstance(outcome.error, _MAYBE_EXPIRED):
            fresh = await self._drive(CallMachine, job, StatusCall(self._endpoint), began, timeout_s)
            if isinstance(fresh, Succeeded):
                call, request = self._result_call(job, fresh.status, file)
                if request is None or isinstance(request, ResultPage):
                    return _in_status(request, fresh.status, file)
                if request != first:
                    outcome = await self._drive(FetchMachine, job, call, began, timeout_s)
            elif isinstance(fresh.error, (DeadlineExceeded, WatcherClosed)):
                outcome = fresh
        if isinstance(outcome, Succeeded):
            return outcome.status
        if isinstance(outcome, Failed):
            raise outcome.error
        raise _noted(outcome.error, "The job succeeded. Its result could not be fetched.")

    def _result_call(self, job: J, status: S, file: ResultFile | None) -> tuple[Call[J, Any], object]:
        """The call, and the first request that it makes."""
        call: Call[J, Any] = (
            ResultCall(self._endpoint, status, most_bytes=self._result_bytes)
            if file is None
            else SaveCall(self._endpoint, status, file)
        )
        try:
            return call, call.request(job, None)
        except PollwiseError:
            raise
        except Exception as exc:  # noqa: BLE001  # an endpoint's code
            bug = endpoint_bug(job, exc, "result_request raised it")
        raise bug

    # --- cancelling ---------------------------------------------------------------------------

    async def cancel(self, watch: DrivenWatch[J, S], timeout_s: float | None) -> bool:
        """As `Watch.cancel`."""
        check_can_cancel(self._endpoint)
        _check_timeout(timeout_s)
        if _is_over(watch.machine.outcome):
            return False
        machine = self._cancel_machine(watch, timeout_s)
        outcome = await outcome_of_call(self._dispatcher, machine)
        if isinstance(outcome, Succeeded):
            if outcome.status:
                self._dispatcher.hasten(watch)
            return outcome.status
        if isinstance(outcome.error, JobNotFound):  # by the vendor's own code
            return False
        raise _noted(outcome.error, "The watch goes on. Only the request to cancel its job has failed.")

    def over(self, watch: DrivenWatch[J, S]) -> None:
        """The watch is over: publish its outcome, after a cancel request if its deadline has ended it."""
        outcome = watch.machine.outcome
        if not isinstance(outcome, Abandoned) or not isinstance(outcome.error, DeadlineExceeded):
            self._publish(watch)
            return
        call = DrivenWatch(self._cancel_machine(watch, self._request_timeout_s), self._dispatcher)
        try:
            self._dispatcher.add_call(call)
        except WatcherClosed:
            self._publish(watch)
            return
        self._held.add(watch)
        call.on_outcome(partial(self._cancelled, watch, outcome.error))

    def is_held(self, watch: DrivenWatch[J, S]) -> bool:
        """Whether the outcome of this watch waits for the reply to a cancel request."""
        return watch in self._held

    def _cancelled(self, watch: DrivenWatch[J, S], error: DeadlineExceeded, call: Watch[J, bool, Any]) -> None:
        """The cancel request at a deadline has its outcome."""
        outcome = call.outcome
        if isinstance(outcome, Succeeded):
            error.cancel = "accepted" if outcome.status else "too late"
        elif isinstance(outcome, Abandoned):
            error.cancel = "too late" if isinstance(outcome.error, JobNotFound) else "failed"
            error.add_note(f"The cancel request at the deadline: {outcome.error}")
        self._held.discard(watch)
        self._publish(watch)

    def _cancel_machine(self, watch: DrivenWatch[J, S], timeout_s: float | None) -> CallMachine[J, bool]:
        call = CancelCall(self._endpoint, watch.machine.status)
        return OnceMachine(watch.job, self.policy_for(call, timeout_s), now=self._dispatcher.loop.time())

    # --- every call ---------------------------------------------------------------------------

    async def _drive(
        self, kind: type[CallMachine[J, T]], job: J, call: Any, began: float, timeout_s: float | None
    ) -> Outcome[J, T]:
        """The outcome of one call whose time limit runs from `began`."""
        return await outcome_of_call(self._dispatcher, kind(job, self.policy_for(call, timeout_s), now=began))

    def policy_for(self, call: Any, timeout_s: float | None) -> Policy:
        """The policy of a single call. `timeout_s` is None for that of the watches."""
        if self._kept_policy is None:  # because it takes a millisecond
            self._kept_policy = call_policy(self._watch_policy, call)
        if timeout_s is None:
            timeout_s = self._watch_policy.timeout_s
        return attrs.evolve(self._kept_policy, call=call, timeout_s=timeout_s)


def check_can_cancel(endpoint: Endpoint[Any, Any]) -> None:
    """Raise ConfigurationError if the endpoint has no `cancel_request`."""
    if not hasattr(endpoint, "cancel_request"):
        raise ConfigurationError(_NO_CANCEL.format(endpoint.name))


def _check_timeout(timeout_s: float | None) -> None:
    if timeout_s is not None:
        require_seconds("timeout_s", timeout_s)


def _in_status(result: object, status: Any, file: ResultFile | None) -> Any:
    """The result if there is no request for it: a value of the status, or the status itself. Of these, bytes can be saved."""
    value = result.value if isinstance(result, ResultPage) else status
    if file is None:
        return value
    if not isinstance(result, ResultPage) or not isinstance(value, bytes):
        return None
    try:
        file.write(value)
    except WriteFailed:
        if file.failure is None:
            raise
    else:
        return file.size
    raise file.failure


def _is_over(outcome: Outcome[Any, Any] | None) -> bool:
    """Whether the job is over. After the end of a watch it may go on."""
    return outcome is not None and not (
        isinstance(outcome, Abandoned) and not isinstance(outcome.error, (JobNotFound, UnknownOutcome))
    )


def _error_of(watch: DrivenWatch[Any, Any]) -> PollwiseError | None:
    outcome = watch.outcome
    return None if outcome is None or isinstance(outcome, Succeeded) else outcome.error


def _noted(error: PollwiseError, note: str) -> PollwiseError:
    raised = copy_for_raise(error)
    raised.add_note(note)
    return raised
