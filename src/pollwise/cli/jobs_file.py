"""Parses a file of jobs to rows and bad rows.

    {"endpoint": "document360", "task_id": "65868a00c536f34594713fec"}
    {"endpoint": "oracle-content", "file_id": "DC76", "job_id": "ZX-E8", "customer": "ACME"}

    endpoint,task_id,file_id,job_id,customer
    document360,65868a00c536f34594713fec,,,
    oracle-content,,DC76,ZX-E8,ACME

Rule 1: all rows are checked before the first job is polled. Every bad row is reported with its line.
Rule 2: nothing is guessed: a row that could be meant in two ways is a bad one.
Rule 3: what a row says beside its endpoint and its keys is carried to its result, to the letter.
Rule 4: this file reads bytes that it is given, in pieces of any size; it opens nothing and holds one record at most.
Rule 5: which endpoints there are, and which keys their jobs have, is asked for by name (job_forms.py).
"""

from __future__ import annotations

import csv
import json
import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, Protocol, TypeAlias

import attrs

from pollwise.cli.input_lines import MAX_LINE_BYTES, LineSplitter, UnicodeConverter
from pollwise.cli.job_forms import VENDOR_KEYS, VENDORS, FindForm, JobForm, UnknownEndpoint, vendor_form
from pollwise.cli.safe_text import counted

__all__ = ["BadRow", "Format", "JobRow", "JobsReader", "reader_for"]

Format: TypeAlias = Literal["csv", "jsonl"]

_UTF8_BOM = b"\xef\xbb\xbf"  # of UTF-8, as spreadsheets put it first
_UNMARKED = "this file is UTF-16 or UTF-32 without a byte order mark, or no text; save it as UTF-8"
_SEPARATOR = re.compile(r'"?sep=([,;\t])"?')
_KINDS: Mapping[type, str] = {int: "whole number", bool: "truth value"}
_TOO_LONG = f"longer than {MAX_LINE_BYTES >> 20} MiB"


@attrs.frozen(kw_only=True)
class JobRow:
    """A job that is asked for: the line that it begins at, and what else its row says (`rest`)."""

    line: int
    endpoint: str
    keys: Mapping[str, str]
    rest: Mapping[str, Any]


@attrs.frozen
class BadRow:
    """A row that names no job, and the reason. The reason can hold text of the file, so it is not safe to print."""

    line: int
    reason: str


class JobsReader(Protocol):
    """Reads one file of jobs from its first byte to its last."""

    def feed(self, data: bytes, /) -> Iterator[JobRow | BadRow]:
        """The rows that end in these bytes."""
        ...

    def end(self) -> Iterator[JobRow | BadRow]:
        """The rows that the end of the file ends."""
        ...


def reader_for(form: Format, endpoint: str | None = None, find: FindForm = vendor_form) -> JobsReader:
    """What reads a file of that form. `endpoint` is meant where a row names none, and `find` knows the endpoints."""
    return _CsvFile(endpoint, find) if form == "csv" else _JsonLinesFile(endpoint, find)


class _RowError(Exception):
    """Something is wrong with a row; the message says what."""


class _FileError(_RowError):
    """The whole file is something else, so that no row of it is worth a word."""


class _LineReader:
    """What both forms have in common: lines of UTF-8 text, and one complaint a row."""

    def __init__(self, endpoint: str | None, find: FindForm) -> None:
        self._endpoint = endpoint
        self._find = find
        self._unicode = UnicodeConverter()
        self._lines = LineSplitter()
        self._unreadable = False
        self._number = 0

    def feed(self, data: bytes, /) -> Iterator[JobRow | BadRow]:
        """The rows that end in these bytes."""
        yield from self._feed(data, last=False)

    def end(self) -> Iterator[JobRow | BadRow]:
        """The rows that the end of the file ends."""
        yield from self._feed(b"", last=True)
        for number, line in self._lines.end():
            yield from self._take(number, line)
        yield from self._finish()

    def _feed(self, data: bytes, *, last: bool) -> Iterator[JobRow | BadRow]:
        try:
            text = self._unicode.to_utf8(data, last=last)
        except UnicodeError:
            if not self._unreadable:
                self._unreadable = True
                yield BadRow(self._number + 1, f"not {self._unicode.name}, which its first bytes say that it is")
            return
        for number, line in self._lines.feed(text):
            yield from self._take(number, line)

    def _take(self, number: int, line: bytes | None) -> Iterator[JobRow | BadRow]:
        self._number = number
        if self._unreadable:
            return
        try:
            text = _text(number, line)
        except _RowError as wrong:
            self._unreadable = isinstance(wrong, _FileError)
            yield BadRow(number, str(wrong))
        else:
            yield from self._read(number, text)

    def _read(self, number: int, text: str) -> Iterator[JobRow | BadRow]:
        raise NotImplementedError

    def _finish(self) -> Iterator[JobRow | BadRow]:
        return iter(())

    def _row(self, number: int, fields: Callable[[], dict[str, Any]]) -> JobRow | BadRow:
        try:
            return _row(number, fields(), self._endpoint, self._find)
        except _RowError as wrong:
            return BadRow(number, str(wrong))


