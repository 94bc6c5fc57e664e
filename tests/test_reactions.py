"""What pollwise makes of a server that behaves oddly, on real sockets and in virtual time.

Faults of single replies are in `test_every_fault.py`, and odd fields in `test_odd_fields.py`.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from typing import Any

import aiohttp
import pytest

from pollwise import (
    Abandoned,
    AiohttpTransport,
    ClientCredentialsAuth,
    JobWatcher,
    Pacing,
    Progressed,
    RateBudget,
    Reading,
    Reply,
    Retrying,
    Succeeded,
)
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob, DeleteFileStatus
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import JobNotFound, MalformedReply, RateLimited, UnknownOutcome
from pollwise.simulator import (
    ABSENT,
    ODD,
    REFUSED,
    TRANSIENT,
    Fault,
    OAuthClient,
    ReplyOverride,
    Script,
    SimulatedReply,
    Simulator,
)

pytestmark = pytest.mark.looptime

VENDORS = ("document360", "oracle-content")
COMBINED = [Fault.BYTE_ORDER_MARK, Fault.OCTET_STREAM, Fault.ENCODED_UTF8, Fault.LARGE_COOKIE, Fault.CLOSED_AFTER]
_COSTLY = {Fault.HUGE_BODY, Fault.HUGE_CHUNKED, Fault.GZIP_BOMB, Fault.SLOW_DRIP}
_RIGHT_IN_THE_END = {Fault.JSON_AS_HTML, Fault.INVALID_UTF8}  # the reply is read all the same
OUTAGES = [fault.value for fault in TRANSIENT if fault not in _COSTLY | _RIGHT_IN_THE_END]
OUTAGES += [REFUSED, Fault.NOT_FOUND.value, Fault.NOT_MODIFIED.value]


def watching(sim: Simulator, vendor: str, *, timeout_s: float | None = 3600.0, **options: Any) -> JobWatcher[Any, Any]:
    if vendor == "document360":
        return JobWatcher(DeleteFileEndpoint(sim.document360_url), timeout_s=timeout_s, **options)
    return JobWatcher(ExtractionEndpoint(sim.oracle_content_url), timeout_s=timeout_s, **options)


def added(sim: Simulator, vendor: str, name: str = "J", **options: Any) -> Any:
    """A job of that vendor's, as pollwise names it."""
    if vendor == "document360":
        sim.add_delete(name, **options)
        return DeleteFileJob(name)
    sim.add_extraction("F", name, **options)
    return ExtractionJob("F", name)


async def events_of(sim: Simulator, vendor: str, *, watcher: Any = None, **options: Any) -> list[Any]:
    """The events of a watch over a job with these options."""
    job = added(sim, vendor, **options)
    async with watching(sim, vendor, **(watcher or {})) as found:
        return [event async for event in found.watch(job)]


# --- odd forms --------------------------------------------------------------------------------


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("odd", [*([form] for form in ODD), COMBINED], ids=lambda odd: "+".join(f.value for f in odd))
async def test_a_right_reply_in_an_odd_form_is_read(odd: list[Fault], vendor: str) -> None:
    """No poll is repeated because of the form, and the job's end is reported."""
    async with Simulator(odd=odd) as sim:
        events = await events_of(sim, vendor, duration_s=40.0)
    assert isinstance(events[-1], Succeeded)
    assert not [event for event in events if isinstance(event, Retrying)]


async def test_what_is_sent_again_over_another_connection_passes_the_budget() -> None:
    """Each request that the server sees has its leave, though every second one meets a closed connection."""
    async with Simulator(odd=[Fault.CLOSED_AT_NEXT]) as sim:
        jobs = [added(sim, "document360", f"J{n}", duration_s=8.0) for n in range(12)]
        options = {"budget": RateBudget(5, per_s=1.0), "pacing": Pacing.fixed(1.0)}
        async with watching(sim, "document360", **options) as watcher:
            outcomes = await watcher.gather(jobs)
        times = sorted(seen.at for seen in sim.requests.latest)
        stale = sim.requests.total - len(times)
    assert Counter(type(outcome) for outcome in outcomes) == {Succeeded: 12}
    assert stale > 5
    assert len(times) > 20
    assert all(later - at >= 0.99 for at, later in zip(times, times[5:], strict=False))


# --- outages ----------------------------------------------------------------------------------


