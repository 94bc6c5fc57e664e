"""What a reply to a call means for its watch: its cursor, its own limits and its refusals."""

from __future__ import annotations

from typing import Any

import attrs
import pytest
from yarl import URL

from poll_bench import Bench, Counted
from pollwise.core.call_machine import CallMachine
from pollwise.core.watch_state import StepResult
from pollwise.errors import AuthenticationError, MalformedReply, PermissionDenied, PollError, Problem, ServerUnavailable
from pollwise.model.calls import StatusCall
from pollwise.model.cursor import Cursor
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Reading
from pollwise.testing import reply
from toy import RUNNING, ToyJob, ToyStatus, running

LIMIT = {"X-RateLimit-Limit": "60", "X-RateLimit-Remaining": "59"}
SECRET = "abc12"  # so short that it may be a word of the reply's own


class Following(StatusCall[ToyJob, ToyStatus]):
    """Each reading hands on the next of these cursors, and notes what it was made of."""

    def __init__(self, *cursors: Cursor, state: str = "running") -> None:
        super().__init__(Counted())
        self.state = state
        self.given = list(cursors)
        self.seen: list[tuple[ToyJob, Any, Cursor]] = []
        self.read = self._read

    def _read(self, job: ToyJob, reply: Reply, cursor: Cursor, /) -> Reading[ToyStatus]:
        self.seen.append((job, reply.json(), cursor))
        return Reading.running(
            ToyStatus(self.state, len(self.seen)), cursor=self.given.pop(0) if self.given else cursor
        )


def _machine(bench: Bench) -> CallMachine[ToyJob, ToyStatus]:
    machine = bench.watch.machine
    assert isinstance(machine, CallMachine)
    return machine


def _error(bench: Bench) -> PollError:
    return bench.watch.machine.retrying(1.0).error


def test_a_call_reads_with_the_job_and_the_cursor_of_the_last_reading() -> None:
    """The cursor is None at the start."""
    call = Following("a", "b")
    bench = Bench(call=call)
    for n in range(3):
        bench.take(reply(running(n)))
    assert call.seen == [(ToyJob(), running(n), cursor) for n, cursor in enumerate([None, "a", "b"])]
    assert bench.endpoint.reads == 0


def test_a_reply_at_another_cursor_is_read_though_it_is_the_same() -> None:
    """At the same cursor it is read once. There, another reply is read, too."""
    call = Following("a", "b", "b")
    bench = Bench(call=call)
    for body in (RUNNING, RUNNING, RUNNING, RUNNING, running(5), running(6), running(7), running(7)):
        bench.take(reply(body))
    assert [cursor for _, _, cursor in call.seen] == [None, "a", "b", "b", "b", "b"]


def test_a_cursor_that_the_endpoint_changes_later_stays_as_it_was() -> None:
    """A list or an object is copied. The rest of the reading is as the endpoint made it."""
    page = {"page": [1]}
    bench = Bench(call=Following(page))
    bench.take(reply(RUNNING))
    page["page"].append(2)
    assert _machine(bench).cursor == {"page": [1]}
    assert bench.watch.machine.status == ToyStatus("running", 1)


def test_the_error_of_a_cursor_that_is_too_large_says_so() -> None:
    """The poll failed. It is repeated with the cursor that was."""
    bench = Bench(call=Following("a", "x" * 5000))
    bench.take(reply(running(1)))
    assert bench.take(reply(running(2))) is StepResult.RETRYING
    error = _error(bench)
    assert isinstance(error, MalformedReply)
    assert error.reason == "its cursor cannot be kept: it has more than 4,096 bytes as JSON"
    assert _machine(bench).cursor == "a"


@pytest.mark.parametrize("cursor", [f"/next?key={SECRET}", {"key": [SECRET]}], ids=["text", "object"])
@pytest.mark.parametrize("state", ["running", f"at {SECRET}"])
def test_a_secret_in_a_cursor_is_sent_and_not_written_down(cursor: Cursor, state: str) -> None:
    """The next request needs it. It is masked in the status, which is kept."""
    bench = Bench(call=Following(cursor, "plain", state=state), secret=SECRET)
    bench.take(reply(running(1)))
    assert (_machine(bench).cursor, _machine(bench).kept_cursor) == (cursor, None)
    assert bench.watch.machine.status == ToyStatus(state.replace(SECRET, "***"), 1)
    bench.take(reply(running(2)))
    assert (_machine(bench).cursor, _machine(bench).kept_cursor) == ("plain", "plain")


@pytest.mark.parametrize("state", ["running", f"at {SECRET}"])
def test_a_cursor_without_a_secret_is_written_down(state: str) -> None:
    """Whatever the status has."""
    bench = Bench(call=Following("plain", state=state), secret=SECRET)
    bench.take(reply(RUNNING))
    assert (_machine(bench).cursor, _machine(bench).kept_cursor) == ("plain", "plain")
    assert bench.watch.machine.status == ToyStatus(state.replace(SECRET, "***"), 1)


# --- refusals -----------------------------------------------------------------------------------


