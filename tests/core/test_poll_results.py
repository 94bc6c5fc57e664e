"""What an answer means for its watch. What becomes of that in a whole pool is in `test_dispatcher.py`."""

from __future__ import annotations

import logging
import math
from collections import Counter
from collections.abc import Callable, Mapping
from typing import Any, cast

import attrs
import orjson
import pytest

from poll_bench import Bench, Counted
from pollwise.core.header_hints import HintReader
from pollwise.core.poll_results import stop_with
from pollwise.core.watch_state import StepResult
from pollwise.errors import (
    CallbackFailed,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    MalformedReply,
    NotVisibleYet,
    PollError,
    Problem,
    RateLimited,
    ServerUnavailable,
    UnknownOutcome,
    WatcherClosed,
)
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase, Reading
from pollwise.runtime.poller import PollResult
from pollwise.testing import reply
from toy import FAILED, RUNNING, SUCCEEDED, ToyJob, ToyStatus, running


def test_a_reply_is_read_and_the_same_again_is_not() -> None:
    """A change is news; what is no other than the last costs no reading."""
    bench = Bench()
    assert bench.take(reply(running(1))) is StepResult.PROGRESSED
    assert bench.take(reply(running(1))) is StepResult.QUIET
    assert bench.endpoint.reads == 1
    assert bench.take(reply(running(2))) is StepResult.PROGRESSED
    assert bench.take(reply(SUCCEEDED)) is StepResult.OVER
    assert bench.endpoint.reads == 3


def test_a_short_reply_that_is_too_deep_is_cut_before_it_is_read() -> None:
    """What is too deep is null, and the rest is read. A body of 300 bytes can have 150 levels."""
    seen: list[Any] = []

    def read(reply: Reply) -> Reading[ToyStatus]:
        seen.append(reply.json())
        return Reading.running(ToyStatus("running"))

    bench = Bench(Counted(read))
    for depth in (99, 150):
        body = b'{"log": %b, "state": "running"}' % (b"[" * depth + b"]" * depth)
        bench.take(attrs.evolve(reply(), body=body))
        assert seen[-1]["state"] == "running"
    assert b"null" not in orjson.dumps(seen[0])
    assert b"null" in orjson.dumps(seen[1])


class Named(Counted):
    """Reads the name of the job out of a reply, and refuses that of another."""

    def read_for(self, job: ToyJob, reply: Reply, /) -> Reading[ToyStatus]:
        if reply.headers["Job"] != job.id:
            raise reply.malformed("the reply is about another job")
        return self.read(reply)


def test_a_reply_about_another_job_is_not_believed() -> None:
    """An endpoint with `read_for` refuses it. The poll is repeated, and the next reply is read."""
    bench = Bench(Named())
    assert bench.take(reply(SUCCEEDED, headers={"Job": "another"})) is StepResult.RETRYING
    assert bench.take(reply(running(1), headers={"Job": bench.watch.job.id})) is StepResult.PROGRESSED
    assert bench.take(reply(SUCCEEDED, headers={"Job": bench.watch.job.id})) is StepResult.OVER
    assert bench.endpoint.reads == 2


def test_what_is_unconfirmed_is_read_each_time() -> None:
    """Each showing counts towards being believed."""
    bench = Bench()
    for now in (1.0, 31.0, 61.0):
        bench.take(reply({"state": "maybe-failed"}), now)
    assert bench.endpoint.reads == 3
    assert bench.watch.outcome is not None


