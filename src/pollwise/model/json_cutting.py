"""Cuts a JSON document down to limits, before it is decoded.

Rule 1: the text is cut, and not the decoded values. A document of 1 MiB can hold 350,000 objects, which take 30 MB and
0.1 s to decode. What is left out here is never decoded.
Rule 2: a list keeps its first items, and an object its first members. What follows a list or object is still read.
Rule 3: if the values or the size are used up, short values go on to be kept for a while, and the first item of each list.
So a field that decides is read, whatever stands before it, and a list with items never becomes an empty one.
Rule 4: members with a deciding key are kept even then.
Rule 5: a text keeps its beginning. A list or object that is nested too deep, and a number that is too long, become null.
Rule 6: the work is done in steps of a few milliseconds, so that an event loop can run between them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Generator, Iterator, Mapping
from functools import lru_cache
from typing import Final, TypeAlias

from pollwise.model.limits import ReplyLimits

__all__ = ["BrokenJson", "Cut", "cut_json"]

Cut: TypeAlias = tuple[bytes, Mapping[str, int]]
"""The document, and how much was left out of it: items of a list, members of an object, bytes of a text; by path."""

_Match: TypeAlias = Callable[..., "re.Match[bytes] | None"]

_STEP: Final = 1_500  # ticks: a tick is about 2 µs
_TICK_BYTES: Final = 50  # that are skipped in a tick
_RUN_TICKS: Final = 60
_RUN: Final = 256  # items that are skipped in one go
_WINDOW: Final = 65_536  # bytes that one regular expression may look at
_LEVELS: Final = 4  # that a regular expression skips; deeper values are skipped bracket by bracket
_SPARE_VALUES: Final = 1_000
_SPARE_TEXT: Final = 256
_LONGEST_NUMBER: Final = 300  # digits; more could be an infinite number
_LONGEST_PATH: Final = 100
_MOST_PATHS: Final = 50
_REST: Final = 64  # bytes after the document, which the decoder judges

_SPACE = rb"[ \t\r\n]*+"
_STRING = rb'"[^"\\]*+(?:\\.[^"\\]*+)*+"'


def _any_value(levels: int) -> bytes:
    """A pattern for a value with at most `levels` levels of lists and objects. It checks brackets and strings only."""
    inner = rb'(?:[^\[\]{}"]++|' + _STRING + rb")*+"
    for _ in range(levels - 1):
        inner = rb'(?:[^\[\]{}"]++|' + _STRING + rb"|[\[{]" + inner + rb"[\]}])*+"
    return rb'(?:[^\[\]{}",]++|' + _STRING + rb"|[\[{]" + inner + rb"[\]}])++"


_VALUE = _any_value(_LEVELS)
_one_item = re.compile(_VALUE + b",", re.DOTALL).match
_many_items = re.compile(rb"(?:" + _VALUE + b"," + rb"){%d}+" % _RUN, re.DOTALL).match
_whole_value = re.compile(_VALUE + rb"(?=[,\]}])", re.DOTALL).match
_string = re.compile(_STRING, re.DOTALL).match
_scalar = re.compile(rb'[^ \t\r\n\[\]{}",:]++').match
_start = re.compile(_SPACE + rb"(?=[^ \t\r\n])").match
_key = re.compile(_SPACE + rb"(" + _STRING + rb")" + _SPACE + b":", re.DOTALL).match
_comma = re.compile(_SPACE + b",").match
_closing = re.compile(_SPACE + rb"([\]}])").match
_brackets = re.compile(_STRING + rb"|[\[{]++|[\]}]++", re.DOTALL).finditer
_whole_characters = re.compile(rb"(?:[^\\]++|\\u[0-9a-fA-F]{4}|\\[^u])*+", re.DOTALL).match
_partial_end = re.compile(rb"(?:[\xc0-\xff][\x80-\xbf]*|\\u[dD][89abAB][0-9a-fA-F]{2})\Z").search


class BrokenJson(ValueError):
    """The document is broken: a bracket or quotation mark does not match."""


class _Open:
    """A list or object that is being read.

    Attributes:
        is_list: Whether it is a list.
        kept: Its items or members that are kept.
        path: Where it is in the document.
        first: Whether nothing of it has been read.
    """

    __slots__ = ("first", "is_list", "kept", "path")

    def __init__(self, path: str, *, is_list: bool) -> None:
        self.path = path
        self.is_list = is_list
        self.kept = 0
        self.first = True


def cut_json(document: bytes, limits: ReplyLimits, deciding: Collection[str] = ()) -> Generator[None, None, Cut]:
    """Cut a list or object in UTF-8. Yields between the steps.

    Args:
        document: The JSON document, white space before it included.
        limits: How much is kept.
        deciding: Keys whose members are kept in any case. Letter case, `_` and `-` do not matter.

    Raises:
        BrokenJson: It is no JSON, as far as this can be seen from brackets, commas and strings.
    """
    cutter = _Cutter(document, limits, deciding)
    yield from cutter.run()
    return b"".join(cutter.out), cutter.left_out


class _Cutter:
    def __init__(self, document: bytes, limits: ReplyLimits, deciding: Collection[str]) -> None:
        self.out: list[bytes] = []
        self.left_out: dict[str, int] = {}
        self._document = document
        self._limits = limits
        self._deciding = frozenset(map(_folded, deciding))
        self._other_members = _other_members(self._deciding)
        self._values, self._size = limits.values, limits.size
        self._spare = self._deciding_spare = _SPARE_VALUES
        self._spare_size = limits.size // 8
        self._open: list[_Open] = []
        self._ticks = 0

    def run(self) -> Iterator[None]:
        document, stack = self._document, self._open
        pos = yield from self._value(0, "", self._limits.text)
        while stack:
            if self._is_time(1):
                yield
            top = stack[-1]
            end = _closing(document, pos)
            if end is not None:
                if (end[1] == b"]") is not top.is_list:
                    raise BrokenJson
                self.out.append(end[1])
                pos = end.end()
                stack.pop()
                continue
            pos = pos if top.first else _after(_comma, document, pos)
            top.first = False
            pos = yield from self._item(pos, top) if top.is_list else self._member(pos, top)
        self.out.append(document[pos : pos + _REST])

    # --- items, members, values ---------------------------------------------------------------

    def _item(self, pos: int, top: _Open) -> Generator[None, None, int]:
        longest = self._room(top, None)
        if not longest:
            return (yield from self._skip_items(pos, top))
        if top.kept:
            self.out.append(b",")
        top.kept += 1
        return (yield from self._value(pos, f"{top.path}[]", longest))

    def _member(self, pos: int, top: _Open) -> Generator[None, None, int]:
        found = _key(self._document, pos)
        if found is None:
            raise BrokenJson
        key = found[1]
        longest = self._room(top, key) if len(key) - 2 <= self._limits.text else 0
        if not longest:
            return (yield from self._skip_members(pos, top))
        self.out += (b",", key, b":") if top.kept else (key, b":")
        self._size -= len(key)
        top.kept += 1
        return (yield from self._value(found.end(), _joined(top.path, key), longest))

    def _room(self, top: _Open, key: bytes | None) -> int:
        """How many bytes of a text are kept here; 0 if the item or member is left out."""
        limits = self._limits
        if top.kept < limits.items and self._values > 0 and self._size > 0:
            self._values -= 1
            return limits.text
        is_short = key is None or len(key) <= _SPARE_TEXT
        if is_short and self._spare > 0 and self._size > -self._spare_size and not (top.is_list and top.kept):
            self._spare -= 1
            return min(_SPARE_TEXT, limits.text)
        if key is not None and self._deciding_spare > 0 and self._size > -2 * self._spare_size and self._decides(key):
            self._deciding_spare -= 1
            return min(_SPARE_TEXT, limits.text)
        return 0

    def _decides(self, key: bytes) -> bool:
        return len(key) <= _SPARE_TEXT and _folded(key[1:-1].decode("utf-8", "replace")) in self._deciding

    def _value(self, pos: int, path: str, longest: int) -> Generator[None, None, int]:
        """Keep the value at this position, as far as the limits allow. Returns where it, or its bracket, ends."""
        document = self._document
        pos = _after(_start, document, pos)
        first = document[pos : pos + 1]
        if first in b"[{":
            if len(self._open) >= self._limits.depth:
                self._leave_out(path, 1)
                self._keep(b"null")
                return (yield from self._skip(pos))
            self._keep(first)
            self._open.append(_Open(path, is_list=first == b"["))
            return pos + 1
        end = _after(_string if first == b'"' else _scalar, document, pos)
        if first == b'"':
            self._keep(self._text(document[pos:end], path, longest))
        elif end - pos > _LONGEST_NUMBER:
            self._leave_out(path, 1)
            self._keep(b"null")
        else:
            self._keep(document[pos:end])
        return end

    def _text(self, text: bytes, path: str, longest: int) -> bytes:
        if len(text) - 2 <= longest:
            return text
        whole = _whole_characters(text, 1, longest + 1)
        kept = text[1 : whole.end()] if whole is not None else b""
        partial = _partial_end(kept)
        kept = kept if partial is None else kept[: partial.start()]
        self._leave_out(path, len(text) - 2 - len(kept))
        return b'"' + kept + b'..."'

    def _is_time(self, ticks: int) -> bool:
        """Whether a step is over, after this work."""
        self._ticks += ticks
        if self._ticks < _STEP:
            return False
        self._ticks = 0
        return True

    def _keep(self, text: bytes) -> None:
        self._size -= len(text)
        self.out.append(text)

    def _leave_out(self, path: str, number: int) -> None:
        path = path or "$"
        if path in self.left_out or len(self.left_out) < _MOST_PATHS:
            self.left_out[path] = self.left_out.get(path, 0) + number

    # --- what is left out ---------------------------------------------------------------------

    def _skip_items(self, pos: int, top: _Open) -> Generator[None, None, int]:
        """Skip the rest of a list. Returns where its bracket is."""
        document, skipped = self._document, 0
        while True:
            begin, window = pos, pos + _WINDOW
            found = _many_items(document, pos, window)
            if found is not None:
                skipped, pos = skipped + _RUN, found.end()
            else:
                before = skipped
                while skipped < before + _RUN and (found := _one_item(document, pos, window)) is not None:
                    skipped, pos = skipped + 1, found.end()
                if skipped == before:  # the last item, or one that is too deep or too long for the pattern
                    pos, skipped = (yield from self._skip(pos)), skipped + 1
                    comma = _comma(document, pos)
                    if comma is None:
                        self._leave_out(top.path, skipped)
                        return pos
                    pos = comma.end()
            if self._is_time(_RUN_TICKS + (pos - begin) // _TICK_BYTES):
                yield

    def _skip_members(self, pos: int, top: _Open) -> Generator[None, None, int]:
        """Skip members: one, or all up to the next deciding key if no others are kept. Returns where the next one begins."""
        document, skipped = self._document, 0
        one, many = self._other_members
        while self._spare <= 0 or self._size <= -self._spare_size:
            begin, before, window = pos, skipped, pos + _WINDOW
            if (found := many(document, pos, window)) is not None:
                skipped, pos = skipped + _RUN, found.end()
            else:
                while skipped < before + _RUN and (found := one(document, pos, window)) is not None:
                    skipped, pos = skipped + 1, found.end()
                if skipped == before:
                    break
            if self._is_time(_RUN_TICKS + (pos - begin) // _TICK_BYTES):
                yield
        if skipped:
            top.first = True  # the comma has been read
        else:
            pos, skipped = (yield from self._skip(_after(_key, document, pos))), 1
        self._leave_out(top.path, skipped)
        return pos

    def _skip(self, pos: int) -> Generator[None, None, int]:
        """Skip one value. Returns where it ends."""
        document = self._document
        found = _whole_value(document, pos, pos + _WINDOW)
        if found is not None:
            self._ticks += (found.end() - pos) // _TICK_BYTES
            return found.end()
        pos = _after(_start, document, pos)
        first = document[pos : pos + 1]
        if first not in b"[{":
            return _after(_string if first == b'"' else _scalar, document, pos)
        depth = 0
        for bracket in _brackets(document, pos):
            if self._is_time(1):
                yield
            begin, end = bracket.span()
            if document[begin] in b"[{":
                depth += end - begin
            elif document[begin] in b"]}":
                if depth <= end - begin:
                    return begin + depth
                depth -= end - begin
        raise BrokenJson


def _after(pattern: _Match, document: bytes, pos: int) -> int:
    """Where the match at this position ends. Raises BrokenJson if there is none."""
    found = pattern(document, pos)
    if found is None:
        raise BrokenJson
    return found.end()


def _joined(path: str, key: bytes) -> str:
    """The path of a member. A path that is too long already stays as it is."""
    if len(path) > _LONGEST_PATH:
        return path
    name = key[1 : _LONGEST_PATH + 1].removesuffix(b'"').decode("utf-8", "replace")
    return f"{path}.{name}" if path else name


def _folded(key: str) -> str:
    return key.replace("_", "").replace("-", "").lower()


@lru_cache(maxsize=64)
def _other_members(deciding: frozenset[str]) -> tuple[_Match, _Match]:
    """Patterns for one member that has no deciding key, and for many of them, with the comma after each."""
    keys = "|".join("[_-]*".join(map(re.escape, key)) for key in sorted(deciding))
    ahead = b'(?!"(?i:%b)")' % keys.encode() if keys else b""
    member = _SPACE + ahead + _STRING + _SPACE + b":" + _VALUE + b","
    return re.compile(member, re.DOTALL).match, re.compile(b"(?:%b){%d}+" % (member, _RUN), re.DOTALL).match
