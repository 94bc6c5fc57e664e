"""Reads a vendor's word for the state of a job into an enum of the documented words, and spells the keys of JSON.

Rule 1: letter case, blanks, `_` and `-` do not matter, because a vendor's own APIs spell the same word in several ways.
Rule 2: an undocumented word is kept as sent. What is no text, and an empty text, is refused: it says nothing.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping
from typing import TypeVar

from pollwise.endpoints._strict import Hook, shown, text

__all__ = ["camel_case", "words"]

E = TypeVar("E", bound=enum.StrEnum)


def camel_case(name: str) -> str:
    """The key of JSON for a field's name: `lastUpdatedAt` for `last_updated_at`."""
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def words(documented: type[E], **others: E) -> Hook:
    """A hook that returns a member of `documented`, or another word as it is.

    Args:
        documented: The documented words.
        others: Other spellings of them, in lower case.
    """
    exact: Mapping[object, E] = {word.value: word for word in documented}
    folded: Mapping[str, E] = {_folded(word.value): word for word in documented} | others

    def read(value: object, _type: object = None, /) -> E | str:
        try:
            return exact[value]
        except (KeyError, TypeError):
            word = text(value)
        name = _folded(word)
        if not name:
            raise ValueError(f"expected a word, got {shown(word)}")
        return folded.get(name, word)

    return read


def _folded(word: str) -> str:
    return "".join(word.split()).replace("_", "").replace("-", "").lower() if word.isascii() else word.strip()
