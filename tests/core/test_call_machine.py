"""A watch that is asked with a cursor."""

from __future__ import annotations

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.call_machine import CallMachine, call_policy, machine_class
from pollwise.core.forecast import Forecast
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.core.watch_state import StepResult
from pollwise.errors import ConnectFailed, RateLimited
from pollwise.model.calls import Call, StatusCall
from pollwise.model.cursor import Cursor
from pollwise.model.reading import Phase, Reading
from toy import ToyEndpoint

CALL: Call[str, str] = StatusCall(ToyEndpoint())  # type: ignore[assignment]
POLICY = Policy(pacing=Pacing.fixed(5.0), retry=Retry(), timeout_s=3600.0, call=CALL)


class _Pages(StatusCall[str, str]):
    at_once = True
    starts_own: bool = False


def _machine(policy: Policy = POLICY) -> CallMachine[str, str]:
    return CallMachine("job", policy, now=0.0)


def test_only_a_watch_that_needs_a_cursor_has_a_place_for_one() -> None:
    """All others cost nothing more."""
    assert machine_class(POLICY) is CallMachine
    assert machine_class(attrs.evolve(POLICY, call=None)) is WatchMachine
    plain: WatchMachine[str, str] = WatchMachine("job", POLICY, now=0.0)
    assert (plain.call, plain.cursor) == (None, None)
    assert not hasattr(plain, "__dict__")


@given(
    st.lists(
        st.one_of(
            st.tuples(st.just("reading"), st.none() | st.text(max_size=3)),
            st.tuples(st.sampled_from(["failed", "throttled", "unchanged"]), st.none()),
        ),
        max_size=20,
    )
)
def test_the_cursor_is_that_of_the_last_reading(steps: list[tuple[str, str | None]]) -> None:
    """Neither failures nor unchanged replies move it."""
    machine, last, now = _machine(), None, 0.0
    for step, cursor in steps:
        now += 5.0
        machine.asked(now)
        match step:
            case "reading":
                machine.on_reading(Reading.running("x", cursor=cursor), now=now, dice=0.5)
                last = cursor
            case "unchanged" if machine.phase is not None:
                machine.on_unchanged(now=now, dice=0.5)
            case "throttled":
                machine.on_error(RateLimited(1.0), now=now, dice=0.5)
            case _:
                machine.on_error(ConnectFailed("x"), now=now, dice=0.5)
        assert machine.cursor == last


def test_an_ended_watch_keeps_the_cursor_of_its_end() -> None:
    """A reply that comes later changes nothing."""
    machine = _machine()
    machine.on_reading(Reading.running("x", cursor="a"), now=0.0, dice=0.5)
    machine.on_deadline(now=1.0)
    assert machine.on_reading(Reading.running("x", cursor="b"), now=2.0, dice=0.5) is StepResult.QUIET
    assert machine.cursor == "a"


@pytest.mark.parametrize("cursor", ["", "a", 0, 0.5, True, [], {}, ["a"], {"a": None}])
def test_a_cursor_without_a_secret_may_be_kept(cursor: Cursor) -> None:
    """Whatever JSON it is, also an empty text. One that is hidden may not be kept."""
    machine = _machine()
    machine.on_reading(Reading.running("x", cursor=cursor), now=0.0, dice=0.5)
    assert machine.kept_cursor == machine.cursor == cursor
    machine.hide_cursor(cursor)
    assert machine.kept_cursor is None


def test_a_moved_cursor_is_paced_like_any_poll() -> None:
    """A server that moves it with every reply gets no more requests."""
    machine = _machine()
    machine.on_reading(Reading.running("x", cursor="a"), now=10.0, dice=0.5)
    assert machine.due_at >= 14.0


def test_the_next_page_is_asked_for_at_once() -> None:
    """The same page again is paced, and a wait that the server asks for is kept."""
    machine = _machine(attrs.evolve(POLICY, call=_Pages(ToyEndpoint())))  # type: ignore[arg-type]
    machine.on_reading(Reading.running("x", cursor=1), now=10.0, dice=0.5)
    assert machine.due_at == 10.0
    machine.on_reading(Reading.running("x", cursor=1), now=11.0, dice=0.5)
    assert machine.due_at >= 15.0
    machine.on_reading(Reading.running("x", cursor=2), now=16.0, dice=0.5, hint_s=60.0)
    assert machine.due_at >= 76.0


