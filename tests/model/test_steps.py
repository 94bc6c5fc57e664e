"""Long work that yields between its steps."""

from __future__ import annotations

from collections.abc import Generator

import pytest

from pollwise.model.steps import in_one_go


def work(steps: int, *, fails: bool = False) -> Generator[None, None, int]:
    for _ in range(steps):
        yield
    if fails:
        raise ValueError("the last step failed")
    return steps


@pytest.mark.parametrize("steps", [0, 1, 3])
def test_all_steps_are_taken_for_the_result(steps: int) -> None:
    """Work without a step has a result, too."""
    assert in_one_go(work(steps)) == steps


def test_what_a_step_raises_is_raised() -> None:
    """The caller sees the error of the work."""
    with pytest.raises(ValueError, match="the last step"):
        in_one_go(work(2, fails=True))
