"""A result that is written to a file: `await watch.save_result(path, max_bytes=...)`, on real sockets."""

from __future__ import annotations

import asyncio
import stat
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
from yarl import URL

from pollwise import BearerAuth, ConfigurationError, JobFailed, JobWatcher, Limits, Reading, Request
from pollwise.errors import EndpointBug, PollwiseError, ResultTooLarge
from pollwise.http import AiohttpTransport
from pollwise.model.messages import Reply
from pollwise.runtime.result_file import ResultFile
from pollwise.testing import ScriptedTransport
from raw_server import Line, RawServer, raw_server, reply
from toy import ToyEndpoint, ToyJob, ToyStatus

pytestmark = pytest.mark.looptime

SECRET = "s3cr3t-s3cr3t-s3cr3t"
JOB = ToyJob("7")
BODY = b"id,name\n7,orders\n" * 100


class Exports(ToyEndpoint):
    """`GET /ID`, and `GET /file` or another URL."""

    def __init__(self, base_url: str, auth: Any = None, file: str | None = None) -> None:
        super().__init__(auth)
        self._url = URL(base_url)
        self._file = URL(base_url) / "file" if file is None else URL(file)

    def request(self, job: ToyJob, /) -> Request:
        return Request(self._url / job.id)

    def result_request(self, job: ToyJob, status: ToyStatus, /) -> Request | None:
        return self._file and Request(self._file % {"done": status.done})

    def read_result(self, reply: Reply, /) -> str:
        raise AssertionError("a file is not read")


class Vendor:
    """Says that the job succeeded, and answers with the next of `files`; the last one again and again."""

    def __init__(self, *files: Any, state: str = "succeeded") -> None:
        self.files = list(files)
        self.asked = 0
        self.polls = 0
        self._state = state
        self.server: RawServer

    def __call__(self, line: Line) -> None:
        if b"GET /file" not in self.server.requests[-1]:
            self.polls += 1
            line.say(reply(b'{"state": "%s", "done": %d}' % (self._state.encode(), self.polls)))
            return
        self.asked += 1
        answer = self.files.pop(0) if len(self.files) > 1 else self.files[0]
        if callable(answer):
            answer(line)
        else:
            line.say(answer)


async def _save(vendor: Vendor, path: Path, *, max_bytes: int = 10**9, **options: Any) -> int:
    saving = {name: options.pop(name) for name in ("timeout_s",) if name in options}
    made = {name: options.pop(name) for name in ("auth", "file") if name in options}
    async with raw_server(vendor) as vendor.server:
        endpoint = Exports(vendor.server.url, **made)
        async with JobWatcher(endpoint, timeout_s=600.0, **options) as watcher:
            return await watcher.watch(JOB).save_result(path, max_bytes=max_bytes, **saving)


def _left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize("auth", [None, BearerAuth(SECRET)])
async def test_the_bytes_of_the_result_are_in_the_file(tmp_path: Path, auth: Any) -> None:
    """As they were sent, and for this user alone. The request has the credentials."""
    vendor = Vendor(reply(BODY))
    path = tmp_path / "orders.csv"
    path.write_bytes(b"old")
    assert await _save(vendor, path, auth=auth) == len(BODY)
    assert path.read_bytes() == BODY
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert _left(tmp_path) == ["orders.csv"]
    assert (SECRET.encode() in vendor.server.requests[-1]) is (auth is not None)
    assert b"Accept-Encoding: identity" in vendor.server.requests[-1]


async def test_a_coded_body_is_saved_as_it_is(tmp_path: Path) -> None:
    """No coding is asked for, and none is removed."""
    await _save(Vendor(reply(b"\x1f\x8b\x08 no real gzip", "Content-Encoding: gzip")), tmp_path / "a.gz")
    assert (tmp_path / "a.gz").read_bytes() == b"\x1f\x8b\x08 no real gzip"


async def test_a_large_result_is_never_in_memory(tmp_path: Path) -> None:
    """Only a piece of it is."""
    piece, count = b"x" * 65_536, 400

    def answer(line: Line) -> None:
        line.say(reply(b"", length=len(piece) * count))
        feeding.append(asyncio.ensure_future(feed(line)))

    async def feed(line: Line) -> None:
        for _ in range(count):
            while line.transport.get_write_buffer_size() > 1_000_000:
                await asyncio.sleep(0.001)
            line.say(piece)

    feeding: list[asyncio.Future[None]] = []
    tracemalloc.start()
    try:
        assert await _save(Vendor(answer), tmp_path / "large") == len(piece) * count
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert (tmp_path / "large").stat().st_size == len(piece) * count
    assert peak < len(piece) * count / 3
    await feeding[0]