def test_an_end_is_not_asked_about_again() -> None:
    """Whatever its cursor is."""
    machine = _machine(attrs.evolve(POLICY, call=_Pages(ToyEndpoint())))  # type: ignore[arg-type]
    assert machine.on_reading(attrs.evolve(Reading.succeeded("x"), cursor=1), now=1.0, dice=0.5) is StepResult.OVER
    assert machine.due_at == float("inf")


STATES = st.builds(
    ResumeState,
    age_s=st.floats(0.0, 1e6),
    left_s=st.none() | st.floats(-10.0, 0.0) | st.floats(0.0, 1e6),
    polls=st.integers(5, 9),
    failures=st.integers(0, 5),
    phase=st.none() | st.just(Phase.RUNNING),
    status=st.just("x"),
    seen_s=st.none() | st.just(0.0),
    visible=st.booleans(),
    cursor=st.none() | st.text(max_size=3),
)


@given(STATES, st.floats(0.0, 100.0), st.floats(0.0, 100.0))
def test_a_resumed_watch_is_as_any_other_and_at_its_cursor(
    state: ResumeState[str], after_s: float, grace_s: float
) -> None:
    """Its deadline, its counts, its first poll and its grace are those that a watch without a cursor has."""
    for options in ({"now": 7.0}, {"now": 7.0, "after_s": after_s, "grace_s": grace_s}):
        plain: WatchMachine[str, str] = WatchMachine.resumed("job", POLICY, state, **options)
        machine: CallMachine[str, str] = CallMachine.resumed("job", POLICY, state, **options)
        assert machine.cursor == machine.kept_cursor == state.cursor
        facts = (
            "job",
            "started_at",
            "deadline",
            "due_at",
            "polls",
            "failures",
            "phase",
            "status",
            "seen_s",
            "agreed_deadline",
        )
        assert [getattr(machine, name) for name in facts] == [getattr(plain, name) for name in facts]
        for one in (plain, machine):
            one.asked(20.0)
        assert machine.deadline == plain.deadline


def test_a_reading_may_have_no_hash() -> None:
    """Then every reply is read; with one, the same reply is unchanged."""
    machine = _machine()
    machine.on_reading(Reading.running("x"), now=0.0, dice=0.5)
    assert machine.is_unchanged(0)
    machine.on_reading(Reading.running("x"), now=1.0, dice=0.5, reply_hash=7)
    assert machine.is_unchanged(7)
    assert not machine.is_unchanged(0)


def test_a_cursor_with_a_secret_is_used_and_not_written_down() -> None:
    """Until a reading has another one."""
    machine = _machine()
    machine.hide_cursor("a?key=abc12")
    machine.on_reading(Reading.running("x", cursor="a?key=abc12"), now=0.0, dice=0.5)
    assert (machine.cursor, machine.kept_cursor) == ("a?key=abc12", None)
    machine.on_reading(Reading.running("x", cursor="b"), now=1.0, dice=0.5)
    assert (machine.cursor, machine.kept_cursor) == ("b", "b")
    machine.restart()
    assert (machine.cursor, machine.kept_cursor) == (None, None)


def test_single_calls_have_the_policy_of_the_watches() -> None:
    """Without a grace for 404 and without a heartbeat, and with a forecast of their own."""
    policy = attrs.evolve(POLICY, heartbeat_s=60.0, confirmations=5, longest_hint_s=9.0, call=None)
    found = call_policy(policy, CALL)
    assert found.call is CALL
    assert found.forecast is not policy.forecast
    assert isinstance(found.forecast, Forecast)
    assert attrs.evolve(found, forecast=policy.forecast) == attrs.evolve(
        policy, call=CALL, heartbeat_s=None, not_found_grace_s=0.0
    )
