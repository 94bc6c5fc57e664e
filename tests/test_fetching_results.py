"""What a finished job made: `await watch.result()`, on real sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import (
    Abandoned,
    BearerAuth,
    ConfigurationError,
    DeadlineExceeded,
    JobFailed,
    JobWatcher,
    Limits,
    Pacing,
    Reading,
    Reply,
    Request,
    Retry,
    SqliteLedger,
    Succeeded,
)
from pollwise.endpoints import AttrsCodec, Cursor, Endpoint, EndpointLike, ResultPage
from pollwise.errors import EndpointBug, PermissionDenied, ResultTooLarge, UnsafeUrl, WatcherClosed
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyAuth

pytestmark = pytest.mark.looptime

SECRET = "s3cr3t-s3cr3t-s3cr3t"


@attrs.frozen
class Export:
    id: str = "7"


@attrs.frozen
class ExportStatus:
    state: str
    link: str = ""


class Exports(Endpoint[Export, ExportStatus]):
    """`GET /exports/ID` says where the rows are. Its result comes in one reply."""

    name = "exports"
    codec = AttrsCodec(Export, ExportStatus)

    def __init__(self, base_url: str, *, auth: Any = None) -> None:
        self._base_url = base_url
        self.auth = auth

    def request(self, job: Export, /) -> Request:
        return Request(URL(f"{self._base_url}/exports/{job.id}"))

    def read(self, reply: Reply, /) -> Reading[ExportStatus]:
        data = reply.json()
        status = ExportStatus(data["state"], data.get("link", ""))
        match status.state:
            case "done":
                return Reading.succeeded(status)
            case "failed":
                return Reading.failed(status, reason="no disk")
        return Reading.running(status)

    def result_request(self, job: Export, status: ExportStatus, /) -> Request | None:
        return Request(URL(status.link, encoded=True)) if status.link else None

    def read_result(self, reply: Reply, /) -> Any:
        return reply.json()["rows"]


class PagedExports(Exports):
    """The same, with rows in pages."""

    def result_request(self, job: Export, status: ExportStatus, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"{self._base_url}/rows") % {"page": cursor or 1})

    def read_result(self, reply: Reply, /) -> ResultPage[list[int]]:
        data = reply.json()
        return ResultPage(data["rows"], next=data.get("next"))


class Vendor:
    """Answers by path, and counts what was asked. A list is a script whose last answer repeats."""

    def __init__(self, **answers: bytes | list[bytes]) -> None:
        self.answers: dict[str, Any] = answers
        self.asked: list[str] = []
        self.times: list[float] = []
        self.server: RawServer

    def __call__(self, line: Line) -> None:
        path = self.server.requests[-1].split(b" ")[1].decode()
        self.asked.append(path)
        self.times.append(asyncio.get_running_loop().time())
        name = path.strip("/").split("/")[0].partition("?")[0]
        answer = self.answers[name]
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        line.say(answer.replace(b"BASE", self.server.url.encode()))


def _json(text: str) -> bytes:
    """A reply whose length is right once BASE is a URL of this machine with a port of five digits."""
    longer = len("http://127.0.0.1:12345") - len("BASE")
    return reply(text.encode(), length=len(text) + longer * text.count("BASE"))


DONE = _json('{"state": "done", "link": "BASE/rows/1"}')
ROWS = _json('{"rows": [1, 2, 3]}')


class _Running:
    """A vendor that is asked, and a watcher that asks it."""

    def __init__(self, vendor: Vendor, make: Callable[..., Any], **options: Any) -> None:
        self.vendor = vendor
        self._make = make
        self._auth = options.pop("auth", None)
        self._options = {"timeout_s": 600.0, "pacing": Pacing.fixed(5.0), **options}

    async def __aenter__(self) -> JobWatcher[Export, ExportStatus, Any]:
        self._serving = raw_server(self.vendor)
        self.vendor.server = server = await self._serving.__aenter__()
        assert server.port >= 10_000
        self._watcher = JobWatcher(self._make(server.url, auth=self._auth), **self._options)
        return await self._watcher.__aenter__()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._watcher.__aexit__(*exc_info)
        await self._serving.__aexit__(*exc_info)


async def test_a_result_is_fetched_after_the_success() -> None:
    """One request more, to where the status says."""
    vendor = Vendor(exports=[_json('{"state": "busy"}'), DONE], rows=ROWS)
    async with _Running(vendor, Exports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2, 3]
    assert vendor.asked == ["/exports/7", "/exports/7", "/rows/1"]


async def test_no_result_is_fetched_unless_it_is_asked_for() -> None:
    """A watch of an endpoint that has results polls as any other."""
    vendor = Vendor(exports=DONE, rows=ROWS)
    async with _Running(vendor, Exports) as watcher:
        await watcher.watch(Export())
    assert vendor.asked == ["/exports/7"]


async def test_a_status_may_be_the_result() -> None:
    """`result_request` says so with None, and nothing is asked."""
    vendor = Vendor(exports=_json('{"state": "done"}'))
    async with _Running(vendor, Exports) as watcher:
        assert await watcher.watch(Export()).result() == ExportStatus("done")
    assert vendor.asked == ["/exports/7"]


async def test_pages_are_joined_and_fetched_at_once() -> None:
    """No wait of the pacing is between them."""
    pages = [_json('{"rows": [1], "next": 2}'), _json('{"rows": [2, 3], "next": 3}'), _json('{"rows": []}')]
    vendor = Vendor(exports=DONE, rows=pages)
    async with _Running(vendor, PagedExports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2, 3]
    assert vendor.asked[1:] == ["/rows?page=1", "/rows?page=2", "/rows?page=3"]
    assert vendor.times[-1] - vendor.times[0] < 1.0


async def test_a_page_that_fails_is_fetched_again_alone() -> None:
    """And is counted once."""
    busy = reply(b"{}", status="503 Service Unavailable")
    pages = [_json('{"rows": [1], "next": 2}'), busy, _json('{"rows": ["x"'), _json('{"rows": [2]}')]
    vendor = Vendor(exports=DONE, rows=pages)
    async with _Running(vendor, PagedExports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2]
    assert vendor.asked[1:] == ["/rows?page=1", *["/rows?page=2"] * 3]


async def test_pages_without_end_are_bounded() -> None:
    """By `Limits(result_bytes=...)`, in which the smallest page counts 1,024 bytes."""

    class Endless(PagedExports):
        def read_result(self, reply: Reply, /, cursor: Any = None) -> ResultPage[list[int]]:
            return ResultPage([0], next=(cursor or 1) + 1)

    vendor = Vendor(exports=DONE, rows=ROWS)
    async with _Running(vendor, Endless, limits=Limits(result_bytes=10_240)) as watcher:
        with pytest.raises(ResultTooLarge) as caught:
            await watcher.watch(Export()).result()
    assert caught.value.most_bytes == 10_240
    assert len(vendor.asked) == 1 + 11


async def test_a_page_that_follows_itself_is_no_endless_loop() -> None:
    """It counts as a failed try, paced as one."""
    vendor = Vendor(exports=DONE, rows=_json('{"rows": [1], "next": 2}'))
    async with _Running(vendor, PagedExports, retry=Retry(outage_s=60.0)) as watcher:
        with pytest.raises(Exception, match="page itself"):
            await watcher.watch(Export()).result()
    assert len(vendor.asked) < 20


async def test_a_cursor_that_is_too_large_spoils_no_page() -> None:
    """The same page is read again, and is counted once."""
    large = _json(f'{{"rows": [1], "next": "{"x" * 5_000}"}}')
    pages = [large, _json('{"rows": [1], "next": 2}'), _json('{"rows": [2]}')]
    vendor = Vendor(exports=DONE, rows=pages)
    async with _Running(vendor, PagedExports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2]


async def test_a_result_is_whole() -> None:
    """The limits of a status cut no list of a result."""
    rows = list(range(30_000))
    vendor = Vendor(exports=DONE, rows=_json(f'{{"rows": {rows}}}'))
    async with _Running(vendor, Exports) as watcher:
        assert await watcher.watch(Export()).result() == rows


async def test_a_reply_over_the_limit_of_the_transport_is_not_fetched_twice() -> None:
    """The error says what to do."""
    vendor = Vendor(exports=DONE, rows=_json(f'{{"rows": "{"x" * 1_100_000}"}}'))
    async with _Running(vendor, Exports) as watcher:
        with pytest.raises(ResultTooLarge, match="max_body"):
            await watcher.watch(Export()).result()
    assert len(vendor.asked) == 2


async def test_callers_at_the_same_time_share_one_fetch() -> None:
    """However many there are, and also those that come while it is under way."""
    vendor = Vendor(exports=DONE, rows=ROWS)
    async with _Running(vendor, Exports) as watcher:
        watch = watcher.watch(Export())
        found = await asyncio.gather(*[watch.result() for _ in range(20)])
    assert found == [[1, 2, 3]] * 20
    assert len(vendor.asked) == 2


async def test_a_result_is_kept_while_a_caller_holds_it() -> None:
    """After that it is fetched anew, because the watcher keeps no results."""
    vendor = Vendor(exports=DONE, rows=ROWS)
    async with _Running(vendor, Exports) as watcher:
        watch = watcher.watch(Export())
        held = watch.result()
        assert await held is await watch.result()
        assert len(vendor.asked) == 2
        del held
        await watch.result()
        assert len(vendor.asked) == 3


async def test_a_kept_result_can_be_read_when_the_watcher_is_closed() -> None:
    """Nothing is asked for it."""
    async with _Running(Vendor(exports=DONE, rows=ROWS), Exports) as watcher:
        held = watcher.watch(Export()).result()
        await held
    assert await held == [1, 2, 3]


async def test_a_caller_that_leaves_ends_no_fetch_of_another() -> None:
    """When the last one leaves, the fetch ends."""
    vendor = Vendor(exports=DONE, rows=b"")
    async with _Running(vendor, Exports) as watcher:
        watch = watcher.watch(Export())
        result = watch.result()
        one, two = asyncio.ensure_future(result), asyncio.ensure_future(result)
        await vendor.server.received(2)
        one.cancel()
        await asyncio.sleep(1.0)
        assert not two.done()
        vendor.server.lines[-1].say(ROWS)
        assert await two == [1, 2, 3]
        assert one.cancelled()
        del result, one, two
        last = asyncio.ensure_future(watch.result())
        await vendor.server.received(3)
        last.cancel()
        with pytest.raises(asyncio.CancelledError):
            await last
        await asyncio.sleep(1.0)
        assert watcher._parts().dispatcher is not None
        assert not watcher._parts().dispatcher._calls


async def test_a_job_that_failed_has_no_result() -> None:
    """`result` raises what `await watch` raises, also after the watcher is closed."""
    vendor = Vendor(exports=_json('{"state": "failed"}'), rows=ROWS)
    async with _Running(vendor, Exports) as watcher:
        watch = watcher.watch(Export())
        with pytest.raises(JobFailed):
            await watch.result()
        with pytest.raises(JobFailed):
            await watch.result()
    with pytest.raises(JobFailed):
        await watch.result()
    assert vendor.asked == ["/exports/7"]


async def test_an_endpoint_without_results_says_what_to_write() -> None:
    """Where `result` is called."""

    class Plain:
        name = "plain"

        def __init__(self, base_url: str, **_: Any) -> None:
            self._url = URL(base_url)

        def request(self, job: Export, /) -> Request:
            return Request(self._url / "exports" / job.id)

        def read(self, reply: Reply, /) -> Reading[str]:
            return Reading.succeeded("done")

    async with _Running(Vendor(exports=DONE), Plain) as watcher:
        with pytest.raises(ConfigurationError, match=r"result_request\(job, status\).* read_result\(reply\)"):
            watcher.watch(Export()).result()


@pytest.mark.parametrize(
    ("members", "said"),
    [
        ({"result_request": lambda job, status: None}, "no read_result"),
        ({"read_result": lambda reply: None}, "no result_request"),
        ({"result_request": 1, "read_result": 2}, "must be a method"),
        ({"result_request": lambda job, status: None, "read_result": lambda reply, cursor: None}, "default"),
    ],
)
def test_half_an_ability_is_refused_at_once(members: Mapping[str, Any], said: str) -> None:
    """The watcher is not made."""
    made = type("Half", (), {"name": "half", "request": lambda job: None, "read": lambda reply: None})()
    for name, member in members.items():
        setattr(made, name, member)
    with pytest.raises(ConfigurationError, match=said):
        JobWatcher(made, timeout_s=1.0)


async def test_an_object_of_any_class_may_have_results() -> None:
    """As it may be watched."""

    class Duck:
        name = "duck"

        def __init__(self, base_url: str, **_: Any) -> None:
            self._url = URL(base_url)

        def request(self, job: Export, /) -> Request:
            return Request(self._url / "exports" / job.id)

        def read(self, reply: Reply, /) -> Reading[str]:
            return Reading.succeeded("done")

        def result_request(self, job: Export, status: str, /) -> Request:
            return Request(self._url / "rows" / status)

        def read_result(self, reply: Reply, /) -> int:
            return len(reply.json()["rows"])

    vendor = Vendor(exports=DONE, rows=ROWS)
    async with _Running(vendor, Duck) as watcher:
        assert await watcher.watch(Export()).result() == 3
    assert vendor.asked[-1] == "/rows/done"


# --- the road of the polls ------------------------------------------------------------------------


async def test_a_result_has_the_credentials_and_renews_them() -> None:
    """As a poll does."""
    vendor = Vendor(exports=DONE, rows=[reply(b"{}", status="401 Unauthorized"), ROWS])
    auth = ToyAuth()
    async with _Running(vendor, Exports, auth=auth) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2, 3]
    assert auth.renewals == 1
    assert b"Authorization: 1" in vendor.server.requests[-1]


async def test_no_credential_goes_to_the_origin_of_a_link() -> None:
    """And none of them is in the result, whatever the server repeats."""
    async with raw_server(reply(b'{"rows": ["s3cr3t-s3cr3t-s3cr3t"]}')) as other:
        vendor = Vendor(exports=reply(b'{"state": "done", "link": "%s/rows"}' % other.url.encode()))
        async with _Running(vendor, Exports, auth=BearerAuth(SECRET)) as watcher:
            assert await watcher.watch(Export()).result() == ["***"]
        assert b"authorization" not in other.requests[0].lower()
        assert SECRET.encode() in vendor.server.requests[0]


async def test_a_link_that_is_not_http_is_refused() -> None:
    """Nothing is sent."""
    vendor = Vendor(exports=_json('{"state": "done", "link": "file:///etc/passwd"}'))
    async with _Running(vendor, Exports) as watcher:
        with pytest.raises(UnsafeUrl):
            await watcher.watch(Export()).result()


async def test_a_result_outlasts_an_outage() -> None:
    """Its tries are paced by the retry."""
    busy = reply(b"{}", status="503 Service Unavailable")
    vendor = Vendor(exports=DONE, rows=[busy, busy, busy, ROWS])
    async with _Running(vendor, Exports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2, 3]


@pytest.mark.parametrize(("timeout_s", "takes_s"), [(None, 600.0), (7.0, 7.0)])
async def test_a_result_has_its_own_time_limit(timeout_s: float | None, takes_s: float) -> None:
    """That of the watcher again, or one of the call's own. It begins with the outcome."""
    vendor = Vendor(exports=[_json('{"state": "busy"}')] * 100 + [DONE], rows=b"")
    now = asyncio.get_running_loop().time
    async with _Running(vendor, Exports, limits=Limits(request_timeout_s=1_000.0)) as watcher:
        watch = watcher.watch(Export())
        await watch
        began = now()
        with pytest.raises(DeadlineExceeded) as caught:
            await watch.result(timeout_s=timeout_s)
        assert now() - began == pytest.approx(takes_s, abs=1.0)
    assert "The job succeeded" in caught.value.__notes__[0]
    assert isinstance(watch.outcome, Succeeded)


