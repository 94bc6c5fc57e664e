"""Masks secrets in what a server sends, however it spells them.

Rule 1: a secret of at least eight characters that is not a number is *strong*. It is masked in the body and the header
fields, before an endpoint sees the reply: as it is, in any letter case, percent-encoded, HTML-escaped, JSON-escaped, in
hexadecimal, in base64 at any offset, in any mixture of these, and escaped up to three times over.
Rule 2: a secret of four to seven characters, or a number, is *weak*: it may be a word of the reply's own, such as `true`.
It is masked in what is kept or shown, after the reply was read. So it never changes what decides.
Rule 3: a shorter secret is not masked, because nearly every text has it.
Rule 4: a search decodes a copy of the text in linear time, and only if the text has an escape. If a body has too many
spellings to mask each of them, the whole body becomes `***`. So no spelling that the search knows is left.
Rule 5: a mask is compiled once for each set of secrets, never for each poll.

A secret that is reversed, cut, encrypted or hashed is not found.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Generator, Iterable, Iterator, Mapping
from functools import lru_cache
from html.entities import html5
from itertools import repeat
from typing import Final

from multidict import CIMultiDict

from pollwise.model.steps import in_one_go

__all__ = ["STARS", "Mask", "mask_of", "without_tokens"]

STARS: Final = "***"
_STARS: Final = STARS.encode()
_SHORTEST_STRONG: Final = 8
_SHORTEST_WEAK: Final = 4
_LEVELS: Final = 3
_MOST_SPELLINGS: Final = 16  # each is found by some 30 searches in a window
_MOST_STARS: Final = 20_000
_STARS_A_STEP: Final = 1_000
_SHORTEST_WINDOW: Final = 32_768
_LONGEST_KNOWN: Final = 1_024  # bytes of a body that is remembered
_MOST_KNOWN: Final = 1_024
_MOST_STEPS_BACK: Final = 24  # over halves of escapes before a spelling: a row of percent signs has any number of them
_LONGEST_ESCAPE: Final = 24  # bytes for one character, such as `&amp;amp;#x00006b;`

# One letter case, and one of the two alphabets of base64 (RFC 4648). A form has `+` for a space.
_FOLD: Final = bytes(range(256)).lower().translate(bytes.maketrans(b"+-_", b"  /"))
_ESCAPED_BACKSLASH: Final = b"\0"  # while the other escapes are undone
_EQUALS: Final = b"\1"  # likewise
_PERCENT: Final = b"\2"  # likewise
_REFERENCE: Final = re.compile(rb"&(#(?:x[0-9a-f]{1,7}|[0-9]{1,7})|[a-z]{2,10}(?=;));?").split
_HALF_ESCAPE: Final = re.compile(  # also of an escape that is percent-encoded itself
    rb"(?:(?:%25|%5c)+(?:%(?:3[0-9]|[46][1-6]))?|(?:%|(?:\\|%5c)(?:u[0-9a-f]{0,2}|x)|&(?:amp;)*#x?[0-9a-f]{0,6})[0-9a-f]?|\\+)\Z",
    re.IGNORECASE,
).search
_BASE64_BEFORE: Final = re.compile(rb"[^%\\]*[A-Za-z0-9+/_-]").fullmatch  # else the digit may be of an escape
_BASE64_AFTER: Final = re.compile(rb"[A-Za-z0-9+/_-]?={0,2}").match
_TOKEN_LIKE: Final = re.compile(r"[A-Za-z0-9+/_.~=-]{24,}")


def without_tokens(text: str) -> str:
    """The text without what may be a credential that is not known: long words without a space."""
    return _TOKEN_LIKE.sub(STARS, text)


@lru_cache(maxsize=256)
def mask_of(secrets: frozenset[str]) -> Mask:
    """The mask for these secrets. It is compiled once."""
    return Mask(secrets)


class Mask:
    """Masks secrets in texts.

    Args:
        secrets: The secrets as they are, of any length.

    Attributes:
        weak: One pattern for each secret that is masked only in what is kept.
    """

    __slots__ = ("_clean", "_needles", "_overlap", "_references", "_shared", "_window", "weak")

    def __init__(self, secrets: Iterable[str]) -> None:
        texts = {text for text in secrets if len(text) >= _SHORTEST_WEAK}
        strong = {text for text in texts if len(text) >= _SHORTEST_STRONG and not text.isdecimal()}
        weak = texts - strong
        strong = {text for text in strong if not any(other != text and other in text for other in strong)}
        self._shared = {core: shared for text in strong for core, *shared in _base64_cores(text)}
        self._needles = _without_longer(needle for text in strong for needle in _needles(text))
        self._references = {**_REFERENCES, **_references(char for text in strong for char in text if ord(char) > 255)}
        self._overlap = _LONGEST_ESCAPE * max(map(len, strong), default=0)
        self._window = max(_SHORTEST_WINDOW, 4 * self._overlap)
        self._clean: set[bytes] = set()  # bodies without a secret: most jobs repeat their last body
        self.weak = tuple(map(_weak_pattern, sorted(weak, key=len, reverse=True)))

    def __repr__(self) -> str:
        return "Mask(***)"

    @property
    def is_empty(self) -> bool:
        """Whether there is no secret to mask."""
        return not self._needles and not self.weak

    def body(self, body: bytes) -> bytes:
        """The body without the strong secrets. The same object if it has none."""
        if body in self._clean or not self._may_have_one(body):
            return body
        return in_one_go(self._masking(body))

    def body_in_steps(self, body: bytes) -> Generator[None, None, bytes]:
        """The same in steps of some milliseconds. Yields between them, and returns the body."""
        if body in self._clean or not self._may_have_one(body):
            return body
        return (yield from self._masking(body))

    def text(self, text: str) -> str:
        """The text without strong and weak secrets. The same object if it has none."""
        text = self._strongly(text)
        for pattern in self.weak:
            text = pattern.sub(STARS, text)
        return text

    def headers(self, headers: Mapping[str, str]) -> Mapping[str, str]:
        """The header fields without the strong secrets. The same object if they have none."""
        whole = "\n".join([*headers.keys(), *headers.values()])
        if self._strongly(whole) is whole:
            return headers
        made: CIMultiDict[str] = CIMultiDict()
        for name, value in headers.items():
            made.add(self._strongly(name), self._strongly(value))
        return made

    def _strongly(self, text: str) -> str:
        data = text.encode("utf-8", "surrogatepass")
        masked = self.body(data)
        return text if masked is data else masked.decode("utf-8", "replace")

    # --- searching ----------------------------------------------------------------------------

    def _may_have_one(self, body: bytes) -> bool:
        """Whether the body has a secret, or is long and has escapes."""
        folded = body.translate(_FOLD)
        for needle in self._needles:
            if needle in folded:
                return True
        plain = not (b"\\" in body or b"%" in body or b"&" in body or (b"\n" in body and body[:1] not in b"{["))
        if not plain and (len(body) > self._window or self._is_escaped_in(folded)):
            return True
        if len(body) <= _LONGEST_KNOWN:
            if len(self._clean) == _MOST_KNOWN:
                self._clean.clear()
            self._clean.add(body)
        return False

    def _is_in(self, body: bytes) -> bool:
        folded = body.translate(_FOLD)
        return self._finds(folded) or self._is_escaped_in(folded)

    def _finds(self, folded: bytes) -> bool:
        for needle in self._needles:  # noqa: SIM110  # a generator would double the cost
            if needle in folded:
                return True
        return False

    def _is_escaped_in(self, folded: bytes) -> bool:
        if self._finds(folded.replace(b"\\n", b"").replace(b"\\r", b"").translate(None, b"\\\r\n")):
            return True
        for _ in range(_LEVELS):
            before = folded
            for undo in (self._without_references, _without_backslashes, _without_percents):
                escaped, folded = folded, undo(folded)
                if folded != escaped and self._finds(folded.translate(None, b"\\\r\n")):
                    return True
            if folded == before:
                return False
        return False

    def _without_references(self, folded: bytes) -> bytes:
        if b"&" not in folded or (b"&#" not in folded and b";" not in folded):
            return folded
        parts = _REFERENCE(folded)
        parts[1::2] = map(self._references.get, parts[1::2], repeat(b"&"))
        return b"".join(parts).translate(_FOLD)

    # --- masking ------------------------------------------------------------------------------

    def _masking(self, body: bytes) -> Generator[None, None, bytes]:
        """The body without the strong secrets, window by window, because a search in a window costs less."""
        start = spellings = 0
        while start < len(body):
            yield
            end = min(len(body), start + self._window)
            if not self._is_in(body[start:end]):
                start += self._window - self._overlap
                continue
            spellings += 1
            if spellings > _MOST_SPELLINGS:
                return _STARS
            start, end = self._span(body, start, end)
            body = body[:start] + body[start:].replace(body[start:end], _STARS)
        return (yield from _mended(body)) if spellings else body

    def _span(self, body: bytes, start: int, end: int) -> tuple[int, int]:
        """Where the first spelling of a secret is, in a window that has one."""
        low = start
        while low + 1 < end:
            middle = (low + end) // 2
            begin = max(start, low - self._overlap)
            low, end = (low, middle) if self._is_in(body[begin:middle]) else (middle, end)
        first = start = max(start, low - self._overlap)
        high = end
        while start + 1 < high:
            middle = (start + high) // 2
            start, high = (middle, high) if self._is_in(body[middle:end]) else (start, middle)
        start = self._whole_start(body, first, start, end)
        spelling = body[start:end]
        if spelling.translate(_FOLD) in self._shared:
            return _whole_base64(body, start, end, *self._shared[spelling.translate(_FOLD)])
        return start, end + (b"&" in spelling and body.startswith(b";", end))

    def _whole_start(self, body: bytes, first: int, start: int, end: int) -> int:
        """Where the spelling begins if its first digits may be those of an escape, as in `3%31` for `31`."""
        for _ in range(_MOST_STEPS_BACK):
            half = _HALF_ESCAPE(body[max(first, start - _LONGEST_ESCAPE) : start])
            if half is None and self._is_undone_in(body[start:end]):
                return start
            low, high = first, start + 1 - (0 if half is None else len(half[0]))
            if not self._is_undone_in(body[low:end]):
                return start
            while low + 1 < high:
                middle = (low + high) // 2
                low, high = (middle, high) if self._is_undone_in(body[middle:end]) else (low, middle)
            start = low
        return start

    def _is_undone_in(self, body: bytes) -> bool:
        """Whether the secret is in what is left if all escapes are undone."""
        folded = body.translate(_FOLD)
        for _ in range(_LEVELS):
            folded = _without_percents(_without_backslashes(self._without_references(folded)))
        return self._finds(folded.translate(None, b"\\\r\n"))


def _without_backslashes(folded: bytes) -> bytes:
    if not any(sign in folded for sign in (b"\\u00", b"\\x", b"\\\\")):
        return folded  # all others are one character, and a search skips backslashes
    folded = folded.replace(b"\\\\", _ESCAPED_BACKSLASH).replace(b"\\n", b"").replace(b"\\r", b"")
    folded = _decoded(
        folded.replace(b"%", _PERCENT).replace(b"\\u00", b"%").replace(b"\\x", b"%").translate(None, b"\\")
    )
    return folded.replace(_PERCENT, b"%").replace(_ESCAPED_BACKSLASH, b"\\").translate(_FOLD)


def _without_percents(folded: bytes) -> bytes:
    return _decoded(folded).translate(_FOLD) if b"%" in folded else folded


def _decoded(folded: bytes) -> bytes:
    """Percent-decoded, in C: quoted-printable is the same with another sign."""
    folded = folded.replace(b"%3d", _EQUALS).replace(b"=", _EQUALS).replace(b"%", b"=")
    return binascii.a2b_qp(folded).replace(b"=", b"%").replace(_EQUALS, b"=")


def _mended(body: bytes) -> Generator[None, None, bytes]:
    """Without the first half of an escape whose other half is masked: in JSON it would be invalid."""
    parts = body.split(_STARS)
    if len(parts) > _MOST_STARS:
        return _STARS
    for n, part in enumerate(parts[:-1]):
        if n % _STARS_A_STEP == 0:
            yield
        for _ in range(_LEVELS):  # each level of escapes may leave one
            half = _HALF_ESCAPE(part[-_LONGEST_ESCAPE:])
            part = part if half is None else part[: -len(half[0])]  # noqa: PLW2901
        parts[n] = part.rstrip(b"\\")
    return _STARS.join(parts)


def _whole_base64(body: bytes, start: int, end: int, before: bool, after: bool) -> tuple[int, int]:  # noqa: FBT001
    """With the digits beside it that have some bits of the secret, too."""
    if before and _BASE64_BEFORE(body[max(0, start - 8) : start]):
        start -= 1
    found = _BASE64_AFTER(body, end) if after else None
    return start, end if found is None else found.end()


# --- the forms of a secret --------------------------------------------------------------------


def _bytes_of(text: str) -> set[bytes]:
    """The text in UTF-8, in ISO 8859-1 if it can be, and with the escapes of JSON, of which only backslashes are lost."""
    found = {text.encode("utf-8", "surrogatepass")}
    if not text.isascii():
        found.add(text.encode("latin-1", "ignore") if all(ord(char) < 256 for char in text) else b"")
        found.add("".join(map(_unit_escapes, text)).encode("latin-1"))
    return found - {b""}


def _unit_escapes(char: str) -> str:
    if ord(char) < 256:
        return char
    units = char.encode("utf-16-be", "surrogatepass").hex()
    return "".join(f"u{units[at : at + 4]}" for at in range(0, len(units), 4))


def _needles(text: str) -> Iterator[bytes]:
    for data in _bytes_of(text):
        yield data.translate(_FOLD, b"\\\r\n")
        yield data.translate(_FOLD)
        yield data.hex().encode()
    for core, _, _ in _base64_cores(text):
        yield core


def _base64_cores(text: str) -> Iterator[tuple[bytes, bool, bool]]:
    """The base64 digits that depend on the text alone, and whether the digits before and after them depend on it, too."""
    for data in _bytes_of(text):
        for offset in range(3):
            first, last = 8 * offset, 8 * (offset + len(data))
            digits = base64.b64encode(bytes(offset) + data)[-(-first // 6) : last // 6]
            yield digits.translate(_FOLD), first % 6 > 0, last % 6 > 0


def _without_longer(needles: Iterable[bytes]) -> tuple[bytes, ...]:
    """Without those that have another one in them."""
    kept: list[bytes] = []
    for needle in sorted(set(needles), key=len):
        if needle and not any(shorter in needle for shorter in kept):
            kept.append(needle)
    return tuple(kept)


def _references(chars: Iterable[str]) -> dict[bytes, bytes]:
    """HTML's numeric references for these characters, in lower case and without `&` and `;`."""
    return {
        f"#{prefix}{digits:0>{width}}".encode(): char.encode("utf-8", "surrogatepass")
        for char in chars
        for prefix, digits in (("", str(ord(char))), ("x", f"{ord(char):x}"))
        for width in range(1, 8)
    }


