"""What a run leaves of a cursor in a ledger and in a resume token, and how the next run goes on with it."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from kept_toy import KeptToyEndpoint, MemoryLedger, keeping
from pollwise.core.call_machine import CallMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.durable.resume_token import read_token, write_token
from pollwise.http import BearerAuth
from pollwise.ledger import OpenWatch, SqliteLedger
from pollwise.model.calls import status_call
from pollwise.model.cursor import Cursor, own_cursor
from pollwise.model.events import Abandoned, Progressed, Retrying, Succeeded
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.testing import Answer, reply
from toy import RUNNING, SUCCEEDED, ToyJob, ToyStatus

JOB = ToyJob("a")


class Paged(KeptToyEndpoint):
    """Each reply says the next page: `{"state": "running", "next": 3}`."""

    base = "https://toy.example"

    def request(self, job: ToyJob, /, cursor: Cursor = None) -> Request:
        return Request(URL(f"{self.base}/{job.id}") % {"page": str(cursor)})

    def read(self, reply: Reply, /, cursor: Cursor = None) -> Reading[ToyStatus]:
        return attrs.evolve(super().read(reply), cursor=reply.json().get("next"))


class Moved(Paged):
    base = "https://new.example"


def page(number: Any) -> Answer:
    return {**RUNNING, "next": number}


def pages(transport: Any) -> list[str]:
    return [request.url.query["page"] for _, request in transport.requests]


@pytest.mark.looptime
async def test_a_watch_goes_on_at_its_cursor() -> None:
    """Of the next run, the first request is that which this run would have sent next; its status is known, too."""
    ledger = MemoryLedger()
    async with keeping(ledger, [page(1), page(2), page(3)], endpoint=Paged()) as (watcher, transport):
        await watcher.record(JOB)
        await asyncio.sleep(2.5)
        assert pages(transport) == ["None", "1", "2"]
    async with keeping(ledger, [page(4), SUCCEEDED], endpoint=Paged()) as (watcher, transport):
        (watch,) = await watcher.resume()
        await watch
    assert pages(transport) == ["3", "4"]


@pytest.mark.looptime
async def test_a_cursor_that_moves_alone_is_written() -> None:
    """Though it is no event."""
    ledger = MemoryLedger()
    async with keeping(ledger, [page(n) for n in range(1, 100)], endpoint=Paged()) as (watcher, transport):
        watch = await watcher.record(JOB)
        await asyncio.sleep(20.3)
        row = ledger.of(id="a")
        assert row.cursor is not None
        assert int(row.cursor) >= int(pages(transport)[-1])
        assert isinstance(watch.last, Progressed)
        assert watch.last.polls == len(pages(transport))


@pytest.mark.looptime
async def test_an_abandoned_job_that_is_watched_again_goes_on_at_its_cursor(tmp_path: Path) -> None:
    """A success leaves none behind."""
    async with SqliteLedger(tmp_path / "jobs.ledger") as ledger:
        async with keeping(ledger, [page(1), page(2)], endpoint=Paged(), timeout_s=5.0) as (watcher, _):
            outcome = (await watcher.gather([JOB]))[0]
            assert isinstance(outcome, Abandoned)
        async with keeping(ledger, [page(7), SUCCEEDED], endpoint=Paged()) as (watcher, transport):
            await watcher.watch(JOB)
        assert pages(transport) == ["2", "7"]
        line = b"".join([lines async for lines in ledger.export()])
        assert "cursor" not in orjson.loads(line)


@pytest.mark.looptime
async def test_an_api_that_has_moved_is_asked_from_the_start() -> None:
    """The cursor may be a URL of the old place. This holds for rows and for tokens."""
    ledger = MemoryLedger()
    async with keeping(ledger, [page("https://toy.example/2")], endpoint=Paged()) as (watcher, _):
        token = (await watcher.record(JOB)).resume_token
        await asyncio.sleep(0.5)
        token = watcher.watch(JOB).resume_token
    for kept in (ledger, None):
        options: dict[str, Any] = {"endpoint": Moved(), "moved_from": "https://toy.example"}
        async with keeping(kept, [SUCCEEDED], **options) as (watcher, transport):
            watches = await watcher.resume() if kept else [watcher.watch_from_token(token)]
            await watches[0]
        assert pages(transport) == ["None"]


@pytest.mark.looptime
async def test_an_endpoint_that_takes_no_cursor_any_more_ignores_it() -> None:
    """And the next change removes it."""
    ledger = MemoryLedger()
    async with keeping(ledger, [page(1)], endpoint=Paged()) as (watcher, _):
        await watcher.record(JOB)
        await asyncio.sleep(0.5)
    assert ledger.of(id="a").cursor == b"1"
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        await watcher.resume()
        await asyncio.sleep(1.5)
        assert str(transport.requests[0][1].url) == "https://toy.example/a"
    assert ledger.of(id="a").cursor is None


@pytest.mark.looptime
@pytest.mark.parametrize("cursor", [b"{", b'"' + b"x" * 5_000 + b'"', b"[" * 20 + b"]" * 20])
async def test_a_cursor_of_another_program_is_not_used(cursor: bytes) -> None:
    """The job is asked about from the start."""
    ledger = MemoryLedger()
    async with keeping(ledger, [page(1)], endpoint=Paged()) as (watcher, _):
        await watcher.record(JOB)
        await asyncio.sleep(0.5)
    row = ledger.of(id="a")
    assert isinstance(row, OpenWatch)
    ledger.rows[row.id] = attrs.evolve(row, cursor=cursor)
    async with keeping(ledger, [SUCCEEDED], endpoint=Paged()) as (watcher, transport):
        await (await watcher.resume())[0]
    assert pages(transport) == ["None"]


@pytest.mark.looptime
async def test_a_cursor_with_a_short_secret_is_used_and_not_written() -> None:
    """A secret of four to seven characters may be a word of the cursor. The next run begins from the start."""
    ledger = MemoryLedger()
    answers = [page("https://toy.example/7?key=abc12")]
    auth = BearerAuth("abc12")
    endpoint = Paged(auth)
    async with keeping(ledger, answers, endpoint=endpoint) as (watcher, transport):
        watch = await watcher.record(JOB)
        await asyncio.sleep(1.5)
        assert "abc12" in pages(transport)[1]
        token = watch.resume_token
    assert ledger.of(id="a").polls == 2
    assert ledger.of(id="a").cursor is None
    assert token.startswith("pw2.")


# --- tokens -------------------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_token_has_the_cursor() -> None:
    """Version 3 says so, because an older release would begin from the start."""
    async with keeping(None, [page({"page": 1})], endpoint=Paged()) as (watcher, _):
        watch = watcher.watch(JOB)
        assert watch.resume_token.startswith("pw2.")
        await asyncio.sleep(0.5)
        token = watch.resume_token
    assert token.startswith("pw3.")
    async with keeping(None, [page(2), SUCCEEDED], endpoint=Paged()) as (watcher, transport):
        await watcher.watch_from_token(token)
    assert pages(transport) == ["{'page': 1}", "2"]


@pytest.mark.looptime
async def test_a_token_may_bring_its_cursor_into_a_ledger() -> None:
    """The row has it from the first checkpoint on."""
    async with keeping(None, [page(5)], endpoint=Paged()) as (watcher, _):
        watch = watcher.watch(JOB)
        await asyncio.sleep(0.5)
        token = watch.resume_token
    ledger = MemoryLedger()
    async with keeping(ledger, [503], endpoint=Paged()) as (watcher, transport):
        watcher.watch_from_token(token)
        await asyncio.sleep(2.0)
        assert pages(transport)[0] == "5"
        assert ledger.of(id="a").cursor == b"5"


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.text(st.characters(codec="utf-8"), max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=8,
)


def _machine(cursor: Cursor, job: ToyJob = JOB) -> CallMachine[ToyJob, ToyStatus]:
    policy = Policy(pacing=Pacing(), retry=Retry(), timeout_s=60.0, call=status_call(Paged()))
    state: ResumeState[ToyStatus] = ResumeState(age_s=1.0, left_s=50.0, cursor=cursor)
    return CallMachine.resumed(job, policy, state, now=0.0)


@given(_JSON)
def test_every_cursor_comes_back_from_a_token(cursor: Cursor) -> None:
    """Whatever JSON it is."""
    try:
        own_cursor(cursor)
    except ValueError:
        return
    token = write_token(Paged(), _machine(cursor), now=0.0, wall_now=1_750_000_000.0)
    assert read_token(Paged(), token).cursor == cursor


def test_a_cursor_that_makes_a_token_too_long_is_left_out() -> None:
    """The job's keys are what matters."""
    token = write_token(Paged(), _machine("x" * 4_000, ToyJob("j" * 4_000)), now=0.0, wall_now=1_750_000_000.0)
    assert token.startswith("pw2.")
    assert read_token(Paged(), token).cursor is None


