"""What bars show, of one watch and of many, with and without asyncio."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import pytest

from pollwise import Abandoned, ConfigurationError, JobFailed, Phase, Progressed, Retrying, Succeeded, Throttled
from pollwise.endpoints.http_async import AcceptedJob
from pollwise.errors import JobNotFound, ServerUnavailable
from pollwise.progress import Bars
from pollwise.progress.bars import label_of, text_of
from pollwise.sync import SyncWatcher
from pollwise.testing import ScriptedTransport
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, by_job, running, watching


class Noted:
    """A bar that notes what it is told."""

    def __init__(self, label: str, total: int | None) -> None:
        self.label, self.total = label, total
        self.shown: list[tuple[float | None, str]] = []
        self.ended: str | None = None

    def show(self, *, done: float | None, text: str) -> None:
        self.shown.append((done, text))

    def end(self, *, text: str) -> None:
        self.ended = text


class NotedBars(Bars):
    def __init__(self) -> None:
        self.made: list[Noted] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        pass

    def add(self, label: str, *, total: int | None, is_share: bool) -> Noted:
        self.made.append(Noted(label, total))
        return self.made[-1]


@pytest.mark.looptime
async def test_a_watch_is_followed_on_its_bar() -> None:
    """`follow` shows each event, and returns the status."""
    bars = NotedBars()
    async with watching([RUNNING, running(4), 503, SUCCEEDED]) as (watcher, _):
        status = await bars.follow(watcher.watch(ToyJob("seven")))
    assert status.state == "succeeded"
    (bar,) = bars.made
    assert bar.label == "id='seven'"
    assert [done for done, _ in bar.shown] == [None, 0.4, 0.4, 1.0]
    assert bar.shown[2][1].startswith("ServerUnavailable, retrying in ")
    assert bar.ended == "succeeded"


@pytest.mark.looptime
async def test_following_raises_as_awaiting_does() -> None:
    """The bar ends where it was, with how the job ended."""
    bars = NotedBars()
    async with watching([running(4), FAILED]) as (watcher, _), asyncio.TaskGroup() as group:
        task = group.create_task(_failure(bars, watcher.watch(ToyJob())))
    assert isinstance(task.result(), JobFailed)
    assert bars.made[0].shown[-1] == (0.4, "failed")
    assert bars.made[0].ended == "failed"


async def _failure(bars: Bars, watch: Any) -> BaseException:
    with pytest.raises(JobFailed) as caught:
        await bars.follow(watch, label="mine")
    return caught.value


@pytest.mark.looptime
async def test_the_outcomes_of_many_jobs_are_counted() -> None:
    """One bar counts what is over, and says how many did not succeed. The outcomes pass through."""
    bars = NotedBars()
    jobs = [ToyJob(str(number)) for number in range(4)]
    answers = by_job({job.id: [FAILED if job.id == "1" else SUCCEEDED] for job in jobs})
    async with watching(answers) as (watcher, _):
        found = [outcome.job async for outcome in bars.outcomes(watcher.as_completed(jobs), total=4)]
    assert sorted(job.id for job in found) == ["0", "1", "2", "3"]
    (bar,) = bars.made
    assert (bar.label, bar.total) == ("jobs", 4)
    assert [done for done, _ in bar.shown] == [1.0, 2.0, 3.0, 4.0]
    assert bar.ended == "1 failed"


def test_bars_work_without_asyncio() -> None:
    """Events of a SyncWatch, and outcomes of a SyncWatcher, pass through the same methods."""
    bars = NotedBars()
    with SyncWatcher(ToyEndpoint(), timeout_s=60, transport=ScriptedTransport([SUCCEEDED])) as watcher:
        events = list(bars.events(watcher.watch(ToyJob("a"))))
        outcomes = list(bars.outcomes(watcher.as_completed([ToyJob("b")])))
    assert [type(event) for event in [*events, *outcomes]] == [Succeeded, Succeeded]
    assert [bar.shown for bar in bars.made] == [[(1.0, "succeeded")], [(1.0, "")]]
    assert [bar.label for bar in bars.made] == ["id='a'", "jobs"]


def test_a_label_is_one_printable_line() -> None:
    """The keys of a job may be any text: no control character reaches a terminal."""
    assert label_of("a\x1b[31m\nb") == "a[31mb"
    assert label_of("x" * 100 + "y") == "…" + "x" * 38 + "y"
    assert label_of(7) == "7"


def test_a_label_shows_no_secret_of_a_url() -> None:
    """The query of a status URL may be a credential."""
    assert label_of(AcceptedJob("https://api.example.com/jobs/7?sig=s3cret")) == "https://api.example.com/jobs/7"


@pytest.mark.looptime
async def test_what_is_no_watch_is_refused() -> None:
    """The error says what to pass."""
    bars = NotedBars()
    with pytest.raises(ConfigurationError, match=r"such as watcher\.watch\(job\); got ToyJob"):
        await bars.follow(ToyJob())  # type: ignore[arg-type]
    with pytest.raises(ConfigurationError, match="got ToyJob"):
        list(bars.outcomes([ToyJob()]))  # type: ignore[list-item]


@pytest.mark.parametrize(
    ("event", "text"),
    [
        (
            Progressed(
                job="a",
                status=None,
                phase=Phase.WAITING_FOR_INPUT,
                fraction=None,
                eta_s=None,
                elapsed_s=1.0,
                polls=1,
            ),
            "waiting for input",
        ),
        (
            Progressed(job="a", status=None, phase=Phase.RUNNING, fraction=0.5, eta_s=59.4, elapsed_s=1.0, polls=1),
            "running, about 59 s left",
        ),
        (
            Progressed(job="a", status=None, phase=Phase.RUNNING, fraction=0.5, eta_s=125.0, elapsed_s=1.0, polls=1),
            "running, about 2 min 5 s left",
        ),
        (
            Progressed(job="a", status=None, phase=Phase.RUNNING, fraction=0.5, eta_s=7500.0, elapsed_s=1.0, polls=1),
            "running, about 2 h 5 min left",
        ),
        (
            Retrying(job="a", error=ServerUnavailable(503), failures=1, delay_s=2.0, elapsed_s=1.0, polls=1),
            "ServerUnavailable, retrying in 2 s",
        ),
        (Throttled(job="a", delay_s=720.0, elapsed_s=1.0, polls=1), "waits 12 min for the rate limit"),
        (
            Abandoned(job="a", error=JobNotFound("a", 404, None), status=None, phase=None, elapsed_s=1.0, polls=1),
            "abandoned: JobNotFound",
        ),
    ],
)
def test_each_event_has_its_words(event: Any, text: str) -> None:
    """They are ours: a server's message is never on a bar."""
    assert text_of(event) == text