@pytest.mark.parametrize(("kind", "vendor"), [(kind, VENDORS[n % 2]) for n, kind in enumerate(OUTAGES)])
async def test_an_outage_of_five_minutes_abandons_no_watch(kind: str, vendor: str) -> None:
    """Whatever every request meets meanwhile, a job that was seen is followed to its own end."""
    async with Simulator(seed=3) as sim:
        job = added(sim, vendor, duration_s=500.0)
        async with watching(sim, vendor) as watcher:
            watch = watcher.watch(job)
            await asyncio.sleep(60.0)
            async with sim.outage(kind):
                await asyncio.sleep(300.0)
            await watch
    assert isinstance(watch.outcome, Succeeded)


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_outage_that_changes_its_kind_abandons_no_watch(vendor: str) -> None:
    """Five minutes of refused connections, 404, 502, empty replies and pages, one after another."""
    async with Simulator(seed=3) as sim:
        jobs = [added(sim, vendor, f"J{n}", duration_s=700.0) for n in range(3)]
        async with watching(sim, vendor) as watcher:
            watching_all = asyncio.ensure_future(watcher.gather(jobs))
            await asyncio.sleep(100.0)
            for _ in range(4):
                for kind in (REFUSED, "not-found", "bad-gateway", "empty-body", "maintenance-page"):
                    async with sim.outage(kind):
                        await asyncio.sleep(15.0)
            outcomes = await watching_all
    assert Counter(type(outcome) for outcome in outcomes) == {Succeeded: 3}


async def test_a_new_job_survives_a_server_that_says_now_404_and_now_502() -> None:
    """While the server itself is in trouble, its 404 does not say that there is no such job."""
    script = [Fault.NOT_FOUND, Fault.BAD_GATEWAY] * 6
    async with Simulator() as sim:
        events = await events_of(sim, "document360", duration_s=1.0, script=script)
    assert isinstance(events[-1], Succeeded)


async def test_a_job_that_is_not_there_is_reported_within_its_grace() -> None:
    """A 404 and nothing else: half a minute, three polls, and no more."""
    async with Simulator() as sim, watching(sim, "document360") as watcher:
        events = [event async for event in watcher.watch(DeleteFileJob("no-such-task"))]
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, JobNotFound)
    assert 30.0 <= events[-1].elapsed_s <= 60.0


async def test_spurious_refusals_abandon_no_watch() -> None:
    """A server that sheds load by 429 without a word costs time, and no job."""
    async with Simulator(seed=4) as sim:
        jobs = [added(sim, "document360", f"J{n}", duration_s=20.0) for n in range(40)]
        sim.refuse(20, of=60)
        async with watching(sim, "document360", budget=RateBudget()) as watcher:
            outcomes = await watcher.gather(jobs)
    assert Counter(type(outcome) for outcome in outcomes) == {Succeeded: 40}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 503])
async def test_spurious_refusals_of_any_kind_are_passed_over(status: int) -> None:
    """Half of the first requests are refused without a header; each watch goes on."""
    async with Simulator(seed=4) as sim:
        jobs = [added(sim, "oracle-content", f"J{n}", duration_s=20.0) for n in range(10)]
        sim.refuse(10, of=20, status=status)
        async with watching(sim, "oracle-content", budget=RateBudget()) as watcher:
            outcomes = await watcher.gather(jobs)
    assert Counter(type(outcome) for outcome in outcomes) == {Succeeded: 10}


# --- what only looks over ---------------------------------------------------------------------


async def test_a_job_that_flaps_is_asked_no_oftener_than_any_other() -> None:
    """Looking failed and running by turns, in two states or in many, earns a job no share of the others' requests."""
    by_turns = [(4, 2, 5), (4, 4, 5, 5), (4, 5, 0), (4, 4, 2), (5, None, 4, 7)]
    async with Simulator() as sim:
        jobs = [added(sim, "document360", "steady", duration_s=1e6)]
        jobs += [added(sim, "document360", f"F{s}", duration_s=1e6, flap_s=s) for s in (0.0, 1.0, 7.0, 30.0)]
        for states in by_turns:
            by_state = [
                SimulatedReply.of_json({"task_status": {"is_complete": False, "status": state}}) for state in states
            ]
            jobs.append(added(sim, "document360", f"S{states}", duration_s=1e6, script=by_state * 300))
        async with watching(sim, "document360", budget=RateBudget()) as watcher:
            outcomes = await watcher.gather(jobs)
        polls = {keys[0]: job.polls for keys, job in sim.jobs.items()}
    assert {type(outcome) for outcome in outcomes} == {Abandoned}
    assert {name: count for name, count in polls.items() if count > 1.2 * polls["steady"]} == {}


@pytest.mark.parametrize("for_s", [3.0, 30.0, 50.0])
@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_job_that_looks_failed_for_a_moment_succeeds(vendor: str, for_s: float) -> None:
    """A server that tries again by itself shows a failure between two attempts; the job's own end counts."""
    async with Simulator() as sim:
        events = await events_of(sim, vendor, duration_s=200.0, looks_failed_at_s=20.0, looks_failed_for_s=for_s)
    assert isinstance(events[-1], Succeeded)
    assert events[-1].elapsed_s >= 200.0


