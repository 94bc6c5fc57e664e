"""A server that answers with a megabyte of anything costs its client little, and hides no end."""

from __future__ import annotations

import asyncio
import gc
import tracemalloc
from collections.abc import Callable, Collection, Generator, Iterator
from contextlib import contextmanager
from typing import Any

import attrs
import orjson
import pytest
from multidict import CIMultiDict
from yarl import URL

from kept_toy import acknowledged
from memory_ledger import MemoryLedger
from pollwise import Failed, JobWatcher, Limits, Pacing, RateBudget, Reading, ReplyLimits, Succeeded, Watch
from pollwise.endpoints import AttrsCodec
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.ledger import Concluded
from pollwise.model import bounded_reply
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.runtime import poller
from pollwise.testing import ScriptedTransport

pytestmark = pytest.mark.looptime

MIB = 1_048_576
KEPT = 2_000_000  # bytes a watch
ROW = 262_144  # bytes a row
HEADERS = CIMultiDict({"Content-Type": "application/json"})
ITEMS = {
    "objects": "{}",
    "lists": "[]",
    "numbers": "9",
    "long numbers": "9" * 400,
    "odd objects": '{"Description":5,"extensionData":[]}',
    "texts": '{"description":"' + "😀x" * 200 + '"}',
    "deep": "[" * 60 + "]" * 60,
    "deeper": '{"extension_data":' + "[" * 300 + "]" * 300 + "}",
}
LISTS = ["errors", "warnings", "information", "extension_data", "unheard_of"]


def filled(head: str, item: str, tail: str) -> Reply:
    number = (MIB - len(head.encode()) - len(tail.encode())) // (len(item.encode()) + 1)
    return Reply(200, HEADERS, (head + ",".join([item] * number) + tail).encode())


def number_of(item: str, reply: Reply) -> int:
    return reply.body.count(item.encode() + b",") + 1


def deletion(name: str, item: str, *, over: bool, n: int = 0) -> Reply:
    """A status with one list of a megabyte; what decides stands behind it."""
    task = f'"task_status":{{"is_complete":{str(over).lower()},"status":2}},"success":true,"n":{n}}}'
    return filled(f'{{"{name}":[', item, f"],{task}")


def extraction(item: str, *, over: bool, n: int = 0) -> Reply:
    progress = "SUCCEEDED" if over else "PROCESSING"
    return filled('{"skippedItems":[', item, f'],"n":{n},"progress":"{progress}"}}')


def many_keys(*, over: bool) -> Reply:
    keys = ",".join(f'"{n:x}":0' for n in range(95_000))
    return Reply(
        200,
        HEADERS,
        f'{{{keys},"task_status":{{"is_complete":{str(over).lower()},"status":3}},"success":true}}'.encode(),
    )


def giant_text(*, over: bool) -> Reply:
    return deletion("extension_data", '"' + "😀" * 250_000 + '"', over=over)


def endless_depth(*, over: bool) -> Reply:
    depth = 500_000
    task = f'"task_status":{{"is_complete":{str(over).lower()},"status":3}},"success":true'
    return Reply(200, HEADERS, f'{{"extension_data":{"[" * depth}{"]" * depth},{task}}}'.encode())


def watcher(endpoint: Any, answer: Callable[[Request], Reply] | list[Any], **options: Any) -> JobWatcher[Any, Any]:
    return JobWatcher(
        endpoint,
        timeout_s=600,
        transport=ScriptedTransport(answer),
        budget=RateBudget(10**6, per_s=1.0),
        pacing=Pacing.fixed(5.0),
        **options,
    )


DELETION = DeleteFileEndpoint("https://api.example.com")
EXTRACTION = ExtractionEndpoint("https://api.example.com")


@contextmanager
def allocated() -> Iterator[list[int]]:
    """What is allocated and not freed meanwhile, in bytes."""
    found: list[int] = []
    gc.collect()
    tracemalloc.start()
    try:
        yield found
        gc.collect()
        found.append(tracemalloc.get_traced_memory()[0])
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
@pytest.mark.parametrize("name", LISTS)
def test_a_deletion_keeps_little_and_its_end_is_told(name: str, item: str) -> None:
    """Of any list and any item: 2 MB for the status, and `is_complete` behind it counts."""
    reply = deletion(name, item, over=True)
    with allocated() as kept:
        reading = DELETION.read(reply)
    assert kept[0] <= KEPT
    assert reading.final
    assert reading.phase.value == ("failed" if name == "errors" else "succeeded")
    if name in {"errors", "warnings", "information"}:
        items = getattr(reading.status, name)
        assert len(items) + reading.status.left_out[name] == number_of(item, reply)


@pytest.mark.parametrize("item", ['{"id":"a"}', "{}", "9", '{"ID":5}', '"a.txt"'])
def test_an_extraction_keeps_little_and_its_end_is_told(item: str) -> None:
    """The number of skipped files is that of the reply, also in the summary."""
    reply = extraction(item, over=True)
    with allocated() as kept:
        reading = EXTRACTION.read(reply)
    number = number_of(item, reply)
    assert kept[0] <= KEPT
    assert (reading.final, reading.status.skipped_any) == (True, True)
    assert len(reading.status.skipped_items) + reading.status.left_out["skipped_items"] == number
    assert reading.status.summary() == f"{number} skipped"


@pytest.mark.parametrize("reply", [many_keys(over=True), giant_text(over=True), endless_depth(over=True)])
def test_what_informs_never_hides_the_end(reply: Reply) -> None:
    """A hundred thousand keys, a text of a megabyte, and half a million levels stand before it."""
    with allocated() as kept:
        reading = DELETION.read(reply)
    assert kept[0] <= KEPT
    assert reading.final
    assert reading.phase.value == "succeeded"


