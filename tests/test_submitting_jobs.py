"""Starting a job and watching it: `await watcher.submit(order)`, on real sockets."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from yarl import URL

from pollwise import ConfigurationError, DeadlineExceeded, JobWatcher, Limits, Pacing, Request, Retry, WatchError
from pollwise.endpoints import Endpoint, Problem, Reading, Reply, Submitted
from pollwise.errors import (
    AuthenticationError,
    EndpointBug,
    JobNotFound,
    PermissionDenied,
    RequestRejected,
    RetriesExhausted,
    StaleConnection,
    SubmitDoubtful,
    UnsafeUrl,
    WatcherClosed,
)
from pollwise.testing import ScriptedTransport
from raw_server import raw_server
from submitting import BUSY, DONE, STARTED, ByUrl, Presses, Starting, Vendor, said
from toy import ToyAuth, ToyJob, settle

pytestmark = pytest.mark.looptime

LOST = [None, said("503 Service Unavailable", b"{}", "Retry-After: 1"), said("500 Oh No"), b"", said("200 OK", b"[]")]
LOST_IDS = ["closed", "503", "500", "silent", "malformed"]


def _now() -> float:
    return asyncio.get_running_loop().time()


async def test_a_start_is_one_request_and_gives_the_watch() -> None:
    """The job of the reply is watched to its end."""
    vendor = Vendor(STARTED, status=DONE)
    async with Starting(vendor) as watcher:
        watch = await watcher.submit("print")
        assert watch.job == ToyJob("7")
        assert (await watch).state == "succeeded"
    assert len(vendor.starts) == 1
    assert vendor.server.requests[0].endswith(b"\r\n\r\nprint")


async def test_the_first_poll_is_immediate() -> None:
    """If nobody asks for a delay."""
    vendor = Vendor(STARTED, status=DONE)
    async with Starting(vendor) as watcher:
        await (await watcher.submit("print"))
    assert vendor.polls[0] - vendor.starts[0] < 0.5


@pytest.mark.parametrize(
    "answer",
    [
        said("202 Accepted", b'{"id": "7"}', "Retry-After: 30"),
        said("202 Accepted", b'{"id": "7", "wait": 30}'),
        said("202 Accepted", b'{"id": "7", "wait": 30}', "Retry-After: 2"),
    ],
    ids=["header", "body", "both"],
)
async def test_a_hint_of_the_start_is_the_first_delay(answer: bytes) -> None:
    """From a header field or from the body; the longer one counts."""
    vendor = Vendor(answer, status=DONE)
    async with Starting(vendor) as watcher:
        await (await watcher.submit("print"))
    assert vendor.polls[0] - vendor.starts[0] == pytest.approx(30.0, abs=0.5)


async def test_a_hint_of_the_start_has_the_limit_of_every_hint() -> None:
    """`longest_hint_s`."""
    vendor = Vendor(said("202 Accepted", b'{"id": "7"}', "Retry-After: 500"), status=DONE)
    async with Starting(vendor, longest_hint_s=20.0) as watcher:
        await (await watcher.submit("print"))
    assert vendor.polls[0] - vendor.starts[0] == pytest.approx(20.0, abs=0.5)


async def test_an_endpoint_may_have_a_first_delay() -> None:
    """For jobs that it started. The last poll before the deadline is sent all the same."""

    class Slow(Presses):
        first_after_s = 45.0

    vendor = Vendor(STARTED, status=DONE)
    async with Starting(vendor, kind=Slow) as watcher:
        await (await watcher.submit("print"))
        began = _now()
        await watcher.watch(ToyJob("8"))
        assert _now() - began < 0.5
    assert vendor.polls[0] - vendor.starts[0] == pytest.approx(45.0, abs=0.5)
    late = Vendor(STARTED, status=DONE)
    async with Starting(late, kind=Slow, timeout_s=20.0) as watcher:
        await (await watcher.submit("print"))
    assert late.polls[0] - late.starts[0] == pytest.approx(19.0, abs=0.5)


async def test_any_watch_may_have_a_first_delay() -> None:
    """If a caller asks for one. A wrong one is refused."""
    vendor = Vendor(status=DONE)
    async with Starting(vendor) as watcher:
        began = _now()
        await watcher.watch(ToyJob("8"), first_after_s=12.0)
        assert vendor.polls[0] - began == pytest.approx(12.0, abs=0.5)
        for wrong in (-1.0, float("nan"), float("inf"), "5", True, None):
            with pytest.raises(ConfigurationError, match="first_after_s"):
                watcher.watch(ToyJob("9"), first_after_s=wrong)  # type: ignore[arg-type]


# --- what is refused ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        ("403 Forbidden", PermissionDenied),
        ("400 Bad Request", RequestRejected),
        ("409 Conflict", RequestRejected),
        ("404 Not Found", JobNotFound),
        ("410 Gone", JobNotFound),
        ("308 Permanent Redirect", RequestRejected),
    ],
)
async def test_a_refusal_has_the_problem_of_the_vendor(status: str, kind: type[Any]) -> None:
    """No job was started, and the error says so."""
    vendor = Vendor(said(status, b'{"code":7}'))
    async with Starting(vendor) as watcher:
        with pytest.raises(kind) as caught:
            await watcher.submit("print")
        assert watcher.open_count == 0
    assert type(caught.value) is kind
    assert caught.value.problem == Problem(codes=("E7",))
    assert "No job was started" in caught.value.__notes__[0]
    assert len(vendor.starts) == 1


async def test_a_reply_may_refuse_the_order() -> None:
    """The endpoint raises it, and no job is in doubt."""

    class Strict(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> ToyJob:
            raise RequestRejected(order, reply.status, Problem(codes=("E9",)))

    vendor = Vendor(STARTED)
    async with Starting(vendor, kind=Strict) as watcher:
        with pytest.raises(RequestRejected) as caught:
            await watcher.submit("print")
    assert caught.value.problem == Problem(codes=("E9",))


@pytest.mark.parametrize(
    "refused",
    [said("429 Too Many Requests", b"{}", "Retry-After: 3"), said("401 Unauthorized")],
    ids=["429", "401"],
)
async def test_a_request_that_did_nothing_is_sent_again(refused: bytes) -> None:
    """The server said so."""
    vendor = Vendor(refused, STARTED)
    async with Starting(vendor, auth=ToyAuth()) as watcher:
        watch = await watcher.submit("print")
    assert watch.job == ToyJob("7")
    assert len(vendor.starts) == 2


async def test_a_server_that_is_not_there_is_asked_again() -> None:
    """A refused connection has sent nothing. After an outage, no job is in doubt."""
    async with raw_server() as server:
        url = server.url
    async with JobWatcher(Presses(url), timeout_s=60.0, retry=Retry(outage_s=20.0)) as watcher:
        began = _now()
        with pytest.raises(WatchError) as caught:
            await watcher.submit("print")
        assert _now() - began >= 15.0
    assert isinstance(caught.value, RetriesExhausted)
    assert "may still be running" not in str(caught.value)
    assert "requests within 20 s to start it failed" in str(caught.value)
    assert "No job was started" in caught.value.__notes__[-1]


# --- what is in doubt -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "lost",
    [*LOST, said("302 Found"), said("303 See Other"), said("304 Not Modified")],
    ids=[*LOST_IDS, "302", "303", "304"],
)
async def test_a_lost_reply_is_told_and_not_repeated(lost: bytes | None) -> None:
    """A second request could start a second job."""
    vendor = Vendor(lost)
    async with Starting(vendor) as watcher:
        with pytest.raises(SubmitDoubtful, match="Look on the server") as caught:
            await watcher.submit("print", key="order-1")
        await asyncio.sleep(100.0)
        assert watcher.open_count == 0
    assert (caught.value.key, caught.value.repeatable) == ("order-1", False)
    assert str(caught.value.__cause__) in str(caught.value)
    assert len(vendor.starts) == 1


@pytest.mark.parametrize("lost", LOST, ids=LOST_IDS)
async def test_an_idempotent_request_is_sent_again_with_its_key(lost: bytes | None) -> None:
    """The API starts one job for one key."""
    vendor = Vendor(lost, STARTED)
    async with Starting(vendor, keyed=True) as watcher:
        watch = await watcher.submit("print")
    assert watch.job == ToyJob("7")
    assert len(vendor.starts) == 2
    first, second = vendor.keys
    assert first == second


async def test_a_random_key_is_another_one_for_each_order() -> None:
    """And a caller may have its own."""
    vendor = Vendor(STARTED)
    async with Starting(vendor, keyed=True) as watcher:
        await watcher.submit("print")
        await watcher.submit("print")
        await watcher.submit("print", key="order-17")
    assert vendor.keys[2] == "order-17"
    assert len(set(vendor.keys)) == 3
    assert len(vendor.keys[0]) == 36


async def test_a_request_may_say_that_it_is_idempotent() -> None:
    """Where the key is no header field."""

    class InTheBody(Presses):
        def submit_request(self, order: str, key: str, /) -> Request:
            return Request(URL(f"{self._url}/start"), {}, "POST", key.encode(), idempotent=True)

    vendor = Vendor(None, STARTED)
    async with Starting(vendor, kind=InTheBody) as watcher:
        assert (await watcher.submit("print")).job == ToyJob("7")
    assert len(vendor.starts) == 2


@pytest.mark.parametrize("auth", [None, ToyAuth()], ids=["bare", "credentials"])
@pytest.mark.parametrize("says", [True, False])
async def test_a_transport_gets_what_a_request_says_of_itself(says: bool, auth: ToyAuth | None) -> None:
    """A kept-alive connection may have been closed. Then an idempotent request is sent again at once, and no other."""

    class Stating(Presses):
        def submit_request(self, order: str, key: str, /) -> Request:
            return Request(URL("https://a.example/start"), {}, "POST" if says else "PUT", key.encode(), idempotent=says)

    transport = ScriptedTransport([StaleConnection("closed"), {"id": "7"}, {"state": "running"}])
    endpoint = Stating("https://a.example", auth=auth)
    async with JobWatcher(endpoint, timeout_s=600.0, transport=transport) as watcher:
        if says:
            assert (await watcher.submit("print")).job == ToyJob("7")
            assert transport.times[1] == transport.times[0]
        else:
            with pytest.raises(SubmitDoubtful):
                await watcher.submit("print")
    assert {request.idempotent for _, request in transport.requests if request.method != "GET"} == {says}


async def test_an_outage_after_a_lost_reply_is_a_doubt() -> None:
    """Also if the request is idempotent: it says that the same key may be sent again."""
    vendor = Vendor(None, said("403 Forbidden"))
    async with Starting(vendor, keyed=True) as watcher:
        with pytest.raises(SubmitDoubtful, match="same order and key='order-1'") as caught:
            await watcher.submit("print", key="order-1")
    assert caught.value.repeatable
    assert isinstance(caught.value.__cause__, PermissionDenied)


async def test_a_conflict_after_a_lost_reply_is_asked_again() -> None:
    """The server is still at work on the first request with this key."""
    vendor = Vendor(None, said("409 Conflict"), STARTED)
    async with Starting(vendor, keyed=True) as watcher:
        assert (await watcher.submit("print")).job == ToyJob("7")


async def test_a_bug_in_the_reading_leaves_it_open() -> None:
    """The server has accepted the order."""

    class Broken(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> ToyJob:
            raise ZeroDivisionError

    vendor = Vendor(STARTED)
    async with Starting(vendor, kind=Broken) as watcher:
        with pytest.raises(SubmitDoubtful) as caught:
            await watcher.submit("print")
    assert isinstance(caught.value.__cause__, EndpointBug)


@pytest.mark.parametrize("made", [None, []], ids=["None", "a list"])
async def test_what_is_no_job_is_told_as_a_bug(made: object) -> None:
    """And the job is in doubt."""

    class Broken(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Any:
            return made

    async with Starting(Vendor(STARTED), kind=Broken) as watcher:
        with pytest.raises(SubmitDoubtful, match="read_submitted must return a job"):
            await watcher.submit("print")


async def test_a_bug_in_the_request_sends_nothing() -> None:
    """It is told as one."""

    class Broken(Presses):
        def submit_request(self, order: str, key: str, /) -> Request:
            raise ZeroDivisionError

    class Wrong(Presses):
        def submit_request(self, order: str, key: str, /) -> Any:
            return "https://toy.example"

    vendor = Vendor(STARTED)
    async with Starting(vendor, kind=Broken) as watcher:
        with pytest.raises(EndpointBug, match="submit_request"):
            await watcher.submit("print")
    async with Starting(vendor, kind=Wrong) as watcher:
        with pytest.raises(ConfigurationError, match="submit_request must return a Request"):
            await watcher.submit("print")
    assert not vendor.starts


async def test_a_request_that_the_transport_refuses_was_not_sent() -> None:
    """Such as one with a header field that cannot be sent."""

    class Wrong(Presses):
        def submit_request(self, order: str, key: str, /) -> Request:
            return Request(self._url / "start", {"X": "a\nb"}, "POST")

    async with Starting(Vendor(STARTED), kind=Wrong) as watcher:
        with pytest.raises(WatchError) as caught:
            await watcher.submit("print")
    assert not isinstance(caught.value, SubmitDoubtful)


async def test_a_renewal_that_fails_has_sent_nothing() -> None:
    """The credentials come first."""
    vendor = Vendor(STARTED)
    refused = AuthenticationError("no")
    async with Starting(vendor, auth=ToyAuth(refused, fresh=False)) as watcher:
        with pytest.raises(AuthenticationError):
            await watcher.submit("print")
    assert not vendor.starts


async def test_a_part_of_the_order_may_be_in_the_id_of_the_job() -> None:
    """Whatever its field is called. It is no credential of the request."""

    class Keys(Presses):
        def submit_request(self, order: str, key: str, /) -> Request:
            return Request(self._url / "start", {}, "POST", b'{"key": "reports-2026", "token": "abcd"}')

    vendor = Vendor(said("201 Created", b'{"id": "reports-2026-abcd"}'))
    for auth in (None, ToyAuth()):
        async with Starting(vendor, kind=Keys, auth=auth) as watcher:
            assert (await watcher.submit("print")).job == ToyJob("reports-2026-abcd")


async def test_a_strange_wait_in_the_reply_loses_no_job() -> None:
    """It is ignored."""

    class Strange(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Any:
            return Submitted(ToyJob("7"), reply.json()["wait"])

    for wait in (b'"5"', b"null", b"-1", b"[]"):
        vendor = Vendor(said("201 Created", b'{"wait": %b}' % wait), status=DONE)
        async with Starting(vendor, kind=Strange) as watcher:
            await (await watcher.submit("print"))
        assert vendor.polls[0] - vendor.starts[0] < 0.5


# --- time limits, cancellation and the end --------------------------------------------------------


async def test_a_start_has_its_own_time_limit() -> None:
    """A request that is under way then is in doubt; one that waits for the server's leave is not."""
    vendor = Vendor(b"")
    async with Starting(vendor, limits=Limits(request_timeout_s=100.0)) as watcher:
        began = _now()
        with pytest.raises(SubmitDoubtful):
            await watcher.submit("print", timeout_s=5.0)
        assert _now() - began == pytest.approx(5.0, abs=0.5)
    limited = Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 50"))
    async with Starting(limited) as watcher:
        with pytest.raises(DeadlineExceeded, match=r"was not submitted within 5 s\. Submit it again") as late:
            await watcher.submit("print", timeout_s=5.0)
        assert late.value.not_started
    for wrong in (0, -1.0, float("nan")):
        async with Starting(limited) as watcher:
            with pytest.raises(ConfigurationError, match="timeout_s"):
                await watcher.submit("print", timeout_s=wrong)