@pytest.mark.parametrize("timeout_s", [0, -1.0, "7"])
async def test_a_time_limit_is_a_positive_number(timeout_s: Any) -> None:
    """It is refused where it is passed."""
    async with _Running(Vendor(exports=DONE), Exports) as watcher:
        with pytest.raises(ConfigurationError, match="timeout_s"):
            watcher.watch(Export()).result(timeout_s=timeout_s)


async def test_a_fetch_that_failed_is_repeated_by_the_next_call() -> None:
    """An error is not kept."""
    vendor = Vendor(exports=DONE, rows=[reply(b"{}", status="400 Bad Request"), ROWS])
    async with _Running(vendor, Exports) as watcher:
        result = watcher.watch(Export()).result()
        with pytest.raises(Exception, match="HTTP 400"):
            await result
        assert await result == [1, 2, 3]


async def test_closing_the_watcher_ends_a_fetch() -> None:
    """With the error that says so."""
    vendor = Vendor(exports=DONE, rows=b"")
    async with _Running(vendor, Exports) as watcher:
        waiting = asyncio.ensure_future(watcher.watch(Export()).result())
        await vendor.server.received(2)
    with pytest.raises(WatcherClosed):
        await waiting


@pytest.mark.parametrize("broken", ["result_request", "read_result"])
async def test_a_fault_of_the_endpoint_is_told_as_one(broken: str) -> None:
    """And leaves the outcome alone."""

    def fail(*_: Any) -> Any:
        raise ZeroDivisionError

    async with _Running(Vendor(exports=DONE, rows=ROWS), type("Broken", (Exports,), {broken: fail})) as watcher:
        watch = watcher.watch(Export())
        with pytest.raises(EndpointBug):
            await watch.result()
        assert isinstance(watch.outcome, Succeeded)


