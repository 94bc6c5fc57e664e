"""Checks a damaged ledger, and saves its sound rows in a new file.

Rule 1: the damaged file is opened read-only, and stays as it is. No file is overwritten, and no half a file is left.
Rule 2: a row is saved only if its checksums are right. Rows of schema versions 1 to 3 have none, so their values decide.
Rule 3: if the first page is damaged, it is replaced in memory (first_page.py).
Rule 4: intents are saved, too. One whose job was not saved is unfinished again, so that its key starts no second job.
Rule 5: rows are read by ranges of numbers. If a range cannot be read, its halves are read, down to single rows.
"""

from __future__ import annotations

import errno
import os
import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, suppress
from typing import TypeAlias

import attrs

from pollwise.errors import ConfigurationError
from pollwise.ledger.errors import (
    LedgerCorrupt,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerNotRecovered,
    LedgerTooNew,
    NotALedger,
)
from pollwise.ledger.file_safety import refuse_place
from pollwise.ledger.files import check_tables, connect_to_read, is_file, ledger_error_of, make_ledger
from pollwise.ledger.first_page import has_log, open_without_first_page
from pollwise.ledger.intent_rows import insert_intent, intents_to_save
from pollwise.ledger.records import DamagedRow
from pollwise.ledger.rows import COLUMNS, Row, UnsoundRow, checksums_of, damaged_row, line_of
from pollwise.ledger.schema import APPLICATION_ID, MIGRATIONS, version_of
from pollwise.ledger.statements import fetch, text_or_bytes

__all__ = ["Stopped", "Survey", "check_ledger", "recover_ledger"]

_Job: TypeAlias = tuple[object, ...]  # endpoint, account, keys

_DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)  # the second is for a message of SQLite that has a damaged name
_BUSY_TIMEOUT_S = 5.0  # for another program that holds the damaged file
_CHUNK = 1_000
_MOST_NUMBERS = 1_000_000_000  # a damaged number can be any integer, and the reading of a billion numbers takes seconds
_MOST_FAULTS = 20
_LOG_NOT_READ = "its -wal cannot be read without the first page, so the newest changes are missing"
_CELLS_UNCHECKED = "PRAGMA cell_size_check = OFF"  # else a page with one damaged cell could not be read at all
_APPLICATION = "PRAGMA application_id"
_TABLE = "PRAGMA table_info(watches)"
_HIGHEST = ("SELECT max(id) FROM watches NOT INDEXED", "SELECT seq FROM sqlite_sequence WHERE name = 'watches'")
_ADDED = {
    "account": "''",
    "origin": "NULL",
    "error_data": "NULL",
    "generation": "0",
    "cursor": "NULL",
    "job_checksum": "'older'",
    "state_checksum": "'older'",
}


_FIRST = set(COLUMNS.split(", ")) - _ADDED.keys()  # the columns of version 1, which each version has


@attrs.frozen(kw_only=True)
class Survey:
    """What a ledger's file has.

    Attributes:
        sound: The number of sound rows.
        damaged: The other rows.
        faults: What is wrong with the file: at most 20 messages of SQLite, and why pollwise would not open it.
    """

    sound: int
    damaged: Sequence[DamagedRow]
    faults: Sequence[str]


class Stopped(Exception):
    """The caller asked to stop. No file was made."""


def _never() -> bool:
    return False


def _ignore(_row: Row) -> None:
    """Save nothing."""


@attrs.frozen
class _Into:
    """What saves the sound rows of watches, and those of intents."""

    watch: Callable[[Row], object] = _ignore
    intent: Callable[[Row], object] = _ignore


def check_ledger(path: str, stop: Callable[[], bool] = _never) -> Survey:
    """Read each row.

    Raises:
        LedgerError: The file has no table of watches that can be read.
        Stopped: `stop` returned True.
    """
    return _survey(path, _Into(), stop)


def recover_ledger(path: str, new: str, stop: Callable[[], bool] = _never) -> Survey:
    """Write the sound rows to the new file `new`, with their numbers. If this raises, there is no new file.

    Raises:
        ConfigurationError: `new` would be a part of the damaged ledger.
        FileExistsError: `new`, or a part of a ledger of that name, exists and is left as it is. `filename` is that file.
        LedgerNotRecovered: `new` cannot be written.
        LedgerUnsafe: `new` is in a place where a ledger cannot be kept.
        LedgerError: The file has no table of watches that can be read.
        Stopped: `stop` returned True.
    """
    target = os.path.abspath(new)  # noqa: PTH100 - all of a ledger's paths are texts
    _refuse_what_exists(path, target)
    refuse_place(target, read_only=False)
    surveys: list[Survey] = []

    def save_all(db: sqlite3.Connection) -> None:
        def save(row: Row) -> None:
            try:
                _save(db, row)
            except sqlite3.Error as exc:  # here, because it is no error of the damaged file
                raise _not_recovered(exc, target, path) from exc

        db.execute("BEGIN")
        surveys.append(_survey(path, _Into(save, lambda row: insert_intent(db, row, again=True)), stop))
        db.execute("COMMIT")

    try:
        make_ledger(target, f"{target}-pollwise-recovery", save_all)
    except FileExistsError as exc:
        raise _exists(target) from exc
    except (sqlite3.Error, OSError) as exc:
        raise _not_recovered(exc, target, path) from exc
    return surveys[0]