async def test_the_same_key_joins_the_start_that_is_under_way() -> None:
    """One request, and one watch. Another order is refused."""
    vendor = Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 5"), STARTED)
    async with Starting(vendor) as watcher:
        one = asyncio.create_task(watcher.submit("print", key="a"))
        two = asyncio.create_task(watcher.submit("print", key="a"))
        await settle()
        with pytest.raises(ConfigurationError, match="another order"):
            await watcher.submit("bind", key="a")
        assert await one is await two
    assert len(vendor.starts) == 2  # of which the server refused the first


async def test_a_cancelled_caller_is_told_of_the_doubt(caplog: pytest.LogCaptureFixture) -> None:
    """The request is stopped. The error has the doubt, and the log, too."""
    vendor = Vendor(b"")
    async with Starting(vendor) as watcher:
        task = asyncio.create_task(watcher.submit("print", key="order-1"))
        await vendor.server.received()
        task.cancel()
        with caplog.at_level(logging.WARNING), pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert isinstance(caught.value.__cause__, SubmitDoubtful)
        assert "order-1" in caught.value.__notes__[0]
        assert "order-1" in caplog.text
        await settle()
        assert watcher.open_count == 0
    assert len(vendor.starts) == 1


async def test_one_cancelled_caller_of_two_changes_nothing() -> None:
    """The other one gets the watch."""
    vendor = Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 5"), STARTED)
    async with Starting(vendor) as watcher:
        one = asyncio.create_task(watcher.submit("print", key="a"))
        two = asyncio.create_task(watcher.submit("print", key="a"))
        await vendor.server.received()
        one.cancel()
        assert (await two).job == ToyJob("7")
        with pytest.raises(asyncio.CancelledError):
            await one


