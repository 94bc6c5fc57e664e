"""One task of the pool: it sends one poll at a time, and passes on the result.

Rule 1: a request is cancelled at its time limit or at the watch's deadline, whichever is first.
Rule 2: credentials are added and renewed here. If a reply or an exception repeats them, they are masked here, before any
other code sees it.
Rule 3: a long reply is masked and cut down to limits here, in steps between which the event loop runs. The pollers of a
watcher take turns, so that many long replies hold the loop no longer than one. A short reply is cut where it is read.
Rule 4: a poller decides nothing. What an endpoint, a transport or an auth raises is a result like a reply.
"""

from __future__ import annotations

import asyncio
import enum
import math
from collections.abc import Awaitable, Callable, Hashable, Mapping
from typing import Any, Generic, TypeAlias, TypeVar

from pollwise.core.machine import WatchMachine
from pollwise.core.url_rules import UrlRules
from pollwise.errors import AuthenticationError, ConnectFailed, PollTimeout
from pollwise.http.signing import unsigned
from pollwise.http.turns import Turns
from pollwise.model.bounded_reply import SHORT, bounding
from pollwise.model.calls import Call
from pollwise.model.limits import ReplyLimits
from pollwise.model.masked_values import masked_error
from pollwise.model.masking import Mask, mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint, Transport
from pollwise.model.secrets import KnownSecrets, secrets_named_in
from pollwise.model.submitting import SubmitCall
from pollwise.runtime.driven_watch import DrivenWatch

__all__ = ["CANCELLED_WITHIN", "PollResult", "Poller", "Unasked"]

CANCELLED_WITHIN = (
    "cancelled from within"  # the send raised CancelledError and no code here cancelled it: a failed poll
)

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")


class Unasked(enum.Enum):
    """Why no poll was sent."""

    IDLE = enum.auto()
    """No watch was assigned, or it was stopped after that."""
    RENEWED = enum.auto()
    """The credentials were renewed instead."""


PollResult: TypeAlias = Reply | Exception | Unasked
"""The result of a poll: the reply, or what was raised, or why no poll was sent."""


