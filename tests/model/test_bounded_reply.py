"""Which bodies are cut, and what a reply says about it."""

from __future__ import annotations

import tracemalloc

import orjson
import pytest
from multidict import CIMultiDict

from pollwise.errors import MalformedReply
from pollwise.model.bounded_reply import SHORT, bounded
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply
from pollwise.model.results import ResultCall

LONG_LIST = orjson.dumps({"x": [0] * 5_000, "done": True})


def reply(body: bytes, kind: str = "application/json") -> Reply:
    return Reply(200, CIMultiDict({"Content-Type": kind}), body)


def test_a_short_reply_costs_nothing() -> None:
    """Neither its items nor its values can exceed a default limit."""
    body = b"[" + b"{}," * 600 + b"{}]"
    assert len(body) <= SHORT
    assert len(reply(body).json()) == 601


def test_a_reply_says_what_was_left_out() -> None:
    """By the path of the list; an uncut reply says nothing."""
    cut = bounded(reply(LONG_LIST))
    assert cut.json() == {"x": [0] * 1_000, "done": True}
    assert cut.left_out == {"x": 4_000}
    assert reply(LONG_LIST).json() == cut.json()
    assert reply(b"{}").left_out == {}


def test_a_reply_is_cut_once() -> None:
    """By the limits of the caller, which the defaults do not narrow afterwards."""
    whole = bounded(reply(LONG_LIST), ReplyLimits(items=5_000))
    assert (whole.left_out, len(whole.json()["x"])) == ({}, 5_000)
    assert bounded(whole) is whole


LINES = b'{"id": "p-1", "name": [{"family": "x"}]}\n' * 500
DEEP = b'{"kept": 1, "deep": ' + b"[" * 300 + b"]" * 300 + b', "long": "' + b"x" * SHORT + b'"}'


@pytest.mark.parametrize("body", [LINES, DEEP, LONG_LIST, b"[" * 3_000, LONG_LIST.decode().encode("utf-16")])
def test_the_body_of_a_result_is_kept_as_it_was_sent(body: bytes) -> None:
    """It may be a file, such as one with a JSON document a line."""
    assert bounded(reply(body), ResultCall.limits or ReplyLimits()).body == body


def test_a_result_that_is_too_deep_is_cut_for_the_decoder_alone() -> None:
    """What stands beside it is read."""
    found = bounded(reply(DEEP), ResultCall.limits or ReplyLimits()).json()
    assert (found["kept"], len(found["long"])) == (1, SHORT)
    assert len(bounded(reply(LONG_LIST), ResultCall.limits or ReplyLimits()).json()["x"]) == 5_000
    with pytest.raises(MalformedReply):
        bounded(reply(LINES), ResultCall.limits or ReplyLimits()).json()


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-32", "utf-16-le"])
@pytest.mark.parametrize("prefix", ["", ")]}'\n", "while(1);", "{}&& "])
def test_every_wrapping_is_cut(encoding: str, prefix: str) -> None:
    """Also with a byte order mark, in UTF-16, and behind a guard against inclusion."""
    found = bounded(reply((prefix + LONG_LIST.decode() + "\n\0").encode(encoding)))
    assert found.json() == {"x": [0] * 1_000, "done": True}


def test_a_declared_charset_is_cut() -> None:
    """A second byte of Shift JIS may look like a bracket."""
    body = ('{"a":"' + "ソ能表" * 600 + '","x":[' + "0," * 3_000 + '0],"done":true}').encode("shift_jis")
    found = bounded(reply(body, "application/json; charset=shift_jis")).json()
    assert (found["a"], len(found["x"]), found["done"]) == ("ソ能表" * 600, 1_000, True)


def test_what_is_no_json_stays_as_it_is() -> None:
    """A page, XML or CSV is the endpoint's to read; `max_body` limits it."""
    page = b"<html>" + b"<p>{[</p>" * 1_000
    found = bounded(reply(page, "text/html"))
    assert found.body is page
    with pytest.raises(MalformedReply, match="expected JSON, got text/html"):
        found.json()


def test_broken_brackets_are_malformed_at_once() -> None:
    """No decoder looks at a body that cannot be JSON; its beginning is in the excerpt."""
    with pytest.raises(MalformedReply, match="its brackets or quotation marks do not match") as caught:
        reply(b'{"x":[' + b"{}," * 5_000).json()
    assert caught.value.excerpt.startswith('{"x":[{},')


@pytest.mark.parametrize(
    "item",
    ["{}", "[]", "[{}]", '{"a":0}', '"é"', "[0,[0,[0,[0,[0,[0]]]]]]", '"' + "😀x" * 2_000 + '"', "[" * 90 + "]" * 90],
)
def test_a_megabyte_of_anything_keeps_little(item: str) -> None:
    """At most 2 MB for the decoded values, whatever the list holds."""
    number = 1_048_000 // (len(item.encode()) + 1)
    cut = bounded(reply(f'{{"x":[{",".join([item] * number)}],"y":[[{",".join([item] * 500)}]]}}'.encode()))
    tracemalloc.start()
    try:
        found = cut.json()
        kept, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert "x" in found
    assert kept <= 2_000_000


def test_many_keys_keep_little() -> None:
    """An object of a hundred thousand members, each with a key of its own."""
    cut = bounded(reply(f"{{{','.join(f'{chr(34)}{n:x}{chr(34)}:{{}}' for n in range(90_000))}}}".encode()))
    assert len(cut.json()) <= 2_000
    assert cut.left_out["$"] >= 88_000
