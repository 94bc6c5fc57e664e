"""What is fuzzed: for each target a function that takes any bytes, and raises if a property does not hold.

Rule 1: only errors of pollwise come out of the code for what a server or a file says; `check` lets no other exception pass.
Rule 2: what was read is within its bounds, and a value that is written and read again is equal.
Rule 3: this file needs no fuzzer, so the tests replay every corpus on every Python.
"""

# ruff: noqa: PT017 - the text of an error is bounded, too

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

import attrs
import orjson
from multidict import CIMultiDict

from pollwise.cli.jobs_file import BadRow, Format, JobRow, reader_for
from pollwise.core.header_hints import HintReader
from pollwise.core.header_values import LONGEST_WAIT_S, elements, parameters
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.durable.codec import job_of, outcome_of, resume_state_of
from pollwise.durable.error_codec import ErrorCodec
from pollwise.durable.resume_token import read_token, write_token
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import PollError, TokenError, WatchError
from pollwise.ledger import Concluded
from pollwise.ledger.rows import UnsoundRow, checksums_of, known_watch, line_of
from pollwise.model.cursor import own_cursor
from pollwise.model.messages import Reply

__all__ = ["TARGETS", "Target"]

NOW_S = 1_800_000_000.0
DOCUMENT360 = DeleteFileEndpoint("https://api.example.com")
ORACLE = ExtractionEndpoint("https://example.com")


@attrs.frozen(kw_only=True)
class Target:
    """One target: its property, and words that its inputs are made of."""

    check: Callable[[bytes], None]
    words: tuple[str, ...]


def headers(data: bytes) -> None:
    """Lines `Name: value`. Hints do not raise, are bounded, and are the same when the reply comes again."""
    text = data.decode("latin-1")
    fields = [(name, value.strip()) for name, _, value in (line.partition(":") for line in text.split("\n")) if name]
    reply = CIMultiDict(fields)
    reader = HintReader()
    hints = reader.read(reply, lambda: NOW_S)
    assert reader.read(reply, lambda: NOW_S) == hints
    assert all(len(elements(value)) <= 64 and len(parameters(value)) <= 32 for _, value in fields)
    if hints is None:
        return
    rate = hints.rate
    times = [hints.retry_after_s, *(() if rate is None else (rate.reset_s, rate.window_s))]
    assert all(0.0 <= seconds <= LONGEST_WAIT_S for seconds in times if seconds is not None)
    counts = [] if rate is None else [rate.limit, rate.remaining]
    assert all(0 <= number <= 1e9 for number in counts if number is not None)


def reading_of(endpoint: Any) -> Callable[[bytes], None]:
    def check(data: bytes) -> None:
        """A body. It gives a reading or a PollError, and the status survives the codec."""
        reply = Reply(200, CIMultiDict({"Content-Type": "application/json"}), data)
        try:
            reading = endpoint.read(reply)
        except PollError as error:
            assert len(str(error)) < 10_000
            return
        kept = orjson.dumps(endpoint.codec.status_to_json(reading.status))
        again = endpoint.codec.status_from_json(orjson.loads(kept))
        assert orjson.dumps(endpoint.codec.status_to_json(again)) == kept
        assert reading.fraction is None or 0.0 <= reading.fraction <= 1.0

    return check


def token(data: bytes) -> None:
    """A token, or the JSON in it. It gives a TokenError, or a watch whose own token says the same."""
    text = data.decode("utf-8", "replace")
    if data.startswith(b"{"):
        text = "pw2." + base64.urlsafe_b64encode(data).decode().rstrip("=")
    try:
        read = read_token(DOCUMENT360, text)
    except TokenError as error:
        assert len(str(error)) < 1_000
        return
    policy = Policy(pacing=Pacing(), retry=Retry(), timeout_s=None)
    machine = WatchMachine.resumed(read.job, policy, read.resume_state(NOW_S), now=0.0)
    again = read_token(DOCUMENT360, write_token(DOCUMENT360, machine, now=0.0, wall_now=NOW_S))
    assert (again.job, again.polls, again.failures) == (read.job, read.polls, read.failures)
    assert own_cursor(read.cursor) == read.cursor