def test_the_budget_hears_what_the_server_says_of_it() -> None:
    """With a good reply and with a refusal; the request is settled then."""
    bench = Bench()
    bench.take(reply(RUNNING, headers={"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}))
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)
    assert bench.take(reply(status=429, headers={"Retry-After": "7"})) is StepResult.RETRYING
    assert (bench.budget.refused, bench.hand.permit) == (1, 0)
    assert bench.budget.available_at(1.0) == pytest.approx(8.0)


def test_rate_headers_are_read_however_late_they_come() -> None:
    """A server that said nothing of a limit for long may begin to."""
    bench = Bench()
    for _ in range(100):
        bench.take(reply(RUNNING))
        assert bench.hand.permit == 0
    bench.take(reply(RUNNING, headers={"X-RateLimit-Limit": "60"}))
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)
    bench.take(reply(status=429, headers={"Retry-After": "7"}))
    assert bench.budget.refused == 1


@pytest.mark.parametrize("answer", [reply(RUNNING), reply(RUNNING, status=202), reply(status=304)])
@pytest.mark.parametrize("hint", [0.0, 30.0, 300.0])
def test_a_good_reply_may_ask_for_a_pause(answer: Reply, hint: float) -> None:
    """`Retry-After` on 200, 202 and 304 lengthens the wait, also where the body repeats, and never shortens it."""
    bench = Bench()
    bench.take(reply(RUNNING), 1.0)
    alone = bench.watch.machine.due_at - 1.0
    for n in range(3):
        now = 100.0 * n + 10.0
        bench.take(attrs.evolve(answer, headers={**answer.headers, "Retry-After": str(hint)}), now)
        wait = bench.watch.machine.due_at - now
        assert max(alone, hint) <= wait <= max(hint * 1.1, 30.0)


def test_a_304_repeats_what_is_known() -> None:
    """After a good reading it is "unchanged"; before one it teaches nothing."""
    bench = Bench()
    assert bench.take(reply(status=304)) is StepResult.RETRYING
    bench.take(reply(RUNNING))
    assert bench.take(reply(status=304)) is StepResult.QUIET
    assert bench.watch.machine.failures == 0


def test_a_304_counts_as_another_showing_of_an_unconfirmed_end() -> None:
    """It says that the end is shown again."""
    bench = Bench()
    for now, answer in ((1.0, reply({"state": "maybe-failed"})), (31.0, reply(status=304)), (61.0, reply(status=304))):
        bench.take(answer, now)
    assert isinstance(bench.watch.outcome, Failed)


def test_a_state_in_a_header_is_seen_to_change() -> None:
    """The same body is no repetition where `read` may look at more: at anything, or at the fields that it names."""

    class InHeader(Counted):
        def read(self, reply: Reply, /) -> Reading[ToyStatus]:
            self.reads += 1
            state = reply.headers["X-State"]
            return Reading(status=ToyStatus(state), phase=Phase(state), final=state == "succeeded")

    for heeded, reads in ((None, 4), (("x-state",), 3)):
        endpoint = InHeader()
        endpoint.heeded_headers = heeded
        bench = Bench(endpoint)
        news = [
            bench.take(reply({}, headers={"X-State": state})) for state in ("queued", "running", "running", "succeeded")
        ]
        assert news == [StepResult.PROGRESSED, StepResult.PROGRESSED, StepResult.QUIET, StepResult.OVER]
        assert endpoint.reads == reads


class Deletion(Counted):
    """The job is over when it is gone (404), failed when the server calls it invalid (422), and runs before."""

    answer_statuses = frozenset({303, 404, 422})

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        self.reads += 1
        status = ToyStatus(str(reply.status))
        match reply.status:
            case 404:
                reply.json()
                return Reading.succeeded(status)
            case 422:
                return Reading.failed(status, reason="invalid")
        return Reading.running(status)


@pytest.mark.parametrize(("code", "outcome"), [(404, Succeeded), (422, Failed)])
def test_a_refusal_that_the_endpoint_reads_is_an_answer(code: int, outcome: type) -> None:
    """The first poll may bring it, and it takes neither a grace nor a retry."""
    bench = Bench(Deletion())
    assert bench.take(reply({"state": "any"}, status=303)) is StepResult.PROGRESSED
    assert bench.take(reply({}, status=code)) is StepResult.OVER
    assert isinstance(bench.watch.outcome, outcome)
    assert (bench.hand.permit, bench.watch.machine.failures) == (0, 0)


@pytest.mark.parametrize("code", [400, 403, 408, 410, 500, 503])
def test_a_refusal_that_the_endpoint_does_not_read_stays_one(code: int) -> None:
    """`answer_statuses` changes nothing for other codes."""
    plain, reading = Bench(), Bench(Deletion())
    for bench in (plain, reading):
        bench.take(reply({}, status=code))
    assert reading.endpoint.reads == 0
    assert type(reading.watch.outcome) is type(plain.watch.outcome)
    assert reading.watch.machine.failures == plain.watch.machine.failures


def test_a_page_in_place_of_an_answer_is_a_refusal() -> None:
    """The 404 of a gateway is no answer of the API: `read` raises MalformedReply, and the 404 has its usual grace."""
    bench = Bench(Deletion())
    assert bench.take(attrs.evolve(reply({}, status=404), body=b"<html>not found</html>")) is StepResult.RETRYING
    assert isinstance(bench.watch.machine.retrying(1.0).error, NotVisibleYet)
    assert bench.hand.permit == 0


def test_an_answer_of_another_status_code_is_a_change() -> None:
    """A 303 and a 404 with the same body are different replies."""
    bench = Bench(Deletion())
    assert bench.take(reply({}, status=303)) is StepResult.PROGRESSED
    assert bench.take(reply({}, status=303)) is StepResult.QUIET
    assert bench.endpoint.reads == 1
    assert bench.take(reply({}, status=404)) is StepResult.OVER


def _hinting(wait_s: float) -> Counted:
    return Counted(lambda _: Reading.running(ToyStatus("running"), poll_after_s=wait_s))


@pytest.mark.parametrize(
    ("in_body", "in_header", "due_at"),
    [(90.0, None, 95.5), (90.0, "200", 211.0), (90.0, "20", 95.5), (0.0, None, None), (7200.0, None, 3601.0)],
)
def test_a_hint_in_the_body_lengthens_the_wait(in_body: float, in_header: str | None, due_at: float | None) -> None:
    """The longest of body, header and pacing is the wait, up to `longest_hint_s`. Jitter makes it longer only."""
    headers = {} if in_header is None else {"Retry-After": in_header}
    bench, usual = Bench(_hinting(in_body)), Bench()
    bench.take(reply(RUNNING, headers=headers))
    usual.take(reply(RUNNING))
    machine = bench.watch.machine
    assert machine.due_at == pytest.approx(usual.watch.machine.due_at if due_at is None else due_at)
    assert machine.due_at >= usual.watch.machine.due_at


@pytest.mark.parametrize("in_body", [math.nan, -1.0, -math.inf])
def test_a_hint_that_is_no_wait_is_ignored(in_body: float) -> None:
    """The header field, or the pacing, decides."""
    bench, usual = Bench(_hinting(in_body)), Bench()
    for each in (bench, usual):
        each.take(reply(RUNNING, headers={"Retry-After": "60"}))
    assert bench.watch.machine.due_at == usual.watch.machine.due_at


def test_an_equal_reply_gives_its_hint_again() -> None:
    """The wait after an unchanged reply is as long as after the first."""
    bench = Bench(_hinting(90.0))
    for _ in range(3):
        bench.take(reply(RUNNING), now=1.0)
        assert bench.watch.machine.due_at == pytest.approx(95.5)


def test_a_throttle_inside_a_200_reaches_the_budget() -> None:
    """`read` raises RateLimited; the budget and the watch do as for a 429."""

    def throttled(_reply: Reply) -> Reading[ToyStatus]:
        raise RateLimited(7.0)

    bench = Bench(Counted(throttled))
    assert bench.take(reply({"code": "Throttling"})) is StepResult.RETRYING
    assert (bench.budget.refused, bench.hand.permit, bench.watch.machine.failures) == (1, 0, 0)
    assert bench.budget.available_at(1.0) == pytest.approx(8.0)
    assert bench.watch.machine.due_at >= 8.0


@pytest.mark.parametrize("wait_s", [math.nan, -5.0, -math.inf])
def test_a_throttle_with_a_wait_that_is_none_says_no_wait(wait_s: float) -> None:
    """Then the header fields decide, and without them our own wait."""

    def throttled(_: Reply) -> Reading[ToyStatus]:
        raise RateLimited(wait_s)

    for headers, due_at in (({}, 1.5), ({"Retry-After": "7"}, 8.5)):
        bench = Bench(Counted(throttled))
        assert bench.take(reply(RUNNING, headers=headers)) is StepResult.RETRYING
        assert bench.watch.machine.due_at == due_at
        assert bench.budget.available_at(1.0) <= 8.0


def test_the_vendors_codes_may_mean_a_throttle() -> None:
    """`problem` raises RateLimited for a refusal that is one, whatever its status code."""

    class Throttling(Counted):
        def problem(self, reply: Reply, /) -> Problem | None:
            raise RateLimited(None, Problem(("ThrottlingException",)), reply.status)

    bench = Bench(Throttling())
    assert bench.take(reply({"code": "ThrottlingException"}, status=400)) is StepResult.RETRYING
    assert (bench.budget.refused, bench.watch.machine.failures) == (1, 0)
    assert "ThrottlingException" in str(bench.watch.machine.retrying(1.0).error)


def test_a_503_with_retry_after_speaks_for_the_server() -> None:
    """No other watch of the token is asked until then, and the limit is not taken to be lower."""
    bench = Bench()
    assert bench.take(reply(status=503, headers={"Retry-After": "120"})) is StepResult.RETRYING
    assert bench.budget.available_at(1.0) == pytest.approx(121.0)
    assert (bench.budget.refused, bench.hand.permit, bench.watch.machine.failures) == (0, 0, 1)


def test_a_refusal_that_is_not_believed_costs_no_watch() -> None:
    """Ten days are longer than any server means: the token waits for an hour, or for half of the time that is left."""
    for timeout_s, available_at in ((9000.0, 3601.0), (1801.0, 900.5)):
        bench = Bench(timeout_s=timeout_s)
        bench.take(reply(status=429, headers={"Retry-After": "900000"}))
        assert bench.budget.available_at(1.0) == pytest.approx(available_at)
        assert bench.watch.machine.due_at <= 1.0 + 3600.0
        assert bench.watch.machine.due_at < timeout_s


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.0, math.inf])
def test_dice_must_be_dice(bad: float) -> None:
    """What is no number in [0, 1) ends the watch with the argument's name, not with silence."""
    bench = Bench(dice=lambda: bad)
    assert bench.take(reply(RUNNING)) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert (bench.why.name, bench.why.kind, bench.why.job) == ("dice", "ValueError", ToyJob())


