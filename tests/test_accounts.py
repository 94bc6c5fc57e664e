"""Two accounts of one vendor in one ledger, and an API that has moved."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from yarl import URL

from kept_toy import NOON_S, KeptToyEndpoint, MemoryLedger, acknowledged, keeping, toys
from pollwise.core.pacing import Pacing
from pollwise.core.rate_budget import RateBudget
from pollwise.durable.resume_token import read_token
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import ConfigurationError, LedgerWriteFailed, OriginChanged, TokenError, WatchStopped
from pollwise.http.auth import ApiKeyAuth
from pollwise.ledger import Concluded, LedgerFailed, OpenWatch, SqliteLedger
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.messages import Request
from pollwise.simulator import Simulator
from pollwise.testing import Hang, ScriptedTransport, controlled
from pollwise.watcher import JobWatcher
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, settle

OLD, NEW = "https://old.example", "https://new.example"
SAMPLES = Path(__file__).parent / "samples" / "ledger"


class PlacedToy(KeptToyEndpoint):
    """The toy of an account, at an origin; a job named `there/…` is always at another one."""

    def __init__(self, origin: str = OLD, account: str = "") -> None:
        super().__init__()
        self._origin = origin
        self.account = account

    def request(self, job: ToyJob, /) -> Request:
        if job.id == "nowhere":
            raise KeyError(job.id)
        return Request(URL("https://there.example" if job.id.startswith("there") else self._origin) / job.id)


def at(origin: str, account: str = "") -> dict[str, Any]:
    return {"endpoint": PlacedToy(origin, account)}


def deleting(simulator: Simulator, token: str, account: str, ledger: SqliteLedger) -> JobWatcher[Any, Any]:
    endpoint = DeleteFileEndpoint(simulator.document360_url, auth=ApiKeyAuth(token), account=account)
    budget = RateBudget(1_000, per_s=1.0)
    return JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(0.1), budget=budget, ledger=ledger)


# --- two accounts -------------------------------------------------------------------------------


async def test_each_account_takes_up_its_own_jobs(tmp_path: Path) -> None:
    """Equal IDs are two jobs. Each is polled with its own credentials at its own server."""
    async with (
        Simulator(api_token="token-of-a") as one,
        Simulator(api_token="token-of-b") as two,
        SqliteLedger(tmp_path / "both.ledger") as ledger,
    ):
        for simulator, name in ((one, "a"), (two, "b")):
            for number in range(5):
                simulator.add_delete(f"{name}-{number}", duration_s=1e6)
            simulator.add_delete("same", duration_s=1e6)
        for simulator, name in ((one, "a"), (two, "b")):
            async with deleting(simulator, f"token-of-{name}", name, ledger) as watcher:
                await watcher.record_all(DeleteFileJob(f"{name}-{number}") for number in range(5))
                await watcher.record(DeleteFileJob("same"))
        for simulator in (one, two):
            for job in simulator.jobs.values():
                simulator.finish(*job.keys)
        delivered: dict[str, set[str]] = {}
        async with deleting(one, "token-of-a", "a", ledger) as a, deleting(two, "token-of-b", "b", ledger) as b:
            for name, watcher in (("a", a), ("b", b)):
                watches = await watcher.resume()
                assert {watch.job.task_id for watch in watches} == {f"{name}-{n}" for n in range(5)} | {"same"}
            for name, watcher in (("a", a), ("b", b)):
                deliveries = await acknowledged(watcher)
                assert {type(delivery.outcome) for delivery in deliveries} == {Succeeded}
                delivered[name] = {delivery.outcome.job.task_id for delivery in deliveries}
        assert delivered == {name: {f"{name}-{n}" for n in range(5)} | {"same"} for name in ("a", "b")}
        for simulator in (one, two):  # no server was asked about a job of the other one
            assert simulator.requests.total == sum(job.polls for job in simulator.jobs.values())


@pytest.mark.looptime
async def test_a_job_of_two_accounts_has_two_ends() -> None:
    """Outcomes, deliveries and learnt durations of one account do not reach the other."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED], **at(OLD, "a")) as (watcher, _):
        assert (await watcher.watch(ToyJob())).state == "succeeded"
    async with keeping(ledger, [FAILED], **at(OLD, "b")) as (watcher, transport):
        assert [delivery async for delivery in watcher.outcomes()] == []
        watch = watcher.watch(ToyJob())
        (delivery,) = await acknowledged(watcher)
        assert isinstance(delivery.outcome, Failed)
        assert isinstance(watch.outcome, Failed)
        assert len(transport.requests) == 1
    assert [(row.account, type(row)) for row in ledger.rows.values()] == [("a", Concluded), ("b", Concluded)]
    assert await ledger.durations("toy", "b") == []