def _resumed(cursor: Cursor) -> Bench:
    """A watch that goes on at a cursor, and whose status was not kept."""
    bench = Bench(call=Following())
    _machine(bench).cursor = cursor
    return bench


def test_a_304_to_a_cursor_whose_status_was_not_kept_asks_from_the_start() -> None:
    """Once. The error says why, and the budget learns what the reply says."""
    bench = _resumed('"tag"')
    assert bench.take(reply(status=304, headers=LIMIT)) is StepResult.RETRYING
    assert _machine(bench).cursor is None
    assert (bench.budget.limit, bench.hand.permit) == (60, 0)
    error = _error(bench)
    assert isinstance(error, MalformedReply)
    assert error.reason == "not modified, since a status that was not kept"


def test_a_304_to_a_call_without_a_cursor_is_explained() -> None:
    """It asked for no change since anything."""
    bench = _resumed(None)
    bench.take(reply(status=304))
    error = _error(bench)
    assert isinstance(error, MalformedReply)
    assert error.reason == "there is no earlier reply that it could repeat"


@pytest.mark.parametrize("status", [408, 500, 503])
def test_any_other_failure_keeps_the_cursor(status: int) -> None:
    """Only a 304 is about what was kept."""
    bench = _resumed('"tag"')
    bench.take(reply(status=status))
    assert _machine(bench).cursor == '"tag"'
    assert isinstance(_error(bench), ServerUnavailable)


def test_a_305_keeps_the_cursor_and_ends_the_watch() -> None:
    """It is a refusal like any other."""
    bench = _resumed('"tag"')
    assert bench.take(reply(status=305)) is StepResult.OVER
    assert _machine(bench).cursor == '"tag"'


def test_a_server_that_got_no_credentials_and_asks_for_them_denies_permission() -> None:
    """There is nothing to renew. The error names the job and what the server said."""
    bench = Bench(call=Following())
    elsewhere = Request(URL("https://elsewhere.example/1"), first_host="toy.example")
    answer = attrs.evolve(reply({"code": 1}, status=401), request=elsewhere)
    assert bench.take(answer) is StepResult.OVER
    assert isinstance(bench.why, PermissionDenied)
    assert bench.why.job == ToyJob()
    assert bench.why.problem == Problem(("TOY-1",), ("no luck",))
    assert bench.hand.refusal is None


@pytest.mark.parametrize("request_", [None, Request(URL("https://toy.example/a"))], ids=["unknown", "own"])
def test_a_server_that_refuses_the_credentials_makes_them_renewed(request_: Request | None) -> None:
    """Where they were sent to it."""
    bench = Bench(call=Following())
    bench.take(attrs.evolve(reply(status=401), request=request_))
    assert isinstance(bench.hand.refusal, AuthenticationError)


# --- limits -------------------------------------------------------------------------------------


@pytest.mark.parametrize("deep", [b"[1, 2, 3]", b'"text"'])
def test_a_short_reply_that_is_not_too_deep_is_read_whole(deep: bytes) -> None:
    """However many items and members it has."""
    call = Following()
    bench = Bench(call=call, limits=ReplyLimits(depth=2, items=1))
    bench.take(attrs.evolve(reply(), body=b'{"state": "running", "log": %b}' % deep))
    assert set(call.seen[0][1]) == {"state", "log"}
    assert call.seen[0][1]["log"] in ([1, 2, 3], "text")


# Of more members than are kept, those with a deciding key are kept, too.
MANY = b'{"deep": [[[1]]], %b, "state": "running", "other": 1}' % b", ".join(b'"%d": 1' % n for n in range(1500))
DECIDING = {"state", "other"}


@pytest.mark.parametrize(
    ("items", "deciding", "kept"),
    [(None, [], set()), (None, ["state"], {"state"}), (2, ["other"], {"other"}), (2000, [], DECIDING)],
)
def test_a_call_has_its_own_limits_and_deciding_keys(items: int | None, deciding: list[str], kept: set[str]) -> None:
    """Without limits of its own, those of the watcher. The keys that decide a status do not decide in a call."""
    call = Following()
    call.limits = None if items is None else ReplyLimits(depth=2, items=items)
    call.deciding_keys = deciding
    endpoint = Counted()
    endpoint.deciding_keys = tuple(DECIDING)
    bench = Bench(endpoint, call=call, limits=ReplyLimits(depth=2, items=1))
    bench.take(attrs.evolve(reply(), body=MANY))
    assert set(call.seen[0][1]) & DECIDING == kept


@pytest.mark.parametrize(("deciding", "kept"), [((), set()), (("state",), {"state"})])
def test_the_deciding_keys_of_an_endpoint_are_kept(deciding: tuple[str, ...], kept: set[str]) -> None:
    """In its polls, which have no call."""
    seen: list[Any] = []

    def read(reply: Reply) -> Reading[ToyStatus]:
        seen.append(reply.json())
        return Reading.running(ToyStatus("running"))

    endpoint = Counted(read)
    endpoint.deciding_keys = deciding
    bench = Bench(endpoint, limits=ReplyLimits(depth=2, items=1))
    bench.take(attrs.evolve(reply(), body=MANY))
    assert set(seen[0]) & DECIDING == kept
