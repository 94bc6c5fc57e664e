from __future__ import annotations

import math
from statistics import NormalDist

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.batch_progress import BatchProgress, RequestCounter, recent_text, remaining_text
from pollwise.cli.ledger_summary import STATES
from pollwise.core.rate_budget import RateBudget
from pollwise.core.remaining_time import Remaining
from pollwise.ledger import Conclusion, OutcomeKind
from pollwise.model.reading import Phase

STANDARD = NormalDist()


def broken(message: str) -> Conclusion:
    return Conclusion(
        id=1,
        outcome=OutcomeKind.FAILED,
        phase=Phase.FAILED,
        polls=1,
        status=None,
        elapsed_s=1.0,
        error_type="X",
        error_message=message,
    )


def progress(total: int = 10, now: float = 100.0) -> BatchProgress:
    return BatchProgress(total, ["e"], now)


def watch(progress: BatchProgress, number: int, state: str = "waiting", began_at: float = 100.0) -> None:
    progress.add_open(number, "e", {"id": str(number)}, state, began_at, 0)


def test_counts_add_up() -> None:
    """Every job has exactly one state, including the jobs that are not watched yet."""
    seen = progress()
    assert dict(seen.counts) == {"waiting": 10}
    watch(seen, 1)
    watch(seen, 2, "running")
    seen.add_known("failed")
    seen.changed(1, "queued", 1, 101.0)
    seen.conclude_job(2, "succeeded", 4, None, 102.0)
    assert +seen.counts == {"waiting": 7, "queued": 1, "failed": 1, "succeeded": 1}
    assert (seen.ended, seen.known) == (2, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATES), st.sampled_from("tkce"))))
def test_counts_are_right_for_any_updates(updates: list[tuple[int, str, str]]) -> None:
    """After any updates, in any order and repeated, no count is negative, and their sum is the total."""
    seen = progress(1000)
    for number, state, kind in updates:
        match kind:
            case "t":
                watch(seen, number, state)
            case "k":
                seen.add_known(state)
            case "c":
                seen.changed(number, state, 1, 101.0)
            case _:
                seen.conclude_job(number, state, 1, None, 101.0)
    assert min(seen.counts.values()) >= 0
    assert seen.counts.total() == 1000


def test_the_jobs_watched_longest() -> None:
    """The oldest first, without jobs that have ended."""
    seen = progress()
    watch(seen, 1, "running", 90.0)
    watch(seen, 2, "running", 80.0)
    watch(seen, 3, "running", 95.0)
    seen.conclude_job(1, "succeeded", 1, None, 101.0)
    assert [line.keys["id"] for line in seen.longest(5)] == ["2", "3"]
    assert [line.at for line in seen.longest(1)] == [80.0]


def test_the_jobs_changed_last() -> None:
    """The newest first, each job once. An update with the same state is not a change."""
    seen = progress()
    for number in (1, 2, 3):
        watch(seen, number)
    seen.changed(1, "running", 1, 101.0)
    seen.changed(2, "running", 1, 102.0)
    seen.changed(2, "running", 2, 103.0)
    seen.changed(1, "retrying", 2, 104.0)
    seen.conclude_job(3, "failed", 5, broken("boom"), 105.0)
    assert [(line.keys["id"], line.state) for line in seen.latest(5)] == [
        ("3", "failed"),
        ("1", "retrying"),
        ("2", "running"),
    ]
    assert [(line.note, line.polls) for line in seen.unsuccessful(5)] == [("boom", 5)]


def test_an_unknown_number_changes_nothing() -> None:
    """An update of an unknown job is ignored."""
    seen = progress()
    seen.changed(9, "running", 1, 101.0)
    seen.conclude_job(9, "failed", 1, broken("x"), 101.0)
    assert (dict(seen.counts), seen.latest(5), seen.unsuccessful(5)) == ({"waiting": 10}, [], [])


def test_memory_is_bounded() -> None:
    """Ten thousand ended jobs leave at most twenty lines of each kind."""
    seen = progress(10_000)
    for number in range(10_000):
        watch(seen, number)
        seen.conclude_job(number, "failed", 1, broken("x"), 101.0)
    assert len(seen.unsuccessful(1000)) <= 20
    assert len(seen.latest(1000)) <= 20
    assert not seen._open


def test_the_time_left() -> None:
    """The time left is a range that holds the true one; unknown while too few jobs have ended."""
    durations_s = [300.0 * math.exp(0.5 * STANDARD.inv_cdf((n + 0.5) / 1000)) for n in range(1000)]
    seen = BatchProgress(1000, ["e"], 0.0, jobs={"e": 1000})
    assert seen.remaining(0.0) is None
    for number in range(1000):
        watch(seen, number, began_at=0.0)
    assert seen.remaining(1.0) is None
    for number, took_s in enumerate(durations_s[:600]):
        seen.changed(number, "running", 2, took_s, 0.95 * took_s)
        seen.conclude_job(number, "succeeded", 3, None, took_s)
    now, left_s = durations_s[599], durations_s[-1] - durations_s[599]
    for number in range(600, 1000):
        seen.changed(number, "running", 2, now, now)
    remaining = seen.remaining(now)
    assert remaining is not None
    assert 0.2 * left_s < remaining.low_s < left_s < remaining.high_s < 2.0 * left_s
    assert seen.remaining_of("e", now) == remaining