class Tagged(Paged):
    """The cursor is an entity tag: unchanged replies are 304."""

    def request(self, job: ToyJob, /, cursor: Cursor = None) -> Request:
        url = URL(f"{self.base}/{job.id}") % {"page": str(cursor)}
        return Request(url, {"If-None-Match": cursor} if isinstance(cursor, str) else {})


@pytest.mark.looptime
async def test_a_304_about_a_status_that_was_not_kept_is_asked_again_from_the_start() -> None:
    """A token has no status, and the server says that it is as it was. So one more poll asks for all of it."""

    def answer(request: Request) -> Answer:
        return 304 if "If-None-Match" in request.headers else page('"1"') if len(sent) < 2 else SUCCEEDED

    sent: list[Request] = []

    def noting(request: Request) -> Answer:
        sent.append(request)
        return answer(request)

    async with keeping(None, noting, endpoint=Tagged()) as (watcher, _):
        watch = watcher.watch(JOB)
        await asyncio.sleep(0.5)
        token = watch.resume_token
    sent += [reply(), reply()]  # type: ignore[list-item]  # from now on the job is over
    async with keeping(None, noting, endpoint=Tagged()) as (watcher, transport):
        events = [event async for event in watcher.watch_from_token(token)]
    assert [type(event) for event in events] == [Retrying, Succeeded]
    assert pages(transport) == ['"1"', "None"]
