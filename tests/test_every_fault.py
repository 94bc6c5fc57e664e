"""The whole SDK on real sockets: every fault of HTTP, and still the true outcome of every job."""

from __future__ import annotations

import asyncio
import gc
from pathlib import Path

import orjson
import pytest

from pollwise import (
    Abandoned,
    AiohttpTransport,
    ApiKeyAuth,
    BearerAuth,
    Cancelled,
    ClientCredentialsAuth,
    DeadlineExceeded,
    Failed,
    JobWatcher,
    Limits,
    Pacing,
    Progressed,
    RateBudget,
    Retry,
    Retrying,
    Succeeded,
    Throttled,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionStatus
from pollwise.errors import ConnectFailed, JobNotFound, MalformedReply, PollError, ServerUnavailable
from pollwise.simulator import TRANSIENT, Fault, Faults, OAuthClient, RateLimit, SimulatedReply, Simulator
from raw_server import Line, raw_server, reply

BRISK = Pacing(min_s=0.02, max_s=0.2)
PATIENT = Retry(outage_s=1e-9, min_failures=30, base_s=0.01, max_s=0.05)
SAMPLES = Path(__file__).parent / "samples" / "document360"
TASK = orjson.loads(SAMPLES.joinpath("complete.json").read_bytes())["task_status"]["task_id"]
KINDS = {Succeeded: "succeeded", Failed: "failed", Cancelled: "cancelled"}


def as_json(body: bytes, status: int = 200) -> SimulatedReply:
    return SimulatedReply(status, body, {"Content-Type": "application/json"})


def brisk(
    endpoint: ExtractionEndpoint, *, request_timeout_s: float = 20.0
) -> JobWatcher[ExtractionJob, ExtractionStatus]:
    return JobWatcher(
        endpoint, timeout_s=60, pacing=BRISK, retry=PATIENT, limits=Limits(request_timeout_s=request_timeout_s)
    )


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("101 Switching Protocols", MalformedReply),
        ("101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c", MalformedReply),
        ("099 Odd", MalformedReply),
        ("000 Odd", MalformedReply),
        ("304 Not Modified", MalformedReply),
        ("600 Odd", ServerUnavailable),
        ("999 Request Denied", ServerUnavailable),
        ("100 Continue", PollError),  # aiohttp waits for the reply after it, and no valid one comes
        ("1000 Odd", ConnectFailed),
        ("-01 Odd", ConnectFailed),
    ],
)
async def test_a_code_that_is_no_refusal_is_a_failed_poll(line: str, kind: type[PollError]) -> None:
    """It is described as what it is, and the next reply decides."""
    good = reply(SAMPLES.joinpath("complete.json").read_bytes())
    answers = [reply(b"" if line.startswith("304") else b"{}", status=line)]

    def answer(connection: Line) -> None:
        connection.say(answers.pop() if answers else good)

    async with raw_server(answer) as server:
        endpoint = DeleteFileEndpoint(server.url)
        async with JobWatcher(endpoint, timeout_s=20, pacing=BRISK, retry=PATIENT) as watcher:
            failed, *_, over = [event async for event in watcher.watch(DeleteFileJob(TASK))]
    assert isinstance(failed, Retrying)
    assert isinstance(failed.error, kind)
    assert isinstance(over, Succeeded)


@pytest.mark.parametrize("fault", sorted(TRANSIENT, key=lambda fault: fault.value), ids=lambda fault: fault.value)
async def test_a_fault_is_survived(fault: Fault) -> None:
    """After any faulty reply, the next one gives the true outcome."""
    async with Simulator(seed=1, faults=Faults(retry_after_s=0)) as sim:
        sim.add_extraction("F", "J", duration_s=0.0, script=[fault, fault])
        patience_s = 0.3 if fault in {Fault.HANG, Fault.SLOW_DRIP} else 20.0
        async with brisk(ExtractionEndpoint(sim.oracle_content_url), request_timeout_s=patience_s) as watcher:
            watch = watcher.watch(ExtractionJob("F", "J"))
            events = [event async for event in watch]
    assert isinstance(events[-1], Succeeded)
    # a refusal pauses the whole token for a moment, whatever its Retry-After
    refusals = {Fault.TOO_MANY_REQUESTS, Fault.BARE_TOO_MANY_REQUESTS}
    allowed = (Retrying, Progressed, Throttled) if fault in refusals else (Retrying, Progressed)
    assert all(isinstance(event, allowed) for event in events[:-1])