def test_no_fault_of_the_dice_hides_an_end() -> None:
    """After a final reading there is no wait to choose."""
    bench = Bench(dice=lambda: math.nan)
    assert bench.take(reply(SUCCEEDED)) is StepResult.OVER
    assert isinstance(bench.watch.outcome, Succeeded)


def test_a_clock_that_raises_is_not_called_the_endpoints_bug() -> None:
    """The clock is the caller's."""

    def broken() -> float:
        raise OSError("no clock")

    bench = Bench(clock=broken)
    answer = reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert bench.take(answer) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert (bench.why.name, bench.why.kind) == ("clock", "OSError")


@pytest.mark.parametrize("bad", [math.nan, math.inf, None])
@pytest.mark.parametrize("status", [200, 429])
def test_a_clock_must_give_a_time(bad: Any, status: int) -> None:
    """What is no time ends the watch with the argument's name. It is not taken for a reply without a hint."""
    bench = Bench(clock=lambda: bad)
    answer = reply(RUNNING, status=status, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert bench.take(answer) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert (bench.why.name, bench.why.job) == ("clock", ToyJob())


def test_dice_that_give_no_number_are_not_called_the_endpoints_bug() -> None:
    """The comparison raises in place of the function."""
    nothing: Any = None
    bench = Bench(dice=lambda: nothing)
    assert bench.take(reply(RUNNING)) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert (bench.why.name, bench.why.kind) == ("dice", "TypeError")


class _CountingHeaders(dict[str, str]):
    """Counts how often the value of a field is looked up."""

    def __init__(self, fields: dict[str, str]) -> None:
        super().__init__(fields)
        self.lookups: Counter[str] = Counter()

    def __getitem__(self, name: str) -> str:
        self.lookups[name] += 1
        return super().__getitem__(name)

    def get(self, name: str, default: Any = None) -> Any:
        self.lookups[name] += 1
        return super().get(name, default)


@pytest.mark.parametrize("status", [200, 403, 404, 429, 503])
def test_the_hints_of_a_reply_are_parsed_once(status: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """The watch, the budget and the error all use what was found the first time."""
    reads: list[int] = []
    read = HintReader.read

    def counting(self: HintReader, headers: Mapping[str, str], clock: Callable[[], float]) -> Any:
        reads.append(status)
        return read(self, headers, clock)

    monkeypatch.setattr(HintReader, "read", counting)
    bench = Bench()
    fields = _CountingHeaders({"Retry-After": "7", "X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "0"})
    bench.take(attrs.evolve(reply(RUNNING, status=status), headers=fields))
    assert reads == [status]
    looked_up = {name: count for name, count in fields.lookups.items() if name in fields}
    assert set(looked_up.values()) == {1}, looked_up


def test_the_hints_of_a_throttle_inside_a_200_are_parsed_once() -> None:
    """The refusal in the body uses what was found in the header fields."""

    def throttled(_reply: Reply) -> Reading[ToyStatus]:
        raise RateLimited(None, None, 200)

    bench = Bench(Counted(throttled))
    fields = _CountingHeaders({"Retry-After": "7"})
    assert bench.take(attrs.evolve(reply({}), headers=fields)) is StepResult.RETRYING
    assert fields.lookups["Retry-After"] == 1
    assert bench.budget.available_at(1.0) == pytest.approx(8.0)


def _raising() -> float:
    raise ZeroDivisionError


_ROADS: dict[str, list[Any]] = {
    "a new reading": [reply(running(1))],
    "the same reply again": [reply(running(1)), reply(running(1))],
    "304": [reply(running(1)), reply(status=304)],
    "503": [reply(status=503)],
    "429": [reply(status=429)],
    "404": [reply(status=404)],
    "no connection": [ConnectFailed("reset")],
    "an unconfirmed end": [reply({"state": "maybe-failed"})],
}


@pytest.mark.parametrize("road", _ROADS)
@pytest.mark.parametrize(
    "given", [_raising, lambda: math.nan, lambda: 1.0, lambda: None], ids=["raises", "nan", "1", "None"]
)
def test_a_fault_of_the_dice_is_never_the_endpoints(road: str, given: Callable[[], Any]) -> None:
    """On each road that needs a random number, the caller reads which function to correct."""
    *before, last = _ROADS[road]
    good = True
    bench = Bench(dice=lambda: 0.5 if good else given())
    for answer in before:
        bench.take(answer)
    good = False
    assert bench.take(last, now=2.0) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert bench.why.name == "dice"


@pytest.mark.parametrize("status", [200, 404, 429, 503])
@pytest.mark.parametrize("given", [_raising, lambda: math.nan, lambda: None], ids=["raises", "nan", "None"])
def test_a_fault_of_the_clock_is_never_the_endpoints(status: int, given: Callable[[], Any]) -> None:
    """A date in a hint needs the clock, whatever the status code."""
    bench = Bench(clock=given)
    late = {"Retry-After": "Wed, 21 Oct 2099 07:28:00 GMT"}
    assert bench.take(reply(RUNNING, status=status, headers=late)) is StepResult.OVER
    assert isinstance(bench.why, CallbackFailed)
    assert bench.why.name == "clock"


def test_a_reading_that_contradicts_itself_is_explained() -> None:
    """The endpoint's author learns what to write instead."""
    bench = Bench(Counted(lambda _reply: Reading(status=ToyStatus("x"), phase=Phase.SUCCEEDED)))
    assert bench.take(reply({})) is StepResult.OVER
    assert isinstance(bench.why, EndpointBug)
    assert "needs final=True" in str(bench.why)


def test_an_end_of_unknown_kind_is_no_success() -> None:
    """The watch is abandoned, with the last status and the vendor's word."""
    bench = Bench(
        Counted(lambda _reply: Reading(status=ToyStatus("x"), phase=Phase.RUNNING, final=True, unknown="state=odd"))
    )
    assert bench.take(reply({})) is StepResult.OVER
    assert isinstance(bench.why, UnknownOutcome)
    assert (bench.why.word, bench.watch.outcome.status) == ("state=odd", ToyStatus("x"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(reply(status=503), ServerUnavailable), (reply([]), MalformedReply), (ConnectFailed("reset"), ConnectFailed)],
)
def test_what_teaches_nothing_is_repeated(answer: PollResult, kind: type[PollError]) -> None:
    """Whether the transport raised it, the status code says so, or the endpoint could not read it."""
    bench = Bench()
    assert bench.take(answer) is StepResult.RETRYING
    event = bench.watch.machine.retrying(1.0)
    assert type(event.error) is kind
    assert event.error.__traceback__ is None


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (reply(RUNNING), "by none"),
        (ZeroDivisionError("by none"), "by none"),
        (cast("PollResult", None), "read must return a Reading"),
    ],
)
def test_what_cannot_be_mended_by_asking_again_ends_the_watch(answer: PollResult, words: str) -> None:
    """An endpoint that raises, a transport that does, and one that gives no reply: the error has its words."""

    def broken(_reply: Reply) -> Reading[ToyStatus]:
        raise ZeroDivisionError("by none")

    bench = Bench(Counted(broken))
    assert bench.take(answer) is StepResult.OVER
    assert isinstance(bench.why, EndpointBug)
    assert words in str(bench.why)
    assert isinstance(bench.why.__cause__, (ZeroDivisionError, AttributeError))


def test_more_than_an_exception_goes_through() -> None:
    """KeyboardInterrupt goes through."""

    def interrupted(_reply: Reply) -> Reading[ToyStatus]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Bench(Counted(interrupted)).take(reply(RUNNING))


def test_after_the_deadline_it_is_the_deadline_that_ends_the_watch() -> None:
    """Whatever was answered, unless the job is over."""
    for answer in (reply(status=503), ConnectFailed("reset"), ZeroDivisionError(), WatcherClosed()):
        bench = Bench(timeout_s=10)
        assert bench.take(answer, now=10.0) is StepResult.OVER
        assert isinstance(bench.why, DeadlineExceeded)


def test_the_servers_words_about_credentials_stay_with_the_poller() -> None:
    """A renewal that fails says less than they do."""
    bench = Bench()
    bench.take(reply({"code": 1}, status=401))
    assert bench.hand.refusal is not None
    assert bench.hand.refusal.problem is not None


def test_a_renewal_has_the_watch_asked_again_at_once() -> None:
    """The next poll is due when the credentials are there."""
    bench = Bench()
    assert bench.take(reply(status=401)) is StepResult.OVER  # without credentials there is nothing to renew
    bench = Bench()
    bench.take(reply(RUNNING))
    assert bench.watch.machine.due_at > 1.0
    bench.watch.machine.on_renewed(now=1.0)
    assert bench.watch.machine.due_at == 1.0


def test_an_unknown_value_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """And no more than a thousand different ones."""
    bench = Bench()
    with caplog.at_level(logging.WARNING, logger="pollwise"):
        for n in range(1_002):
            for done in (n, -n):
                bench.take(reply({"state": f"odd-{n}", "done": done}))
    assert len(caplog.records) == 1_000


def test_giving_up_for_a_reason_of_ours_keeps_the_reason() -> None:
    """What was raised as the end of a watch is its end, without the frames that it was raised in."""
    bench = Bench()
    with pytest.raises(WatcherClosed) as caught:
        raise WatcherClosed(bench.watch.job)
    assert stop_with(bench.watch.machine, caught.value, 1.0) is StepResult.OVER
    assert isinstance(bench.why, WatcherClosed)
    assert bench.why.__traceback__ is None
    assert stop_with(bench.watch.machine, ZeroDivisionError(), 1.0) is StepResult.QUIET


def test_a_failed_job_is_the_vendors_word() -> None:
    """It is no error of ours."""
    bench = Bench()
    assert bench.take(reply(FAILED)) is StepResult.OVER
    assert not isinstance(bench.watch.outcome, Abandoned)
