from __future__ import annotations

import asyncio

import pytest
from yarl import URL

from pollwise.cli.batch_progress import Traffic
from pollwise.cli.batch_transport import Gate
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


async def test_all_that_is_sent_is_counted() -> None:
    """Replies and errors pass as they are."""
    traffic, reply = Traffic(), Reply(503, {}, b"")
    gate = Gate("e", Scripted(reply, ConnectFailed("x")), traffic)
    assert await gate.send(REQUEST) is reply
    with pytest.raises(ConnectFailed):
        await gate.send(REQUEST)
    assert traffic.sent == 2
    assert not gate.trouble.done()


@pytest.mark.parametrize("answer", [Reply(401, {}, b""), InsecureUrl("http://x")])
async def test_what_concerns_all_jobs_holds_each(answer: Reply | Exception) -> None:
    """Refused credentials are told once, and no job hears of them, so none is given up for them."""
    gate = Gate("e", Scripted(answer, answer), Traffic())
    sending = [asyncio.create_task(gate.send(REQUEST)) for _ in range(2)]
    with pytest.raises((AuthenticationError, InsecureUrl)):
        await gate.trouble
    await asyncio.sleep(0)
    assert not any(task.done() for task in sending)
    for task in sending:
        task.cancel()
    await asyncio.wait(sending)