async def test_five_hundred_watches_among_faults_tell_the_truth_once() -> None:
    """A fifth of all replies is faulty. Every job has its true outcome exactly once, and none is abandoned."""
    async with Simulator(seed=5, faults=Faults(rate=0.2, retry_after_s=0)) as sim:
        jobs = sim.populate(document360=250, oracle_content=250, duration_s=(0.0, 1.0))
        truth = {job.keys: str(job.outcome) for job in jobs}
        deletes = [DeleteFileJob(*keys) for keys in truth if len(keys) == 1]
        extractions = [ExtractionJob(*keys) for keys in truth if len(keys) == 2]
        budget = RateBudget(100_000, per_s=1.0)
        async with (
            AiohttpTransport(connections=64) as transport,
            JobWatcher(
                DeleteFileEndpoint(sim.document360_url),
                timeout_s=60,
                pacing=BRISK,
                retry=PATIENT,
                transport=transport,
                budget=budget,
            ) as deleting,
            JobWatcher(
                ExtractionEndpoint(sim.oracle_content_url),
                timeout_s=60,
                pacing=BRISK,
                retry=PATIENT,
                transport=transport,
            ) as extracting,
        ):
            ends = [
                ((done.job.task_id,), KINDS.get(type(done), repr(done)))  # type: ignore[call-overload]
                async for done in deleting.as_completed(deletes)
            ] + [
                ((done.job.file_id, done.job.job_id), KINDS.get(type(done), repr(done)))  # type: ignore[call-overload]
                async for done in extracting.as_completed(extractions)
            ]
    assert len(ends) == 500
    assert dict(ends) == truth


@pytest.mark.parametrize("fault", [Fault.HANG, Fault.SLOW_DRIP])
async def test_a_server_that_hangs_for_ever_delays_no_deadline(fault: Fault) -> None:
    """The deadline cancels a request in flight within 0.1 s."""
    async with Simulator(faults=Faults(drip_every_s=0.5)) as sim:
        sim.add_extraction("F", "J", duration_s=60, script=[fault] * 50)
        watcher = JobWatcher(ExtractionEndpoint(sim.oracle_content_url), timeout_s=0.6)
        async with watcher:
            begun = asyncio.get_running_loop().time()
            outcome = [event async for event in watcher.watch(ExtractionJob("F", "J"))][-1]
            took = asyncio.get_running_loop().time() - begun
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, DeadlineExceeded)
    assert 0.55 <= took <= 0.7


async def test_the_documented_payloads_have_their_documented_meaning(samples: Path) -> None:
    """The vendors' own examples, served by a real server, are read as documented."""
    oracle = {path.stem: path.read_bytes() for path in (samples / "oracle_content").glob("*.json")}
    deletion = (samples / "document360" / "complete.json").read_bytes()
    async with Simulator() as sim:
        for name in ("succeeded", "succeeded_all_skipped"):
            sim.add_extraction("F", name, script=[as_json(oracle["processing"]), as_json(oracle[name])])
        sim.add_extraction("F", "foreign", script=[as_json(oracle["job_not_valid_400"], 400)])
        sim.add_delete("T", script=[as_json(deletion)])
        async with brisk(ExtractionEndpoint(sim.oracle_content_url)) as watcher:
            first = [event async for event in watcher.watch(ExtractionJob("F", "succeeded"))]
            skipped = await watcher.watch(ExtractionJob("F", "succeeded_all_skipped"))
            with pytest.raises(JobNotFound) as caught:
                await watcher.watch(ExtractionJob("F", "foreign"))
        async with JobWatcher(DeleteFileEndpoint(sim.document360_url), timeout_s=5) as deleting:
            deleted = [event async for event in deleting.watch(DeleteFileJob("T"))]
    assert isinstance(first[0], Progressed)
    assert first[0].fraction == 0.25
    assert isinstance(first[-1], Succeeded)
    assert [item.id for item in skipped.skipped_items] == ["exif-xmp.jpg", "Mugs.jpg", "Mugs.png"]
    assert skipped.skipped_any
    assert caught.value.problem is not None
    assert caught.value.problem.codes == ("-96",)
    assert caught.value.problem.key == "!csCloudBulkExtractionRequestJobNotValid"
    assert isinstance(deleted[-1], Succeeded)
    assert deleted[-1].status.task_status is not None
    assert deleted[-1].status.task_status.status == 2


