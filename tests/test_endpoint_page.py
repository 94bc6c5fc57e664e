"""The program of docs/endpoint-class.md: each ability does what the page says."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pollwise import Failed, JobWatcher, Pacing, Phase, Progressed, Request, SqliteLedger, Succeeded
from pollwise.errors import JobFailed, RetriesExhausted
from pollwise.testing import Sample, ScriptedTransport, check_endpoint, reply

PAGE = Path(__file__).parents[1] / "docs" / "endpoint-class.md"
BASE = "https://api.example.com"
DONE = {"id": "7", "state": "done", "file": "/files/7"}


def program() -> dict[str, Any]:
    """The names of the page's program."""
    module = sys.modules["endpoint_page"] = ModuleType("endpoint_page")  # so that its values can be pickled
    for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL):
        exec(compile(block, str(PAGE), "exec", dont_inherit=True), vars(module))  # noqa: S102  # a page of the repository
    return vars(module)


NAMES = program()
EXPORT = NAMES["Export"]("7")


def watcher_of(name: str, answers: Any, **options: Any) -> tuple[JobWatcher[Any, Any, Any, Any], ScriptedTransport]:
    """A watcher of this class of the page, and its transport."""
    transport = ScriptedTransport(answers)
    options = {"timeout_s": 3600.0, "pacing": Pacing.fixed(10.0), "transport": transport, **options}
    return JobWatcher(NAMES[name](BASE), **options), transport


def lines(transport: ScriptedTransport) -> list[str]:
    return [f"{request.method} {request.url.raw_path_qs}" for _, request in transport.requests]


@pytest.mark.parametrize("name", [name for name in NAMES if name.startswith("test_")])
def test_the_tests_of_the_page_pass(name: str) -> None:
    """A reader copies them."""
    NAMES[name]()


@pytest.mark.parametrize("name", sorted(name for name in NAMES if name.endswith("Exports")))
def test_the_classes_of_the_page_can_be_copied(name: str) -> None:
    """No reply makes one raise anything but a typed error."""
    more = {"percent": 25, "throttled": False, "wait_s": 5, "why": "no disk"}
    samples = [
        Sample(job=EXPORT, reply={**DONE, **more, "state": "running"}, phase=Phase.RUNNING),
        Sample(job=EXPORT, reply={**DONE, **more, "state": "error"}, phase=Phase.FAILED),
    ]
    check_endpoint(NAMES[name](BASE), samples, states=["state"])


@pytest.mark.looptime
async def test_a_job_is_watched_to_its_status() -> None:
    """With the share of the work, the vendor's words, and a state that is not known."""
    running = {"id": "7", "state": "running", "percent": 25}
    watcher, _ = watcher_of("NamedExports", [{**running, "id": "8"}, running, {**running, "state": "odd"}, DONE])
    async with watcher:
        events = [event async for event in watcher.watch(EXPORT)]
    assert [event.fraction for event in events if isinstance(event, Progressed)] == [0.25, None]
    assert isinstance(events[-1], Succeeded)
    watcher, _ = watcher_of("Exports", [{"state": "error", "why": "no disk"}])
    async with watcher:
        (event,) = [event async for event in watcher.watch(EXPORT)]
    assert isinstance(event, Failed)
    assert event.error.reason == "no disk"


@pytest.mark.looptime
async def test_a_refusal_may_be_an_answer() -> None:
    """404 for a deletion."""
    watcher, _ = watcher_of("Deletions", [{}, 404])
    async with watcher:
        assert (await watcher.watch(EXPORT)).state == "gone"


@pytest.mark.looptime
async def test_codes_and_limits_are_found() -> None:
    """A throttle in a 200 delays the next poll. The vendor's code is in the error."""
    watcher, transport = watcher_of("CodedExports", [{"throttled": True, "wait_s": 60}, DONE])
    async with watcher:
        await watcher.watch(EXPORT)
    assert transport.times[1] - transport.times[0] >= 60
    watcher, _ = watcher_of("CodedExports", [reply({"code": "E7"}, status=500)])
    async with watcher:
        with pytest.raises(RetriesExhausted, match="The export was deleted"):
            await watcher.watch(EXPORT)


@pytest.mark.looptime
async def test_a_location_is_followed() -> None:
    """As it moves. A reply without one leaves it in force."""
    moved = [reply(None, status=202, headers=headers) for headers in ({"Location": "/q/1"}, {"Location": "/q/2"}, {})]
    watcher, transport = watcher_of("MovingExports", [*moved, DONE])
    async with watcher:
        await watcher.watch(EXPORT)
    assert lines(transport) == ["GET /exports/7", "GET /q/1", "GET /q/2", "GET /q/2"]