def _refuse_what_exists(path: str, target: str) -> None:
    # SQLite would write a log or a journal of an earlier file into the new one.
    for place in (target, f"{target}-wal", f"{target}-journal"):
        if os.path.lexists(place):
            raise _exists(place)
    source = os.path.realpath(path)
    if os.path.realpath(target) in {f"{source}{end}" for end in ("-wal", "-shm", "-journal", "-lock")}:
        raise ConfigurationError(f"{target} would be a part of the damaged ledger; name another file")


def _exists(place: str) -> FileExistsError:
    return FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), place)


def _not_recovered(exc: Exception, target: str, path: str) -> LedgerNotRecovered:
    error = ledger_error_of(exc, target)
    source = os.path.abspath(path)  # noqa: PTH100 - all of a ledger's paths are texts
    return LedgerNotRecovered(target, source, getattr(error, "detail", str(exc)), isinstance(error, LedgerFull))


def _survey(path: str, into: _Into, stop: Callable[[], bool]) -> Survey:
    try:
        if not is_file(path):
            raise LedgerMissing(path)
        survey = _survey_of_file(os.path.realpath(path), into, stop)
    except (*_DAMAGE, OSError) as exc:
        raise ledger_error_of(exc, path) from exc
    if stop():
        raise Stopped
    return survey


def _survey_of_file(path: str, into: _Into, stop: Callable[[], bool]) -> Survey:
    try:
        with closing(connect_to_read(path, _BUSY_TIMEOUT_S)) as db:
            db.execute(_CELLS_UNCHECKED)
            survey = _survey_of(db, path, into, stop)
    except (*_DAMAGE, LedgerCorrupt) as exc:
        error = ledger_error_of(exc, path)
        if isinstance(error, (LedgerCorrupt, NotALedger)):
            found = _survey_without_first_page(path, error.detail, into, stop)
            if found is not None:
                return found
        raise
    if survey.sound or not survey.faults:
        return survey
    return _survey_without_first_page(path, survey.faults[0], into, stop) or survey


def _survey_without_first_page(path: str, fault: str, into: _Into, stop: Callable[[], bool]) -> Survey | None:
    """What the other pages have, if that is a sound row at least."""
    db = open_without_first_page(path)
    if db is None:
        return None
    with closing(db):
        try:
            survey = _survey_of(db, path, into, stop)
        except _DAMAGE:
            return None
    if not survey.sound:
        return None
    log = [_LOG_NOT_READ] if has_log(path) else []
    return attrs.evolve(survey, faults=[fault, *log, *survey.faults])


def _survey_of(db: sqlite3.Connection, path: str, into: _Into, stop: Callable[[], bool]) -> Survey:
    columns = _columns(db, path)
    jobs = _jobs(db, columns)
    rows = _Rows(save=into.watch, stop=stop)
    unreadable: set[int] = set()
    end = min(_highest(db, jobs), _MOST_NUMBERS) + 1
    for first in range(1, end, _CHUNK):
        if stop():
            raise Stopped
        rows.take(_range(db, columns, first, min(first + _CHUNK, end), unreadable))
    # SQLite ends a range at a row whose number is damaged, and may not find the rows near it by their numbers.
    if any(rows.lack(number, job) for number, job in jobs.items()):
        rows.take(_in_order(db, columns))
    lost = {number: job for number, job in jobs.items() if rows.lack(number, job)}
    if not jobs:
        lost = dict.fromkeys(unreadable, (None, None, None))
    damaged = {number: row for number, row in rows.damaged.items() if number not in rows.numbers}
    for number, job in lost.items():
        reason = "its page cannot be read" if number in unreadable else "it is not in its place"
        damaged.setdefault(number, damaged_row((number, *job), reason))
    faults = [*_faults(db, path), *_save_intents(db, into, rows)]
    return Survey(sound=len(rows.sound), damaged=[damaged[number] for number in sorted(damaged)], faults=faults)


def _save_intents(db: sqlite3.Connection, into: _Into, rows: _Rows) -> Sequence[str]:
    """Save the sound intents, and return what is wrong with the others."""
    intents, damaged = intents_to_save(db)
    for *columns, watch in intents:
        into.intent((*columns, watch if watch in rows.numbers else None))
    if not damaged:
        return ()
    what = "the starts of jobs cannot be read" if damaged < 0 else f"{damaged} starts of jobs are damaged"
    return ["1 start of a job is damaged" if damaged == 1 else what]