def _text(number: int, line: bytes | None) -> str:
    if line is None:
        raise _RowError(_TOO_LONG)
    if number == 1 and b"\0" in line[:4]:
        raise _FileError(_UNMARKED)
    try:
        return line.removeprefix(
            _UTF8_BOM
        ).decode()  # on a later line it is the mark of a file that was put behind another
    except UnicodeDecodeError as error:
        raise _RowError(f"not UTF-8: byte {error.start + 1} of the line is 0x{line[error.start]:02x}") from None


def _row(number: int, fields: dict[str, Any], default_endpoint: str | None, find: FindForm) -> JobRow:
    """The row, taken out of `fields`."""
    endpoint = fields.pop("endpoint", default_endpoint)
    if endpoint is None:
        raise _RowError("it names no endpoint; add `endpoint`, or say --endpoint for all rows that name none")
    form = _form(endpoint, find)
    columns = form.columns
    missing = [key for key in columns if fields.get(key) is None]
    if missing:
        raise _RowError(f"it has no {' and no '.join(missing)}, which {endpoint} needs")
    keys = {key: _key_text(key, fields.pop(key), kind) for key, kind in columns.items()}
    if endpoint in VENDORS:
        unknown_keys = [key for key in sorted(VENDOR_KEYS & fields.keys()) if fields.pop(key) is not None]
        if unknown_keys:
            raise _RowError(f"it has {' and '.join(unknown_keys)}, which {endpoint} does not know")
    try:
        form.job_from_keys(keys)
    except ValueError as error:
        raise _RowError(str(error)) from None
    return JobRow(line=number, endpoint=endpoint, keys=keys, rest=fields)


def _form(endpoint: object, find: FindForm) -> JobForm:
    if not isinstance(endpoint, str):
        raise _RowError(f"there is no endpoint {endpoint!r}; write its name as a text")
    try:
        return find(endpoint)
    except UnknownEndpoint as unknown:
        hint = unknown.hint
    raise _RowError(f"there is no endpoint {endpoint!r}; {hint}")


def _key_text(key: str, value: object, kind: type) -> str:
    """The value of a key as a text. A number is one only where the key is a number."""
    if isinstance(value, str):
        return value
    if type(value) is kind and kind in {int, bool}:
        return str(value).lower()
    raise _RowError(f"{key} must be a {_KINDS.get(kind, kind.__name__)}, got {type(value).__name__}")


# --- JSON lines -------------------------------------------------------------------------------


class _JsonLinesFile(_LineReader):
    """One JSON object a line. Blank lines are no rows."""

    def __init__(self, endpoint: str | None, find: FindForm) -> None:
        super().__init__(endpoint, find)
        self._first = True

    def _read(self, number: int, text: str) -> Iterator[JobRow | BadRow]:
        if not text or text.isspace():
            return
        if self._first and _is_array(text):
            self._unreadable = True
            yield BadRow(number, "this file is a JSON array; write one object a line, as jq -c '.[]' FILE does")
            return
        self._first = False
        yield self._row(number, lambda: _json_object(text))


def _is_array(text: str) -> bool:
    """Whether a file whose first line this is has its objects in an array."""
    begun = text.strip()
    return begun == "[" or (begun.startswith("[") and begun[1:].lstrip().startswith("{"))


def _json_object(text: str) -> dict[str, Any]:
    try:
        found = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise _RowError(f"not JSON: {error.msg}, at character {error.pos + 1} of the line") from None
    except RecursionError:
        raise _RowError("nested too deeply") from None
    except ValueError:  # sys.set_int_max_str_digits
        raise _RowError("a whole number in it has too many digits") from None
    if not isinstance(found, dict):
        raise _RowError(f"expected one JSON object a line, got {text.strip()[:40]}")
    return found


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        raise _RowError(f"{next(name for name in names if names.count(name) > 1)!r} is there twice")
    return found


