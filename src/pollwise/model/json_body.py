"""JSON in a body, also if something stands around it.

Rule 1: a body that is JSON in UTF-8 is decoded once. Media type, charset and byte order mark do not matter (RFC 8259, 8.1).
Rule 2: if that fails, these are understood: a byte order mark, UTF-16 and UTF-32, a declared charset of the usual ones,
NULs at the end, and the prefixes that servers use against cross-site script inclusion (`)]}'`, `while(1);`, `for(;;);`,
`{}&&`). No JSON begins with such a prefix.
Rule 3: one value never hides another. NaN, an infinite number and a value nested more than 100 deep become null. An
invalid character becomes the replacement character. A control character inside a string is kept.
Rule 4: everything else is no JSON: comments, trailing commas, single quotes, two documents, an HTML page.
"""

from __future__ import annotations

import json
import math
import re
from typing import Any

import orjson

__all__ = ["body_text", "decoded", "unwrapped"]

_DEEPEST = 100
_LONGEST_TO_CUT = 1_000_000  # to cut a megabyte takes some 0.2 s
_MOST_DIGITS = 18
_CHARSET = re.compile(r"charset\s*=\s*[\"']?([a-z0-9_.:-]+)", re.IGNORECASE).search
_SAFE_CHARSET = re.compile(  # all single-byte or multi-byte, all decoded in linear time
    r"(iso|iso_)?-?8859-?\d{1,2}|latin-?1|(windows-|cp)125\d|us-ascii|ascii|gbk|gb2312|gb18030|big5|shift[_-]?jis|euc-(jp|kr)|koi8-[ru]",
    re.IGNORECASE,
).fullmatch
_INCLUSION_GUARD = re.compile(r"(?:\)\]\}',?|while ?\((?:1|true)\);|for ?\(;;\);|\{\} ?&&)\s*").match
_NESTING = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"?|[\[{]+|[\]}]+', re.DOTALL).finditer


def decoded(text: str) -> Any:
    """The JSON in a text that orjson did not take as it was sent. Raises ValueError, which says where it is broken."""
    text = unwrapped(text)
    try:
        return orjson.loads(text)
    except orjson.JSONDecodeError as exc:
        why = f"broken JSON, {exc.msg} at character {exc.pos}"
    for read in (_tolerant, _cut):
        try:
            return read(text)
        except RecursionError:
            why = "broken JSON, nested too deep"
        except ValueError:
            break
    raise ValueError(why)


def unwrapped(text: str) -> str:
    """The text without what may stand around JSON."""
    text = text.lstrip("\ufeff \t\r\n").rstrip("\0 \t\r\n")
    guard = _INCLUSION_GUARD(text)
    return text if guard is None else text[guard.end() :]


def body_text(body: bytes, content_type: str | None) -> str:
    """The body's text: in the UTF that its first bytes show, or in the declared charset if it is no UTF-8."""
    encoding = json.detect_encoding(body)
    try:
        return body.decode(encoding)
    except UnicodeDecodeError:
        declared = None if content_type is None else _CHARSET(content_type)
    if declared is not None and _SAFE_CHARSET(declared[1]):
        try:
            return body.decode(declared[1], "replace")
        except LookupError:  # a number that no codec has
            pass
    return body.decode(encoding, "replace")


def _tolerant(text: str) -> Any:
    data = json.loads(text, strict=False, parse_constant=_null, parse_float=_finite, parse_int=_integer)
    # Once more, so that no lone surrogate is left, which could not be encoded again.
    written = json.dumps(data, ensure_ascii=False).encode("utf-8", "replace")
    try:
        return orjson.loads(written)
    except orjson.JSONDecodeError:  # the one limit that is left: from Python 3.12 on, `json` reads deeper than orjson
        raise RecursionError from None


def _cut(text: str) -> Any:
    if len(text) > _LONGEST_TO_CUT:
        raise RecursionError
    return _tolerant(_shallow(text))


def _null(_constant: str) -> None:
    return None


def _finite(digits: str) -> float | None:
    number = float(digits)
    return number if math.isfinite(number) else None


def _integer(digits: str) -> float | None:
    return int(digits) if len(digits) <= _MOST_DIGITS else _finite(digits)


def _shallow(text: str) -> str:
    """The text with null in place of each array and object that is nested too deep."""
    kept: list[str] = []
    depth = begin = 0
    for found in _NESTING(text):
        run, at = len(found[0]), found.start()
        if text[at] in "[{":
            if depth <= _DEEPEST < depth + run:
                kept += (text[begin : at + _DEEPEST - depth], "null")
            depth += run
        elif text[at] in "]}":
            if depth - run <= _DEEPEST < depth:
                begin = at + depth - _DEEPEST
            depth -= run
    return "".join([*kept, text[begin:]])
