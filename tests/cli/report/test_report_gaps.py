from __future__ import annotations

import math
from collections.abc import Iterable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.gaps import Cause, Gap, Gaps, delays_without, find_gaps
from pollwise.cli.run_times import Run

AT = 1_700_000_000.0
HOUR = 3600.0


def job(began: float, end: float | None, within: float | None = 5.0, **more: Any) -> LedgerEntry:
    """A job that began and ended so many seconds after `AT`, and whose end was seen within so many."""
    usual = {"endpoint": "e", "keys": ("k",), "state": "running" if end is None else "succeeded", "reason": ""}
    took = None if end is None else end - began
    known = None if end is None else within
    return LedgerEntry(
        **{**usual, "first_seen": AT + began, "elapsed_s": took, "detected_within_s": known, "polls": 9, **more}
    )


def found(jobs: Iterable[LedgerEntry], *runs: tuple[float, float], now: float = 10 * HOUR) -> list[tuple[Any, ...]]:
    """The gaps, in seconds after `AT`."""
    summary = LedgerSummary()
    summary.add(jobs)
    gaps = find_gaps(summary, [Run(AT + began, AT + until) for began, until in runs], AT + now)
    return [(gap.begin - AT, gap.end - AT, gap.cause) for gap in gaps]


def test_nothing_ran_between_two_runs() -> None:
    """The time between two runs of a batch is a gap, if jobs were watched before and after it."""
    jobs = [job(0, 50), job(0, 7300)]
    assert found(jobs, (0, 100), (7200, 7400)) == [(100, 7200, Cause.NOTHING_RAN)]


def test_runs_outside_of_the_time_of_the_jobs() -> None:
    """Runs before the first job began, and after the last one ended, make no gap."""
    jobs = [job(0, 50)]
    assert found(jobs, (-9000, -8000), (0, 60), (9000, 9100)) == []
    assert found(jobs, (-9000, 55), (9000, 9100)) == []


def test_nothing_runs_since_the_last_run() -> None:
    """While jobs are open, the time since the end of the last run is a gap."""
    assert found([job(0, None)], (0, 100), now=500) == [(100, 500, Cause.NOTHING_RAN)]
    assert found([job(0, None)], (0, 499), now=500) == []


def test_another_program_watched_the_jobs() -> None:
    """If a job ended between two runs, another program watched the jobs meanwhile, and that was no gap."""
    assert found([job(0, 50), job(0, 3000), job(0, 7300)], (0, 100), (7200, 7400)) == []


def test_runs_that_overlap() -> None:
    """Recorded runs may overlap or be in any order, as after the clock was set back."""
    jobs = [job(0, 50), job(0, 7300)]
    assert found(jobs, (0, 100), (50, 80), (90, 200), (7200, 7400)) == [(200, 7200, Cause.NOTHING_RAN)]


def test_no_reply_for_a_long_time() -> None:
    """Without recorded runs, a gap is a time in which no row has a moment and no poll saw a job that ended after it."""
    usual = [job(0, second, 10.0) for second in range(20, 600, 20)]
    late = [job(0, 9000.0, 8500.0), job(0, 9010.0, 8430.0)]
    assert found([*usual, *late]) == [(580, 9000, Cause.NO_REPLY)]


def test_jobs_that_take_long_are_no_gap() -> None:
    """Jobs that were seen running until shortly before their ends were polled, although no row has another moment."""
    assert found([job(0, 7200, 20.0), job(0, 7210, 15.0)]) == []


def test_rare_polls_are_no_gap() -> None:
    """If all ends were seen late because polls are rare, no time without a poll is a gap."""
    assert found([job(0, 1000 * n, 900.0) for n in range(1, 9)]) == []


@pytest.mark.parametrize(("polls", "gaps"), [(2, 0), (4, 0), (40, 1)])
def test_a_job_that_is_polled_once_an_hour(polls: int, gaps: int) -> None:
    """A wait that is usual for a job is no gap. If a job was polled so few times that none is usual, there is no gap."""
    assert len(found([job(0, 4 * HOUR, 2 * HOUR, polls=polls)])) == gaps


def test_jobs_that_were_abandoned_after_a_restart() -> None:
    """The time between two runs is a gap, too, if the second run only abandoned the jobs."""
    jobs = [job(0, 5000, None, state="abandoned", reason="why")]
    assert found(jobs, (0, 100), (4000, 5000)) == [(100, 4000, Cause.NOTHING_RAN)]


def test_an_abandoned_job_is_no_sign_of_a_reply() -> None:
    """The end of an abandoned watch does not show that a server answered."""
    gone = job(0, 2000, None, state="abandoned", reason="why")
    assert found([gone, job(0, 60, 5.0), job(0, 4000, 3950.0)]) == [(60, 4000, Cause.NO_REPLY)]


def test_a_server_that_was_down_between_two_restarts() -> None:
    """A time without a reply is what is left of it without the time when nothing ran."""
    jobs = [*(job(0, n, 3.0) for n in range(10, 100, 10)), job(0, 9000, 8950.0)]
    assert found(jobs, (0, 3000), (6000, 9100)) == [
        (90, 3000, Cause.NO_REPLY),
        (3000, 6000, Cause.NOTHING_RAN),
        (6000, 9000, Cause.NO_REPLY),
    ]


def test_no_jobs() -> None:
    """A ledger without jobs has no gaps."""
    assert found([], (0, 10), (20, 30)) == []


def test_delays_do_not_count_gaps() -> None:
    """A delay is counted without the time of gaps, and never becomes negative. An unknown one stays unknown."""
    summary = LedgerSummary()
    summary.add([job(0, 100, 90.0), job(0, 30, 10.0), job(0, 100, None)])
    gaps = Gaps([Gap(AT + 20, AT + 80, Cause.NOTHING_RAN)])
    delays = delays_without(summary, gaps)
    assert delays[:2] == [pytest.approx(30.0), 0.0]
    assert math.isnan(delays[2])


spans = st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4)).map(sorted), max_size=6)


@given(spans, st.lists(st.tuples(st.floats(0, 1e4), st.floats(0, 1e4), st.floats(0, 1e4)), min_size=1, max_size=6))
def test_gaps_of_any_ledger(runs: list[list[float]], times: list[tuple[float, float, float]]) -> None:
    """Gaps are in order, do not overlap, and a time has no more of them than it is long."""
    summary = LedgerSummary()
    summary.add([job(began, began + took, within) for began, took, within in times])
    known = sorted((Run(AT + began, AT + until) for began, until in runs), key=lambda run: run.began)
    gaps = find_gaps(summary, known, AT + 3e4)
    assert all(first.end <= second.begin + 1e-6 for first, second in pairwise(gaps))
    assert gaps.within(0, 2 * AT) == pytest.approx(gaps.seconds)
    for began, took, _ in times:
        assert 0.0 <= gaps.within(AT + began, AT + began + took) <= took + 1e-6
    assert gaps.longest(2) == sorted(gaps.longest(2), key=lambda gap: gap.begin)
