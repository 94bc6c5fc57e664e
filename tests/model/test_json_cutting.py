"""Cutting JSON down to limits before it is decoded."""

from __future__ import annotations

import json
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.model.json_cutting import BrokenJson, cut_json
from pollwise.model.limits import ReplyLimits

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text()
)
JSON = st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner), max_leaves=20)
DOCUMENTS = st.lists(JSON) | st.dictionaries(st.text(), JSON)
ROOMY = ReplyLimits()
LONG = 262_144


def cut(
    document: bytes, limits: ReplyLimits = ROOMY, deciding: tuple[str, ...] = ()
) -> tuple[Any, dict[str, int], int]:
    """The decoded document, what was left out, and the number of steps."""
    steps, taken = cut_json(document, limits, deciding), 0
    while True:
        try:
            next(steps)
            taken += 1
        except StopIteration as done:
            text, left_out = done.value
            return orjson.loads(text), dict(left_out), taken


def counted(value: Any) -> int:
    """The values in a document."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + sum(map(counted, inner))


def depth_of(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else None
    return 0 if inner is None else 1 + max(map(depth_of, inner), default=0)


def bomb(item: str, head: str = '{"x":[', tail: str = '],"is_complete":true}') -> bytes:
    number = (LONG - len(head) - len(tail)) // (len(item) + 1)
    return (head + ",".join([item] * number) + tail).encode()


@given(DOCUMENTS, st.sampled_from([0, orjson.OPT_INDENT_2]))
def test_a_document_within_the_limits_is_the_same(document: Any, option: int) -> None:
    """Whatever its values are, and with white space or without."""
    found, left_out, _ = cut(orjson.dumps(document, option=option))
    assert (found, left_out) == (document, {})


@given(
    DOCUMENTS,
    st.builds(
        ReplyLimits,
        items=st.integers(1, 4),
        values=st.integers(1, 12),
        depth=st.integers(1, 4),
        text=st.integers(1, 6),
        size=st.integers(1, 80),
    ),
)
def test_what_is_kept_is_json_within_the_limits(document: Any, limits: ReplyLimits) -> None:
    """Any document becomes a shorter one; depth and items are never exceeded."""
    found, left_out, _ = cut(orjson.dumps(document), limits)
    assert depth_of(found) <= limits.depth
    assert type(found) is type(document)
    assert counted(found) <= counted(document)
    if not left_out:
        assert found == document


@given(st.text(max_size=60), st.integers(1, 40))
def test_a_text_keeps_its_beginning(text: str, longest: int) -> None:
    """No half character and no half escape is kept."""
    for document in (orjson.dumps({"a": text}), ascii_json(text)):
        found, left_out, _ = cut(document, ReplyLimits(text=longest))
        if left_out:
            assert found["a"].endswith("...")
            assert text.startswith(found["a"].removesuffix("..."))
        else:
            assert found["a"] == text


def ascii_json(text: str) -> bytes:
    return json.dumps({"a": text}).encode()


@pytest.mark.parametrize(
    "item",
    [
        "{}",
        "[]",
        "0",
        "[{}]",
        '{"a":0}',
        '"a"',
        "null",
        "1.5",
        "[[[[[[]]]]]]",
        '{"a":{"b":{"c":{"d":{"e":[]}}}}}',
        '"\\"]}"',
    ],
)
def test_a_list_keeps_its_first_items_and_says_how_many_followed(item: str) -> None:
    """A long list of any item: what stands behind the list is read, and the work is done in many steps."""
    document = bomb(item)
    found, left_out, steps = cut(document)
    whole = orjson.loads(document)["x"]
    assert found == {"x": whole[:1_000], "is_complete": True}
    assert left_out == {"x": len(whole) - 1_000}
    assert steps >= 3


@pytest.mark.parametrize("depth", [101, 1_000, 200_000])
@pytest.mark.parametrize(("opening", "closing"), [("[", "]"), ('{"a":', "}"), ('[0,"]",', "]")])
def test_depth_hides_nothing(depth: int, opening: str, closing: str) -> None:
    """What is nested too deep is null, and what stands behind it is read."""
    document = '{"deep":' + opening * depth + "1" + closing * depth + ',"is_complete":true}'
    found, left_out, _ = cut(document.encode())
    assert found["is_complete"] is True
    assert depth_of(found) == 100
    assert list(left_out.values()) == [1]


@pytest.mark.parametrize("spelling", ["is_complete", "isComplete", "IS-COMPLETE"])
@pytest.mark.parametrize("junk", ["0", "{}", '"text"', "[[[[[[0]]]]]]"])
def test_a_deciding_key_is_found_among_any_number_of_members(spelling: str, junk: str) -> None:
    """Also behind thousands of others, in an object within the object, and spelled in another way."""
    members = ",".join(f'"{n:x}":{junk}' for n in range(9_000))
    document = f'{{{members},"task":{{{members},"{spelling}":true}},"other":1}}'
    found, left_out, _ = cut(document.encode(), deciding=("task", "is_complete"))
    assert found["task"][spelling] is True
    assert counted(found) < 12_000
    assert left_out["$"] + left_out["task"] >= 9_000


def test_values_behind_those_that_used_up_the_limits_are_read() -> None:
    """Short values go on to be kept, and a list with items never becomes an empty one."""
    lists = ",".join(f'"l{n}":[{",".join(["{}"] * 900)}]' for n in range(40))
    document = f'{{{lists},"errors":[{{"code":7}},{{"code":8}}],"state":{{"name":"done"}},"text":"{"x" * 1_000}"}}'
    found, left_out, _ = cut(document.encode())
    assert (found["errors"], found["state"]) == ([{"code": 7}], {"name": "done"})
    assert len(found["text"]) == 256 + len("...")
    assert left_out["errors"] == 1


@pytest.mark.parametrize("text", ["é" * 3_000, "x" * 100, "x" * 2_000])
@pytest.mark.parametrize("lists", [1, 10, 400])
def test_the_size_is_about_what_is_kept(text: str, lists: int) -> None:
    """One text more at the most, and a quarter for short values and deciding keys."""
    document = orjson.dumps({f"key{n}": [text] * 20 for n in range(lists)})
    found, _, _ = cut(document, ReplyLimits(size=20_000, text=2_000), deciding=("key399",))
    assert len(orjson.dumps(found)) <= 20_000 * 1.25 + 2_000 + 300


def test_an_endless_number_is_null() -> None:
    """To convert a million digits would take seconds."""
    found, left_out, _ = cut(b'{"n":' + b"9" * 1_000_000 + b',"m":12,"is_complete":true}')
    assert found == {"n": None, "m": 12, "is_complete": True}
    assert left_out == {"n": 1}


@pytest.mark.parametrize(
    "document",
    [
        b'{"a":[' + b"{}," * 5_000,
        b'{"a":[' + b"{}," * 5_000 + b"{}}",
        b"[" * 5_000,
        b'{"a":"' + b"x" * 5_000,
        b'{"a" 1}',
        b'{"a":1 "b":2}',
        b'{"a":}',
        b"[1,,2]",
        b"[1 2]",
        b'["a"',
        b"[",
    ],
)
def test_broken_brackets_are_broken_json(document: bytes) -> None:
    """A list that does not end, a bracket of the other kind, a text that does not end."""
    with pytest.raises(BrokenJson):
        cut(document)


def test_what_follows_the_document_is_left_to_the_decoder() -> None:
    """Two documents are no JSON."""
    with pytest.raises(orjson.JSONDecodeError):
        cut(b"[1] [2]")


def test_paths_are_bounded() -> None:
    """A server chooses the keys, so neither their number nor their length costs much."""
    document = orjson.dumps({f"{n}{'k' * 300}": ["x" * 20_000] for n in range(200)})
    _, left_out, _ = cut(document)
    assert len(left_out) <= 50
    assert all(len(path) <= 300 for path in left_out)
