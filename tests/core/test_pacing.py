"""When to ask again: pure functions of the attempt number, within bounds, jittered the right way."""

from __future__ import annotations

import asyncio
import functools
import itertools
import math
from collections.abc import Generator, Iterator
from decimal import Decimal
from typing import Any

import backoff
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.pacing import Pacing, Retry
from pollwise.errors import CallbackFailed, ConfigurationError

dice = st.floats(0, 1, exclude_max=True)


@given(st.integers(1, 5000), dice, st.sampled_from([backoff.expo, backoff.fibo, backoff.constant]))
def test_bounds_always_hold(attempt: int, roll: float, wait: object) -> None:
    """Never below min_s, never above max_s plus the jitter, at any attempt of any generator."""
    pacing = Pacing(min_s=0.5, max_s=20, wait=wait, jitter=0.25)  # type: ignore[arg-type]  # any factory of backoff's
    assert 0.5 <= pacing.delay_s(attempt, roll) <= 20 * 1.25


@given(st.lists(st.integers(1, 600), min_size=1), dice)
def test_a_delay_is_a_function_of_the_attempt(attempts: list[int], roll: float) -> None:
    """In whatever order delays are asked for, each attempt has the same one."""
    one, two = Pacing(), Pacing()
    for attempt in attempts:
        assert one.delay_s(attempt, roll) == two.delay_s(attempt, roll)
    assert [one.delay_s(a, roll) for a in reversed(attempts)] == [two.delay_s(a, roll) for a in reversed(attempts)]


def test_uncapped_expo_survives_a_long_watch() -> None:
    """The generator itself overflows at attempt 1,024; the table never asks it that far."""
    pacing = Pacing(min_s=1, max_s=1e300, wait=backoff.expo)
    assert pacing.delay_s(100_000, 0) == pacing.delay_s(512, 0)


def test_your_own_generator_can_be_passed() -> None:
    """Any factory of generators of seconds; when it ends, its last delay repeats."""

    def waits() -> Generator[float, None, None]:
        yield from (1, 2, 3)

    pacing = Pacing(wait=waits, jitter=0)
    assert [pacing.delay_s(n, 0) for n in range(1, 6)] == [1, 2, 3, 3, 3]


@pytest.mark.parametrize("values", [(), (None,)])
def test_a_generator_of_nothing_waits_the_longest(values: tuple[None, ...]) -> None:
    """An empty sequence says nothing, so the ceiling is taken; also after the first None, which is as of backoff's."""
    pacing = Pacing(max_s=7, wait=lambda: (n for n in values), jitter=0)
    assert pacing.delay_s(3, 0) == 7


def test_a_generator_may_have_waits_of_zero() -> None:
    """A retry has no shortest wait, and `min_s` is that of a pacing."""
    assert [Retry(wait=lambda: (n for n in (0.0, 0.5))).delay_s(n, 0.5) for n in (1, 2)] == [0.0, 0.25]
    assert Pacing(wait=lambda: (n for n in (0.0,)), min_s=0.5).delay_s(1, 0) == 0.5


@pytest.mark.parametrize(
    ("dice", "silence_s", "delay_s"),
    [(0.0, None, 10.0), (0.5, None, 12.5), (0.5, 4.0, 5.0), (0.5, 1.0, 2.5), (0.5, 100.0, 75.0)],
)
def test_the_jitter_is_added_to_what_is_worth_waiting(dice: float, silence_s: float | None, delay_s: float) -> None:
    """Where it is known how long asking is of no use, that is the wait; within `min_s` and `max_s`."""
    wait = functools.partial(backoff.constant, interval=10)
    pacing = Pacing(min_s=2.0, max_s=60.0, wait=wait, jitter=0.5)
    assert pacing.delay_s(1, dice, silence_s) == delay_s
    unmoved = Pacing(min_s=2.0, max_s=60.0, wait=wait, jitter=0.5, adaptive=False)
    assert unmoved.delay_s(1, dice, silence_s) == unmoved.delay_s(1, dice)


@pytest.mark.parametrize("value", [-1.0, float("nan")])
def test_a_generator_of_nonsense_is_refused(value: float) -> None:
    """A negative delay or NaN is the caller's mistake, said clearly."""
    with pytest.raises(CallbackFailed, match="passed as wait raised ValueError"):
        Pacing(wait=lambda: (n for n in [value])).delay_s(1, 0)


@pytest.mark.parametrize("value", ["5", b"5", [5], Decimal(5), 1j, {}], ids=repr)
def test_a_generator_of_no_numbers_is_named(value: object) -> None:
    """The error names `wait`, and is none of the endpoint."""
    with pytest.raises(CallbackFailed, match="passed as wait raised TypeError"):
        Pacing(wait=lambda: (n for n in [value])).delay_s(1, 0)


@pytest.mark.parametrize(
    "values", [itertools.repeat(None), iter([None, None]), iter([1.0, None])], ids=["ever", "twice", "later"]
)
def test_a_generator_of_none_is_named(values: Iterator[float | None]) -> None:
    """Only the first value may be None, as backoff's is. A generator of nothing else would be read for ever."""
    pacing = Pacing(wait=lambda: (n for n in values))
    with pytest.raises(CallbackFailed, match="passed as wait raised TypeError"):
        pacing.delay_s(2, 0)


