"""What you need to test your own code: a virtual clock, a scripted transport, and checks for an endpoint.

    from pollwise.testing import ScriptedTransport, run

    async def main() -> None:
        transport = ScriptedTransport([{"progress": "PROCESSING", ...}, 503, {"progress": "SUCCEEDED", ...}])
        async with JobWatcher(endpoint, timeout_s=3600, transport=transport) as watcher:
            status = await watcher.watch(job)

    run(main())     # an hour of watching takes milliseconds

`check_endpoint` reports everything that is wrong with an endpoint.

Rule 1: nothing here is imported by the rest of the package.
Rule 2: virtual time passes only while everything waits; code that computes takes none of it.

The virtual clock is looptime's (extra `testing`). For faults of a real socket, use `pollwise.simulator`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from typing import Any, TypeAlias, TypeVar

import attrs
import orjson
from multidict import CIMultiDict, CIMultiDictProxy
from yarl import URL

from pollwise.core.callbacks import checked_clock
from pollwise.endpoints.checks import EndpointProblems, Sample, StartSample, check_endpoint
from pollwise.errors import ConfigurationError, ConnectFailed, PollwiseError, StaleConnection
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_request
from pollwise.watcher import JobWatcher

__all__ = [
    "Answer",
    "EndpointProblems",
    "Hang",
    "Sample",
    "ScriptedTransport",
    "Slow",
    "StartSample",
    "check_endpoint",
    "controlled",
    "reply",
    "run",
]

R = TypeVar("R")
W = TypeVar("W", bound=JobWatcher[Any, Any])


@attrs.frozen
class Hang:
    """Never answers: the request ends when the watch cuts it."""


@attrs.frozen
class Slow:
    """Answers after `after_s` seconds."""

    answer: Answer
    after_s: float


Answer: TypeAlias = Reply | Mapping[str, Any] | int | PollwiseError | Hang | Slow
"""What one request gets: a reply, a JSON document (200), a bare status code, an error, silence, or one of them late."""


def reply(document: Any = None, *, status: int = 200, headers: Mapping[str, str] | None = None) -> Reply:
    """A reply with this JSON document as its body."""
    fields = CIMultiDict({"Content-Type": "application/json", **(headers or {})})
    return Reply(status, fields, orjson.dumps(document))


class ScriptedTransport:
    """Answers from a script in place of a network.

    A reply comes back with the request that it answers, and with header fields in any case, as from a network. Script a
    `StaleConnection` for a kept-alive connection that the server had closed.

    Args:
        script: The answers in their order, the last of which repeats for ever; or a function from the request to its
            answer.

    Attributes:
        requests: What was sent, in order, with the event loop's time at which it was.
    """

    def __init__(self, script: Iterable[Answer] | Callable[[Request], Answer]) -> None:
        self.requests: list[tuple[float, Request]] = []
        self._answer: Callable[[Request], Answer]
        if callable(script):
            self._answer = script
        else:
            answers = _repeating(script)
            self._answer = lambda _request: next(answers)

    @property
    def times(self) -> list[float]:
        """When each request was sent, in the event loop's seconds."""
        return [at for at, _ in self.requests]

    async def send(self, request: Request, /) -> Reply:
        """Answer as the script says.

        Raises:
            ConfigurationError: It is no request, or a field of it has another type.
        """
        if not _can_be_sent(request):
            raise ConfigurationError(wrong_with_request(request) or "this is no request")
        self.requests.append((asyncio.get_running_loop().time(), request))
        answer = self._answer(request)
        await asyncio.sleep(0)  # a network always gives way to others
        while isinstance(answer, Slow):
            await asyncio.sleep(answer.after_s)
            answer = answer.answer
        match answer:
            case Reply():
                return _as_sent(answer, request)
            case StaleConnection() if not request.is_idempotent:
                raise ConnectFailed(f"{answer.detail}; it may or may not have received the {request.method}")
            case PollwiseError():
                raise answer.with_traceback(None)  # it may be raised again and again
            case Hang():
                await asyncio.get_running_loop().create_future()
                raise AssertionError
            case int():
                return _as_sent(reply({}, status=answer), request)
            case document:
                return _as_sent(reply(document), request)

    async def stream(self, request: Request, sink: Callable[[bytes], object], /) -> Reply:
        """As `send`, with the body of a 2xx reply for `sink`."""
        reply = await self.send(request)
        if not 200 <= reply.status < 300:
            return reply
        sink(reply.body)
        return attrs.evolve(reply, body=b"")


def controlled(watcher: W, *, dice: Callable[[], float] | None = None, clock: Callable[[], float] | None = None) -> W:
    """The same watcher with these in place of random numbers and of the wall clock. Call it before opening the watcher.

    Args:
        watcher: The watcher, which is not open yet.
        dice: Returns a random number in [0, 1), for jitter.
        clock: Returns the time in epoch seconds, for what outlives the process: ledger and resume tokens.
    """
    if dice is not None:
        watcher._dice = dice  # noqa: SLF001  # no argument of JobWatcher, because only tests want it
    if clock is not None:
        watcher._clock = checked_clock(clock)  # noqa: SLF001
    return watcher


def run(main: Coroutine[Any, Any, R], *, debug: bool | None = None) -> R:
    """`asyncio.run` under a virtual clock that starts at 0 and jumps to whatever is waited for.

    Raises:
        ImportError: looptime is not installed (`pip install 'pollwise[testing]'`).
    """
    import looptime  # noqa: PLC0415  # an extra, which only this function needs

    with asyncio.Runner(debug=debug, loop_factory=looptime.new_event_loop) as runner:
        return runner.run(main)


def _can_be_sent(request: object) -> bool:
    if not isinstance(request, Request) or type(request.url) is not URL:
        return False
    texts = all(isinstance(text, str) for text in request.headers.values())
    return texts and (request.body is None or isinstance(request.body, bytes))


def _as_sent(scripted: Reply, request: Request) -> Reply:
    """The reply as a network would bring it: for its request, and with header fields in any case."""
    headers = scripted.headers
    if not isinstance(headers, (CIMultiDict, CIMultiDictProxy)):
        headers = CIMultiDict(headers)
    answered = request if scripted.request is None else scripted.request
    return attrs.evolve(scripted, headers=headers, request=answered)


def _repeating(script: Iterable[Answer]) -> Iterator[Answer]:
    answers = iter(script)
    try:
        answer = next(answers)
    except StopIteration:
        raise ValueError("a script needs at least one answer") from None

    def repeated() -> Iterator[Answer]:
        last = answer
        yield last
        for last in answers:
            yield last
        while True:
            yield last

    return repeated()
