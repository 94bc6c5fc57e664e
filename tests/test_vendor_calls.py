"""Each further job of the two vendors on a real socket: outcomes, results, starts, faults and rate limits."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import attrs
import pytest

from pollwise import (
    Abandoned,
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    Cancelled,
    Failed,
    JobWatcher,
    RateBudget,
    Retrying,
    Succeeded,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileOrder, projects, v3
from pollwise.endpoints.oracle_content.downloads import DownloadEndpoint, DownloadOrder
from pollwise.endpoints.oracle_content.management import (
    BulkOperationEndpoint,
    BulkOperationOrder,
    TaxonomyPublishEndpoint,
    TaxonomyPublishOrder,
)
from pollwise.errors import JobNotFound, MalformedReply, RateLimited, RequestRejected, UnknownOutcome
from pollwise.simulator import Fault, JobPlan, RateLimit, Simulator
from vendor_cases import CASES, Case

pytestmark = pytest.mark.looptime

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def endpoint_of(case: Case, sim: Simulator, **options: Any) -> Any:
    return type(case.endpoint)(sim.document360_url, **options)


def jobs_of(case: Case, *names: str) -> list[Any]:
    """Jobs of this case: its own with other IDs. A project or a folder stays."""
    keys = [field.name for field in attrs.fields(type(case.job))]
    return [attrs.evolve(case.job, **{keys[-1]: name}) for name in names]


def add(sim: Simulator, case: Case, job: Any, **options: Any) -> None:
    sim.add_job(case.name, *attrs.astuple(job), **options)


@EACH
async def test_every_outcome_is_reported(case: Case) -> None:
    """A success, a failure with the vendor's words, a cancellation, an end of unknown kind, and a job that there is not."""
    async with Simulator() as sim:
        jobs = jobs_of(case, "good", "bad", "stopped", "odd", "none")
        for job, outcome in zip(jobs, ("succeeded", "failed", "cancelled", "unknown"), strict=False):
            add(sim, case, job, outcome=outcome, duration_s=30, error="no space left")
        async with JobWatcher(endpoint_of(case, sim), timeout_s=900) as watcher:
            over = {outcome.job: outcome async for outcome in watcher.as_completed(jobs)}
    good, bad, stopped, odd, none = (over[job] for job in jobs)
    assert isinstance(good, Succeeded)
    assert isinstance(bad, Failed)
    assert "no space left" in str(bad.error)
    assert isinstance(stopped, Cancelled)
    assert isinstance(odd, Abandoned)
    assert isinstance(none, Abandoned)
    assert isinstance(none.error, JobNotFound | RequestRejected)
    if case.state == "progress" or "completed_at" in str(case.done):
        assert isinstance(odd.error, UnknownOutcome)  # another field says that it is over


@EACH
async def test_faults_of_the_server_change_no_outcome(case: Case) -> None:
    """A null, a missing field, a page, a reply about another job and an outage are polled again."""
    faults = (
        Fault.NULL_FIELD,
        Fault.MISSING_FIELD,
        Fault.HTML_PAGE,
        Fault.ANOTHER_JOB,
        Fault.NOT_MODIFIED,
        Fault.SERVER_ERROR,
    )
    async with Simulator() as sim:
        add(sim, case, case.job, duration_s=600, script=faults, starts_when_polled=True)
        async with JobWatcher(endpoint_of(case, sim), timeout_s=7_200) as watcher:
            events = [event async for event in watcher.watch(case.job)]
        assert sim.polls(case.name, *attrs.astuple(case.job)) > len(faults)
    assert isinstance(events[-1], Succeeded)
    assert any(isinstance(event, Retrying) and isinstance(event.error, MalformedReply) for event in events)


@pytest.mark.parametrize("name", ["document360-export", "document360-v3-export", "oracle-content-download"])
async def test_the_result_is_fetched(name: str, tmp_path: Path) -> None:
    """As bytes, and as a file."""
    (case,) = [case for case in CASES if case.name == name]
    async with Simulator(api_token="secret", bearer="secret") as sim:  # the simulator's own
        add(sim, case, case.job, duration_s=3, result=b"PK" * 5_000)
        auth = ApiKeyAuth("secret") if name == "document360-export" else BearerAuth("secret")
        async with JobWatcher(endpoint_of(case, sim, auth=auth), timeout_s=60) as watcher:
            watch = watcher.watch(case.job)
            assert await watch.result() == b"PK" * 5_000
            assert await watch.save_result(tmp_path / "it.zip", max_bytes=10**6) == 10_000
    assert (tmp_path / "it.zip").read_bytes() == b"PK" * 5_000


async def test_a_link_that_is_30_minutes_old_is_replaced() -> None:
    """A result that is fetched an hour after the end gets a fresh link."""
    (case,) = [case for case in CASES if case.name == "document360-v3-export"]
    async with Simulator() as sim:
        add(sim, case, case.job, duration_s=3, result=b"PK", link_valid_s=1_800)
        async with JobWatcher(endpoint_of(case, sim), timeout_s=7_200) as watcher:
            watch = watcher.watch(case.job)
            await watch
            polls = sim.polls(case.name, *attrs.astuple(case.job))
            await asyncio.sleep(3_600)
            assert await watch.result() == b"PK"
        assert sim.polls(case.name, *attrs.astuple(case.job)) == polls + 1


