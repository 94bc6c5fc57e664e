"""Parts of a caller's own, and tests of a caller's own, as a type checker sees them. Never run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, assert_type

import attrs
from yarl import URL

from pollwise import Endpoint, JobWatcher, Phase, Reading, Reply, Request, Watch
from pollwise.endpoints import AttrsCodec, Cursor, LedgerCodec, RateLimit, ResultPage, Submitted
from pollwise.errors import Problem
from pollwise.http import Auth, Transport
from pollwise.testing import Answer, Hang, ScriptedTransport, Slow, reply, run


@attrs.frozen
class Print:
    number: int


@attrs.frozen
class Paper:
    pages: int


class Printer(Endpoint[Print, Paper]):
    """All that an endpoint can have."""

    name = "printer"

    documented_limit = RateLimit(60, per_s=60.0)
    heeded_headers = ("ETag",)
    codec = AttrsCodec(Print, Paper)

    def __init__(self, auth: Auth | None) -> None:
        self.auth = auth

    def request(self, job: Print, /) -> Request:
        return Request(URL(f"https://printer.example/{job.number}"))

    def read(self, reply: Reply, /) -> Reading[Paper]:
        return Reading(status=Paper(len(reply.body)), phase=Phase.SUCCEEDED, final=True)

    def problem(self, reply: Reply, /) -> Problem | None:
        return Problem(codes=("paper-jam",))


class Plotter:
    """An endpoint of no class of pollwise's."""

    def __init__(self) -> None:
        self.name = "plotter"

    def request(self, job: Print) -> Request:
        return Request(URL(f"https://plotter.example/{job.number}"))

    def read(self, reply: Reply) -> Reading[Paper]:
        return Reading.running(Paper(len(reply.body)), fraction=0.5)


class Stapler(Endpoint[Print, Paper]):
    """Asks where the last reply said."""

    name = "stapler"

    def request(self, job: Print, cursor: Cursor = None) -> Request:
        return Request(URL(cursor) if isinstance(cursor, str) else URL(f"https://stapler.example/{job.number}"))

    def read(self, reply: Reply, cursor: Cursor = None) -> Reading[Paper]:
        return Reading.running(Paper(len(reply.body)), cursor=reply.headers.get("Location"))

    def read_for(self, job: Print, reply: Reply, cursor: Cursor = None) -> Reading[Paper]:
        return self.read(reply, cursor)


class Folder:
    """As the stapler, and of no class of pollwise's. Its cursor is a text."""

    name = "folder"

    def request(self, job: Print, cursor: str | None = None) -> Request:
        return Request(URL(cursor or "https://folder.example/"))

    def read(self, reply: Reply, cursor: str | None = None) -> Reading[Paper]:
        return Reading.running(Paper(len(reply.body)), cursor=cursor)


class Scanner(Printer):
    """Makes a file."""

    def result_request(self, job: Print, status: Paper, /) -> Request | None:
        return Request(URL(f"https://printer.example/{job.number}/file"))

    def read_result(self, reply: Reply, /) -> bytes:
        return reply.body


class Binder(Printer):
    """Makes a list in pages."""

    def result_request(self, job: Print, status: Paper, cursor: Cursor = None) -> Request:
        return Request(URL(str(cursor)))

    def read_result(self, reply: Reply, cursor: Cursor = None) -> ResultPage[list[Paper]]:
        return ResultPage([Paper(1)], next="https://printer.example/2")


class Copier(Plotter):
    """Makes a number, in a page or without, and is of no class of pollwise's."""

    def result_request(self, job: Print, status: Paper) -> Request:
        return Request(URL("https://plotter.example/"))

    def read_result(self, reply: Reply) -> ResultPage[int] | int:
        return 1


class Broken:
    """Reads no replies."""

    name = "broken"

    def request(self, job: Print) -> Request:
        return Request(URL(f"https://plotter.example/{job.number}"))


class Badge:
    """Credentials, without a word of pollwise's protocol."""

    def headers(self, now: float, /) -> Mapping[str, str] | None:
        return {"X-Badge": "7"}

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        pass


class Incomplete(Endpoint[Print, Paper]):
    """Has forgotten how to read."""

    name = "incomplete"

    def request(self, job: Print, /) -> Request:
        return Request(URL("https://printer.example/"))


class Postman:
    """Does not send."""

    async def deliver(self, request: Request, /) -> Reply:
        return Reply(200, {}, b"")


async def own_parts_fit(transport: Transport) -> None:
    auth: Auth = Badge()
    async with JobWatcher(Printer(auth), timeout_s=10, transport=transport) as watcher:
        assert_type(watcher, JobWatcher[Print, Paper])
        assert_type(watcher.watch(Print(1)), Watch[Print, Paper])
        assert_type(await watcher.watch(Print(1)), Paper)
        assert_type(watcher.transport, Transport)


async def any_object_with_three_members_is_an_endpoint() -> None:
    async with JobWatcher(Plotter(), timeout_s=10) as watcher:
        assert_type(watcher, JobWatcher[Print, Paper])
        assert_type(await watcher.watch(Print(1)), Paper)


async def an_endpoint_may_take_a_cursor() -> None:
    assert_type(JobWatcher(Stapler(), timeout_s=10), JobWatcher[Print, Paper])
    async with JobWatcher(Folder(), timeout_s=10) as watcher:
        assert_type(await watcher.watch(Print(1)), Paper)