_REFERENCES: Final = {
    **_references(map(chr, range(32, 256))),
    **{
        name[:-1].lower().encode(): char.encode()
        for name, char in html5.items()
        if len(char) == 1 and name.endswith(";") and (char.isprintable() and ord(char) < 256)
    },
}


# --- weak secrets -----------------------------------------------------------------------------


def _weak_pattern(text: str) -> re.Pattern[str]:
    """Finds a weak secret as a word of its own, however it is escaped."""
    data = text.encode("utf-8", "surrogatepass")
    word = "".join(map(_weak_char, text))
    whole = base64.b64encode(data).decode().rstrip("=")
    return re.compile(
        r"(?:(?<![0-9a-z])|(?<=%[0-9a-f]{2})|(?<=\\u[0-9a-f]{4})|(?<=\\[nrt]))"
        rf"(?:{word}|{data.hex()}|{re.escape(whole)}(?:={{1,2}}|(?:%3d){{1,2}})?)(?![0-9a-z])",
        re.IGNORECASE,
    )


def _weak_char(char: str) -> str:
    data = char.encode("utf-8", "surrogatepass")
    code = ord(char)
    spellings = [
        re.escape(char),
        "".join(rf"%(?:25){{0,2}}{byte:02x}" for byte in data),
        rf"\\{{1,4}}u{code:04x}",
        rf"\\{{1,4}}x{code:02x}",
        rf"&(?:amp;)?#(?:0{{0,5}}{code}|x0{{0,5}}{code:x});?",
        *(rf"&(?:amp;)?{name}" for name, named in html5.items() if named == char and name.endswith(";")),
    ]
    if not char.isalnum():
        spellings.append(rf"\\{{1,4}}{re.escape(char)}")
    return f"(?:{'|'.join(dict.fromkeys(spellings))})"
