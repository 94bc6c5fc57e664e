"""No header text delays a poll for longer than `longest_hint_s`, and none makes a poll earlier."""

from __future__ import annotations

import math
from typing import Any, cast

from hypothesis import example, given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pollwise.core.concurrency_limiter import ConcurrencyLimiter
from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.poll_results import PollResults
from pollwise.core.scheduler import Expire, Scheduler, Send
from pollwise.core.token_budget import TokenBudget
from pollwise.model.messages import Reply
from pollwise.runtime.driven_watch import DrivenWatch
from toy import ToyEndpoint, ToyJob, ToyStatus

LONGEST_S = 900.0
WALL = 1_764_408_030.0
OWN_WAIT_S = 66.0  # the longest wait of ours, with its jitter
ROUNDING_S = 0.5  # of the timer queue

NAMES = [
    *("Retry-After", "retry-after-ms", "x-ms-retry-after-ms", "X-Retry-After", "X-RateLimit-Retry-After", "Date"),
    *(
        f"{prefix}{kind}"
        for prefix in ("X-RateLimit-", "X-Rate-Limit-", "RateLimit-", "Rate-Limit-")
        for kind in ("Limit", "Remaining", "Reset", "Reset-After", "Limit-Minute", "Remaining-Hour", "Reset-Requests")
    ),
    *("RateLimit", "RateLimit-Policy", "anthropic-ratelimit-requests-reset", "anthropic-ratelimit-requests-remaining"),
]
DATES = st.sampled_from(
    [
        "Sat, 29 Nov 2025 09:20:30 GMT",
        "Saturday, 29-Nov-25 09:20:30 GMT",
        "Sat Nov 29 09:20:30 2025",
        "Wed, 21 Oct 3000 07:28:00 GMT",
        "Thu, 01 Jan 1970 00:00:00 GMT",
        "2025-11-29T10:20:30Z",
        "9999-12-31T23:59:59.999999999+14:00",
        "2025-11-29T09:20:31.5+0100",
    ]
)
WHOLE = st.one_of(st.integers(0, 100), st.sampled_from([10**n for n in range(24)]), st.integers(0, 10**22)).map(str)
NUMBERS = st.one_of(
    WHOLE,
    st.floats().map(repr),
    st.integers(-(10**6), -1).map(str),
    st.sampled_from(["1e9", "0x10", "nan", "inf", "9" * 400, "+5", "1_000", "٣", "1,5", " 7 ", "007", "1.", ".5"]),
    st.integers(int(WALL) - 10, int(WALL) + 10_000).map(str),
    st.integers(int(WALL) * 1000, int(WALL) * 1000 + 10**8).map(str),
)
DURATIONS = st.builds("".join, st.lists(st.builds("{}{}".format, NUMBERS, st.sampled_from("dhmsun")), max_size=4))
STRUCTURED = st.builds('"{}";q={};r={};t={};w={}, limit={}, remaining={};reset={}'.format, NUMBERS, *[NUMBERS] * 7)
ANY_TEXT = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
VALUES = st.one_of(
    NUMBERS,
    DATES,
    DURATIONS,
    STRUCTURED,
    ANY_TEXT,
    st.lists(st.one_of(NUMBERS, DATES), min_size=2, max_size=5).map(", ".join),
    st.builds(
        str.__mul__, st.one_of(NUMBERS, st.sampled_from([",", ";", '"', "1s", "Mon,", "="])), st.integers(1, 9_000)
    ),
)
FIELDS = st.lists(st.tuples(st.sampled_from(NAMES), VALUES), max_size=6)
STATUSES = [
    200,
    202,
    301,
    304,
    400,
    401,
    402,
    403,
    404,
    408,
    409,
    410,
    420,
    422,
    423,
    425,
    429,
    500,
    502,
    503,
    504,
    599,
]
BODY = b'{"state": "running"}'


