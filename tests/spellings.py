"""Spells a text as servers do: escaped, encoded, or a mixture of these."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable, Mapping
from typing import Final
from urllib.parse import quote, quote_plus

from hypothesis import strategies as st

__all__ = ["CHARACTERS", "SPELLINGS", "mixed"]


def _percent(text: str) -> str:
    return "".join(f"%{byte:02X}" for byte in text.encode())


def _unicode_escaped(text: str) -> str:
    return json.dumps("".join(chr(0xE000 + ord(char)) for char in text))[1:-1].replace("\\ue0", "\\u00")


SPELLINGS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": str,
    "upper case": str.upper,
    "lower case": str.lower,
    "URL": lambda text: quote(text, safe=""),
    "URL, partly": quote,
    "URL, lower case": lambda text: quote(text, safe="").lower(),
    "form": quote_plus,
    "decoded as a form": lambda text: text.replace("+", " "),
    "percent": _percent,
    "URL twice": lambda text: quote(quote(text, safe=""), safe=""),
    "URL three times": lambda text: quote(quote(quote(text, safe=""), safe=""), safe=""),
    "HTML": html.escape,
    "HTML, decimal": lambda text: "".join(f"&#{ord(char)};" for char in text),
    "HTML, hexadecimal": lambda text: "".join(f"&#x{ord(char):X};" for char in text),
    "HTML, long": lambda text: "".join(f"&#{ord(char):07};" for char in text),
    "HTML twice": lambda text: html.escape("".join(f"&#x{ord(char):x};" for char in text)),
    "URL in HTML": lambda text: html.escape(quote(text, safe="")).replace("%", "&percnt;"),
    "JSON": _unicode_escaped,
    "JSON, upper case": lambda text: _unicode_escaped(text).upper().replace("\\U", "\\u"),
    "JSON in JSON": lambda text: _unicode_escaped(text).replace("\\", "\\\\"),
    "hex escapes": lambda text: "".join(f"\\\\x{ord(char):02x}" for char in text),
    "slashes": lambda text: text.replace("/", "\\/"),
    "hexadecimal": lambda text: text.encode().hex(),
    "hexadecimal, upper case": lambda text: text.encode().hex().upper(),
    "base64": lambda text: base64.b64encode(text.encode()).decode(),
    "base64 behind 1": lambda text: base64.b64encode(b"x" + text.encode() + b"?").decode(),
    "base64 behind 2": lambda text: base64.b64encode(b"xy" + text.encode() + b"??").decode(),
    "base64, URL-safe": lambda text: base64.urlsafe_b64encode(b"~" + text.encode()).decode().rstrip("="),
    "base64 in a URL": lambda text: quote(base64.b64encode(text.encode()).decode(), safe=""),
    "base64 in lines": lambda text: base64.encodebytes(text.encode() * 6).decode().replace("\n", "\\n"),
}
"""As it may stand in a JSON string, for texts of visible ASCII."""

CHARACTERS: Final[tuple[Callable[[str], str], ...]] = (
    str,
    str.upper,
    _percent,
    lambda char: _percent(char).lower(),
    lambda char: _percent(_percent(char)),
    lambda char: f"&#{ord(char)};",
    lambda char: f"&#x{ord(char):04x};",
    lambda char: f"&amp;#{ord(char)};",
    _unicode_escaped,
    lambda char: f"\\\\u{ord(char):04x}",
    lambda char: f"%5Cu{ord(char):04x}",
    lambda char: {"+": "%20", " ": "+"}.get(char, char),
)
"""Spellings of one character that can stand beside any other."""


@st.composite
def mixed(draw: st.DrawFn, text: str) -> str:
    """Each character in a spelling of its own."""
    return "".join(draw(st.sampled_from(CHARACTERS))(char) for char in text)