@attrs.define
class _Rows:
    """The rows that were read. A page that is linked twice has its rows twice."""

    save: Callable[[Row], object]
    stop: Callable[[], bool]
    sound: set[_Job] = attrs.field(factory=set)
    numbers: set[int] = attrs.field(factory=set)  # of the sound ones
    damaged: dict[int, DamagedRow] = attrs.field(factory=dict)

    def lack(self, number: int, job: _Job) -> bool:
        """Whether neither this number nor this job was read, as the index has them. Either may be damaged."""
        return number not in self.damaged and number not in self.numbers and job not in self.sound

    def take(self, rows: Iterable[Row]) -> None:
        """Save the sound rows among these."""
        for row in rows:
            if self.stop():
                raise Stopped
            try:
                line_of(row)
            except UnsoundRow as exc:
                self.damaged[row[0]] = exc.damaged
                continue
            number, job = row[0], row[1:4]
            if number in self.numbers:
                continue
            if job in self.sound:
                self.damaged[number] = damaged_row(row, "it is a second row of its job")
                continue
            self.save(row)
            self.sound.add(job)
            self.numbers.add(number)


def _save(db: sqlite3.Connection, row: Row) -> None:
    marks = ", ".join("?" * len(row))
    db.execute(f"INSERT INTO watches ({COLUMNS}) VALUES ({marks})", (*row[:-2], *checksums_of(row)))  # noqa: S608


def _columns(db: sqlite3.Connection, path: str) -> Sequence[str]:
    """The columns of the newest version, as expressions for this file."""
    there = {row[1] for row in db.execute(_TABLE)}
    if not there.issuperset(_FIRST):
        if db.execute(_APPLICATION).fetchone()[0] != APPLICATION_ID:
            raise NotALedger(path, "it is another program's SQLite database")
        raise LedgerCorrupt(path, "it has no table of watches that can be read")
    known = COLUMNS.split(", ")
    version = version_of(db)
    if version > len(MIGRATIONS) and not there.issubset(known):
        raise LedgerTooNew(path, version, len(MIGRATIONS))
    return [name if name in there else _ADDED[name] for name in known]


def _jobs(db: sqlite3.Connection, columns: Sequence[str]) -> Mapping[int, _Job]:
    """Endpoint, account and job by row number, from the index. Empty if the index cannot be read."""
    try:
        found = fetch(db, f"SELECT {', '.join(columns[:4])} FROM watches INDEXED BY watches_by_job")  # noqa: S608
    except _DAMAGE:
        return {}
    return {row[0]: row[1:] for row in found if isinstance(row[0], int)}


def _highest(db: sqlite3.Connection, jobs: Mapping[int, _Job]) -> int:
    """The highest number of a row. Each place that has it may be damaged, so the middle one of three is taken."""
    found = [max(jobs)] if jobs else []
    for sql in _HIGHEST:
        with suppress(*_DAMAGE):
            found += [number for (number,) in fetch(db, sql) if isinstance(number, int)]
    return sorted(found)[len(found) // 2] if found else 0


def _range(db: sqlite3.Connection, columns: Sequence[str], first: int, end: int, unreadable: set[int]) -> Iterator[Row]:
    """The rows of these numbers. `unreadable` gets those that cannot be read, also if no row has them."""
    ranges = [(first, end)]
    while ranges:
        low, high = ranges.pop()
        rows = _read(db, columns, low, high)
        if rows is not None:
            yield from rows
        elif low + 1 == high:
            unreadable.add(low)
        else:
            middle = (low + high) // 2
            ranges += [(middle, high), (low, middle)]


def _read(db: sqlite3.Connection, columns: Sequence[str], low: int, high: int) -> Sequence[Row] | None:
    """The rows of these numbers, or None if one of them cannot be read."""
    select = f"SELECT {', '.join(columns)} FROM watches NOT INDEXED WHERE id >= ? AND id < ? ORDER BY id"  # noqa: S608
    try:
        return fetch(db, select, (low, high))
    except _DAMAGE as exc:
        if isinstance(ledger_error_of(exc, ""), LedgerInUse):
            raise
        return None


def _in_order(db: sqlite3.Connection, columns: Sequence[str]) -> Iterator[Row]:
    """The rows in their order in the file, whatever their numbers are, up to the first that cannot be read."""
    db.text_factory = text_or_bytes
    with suppress(*_DAMAGE):
        yield from db.execute(f"SELECT {', '.join(columns)} FROM watches NOT INDEXED")  # noqa: S608


def _faults(db: sqlite3.Connection, path: str) -> Sequence[str]:
    found: list[str] = []
    try:
        found.extend(str(message) for (message,) in db.execute(f"PRAGMA integrity_check({_MOST_FAULTS})"))
        check_tables(db, path)
    except _DAMAGE as exc:
        found.append(str(exc))
    except LedgerTooNew as exc:
        found.append(f"its schema version is {exc.found}")
    except (LedgerCorrupt, NotALedger) as exc:
        found.append(exc.detail)
    return [message for message in found if message != "ok"]