@pytest.mark.looptime
async def test_an_account_that_is_none_is_said_at_once() -> None:
    """It is checked before the first watch, also for an endpoint of the caller."""
    with pytest.raises(ConfigurationError, match="account must hold printable characters"):
        JobWatcher(PlacedToy(account="acme\n"), timeout_s=1)


# --- another origin -----------------------------------------------------------------------------


async def left_open(ledger: MemoryLedger, count: int = 3, origin: str = OLD) -> None:
    async with keeping(ledger, [Hang()], **at(origin)) as (watcher, _):
        await watcher.record_all(toys(count))


@pytest.mark.looptime
async def test_resume_at_another_origin_is_refused() -> None:
    """The error has the count and the origins. Nothing is resumed or sent, and every row stays as it was."""
    ledger = MemoryLedger()
    await left_open(ledger)
    before = dict(ledger.rows)
    async with keeping(ledger, [SUCCEEDED], **at(NEW)) as (watcher, transport):
        with pytest.raises(OriginChanged) as caught:
            await watcher.resume()
        await asyncio.sleep(100)
        assert (transport.requests, watcher.open_count) == ([], 0)
    error = caught.value
    assert (error.job, error.recorded, error.configured, error.watches) == (toys(1)[0], OLD, NEW, 3)
    assert ledger.rows == before
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        assert len(await watcher.resume()) == 3
        assert len(await acknowledged(watcher)) == 3


@pytest.mark.looptime
@pytest.mark.parametrize("moved_from", [OLD, [OLD], {OLD, "https://older.example"}, f"{OLD}:443/v2/"])
async def test_an_api_that_has_moved(moved_from: Any) -> None:
    """With `moved_from` all rows are resumed at the new origin, and the ledger has it from then on."""
    ledger = MemoryLedger()
    await left_open(ledger)
    async with keeping(ledger, [RUNNING], **at(NEW), moved_from=moved_from) as (watcher, transport):
        assert len(await watcher.resume()) == 3
        assert {row.origin for row in ledger.rows.values()} == {NEW}
        await asyncio.sleep(100)
        assert {request.url.host for _, request in transport.requests} == {"new.example"}
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        with pytest.raises(OriginChanged):
            await watcher.resume()
    async with keeping(ledger, [SUCCEEDED], **at(NEW)) as (watcher, _):
        assert len(await watcher.resume()) == 3


@pytest.mark.looptime
async def test_an_account_of_its_own_for_another_server() -> None:
    """Rows of another origin do not matter."""
    ledger = MemoryLedger()
    await left_open(ledger)
    async with keeping(ledger, [SUCCEEDED], **at(NEW, "new")) as (watcher, _):
        assert await watcher.resume() == []
        assert (await watcher.watch(toys(1)[0])).state == "succeeded"
    assert len(ledger.rows) == 4


@pytest.mark.looptime
async def test_watching_what_is_open_elsewhere_is_refused() -> None:
    """It is the outcome of this watch. Its row stays open, and other jobs go on."""
    ledger = MemoryLedger()
    await left_open(ledger, 1)
    before = ledger.rows[1]
    async with keeping(ledger, [SUCCEEDED], **at(NEW)) as (watcher, transport):
        refused, other = watcher.watch(ToyJob("job-0")), watcher.watch(ToyJob("job-1"))
        assert (await other).state == "succeeded"
        with pytest.raises(OriginChanged):
            await refused
        with pytest.raises(OriginChanged):
            await watcher.record(ToyJob("job-0"))
        outcomes = await watcher.gather([ToyJob("job-0"), ToyJob("job-2")])
        assert [type(outcome) for outcome in outcomes] == [Abandoned, Succeeded]
        assert [request.url.path for _, request in transport.requests] == ["/job-1", "/job-2"]
        assert watcher.open_count == 0
    assert ledger.rows[1] == before


