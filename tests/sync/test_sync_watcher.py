"""The watcher without asyncio: opening, closing, ledgers, shared budgets, running event loops."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from sync_toys import QUICK, Gate, toy_options, toy_watcher

from kept_toy import KeptToyEndpoint
from pollwise import AiohttpTransport, ConfigurationError, JobWatcher, RateBudget, Request, Retry, SqliteLedger, sync
from pollwise.core import host_health
from pollwise.errors import ConnectFailed, JobFailed, WatcherClosed
from pollwise.ledger import LedgerError
from pollwise.sync import SyncWatcher
from pollwise.testing import Answer, ScriptedTransport
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob


def test_one_call_waits_for_one_job() -> None:
    """`sync.wait(job, endpoint, timeout_s=...)` returns the status, or raises as awaiting does."""
    assert sync.wait(ToyJob(), ToyEndpoint(), **toy_options([RUNNING, SUCCEEDED])).state == "succeeded"
    with pytest.raises(JobFailed, match="no disk"):
        sync.wait(ToyJob(), ToyEndpoint(), **toy_options([FAILED]))
    assert "pollwise-sync" not in {thread.name for thread in threading.enumerate()}


async def test_it_works_while_an_event_loop_runs() -> None:
    """In a notebook, and in any function that a coroutine calls."""
    assert sync.wait(ToyJob(), ToyEndpoint(), **toy_options([RUNNING, SUCCEEDED])).state == "succeeded"


def test_a_wrong_option_is_refused_before_anything_starts() -> None:
    """The errors of the options are those of JobWatcher."""
    with pytest.raises(ConfigurationError, match="timeout_s"):
        SyncWatcher(ToyEndpoint(), timeout_s=-1)


def test_a_watcher_that_is_not_open_watches_nothing() -> None:
    """Before and after its `with`, each method raises `WatcherClosed`."""
    watcher = toy_watcher([SUCCEEDED])
    for _ in range(2):
        with pytest.raises(WatcherClosed):
            watcher.watch(ToyJob())
        with pytest.raises(WatcherClosed):
            watcher.gather([ToyJob()])
        with pytest.raises(WatcherClosed):
            watcher.as_completed([ToyJob()])
        watcher.close()


def test_any_thread_sees_what_the_watcher_does(monkeypatch: pytest.MonkeyPatch) -> None:
    """`stats()` and `hosts_down` do not wait, and work before the first watch, while it polls, and after the end."""
    monkeypatch.setattr(host_health, "_LONGEST_S", 0.05)  # the pause between two probes, on the real clock
    monkeypatch.setattr(host_health, "_SHARE", 0.0)
    polled = threading.Event()

    def refuse(_request: Request) -> Answer:
        polled.set()
        return ConnectFailed("Connection refused")

    watcher = toy_watcher(refuse, retry=Retry(base_s=0.05, max_s=0.05))
    assert (watcher.stats().started, watcher.hosts_down) == (0, ())

    def look(_: object) -> int:
        while not watcher.hosts_down:
            assert watcher.stats().started <= 5
            polled.wait()
            polled.clear()
        return watcher.stats().started

    with watcher, ThreadPoolExecutor(1) as threads:
        for n in range(5):
            watcher.watch(ToyJob(str(n)))
        assert list(threads.map(look, "1", timeout=20.0)) == [5]
        (outage,) = watcher.stats().hosts_down
        assert outage.origin == "https://toy.example"
    assert (watcher.stats().started, watcher.hosts_down) == (5, ())


def test_a_watcher_can_be_opened_again() -> None:
    """After `close`, `open` opens it anew; while it is open, it refuses."""
    watcher = toy_watcher([SUCCEEDED])
    for _ in range(2):
        with watcher:
            assert watcher.watch(ToyJob()).wait().state == "succeeded"
            assert watcher.open_count == 0
            with pytest.raises(ConfigurationError, match="open already"):
                watcher.open()


def test_watchers_share_one_thread_and_may_share_a_budget() -> None:
    """However many are open, and from however many threads: one background thread, which ends with the last of them."""
    budget = RateBudget(1000, per_s=1)

    def waited(number: int) -> int:
        with toy_watcher([RUNNING, RUNNING, SUCCEEDED], budget=budget) as watcher:
            assert watcher.budget is budget
            watcher.watch(ToyJob(str(number))).wait()
            return sum(thread.name == "pollwise-sync" for thread in threading.enumerate())

    gate = Gate()
    with toy_watcher(gate), ThreadPoolExecutor(8) as threads:
        assert set(threads.map(waited, range(24))) == {1}
    assert not any(thread.name == "pollwise-sync" for thread in threading.enumerate())


def test_it_opens_and_closes_its_ledger_and_transport(tmp_path: Path) -> None:
    """A ledger is passed unopened. What is on disk is resumed by the next program."""
    path, gate = tmp_path / "jobs.ledger", Gate()
    options: dict[str, Any] = {"timeout_s": 60, "pacing": QUICK}
    with SyncWatcher(
        KeptToyEndpoint(), transport=ScriptedTransport(gate), ledger=SqliteLedger(path), **options
    ) as watcher:
        watcher.record(ToyJob("one"))
        watcher.record_all([ToyJob("two")])
    gate.open()
    with SyncWatcher(
        KeptToyEndpoint(), transport=ScriptedTransport(gate), ledger=SqliteLedger(path), **options
    ) as watcher:
        assert [watch.wait().state for watch in watcher.resume()] == ["succeeded"] * 2

        async def acknowledged(inner: JobWatcher[Any, Any, Any, Any]) -> list[bool]:
            return [await delivery.ack() async for delivery in inner.outcomes()]

        assert watcher.run(acknowledged) == [True, True]
    transport = AiohttpTransport()
    with SyncWatcher(ToyEndpoint(), timeout_s=60, transport=transport):
        pass
    with pytest.raises(WatcherClosed), SyncWatcher(ToyEndpoint(), timeout_s=60, transport=transport):
        pass


def test_an_opening_that_fails_leaves_nothing_open(tmp_path: Path) -> None:
    """The error is raised, and the background thread has ended."""
    ledger = SqliteLedger(tmp_path / "no folder" / "jobs.ledger")
    watcher: SyncWatcher[Any, Any, Any, Any] = SyncWatcher(KeptToyEndpoint(), timeout_s=60, ledger=ledger)
    with pytest.raises(LedgerError):
        watcher.open()
    with pytest.raises(WatcherClosed):
        watcher.watch(ToyJob())
    assert not any(thread.name == "pollwise-sync" for thread in threading.enumerate())


def test_a_watcher_that_is_dropped_is_closed() -> None:
    """It warns as an open file does, and its thread ends. A handle keeps it open."""
    handles = [toy_watcher([RUNNING, RUNNING, SUCCEEDED]).open().watch(ToyJob())]
    assert handles[0].wait().state == "succeeded"
    thread = next(thread for thread in threading.enumerate() if thread.name == "pollwise-sync")
    with pytest.warns(ResourceWarning, match="was not closed"):
        handles.clear()
    thread.join()
