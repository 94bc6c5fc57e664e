"""Asking the server to stop a job: `await watch.cancel()` and `cancel_on_deadline`, on real sockets."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from yarl import URL

from kept_toy import ToyCodec
from memory_ledger import MemoryLedger
from pollwise import (
    Abandoned,
    Cancelled,
    ConfigurationError,
    DeadlineExceeded,
    JobWatcher,
    Limits,
    Pacing,
    Request,
    Succeeded,
)
from pollwise.endpoints import Endpoint, Problem, Reading, Reply
from pollwise.errors import CancelDoubtful, EndpointBug, PermissionDenied, RequestRejected
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyAuth, ToyEndpoint, ToyJob, ToyStatus

pytestmark = pytest.mark.looptime

JOB = ToyJob("7")
BUSY = reply(b'{"state": "running"}')
STOPPED = reply(b'{"state": "cancelled"}')
DONE = reply(b'{"state": "succeeded"}')


class Exports(ToyEndpoint):
    """`GET /ID` and `DELETE /ID`, or `POST /ID/stop`."""

    codec = ToyCodec()

    def __init__(self, base_url: str, method: str, auth: Any = None) -> None:
        super().__init__(auth)
        self._url = URL(base_url)
        self._method = method

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)

    def cancel_request(self, job: ToyJob, status: ToyStatus | None, /) -> Request:
        url = self._url / job.id
        return Request(url if self._method == "DELETE" else url / "stop", method=self._method)

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(codes=("E7",)) if reply.body == b'{"code":7}' else None


class Vendor:
    """Says `status` to polls, and the next of `answers` to what is no poll; the last one again and again."""

    def __init__(self, *answers: bytes | None, status: bytes = BUSY, then: bytes = STOPPED) -> None:
        self.answers = list(answers)
        self.status = status
        self._then = then
        self.server: RawServer
        self.polls: list[float] = []
        self.cancels: list[float] = []

    def __call__(self, line: Line) -> None:
        now = asyncio.get_running_loop().time()
        if self.server.requests[-1].startswith(b"GET"):
            self.polls.append(now)
            line.say(self.status)
            return
        self.cancels.append(now)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if answer is None:
            line.hang_up()
        elif answer:
            line.say(answer)
            if b" 2" in answer[:12]:
                self.status = self._then


class _Running:
    def __init__(self, vendor: Vendor, method: str = "POST", **options: Any) -> None:
        self._vendor, self._method, self._auth = vendor, method, options.pop("auth", None)
        self._options: dict[str, Any] = {"timeout_s": 600.0, "pacing": Pacing.fixed(60.0), **options}

    async def __aenter__(self) -> JobWatcher[ToyJob, ToyStatus]:
        self._serving = raw_server(self._vendor)
        self._vendor.server = server = await self._serving.__aenter__()
        self._watcher = JobWatcher(Exports(server.url, self._method, self._auth), **self._options)
        return await self._watcher.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._watcher.__aexit__(*exc_info)
        await self._serving.__aexit__(*exc_info)


def _said(status: str, body: bytes = b"{}", *fields: str) -> bytes:
    return reply(body, *fields, status=status)


@pytest.mark.parametrize("answer", [_said("200 OK"), _said("202 Accepted"), b"HTTP/1.1 204 No Content\r\n\r\n"])
@pytest.mark.parametrize("method", ["POST", "DELETE"])
async def test_an_accepted_request_is_one_request(answer: bytes, method: str) -> None:
    """And the outcome comes from the status, which is asked soon after."""
    vendor = Vendor(answer)
    async with _Running(vendor, method, pacing=Pacing(min_s=1.0, max_s=60.0)) as watcher:
        watch = watcher.watch(JOB)
        await asyncio.sleep(200.0)
        assert await watch.cancel() is True
        assert watch.outcome is None
        asked = len(vendor.polls)
        async for _ in watch:
            pass
    assert isinstance(watch.outcome, Cancelled)
    assert len(vendor.cancels) == 1
    assert vendor.polls[asked] - vendor.cancels[0] == pytest.approx(1.0, abs=0.2)
    assert len(vendor.polls) == asked + 1


async def test_a_job_that_is_slow_to_stop_is_asked_often_again() -> None:
    """The pacing begins anew, because the job has just changed."""
    vendor = Vendor(_said("202 Accepted"), then=BUSY)
    async with _Running(vendor, pacing=Pacing(min_s=1.0, max_s=100.0)) as watcher:
        watch = watcher.watch(JOB)
        await asyncio.sleep(300.0)
        await watch.cancel()
        before = len(vendor.polls)
        await asyncio.sleep(20.0)
        assert len(vendor.polls) - before >= 3
        assert watch.outcome is None


@pytest.mark.parametrize("status", ["404 Not Found", "409 Conflict", "410 Gone"])
async def test_too_late_is_no_error(status: str) -> None:
    """The watch goes on."""
    vendor = Vendor(_said(status))
    async with _Running(vendor, "DELETE") as watcher:
        watch = watcher.watch(JOB)
        assert await watch.cancel() is False
        assert watch.outcome is None
    assert len(vendor.cancels) == 1


async def test_a_job_that_is_over_is_not_asked_to_stop() -> None:
    """There is nothing to send."""
    vendor = Vendor(_said("200 OK"), status=DONE)
    async with _Running(vendor) as watcher:
        watch = watcher.watch(JOB)
        await watch
        assert await watch.cancel() is False
    assert not vendor.cancels


async def test_a_job_whose_watch_was_stopped_can_be_cancelled() -> None:
    """It may still be running."""
    vendor = Vendor(_said("200 OK"))
    async with _Running(vendor) as watcher:
        watch = watcher.watch(JOB)
        watch.stop()
        assert await watch.cancel() is True
    assert len(vendor.cancels) == 1


@pytest.mark.parametrize(
    ("status", "kind"), [("403 Forbidden", PermissionDenied), ("400 Bad Request", RequestRejected)]
)
async def test_a_refusal_has_the_problem_of_the_vendor(status: str, kind: type[Any]) -> None:
    """It is raised, and the watch goes on."""
    vendor = Vendor(_said(status, b'{"code":7}'))
    async with _Running(vendor) as watcher:
        watch = watcher.watch(JOB)
        with pytest.raises(kind) as caught:
            await watch.cancel()
        assert caught.value.problem == Problem(codes=("E7",))
        assert watch.outcome is None


@pytest.mark.parametrize("lost", [None, _said("503 Service Unavailable"), b""], ids=["closed", "503", "silent"])
async def test_a_lost_reply_to_a_post_is_told_and_not_repeated(lost: bytes | None) -> None:
    """The server may have received it."""
    vendor = Vendor(lost)
    async with _Running(vendor) as watcher:
        watch = watcher.watch(JOB)
        await asyncio.sleep(1.0)
        with pytest.raises(CancelDoubtful):
            await watch.cancel()
        await asyncio.sleep(100.0)
        assert watch.outcome is None
    assert len(vendor.cancels) == 1


async def test_a_lost_reply_to_a_delete_is_repeated() -> None:
    """Because twice is as good as once."""
    vendor = Vendor(None, _said("503 Service Unavailable"), _said("202 Accepted"))
    async with _Running(vendor, "DELETE") as watcher:
        assert await watcher.watch(JOB).cancel() is True


@pytest.mark.parametrize(
    "refused", [_said("429 Too Many Requests", b"{}", "Retry-After: 3"), _said("401 Unauthorized")], ids=["429", "401"]
)
async def test_a_request_that_did_nothing_is_sent_again(refused: bytes) -> None:
    """A POST, too: the server said so."""
    vendor = Vendor(refused, _said("202 Accepted"))
    async with _Running(vendor, auth=ToyAuth()) as watcher:
        assert await watcher.watch(JOB).cancel() is True
    assert len(vendor.cancels) == 2


async def test_each_call_sends_a_request() -> None:
    """A caller may ask again."""
    vendor = Vendor(_said("202 Accepted"), then=BUSY)
    async with _Running(vendor) as watcher:
        watch = watcher.watch(JOB)
        assert [await watch.cancel(), await watch.cancel()] == [True, True]
    assert len(vendor.cancels) == 2


async def test_a_request_has_its_own_time_limit() -> None:
    """The watch goes on after it."""
    vendor = Vendor(b"")
    async with _Running(vendor, limits=Limits(request_timeout_s=100.0)) as watcher:
        watch = watcher.watch(JOB)
        began = asyncio.get_running_loop().time()
        with pytest.raises((DeadlineExceeded, CancelDoubtful)):
            await watch.cancel(timeout_s=5.0)
        assert asyncio.get_running_loop().time() - began == pytest.approx(5.0, abs=0.5)
        assert watch.outcome is None


async def test_a_fault_of_the_endpoint_is_told_as_one() -> None:
    """And ends no watch."""

    class Broken(Exports):
        def cancel_request(self, job: ToyJob, status: ToyStatus | None, /) -> Request:
            raise ZeroDivisionError

    vendor = Vendor(b"")
    async with (
        raw_server(vendor) as vendor.server,
        JobWatcher(Broken(vendor.server.url, ""), timeout_s=60.0) as watcher,
    ):
        watch = watcher.watch(JOB)
        with pytest.raises(EndpointBug):
            await watch.cancel()
        assert watch.outcome is None


class Plain(Endpoint[ToyJob, str]):
    name = "plain"

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL("https://plain.example"))

    def read(self, reply: Reply, /) -> Reading[str]:
        return Reading.running("")


async def test_an_endpoint_that_cannot_cancel_says_what_to_write() -> None:
    """Where it is asked to, or for `cancel_on_deadline` when the watcher is made."""
    async with JobWatcher(Plain(), timeout_s=1.0) as watcher:
        with pytest.raises(ConfigurationError, match=r"cancel_request\(job, status\)"):
            await watcher.watch(JOB).cancel()
    with pytest.raises(ConfigurationError, match=r"cancel_request\(job, status\)"):
        JobWatcher(Plain(), timeout_s=1.0, cancel_on_deadline=True)


# --- at the deadline ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("answer", "said"),
    [(_said("202 Accepted"), "accepted"), (_said("409 Conflict"), "too late"), (_said("403 Forbidden"), "failed")],
)
@pytest.mark.parametrize("ledger", [False, True])
async def test_the_deadline_cancels_the_job(answer: bytes, said: str, ledger: bool) -> None:
    """And the outcome says what became of that."""
    vendor = Vendor(answer)
    kept = MemoryLedger() if ledger else None
    async with _Running(vendor, timeout_s=90.0, cancel_on_deadline=True, ledger=kept) as watcher:
        watch = watcher.watch(JOB)
        with pytest.raises(DeadlineExceeded) as caught:
            await watch
        assert watcher.open_count == 0
    assert caught.value.cancel == said
    assert said in str(caught.value)
    assert isinstance(watch.outcome, Abandoned)
    assert len(vendor.cancels) == 1


async def test_the_outcome_waits_for_the_answer_at_most_as_long_as_a_request_takes() -> None:
    """Until then the watch is open, for every reader alike."""
    vendor = Vendor(b"")
    async with _Running(
        vendor, timeout_s=90.0, cancel_on_deadline=True, limits=Limits(request_timeout_s=10.0)
    ) as watcher:
        now = asyncio.get_running_loop().time
        began, watch = now(), watcher.watch(JOB)
        ended: list[float] = []
        watch.on_outcome(lambda _: ended.append(now()))
        await asyncio.sleep(95.0)
        assert watch.outcome is None
        assert watcher.watch(JOB) is watch
        assert watcher.open_count == 1
        events = [event async for event in watch]
        assert now() - began == pytest.approx(100.0, abs=0.5)
        assert len(ended) == 1
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, DeadlineExceeded)
    assert events[-1].error.cancel == "failed"


@pytest.mark.parametrize("ledger", [False, True])
async def test_closing_the_watcher_meanwhile_ends_the_watch(ledger: bool) -> None:
    """Nothing hangs."""
    vendor = Vendor(b"")
    kept = MemoryLedger() if ledger else None
    async with _Running(vendor, timeout_s=90.0, cancel_on_deadline=True, ledger=kept) as watcher:
        watch = watcher.watch(JOB)
        await asyncio.sleep(95.0)
        assert len(vendor.cancels) == 1
    with pytest.raises(DeadlineExceeded) as caught:
        await watch
    assert caught.value.cancel == "failed"


async def test_a_job_that_ends_in_time_is_not_cancelled() -> None:
    """Nor one whose watch was stopped."""
    vendor = Vendor(b"", status=DONE)
    async with _Running(vendor, timeout_s=90.0, cancel_on_deadline=True) as watcher:
        watch = watcher.watch(JOB)
        await watch
        assert isinstance(watch.outcome, Succeeded)
        watcher.watch(ToyJob("8")).stop()
        await asyncio.sleep(100.0)
    assert not vendor.cancels


async def test_without_the_option_the_deadline_cancels_nothing() -> None:
    """An endpoint that could is watched as any other."""
    vendor = Vendor(b"")
    async with _Running(vendor, timeout_s=90.0) as watcher:
        with pytest.raises(DeadlineExceeded) as caught:
            await watcher.watch(JOB)
    assert caught.value.cancel is None
    assert not vendor.cancels


async def test_a_server_that_is_not_there_has_not_received_the_request() -> None:
    """It is sent again, whatever its method is, and there is no doubt."""
    async with raw_server() as gone:
        url = gone.url
    async with JobWatcher(Exports(url, "POST"), timeout_s=600.0, pacing=Pacing.fixed(60.0)) as watcher:
        with pytest.raises(DeadlineExceeded):
            await watcher.watch(JOB).cancel(timeout_s=20.0)