def test_the_time_left_is_that_of_the_slowest_endpoint() -> None:
    """Both ends of the range are the later ones. It is unknown while that of one endpoint is unknown."""
    seen = BatchProgress(200, ["slow", "quick"], 0.0, jobs={"slow": 100, "quick": 100})
    for number in range(200):
        seen.add_open(number, "slow" if number < 100 else "quick", {}, "running", 0.0, 0)
    for number in range(160):
        if number == 80:
            assert seen.remaining_of("slow", 100.0) is not None
            assert seen.remaining(100.0) is None
        took_s = number + 1.0 if number < 100 else number - 99.0
        if number % 100 < 80:
            seen.changed(number, "running", 2, took_s, 0.95 * took_s)
            seen.conclude_job(number, "succeeded", 3, None, took_s)
    slow, quick, both = seen.remaining_of("slow", 103.0), seen.remaining_of("quick", 103.0), seen.remaining(103.0)
    assert slow is not None
    assert quick is not None
    assert both is not None
    assert (both.low_s, both.high_s) == (max(slow.low_s, quick.low_s), max(slow.high_s, quick.high_s))


def test_requests_of_the_last_minute() -> None:
    """A burst of the first seconds is a number of requests, and not a rate; older requests are dropped."""
    counter = RequestCounter()
    assert counter.recent(5.0) == 0
    for tenth in range(100):
        counter.add(10.0 + tenth / 10)
    assert counter.sent == 100
    assert counter.recent(20.0) == 100
    assert counter.recent(60.0) == 100
    assert counter.recent(75.0) == 40
    assert counter.recent(500.0) == 0
    for second in range(5000):
        counter.add(1000.0 + second)
    assert counter.recent(5999.9) == 60
    assert len(counter._seconds) <= 3601


@given(
    st.integers(1, 30),
    st.floats(0.5, 4_000.0),
    st.lists(st.floats(0.0, 200.0), max_size=300),
    st.floats(0.0, 300.0),
)
def test_the_requests_shown_do_not_exceed_the_limit_beside_them(
    limit: int, per_s: float, gaps_s: list[float], read_after_s: float
) -> None:
    """Whenever it is read: requests that keep a limit are never shown as more than it allows."""
    counter, budget, sent, now = RequestCounter(), RateBudget(limit, per_s=per_s), [], 1_000.0
    for gap_s in gaps_s:
        now += gap_s * per_s / 200.0
        if len(sent) >= limit and now - sent[-limit] < per_s:
            now = sent[-limit] + per_s + 1e-6
        sent.append(now)
        counter.add(now)
        assert shown(counter, budget, now)
    assert shown(counter, budget, now + read_after_s)


def shown(counter: RequestCounter, budget: RateBudget, now: float) -> bool:
    """Whether the first number is at most the second one, where they are of the same time."""
    recent, limit = recent_text(counter, budget, now)
    return not limit.startswith("of ") or int(recent.split()[0].replace(",", "")) <= int(limit[3:].replace(",", ""))


@pytest.mark.parametrize(
    ("budget", "recent", "limit"),
    [
        (RateBudget(60, per_s=60.0), "30 in 60 s", "of 60"),
        (RateBudget(10, per_s=1.0), "30 in 60 s", "of 600"),
        (RateBudget(10, per_s=7.0), "30 in 63 s", "of 90"),
        (RateBudget(60, per_s=3_600.0), "40 in 60 min", "of 60"),
        (RateBudget(1_000, per_s=86_400.0), "30 in 60 s", "limit 1,000 in 24 h"),
        (RateBudget(), "30 in 60 s", "no limit known"),
    ],
)
def test_requests_are_counted_over_windows_of_the_limit(budget: RateBudget, recent: str, limit: str) -> None:
    """The count is of a minute, or of whole windows if these are not shorter; a day's window is stated as it is."""
    counter = RequestCounter()
    for at in [*range(1_000, 1_010), *range(1_970, 2_000)]:
        counter.add(float(at))
    assert recent_text(counter, budget, 2_000.0) == (recent, limit)


@pytest.mark.parametrize(
    ("low_s", "high_s", "text"),
    [
        (0.0, 0.0, "at most 1 s left"),
        (3.2, 7.9, "3-8 s left"),
        (20.0, 89.0, "20-89 s left"),
        (20.0, 90.0, "at most 2 min left"),
        (190.0, 290.0, "3-5 min left"),
        (240.0, 240.0, "4 min left"),
        (6_000.0, 10_700.0, "100-179 min left"),
        (6_000.0, 11_000.0, "1.6-3.1 h left"),
        (36_000.0, 40_000.0, "10-12 h left"),
        (90_000.0, 400_000.0, "1-5 days left"),
    ],
)
def test_a_range_in_words(low_s: float, high_s: float, text: str) -> None:
    """The range is rounded outwards, in one unit."""
    assert remaining_text(Remaining(low_s=low_s, high_s=high_s)) == text


def test_an_unknown_time_in_words() -> None:
    """It is said that the time is unknown."""
    assert remaining_text(None) == "time left unknown"
