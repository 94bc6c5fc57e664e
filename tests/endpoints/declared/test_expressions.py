"""Expressions over a reply's JSON."""

from __future__ import annotations

from typing import Any

import jmespath
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.endpoints.declared.expressions import compiled, is_true
from pollwise.errors import ConfigurationError

_NAMES = st.sampled_from(["a", "b", "done", "_x1"])
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats(allow_nan=False) | st.sampled_from(["", "text"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=12,
)


@given(st.lists(_NAMES, min_size=1, max_size=4), _JSON)
def test_a_dotted_path_gives_what_the_library_gives(names: list[str], data: Any) -> None:
    """The path without an engine and JMESPath agree on every document."""
    path = ".".join(names)
    assert compiled(path)(data) == jmespath.search(path, data)


@given(_JSON)
def test_truth_is_that_of_jmespath(value: Any) -> None:
    """`!value` in JMESPath is the opposite."""
    assert is_true(value) is not jmespath.search("!@", value)


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("conditions[?type=='Failed'].message | [0]", "no disk"),
        ("sum([a, b])", 3),
        ("contains(keys(@), 'a')", True),
        ("conditions[:1].message", ["no disk"]),
        ("conditions[-1:].type | [0]", "Failed"),
        ("conclusion || a", 1),
        ("missing.deep", None),
        ("sum(missing)", None),  # a function of a wrong type says nothing
        ("length(a)", None),
    ],
)
def test_an_expression_is_jmespath(expression: str, value: Any) -> None:
    """Functions, filters and alternatives work. What cannot be evaluated is None."""
    data = {"a": 1, "b": 2, "conditions": [{"type": "Failed", "message": "no disk"}]}
    assert compiled(expression)(data) == value


@pytest.mark.parametrize(
    ("expression", "why"),
    [
        (7, "must be a text such as 'task.status', got int"),
        ("", "1 to 4096 characters, got 0"),
        ("a" * 5000, "got 5000"),
        ("a[", "'a\\[' is not valid JMESPath"),
        ("done && nothing(@)", r"there is no function nothing\(\)"),
        ("length(a, b)", r"length\(\) takes 1 arguments, got 2"),
        ("merge()", r"takes at least 1"),
        ("!" * 3000 + "a", "nested too deep"),
    ],
)
def test_an_expression_that_cannot_be_right_is_refused(expression: Any, why: str) -> None:
    """The error quotes it, and says what is wrong, before any reply comes."""
    with pytest.raises(ConfigurationError, match=why):
        compiled(expression)


def test_a_path_needs_no_library(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without the extra, dotted paths work. Any other expression says how to install it."""
    monkeypatch.setitem(__import__("sys").modules, "jmespath", None)
    assert compiled("a.b")({"a": {"b": 7}}) == 7
    with pytest.raises(ConfigurationError, match=r"pip install 'pollwise\[declared\]'"):
        compiled("a[0]")