@pytest.mark.looptime
async def test_a_watch_that_is_stopped_before_it_is_refused() -> None:
    """The watch is stopped. The open row stays open, because this watcher never polled the job."""
    ledger = MemoryLedger()
    await left_open(ledger, 1)
    async with keeping(ledger, [SUCCEEDED], **at(NEW)) as (watcher, _):
        watch = watcher.watch(ToyJob("job-0"))
        watch.stop()
        with pytest.raises(WatchStopped):
            await watch
    assert isinstance(ledger.rows[1], OpenWatch)


@pytest.mark.looptime
async def test_watching_what_has_moved() -> None:
    """The watch resumes, and the new origin is on disk before the first poll there."""
    ledger = MemoryLedger()
    await left_open(ledger, 1)
    async with keeping(ledger, [RUNNING], **at(NEW), moved_from=OLD) as (watcher, transport):
        await watcher.record(ToyJob("job-0"))
        assert ledger.rows[1].origin == NEW
        assert ledger.named("relocate") == [1]
        await settle()
        assert len(transport.requests) == 1


@pytest.mark.looptime
async def test_a_new_place_that_cannot_be_written_down() -> None:
    """No job is polled there, and the row stays open."""
    ledger = MemoryLedger()
    await left_open(ledger, 1)
    ledger.failures["relocate"] = [LedgerFailed("jobs.ledger", "I/O error")] * 1_000
    async with keeping(ledger, [SUCCEEDED], **at(NEW), moved_from=OLD) as (watcher, transport):
        with pytest.raises(LedgerWriteFailed):
            await watcher.watch(ToyJob("job-0"))
        with pytest.raises(LedgerFailed):
            await watcher.resume()
        assert transport.requests == []
        ledger.failures["relocate"].clear()
        assert len(await watcher.resume()) == 1
        assert len(await acknowledged(watcher)) == 1


