"""The root of the tree, and what a vendor wrote in the body of a refusal."""

from __future__ import annotations

from typing import Any

import attrs

__all__ = ["PollwiseError", "Problem", "printable", "server_said"]


@attrs.frozen
class Problem:
    """What a vendor wrote in the body of a refusal: its codes and words, unaltered.

    Attributes:
        codes: The vendor's error codes in their order, for example `("-96",)`.
        descriptions: The vendor's texts in their order. Untrusted: never render them as markup.
        key: A symbolic name of the error, where the vendor has one.
        job_unknown: True where the vendor's codes mean that the job does not exist for this caller.
    """

    codes: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    key: str | None = None
    job_unknown: bool = False

    def __str__(self) -> str:
        words = [printable(text) for text in self.descriptions]
        if self.key is not None:
            words.append(printable(self.key))
        if self.codes:
            words.append("code " + ", ".join(map(printable, self.codes)))
        return "; ".join([*map(_without_full_stop, words[:-1]), *words[-1:]]) or "no details given"


def printable(text: str) -> str:
    """A vendor's text that is safe to print: no escape codes, no line breaks, no invisible reordering."""
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)


def _without_full_stop(text: str) -> str:
    """A sentence that goes on. An ellipsis stays."""
    return text if text.endswith("..") else text.removesuffix(".")


def server_said(problem: Problem | None) -> str:
    """The vendor's words, as a sentence for the end of a message."""
    return "" if problem is None else f" The server said: {str(problem).removesuffix('.')}."


class PollwiseError(Exception):
    """The root of the tree. `except PollwiseError` catches every error of pollwise."""

    def __reduce__(self) -> tuple[Any, ...]:
        # attrs pickles the fields of a slotted class alone, so notes and added attributes would be lost.
        return _again, (type(self), self._arguments(), self.__dict__)

    def _arguments(self) -> tuple[Any, ...]:
        """What makes the same error. `args` would have a field as it was before it was set, such as a job that is known later."""
        kind = type(self)
        return tuple(getattr(self, field.name) for field in attrs.fields(kind)) if attrs.has(kind) else self.args


def _again(kind: type[PollwiseError], args: tuple[Any, ...], more: dict[str, Any]) -> PollwiseError:
    """Make the error from its pickle."""
    error = kind(*args)
    error.__dict__.update(more)
    if "__notes__" in more:
        error.__dict__["__notes__"] = list(
            more["__notes__"]
        )  # a note that is added to a copy is not added to this error
    return error