@pytest.mark.looptime
async def test_a_signed_location_is_asked_to_the_letter() -> None:
    """Another spelling of the same characters would break its signature."""
    moved = [reply(None, status=202, headers={"Location": url}) for url in ("/q/%7E1?sig=%7Ea%2Fb+c", "q?sig=%7e%2f")]
    watcher, transport = watcher_of("MovingExports", [*moved, DONE])
    async with watcher:
        await watcher.watch(EXPORT)
    assert lines(transport)[1:] == ["GET /q/%7E1?sig=%7Ea%2Fb+c", "GET /q/q?sig=%7e%2f"]


@pytest.mark.looptime
async def test_a_result_has_pages() -> None:
    """They are joined. A refusal may say that the job has failed after all."""
    watcher, transport = watcher_of("ExportsWithRows", [DONE, {"rows": ["a"], "next": 2}, {"rows": ["b"]}])
    async with watcher:
        assert await watcher.watch(EXPORT).result() == ["a", "b"]
    assert lines(transport)[1:] == ["GET /files/7?page=1", "GET /files/7?page=2"]
    watcher, _ = watcher_of("ExportsWithRows", [DONE, 422])
    async with watcher:
        with pytest.raises(JobFailed, match="the file is broken"):
            await watcher.watch(EXPORT).result()


@pytest.mark.looptime
async def test_a_job_is_cancelled() -> None:
    """By one request."""
    watcher, transport = watcher_of("StoppableExports", lambda _: {"state": "running"})
    async with watcher:
        assert await watcher.watch(EXPORT).cancel() is True
    assert lines(transport).count("DELETE /exports/7") == 1


@pytest.mark.looptime
@pytest.mark.parametrize(("body", "wait_s"), [({"id": "7"}, 5), ({"id": "7", "wait_s": 30}, 30)])
async def test_a_job_is_started(body: dict[str, Any], wait_s: int) -> None:
    """With its key. The first poll waits as the class or the body says."""
    watcher, transport = watcher_of("NewExports", [body, DONE])
    async with watcher:
        watch = await watcher.submit({"rows": 3}, key="order-17")
        assert (await watch).state == "done"
    (_, start), _ = transport.requests
    assert (start.method, start.headers["Idempotency-Key"], start.body) == ("POST", "order-17", b'{"rows":3}')
    assert transport.times[1] - transport.times[0] == pytest.approx(wait_s, abs=0.5)


@pytest.mark.looptime
async def test_a_cancellation_may_be_refused_in_a_good_reply() -> None:
    """Then it was too late, and the watch goes on."""
    for accepted in (True, False):
        answers = [{"state": "running"}, {"accepted": accepted}, DONE]
        watcher, _ = watcher_of("AskedExports", answers)
        async with watcher:
            watch = watcher.watch(EXPORT)
            async for _ in watch:
                break
            assert await watch.cancel() is accepted
            assert (await watch).state == "done"


@pytest.mark.looptime
async def test_a_server_names_the_url_of_a_job() -> None:
    """It gets credentials at the API alone."""
    watcher, transport = watcher_of("ExportQueue", [{"state": "running"}, DONE])
    async with watcher:
        assert (await watcher.watch(NAMES["Queued"](f"{BASE}/q/%7E7"))).state == "done"
    assert lines(transport) == ["GET /q/%7E7"] * 2


def test_origins_and_signatures() -> None:
    """The class lists where else credentials go. A signature covers method, path and body."""
    assert NAMES["StoredExports"](BASE).origins == ("https://files.example.com",)
    auth = NAMES["SignedAuth"](b"key")
    plain = NAMES["Exports"](BASE).request(EXPORT)
    signed = auth.sign(plain)
    assert isinstance(signed, Request)
    assert (signed.url, len(signed.headers["X-Signature"])) == (plain.url, 64)
    assert auth.headers(0.0) == {}


@pytest.mark.looptime
async def test_a_ledger_keeps_it(tmp_path: Path) -> None:
    """With the codec."""
    async with SqliteLedger(tmp_path / "l") as ledger:
        watcher, _ = watcher_of("KeptExports", [DONE], ledger=ledger)
        async with watcher:
            assert (await watcher.watch(EXPORT)).file == "/files/7"