# --- links ----------------------------------------------------------------------------------------

FRESH = _json('{"state": "done", "link": "BASE/fresh/1"}')


@pytest.mark.parametrize("status", ["401 Unauthorized", "403 Forbidden", "404 Not Found", "410 Gone"])
async def test_an_expired_link_is_refreshed_once(status: str) -> None:
    """The status is asked once more, and its link is tried."""
    vendor = Vendor(exports=[DONE, FRESH], rows=reply(b"{}", status=status), fresh=ROWS)
    async with _Running(vendor, Exports) as watcher:
        assert await watcher.watch(Export()).result() == [1, 2, 3]
    assert vendor.asked.count("/exports/7") == 2
    assert vendor.asked[-1] == "/fresh/1"


async def test_a_fresh_link_that_is_refused_is_the_end() -> None:
    """The error is that of the fresh link."""
    refused = reply(b"{}", status="403 Forbidden")
    vendor = Vendor(exports=[DONE, FRESH], rows=refused, fresh=refused)
    async with _Running(vendor, Exports) as watcher:
        with pytest.raises(PermissionDenied):
            await watcher.watch(Export()).result()
    assert vendor.asked == ["/exports/7", "/rows/1", "/exports/7", "/fresh/1"]


async def test_a_link_that_did_not_change_is_not_tried_again() -> None:
    """The refusal is raised."""
    vendor = Vendor(exports=DONE, rows=reply(b"{}", status="403 Forbidden"))
    async with _Running(vendor, Exports) as watcher:
        with pytest.raises(PermissionDenied):
            await watcher.watch(Export()).result()
    assert vendor.asked == ["/exports/7", "/rows/1", "/exports/7"]