@pytest.mark.parametrize("error", [asyncio.CancelledError(), GeneratorExit(), LookupError("no such wait")], ids=repr)
def test_what_a_generator_raises_is_named(error: BaseException) -> None:
    """Also what is no `Exception`: a cancellation would be taken for one of the poll."""

    def waits() -> Generator[float, None, None]:
        yield 1.0
        raise error

    with pytest.raises(CallbackFailed, match=f"passed as wait raised {type(error).__name__}") as caught:
        Retry(wait=waits).delay_s(2, 0)
    assert caught.value.detail == str(error)


@pytest.mark.parametrize("wait", [lambda: 5, lambda: None, lambda n: [n], lambda: 1 / 0], ids=["5", "None", "n", "1/0"])
@pytest.mark.parametrize("make", [Pacing, Retry])
def test_a_factory_of_no_generator_is_refused_at_once(make: Any, wait: object) -> None:
    """It is called once, when it is given."""
    with pytest.raises(ConfigurationError, match=r"^wait must be a function that makes a generator"):
        make(wait=wait)


def test_the_error_of_a_factory_is_named() -> None:
    """With its type and its words."""
    with pytest.raises(ConfigurationError, match=r"a call of it raised ZeroDivisionError: division by zero$"):
        Pacing(wait=lambda: 1 / 0)  # type: ignore[arg-type, return-value]


@pytest.mark.parametrize(("make", "wait"), [(Pacing, 5), (Pacing, None), (Retry, 5)])
def test_what_cannot_be_called_is_no_factory(make: Any, wait: object) -> None:
    """None stands for the waits of `base_s`, and a pacing has none."""
    with pytest.raises(ConfigurationError, match=f"wait must be a function such as backoff.expo, got {wait}"):
        make(wait=wait)


def test_a_fixed_interval_is_kept() -> None:
    """Pacing.fixed waits the same time after every poll."""
    for interval_s in (0.25, 90.0):
        pacing = Pacing.fixed(interval_s)
        assert {pacing.delay_s(n, 0.9, 7.0) for n in (1, 2, 50, 5000)} == {interval_s}
        assert not pacing.adaptive
    assert Pacing.fixed(5.0) == Pacing.fixed(5.0)


@given(st.integers(1, 100), dice, st.floats(0, 1e6))
def test_a_hint_is_never_shortened(failures: int, roll: float, hint: float) -> None:
    """Whatever the jitter, the server's Retry-After is waited for, and not much longer."""
    alone = Retry().delay_s(failures, roll)
    assert max(alone, hint) <= Retry().delay_s(failures, roll, hint) <= max(alone, hint * 1.1 + 1e-9)


@pytest.mark.parametrize(
    ("hint_s", "delay_s"), [(None, 30.0), (0.0, 30.0), (20.0, 30.0), (100.0, 110.0), (1e3, 1030.0)]
)
def test_a_hint_is_jittered_upwards(hint_s: float | None, delay_s: float) -> None:
    """By a tenth, and by our own wait at most."""
    assert Retry(max_s=60.0).delay_s(10, 0.5, hint_s) == delay_s


@given(st.integers(1, 100), dice)
def test_a_hint_of_zero_changes_nothing(failures: int, roll: float) -> None:
    """Our own wait is the floor under every hint, so that zero makes no hot loop."""
    assert Retry().delay_s(failures, roll, 0.0) == Retry().delay_s(failures, roll)


@given(st.integers(1, 100), dice)
def test_a_retry_has_full_jitter_below_its_cap(failures: int, roll: float) -> None:
    """Between nothing and base doubled each time, capped."""
    retry = Retry(base_s=0.5, max_s=16)
    assert retry.delay_s(failures, roll) == pytest.approx(roll * min(16, 0.5 * 2.0 ** min(failures - 1, 50)))


def test_a_retry_can_use_any_generator() -> None:
    """The sequence of longest waits can be Fibonacci's."""
    retry = Retry(wait=functools.partial(backoff.fibo, max_value=8))
    assert [retry.delay_s(n, 0.5) for n in range(1, 8)] == [0.5, 0.5, 1.0, 1.5, 2.5, 4.0, 4.0]


def test_the_ends_of_what_is_allowed_are_allowed() -> None:
    """One failure may end a watch, and a jitter may be nothing or all of a wait."""
    assert Retry(min_failures=1).min_failures == 1
    assert [Pacing(jitter=jitter).jitter for jitter in (0.0, 1.0)] == [0.0, 1.0]


@pytest.mark.parametrize(
    "make",
    [
        lambda: Pacing(min_s=0),
        lambda: Pacing(max_s=float("inf")),
        lambda: Pacing(min_s=5, max_s=4),
        lambda: Pacing(jitter=2),
        lambda: Retry(min_failures=0),
        lambda: Retry(outage_s=0.0),
        lambda: Retry(outage_s=math.inf),
        lambda: Retry(base_s=-1),
        lambda: Retry(max_s=float("nan")),
        lambda: Pacing(min_s="5"),  # type: ignore[arg-type]  # as from a configuration file
        lambda: Pacing(max_s=None),  # type: ignore[arg-type]
        lambda: Pacing(jitter="0.1"),  # type: ignore[arg-type]
        lambda: Pacing(patience_s=True),
        lambda: Pacing(wait=5),  # type: ignore[arg-type]
        lambda: Pacing(wait=None),  # type: ignore[arg-type]
        lambda: Retry(min_failures="3"),  # type: ignore[arg-type]
        lambda: Retry(outage_s="600"),  # type: ignore[arg-type]
    ],
)
def test_what_cannot_be_is_refused_at_once(make: object) -> None:
    """A bad argument raises ConfigurationError, which is a ValueError, when it is given."""
    with pytest.raises(ValueError, match=r"must"):
        make()  # type: ignore[operator]  # a factory