async def test_a_caller_that_is_cancelled_before_anything_was_sent_has_no_doubt() -> None:
    """While the server has asked for a pause."""
    vendor = Vendor(said("429 Too Many Requests", b"{}", "Retry-After: 50"))
    async with Starting(vendor) as watcher:
        task = asyncio.create_task(watcher.submit("print"))
        await asyncio.sleep(10.0)
        task.cancel()
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.__cause__ is None
        await asyncio.sleep(100.0)
    assert len(vendor.starts) == 1


@pytest.mark.parametrize("sent", [True, False])
async def test_closing_the_watcher_ends_a_start(sent: bool) -> None:
    """With a doubt if the request may have left."""
    vendor = Vendor(b"" if sent else said("429 Too Many Requests", b"{}", "Retry-After: 50"))
    async with Starting(vendor) as watcher:
        task = asyncio.create_task(watcher.submit("print"))
        await vendor.server.received()
        await asyncio.sleep(1.0)
    with pytest.raises(SubmitDoubtful if sent else WatcherClosed):
        await task
    with pytest.raises(WatcherClosed):
        await watcher.submit("print")


# --- who may do it --------------------------------------------------------------------------------


@pytest.mark.parametrize("key", ["", " a", "a\n", "ä", "x" * 256, 7])
async def test_a_key_is_a_short_printable_text(key: Any) -> None:
    """It may go into a header field."""
    async with Starting(Vendor(STARTED)) as watcher:
        with pytest.raises(ConfigurationError, match="key must be"):
            await watcher.submit("print", key=key)