def _no_number(name: str) -> Any:
    raise _RowError(f"{name} is no JSON")


def _finite(digits: str) -> float:
    number = float(digits)
    if math.isinf(number):
        raise _RowError(f"{digits} is too large a number")
    return number


# The standard library's decoder: it keeps whole numbers of any size, and tells of names that come twice.
_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_no_number, parse_float=_finite)


# --- CSV --------------------------------------------------------------------------------------


class _CsvFile(_LineReader):
    """Comma, semicolon or tab separated, as the first row suggests, which names the columns. Quoted as in RFC 4180.

    A quoted field may go over several lines. So a quote that is never closed would take the rest of the file with it:
    where that happens only the line of the quote is bad, and reading goes on with the one after it.
    """

    def __init__(self, endpoint: str | None, find: FindForm) -> None:
        super().__init__(endpoint, find)
        self._columns: list[str] | None = None
        self._delimiter = ","
        self._separator: str | None = None  # what a line `sep=` says, as spreadsheets write it before the first row
        self._open: list[tuple[int, str]] = []  # the lines of a record that is not complete
        self._size = 0
        self._in_quotes = False  # whether a quote is open

    def _read(self, number: int, text: str) -> Iterator[JobRow | BadRow]:
        self._open.append((number, text))
        self._size += len(text) + 1
        self._in_quotes ^= text.count('"') % 2 == 1
        if not self._in_quotes:
            lines = self._close()
            yield from self._record(lines[0][0], [line for _, line in lines])
        elif self._size > MAX_LINE_BYTES:
            yield from self._skip()

    def _finish(self) -> Iterator[JobRow | BadRow]:
        while self._open:
            yield from self._skip()
        if self._columns is None and not self._unreadable:
            yield BadRow(1, "there is no first row that names the columns")

    def _close(self) -> list[tuple[int, str]]:
        lines, self._open, self._size, self._in_quotes = self._open, [], 0, False
        return lines

    def _skip(self) -> Iterator[JobRow | BadRow]:
        (number, _), *others = self._close()
        yield BadRow(number, "a quote is opened here and never closed")
        for later, text in others:
            yield from self._read(later, text)

    def _record(self, number: int, lines: Sequence[str]) -> Iterator[JobRow | BadRow]:
        if self._unreadable or not any(line.strip() for line in lines):
            return
        try:
            if self._columns is None and (said := _SEPARATOR.fullmatch(lines[0])) and self._separator is None:
                self._separator = said[1]
                return
            if self._columns is None:
                self._columns = self._head(lines)
                return
            cells = self._cells(lines)
        except _RowError as wrong:
            self._unreadable = self._columns is None
            yield BadRow(number, str(wrong))
        else:
            if not any(cells):
                return  # spreadsheets end their files with such rows
            columns = self._columns
            yield self._row(number, lambda: _named(columns, cells))

    def _head(self, lines: Sequence[str]) -> list[str]:
        self._delimiter = self._separator or max(",;\t", key=lines[0].count)  # the first of them where there is none
        columns = [cell.strip() for cell in self._cells(lines)]
        twice = {name for name in columns if name and columns.count(name) > 1}
        if twice:
            raise _RowError(f"two columns are called {min(twice)!r}")
        keys = VENDOR_KEYS if self._endpoint is None else self._find(self._endpoint).columns
        if not {"endpoint", *keys} & set(columns):
            known = ", ".join(("endpoint", *sorted(keys)))
            raise _RowError(f"the first row must name the columns, such as {known}; it names {', '.join(columns)}")
        return columns

    def _cells(self, lines: Sequence[str]) -> list[str]:
        try:
            records = list(csv.reader([f"{line}\n" for line in lines], delimiter=self._delimiter, strict=True))
        except csv.Error as error:
            said = "a line ends in CR alone" if "new-line" in str(error) else str(error)  # its advice is a programmer's
            raise _RowError(f"not CSV: {said}") from None
        return records[0] if len(records) == 1 else _no_record()


def _no_record() -> Any:
    raise _RowError("not CSV: a quote stands inside a field that is not quoted")


def _named(columns: Sequence[str], cells: Sequence[str]) -> dict[str, Any]:
    """An empty cell says nothing. Spreadsheets leave columns without a name, which may have nothing else."""
    if len(cells) != len(columns):
        raise _RowError(f"it has {counted(len(cells), 'field')}, and the first row names {len(columns)}")
    named = {name: cell for name, cell in zip(columns, cells, strict=True) if cell}
    if "" in named:
        raise _RowError(f"{named['']!r} stands in a column without a name")
    return named
