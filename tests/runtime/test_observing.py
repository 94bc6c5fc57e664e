"""What an observer is told, and that it harms nothing."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

import pytest
from yarl import URL

from kept_toy import KeptToyEndpoint, MemoryLedger, ToyCodec, keeping
from pollwise.errors import ConfigurationError, ConnectFailed, LedgerWriteFailed, MalformedReply, ServerUnavailable
from pollwise.ledger import LedgerFull, OpenWatch
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.messages import Reply, Request
from pollwise.model.observer import Observer, RequestEnd, WatchEnd, WatchStart
from pollwise.model.submitting import Submitted
from pollwise.runtime.observing import safe_url
from pollwise.testing import Slow, reply
from pollwise.watcher import JobWatcher
from submitting import DONE, Presses, Starting, Vendor, said, serving
from toy import FAILED, RUNNING, SUCCEEDED, ToyAuth, ToyEndpoint, ToyJob, events_of, watching

pytestmark = pytest.mark.looptime

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


class Diary(Observer):
    """Keeps what it is told."""

    def __init__(self, trace: str | None = None) -> None:
        self.trace = trace
        self.starts: list[WatchStart] = []
        self.ends: list[WatchEnd] = []
        self.requests: list[RequestEnd] = []

    def on_start(self, watch: WatchStart, /) -> str | None:
        self.starts.append(watch)
        return self.trace

    def on_outcome(self, watch: WatchEnd, /) -> None:
        self.ends.append(watch)

    def on_request(self, request: RequestEnd, /) -> None:
        self.requests.append(request)


class Broken(Observer):
    """Raises, whatever it is told."""

    def on_start(self, watch: WatchStart, /) -> str | None:
        raise RuntimeError("start")

    def on_outcome(self, watch: WatchEnd, /) -> None:
        raise RuntimeError("outcome")

    def on_request(self, request: RequestEnd, /) -> None:
        raise RuntimeError("request")


class Telling(Presses):
    """The reply to a start has the state of the job, too."""

    def read_submitted(self, order: str, reply: Reply, /) -> Submitted[ToyJob]:
        return Submitted(ToyJob("7"), reading=self.read(reply))


OVER = said("200 OK", b'{"id": "7", "state": "succeeded"}')
RUNS = said("202 Accepted", b'{"id": "7", "state": "running"}')


async def test_an_observer_is_told_of_beginning_requests_and_outcome() -> None:
    """In this order, and with the facts of each."""
    diary = Diary()
    async with watching([Slow(RUNNING, 0.25), 503, FAILED], observer=diary, clock=lambda: 1e9) as (watcher, _):
        await events_of(watcher.watch(ToyJob()))
    assert diary.starts == [WatchStart(endpoint="toy", account="", job=ToyJob())]
    assert [(one.http_status, one.polls, type(one.error)) for one in diary.requests] == [
        (200, 1, type(None)),
        (503, 2, ServerUnavailable),
        (200, 3, type(None)),
    ]
    first = diary.requests[0]
    assert (first.method, first.url) == ("GET", "https://toy.example/a")
    assert first.duration_s == pytest.approx(0.25, abs=0.05)
    (end,) = diary.ends
    assert isinstance(end.outcome, Failed)
    assert (end.ended_at, end.goes_on, end.traceparent) == (1e9, False, None)


async def test_a_request_without_a_reply_is_described_too() -> None:
    """With its URL and its error."""
    diary = Diary()
    async with watching([ConnectFailed("x"), reply("odd"), SUCCEEDED], observer=diary) as (watcher, _):
        await watcher.watch(ToyJob())
    assert [(one.http_status, one.url, type(one.error)) for one in diary.requests] == [
        (None, "https://toy.example/a", ConnectFailed),
        (200, "https://toy.example/a", MalformedReply),
        (200, "https://toy.example/a", type(None)),
    ]


async def test_a_renewal_of_credentials_is_no_request_about_a_job() -> None:
    """The refused request is one, with the refusal."""
    diary = Diary()
    async with watching([401, SUCCEEDED], auth=ToyAuth(), observer=diary) as (watcher, _):
        await watcher.watch(ToyJob())
    assert [(one.http_status, type(one.error).__name__) for one in diary.requests] == [
        (401, "AuthenticationError"),
        (200, "NoneType"),
    ]


async def test_an_observer_that_raises_harms_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    """The watch goes on, and the error of each method is logged once."""
    async with watching([RUNNING, SUCCEEDED], observer=Broken()) as (watcher, _):
        for _n in range(2):
            await watcher.watch(ToyJob())
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.ERROR]
    assert sorted(said) == [
        f"toy: {name} of the observer raised RuntimeError; this is logged once"
        for name in ("on_outcome", "on_request", "on_start")
    ]


async def test_a_job_that_cannot_be_shown_harms_no_watch(caplog: pytest.LogCaptureFixture) -> None:
    """The log goes without its line."""

    class Shy(ToyJob):
        def __repr__(self) -> str:
            raise RuntimeError("no")

    caplog.set_level(logging.DEBUG, "pollwise.runtime.observing")
    async with watching([RUNNING, SUCCEEDED]) as (watcher, _):
        assert (await watcher.watch(Shy())).state == "succeeded"


async def test_what_no_observer_is_raises_at_once() -> None:
    """The error says what to pass."""
    with pytest.raises(
        ConfigurationError, match=r"observer must be an object such as .* derives from pollwise.telemetry.Observer"
    ):
        JobWatcher(ToyEndpoint(), timeout_s=1.0, observer=print)  # type: ignore[arg-type]


async def test_a_traceparent_stays_with_its_watch() -> None:
    """What `on_start` returns comes back with the outcome. Anything else than a traceparent is ignored."""
    for trace, kept in ((TRACE, TRACE), ("garbage", None)):
        diary = Diary(trace)
        async with watching([RUNNING, SUCCEEDED], observer=diary) as (watcher, _):
            await watcher.watch(ToyJob())
        assert diary.ends[0].traceparent == kept


async def test_a_resume_token_carries_the_traceparent() -> None:
    """Another process knows which code began the watch, and keeps that."""
    async with watching([RUNNING], observer=Diary(TRACE), endpoint=KeptToyEndpoint()) as (watcher, _):
        token = watcher.watch(ToyJob()).resume_token
    later = Diary(TRACE.replace("b7", "c8"))
    async with watching([SUCCEEDED], observer=later, endpoint=KeptToyEndpoint()) as (watcher, _):
        await watcher.watch_from_token(token)
    assert later.starts == [WatchStart(endpoint="toy", account="", job=ToyJob(), resumed=True, traceparent=TRACE)]
    assert later.ends[0].traceparent == TRACE


async def test_a_ledger_carries_the_traceparent() -> None:
    """From the first moment on: a watch that was never polled has it, too."""
    ledger, first = MemoryLedger(), Diary(TRACE)
    async with keeping(ledger, [RUNNING], observer=first) as (watcher, _):
        await watcher.record(ToyJob())
    assert [(end.goes_on, type(end.outcome)) for end in first.ends] == [(True, Abandoned)]
    for resume in (True, False):
        diary = Diary()
        async with keeping(ledger, [RUNNING], observer=diary) as (watcher, _):
            if resume:
                await watcher.resume()
            else:
                await watcher.record(ToyJob())
            await asyncio.sleep(1.5)
        assert diary.ends[0].traceparent == TRACE
        assert [start.resumed for start in diary.starts] == [resume]
    last = Diary()
    async with keeping(ledger, [SUCCEEDED], observer=last) as (watcher, _):
        await watcher.resume()
        await watcher.watch(ToyJob())
        stats = watcher.stats()
    assert [(end.goes_on, type(end.outcome)) for end in last.ends] == [(False, Succeeded)]
    assert (stats.started, stats.resumed) == (0, 1)


async def test_a_watch_that_cannot_begin_is_not_told() -> None:
    """Nor is it counted: the caller gets the error."""

    class Keyless(ToyCodec):
        def job_to_keys(self, _job: ToyJob, /) -> Any:
            return {"id": 7}

    diary = Diary(TRACE)
    async with keeping(MemoryLedger(), [RUNNING], endpoint=KeptToyEndpoint(codec=Keyless()), observer=diary) as (
        watcher,
        _,
    ):
        with pytest.raises(ConfigurationError, match="text to text"):
            watcher.watch(ToyJob())
        stats = watcher.stats()
    assert (diary.starts, stats.started, stats.watches) == ([], 0, {})


@pytest.mark.parametrize("kept", [False, True], ids=["without ledger", "with ledger"])
async def test_a_job_that_was_over_at_once_has_a_beginning_and_an_outcome(kept: bool) -> None:
    """It is told and counted as any other watch, and its start is no poll."""
    diary, ledger = Diary(TRACE), MemoryLedger() if kept else None
    async with Starting(Vendor(OVER), kind=Telling, ledger=ledger, observer=diary) as watcher:
        await watcher.submit("print")
        stats = watcher.stats()
    assert diary.starts == [WatchStart(endpoint="toy", account="", job=ToyJob("7"))]
    assert [(end.outcome.job, end.goes_on, end.traceparent) for end in diary.ends] == [(ToyJob("7"), False, TRACE)]
    assert (stats.started, stats.outcomes, stats.watches) == (1, {("succeeded", None): 1}, {})
    assert (stats.jobs["succeeded"].count, stats.detection_delay.count) == (1, 0)
    assert (sum(stats.polls.values()), stats.calls["read"]) == (0, 1)


@pytest.mark.parametrize("kept", [False, True], ids=["without ledger", "with ledger"])
async def test_a_job_that_goes_on_after_its_first_reading_is_told_once(kept: bool) -> None:
    """Its traceparent is on disk with its first status."""
    diary, ledger = Diary(TRACE), MemoryLedger() if kept else None
    async with Starting(Vendor(RUNS, status=DONE), kind=Telling, ledger=ledger, observer=diary) as watcher:
        watch = await watcher.submit("print")
        if ledger is not None:
            await asyncio.sleep(1.0)
            row = ledger.of(id="7")
            assert isinstance(row, OpenWatch)
            assert (row.polls, b"traceparent" in (row.cursor or b"")) == (1, True)
        await watch
        stats = watcher.stats()
    assert [start.job for start in diary.starts] == [ToyJob("7")]
    assert [(type(end.outcome), end.traceparent) for end in diary.ends] == [(Succeeded, TRACE)]
    assert (stats.started, stats.resumed) == (1, 0)


@pytest.mark.parametrize("kind", [Presses, Telling])
async def test_a_started_job_that_the_ledger_knows_is_told_once(kind: type[Presses]) -> None:
    """One watch, one beginning and one outcome."""
    ledger, diary, vendor = MemoryLedger(), Diary(), Vendor(OVER, status=DONE)
    async with serving(vendor):
        async with Starting(vendor, kind=kind, ledger=ledger) as watcher:
            await watcher.record(ToyJob("7"))
        async with Starting(vendor, kind=kind, ledger=ledger, observer=diary) as watcher:
            await (await watcher.submit("print"))
            stats = watcher.stats()
    assert (len(diary.starts), len(diary.ends), stats.started) == (1, 1, 1)


@pytest.mark.parametrize("kind", [Presses, Telling])
async def test_a_started_job_that_is_not_written_has_an_outcome(kind: type[Presses]) -> None:
    """So an observer that was told of its beginning does not wait for ever. The caller gets the error, too."""
    ledger, diary = MemoryLedger(), Diary(TRACE)
    ledger.broken["record"] = LedgerFull("jobs.ledger", "no space")
    async with Starting(Vendor(OVER), kind=kind, ledger=ledger, ledger_patience_s=5.0, observer=diary) as watcher:
        with pytest.raises(LedgerFull):
            await watcher.submit("print", key="a")
        assert [type(end.outcome.error) for end in diary.ends if isinstance(end.outcome, Abandoned)] == [
            LedgerWriteFailed
        ]
        ledger.broken.clear()
        (start,) = await watcher.unfinished_submits()
        await start.settle(ToyJob("7"))
        stats = watcher.stats()
    assert (len(diary.starts), stats.started, sum(stats.watches.values())) == (2, 2, 1)
    assert [end.goes_on for end in diary.ends] == [False, True]


async def test_an_outcome_of_an_earlier_run_is_not_told_again() -> None:
    """The process that came to it has told it."""
    ledger, diary = MemoryLedger(), Diary()
    async with keeping(ledger, [RUNNING, SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())
    async with keeping(ledger, [RUNNING], observer=diary) as (watcher, _):
        await watcher.watch(ToyJob())
        stats = watcher.stats()
    assert (diary.ends, stats.outcomes) == ([], {})


def test_a_url_is_shown_without_what_may_be_secret() -> None:
    """User name, password, query and fragment are left out."""
    assert safe_url(URL("https://u:p@a.example:8443/x%20y?sig=s#f", encoded=True)) == "https://a.example:8443/x%20y?..."
    assert safe_url(URL("https://a.example/x")) == "https://a.example/x"


async def test_a_secret_in_the_path_is_masked(caplog: pytest.LogCaptureFixture) -> None:
    """An API that has its token in the path shows it neither in the log nor to an observer."""

    class Pathed(ToyEndpoint):
        def request(self, job: ToyJob, /) -> Request:
            return Request(URL("https://toy.example/bot7secret7/a"))

    class Auth(ToyAuth):
        def headers(self, _now: float, /) -> Any:
            return {"Authorization": "Bearer bot7secret7"}

    caplog.set_level(logging.DEBUG, "pollwise")
    diary = Diary()
    async with watching([SUCCEEDED], endpoint=Pathed(Auth()), observer=diary) as (watcher, _):
        await watcher.watch(ToyJob())
    assert diary.requests[0].url == "https://toy.example/***/a"
    assert "7secret7" not in caplog.text


async def test_a_log_record_has_fields_with_stable_names(caplog: pytest.LogCaptureFixture) -> None:
    """A formatter that writes JSON needs no parsing of messages."""
    caplog.set_level(logging.DEBUG, "pollwise.runtime.observing")
    async with watching([503, SUCCEEDED]) as (watcher, _):
        await watcher.watch(ToyJob())
    fields = {name: value for name, value in vars(caplog.records[0]).items() if name.startswith("pollwise_")}
    assert fields.pop("pollwise_duration_s") >= 0
    assert fields == {
        "pollwise_endpoint": "toy",
        "pollwise_job": "ToyJob(id='a')",
        "pollwise_polls": 1,
        "pollwise_method": "GET",
        "pollwise_url": "https://toy.example/a",
        "pollwise_http_status": 503,
        "pollwise_step": "retrying",
        "pollwise_error_type": "ServerUnavailable",
    }