@pytest.mark.parametrize("strings", [False, True])
async def test_both_forms_of_a_download_are_the_same(strings: bool) -> None:
    """Real scalars and one link, or strings and a list of links."""
    (case,) = [case for case in CASES if case.name == "oracle-content-download"]
    async with Simulator() as sim:
        add(sim, case, case.job, duration_s=1, strings=strings)
        async with JobWatcher(endpoint_of(case, sim), timeout_s=60) as watcher:
            status = await watcher.watch(case.job)
    assert (status.completed, status.error_code, status.details.filesize, len(status.links)) == (True, 0, 22, 1)


STARTS = [
    (DeleteFileEndpoint, DeleteFileOrder(folder_id="F", file_id="X")),
    (projects.ExportV2Endpoint, projects.ExportV2Order()),
    (
        projects.ImportV2Endpoint,
        projects.ImportV2Order(source_documentation_url="https://x.example/a.zip", import_by="U"),
    ),
    (v3.ExportV3Endpoint, v3.ExportV3Order(project_id="p", format="pdf", workspace_id="w")),
    (
        v3.ImportV3Endpoint,
        v3.ImportV3Order(project_id="p", source_documentation_url="https://x.example/", import_by="U"),
    ),
    (DownloadEndpoint, DownloadOrder(folder_id="F", ids=("A", "B"))),
    (BulkOperationEndpoint, BulkOperationOrder(operation="publish", item_ids=("A",))),
    (TaxonomyPublishEndpoint, TaxonomyPublishOrder(taxonomy_id="T", channel_ids=("C",))),
]


@pytest.mark.parametrize(("kind", "order"), STARTS, ids=[kind.name for kind, _ in STARTS])
async def test_a_start_creates_a_job_that_can_be_watched(kind: Any, order: Any) -> None:
    """The reply names it. A second start is another job."""
    async with Simulator(started={kind.name: JobPlan(duration_s=7)} if kind is not DeleteFileEndpoint else None) as sim:
        endpoint = kind(sim.document360_url)
        async with JobWatcher(endpoint, timeout_s=60) as watcher:
            replies = [await watcher.transport.send(endpoint.submit_request(order, "key")) for _ in range(2)]
            jobs = [endpoint.read_submitted(order, reply) for reply in replies]
            outcomes = [outcome async for outcome in watcher.as_completed(jobs)]
        assert sim.requests.starts == len(sim.jobs) == 2
    assert [type(outcome) for outcome in outcomes] == [Succeeded, Succeeded]
    assert jobs[0] != jobs[1]


@pytest.mark.parametrize("kind", [kind for kind, _ in STARTS], ids=[kind.name for kind, _ in STARTS])
async def test_a_start_whose_reply_is_lost_says_what_to_do(kind: Any) -> None:
    """Each start has advice of its own, because none of them can be sent twice."""
    assert kind.submit_advice


async def test_limits_of_v3_count_a_token_and_a_project() -> None:
    """Two projects with a budget each are done in one window; the reset of a refusal is a Unix time."""
    limit = RateLimit(limit=5, per_s=60.0, headers="always", reset="epoch", retry_after="seconds")
    (case,) = [case for case in CASES if case.name == "document360-v3-drive-task"]
    async with Simulator(rate_limit=limit) as sim:
        began = asyncio.get_running_loop().time()
        for project in ("p1", "p2"):
            jobs = [v3.DriveTaskJob(project, str(number)) for number in range(5)]
            for job in jobs:
                add(sim, case, job, duration_s=0)
            budget = RateBudget(5, per_s=60.0)
            async with JobWatcher(endpoint_of(case, sim), timeout_s=600, budget=budget) as watcher:
                assert [type(over) async for over in watcher.as_completed(jobs)] == [Succeeded] * 5
        assert asyncio.get_running_loop().time() - began < 60.0
        assert sim.requests.refused == 0
        late = v3.DriveTaskJob("p2", "late")
        add(sim, case, late, duration_s=0)
        async with JobWatcher(endpoint_of(case, sim), timeout_s=600) as watcher:
            events = [event async for event in watcher.watch(late)]
    refused = [event.error for event in events if isinstance(event, Retrying)]
    assert isinstance(events[-1], Succeeded)
    assert isinstance(refused[0], RateLimited)


@EACH
async def test_the_simulator_wants_the_documented_credentials(case: Case) -> None:
    """`api_token` for v2, Bearer for v3, Basic or Bearer for Oracle. Others are refused in the call's own words."""
    async with Simulator(api_token="right", basic=("user", "right")) as sim:  # the simulator's own
        add(sim, case, case.job, duration_s=0)
        oracle = case.name.startswith("oracle")
        right = BasicAuth("user", "right") if oracle else (BearerAuth if "v3" in case.name else ApiKeyAuth)("right")
        async with JobWatcher(endpoint_of(case, sim, auth=right), timeout_s=60) as watcher:
            await watcher.watch(case.job)
        async with JobWatcher(endpoint_of(case, sim, auth=BearerAuth("wrong")), timeout_s=60) as watcher:
            events = [event async for event in watcher.watch(case.job)]
    over = events[-1]
    assert isinstance(over, Abandoned)
    assert over.error.problem.descriptions  # type: ignore[union-attr]


def test_an_unknown_call_is_told() -> None:
    """The error lists the calls."""
    with pytest.raises(ValueError, match="document360-v3-export"):
        Simulator().add_job("document360-v4-export", "p", "e")
    with pytest.raises(ValueError, match="with 1 keys"):
        Simulator().add_job("document360-v3-export", "e")