async def test_expired_tokens_are_renewed_once_for_all() -> None:
    """A hundred watches get a 401. One new token is fetched, and all go on."""
    client = OAuthClient(client_id="id", client_secret="s3cret-of-a-test", scope="scope")
    async with Simulator(oauth=client, seed=2) as sim:
        jobs = [sim.add_extraction("F", f"J{n}", duration_s=0.4) for n in range(100)]
        auth = ClientCredentialsAuth(sim.token_url, "id", "s3cret-of-a-test", "scope")
        async with brisk(ExtractionEndpoint(sim.oracle_content_url, auth=auth)) as watcher:
            waiting = asyncio.ensure_future(watcher.gather(ExtractionJob(*job.keys) for job in jobs))
            async with asyncio.timeout(30):
                await sim.requests.until(lambda log: log.total >= 60)
            sim.revoke()
            outcomes = await waiting
    assert [type(outcome) for outcome in outcomes] == [Succeeded] * 100
    assert sim.requests.tokens == 2


async def test_a_rate_limit_is_never_hit_when_it_is_known() -> None:
    """Sixty watches with a small budget: no request gets a 429."""
    limit = RateLimit(limit=40, per_s=0.5, window="sliding", fractional=True)
    async with Simulator(api_token="t0ken-of-a-test", rate_limit=limit) as sim:
        jobs = [sim.add_delete(f"T{n}", duration_s=0.5) for n in range(60)]
        endpoint = DeleteFileEndpoint(sim.document360_url, auth=ApiKeyAuth("t0ken-of-a-test"))
        watcher = JobWatcher(endpoint, timeout_s=30, pacing=BRISK, budget=RateBudget(40, per_s=0.5))
        async with watcher:
            outcomes = await watcher.gather(DeleteFileJob(*job.keys) for job in jobs)
    assert [type(outcome) for outcome in outcomes] == [Succeeded] * 60
    assert sim.requests.refused == 0


async def test_the_secret_is_nowhere(caplog: pytest.LogCaptureFixture) -> None:
    """No log, exception, repr or event has it, even if the server repeats it."""
    caplog.set_level(0)
    secret = "hushhush"
    async with Simulator() as sim:
        echo = as_json(orjson.dumps({"you sent": f"Bearer {secret}"}))
        sim.add_extraction("F", "J", script=[echo] * 5)
        sim.add_extraction("F", "K", script=[as_json(orjson.dumps({"title": f"bad {secret}"}), 401)] * 5)
        wordy = {"errorCode": secret, "errorKey": f"!{secret}", "errorMessage": f"bad token {secret}", "title": secret}
        sim.add_extraction("F", "L", script=[as_json(orjson.dumps(wordy), 400)] * 5)
        failed = {"progress": "FAILED", "completed": "true", "completedPercentage": "9", "message": f"bad {secret}"}
        sim.add_extraction("F", "M", script=[as_json(orjson.dumps(failed))] * 5)
        endpoint = ExtractionEndpoint(sim.oracle_content_url, auth=BearerAuth(secret))
        watcher = JobWatcher(endpoint, timeout_s=5, retry=Retry(outage_s=1e-9, min_failures=3, base_s=0.01))
        async with watcher:
            seen = [event async for event in watcher.watch(ExtractionJob("F", "J"))]
            seen += [event async for event in watcher.watch(ExtractionJob("F", "K"))]
            seen += [event async for event in watcher.watch(ExtractionJob("F", "L"))]
            seen += [event async for event in watcher.watch(ExtractionJob("F", "M"))]
    assert [type(event) for event in seen if not isinstance(event, Retrying)] == [
        Abandoned,
        Abandoned,
        Abandoned,
        Failed,
    ]
    text = "".join(map(repr, [*seen, endpoint, endpoint.auth, watcher]))
    text += "".join(str(event.error) for event in seen if isinstance(event, (Retrying, Abandoned, Failed)))
    assert secret not in text
    assert secret not in caplog.text


async def test_nothing_is_left_when_the_watcher_is_left_in_the_middle() -> None:
    """An exception in the block, with requests in flight: no task, no connection, no warning."""
    async with Simulator() as sim:
        for n in range(30):
            sim.add_extraction("F", f"J{n}", duration_s=60, script=[Fault.HANG] if n % 2 else [])
        before = asyncio.all_tasks()

        async def leave_early() -> None:
            async with brisk(ExtractionEndpoint(sim.oracle_content_url)) as watcher:
                for n in range(30):
                    watcher.watch(ExtractionJob("F", f"J{n}"))
                async with asyncio.timeout(30):
                    await sim.requests.until(lambda log: log.total >= 30)
                raise ZeroDivisionError

        with pytest.raises(ZeroDivisionError):
            await leave_early()
        assert {task for task in asyncio.all_tasks() - before if "pollwise" in task.get_name()} == set()
    gc.collect()