class Plain(Endpoint[ToyJob, str]):
    name = "plain"

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL("https://plain.example"))

    def read(self, reply: Reply, /) -> Reading[str]:
        return Reading.running("")


async def test_an_endpoint_that_cannot_start_jobs_says_what_to_write() -> None:
    """Where it is asked to."""
    async with JobWatcher(Plain(), timeout_s=1.0) as watcher:
        with pytest.raises(ConfigurationError, match=r"submit_request\(order, key\)"):
            await watcher.submit("print")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url", [b"http://evil.example/7", b"http://127.0.0.1:1/7", b"http://localhost/7", b"https://127.0.0.1/7"]
)
async def test_a_reply_cannot_send_the_credentials_elsewhere(url: bytes) -> None:
    """A job whose status is at another origin is not polled. The error says that it was started."""
    vendor = Vendor(said("201 Created", b'{"id": "%b"}' % url))
    async with Starting(vendor, kind=ByUrl, auth=ToyAuth()) as watcher:
        with pytest.raises(UnsafeUrl) as caught:
            await watcher.submit("print")
        assert watcher.open_count == 0
    assert "The job was started" in caught.value.__notes__[0]
    assert not vendor.polls


async def test_an_origin_that_the_endpoint_lists_is_polled() -> None:
    """So a server of jobs may be another one than that of orders."""
    vendor, jobs = Vendor(b""), Vendor(status=DONE)
    async with raw_server(jobs) as jobs.server:

        class Listed(ByUrl):
            origins = (jobs.server.url,)

        vendor.answers = [said("201 Created", b'{"id": "%b/7"}' % jobs.server.url.encode())]
        async with Starting(vendor, kind=Listed) as watcher:
            assert (await (await watcher.submit("print"))).state == "succeeded"
    assert len(jobs.polls) == 1


async def test_the_job_of_a_start_is_watched_once() -> None:
    """A job that is open already gets that watch."""
    vendor = Vendor(STARTED, status=BUSY)
    async with Starting(vendor, pacing=Pacing.fixed(5.0)) as watcher:
        watch = watcher.watch(ToyJob("7"))
        assert await watcher.submit("print") is watch
        assert watcher.open_count == 1


async def test_a_wait_of_the_body_is_optional() -> None:
    """`Submitted` without one is a job."""

    class Wrapping(Presses):
        def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
            return Submitted(ToyJob("7"))

    async with Starting(Vendor(STARTED), kind=Wrapping) as watcher:
        assert (await watcher.submit("print")).job == ToyJob("7")
