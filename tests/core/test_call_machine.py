"""A watch that is asked with a cursor."""

from __future__ import annotations

import attrs
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.call_machine import CallMachine, machine_class
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.watch_state import StepResult
from pollwise.errors import ConnectFailed, RateLimited
from pollwise.model.calls import Call, StatusCall
from pollwise.model.reading import Reading
from toy import ToyEndpoint

CALL: Call[str, str] = StatusCall(ToyEndpoint())  # type: ignore[assignment]
POLICY = Policy(pacing=Pacing.fixed(5.0), retry=Retry(), timeout_s=3600.0, call=CALL)


class _Pages(StatusCall[str, str]):
    at_once = True


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
