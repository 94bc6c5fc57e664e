"""What an answer means for its watch. What becomes of that in a whole pool is in `test_dispatcher.py`."""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Callable
from typing import Any, cast

import attrs
import pytest

from pollwise.core.machine import Policy, StepResult, WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.rate_budget import RateBudget
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    ConnectFailed,
    DeadlineExceeded,
    EndpointBug,
    MalformedReply,
    PollError,
    Problem,
    RateLimited,
    ServerUnavailable,
    UnknownOutcome,
    WatcherClosed,
    WatchError,
)
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase, Reading
from pollwise.runtime.poll_results import PollResults, give_up
from pollwise.runtime.poller import Poller, PollResult, Unasked
from pollwise.runtime.watch import Watch
from pollwise.testing import reply
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus, running


class Counted(ToyEndpoint):
    """Counts what it reads; `instead` is done in place of reading, if it is given."""

    def __init__(self, instead: Callable[[Reply], Reading[ToyStatus]] | None = None) -> None:
        super().__init__()
        self.instead = instead
        self.reads = 0

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        self.reads += 1
        return super().read(reply) if self.instead is None else self.instead(reply)


@attrs.define
class Hand:
    """What an answer needs of the poller that has got it."""

    permit: int = 0
    refusal: AuthenticationError | None = None


class Desk:
    """Answers for one watch, with all that is about them in reach."""

    def __init__(
        self,
        endpoint: Counted | None = None,
        *,
        timeout_s: float | None = None,
        dice: Callable[[], float] = lambda: 0.5,
        clock: Callable[[], float] = lambda: 1e9,
    ) -> None:
        self.endpoint = endpoint or Counted()
        self.budget = RateBudget()
        self.hand = Hand()
        rules = Policy(pacing=Pacing(), retry=Retry(), timeout_s=timeout_s)
        machine = WatchMachine[ToyJob, ToyStatus](ToyJob(), rules, now=0.0)
        self.watch = Watch(machine, cast("Any", None))  # nobody here asks its pool for anything
        self.share = self.budget.share()
        self._answers = PollResults(endpoint=self.endpoint, share=self.share, dice=dice, clock=clock)

    def take(self, answer: PollResult, now: float = 1.0) -> StepResult:
        self.hand.permit = self.share.acquire(now)
        self.watch.machine.asked(now)
        return self._answers.news(cast("Poller[ToyJob, ToyStatus]", self.hand), self.watch, answer, now)

    @property
    def why(self) -> WatchError:
        assert isinstance(self.watch.outcome, Abandoned)
        return self.watch.outcome.error


def test_a_reply_is_read_and_the_same_again_is_not() -> None:
    """A change is news; what is no other than the last costs no reading."""
    desk = Desk()
    assert desk.take(reply(running(1))) is StepResult.PROGRESSED
    assert desk.take(reply(running(1))) is StepResult.QUIET
    assert desk.endpoint.reads == 1
    assert desk.take(reply(running(2))) is StepResult.PROGRESSED
    assert desk.take(reply(SUCCEEDED)) is StepResult.OVER
    assert desk.endpoint.reads == 3


class Named(Counted):
    """Reads the name of the job out of a reply, and refuses that of another."""

    def read_for(self, job: ToyJob, reply: Reply, /) -> Reading[ToyStatus]:
        if reply.headers["Job"] != job.id:
            raise reply.malformed("the reply is about another job")
        return self.read(reply)


def test_a_reply_about_another_job_is_not_believed() -> None:
    """An endpoint that can tell refuses it: the poll is repeated, and what comes then is read."""
    desk = Desk(Named())
    assert desk.take(reply(SUCCEEDED, headers={"Job": "another"})) is StepResult.RETRYING
    assert desk.take(reply(running(1), headers={"Job": desk.watch.job.id})) is StepResult.PROGRESSED
    assert desk.take(reply(SUCCEEDED, headers={"Job": desk.watch.job.id})) is StepResult.OVER
    assert desk.endpoint.reads == 2


def test_what_is_unconfirmed_is_read_each_time() -> None:
    """Each showing counts towards being believed."""
    desk = Desk()
    for now in (1.0, 31.0, 61.0):
        desk.take(reply({"state": "maybe-failed"}), now)
    assert desk.endpoint.reads == 3
    assert desk.watch.outcome is not None