async def test_a_result_that_is_too_large_leaves_nothing_behind(tmp_path: Path) -> None:
    """It is not fetched again, and the file that was there is as it was."""
    vendor = Vendor(reply(BODY))
    (tmp_path / "a").write_bytes(b"old")
    with pytest.raises(ResultTooLarge) as caught:
        await _save(vendor, tmp_path / "a", max_bytes=len(BODY) - 1)
    assert caught.value.most_bytes == len(BODY) - 1
    assert (tmp_path / "a").read_bytes() == b"old"
    assert _left(tmp_path) == ["a"]
    assert vendor.asked == 1


async def test_a_result_of_just_the_size_is_saved(tmp_path: Path) -> None:
    """The limit is the largest size."""
    assert await _save(Vendor(reply(BODY)), tmp_path / "a", max_bytes=len(BODY)) == len(BODY)


async def test_a_connection_that_breaks_is_tried_again_from_the_start(tmp_path: Path) -> None:
    """The file has each byte once."""

    def broken(line: Line) -> None:
        line.say(reply(BODY[:700], length=len(BODY)))
        asyncio.get_running_loop().call_later(1.0, line.hang_up)

    vendor = Vendor(broken, reply(b"{}", status="503 Service Unavailable"), reply(BODY))
    await _save(vendor, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert vendor.asked == 3


async def test_a_slow_body_may_take_longer_than_one_request(tmp_path: Path) -> None:
    """While pieces come. `request_timeout_s` is the longest time between two of them."""

    def slow(line: Line) -> None:
        line.say(reply(b"", length=10))
        for second in range(10):
            asyncio.get_running_loop().call_later(second * 4.0, line.say, b"x")

    vendor = Vendor(slow)
    await _save(vendor, tmp_path / "a", limits=Limits(request_timeout_s=5.0))
    assert (tmp_path / "a").read_bytes() == b"x" * 10
    assert vendor.asked == 1


async def test_a_body_that_stops_coming_is_tried_again(tmp_path: Path) -> None:
    """After `request_timeout_s`."""
    vendor = Vendor(reply(BODY[:9], length=len(BODY)), reply(BODY))
    await _save(vendor, tmp_path / "a", limits=Limits(request_timeout_s=5.0))
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("answer", [reply(BODY[:9], length=len(BODY)), reply(b"{}", status="400 Bad Request")])
async def test_a_failure_leaves_nothing_behind(tmp_path: Path, answer: bytes) -> None:
    """Whatever had come by then."""
    with pytest.raises(PollwiseError):
        await _save(Vendor(answer), tmp_path / "a", timeout_s=20.0)
    assert _left(tmp_path) == []


async def test_a_cancelled_call_leaves_nothing_behind(tmp_path: Path) -> None:
    """And sends nothing more."""
    vendor = Vendor(reply(BODY[:9], length=len(BODY)))
    saving = asyncio.ensure_future(_save(vendor, tmp_path / "a"))
    await asyncio.sleep(2.0)
    assert len(_left(tmp_path)) == 1
    saving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await saving
    assert _left(tmp_path) == []
    assert vendor.asked == 1


async def test_an_expired_link_is_refreshed_once(tmp_path: Path) -> None:
    """As with `result`."""
    vendor = Vendor(reply(b"{}", status="403 Forbidden"), reply(BODY))
    await _save(vendor, tmp_path / "a")
    assert (tmp_path / "a").read_bytes() == BODY
    assert vendor.polls == 2
    assert b"/file?done=2" in vendor.server.requests[-1]


async def test_a_file_at_another_origin_is_fetched_without_credentials(tmp_path: Path) -> None:
    """In pieces, too."""
    async with raw_server(reply(BODY)) as other:
        await _save(Vendor(b""), tmp_path / "a", auth=BearerAuth(SECRET), file=f"{other.url}/file")
        assert SECRET.encode() not in other.requests[0]
    assert (tmp_path / "a").read_bytes() == BODY


@pytest.mark.parametrize("place", ["missing/a", "."])
async def test_a_place_that_cannot_be_written_is_told_before_the_request(tmp_path: Path, place: str) -> None:
    """As an OSError."""
    vendor = Vendor(reply(BODY))
    with pytest.raises(OSError, match=r"missing|folder"):
        await _save(vendor, tmp_path / place)
    assert vendor.asked == 0


async def test_a_job_that_failed_has_no_file(tmp_path: Path) -> None:
    """Its error is raised."""
    with pytest.raises(JobFailed):
        await _save(Vendor(b"", state="failed"), tmp_path / "a")
    assert _left(tmp_path) == []


async def test_a_status_that_is_the_result_is_no_file(tmp_path: Path) -> None:
    """There is nothing to fetch."""

    class Status(Exports):
        def result_request(self, job: ToyJob, status: ToyStatus, /) -> None:
            return None

    vendor = Vendor(b"")
    async with raw_server(vendor) as vendor.server, JobWatcher(Status(vendor.server.url), timeout_s=60.0) as watcher:
        with pytest.raises(ConfigurationError, match="status itself"):
            await watcher.watch(JOB).save_result(tmp_path / "a", max_bytes=9)
    assert _left(tmp_path) == []


class _WithoutStream:
    """A transport of another class, which has the one method that every transport has."""

    def __init__(self, inner: AiohttpTransport) -> None:
        self._inner = inner

    async def send(self, request: Request, /) -> Reply:
        return await self._inner.send(request)


async def test_a_transport_that_cannot_stream_is_named(tmp_path: Path) -> None:
    """The error says which method it needs."""
    async with AiohttpTransport() as inner:
        with pytest.raises(ConfigurationError, match=r"stream\(request, sink\)"):
            await _save(Vendor(reply(BODY)), tmp_path / "a", transport=_WithoutStream(inner))


@pytest.mark.parametrize("max_bytes", [0, -1, 1.5, None])
async def test_the_largest_size_is_a_whole_number(tmp_path: Path, max_bytes: Any) -> None:
    """It is refused before anything is asked."""
    with pytest.raises(ConfigurationError, match="max_bytes"):
        await _save(Vendor(reply(BODY)), tmp_path / "a", max_bytes=max_bytes)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
async def test_a_full_disk_is_an_oserror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The result is not fetched again, and nothing is left behind."""

    def restart(file: ResultFile) -> None:
        file._stream.close()
        file._stream = Path("/dev/full").open("wb", 0)  # noqa: SIM115  # the file closes it

    monkeypatch.setattr(ResultFile, "restart", restart)
    vendor = Vendor(reply(BODY))
    with pytest.raises(OSError, match="No space left"):
        await _save(vendor, tmp_path / "a")
    assert _left(tmp_path) == []
    assert vendor.asked == 1


async def test_a_script_has_files_too(tmp_path: Path) -> None:
    """A caller's test of its own code needs no server."""
    transport = ScriptedTransport([{"state": "succeeded"}, 503, Reply(200, {}, BODY)])
    async with JobWatcher(Exports("https://toy.example"), timeout_s=600.0, transport=transport) as watcher:
        assert await watcher.watch(JOB).save_result(tmp_path / "a", max_bytes=10_000) == len(BODY)
    assert (tmp_path / "a").read_bytes() == BODY


class Answering(Exports):
    """Whose file may be answered with 410."""

    result_answer_statuses = frozenset({410})

    def read_result(self, reply: Reply, /) -> Any:
        return Reading.failed(ToyStatus("gone"), reason="it is gone") if b"gone" in reply.body else "a result"


@pytest.mark.parametrize(("body", "error"), [(b"gone", JobFailed), (b"other", EndpointBug)])
async def test_an_answer_in_place_of_a_file_is_read(tmp_path: Path, body: bytes, error: type[Exception]) -> None:
    """It may say that the job failed. Its bytes are no file, so it cannot be the result."""
    vendor = Vendor(reply(body, status="410 Gone"))
    async with (
        raw_server(vendor) as vendor.server,
        JobWatcher(Answering(vendor.server.url), timeout_s=600.0) as watcher,
    ):
        with pytest.raises(error, match=r"it is gone|only the bytes of a 2xx reply are saved"):
            await watcher.watch(JOB).save_result(tmp_path / "f", max_bytes=100)
    assert (vendor.asked, _left(tmp_path)) == (1, [])
