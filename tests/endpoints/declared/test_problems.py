"""All that is wrong with declarations, in one error."""

from __future__ import annotations

import pickle

import pytest

from pollwise.endpoints.declared import DeclarationErrors, DeclarationProblem
from pollwise.endpoints.declared.problems import Problems
from pollwise.errors import ConfigurationError


@pytest.mark.parametrize(
    ("problem", "text"),
    [
        (DeclarationProblem(file="f.toml", table="a", word="poll", why="write it"), "f.toml: [a] poll: write it"),
        (DeclarationProblem(file=None, table="a", word=None, why="write it"), "[a] write it"),
        (DeclarationProblem(file="f.toml", table=None, word=None, why="cannot be read"), "f.toml: cannot be read"),
    ],
)
def test_a_problem_names_its_place(problem: DeclarationProblem, text: str) -> None:
    """File, table and word, as far as there are any."""
    assert str(problem) == text


def test_the_error_has_all_problems() -> None:
    """In its message, as values, and after pickling."""
    problems = Problems("a", "f.toml")
    problems.check()
    problems.add("poll", "one")
    problems.add(None, "two")
    with pytest.raises(DeclarationErrors) as caught:
        problems.check()
    error = caught.value
    assert str(error) == "f.toml: [a] poll: one\nf.toml: [a] two"
    assert isinstance(error, ConfigurationError)
    assert pickle.loads(pickle.dumps(error)).problems == error.problems == tuple(problems.found)  # noqa: S301  # our own


def test_a_check_that_raises_is_a_problem_of_its_word() -> None:
    """Other errors are bugs, and pass."""
    problems = Problems()

    def refuse(value: int) -> int:
        raise ConfigurationError("too small") if value < 0 else TypeError

    assert problems.of("limit", abs, -7) == 7
    assert problems.of("limit", refuse, -7) is None
    assert list(map(str, problems.found)) == ["limit: too small"]
    with pytest.raises(TypeError):
        problems.of("limit", refuse, 7)
