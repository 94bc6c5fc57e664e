from __future__ import annotations

from pollwise.cli.endpoint_progress import EndpointProgress
from pollwise.core.rate_budget import RateBudget, engine_of
from pollwise.errors import ConnectFailed


def half_over(jobs: int) -> EndpointProgress:
    """Jobs that began at 0. Half of them have ended, at about 100 s; the others were seen then."""
    progress = EndpointProgress(jobs)
    for number in range(jobs):
        progress.add_open(0.0, 0.0)
        seen_s = 80.0 + 40.0 * number / jobs
        progress.see(0.0, 0.0, seen_s)
        if number < jobs // 2:
            progress.end(0.0, seen_s, seen_s, seen_s + 2.0)
        else:
            progress.see(0.0, seen_s, 120.0)
    return progress


def test_between_two_estimates_the_time_left_is_counted_down() -> None:
    """An estimate serves for two seconds, however often it is read."""
    progress = half_over(100)
    first, second = (progress.remaining(at, at, None, 0.0) for at in (120.0, 121.5))
    assert first is not None
    assert second == first.after(1.5)
    for _ in range(40):
        progress.end(0.0, 120.0, 120.0, 121.9)
    assert progress.remaining(121.9, 121.9, None, 0.0) == first.after(1.9)
    assert progress.remaining(122.0, 122.0, None, 0.0) != first.after(2.0)


def test_jobs_that_were_not_added_yet_count() -> None:
    """Under 60 requests a minute each of them takes a second."""
    progress = EndpointProgress(1_000)
    for _ in range(100):
        progress.add_known(0.0, 0.1)
    remaining = progress.remaining(0.0, 0.0, RateBudget(60, per_s=60.0), 0.0)
    assert progress.added == 100
    assert remaining is not None
    assert 800.0 < remaining.low_s < 850.0  # the first 60 go at once
    assert 900.0 < remaining.high_s < 1_000.0


def test_the_time_left_is_unknown_while_a_host_is_down() -> None:
    """When it answers again, the range is there again."""
    budget, progress = RateBudget(), half_over(100)
    host = engine_of(budget).hosts.needed("https://toy.example", 0.0)
    for number in range(20):
        host.on_failure(number % 4, ConnectFailed("refused"), 100.0 + number / 10, 0.0)
    assert progress.remaining(120.0, 120.0, budget, 0.0) is None
    host.on_answer(121.0)
    assert progress.remaining(121.0, 121.0, budget, 0.0) is not None


def test_the_recent_rate_counts_while_jobs_wait_for_their_first_poll() -> None:
    """Without a limit that is known, a thousand jobs at two requests a second take more than five minutes."""
    progress = EndpointProgress(1_100)
    for _ in range(100):
        progress.add_known(0.0, 0.1)
    for _ in range(1_000):
        progress.add_open(-1_000.0, 0.0)
    remaining = progress.remaining(60.0, 60.0, RateBudget(), 2.0)
    assert remaining is not None
    assert 400.0 < remaining.low_s < 500.0 < remaining.high_s < 700.0


def test_abandoned_jobs_are_not_open() -> None:
    """A batch of which all jobs are over or abandoned has no time left."""
    progress = EndpointProgress(10)
    for number in range(10):
        progress.add_open(0.0, 0.0)
        progress.see(0.0, 0.0, 50.0)
        if number < 5:
            progress.abandon(0.0, 50.0)
        else:
            progress.end(0.0, 50.0, 50.0, 60.0)
    remaining = progress.remaining(100.0, 100.0, None, 0.0)
    assert remaining is not None
    assert (remaining.low_s, remaining.high_s) == (0.0, 0.0)