class Poller(Generic[J, S]):
    """One task, and the poll that it sends.

    Args:
        endpoint: Makes the requests.
        transport: Sends them, and signs them first if the credentials can.
        timeout_s: Longest time for one request, in seconds.
        limits: How much of a reply is kept.
        turns: The order in which the pollers of the watcher work on long replies.
        loop: The event loop that the task is to run in.
        on_result: Called with the poller when it has a result. It can be assigned a watch in a later step of the loop.
        secrets: The secrets that all pollers of the watcher know.

    Attributes:
        limit_at: When the request in flight is cancelled, in monotonic seconds; infinite when there is none.
        permit: The permit of the request, until it is released; 0 for none.
        refusal: The server's refusal of the credentials that were sent last, or None.
        result: The result of the last poll.
        sent_at: When the watch was assigned, in monotonic seconds.
        task: The task that runs it, once there is one.
        watch: The watch that is polled, until its result has been processed.
    """

    __slots__ = (
        "_assigned",
        "_auth",
        "_cancelled",
        "_credentials",
        "_endpoint",
        "_limits",
        "_loop",
        "_now",
        "_on_result",
        "_reads_headers",
        "_renewing",
        "_renews_via",
        "_secrets",
        "_sending",
        "_timeout_s",
        "_transport",
        "_turns",
        "_url_rules",
        "limit_at",
        "permit",
        "refusal",
        "result",
        "sent_at",
        "task",
        "watch",
    )

    def __init__(
        self,
        *,
        endpoint: Endpoint[J, S],
        transport: Transport,
        timeout_s: float,
        limits: ReplyLimits,
        turns: Turns,
        loop: asyncio.AbstractEventLoop,
        on_result: Callable[[Poller[J, S]], None],
        secrets: KnownSecrets | None = None,
    ) -> None:
        self._endpoint = endpoint
        self._auth = endpoint.auth
        self._transport = transport
        self._renews_via = unsigned(transport)
        self._timeout_s = timeout_s
        self._limits = limits
        self._turns = turns
        self._loop = loop
        self._now = loop.time
        self._on_result = on_result
        self._assigned: asyncio.Future[None] | None = None  # resolved when a watch is assigned
        self.sent_at = 0.0
        self._credentials: Mapping[str, str] | None = None  # as last sent
        self._secrets = KnownSecrets() if secrets is None else secrets
        self._reads_headers = endpoint.heeded_headers != ()
        self._url_rules = UrlRules(endpoint)
        self._renewing = False
        self._sending = False
        self._cancelled = False
        self.result: PollResult = Unasked.IDLE
        self.limit_at = math.inf
        self.refusal: AuthenticationError | None = None
        self.task: asyncio.Task[None] | None = None
        self.permit = 0
        self.watch: DrivenWatch[J, S] | None = None

    # --- from outside the task ----------------------------------------------------------------

    def assign(self, watch: DrivenWatch[J, S], permit: int, now: float) -> bool:
        """Poll this watch. Only for a poller that waits, or whose task has not begun. False if its task is being cancelled."""
        call = self._assigned
        if call is not None:
            if call.done():
                return False
            call.set_result(None)
        self.watch = watch
        self.permit = permit
        self.sent_at = now
        limit_at, deadline = now + self._timeout_s, watch.machine.deadline
        self.limit_at = deadline if deadline < limit_at else limit_at
        return True

    def renew(self, watch: DrivenWatch[J, S], now: float) -> bool:
        """Renew the credentials, which the server has refused for this watch. False as with `assign`."""
        self._renewing = True
        return self.assign(watch, 0, now)

    def cancel_request(self) -> None:
        """Cancel the request in flight, if there is one. Never called by the task itself."""
        if self._sending and not self._cancelled and self.task is not None:
            self._cancelled = True
            self.limit_at = math.inf
            self.task.cancel()

    def cancel_request_for(self, watch: DrivenWatch[J, S]) -> None:
        """Cancel the request in flight if it is for this watch."""
        if self.watch is watch:
            self.cancel_request()

    # --- the task -----------------------------------------------------------------------------

    async def run(self) -> None:  # noqa: C901, PLR0912  # the one road of every poll: a method for each part costs a call
        """Poll the watches that are assigned, until cancelled."""
        self.task = task = asyncio.current_task()
        assert task is not None  # noqa: S101  # for the type checker: this is a task's own coroutine
        while True:
            assert self.watch is not None  # noqa: S101  # a watch was assigned before
            machine = self.watch.machine
            self._sending = True
            try:
                if machine.outcome is not None:  # the watch was stopped after it was assigned
                    self.result = Unasked.IDLE
                elif self._renewing:
                    self.result = await self._renew()
                else:
                    machine.asked(self.sent_at)
                    if self._auth is not None:
                        reply = await self._authorised(machine, self._auth)
                    elif machine.call is not None:
                        reply = await self._with_named(self._request_of(machine), machine)
                    else:  # tested here, to save a coroutine
                        request = self._endpoint.request(machine.job)
                        if request.headers or request.body is not None or request.url.raw_query_string:
                            reply = await self._with_named(request, machine)
                        else:
                            reply = await self._transport.send(request)
                        del request
                    if len(reply.body) > SHORT:
                        reply = await self._cut(reply)
                    self.result = reply
                    del reply  # an idle poller keeps none alive
            except asyncio.CancelledError:
                if (
                    task.cancelling() > self._cancelled
                ):  # foreign code, or the close of the pool, cancels the whole poller
                    raise
                self.result = PollTimeout(self._timeout_s) if self._cancelled else ConnectFailed(CANCELLED_WITHIN)
            except Exception as exc:  # noqa: BLE001  # rule 4
                self.result = exc
            self._sending = self._renewing = False
            self.limit_at = math.inf
            if self._cancelled:
                self._cancelled = False
                task.uncancel()
            del machine  # an idle poller keeps no watch alive
            self._assigned = asyncio.Future(loop=self._loop)
            self._on_result(self)
            if task.cancelling():  # the send has swallowed the cancellation of the poller
                self._assigned.cancel()
            await self._assigned

    def _limit(self, now: float) -> None:
        """The time limit of the request begins again, as in `assign`."""
        if self.watch is not None:
            self.limit_at = min(now + self._timeout_s, self.watch.machine.deadline)

    async def _authorised(self, machine: WatchMachine[J, S], auth: Auth) -> Reply:
        """Send the poll with credentials that are not known to be refused or expired."""
        call, now = machine.call, self._now()
        request = self._endpoint.request(machine.job) if call is None else self._request_of(machine)
        if request.first_host is not None:
            return await self._without_credentials(request, machine)
        headers = auth.headers(now)
        if headers is None:
            await auth.renew(self._renews_via, now, None)
            now = self._now()
            self._limit(now)  # that was a request of its own
            headers = auth.headers(now)
            if headers is None:
                raise AuthenticationError("The new credentials have expired already.")
        self._credentials = headers
        secrets = self._secrets
        secrets.learn(headers, now)
        if request.headers:
            headers = {**request.headers, **headers}
        send = self._transport.send if call is None else self._sender(call)
        try:
            reply = await send(Request(request.url, headers, request.method, request.body, None, request.idempotent))
        except Exception as exc:
            masked_error(secrets.mask, exc)
            raise
        with_headers = self._reads_headers or call is not None or not 200 <= reply.status < 300
        if len(reply.body) <= SHORT:  # tested here, too, to save a coroutine
            reply = reply.masked(secrets.mask, with_headers=with_headers)
        else:
            reply = await self._masked(reply, secrets.mask, with_headers=with_headers)
        named = request.named_secrets if call is None else _named_by_endpoint(request, machine)
        return await self._masked(reply, mask_of(named), with_headers=with_headers) if named else reply

    def _request_of(self, machine: WatchMachine[J, S]) -> Request:
        """The request of a call. Raises UnsafeUrl if a server has named a URL that must not be asked."""
        call, job, cursor = machine.call, machine.job, machine.cursor
        assert call is not None  # noqa: S101  # that is what a call is
        request = call.request(job, cursor)
        return request if _is_own(machine) else self._url_rules.checked(job, request, cursor)

    def _sender(self, call: Call[J, Any]) -> Callable[[Request], Awaitable[Reply]]:
        """What sends a request of this call. The time limit of a body that is streamed begins anew with each piece."""
        if isinstance(call, SubmitCall):
            call.on_send()
        sink: Callable[[bytes], object] | None = getattr(call, "sink", None)
        if sink is None:
            return self._transport.send

        def limited(piece: bytes) -> None:
            self._limit(self._now())
            sink(piece)

        stream = self._transport.stream  # type: ignore[attr-defined]  # `JobCalls` has looked whether it is there
        return lambda request: stream(request, limited)

    async def _without_credentials(self, request: Request, machine: WatchMachine[J, S]) -> Reply:
        """Send a request to another server than the API's. If its reply repeats credentials, they are masked all the same."""
        secrets = self._secrets
        try:
            reply = await self._with_named(request, machine)
        except Exception as exc:
            masked_error(secrets.mask, exc)
            raise
        return await self._masked(reply, secrets.mask, with_headers=True)

    async def _with_named(self, request: Request, machine: WatchMachine[J, S]) -> Reply:
        """Send a poll without credentials of an `auth`. The endpoint may have put some in."""
        named = _named_by_endpoint(request, machine)
        send = self._transport.send if machine.call is None else self._sender(machine.call)
        if not named:
            return await send(request)
        mask = mask_of(named)
        try:
            reply = await send(request)
        except Exception as exc:
            masked_error(mask, exc)
            raise
        return await self._masked(reply, mask, with_headers=True)

    async def _masked(self, reply: Reply, mask: Mask, *, with_headers: bool) -> Reply:
        """The reply without the secrets of the mask."""
        if len(reply.body) <= SHORT:
            return reply.masked(mask, with_headers=with_headers)
        return await self._turns.take(reply.masked_in_steps(mask, with_headers=with_headers))

    async def _cut(self, reply: Reply) -> Reply:
        """The reply within the limits."""
        call = None if self.watch is None else self.watch.machine.call
        limits = self._limits if call is None else call.limits or self._limits
        keys = self._endpoint.deciding_keys if call is None else call.deciding_keys
        return await self._turns.take(bounding(reply, limits, keys))

    async def _renew(self) -> Unasked:
        refused, self.refusal = self.refusal, None
        try:
            if self._auth is not None:
                await self._auth.renew(self._renews_via, self._now(), self._credentials)
                now = self._now()
                renewed = self._auth.headers(now)
                if renewed is not None:
                    self._secrets.learn(renewed, now)  # now, because a reply to another request may repeat them
        except AuthenticationError as exc:
            if exc.problem is not None or refused is None:
                raise
            raise AuthenticationError(exc.detail, refused.problem) from exc  # that problem says more
        return Unasked.RENEWED


def _is_own(machine: WatchMachine[Any, Any]) -> bool:
    """Whether no server has had a part in the URL of the next request."""
    call = machine.call
    return call is None or (machine.cursor is None and call.starts_own)


def _named_by_endpoint(request: Request, machine: WatchMachine[Any, Any]) -> frozenset[str]:
    """The secrets that the endpoint has put into a request.

    A signature in a server's URL is the server's own, and its reply may name that URL again.
    """
    if isinstance(machine.call, SubmitCall):  # without the order, of which the job's ID may repeat a part
        return secrets_named_in(request.headers, request.url.raw_query_string)
    return request.named_secrets if _is_own(machine) else secrets_named_in(request.headers, body=request.body)
