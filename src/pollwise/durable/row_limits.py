"""What the columns of a ledger's row may cost, and how too much is cut.

Rule 1: an outcome is never lost because its status is too large. What informs is cut: long lists, long texts, deep values.
Rule 2: a status that was cut has the key `left_out`, which says how much is missing of what. If the endpoint's codec cannot
read a cut status back, a note of its size stands in the row instead. Then the status that comes back is None.
Rule 3: what is read was perhaps written by another program, so the same limits are applied to it.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import attrs
import orjson

from pollwise.model.bounded_reply import SHORT
from pollwise.model.json_cutting import BrokenJson, cut_json
from pollwise.model.limits import ReplyLimits
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.model.steps import in_one_go

__all__ = [
    "bounded_error",
    "bounded_message",
    "bounded_status",
    "json_text",
    "known_error",
    "read_status",
    "was_left_out",
]

S = TypeVar("S")

_LEFT_OUT: Final = "left_out"
_NOTE: Final = "pollwise_status_bytes"  # the only key of the note
_LARGEST: Final = 4_194_304  # bytes of a status that is read: to cut more would hold the loop for long
_LONGEST_MESSAGE: Final = 8_192
_KEYS_OF_ERRORS: Final = (
    "version",
    "type",
    "fields",
    "cause",
    "message",
    "job",
    "status",
    "last_error",
    "args",
    "json",
)

_log = logging.getLogger(__name__)


# --- into a ledger ----------------------------------------------------------------------------


def bounded_status(text: bytes, endpoint: Endpoint[Any, Any], limits: ReplyLimits) -> bytes:
    """A status as JSON, of at most `limits.row` bytes."""
    if len(text) <= limits.row:
        return text
    cut = _cut_status(text, _for_rows(limits, limits.row))
    if cut is None or not _is_readable(cut, endpoint):
        cut = orjson.dumps({_NOTE: len(text)})
    _log.warning(
        "%s: a status of %d bytes is too large for the ledger; %d are kept",
        endpoint.name,
        len(text),
        len(cut),
        extra=log_fields(endpoint=endpoint.name, bytes=len(text)),
    )
    return cut


def json_text(data: Any, depth: int) -> bytes:
    """The data as JSON. What is nested too deep for JSON to be written becomes null."""
    try:
        return orjson.dumps(data)
    except TypeError:
        return orjson.dumps(_shallow(data, depth))


def bounded_error(document: bytes, limits: ReplyLimits) -> bytes:
    """The data of an error, of at most half of `limits.row` bytes."""
    most = limits.row // 2
    if len(document) <= most:
        return document
    return in_one_go(cut_json(document, _for_rows(limits, most), _KEYS_OF_ERRORS))[0]


def bounded_message(message: str) -> str:
    """The message of an error, or its beginning."""
    return message if len(message) <= _LONGEST_MESSAGE else f"{message[:_LONGEST_MESSAGE]}..."


# --- out of a ledger --------------------------------------------------------------------------


def read_status(text: bytes, endpoint: Endpoint[Any, S], limits: ReplyLimits) -> S | None:
    """The status of a row. None if it was too large to be kept, or is too large to be read. Raises what the codec raises."""
    if was_left_out(text):
        return None
    cut = text if len(text) <= SHORT else _cut_status(text, limits)
    if cut is text or cut is None:
        return endpoint.codec.status_from_json(orjson.loads(text))
    try:
        return endpoint.codec.status_from_json(orjson.loads(cut))
    except Exception:  # noqa: BLE001  # the endpoint's code; it may need all of what an earlier version wrote
        return endpoint.codec.status_from_json(orjson.loads(text))


def was_left_out(text: bytes) -> bool:
    """Whether the row has no status because it was, or is, too large."""
    return len(text) > _LARGEST or (len(text) <= SHORT and text.startswith(b'{"%b":' % _NOTE.encode()))


def known_error(document: bytes) -> bytes:
    """The data of an error, as far as it is read. Empty if it is too large."""
    if len(document) <= SHORT:
        return document
    try:
        return b"" if len(document) > _LARGEST else in_one_go(cut_json(document, ReplyLimits(), _KEYS_OF_ERRORS))[0]
    except BrokenJson:
        return b""


# --- cutting ----------------------------------------------------------------------------------


def _for_rows(limits: ReplyLimits, most: int) -> ReplyLimits:
    """Limits that keep less than `most` bytes. The size may be exceeded by a text, and by a quarter for short values."""
    return attrs.evolve(limits, size=max(1, most // 2), text=max(1, min(limits.text, most // 16)))


def _cut_status(text: bytes, limits: ReplyLimits) -> bytes | None:
    """The status within the limits, with what was left out. The same text if it is within them; None if it cannot be cut."""
    try:
        cut, left_out = in_one_go(cut_json(text, limits))
        data = orjson.loads(cut)
    except ValueError:  # a text or a number, or broken
        return None
    if not left_out:
        return text
    if isinstance(data, dict):
        earlier = data.get(_LEFT_OUT, {})
        if isinstance(earlier, dict):
            data[_LEFT_OUT] = {**left_out, **_sums(earlier, left_out)}
    return orjson.dumps(data)


def _sums(earlier: Mapping[str, Any], left_out: Mapping[str, int]) -> dict[str, int]:
    return {path: number + left_out.get(path, 0) for path, number in earlier.items() if type(number) is int}


def _is_readable(text: bytes, endpoint: Endpoint[Any, Any]) -> bool:
    try:
        endpoint.codec.status_from_json(orjson.loads(text))
    except Exception:  # noqa: BLE001  # the endpoint's code
        return False
    return True


def _shallow(value: Any, depth: int) -> Any:
    """The value, with None in place of lists and objects that are nested too deep."""
    if not isinstance(value, (dict, list, tuple)):
        return value
    if depth <= 0:
        return None
    if isinstance(value, dict):
        return {key: _shallow(one, depth - 1) for key, one in value.items()}
    return [_shallow(one, depth - 1) for one in value]