# --- ledgers --------------------------------------------------------------------------------------


async def test_a_result_of_an_earlier_run_is_fetched_without_a_poll(tmp_path: Any) -> None:
    """The ledger knows the status, and with it the link."""
    vendor = Vendor(exports=DONE, rows=ROWS)
    async with SqliteLedger(tmp_path / "jobs.ledger") as ledger:
        made: list[str] = []

        def one_endpoint(base_url: str, **options: Any) -> EndpointLike[Export, ExportStatus]:
            made.append(base_url)
            return Exports(made[0], **options)

        async with _Running(vendor, one_endpoint, ledger=ledger) as watcher:
            await watcher.watch(Export())
            async with JobWatcher(Exports(made[0]), timeout_s=60.0, ledger=ledger) as later:
                assert await later.watch(Export()).result() == [1, 2, 3]
    assert vendor.asked == ["/exports/7", "/rows/1"]


async def test_a_watch_that_was_abandoned_has_no_result() -> None:
    """`result` raises why."""
    async with _Running(Vendor(exports=_json('{"state": "busy"}')), Exports, timeout_s=9.0) as watcher:
        watch = watcher.watch(Export())
        with pytest.raises(DeadlineExceeded):
            await watch.result()
        assert isinstance(watch.outcome, Abandoned)