@pytest.mark.parametrize("vendor", VENDORS)
async def test_an_end_of_unknown_kind_is_no_success(vendor: str) -> None:
    """The watch says that the job is over, and in which words, and calls it neither success nor failure."""
    async with Simulator() as sim:
        events = await events_of(sim, vendor, duration_s=30.0, outcome="unknown")
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, UnknownOutcome)
    assert events[-1].status is not None


# --- whose reply it is ------------------------------------------------------------------------


@pytest.mark.parametrize("received", ["another", "T-", "-T-1", "T-1x", "0", 17, "T-2"])
@pytest.mark.parametrize("state", [3, 4, 2])
async def test_a_reply_about_another_task_is_never_believed(received: object, state: int) -> None:
    """Neither its success nor its failure is this task's. The next reply decides."""
    wrong = {"task_status": {"task_id": received, "is_complete": True, "status": state}, "success": True}
    job = "T-1" if received != 17 else "18"
    async with Simulator() as sim:
        sim.add_delete(job, duration_s=5.0, script=[SimulatedReply.of_json(wrong)] * 3)
        async with watching(sim, "document360") as watcher:
            events = [event async for event in watcher.watch(DeleteFileJob(job))]
    assert isinstance(events[-1], Succeeded)
    assert isinstance(events[0], Retrying)
    assert isinstance(events[0].error, MalformedReply)


async def test_a_server_that_only_speaks_of_another_task_is_given_up() -> None:
    """Ten minutes of replies about another job: abandoned, never succeeded."""
    async with Simulator() as sim:
        events = await events_of(sim, "document360", duration_s=1.0, script=[Fault.ANOTHER_JOB] * 100)
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error.__cause__, MalformedReply)


# --- throttled in the body --------------------------------------------------------------------


class _Throttling(DeleteFileEndpoint):
    """Takes the vendor's error document about its rate limit for a rate limit, under any status code."""

    def read_for(self, job: DeleteFileJob, reply: Reply, /) -> Reading[DeleteFileStatus]:
        problem = self.problem(reply)
        if problem is not None and b"task_status" not in reply.body:
            raise RateLimited(None, problem)
        return super().read_for(job, reply)


async def test_a_throttle_inside_a_200_is_a_rate_limit() -> None:
    """Where an endpoint reads it, no outage begins, however long the server goes on with it."""
    async with Simulator() as sim:
        sim.add_delete("J", duration_s=1.0, script=[Fault.THROTTLED_IN_200] * 60)
        watcher = JobWatcher(_Throttling(sim.document360_url), timeout_s=None, budget=RateBudget())
        async with watcher:
            outcome = await watcher.watch(DeleteFileJob("J"))
        assert outcome.task_status.is_complete
        assert sim.polls("J") == 61
        assert asyncio.get_running_loop().time() > 600.0


# --- caches -----------------------------------------------------------------------------------


async def test_a_cache_on_the_way_never_answers_a_poll() -> None:
    """Each poll says that it wants the server's own answer."""
    async with Simulator(cache_s=600.0) as sim:
        events = await events_of(sim, "document360", duration_s=30.0)
        assert sim.requests.cached == 0
    assert isinstance(events[-1], Succeeded)
    assert events[-1].elapsed_s < 60.0


async def test_a_cache_that_is_let_answer_delays_the_end() -> None:
    """Whose own session asks caches for anything gets what they have: the header is theirs to send."""
    async with Simulator(cache_s=300.0) as sim, aiohttp.ClientSession(headers={"Cache-Control": "max-age=600"}) as own:
        events = await events_of(sim, "document360", duration_s=30.0, watcher={"transport": AiohttpTransport(own)})
        assert sim.requests.cached > 0
    assert isinstance(events[-1], Succeeded)
    assert events[-1].elapsed_s >= 300.0


