"""All that is wrong with declarations, in one error.

Rule 1: a problem names its file, its table and its word, and says what to write.
Rule 2: one problem never hides another.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

import attrs

from pollwise.errors import ConfigurationError

__all__ = ["DeclarationErrors", "DeclarationProblem", "Problems"]

A = TypeVar("A")
T = TypeVar("T")


@attrs.frozen(kw_only=True)
class DeclarationProblem:
    """One thing to change.

    Attributes:
        file: The file, or None if the declaration was written in Python.
        table: The name of the declaration, or None if the problem is the file itself.
        word: The word of the vocabulary, such as `poll` or `progress.done`, or None for the whole table.
        why: What is wrong, and what to write.
    """

    file: str | None
    table: str | None
    word: str | None
    why: str

    def __str__(self) -> str:
        place = "".join(
            part for part in (f"[{self.table}] " if self.table else "", f"{self.word}: " if self.word else "")
        )
        return f"{f'{self.file}: ' if self.file else ''}{place}{self.why}"


class DeclarationErrors(ConfigurationError):
    """A declaration is wrong. The error has everything that is wrong.

    Attributes:
        problems: The problems, in the order of the file.
    """

    def __init__(self, problems: Sequence[DeclarationProblem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(map(str, self.problems)))

    def __reduce__(self) -> tuple[type[DeclarationErrors], tuple[tuple[DeclarationProblem, ...]]]:
        return type(self), (self.problems,)


class Problems:
    """Collects the problems of one declaration."""

    def __init__(self, table: str | None = None, file: str | None = None) -> None:
        self._table = table
        self._file = file
        self.found: list[DeclarationProblem] = []

    def add(self, word: str | None, why: str) -> None:
        """Note a problem of this word."""
        self.found.append(DeclarationProblem(file=self._file, table=self._table, word=word, why=why))

    def of(self, word: str, check: Callable[[A], T], value: A) -> T | None:
        """The result of this check of a word's value. If it raises ConfigurationError, that is a problem."""
        try:
            return check(value)
        except ConfigurationError as exc:
            self.add(word, str(exc))
        return None

    def check(self) -> None:
        """Raise DeclarationErrors if there is a problem."""
        if self.found:
            raise DeclarationErrors(self.found)
