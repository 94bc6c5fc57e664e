"""Counts what a watcher does: its requests, its watches and their outcomes.

Rule 1: counting is adding to an int or to a bucket of a list. Nothing is built, formatted or called on the way of a poll.
Rule 2: each number only grows, so that another thread that reads between two steps sees a number that was true.
Rule 3: a request is counted once by its status code, or by its error if there was no reply. A poll is counted once more
by its result.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from typing import Any, Final, TypeAlias

from pollwise.errors import (
    AuthenticationError,
    ConnectFailed,
    MalformedReply,
    NotVisibleYet,
    PollTimeout,
    RateLimited,
    TlsFailed,
)
from pollwise.model.events import Abandoned, Outcome, Succeeded
from pollwise.model.stats import DELAY_BOUNDS, JOB_BOUNDS, REQUEST_BOUNDS, Histogram

__all__ = [
    "CANCELLED",
    "CUT_OFF",
    "READ",
    "SUM",
    "UNCHANGED",
    "RequestCounts",
    "Row",
    "WatchCounts",
    "add_to",
    "histogram",
    "result_of",
]

Row: TypeAlias = list[float]
"""The buckets of a histogram, then the sum. The row of a status code goes on with its readings and its unchanged replies."""

CANCELLED: Final = "cancelled"
CUT_OFF: Final = "CancelledError"
"""The result and the error of a request that was cancelled because its watch had ended."""

SUM: Final = len(REQUEST_BOUNDS) + 1  # the indexes in the row of a status code
READ: Final = SUM + 1
UNCHANGED: Final = SUM + 2

_RESULTS: Final[tuple[tuple[type[BaseException], str], ...]] = (
    (RateLimited, "throttled"),
    (MalformedReply, "malformed"),
    (PollTimeout, "timed_out"),
    (ConnectFailed, "connection_failed"),
    (TlsFailed, "connection_failed"),
    (NotVisibleYet, "not_visible"),
    (AuthenticationError, "refused_4xx"),  # a 401
)


def _request_row() -> Row:
    return [0] * SUM + [0.0, 0, 0]


def result_of(error: BaseException) -> str:
    """The result of a poll that ended with this error, as in `WatcherStats.polls`."""
    for kind, result in _RESULTS:
        if isinstance(error, kind):
            return result
    status = getattr(error, "http_status", None)
    return f"refused_{status // 100}xx" if isinstance(status, int) and 300 <= status < 600 else "failed"


class RequestCounts:
    """The requests of one kind, such as the polls of a watcher.

    Attributes:
        rows: A row for each status code, and for the class name of each error in place of a reply.
        errors: How many ended with an error, by result and by the class name of the error.
    """

    __slots__ = ("errors", "rows")

    def __init__(self) -> None:
        self.rows: defaultdict[int | str, Row] = defaultdict(_request_row)
        self.errors: defaultdict[tuple[str, str], int] = defaultdict(int)

    def fail(self, error: BaseException) -> None:
        """A request ended with this error, after a reply or without one."""
        self.errors[result_of(error), type(error).__name__] += 1

    def lose(self, error_type: str, took_s: float) -> None:
        """A request ended without a reply. Its error is counted apart from that."""
        add_to(self.rows[error_type], took_s, REQUEST_BOUNDS)

    def durations(self) -> dict[int | str, Histogram]:
        """How long the requests took, by status code or error. Any thread may call it."""
        return {key: histogram(row, REQUEST_BOUNDS) for key, row in list(self.rows.items())}

    def results(self) -> dict[str, int]:
        """How many polls had which result. Any thread may call it."""
        rows = list(self.rows.values())
        found = {
            "read": sum(int(row[READ]) for row in rows),
            "unchanged": sum(int(row[UNCHANGED]) for row in rows),
        }
        for (result, _), count in list(self.errors.items()):
            found[result] = found.get(result, 0) + count
        return found


class WatchCounts:
    """The watches of one watcher, and their outcomes.

    Attributes:
        started: How many watches began.
        resumed: How many were resumed.
        outcomes: By kind, and by the class name of the error.
        jobs: A row of durations for each kind of outcome that says how the job ended.
        delays: A row of detection delays.
    """

    __slots__ = ("delays", "jobs", "outcomes", "resumed", "started")

    def __init__(self) -> None:
        self.started = self.resumed = 0
        self.outcomes: defaultdict[tuple[str, str | None], int] = defaultdict(int)
        self.jobs: defaultdict[str, Row] = defaultdict(lambda: _row(JOB_BOUNDS))
        self.delays = _row(DELAY_BOUNDS)

    def end(self, outcome: Outcome[Any, Any]) -> None:
        """A watch has come to this outcome."""
        kind = type(outcome).__name__.lower()
        error = None if isinstance(outcome, Succeeded) else type(outcome.error).__name__
        self.outcomes[kind, error] += 1
        if not isinstance(outcome, Abandoned):
            add_to(self.jobs[kind], outcome.elapsed_s, JOB_BOUNDS)
            if outcome.detected_within_s is not None:
                add_to(self.delays, outcome.detected_within_s, DELAY_BOUNDS)


def _row(bounds: tuple[float, ...]) -> Row:
    return [0] * (len(bounds) + 1) + [0.0]


def add_to(row: Row, seconds: float, bounds: tuple[float, ...]) -> None:
    """Add a duration to a row with these bounds."""
    row[bisect_left(bounds, seconds)] += 1
    row[len(bounds) + 1] += seconds


def histogram(row: Row, bounds: tuple[float, ...]) -> Histogram:
    """The histogram of a row, as it is now."""
    buckets = row[: len(bounds) + 2]  # one step, so that another thread gets one state
    return Histogram(bounds=bounds, counts=tuple(map(int, buckets[:-1])), sum_s=max(0.0, buckets[-1]))
