"""The outcomes of many jobs without asyncio."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sync_toys import Gate, toy_watcher

from pollwise import Limits, Succeeded
from pollwise.errors import WatcherClosed
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, by_job

JOBS = [ToyJob(str(number)) for number in range(6)]


def test_each_job_has_one_outcome() -> None:
    """As many outcomes as jobs, in the order in which they come; `position` says whose it is."""
    answers = by_job({job.id: [RUNNING, FAILED if job.id == "3" else SUCCEEDED] for job in JOBS})
    with toy_watcher(answers) as watcher:
        outcomes = watcher.as_completed(JOBS)
        found = sorted((outcomes.position, outcome.job) for outcome in outcomes)
        assert found == list(enumerate(JOBS))
        assert list(outcomes) == []


def test_gathered_outcomes_are_in_the_order_of_the_jobs() -> None:
    """`gather` returns a list, and raises no outcome's error."""
    answers = by_job({job.id: [RUNNING, FAILED if job.id == "3" else SUCCEEDED] for job in JOBS})
    with toy_watcher(answers) as watcher:
        found = watcher.gather(iter(JOBS))
    assert [outcome.job for outcome in found] == JOBS
    assert [isinstance(outcome, Succeeded) for outcome in found] == [job.id != "3" for job in JOBS]


def test_a_lazy_iterable_is_read_in_the_callers_thread() -> None:
    """A generator of jobs may block, and is read as capacity allows."""
    threads: set[threading.Thread] = set()
    ahead = 0

    def jobs() -> Iterator[ToyJob]:
        nonlocal ahead
        for job in JOBS:
            threads.add(threading.current_thread())
            ahead += 1
            yield job

    with toy_watcher([SUCCEEDED], limits=Limits(capacity=2)) as watcher:
        for number, _ in enumerate(watcher.as_completed(jobs())):
            assert ahead <= number + 3
    assert ahead == len(JOBS)
    assert threads == {threading.current_thread()}


def test_an_error_of_the_iterable_is_raised_after_the_outcomes_before_it() -> None:
    """No outcome of a job that was begun is lost."""

    def jobs() -> Iterator[ToyJob]:
        yield from JOBS[:2]
        raise ZeroDivisionError

    found = []
    with toy_watcher([RUNNING, RUNNING, SUCCEEDED]) as watcher, pytest.raises(ZeroDivisionError):
        found.extend(watcher.as_completed(jobs()))
    assert len(found) == 2


def test_leaving_early_reads_no_more_jobs() -> None:
    """After `break` or `close` the watches that were begun go on."""
    read: list[ToyJob] = []

    def jobs() -> Iterator[ToyJob]:
        for number in range(1000):
            read.append(ToyJob(str(number)))
            yield read[-1]

    with toy_watcher([SUCCEEDED], limits=Limits(capacity=2)) as watcher:
        for _ in watcher.as_completed(jobs()):
            break
        outcomes = watcher.as_completed(jobs())
        next(outcomes)
        outcomes.close()
        assert list(outcomes) == []
    assert len(read) < 10


def test_threads_share_the_outcomes() -> None:
    """Each outcome goes to one of the threads that iterate."""
    jobs = [ToyJob(str(number)) for number in range(40)]
    with toy_watcher([RUNNING, SUCCEEDED]) as watcher, ThreadPoolExecutor(4) as threads:
        outcomes = watcher.as_completed(iter(jobs))
        shares = [threads.submit(lambda: [outcome.job for outcome in outcomes]) for _ in range(4)]
        found = [job for share in shares for job in share.result()]
    assert sorted(found, key=lambda job: int(job.id)) == jobs


def test_closing_the_watcher_ends_the_iteration() -> None:
    """A thread that iterates gets the outcomes of what was begun, and then `WatcherClosed`."""
    gate = Gate()

    def jobs() -> Iterator[ToyJob]:
        number = 0
        while True:
            yield ToyJob(str(number))
            number += 1

    with ThreadPoolExecutor(1) as threads:
        with toy_watcher(gate, limits=Limits(capacity=3)) as watcher:
            iterating: Any = threads.submit(list, watcher.as_completed(jobs()))
            gate.polled.wait()
        with pytest.raises(WatcherClosed):
            iterating.result()
    with toy_watcher([SUCCEEDED]) as watcher:
        outcomes = watcher.as_completed(JOBS)
    outcomes.close()