@pytest.mark.parametrize("name", ["errors", "information", "extension_data"])
async def test_twelve_watches_keep_little(name: str) -> None:
    """Each poll brings another megabyte; together 12 watches keep less than 24 MB, and no reply is kept."""
    polls = 0

    def answer(_request: Request) -> Reply:
        nonlocal polls
        polls += 1
        return deletion(name, "{}", over=False, n=polls)

    async with watcher(DELETION, answer) as opened:
        with allocated() as kept:
            watches = [opened.watch(DeleteFileJob(str(n))) for n in range(12)]
            while polls < 24:
                await asyncio.sleep(1.0)
            await asyncio.sleep(1.0)  # until the last replies are read
        assert kept[0] <= 12 * KEPT
        assert all(watch.last is not None for watch in watches)


async def test_the_loop_runs_between_the_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many long replies come at once, a turn of the event loop does one step of a few milliseconds."""
    steps_of_turns = [0]
    loop = asyncio.get_running_loop()

    def counting(reply: Reply, limits: ReplyLimits, deciding: Collection[str]) -> Generator[None, None, Reply]:
        steps = bounded_reply.bounding(reply, limits, deciding)
        while True:
            if not steps_of_turns[-1]:
                loop.call_soon(steps_of_turns.append, 0)  # called in the next turn
            steps_of_turns[-1] += 1
            try:
                next(steps)
            except StopIteration as done:
                cut: Reply = done.value
                return cut
            yield

    monkeypatch.setattr(poller, "bounding", counting)
    async with watcher(DELETION, [deletion("errors", "{}", over=False)]) as opened:
        watches = [opened.watch(DeleteFileJob(str(n))) for n in range(8)]
        while any(watch.last is None for watch in watches):
            await asyncio.sleep(0.01)
    assert sum(steps_of_turns) >= 8 * 20
    assert max(steps_of_turns) <= 2


@attrs.frozen
class Export:
    id: str


@attrs.frozen
class ExportStatus:
    state: str
    log: list[Any]


class ExportEndpoint(Endpoint[Export, ExportStatus]):
    """An endpoint of a caller's own."""

    name = "export"
    codec = AttrsCodec(Export, ExportStatus)
    heeded_headers = ()
    seen: Reply | None = None

    def request(self, job: Export, /) -> Request:
        return Request(URL(f"https://api.example.com/{job.id}"))

    def read(self, reply: Reply, /) -> Reading[ExportStatus]:
        self.seen = reply
        data = orjson.loads(reply.body)  # without `reply.json()`
        status = ExportStatus(data["state"], data["log"])
        return Reading.succeeded(status) if status.state == "done" else Reading.running(status)


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
async def test_an_endpoint_of_your_own_gets_a_short_reply(item: str) -> None:
    """However it decodes it; and `left_out` says how much is missing."""
    endpoint = ExportEndpoint()
    async with watcher(endpoint, [filled('{"log":[', item, '],"state":"done"}')]) as opened:
        with allocated() as kept:
            status = await opened.watch(Export("a"))
        assert kept[0] <= KEPT
        assert status.state == "done"
        assert endpoint.seen is not None
        assert endpoint.seen.left_out["log"] > 0


async def test_a_short_reply_is_not_too_deep_either() -> None:
    """A value of 500 levels could neither be compared nor kept; the job is over all the same."""
    log = "[" * 500 + "]" * 500
    async with watcher(ExportEndpoint(), [Reply(200, HEADERS, f'{{"log":{log},"state":"done"}}'.encode())]) as opened:
        assert (await opened.watch(Export("a"))).state == "done"


async def test_a_caller_can_raise_the_limits() -> None:
    """Then all of the list is kept."""
    reply = Reply(200, HEADERS, orjson.dumps({"log": [0] * 5_000, "state": "done"}))
    async with watcher(ExportEndpoint(), [reply], limits=Limits(reply=ReplyLimits(items=5_000))) as opened:
        assert (await opened.watch(Export("a"))).log == [0] * 5_000


@pytest.mark.parametrize("item", ITEMS.values(), ids=ITEMS)
@pytest.mark.parametrize("name", ["errors", "extension_data"])
async def test_a_row_is_short_and_has_the_outcome(name: str, item: str) -> None:
    """A checkpoint and a conclusion of at most 256 KiB; what comes back says what was left out."""
    ledger = MemoryLedger()
    script = [deletion(name, item, over=False), deletion(name, item, over=True)]
    async with watcher(DELETION, script, ledger=ledger) as opened:
        watch = opened.watch(DeleteFileJob("t"))
        await asyncio.sleep(2.0)
        open_row = ledger.of(task_id="t")
        assert open_row.status is not None
        assert len(open_row.status) <= ROW
        await _end_of(watch)
    row = ledger.of(task_id="t")
    assert isinstance(row, Concluded)
    assert len(row.status or b"") + len(row.error_data or b"") + len(row.error_message or "") <= ROW
    async with watcher(DELETION, script, ledger=ledger) as opened:
        (delivery,) = await acknowledged(opened)
    assert isinstance(delivery.outcome, Failed if name == "errors" else Succeeded)
    if name == "errors":
        status = delivery.outcome.status
        number = number_of(item, script[1])
        assert len(status.errors) + status.left_out["errors"] == number


async def _end_of(watch: Watch[Any, Any]) -> None:
    async for _ in watch:
        pass