async def a_result_has_the_type_that_is_read() -> None:
    async with JobWatcher(Scanner(None), timeout_s=10) as watcher:
        assert_type(watcher, JobWatcher[Print, Paper, bytes])
        assert_type(watcher.watch(Print(1)), Watch[Print, Paper, bytes])
        assert_type(await watcher.watch(Print(1)), Paper)
        assert_type(await watcher.watch(Print(1)).result(), bytes)
        assert_type(await (await watcher.record(Print(1))).result(timeout_s=5), bytes)
    async with JobWatcher(Binder(None), timeout_s=10, heartbeat_s=5) as binding:
        assert_type(await binding.watch(Print(1)).result(), list[Paper])
    async with JobWatcher(Copier(), timeout_s=10) as copying:
        assert_type(await copying.watch(Print(1)).result(), int)


class Press(Printer):
    """Starts prints of texts."""

    def submit_request(self, order: str, key: str, /) -> Request:
        return Request(URL("https://press.example"), method="POST", body=order.encode())

    def read_submitted(self, order: str, reply: Reply, /) -> Print:
        return Print(1)


class ScanningPress(Scanner):
    """Starts prints that have a result. The reply to the start may say when to ask first."""

    def submit_request(self, order: list[Paper], key: str, /) -> Request:
        return Request(URL("https://press.example"), method="POST")

    def read_submitted(self, order: list[Paper], reply: Reply, /) -> Print | Submitted[Print]:
        return Submitted(Print(1), 5.0)


class BindingPress(Binder):
    """Starts prints whose result comes in pages."""

    def submit_request(self, order: object, key: str, /) -> Request:
        return Request(URL("https://press.example"), method="POST")

    def read_submitted(self, order: object, reply: Reply, /) -> Print:
        return Print(1)


async def a_job_that_is_started_has_the_types_of_its_endpoint() -> None:
    async with JobWatcher(Press(None), timeout_s=10) as watcher:
        assert_type(watcher, JobWatcher[Print, Paper, object, str])
        assert_type(await watcher.submit("text", key="a"), Watch[Print, Paper])
        await watcher.submit(7)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
        plain: JobWatcher[Print, Paper] = watcher
        await plain.submit("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    async with JobWatcher(ScanningPress(None), timeout_s=10) as scanning:
        assert_type(scanning, JobWatcher[Print, Paper, bytes, list[Paper]])
        assert_type(await (await scanning.submit([])).result(), bytes)
    async with JobWatcher(BindingPress(None), timeout_s=10) as binding:
        assert_type(await (await binding.submit(7)).result(), list[Paper])
    async with JobWatcher(Printer(None), timeout_s=10) as printing:
        await printing.submit("text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]


async def a_job_can_be_cancelled_and_its_result_saved(watch: Watch[Print, Paper, bytes]) -> None:
    assert_type(await watch.cancel(), bool)
    assert_type(await watch.save_result("file", max_bytes=9), int)
    await watch.save_result("file")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    JobWatcher(Scanner(None), timeout_s=9, cancel_on_deadline="yes")  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


async def an_endpoint_without_a_result_has_none_to_use(watcher: JobWatcher[Print, Paper]) -> None:
    pages: int = await watcher.watch(Print(1)).result()  # type: ignore[assignment]  # pyright: ignore[reportAssignmentType]
    assert_type(JobWatcher(Printer(None), timeout_s=10), JobWatcher[Print, Paper])
    assert_type(pages, int)


def any_watcher_of_these_jobs_will_do(scanning: JobWatcher[Print, Paper, bytes], watch: Watch[Any, Any, bytes]) -> None:
    plain: JobWatcher[Print, Paper] = scanning
    plain.watch(Print(1)).stop()
    handle: Watch[Any, Any] = watch
    handle.stop()


def every_reading_has_the_status_that_it_was_given(paper: Paper) -> None:
    assert_type(Reading.queued(paper), Reading[Paper])
    assert_type(Reading.failed(paper, reason="jam"), Reading[Paper])
    assert_type(Reading.unconfirmed_end(Phase.FAILED, paper), Reading[Paper])
    assert_type(Reading.unknown_end(paper, unknown="state=burnt"), Reading[Paper])


def a_codec_fits_its_endpoint(endpoint: Printer) -> None:
    codec: LedgerCodec[Print, Paper] = endpoint.codec
    assert_type(codec.job_from_keys({"number": "1"}), Print)
    assert_type(codec.status_from_json({"pages": 1}), Paper)


def what_does_not_fit_is_seen() -> None:
    JobWatcher(Broken(), timeout_s=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    JobWatcher(Printer, timeout_s=1)  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]
    Incomplete()  # type: ignore[abstract]  # pyright: ignore[reportAbstractUsage]
    Printer(Postman())  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    JobWatcher(Printer(None), timeout_s=1, transport=Postman())  # type: ignore[call-overload]  # pyright: ignore[reportArgumentType, reportCallIssue]


def a_script_holds_answers_or_is_a_function() -> None:
    script: list[Answer] = [{"pages": 1}, 503, Hang(), Slow({"pages": 2}, 5.0), reply({"pages": 3}, status=202)]
    answer: Callable[[Request], Answer] = lambda request: {"path": request.url.path}  # noqa: E731  # as a caller might
    transports = [ScriptedTransport(script), ScriptedTransport(answer), ScriptedTransport([200, {"pages": 1}])]

    async def main(transport: Transport) -> Paper:
        async with JobWatcher(Printer(None), timeout_s=3600, transport=transport) as watcher:
            return await watcher.watch(Print(1))

    assert_type(run(main(transports[0])), Paper)