def test_the_budget_hears_what_the_server_says_of_it() -> None:
    """With a good reply and with a refusal; the request is settled then."""
    desk = Desk()
    desk.take(reply(RUNNING, headers={"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}))
    assert (desk.budget.limit, desk.hand.permit) == (60, 0)
    assert desk.take(reply(status=429, headers={"Retry-After": "7"})) is StepResult.RETRYING
    assert (desk.budget.refused, desk.hand.permit) == (1, 0)
    assert desk.share.available_at(1.0) == pytest.approx(8.0)


def test_rate_headers_are_read_however_late_they_come() -> None:
    """A server that said nothing of a limit for long may begin to."""
    desk = Desk()
    for _ in range(100):
        desk.take(reply(RUNNING))
        assert desk.hand.permit == 0
    desk.take(reply(RUNNING, headers={"X-RateLimit-Limit": "60"}))
    assert (desk.budget.limit, desk.hand.permit) == (60, 0)
    desk.take(reply(status=429, headers={"Retry-After": "7"}))
    assert desk.budget.refused == 1


@pytest.mark.parametrize("answer", [reply(RUNNING), reply(RUNNING, status=202), reply(status=304)])
@pytest.mark.parametrize("hint", [0.0, 30.0, 300.0])
def test_a_good_reply_may_ask_for_a_pause(answer: Reply, hint: float) -> None:
    """`Retry-After` on 200, 202 and 304 lengthens the wait, also where the body repeats, and never shortens it."""
    desk = Desk()
    desk.take(reply(RUNNING), 1.0)
    alone = desk.watch.machine.due_at - 1.0
    for n in range(3):
        now = 100.0 * n + 10.0
        desk.take(attrs.evolve(answer, headers={**answer.headers, "Retry-After": str(hint)}), now)
        wait = desk.watch.machine.due_at - now
        assert max(alone, hint) <= wait <= max(hint * 1.1, 30.0)


def test_a_304_repeats_what_is_known() -> None:
    """After a good reading it is "unchanged"; before one it teaches nothing."""
    desk = Desk()
    assert desk.take(reply(status=304)) is StepResult.RETRYING
    desk.take(reply(RUNNING))
    assert desk.take(reply(status=304)) is StepResult.QUIET
    assert desk.watch.machine.failures == 0


def test_a_304_counts_as_another_showing_of_an_unconfirmed_end() -> None:
    """It says that the end is shown again."""
    desk = Desk()
    for now, answer in ((1.0, reply({"state": "maybe-failed"})), (31.0, reply(status=304)), (61.0, reply(status=304))):
        desk.take(answer, now)
    assert isinstance(desk.watch.outcome, Failed)


def test_a_state_in_a_header_is_seen_to_change() -> None:
    """The same body is no repetition where `read` may look at more: at anything, or at the fields that it names."""

    class InHeader(Counted):
        heeded: tuple[str, ...] | None = None

        @property
        def heeded_headers(self) -> tuple[str, ...] | None:  # type: ignore[override]  # the toy says ()
            return self.heeded

        def read(self, reply: Reply, /) -> Reading[ToyStatus]:
            self.reads += 1
            state = reply.headers["X-State"]
            return Reading(status=ToyStatus(state), phase=Phase(state), final=state == "succeeded")

    for heeded, reads in ((None, 4), (("x-state",), 3)):
        endpoint = InHeader()
        endpoint.heeded = heeded
        desk = Desk(endpoint)
        news = [
            desk.take(reply({}, headers={"X-State": state})) for state in ("queued", "running", "running", "succeeded")
        ]
        assert news == [StepResult.PROGRESSED, StepResult.PROGRESSED, StepResult.QUIET, StepResult.OVER]
        assert endpoint.reads == reads


def test_a_throttle_inside_a_200_reaches_the_budget() -> None:
    """`read` raises RateLimited; the budget and the watch do as for a 429."""

    def throttled(_reply: Reply) -> Reading[ToyStatus]:
        raise RateLimited(7.0)

    desk = Desk(Counted(throttled))
    assert desk.take(reply({"code": "Throttling"})) is StepResult.RETRYING
    assert (desk.budget.refused, desk.hand.permit, desk.watch.machine.failures) == (1, 0, 0)
    assert desk.share.available_at(1.0) == pytest.approx(8.0)
    assert desk.watch.machine.due_at >= 8.0


@pytest.mark.parametrize("wait_s", [math.nan, -5.0, -math.inf])
def test_a_throttle_with_a_wait_that_is_none_says_no_wait(wait_s: float) -> None:
    """Then the header fields are looked at, and without them our own wait holds."""

    def throttled(_: Reply) -> Reading[ToyStatus]:
        raise RateLimited(wait_s)

    for headers, due_at in (({}, 1.5), ({"Retry-After": "7"}, 8.5)):
        desk = Desk(Counted(throttled))
        assert desk.take(reply(RUNNING, headers=headers)) is StepResult.RETRYING
        assert desk.watch.machine.due_at == due_at
        assert desk.share.available_at(1.0) <= 8.0


def test_the_vendors_codes_may_mean_a_throttle() -> None:
    """`problem` raises RateLimited for a refusal that is one, whatever its status code."""

    class Throttling(Counted):
        def problem(self, reply: Reply, /) -> Problem | None:
            raise RateLimited(None, Problem(("ThrottlingException",)), reply.status)

    desk = Desk(Throttling())
    assert desk.take(reply({"code": "ThrottlingException"}, status=400)) is StepResult.RETRYING
    assert (desk.budget.refused, desk.watch.machine.failures) == (1, 0)
    assert "ThrottlingException" in str(desk.watch.machine.retrying(1.0).error)


def test_a_503_with_retry_after_speaks_for_the_server() -> None:
    """No other watch of the token is asked until then, and the limit is not taken to be lower."""
    desk = Desk()
    assert desk.take(reply(status=503, headers={"Retry-After": "120"})) is StepResult.RETRYING
    assert desk.share.available_at(1.0) == pytest.approx(121.0)
    assert (desk.budget.refused, desk.hand.permit, desk.watch.machine.failures) == (0, 0, 1)


def test_a_refusal_that_is_not_believed_costs_no_watch() -> None:
    """Ten days are longer than any server means: the token waits for an hour, or for half of the time that is left."""
    for timeout_s, available_at in ((9000.0, 3601.0), (1801.0, 900.5)):
        desk = Desk(timeout_s=timeout_s)
        desk.take(reply(status=429, headers={"Retry-After": "900000"}))
        assert desk.share.available_at(1.0) == pytest.approx(available_at)
        assert desk.watch.machine.due_at <= 1.0 + 3600.0
        assert desk.watch.machine.due_at < timeout_s


@pytest.mark.parametrize("bad", [math.nan, -0.1, 1.0, math.inf])
def test_dice_must_be_dice(bad: float) -> None:
    """What is no number in [0, 1) ends the watch with the argument's name, not with silence."""
    desk = Desk(dice=lambda: bad)
    assert desk.take(reply(RUNNING)) is StepResult.OVER
    assert isinstance(desk.why, CallbackFailed)
    assert (desk.why.name, desk.why.kind, desk.why.job) == ("dice", "ValueError", ToyJob())


def test_no_fault_of_the_dice_hides_an_end() -> None:
    """After a final reading there is no wait to choose."""
    desk = Desk(dice=lambda: math.nan)
    assert desk.take(reply(SUCCEEDED)) is StepResult.OVER
    assert isinstance(desk.watch.outcome, Succeeded)


def test_a_clock_that_raises_is_not_called_the_endpoints_bug() -> None:
    """The clock is the caller's."""

    def broken() -> float:
        raise OSError("no clock")

    desk = Desk(clock=broken)
    answer = reply(status=429, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"})
    assert desk.take(answer) is StepResult.OVER
    assert isinstance(desk.why, CallbackFailed)
    assert (desk.why.name, desk.why.kind) == ("clock", "OSError")


def test_a_reading_that_contradicts_itself_is_told_in_its_own_words() -> None:
    """The endpoint's author learns what to write instead."""
    desk = Desk(Counted(lambda _reply: Reading(status=ToyStatus("x"), phase=Phase.SUCCEEDED)))
    assert desk.take(reply({})) is StepResult.OVER
    assert isinstance(desk.why, EndpointBug)
    assert "needs final=True" in str(desk.why)


def test_an_end_of_unknown_kind_is_no_success() -> None:
    """The watch is abandoned, with the last status and the vendor's word."""
    desk = Desk(
        Counted(lambda _reply: Reading(status=ToyStatus("x"), phase=Phase.RUNNING, final=True, unknown="state=odd"))
    )
    assert desk.take(reply({})) is StepResult.OVER
    assert isinstance(desk.why, UnknownOutcome)
    assert (desk.why.word, desk.watch.outcome.status) == ("state=odd", ToyStatus("x"))


@pytest.mark.parametrize(
    ("answer", "kind"),
    [(reply(status=503), ServerUnavailable), (reply([]), MalformedReply), (ConnectFailed("reset"), ConnectFailed)],
)
def test_what_teaches_nothing_is_repeated(answer: PollResult, kind: type[PollError]) -> None:
    """Whether the transport raised it, the status code says so, or the endpoint could not read it."""
    desk = Desk()
    assert desk.take(answer) is StepResult.RETRYING
    event = desk.watch.machine.retrying(1.0)
    assert type(event.error) is kind
    assert event.error.__traceback__ is None


def test_a_cancellation_out_of_an_endpoint_is_a_poll_that_taught_nothing() -> None:
    """Nobody of ours has cancelled anything."""

    def cancelled(_reply: Reply) -> Reading[ToyStatus]:
        raise asyncio.CancelledError

    desk = Desk(Counted(cancelled))
    assert desk.take(reply(RUNNING)) is StepResult.RETRYING


@pytest.mark.parametrize("answer", [reply(RUNNING), ZeroDivisionError("secret"), cast("PollResult", None)])
def test_what_cannot_be_mended_by_asking_again_ends_the_watch(answer: PollResult) -> None:
    """An endpoint that raises, a transport that does, and one that gives no reply: the error names the kind alone."""

    def broken(_reply: Reply) -> Reading[ToyStatus]:
        raise ZeroDivisionError("secret")

    desk = Desk(Counted(broken))
    assert desk.take(answer) is StepResult.OVER
    assert isinstance(desk.why, EndpointBug)
    assert "secret" not in str(desk.why)
    assert isinstance(desk.why.__cause__, (ZeroDivisionError, AttributeError))


def test_more_than_an_exception_is_for_whoever_runs_the_program() -> None:
    """KeyboardInterrupt goes through."""

    def interrupted(_reply: Reply) -> Reading[ToyStatus]:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Desk(Counted(interrupted)).take(reply(RUNNING))


def test_after_the_deadline_it_is_the_deadline_that_ends_the_watch() -> None:
    """Whatever was answered, unless the job is over."""
    for answer in (reply(status=503), ConnectFailed("reset"), ZeroDivisionError(), WatcherClosed()):
        desk = Desk(timeout_s=10)
        assert desk.take(answer, now=10.0) is StepResult.OVER
        assert isinstance(desk.why, DeadlineExceeded)


def test_the_servers_words_about_credentials_stay_with_the_poller() -> None:
    """A renewal that fails says less than they do."""
    desk = Desk()
    desk.take(reply({"code": 1}, status=401))
    assert desk.hand.refusal is not None
    assert desk.hand.refusal.problem is not None


def test_a_renewal_has_the_watch_asked_again_at_once_and_nothing_asked_is_nothing_new() -> None:
    """Neither is news."""
    desk = Desk()
    desk.take(reply(RUNNING))
    due_at = desk.watch.machine.due_at
    assert desk.take(Unasked.IDLE) is StepResult.QUIET
    assert desk.watch.machine.due_at == due_at > 1.0
    assert desk.take(Unasked.RENEWED) is StepResult.QUIET
    assert desk.watch.machine.due_at == 1.0


def test_an_unknown_value_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """And no more than a thousand different ones."""
    desk = Desk()
    with caplog.at_level(logging.WARNING, logger="pollwise"):
        for n in range(1_002):
            for done in (n, -n):
                desk.take(reply({"state": f"odd-{n}", "done": done}))
    assert len(caplog.records) == 1_000


def test_giving_up_for_a_reason_of_ours_keeps_the_reason() -> None:
    """What was raised as the end of a watch is its end, without the frames that it was raised in."""
    desk = Desk()
    with pytest.raises(WatcherClosed) as caught:
        raise WatcherClosed(desk.watch.job)
    assert give_up(desk.watch, caught.value, 1.0) is StepResult.OVER
    assert isinstance(desk.why, WatcherClosed)
    assert desk.why.__traceback__ is None
    assert give_up(desk.watch, ZeroDivisionError(), 1.0) is StepResult.QUIET


def test_a_failed_job_is_the_vendors_word() -> None:
    """It is no error of ours."""
    desk = Desk()
    assert desk.take(reply(FAILED)) is StepResult.OVER
    assert not isinstance(desk.watch.outcome, Abandoned)
