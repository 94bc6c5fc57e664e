"""The handle without asyncio: waiting, iterating, results, cancelling; from many threads, and after the end."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import attrs
import pytest
from sync_toys import QUICK, Gate, toy_watcher
from yarl import URL

from kept_toy import KeptToyEndpoint
from pollwise import Abandoned, ConfigurationError, DeadlineExceeded, JobFailed, Progressed, Reply, Request, Succeeded
from pollwise.errors import WatcherClosed, WatchStopped
from pollwise.sync import SyncWatcher
from pollwise.testing import Hang, ScriptedTransport
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus, running


def test_waiting_gives_the_status_or_raises() -> None:
    """`wait` returns the typed status of a success, and raises the error of any other outcome."""
    with toy_watcher([RUNNING, SUCCEEDED]) as watcher:
        assert watcher.watch(ToyJob()).wait() == ToyStatus("succeeded", 10)
    with toy_watcher([RUNNING, FAILED]) as watcher, pytest.raises(JobFailed, match="no disk"):
        watcher.watch(ToyJob()).wait()


def test_iterating_reports_the_events() -> None:
    """A plain `for` gives typed events, the last one the outcome."""
    with toy_watcher([RUNNING, running(4), SUCCEEDED]) as watcher:
        watch = watcher.watch(ToyJob())
        events = list(watch)
        assert [type(event) for event in events] == [Progressed, Progressed, Succeeded]
        assert watch.outcome == watch.last == events[-1]
        assert watch.job == ToyJob()


def test_a_wait_may_be_limited() -> None:
    """`wait(timeout_s=...)` ends this wait only, and says that the watch goes on."""
    gate = Gate()
    with toy_watcher(gate) as watcher:
        watch = watcher.watch(ToyJob())
        with pytest.raises(TimeoutError, match=r"goes on; call `wait` again"):
            watch.wait(timeout_s=0.001)
        assert watch.outcome is None
        gate.open()
        assert watch.wait(timeout_s=60).state == "succeeded"


def test_a_wait_of_no_time_is_refused() -> None:
    """A time limit is a positive number of seconds."""
    with toy_watcher([RUNNING]) as watcher, pytest.raises(ConfigurationError, match="timeout_s"):
        watcher.watch(ToyJob()).wait(timeout_s=0)


def test_the_deadline_of_the_watch_is_no_time_out_of_the_wait() -> None:
    """A watch that its deadline ended raises `DeadlineExceeded`."""
    with toy_watcher([Hang()], timeout_s=0.01) as watcher, pytest.raises(DeadlineExceeded):
        watcher.watch(ToyJob()).wait(timeout_s=60)


def test_many_threads_share_a_watch() -> None:
    """Any number of threads may wait for one watch and iterate it; the job is asked by one watch."""
    gate = Gate()
    with toy_watcher(gate) as watcher, ThreadPoolExecutor(8) as threads:
        watch = watcher.watch(ToyJob())
        waits = [threads.submit(watch.wait) for _ in range(4)]
        lists = [threads.submit(lambda: list(watch)) for _ in range(4)]
        gate.open()
        assert {wait.result().state for wait in waits} == {"succeeded"}
        assert {type(events.result()[-1]) for events in lists} == {Succeeded}


def test_a_watch_can_be_read_after_its_watcher() -> None:
    """What is known stays known when the background thread has ended."""
    with toy_watcher([SUCCEEDED]) as watcher:
        watch = watcher.watch(ToyJob())
        watch.wait()
    assert watch.wait() == ToyStatus("succeeded", 10)
    assert watch.last == watch.outcome
    assert list(watch) == [watch.outcome]
    assert "Succeeded" in repr(watch)


def test_closing_ends_the_waits_of_other_threads() -> None:
    """A thread that waits gets `WatcherClosed`, with its job."""
    gate = Gate()
    with ThreadPoolExecutor(1) as threads:
        with toy_watcher(gate) as watcher:
            watch = watcher.watch(ToyJob())
            waiting = threads.submit(watch.wait)
            gate.polled.wait()
        with pytest.raises(WatcherClosed) as caught:
            waiting.result()
        assert caught.value.job == ToyJob()
    with pytest.raises(WatcherClosed):
        watch.wait()


def test_stopping_is_local() -> None:
    """`stop` ends the watch, and a wait for it raises that."""
    with toy_watcher([RUNNING]) as watcher:
        watch = watcher.watch(ToyJob())
        watch.stop()
        assert isinstance(watch.outcome, Abandoned)
        with pytest.raises(WatchStopped):
            watch.wait()


def test_ctrl_c_ends_the_wait_and_not_the_watch() -> None:
    """KeyboardInterrupt is raised at once in the thread that waits, and the watch can be waited for again."""
    gate, armed, sent = Gate(), threading.Event(), threading.Event()
    main = threading.main_thread().ident
    assert main is not None

    def answer(request: Request) -> Any:
        if armed.is_set() and not sent.is_set():
            sent.set()
            signal.pthread_kill(main, signal.SIGINT)
        return gate(request)

    def wait_armed() -> None:
        armed.set()
        watch.wait()

    with toy_watcher(answer) as watcher:
        watch = watcher.watch(ToyJob())
        with pytest.raises(KeyboardInterrupt):
            wait_armed()
        assert watch.outcome is None
        gate.open()
        assert watch.wait().state == "succeeded"


@attrs.frozen
class Order:
    name: str


class WholeEndpoint(ToyEndpoint):
    """The toy with a start, a result and a cancel request."""

    def submit_request(self, order: Order, key: str, /) -> Request:
        return Request(URL("https://toy.example/start"), method="POST", body=order.name.encode())

    def read_submitted(self, order: Order, reply: Reply, /) -> ToyJob:
        return ToyJob(order.name)

    def result_request(self, job: ToyJob, status: ToyStatus, /) -> Request:
        return Request(URL(f"https://toy.example/{job.id}/result"))

    def read_result(self, reply: Reply, /) -> bytes:
        return reply.body

    def cancel_request(self, job: ToyJob, status: ToyStatus | None, /) -> Request:
        return Request(URL(f"https://toy.example/{job.id}/cancel"), method="DELETE")


def test_a_job_is_started_cancelled_and_fetched(tmp_path: Path) -> None:
    """`submit`, `cancel`, `result` and `save_result` need no await."""
    cancelled: list[str] = []

    def answer(request: Request) -> Any:
        if request.method == "DELETE":
            cancelled.append(request.url.path)
        return {"state": "succeeded" if cancelled else "running"}

    transport = ScriptedTransport(answer)
    with SyncWatcher(WholeEndpoint(), timeout_s=60, transport=transport, pacing=QUICK) as watcher:
        watch = watcher.submit(Order("seven"))
        assert watch.job == ToyJob("seven")
        assert watch.cancel() is True
        assert cancelled == ["/seven/cancel"]
        assert watch.result() == b'{"state":"succeeded"}'
        saved = tmp_path / "result.json"
        assert watch.save_result(saved, max_bytes=100) == saved.stat().st_size == 21


def test_a_resume_token_passes_a_watch_on() -> None:
    """A watch can be resumed from its token."""
    options: dict[str, Any] = {"timeout_s": 60, "pacing": QUICK}
    with SyncWatcher(KeptToyEndpoint(), transport=ScriptedTransport([RUNNING]), **options) as watcher:
        token = watcher.watch(ToyJob("seven")).resume_token
    with SyncWatcher(KeptToyEndpoint(), transport=ScriptedTransport([SUCCEEDED]), **options) as watcher:
        watch = watcher.watch_from_token(token)
        assert watch.job == ToyJob("seven")
        assert watch.wait().state == "succeeded"