def row(data: bytes) -> None:
    """A JSON array as a row of SQLite with right checksums, and bytes as texts behind `b:`. It is a known watch or an UnsoundRow."""
    try:
        found = orjson.loads(data)
    except ValueError:
        return
    if not isinstance(found, list) or len(found) not in {19, 20} or any(isinstance(one, (list, dict)) for one in found):
        return
    values = [_cell(value) for value in found]
    values += [None] * (20 - len(values))  # a row without a cursor
    if any(isinstance(value, int) and not -(2**63) <= value < 2**63 for value in values):
        return  # SQLite has no such number
    cells = (*values, *checksums_of(tuple(values)))
    with suppress(UnsoundRow):
        orjson.loads(line_of(cells))
    try:
        known = known_watch(cells)
    except UnsoundRow:
        return
    job = job_of(known, DOCUMENT360)
    if job is None:
        return
    resume_state_of(known, DOCUMENT360, NOW_S)
    if isinstance(known, Concluded):
        with suppress(Exception):  # the endpoint's, for a status that it cannot read: this is documented
            outcome_of(known, job, DOCUMENT360)


def _cell(value: Any) -> Any:
    return value[2:].encode() if isinstance(value, str) and value.startswith("b:") else value


def error(data: bytes) -> None:
    """An error of a row. Reading never raises, and what was read is written and read again as the same class."""
    codec = ErrorCodec(DeleteFileJob("t"), None, DOCUMENT360)
    read = codec.read_watch_error(data, "JobNotFound", "gone")
    assert isinstance(read, WatchError)
    again = codec.read_watch_error(codec.write(read), type(read).__name__, str(read))
    assert type(again) is type(read)


def jobs(data: bytes) -> None:
    """A file of jobs behind one byte that says how it is read. The sizes of its pieces change no row."""
    if not data:
        return
    form: Format = "csv" if data[0] & 1 else "jsonl"
    default = (None, "document360", "oracle-content", None)[data[0] >> 1 & 3]
    whole, pieces = (_rows(form, default, data[1:], size) for size in (1 << 20, 1 + (data[0] >> 3)))
    assert whole == pieces
    for found in whole:
        assert found.line >= 1
        if isinstance(found, JobRow):
            json.dumps({**found.keys, **found.rest}, allow_nan=False)


def _rows(form: Format, default: str | None, data: bytes, size: int) -> list[JobRow | BadRow]:
    reader = reader_for(form, default)
    rows = [found for at in range(0, len(data), size) for found in reader.feed(data[at : at + size])]
    return [*rows, *reader.end()]


_STATUS = ("true", "false", "null", '"', "{", "}", "[", "]", ":", ",", "\\u0000", "1e999", "-1", "9223372036854775808")

# Declarations of endpoints will be a target, once they exist.
TARGETS: Mapping[str, Target] = {
    "headers": Target(
        check=headers,
        words=(
            "Retry-After: ", "retry-after-ms: ", "X-RateLimit-Reset: ", "X-RateLimit-Remaining: ", "X-RateLimit-Limit: ",
            "RateLimit: ", "RateLimit-Policy: ", "Date: ", "Wed, 21 Oct 2015 07:28:00 GMT", "2015-10-21T07:28:00Z",
            "1445412480", '"default";q=100;w=60', "PT30S", "6m0s", ", ", ";w=", "reset=",
        ),
    ),
    "document360": Target(
        check=reading_of(DOCUMENT360),
        words=(*_STATUS, '"task_status"', '"is_complete"', '"status"', '"task_id"', '"success"', '"errors"', '"warnings"'),
    ),
    "oracle_content": Target(
        check=reading_of(ORACLE),
        words=(*_STATUS, '"progress"', '"SUCCEEDED"', '"completedPercentage"', '"completed"', '"errorCode"', '"message"'),
    ),
    "token": Target(
        check=token,
        words=(*_STATUS, "pw1.", "pw2.", '"e"', '"document360"', '"k"', '"task_id"', '"s"', '"p"', '"d"', '"f"', '"h"', '"o"'),
    ),
    "row": Target(check=row, words=(*_STATUS, "b:", '"running"', '"abandoned"', '"succeeded"', '"{\\"task_id\\":\\"t\\"}"')),
    "error": Target(
        check=error,
        words=(*_STATUS, '"version"', '"type"', '"fields"', '"cause"', '"JobNotFound"', '"RetriesExhausted"', '"last_error"'),
    ),
    "jobs": Target(
        check=jobs,
        words=(*_STATUS, "endpoint", "task_id", "file_id", "job_id", "document360", "oracle-content", "sep=;", "\r\n", "\ufeff"),
    ),
}  # fmt: skip
