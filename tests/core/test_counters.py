"""Counts of requests, watches and durations."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.counters import RequestCounts, WatchCounts, add_to, histogram, result_of
from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    EndpointBug,
    JobFailed,
    JobNotFound,
    MalformedReply,
    NotVisibleYet,
    PermissionDenied,
    PollTimeout,
    RateLimited,
    RequestRejected,
    ServerUnavailable,
    StaleConnection,
    TlsFailed,
    WatcherClosed,
)
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.stats import JOB_BOUNDS, REQUEST_BOUNDS


@pytest.mark.parametrize(
    ("error", "result"),
    [
        (RateLimited(), "throttled"),
        (RateLimited(http_status=403), "throttled"),
        (ServerUnavailable(503), "refused_5xx"),
        (ServerUnavailable(408), "refused_4xx"),
        (NotVisibleYet(), "not_visible"),
        (JobNotFound("j", 410), "refused_4xx"),
        (RequestRejected("j", 302), "refused_3xx"),
        (PermissionDenied("j", 403), "refused_4xx"),
        (AuthenticationError("no"), "refused_4xx"),
        (MalformedReply("odd", 200), "malformed"),
        (PollTimeout(30.0), "timed_out"),
        (ConnectFailed("refused"), "connection_failed"),
        (StaleConnection("closed"), "connection_failed"),
        (TlsFailed("expired"), "connection_failed"),
        (EndpointBug("j", "KeyError", "x"), "failed"),
        (ServerUnavailable(999), "failed"),
        (ValueError(), "failed"),
    ],
)
def test_an_error_is_counted_as_one_result(error: Exception, result: str) -> None:
    """Each way in which a poll brings no reading has one name."""
    assert result_of(error) == result


@given(st.lists(st.floats(0.0, 1e6)))
def test_a_histogram_has_every_duration_once(durations: list[float]) -> None:
    """A duration is in the first bucket whose bound is not below it, and the sum is that of all."""
    row = [*[0] * (len(REQUEST_BOUNDS) + 1), 0.0]
    for duration in durations:
        add_to(row, duration, REQUEST_BOUNDS)
    found = histogram(row, REQUEST_BOUNDS)
    assert found.count == len(durations)
    assert found.sum_s == pytest.approx(sum(durations))
    below = 0
    for bound, count in zip(found.bounds, found.counts, strict=False):
        below += count
        assert below == sum(duration <= bound for duration in durations)


def test_a_lost_request_has_a_duration_and_an_error() -> None:
    """A request without a reply is in the durations by the class of its error."""
    counts = RequestCounts()
    counts.lose("PollTimeout", 30.0)
    counts.fail(PollTimeout(30.0))
    assert counts.durations()["PollTimeout"].counts[-1] == 1
    assert counts.results() == {"read": 0, "unchanged": 0, "timed_out": 1}
    assert dict(counts.errors) == {("timed_out", "PollTimeout"): 1}


def test_an_abandoned_job_has_no_duration() -> None:
    """Only how long jobs took is in the durations of jobs, and only known delays are in those of detection."""
    counts = WatchCounts()
    counts.end(Succeeded(job="a", status=0, elapsed_s=7.0, polls=3, detected_within_s=1.0))
    counts.end(Succeeded(job="b", status=0, elapsed_s=1.0, polls=1))
    counts.end(Abandoned(job="c", error=WatcherClosed("c"), status=None, phase=None, elapsed_s=3.0, polls=1))
    assert dict(counts.outcomes) == {("succeeded", None): 2, ("abandoned", "WatcherClosed"): 1}
    assert list(counts.jobs) == ["succeeded"]
    assert histogram(counts.jobs["succeeded"], JOB_BOUNDS).count == 2
    assert sum(counts.delays[:-1]) == 1


def test_a_failed_job_is_counted_with_its_error() -> None:
    """The class of the error says why."""
    counts = WatchCounts()
    counts.end(Failed(job="a", status=0, error=JobFailed("a", 0, "no disk"), elapsed_s=2.0, polls=2))
    assert dict(counts.outcomes) == {("failed", "JobFailed"): 1}
