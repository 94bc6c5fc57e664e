from __future__ import annotations

from typing import Any

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


def take(progress: BatchProgress, number: int, state: str = "waiting", began_at: float = 100.0) -> None:
    progress.add_open(number, "e", {"id": str(number)}, state, began_at, 0)


def test_counts_add_up() -> None:
    """Every job has one word at any time, those that were not taken up yet as well."""
    seen = progress()
    assert dict(seen.counts) == {"waiting": 10}
    take(seen, 1)
    take(seen, 2, "running")
    seen.add_known("failed")
    seen.changed(1, "queued", 1, 101.0)
    seen.conclude_job(2, "succeeded", 4, None, 102.0)
    assert +seen.counts == {"waiting": 7, "queued": 1, "failed": 1, "succeeded": 1}
    assert (seen.ended, seen.known) == (2, 1)


@given(st.lists(st.tuples(st.integers(0, 5), st.sampled_from(STATES), st.sampled_from("tkce"))))
def test_no_news_can_upset_it(news: list[tuple[int, str, str]]) -> None:
    """Any updates, in any order and repeated: no count is negative and they sum up to all."""
    seen = progress(1000)
    for number, state, kind in news:
        match kind:
            case "t":
                take(seen, number, state)
            case "k":
                seen.add_known(state)
            case "c":
                seen.changed(number, state, 1, 101.0)
            case _:
                seen.conclude_job(number, state, 1, None, 101.0)
    assert min(seen.counts.values()) >= 0
    assert seen.counts.total() == 1000


def test_who_is_watched_longest() -> None:
    """The oldest first; who has ended is not among them."""
    seen = progress()
    take(seen, 1, "running", 90.0)
    take(seen, 2, "running", 80.0)
    take(seen, 3, "running", 95.0)
    seen.conclude_job(1, "succeeded", 1, None, 101.0)
    assert [line.keys["id"] for line in seen.longest(5)] == ["2", "3"]
    assert [line.at for line in seen.longest(1)] == [80.0]


def test_who_changed_last() -> None:
    """The newest first, each job once, and only where the word is another one."""
    seen = progress()
    for number in (1, 2, 3):
        take(seen, number)
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
    """What is told of a job that is not on the board changes nothing."""
    seen = progress()
    seen.changed(9, "running", 1, 101.0)
    seen.conclude_job(9, "failed", 1, broken("x"), 101.0)
    assert (dict(seen.counts), seen.latest(5), seen.unsuccessful(5)) == ({"waiting": 10}, [], [])


def test_what_is_remembered_is_bounded() -> None:
    """A hundred thousand jobs leave no more lines than a few."""
    seen = progress(10_000)
    for number in range(10_000):
        take(seen, number)
        seen.conclude_job(number, "failed", 1, broken("x"), 101.0)
    assert len(seen.unsuccessful(1000)) <= 20
    assert len(seen.latest(1000)) <= 20
    assert len(seen._samples) <= 3
    assert not seen._open


def test_how_long_it_will_take() -> None:
    """As long as at the rate of the last two minutes; with little to go by nothing is said."""
    seen = progress(1000, 0.0)
    for number in range(600):
        take(seen, number)
    seen.add_known("succeeded")
    assert seen.eta_s(0.0) is None
    for second in range(1, 101):
        seen.conclude_job(second, "succeeded", 1, None, float(second))
    assert seen.eta_s(100.0) == 899.0
    for number in range(101, 501):  # ten times as fast, for long enough
        seen.conclude_job(number, "succeeded", 1, None, 100.0 + (number - 100) / 2)
    at = 100.0 + 200
    eta_s: Any = seen.eta_s(at)
    assert 0.9 < eta_s / ((1000 - 501) / 2) < 1.2


def test_requests_a_minute() -> None:
    """Over the last minute, or since the first request; old ones are forgotten."""
    request_counters = RequestCounter()
    assert request_counters.per_minute(5.0) == 0.0
    for tenth in range(100):
        request_counters.add(10.0 + tenth / 10)
    assert request_counters.sent == 100
    assert request_counters.per_minute(20.0) == 600.0
    assert request_counters.per_minute(60.0) == 120.0
    assert request_counters.per_minute(500.0) == 0.0
    for second in range(1000):
        request_counters.add(1000.0 + second)
    assert request_counters.per_minute(1999.9) == 60.0
    assert len(request_counters._seconds) <= 61