# --- credentials ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "client",
    [
        {"expires_in": 3600.0},
        {"expires_in": "3600"},
        {"expires_in": "3600.0"},
        {"expires_in": ""},
        {"expires_in": 0},
        {"expires_in": -1},
        {"expires_in": "never"},
        {"expires_in": [3600]},
        {"expires_in": 10**30},
        {"expires_in": ABSENT},
        {"token_type": "bearer"},
        {"token_type": "BEARER "},
        {"token_type": "BearerToken"},
        {"token_type": ABSENT},
        {"script": ["server-error", "bad-gateway", "empty-body", "html-page", "broken-json", "closed"]},
        {"script": ["not-an-object", "unavailable", "too-many-requests", "gateway-timeout", "no-content"]},
        {"script": ["text-json", "plain-text"]},
        {"script": ["byte-order-mark"]},
        {"script": ["no-content-type"]},
        {"script": ["encoded-utf8"]},
        {"script": ["large-cookie", "many-fields"]},
        {"script": ["invalid-utf8"]},
        {"script": [ReplyOverride({"Retry-After": "3"}, 429), ReplyOverride({"Retry-After": "3"}, 403)]},
    ],
    ids=str,
)
async def test_an_odd_token_endpoint_costs_no_watch(client: dict[str, Any]) -> None:
    """A token that can be read is used, and what passes by itself is waited for."""
    oauth = OAuthClient(client_id="id", client_secret="s3cret-of-a-test", **client)
    async with Simulator(oauth=oauth) as sim:
        sim.add_extraction("F", "J", duration_s=60.0)
        auth = ClientCredentialsAuth(sim.token_url, "id", "s3cret-of-a-test", "urn:opc:cec:all")
        async with JobWatcher(ExtractionEndpoint(sim.oracle_content_url, auth=auth), timeout_s=3600) as watcher:
            [outcome] = await watcher.gather([ExtractionJob("F", "J")])
        assert sim.requests.tokens <= 1 + len(client.get("script", ()))
    assert isinstance(outcome, Succeeded)


# --- hints on any reply -----------------------------------------------------------------------


async def gap_after(script: Script, **options: Any) -> tuple[float, Any]:
    """Seconds from the first poll to the second, and the outcome."""
    async with Simulator() as sim:
        events = await events_of(sim, "document360", duration_s=1e6, script=script, watcher=options)
        times = [seen.at for seen in sim.requests.latest]
    return times[1] - times[0], events[-1]


ANY_STATUS = [200, 202, 203, 404, 403, 400, 402, 409, 420, 422, 423, 429, 500, 502, 503]


@pytest.mark.parametrize(
    ("status", "name", "value"),
    [
        *((status, "Retry-After", "50") for status in ANY_STATUS),
        *((status, "retry-after-ms", "50000") for status in (200, 404, 429)),
        *((status, "X-MS-Retry-After-Ms", "50000") for status in (202, 403, 503)),
    ],
)
async def test_a_hint_is_obeyed_on_any_reply(status: int, name: str, value: str) -> None:
    """Not before the time that the server says, and not long after it."""
    gap_s, _ = await gap_after([ReplyOverride({name: value}, status)], timeout_s=200.0)
    assert 50.0 <= gap_s <= 60.0


@pytest.mark.parametrize("status", [200, 202, 404, 403, 400, 429, 503])
async def test_no_hint_holds_a_watch_for_longer_than_is_believed(status: int) -> None:
    """Ten days are not believed: one poll asks after `longest_hint_s`."""
    gap_s, _ = await gap_after(
        [ReplyOverride({"Retry-After": "864000"}, status)], timeout_s=500.0, longest_hint_s=300.0
    )
    assert 60.0 <= gap_s <= 370.0


@pytest.mark.parametrize("status", [200, 429, 403])
async def test_no_reset_holds_a_token_for_longer_than_is_believed(status: int) -> None:
    """Milliseconds where seconds are meant: sixteen hours are not believed, whatever reply says so."""
    lie = ReplyOverride({"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60000"}, status)
    gap_s, _ = await gap_after([lie], timeout_s=500.0, longest_hint_s=300.0)
    assert gap_s <= 370.0


HINTS_OF_NOTHING = ("0", "-1", "Wed, 21 Oct 2015 07:28:00 GMT", "nan", "1e9", "soon", "", "0x10", "9" * 400)


@pytest.mark.parametrize("status", [200, 404, 403, 400, 429, 503])
async def test_a_hint_of_nothing_makes_no_hot_loop(status: int) -> None:
    """Our own wait is the floor: no more polls than other watches have."""
    async with Simulator() as sim:
        jobs = [
            added(
                sim, "document360", f"J{n}", duration_s=1e6, script=[ReplyOverride({"Retry-After": hint}, status)] * 30
            )
            for n, hint in enumerate(HINTS_OF_NOTHING)
        ]
        async with watching(sim, "document360", timeout_s=20.0, budget=RateBudget()) as watcher:
            await watcher.gather(jobs)
        assert max(job.polls for job in sim.jobs.values()) <= 20


@pytest.mark.parametrize("vendor", VENDORS)
async def test_a_flood_of_304_is_a_job_that_goes_on(vendor: str) -> None:
    """After a good reading each is "unchanged"; the end is seen when the server shows it."""
    script = [None, *[Fault.NOT_MODIFIED] * 10]
    async with Simulator() as sim:
        events = await events_of(sim, vendor, duration_s=1.0, script=script)
        assert [job.polls for job in sim.jobs.values()] == [12]
    assert [type(event) for event in events] == [Progressed, Succeeded]
