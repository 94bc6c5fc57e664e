"""What users get to test their own code with."""

from __future__ import annotations

import asyncio
import sys
import traceback
from collections.abc import Iterator

import pytest
from multidict import CIMultiDict
from yarl import URL

from pollwise.core.pacing import Pacing
from pollwise.errors import ConfigurationError, ConnectFailed, StaleConnection
from pollwise.model.messages import Reply, Request
from pollwise.testing import Answer, Hang, ScriptedTransport, Slow, controlled, reply, run
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus, job_of

REQUEST = Request(URL("https://toy.example/a"))


def test_an_hour_of_watching_passes_at_once() -> None:
    """The clock starts at 0, stands still while code computes, and jumps to whatever is waited for."""

    async def main() -> tuple[ToyStatus, float]:
        clock = asyncio.get_running_loop().time
        assert clock() == 0
        sum(range(10_000))
        assert clock() == 0
        transport = ScriptedTransport([RUNNING] * 120 + [SUCCEEDED])
        async with JobWatcher(ToyEndpoint(), timeout_s=86_400, transport=transport) as watcher:
            return await watcher.watch(ToyJob()), clock()

    status, took = run(main())
    assert status == ToyStatus("succeeded", 10)
    assert took > 3600


def test_run_hands_on_what_comes_out() -> None:
    """A result is returned and an exception raised, as by `asyncio.run`."""

    async def fail() -> None:
        await asyncio.sleep(1)
        raise LookupError

    async def debugging() -> bool:
        return asyncio.get_running_loop().get_debug()

    with pytest.raises(LookupError):
        run(fail())
    assert run(debugging(), debug=True) is True
    assert run(debugging(), debug=False) is False


def test_run_says_what_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without looptime it is an ImportError, and nothing else here needs it."""
    monkeypatch.setitem(sys.modules, "looptime", None)
    main = asyncio.sleep(0)
    with pytest.raises(ImportError):
        run(main)
    main.close()


@pytest.mark.looptime
async def test_answers_come_in_order_and_the_last_one_repeats() -> None:
    """Documents, bare status codes and whole replies."""
    whole = Reply(202, {"X": "y"}, b"text")
    transport = ScriptedTransport([{"a": 1}, 503, whole])
    replies = [await transport.send(REQUEST) for _ in range(5)]
    assert [(answer.status, answer.body) for answer in replies[:2]] == [(200, b'{"a":1}'), (503, b"{}")]
    assert [(answer.status, answer.headers, answer.body) for answer in replies[2:]] == [(202, {"X": "y"}, b"text")] * 3
    assert replies[0].is_json
    assert [request for _, request in transport.requests] == [REQUEST] * 5


@pytest.mark.looptime
async def test_a_reply_comes_as_from_a_network() -> None:
    """With the request that it answers and header fields in any case; what the script holds stays as it is."""
    other = Request(URL("https://toy.example/other"))
    plain, full = Reply(200, {"Retry-After": "3"}, b"{}"), Reply(200, CIMultiDict({"A": "b"}), b"{}", other)
    transport = ScriptedTransport([{"a": 1}, 503, plain, full, Slow(plain, 1.0)])
    replies = [await transport.send(REQUEST) for _ in range(5)]
    assert [answer.request for answer in replies] == [REQUEST, REQUEST, REQUEST, other, REQUEST]
    assert replies[2].headers["retry-after"] == "3"
    assert (plain.request, plain.headers) == (None, {"Retry-After": "3"})


@pytest.mark.looptime
async def test_a_stale_connection_can_be_scripted() -> None:
    """A poll is sent again at once, without an event; a POST fails as it would on a network."""
    transport = ScriptedTransport([RUNNING, StaleConnection("closed"), SUCCEEDED])
    async with JobWatcher(ToyEndpoint(), timeout_s=60, transport=transport) as watcher:
        events = [event async for event in watcher.watch(ToyJob())]
    assert [type(event).__name__ for event in events] == ["Progressed", "Succeeded"]
    assert transport.times[1] == transport.times[2]
    post = Request(REQUEST.url, {}, "POST", b"{}")
    with pytest.raises(ConnectFailed, match="may or may not have received the POST") as caught:
        await ScriptedTransport([StaleConnection("closed")]).send(post)
    assert not isinstance(caught.value, StaleConnection)


@pytest.mark.looptime
async def test_a_script_may_be_a_function() -> None:
    """It answers by what is asked."""
    transport = ScriptedTransport(lambda request: {"job": job_of(request)})
    assert (await transport.send(REQUEST)).body == b'{"job":"a"}'


@pytest.mark.looptime
async def test_a_script_is_read_as_far_as_it_is_needed() -> None:
    """An endless generator will do."""

    def script() -> Iterator[Answer]:
        for n in range(10**9):
            yield {"n": n}

    transport = ScriptedTransport(script())
    assert [(await transport.send(REQUEST)).body for _ in range(3)] == [b'{"n":0}', b'{"n":1}', b'{"n":2}']


def test_a_script_without_an_answer_is_refused_at_once() -> None:
    """Where it is made, and not where it is first used."""
    with pytest.raises(ValueError, match="at least one answer"):
        ScriptedTransport([])


@pytest.mark.looptime
async def test_an_error_is_raised_each_time_as_if_it_were_new() -> None:
    """It does not gather the tracebacks of all the times before."""
    transport = ScriptedTransport([ConnectFailed("refused")])
    for _ in range(5):
        with pytest.raises(ConnectFailed) as caught:
            await transport.send(REQUEST)
        assert len(traceback.extract_tb(caught.value.__traceback__)) == 2


@pytest.mark.looptime
async def test_an_answer_can_be_late_or_never_come() -> None:
    """`Slow` takes its time, one inside another too; `Hang` waits until it is cancelled."""
    clock = asyncio.get_running_loop().time
    transport = ScriptedTransport([Slow({"a": 1}, 5.0), Slow(Slow(503, 2.0), 1.0), Slow(Hang(), 1.0)])
    assert (await transport.send(REQUEST)).status == 200
    assert clock() == 5
    assert (await transport.send(REQUEST)).status == 503
    assert clock() == 8
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(1000):
            await transport.send(REQUEST)
    assert transport.times == [0, 5, 8]


def test_reply_makes_a_json_reply() -> None:
    """Status and headers are as given, and names of headers are the same in any case."""
    made = reply({"a": [1]}, status=429, headers={"retry-after": "3"})
    assert (made.status, made.body, made.is_json) == (429, b'{"a":[1]}', True)
    assert made.headers["Retry-After"] == "3"
    assert reply().body == b"null"


@pytest.mark.looptime
async def test_dice_and_clock_are_replaced_before_a_watcher_is_opened() -> None:
    """The dice choose the jitter, and the clock the times in resume tokens."""
    transport = ScriptedTransport([RUNNING])
    watcher = JobWatcher(
        ToyEndpoint(), timeout_s=60, pacing=Pacing(min_s=1, max_s=1, jitter=1.0, adaptive=False), transport=transport
    )
    async with controlled(watcher, dice=lambda: 0.5):
        watcher.watch(ToyJob())
        await asyncio.sleep(4)
    assert transport.times == [0.0, 1.5, 3.0]


@pytest.mark.looptime
async def test_a_scripted_transport_takes_requests_alone() -> None:
    """A URL in place of a request would pass a test and fail on a network."""
    transport = ScriptedTransport([RUNNING])
    with pytest.raises(ConfigurationError, match="request must return a Request"):
        await transport.send("https://a.example")  # type: ignore[arg-type]
    assert transport.requests == []
