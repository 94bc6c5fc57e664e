"""JSON as a table of text.

Rule 1: a list of objects has a row for each, and their keys are the columns. An object alone has a row for each of its keys.
Rule 2: each cell is safe to print and is one line. A value that is missing or null is `-`.
Rule 3: a stream has the column widths of its first row, because later rows are not known. A longer cell moves the rest of its
row.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from rich.cells import cell_len

from pollwise.cli.safe_text import safe

__all__ = ["StreamTable", "table_lines"]

_GAP: Final = "  "
_LONGEST_CELL: Final = 200
_LEAST_WIDTH: Final = 10  # of a column of a stream, so that `queued` leaves room for `succeeded`


def table_lines(value: Any) -> list[str]:
    """The lines of one document."""
    if isinstance(value, Mapping):
        return _aligned([[safe(name), _cell(field)] for name, field in value.items()])
    if not isinstance(value, Sequence) or isinstance(value, str):
        return [_cell(value)]
    if value and all(isinstance(row, Mapping) for row in value):
        names = _names(value)
        return _aligned([_heads(names), *([_cell(row.get(name)) for name in names] for row in value)])
    return _aligned([list(map(_cell, row)) if isinstance(row, list) else [_cell(row)] for row in value])


class StreamTable:
    """The rows of documents that come one after another."""

    def __init__(self) -> None:
        self._names: list[str] | None = None
        self._widths: list[int] = []

    def lines(self, value: Any) -> list[str]:
        """The lines of the next document. An object whose keys are not those of the last one has new heads."""
        if not isinstance(value, Mapping):
            return table_lines(value)
        names, cells = list(value), [_cell(field) for field in value.values()]
        lines = []
        if names != self._names:
            heads = _heads(names)
            self._names = names
            self._widths = [max(_LEAST_WIDTH, *map(cell_len, column)) for column in zip(heads, cells, strict=True)]
            lines.append(_line(heads, self._widths))
        return [*lines, _line(cells, self._widths)]


def _names(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The keys of all rows, in the order in which they come."""
    return list(dict.fromkeys(name for row in rows for name in row))


def _heads(names: Iterable[str]) -> list[str]:
    return [safe(name).upper() for name in names]


def _aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    columns = max(map(len, rows), default=0)
    filled = [[*row, *[""] * (columns - len(row))] for row in rows]
    widths = [max(map(cell_len, column)) for column in zip(*filled, strict=True)]
    return [_line(row, widths) for row in filled]


def _line(cells: Sequence[str], widths: Sequence[int]) -> str:
    padded = (f"{cell}{' ' * (width - cell_len(cell))}" for cell, width in zip(cells, widths, strict=True))
    return _GAP.join(padded).rstrip()


def _cell(value: Any) -> str:
    return safe(_text(value), _LONGEST_CELL) or "-"


def _text(value: Any) -> str:
    match value:
        case None:
            return "-"
        case str():
            return value
        case Mapping() if value and not any(map(_is_deep, value.values())):
            return " ".join(_pairs(value))
        case list() if value and not any(map(_is_deep, value)):
            return ", ".join(map(_text, value))
        case _:
            return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _pairs(value: Mapping[str, Any]) -> Iterator[str]:
    return (f"{name}={_text(field)}" for name, field in value.items())


def _is_deep(value: Any) -> bool:
    return isinstance(value, (list, Mapping))