@pytest.mark.looptime
async def test_an_end_that_is_known_needs_no_origin() -> None:
    """It is reported and delivered without a request. Only an abandoned job is polled, at its new origin."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        await watcher.watch(ToyJob("over"))
        watch = watcher.watch(ToyJob("stopped"))
        watch.stop()
        with pytest.raises(WatchStopped):
            await watch
    async with keeping(ledger, [SUCCEEDED], **at(NEW)) as (watcher, transport):
        assert (await watcher.watch(ToyJob("over"))).state == "succeeded"
        assert transport.requests == []
        assert (await watcher.watch(ToyJob("stopped"))).state == "succeeded"
        assert [request.url.host for _, request in transport.requests] == ["new.example"]
        assert ledger.of(id="stopped").origin == NEW
        assert len(await acknowledged(watcher)) == 2


@pytest.mark.looptime
async def test_rows_without_an_origin_are_taken_up_anywhere() -> None:
    """Rows of an earlier release get an origin when they are resumed."""
    ledger = MemoryLedger()
    await left_open(ledger)
    for number, row in ledger.rows.items():
        ledger.rows[number] = attrs.evolve(row, origin=None)
    async with keeping(ledger, [RUNNING], **at(NEW)) as (watcher, _):
        await watcher.record(ToyJob("job-0"))
        assert ledger.rows[1].origin == NEW
        assert len(await watcher.resume()) == 3
    assert [row.origin for row in ledger.rows.values()] == [NEW] * 3


@pytest.mark.looptime
async def test_an_endpoint_with_several_origins() -> None:
    """Each job has its own origin. The rows that fit are resumed, and the error names the others."""
    ledger = MemoryLedger()
    names = ["job-0", "there-1", "there-2", "job-3"]
    async with keeping(ledger, [Hang()], **at(OLD)) as (watcher, _):
        await watcher.record_all(map(ToyJob, names))
    row = ledger.of(id="job-3")
    ledger.rows[row.id] = attrs.evolve(row, keys={"id": "there-3"})
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        with pytest.raises(OriginChanged) as caught:
            await watcher.resume()
        assert (caught.value.job, caught.value.recorded, caught.value.watches) == (ToyJob("there-3"), OLD, 1)
        assert len(await acknowledged(watcher)) == 3


@pytest.mark.looptime
async def test_an_endpoint_that_makes_no_request() -> None:
    """Its watch ends as it does without a ledger, and its row has no origin."""
    ledger = MemoryLedger()
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        with pytest.raises(Exception, match="KeyError"):
            await watcher.watch(ToyJob("nowhere"))
    assert ledger.of(id="nowhere").origin is None


# --- tokens -------------------------------------------------------------------------------------


async def token_of(**options: Any) -> str:
    async with keeping(None, [RUNNING], **options) as (watcher, _):
        return watcher.watch(ToyJob()).resume_token


@pytest.mark.looptime
async def test_a_token_of_another_account_is_refused() -> None:
    """The error has both names, or says that there is none."""
    for theirs, ours, why in (
        ("x", "y", "it is of the account 'x', not of 'y'"),
        ("x", "", "it is of the account 'x', not of an endpoint without one"),
        ("", "y", "it is of no account, not of 'y'"),
    ):
        async with keeping(None, [RUNNING], **at(OLD, ours)) as (watcher, _):
            with pytest.raises(TokenError, match=why):
                watcher.watch_from_token(await token_of(**at(OLD, theirs)))
            assert watcher.open_count == 0


@pytest.mark.looptime
@pytest.mark.parametrize("ledger", [None, MemoryLedger()])
async def test_a_token_of_another_origin_is_refused(ledger: MemoryLedger | None) -> None:
    """Unless the API has moved. The next token has the new origin."""
    token = await token_of(**at(OLD))
    async with keeping(ledger, [RUNNING], **at(NEW)) as (watcher, transport):
        with pytest.raises(OriginChanged) as caught:
            watcher.watch_from_token(token)
        assert (caught.value.recorded, caught.value.configured) == (OLD, NEW)
        await asyncio.sleep(1)
        assert (watcher.open_count, transport.requests) == (0, [])
    async with keeping(ledger, [RUNNING], **at(NEW), moved_from=[OLD]) as (watcher, _):
        watch = watcher.watch_from_token(token)
        assert read_token(PlacedToy(NEW), watch.resume_token).origin == NEW
        await asyncio.sleep(1)
    async with keeping(ledger, [SUCCEEDED], **at(OLD)) as (watcher, _):
        with pytest.raises(OriginChanged):
            watcher.watch_from_token(watch.resume_token)


@pytest.mark.looptime
@pytest.mark.parametrize("known", orjson.loads((SAMPLES / "tokens_version_1.json").read_bytes()))
async def test_tokens_of_earlier_releases_go_on(known: dict[str, Any]) -> None:
    """They have no account and no origin, so they are resumed at any."""
    kind: Any = DeleteFileEndpoint if known["endpoint"] == "document360" else ExtractionEndpoint
    endpoint = kind("https://anywhere.example")
    token = read_token(endpoint, known["token"])
    assert endpoint.codec.job_to_keys(token.job) == known["job"]
    assert (token.polls, token.failures, token.origin) == (known["polls"], known["failures"], None)
    assert (token.deadline_s is not None) is known["deadline"]
    options: dict[str, Any] = {"timeout_s": 60, "transport": ScriptedTransport([503])}
    async with controlled(JobWatcher(endpoint, **options), clock=lambda: NOON_S) as watcher:
        assert watcher.watch_from_token(known["token"]).job == token.job
    with pytest.raises(TokenError, match="it is of no account, not of 'acme'"):
        read_token(kind("https://anywhere.example", account="acme"), known["token"])


def test_what_an_endpoint_shows_of_its_account() -> None:
    """It has the account's name, and no credential."""
    endpoint = DeleteFileEndpoint("https://a.example", auth=ApiKeyAuth("s3cr3t-key"), account="acme")
    assert repr(endpoint) == "DeleteFileEndpoint('https://a.example', account='acme')"
    assert ToyEndpoint().account == ""