class Bench:
    """One watch with its replies and its budget, and a clock that the test sets."""

    def __init__(self, *, timeout_s: float | None, dice: float, seen: bool) -> None:
        self.budget = TokenBudget(longest_hint_s=LONGEST_S)
        rules = Policy(
            pacing=Pacing(), retry=Retry(), timeout_s=timeout_s, longest_hint_s=LONGEST_S, forecast=Forecast()
        )
        self.machine = WatchMachine[ToyJob, ToyStatus](ToyJob(), rules, now=0.0)
        self.watch = DrivenWatch(self.machine, cast("Any", None))
        self._results = PollResults(
            endpoint=ToyEndpoint(), budget=self.budget, dice=lambda: dice, clock=lambda: WALL, on_unknown=str
        )
        self.turns: Scheduler[Any] = Scheduler(
            rules.forecast,
            self.budget,
            ConcurrencyLimiter(64),
            cpu_s=lambda: 0.0,
            on_throttled=lambda *_: None,
        )
        self.permit = 0
        self.refusal: object = None
        self.sent_at = 0.0
        if seen:
            self.take(200, CIMultiDict(), 0.0)

    def take(self, status: int, headers: CIMultiDict[str], now: float) -> None:
        """A poll is sent, and its reply is received at the same time."""
        self.permit = self.budget.acquire(now)
        self.machine.asked(now)
        answer = Reply(status, headers, BODY if status != 304 else b"")
        self._results.on_result(self, self.watch.machine, answer, now)

    def handed_out_at(self, now: float) -> float:
        """When the watch is polled next: its due time, or the time of the budget's next permit."""
        now = self.turns.put(self.watch, now)
        for _ in range(1_000):
            action = self.turns.next_action(now)
            if isinstance(action, Send):
                return now
            if isinstance(action, Expire):
                return self.machine.deadline
            now = min(max(action.at, now + 1e-6), max(self.machine.deadline, now))
        raise AssertionError("the budget never lets it go")


def polled(
    status: int, fields: list[tuple[str, str]], *, timeout_s: float | None, dice: float, seen: bool, at: float
) -> Bench:
    bench = Bench(timeout_s=timeout_s, dice=dice, seen=seen)
    bench.take(status, CIMultiDict(fields), at)
    return bench


CASES = {
    "status": st.sampled_from(STATUSES),
    "fields": FIELDS,
    "timeout_s": st.sampled_from([None, 10.0, 100.0, 600.0, 3_600.0, 86_400.0]),
    "dice": st.sampled_from([0.0, 0.25, 0.5, 0.999]),
    "seen": st.booleans(),
    "at": st.sampled_from([1.0, 5.0, 8.5]),
}


@given(**CASES)
@example(429, [("Retry-After", "9" * 400)], 3_600.0, 0.5, True, 1.0)
@example(200, [("Retry-After", "864000")], None, 0.999, True, 1.0)
@example(404, [("Retry-After", "20"), ("X-RateLimit-Remaining", "0")], 100.0, 0.0, False, 1.0)
@example(429, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60000")], 3_600.0, 0.0, True, 1.0)
def test_no_header_holds_a_poll_back_for_longer_than_is_believed_and_none_makes_it_sooner(
    status: int, fields: list[tuple[str, str]], timeout_s: float | None, dice: float, seen: bool, at: float
) -> None:
    """The watch's own due time: at most `longest_hint_s` and our own wait, never past the deadline, never sooner."""
    hinted = polled(status, fields, timeout_s=timeout_s, dice=dice, seen=seen, at=at).machine
    unhinted = polled(status, [], timeout_s=timeout_s, dice=dice, seen=seen, at=at).machine
    if hinted.outcome is not None:
        assert unhinted.outcome is not None
        return
    assert hinted.due_at <= min(at + LONGEST_S + OWN_WAIT_S, hinted.deadline)
    if unhinted.outcome is None:
        assert hinted.due_at >= unhinted.due_at
    else:  # a refusal that says when to come back is no end
        assert hinted.due_at >= at


@given(**CASES)
@example(200, [("X-Rate-Limit-Remaining-Hour", "0")], None, 0.5, True, 1.0)
@example(200, [("RateLimit", "limit=60, remaining=0, reset=1764408030000000")], 3_600.0, 0.5, True, 1.0)
@example(200, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60000")], 3_600.0, 0.5, True, 1.0)
@example(429, [("X-RateLimit-Remaining", "0"), ("X-RateLimit-Reset", "60000")], None, 0.5, True, 1.0)
def test_no_header_has_the_budget_hold_a_poll_back_for_longer_than_is_believed(
    status: int, fields: list[tuple[str, str]], timeout_s: float | None, dice: float, seen: bool, at: float
) -> None:
    """With the budget: the same bounds."""
    bench = polled(status, fields, timeout_s=timeout_s, dice=dice, seen=seen, at=at)
    if bench.machine.outcome is not None:
        return
    asked_at = bench.handed_out_at(at)
    assert asked_at <= min(at + LONGEST_S + OWN_WAIT_S + ROUNDING_S, bench.machine.deadline)
    assert math.isfinite(asked_at)
