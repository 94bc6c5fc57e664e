"""Which cursors are kept, and how."""

from __future__ import annotations

import copy
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.errors import ConfigurationError
from pollwise.model.cursor import CursorTooLarge, cursor_hash, own_cursor

_SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**64 - 1) | st.floats(allow_nan=False, allow_infinity=False)
)
_TEXTS = st.text(st.characters(codec="utf-8"), max_size=30)
JSON = st.recursive(
    _SCALARS | _TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(_TEXTS, inner, max_size=4),
    max_leaves=12,
)


def _depth(value: Any) -> int:
    if isinstance(value, dict):
        value = list(value.values())
    return 1 + max(map(_depth, value), default=0) if isinstance(value, list) else 0


@given(JSON)
def test_a_small_json_value_is_kept_as_it_is(value: Any) -> None:
    """What comes back is equal, also after it was written down."""
    if _depth(value) > 8 or len(orjson.dumps(value)) > 4_096:
        return
    own = own_cursor(value)
    assert own == value
    assert orjson.loads(orjson.dumps(own)) == value
    assert cursor_hash(own) == cursor_hash(copy.deepcopy(value))


@given(JSON, JSON)
def test_cursors_that_differ_as_json_have_different_hashes(one: Any, other: Any) -> None:
    """So a reply to another cursor is read again. 1, 1.0 and true differ, and the order of keys does not."""
    texts = [orjson.dumps(value, option=orjson.OPT_SORT_KEYS) for value in (one, other)]
    assert (cursor_hash(one) == cursor_hash(other)) == (texts[0] == texts[1])


def test_a_list_or_an_object_is_copied() -> None:
    """The endpoint may change its own later."""
    value: dict[str, Any] = {"pages": [1, 2]}
    own = own_cursor(value)
    value["pages"].append(3)
    assert own == {"pages": [1, 2]}


@pytest.mark.parametrize("fill", ["x", "é", "\x01", '"'])
def test_the_limit_is_4096_bytes_as_json(fill: str) -> None:
    """With the quotes and the escapes of a text."""
    each = len(orjson.dumps(fill)) - 2
    longest = (4_096 - 2) // each
    assert own_cursor(fill * longest) == fill * longest
    with pytest.raises(CursorTooLarge, match="more than 4,096 bytes"):
        own_cursor(fill * (longest + 1))


def test_a_list_that_cannot_be_within_the_limit_is_not_put_into_json() -> None:
    """Each of its items has a comma."""
    assert own_cursor([1] * 2_047) == [1] * 2_047
    endless: Any = 1
    for _ in range(8):
        endless = [endless] * 100  # the same lists again and again: 10 ** 16 parts
    for large in ([1] * 2_048, [1] * 1_000_000, [[1] * 2_000] * 2_000, {str(n): n for n in range(100_000)}, endless):
        with pytest.raises(CursorTooLarge) as caught:
            own_cursor(large)
        assert str(caught.value) == "it has more than 4,096 bytes as JSON"


@pytest.mark.parametrize("kind", [list, dict])
def test_a_cursor_is_at_most_8_levels_deep(kind: type) -> None:
    """A list or an object in eight others is one too many."""
    value: Any = 1
    for _ in range(8):
        value = [value] if kind is list else {"a": value}
    assert own_cursor(value) == value
    with pytest.raises(CursorTooLarge) as caught:
        own_cursor([value] if kind is list else {"a": value})
    assert str(caught.value) == "it is more than 8 lists or objects deep"


@pytest.mark.parametrize(
    "value", [float("nan"), float("inf"), [-float("inf")], 2**64, [2**70], "\ud800", {"\udfff": 1}]
)
def test_what_json_cannot_hold_is_no_cursor(value: Any) -> None:
    """A reply can have such numbers and texts, so this is no bug of the endpoint."""
    with pytest.raises(CursorTooLarge):
        own_cursor(value)


@pytest.mark.parametrize("value", [2**64, [-(2**63) - 1], "\ud800"])
def test_a_cursor_that_cannot_be_written_says_why(value: Any) -> None:
    """In words of ours, and without a part of the cursor."""
    with pytest.raises(CursorTooLarge) as caught:
        own_cursor(value)
    assert str(caught.value) == "it has a whole number of more than 64 bits, or half of a surrogate pair"
    assert caught.value.__context__ is None


def test_a_number_that_is_not_finite_is_named() -> None:
    """JSON has none such; orjson would write null."""
    with pytest.raises(CursorTooLarge) as caught:
        own_cursor({"a": [float("nan")]})
    assert str(caught.value) == "it has a number that is not finite"


def test_the_hash_is_that_of_the_json() -> None:
    """Of texts, too. The order of an object's keys says nothing."""
    assert cursor_hash({"a": 1, "b": 2}) == cursor_hash({"b": 2, "a": 1})
    assert len({cursor_hash(value) for value in (None, "", "a", "b", 1, 1.0, True, [1], "1", "[1]")}) == 10


@pytest.mark.parametrize("value", [(1,), [(1,)], {1: 2}, [{None: 1}], b"a", {"a": {1, 2}}, object()])
def test_what_is_no_json_at_all_is_refused_by_its_type(value: Any) -> None:
    """No reply can make such a value, so the endpoint has to be corrected."""
    with pytest.raises(ConfigurationError, match=r"^the cursor of a Reading must be JSON") as caught:
        own_cursor(value)
    if isinstance(value, dict):
        return
    said = "of them, such as str(url); a part of it is a value of type "
    assert str(caught.value).partition(said)[2] in {"tuple", "bytes", "set", "object", ""}


def test_the_keys_of_an_object_are_texts() -> None:
    """As in JSON."""
    with pytest.raises(ConfigurationError) as caught:
        own_cursor([{1: 2}])
    assert str(caught.value) == "the cursor of a Reading must be JSON, which has str as its keys alone"


def test_a_text_of_a_class_of_its_own_is_no_cursor() -> None:
    """It would come back as a plain text."""

    class Link(str):
        __slots__ = ()

    with pytest.raises(ConfigurationError, match=r"of type Link"):
        own_cursor(Link("a"))
