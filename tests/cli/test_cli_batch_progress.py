from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.batch_progress import BatchProgress, RequestCounter
from pollwise.cli.ledger_summary import STATES
from pollwise.ledger import Conclusion, OutcomeKind
from pollwise.model.reading import Phase


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
    assert len(seen._samples) <= 3
    assert not seen._open


def test_the_estimated_time_left() -> None:
    """The time left is a range. It is None while too few jobs have ended."""
    seen = progress(1000, 0.0)
    for number in range(600):
        watch(seen, number)
    seen.add_known("succeeded")
    assert seen.remaining(0.0) is None
    for second in range(1, 101):
        seen.conclude_job(second, "succeeded", 1, None, float(second))
    remaining = seen.remaining(100.0)
    assert remaining is not None
    assert remaining.low_s < 899.0 < remaining.high_s


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
