from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from pollwise.cli.batch_progress import RequestCounter
from pollwise.cli.batch_transport import BatchTransport
from pollwise.errors import AuthenticationError, ConnectFailed, InsecureUrl
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Transport

REQUEST = Request(URL("https://example.com"))


class Scripted(Transport):
    def __init__(self, *answers: Reply | Exception) -> None:
        self.answers = list(answers)

    async def send(self, request: Request, /) -> Reply:
        answer = self.answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_every_request_is_counted() -> None:
    """Replies and errors pass unchanged, and each request is counted."""
    counter, reply = RequestCounter(), Reply(503, {}, b"")
    batch_transport = BatchTransport("e", Scripted(reply, ConnectFailed("x")), counter)
    assert await batch_transport.send(REQUEST) is reply
    with pytest.raises(ConnectFailed):
        await batch_transport.send(REQUEST)
    assert counter.sent == 2
    assert not batch_transport.fatal_error.done()


@pytest.mark.parametrize("answer", [Reply(401, {}, b""), InsecureUrl("http://x")])
async def test_an_error_that_concerns_all_jobs_returns_to_no_watch(answer: Reply | Exception) -> None:
    """`fatal_error` fails with the error. `send` does not return, so no watch is abandoned because of it."""
    batch_transport = BatchTransport("e", Scripted(answer, answer), RequestCounter())
    sending = [asyncio.create_task(batch_transport.send(REQUEST)) for _ in range(2)]
    with pytest.raises((AuthenticationError, InsecureUrl)):
        await batch_transport.fatal_error
    await asyncio.sleep(0)
    assert not any(task.done() for task in sending)
    for task in sending:
        task.cancel()
    await asyncio.wait(sending)
