"""Jobs that were over in the reply to their start, of APIs that give such a job no name.

Rule 1: such a job has a name of its own, which says how large its result is. It is never asked about: the end and the result
are in the first reading.
Rule 2: a result is whole or not there. A ledger may cut a long status, and the size in the name shows that.
"""

from __future__ import annotations

import base64
import re
import uuid
from collections.abc import Callable
from typing import Any, Final, TypeVar

import orjson

from pollwise.errors import ConfigurationError, PollError, WatchError
from pollwise.model.reading import Reading
from pollwise.model.submitting import Submitted

__all__ = ["check_asked", "content_of", "is_at_once", "named_at_once", "with_end"]

J = TypeVar("J")

_NAME: Final = re.compile(r"at-once-(json|bytes)-([0-9]{1,12})-[0-9a-f]{32}", re.ASCII).fullmatch


def named_at_once(content: Any) -> tuple[str, Any]:
    """The name of a new job with this result, and the result as a status keeps it.

    Args:
        content: JSON values, or bytes.
    """
    is_bytes = isinstance(content, bytes)
    kept = base64.b64encode(content).decode() if is_bytes else content
    return f"at-once-{'bytes' if is_bytes else 'json'}-{len(orjson.dumps(kept))}-{uuid.uuid4().hex}", kept


def is_at_once(name: str) -> bool:
    """Whether this is the name of such a job."""
    return _NAME(name) is not None


def content_of(name: str, kept: Any) -> Any:
    """The result of the job with this name, as `named_at_once` got it.

    Raises:
        ConfigurationError: The status was cut to what a ledger keeps.
    """
    found = _NAME(name)
    if found is None or len(orjson.dumps(kept)) != int(found[2]):
        raise ConfigurationError(
            "the result was in the reply to the start of the job, and this status does not have all of it. A ledger cuts a"
            " status that is longer than Limits(reply=ReplyLimits(row=...)); allow more before the next start"
        )
    return base64.b64decode(kept) if found[1] == "bytes" else kept


def check_asked(name: str) -> None:
    """Raise ConfigurationError if the server has no status of the job with this name."""
    if is_at_once(name):
        raise ConfigurationError(
            "the server did this work before it answered the start, and has no status of it. The outcome is that of the watch"
            " that `submit` returned"
        )


def with_end(job: J, read: Callable[[], Reading[Any]]) -> J | Submitted[J]:
    """The job, with what the reply to its start says if that is the end."""
    try:
        reading = read()
    except (PollError, WatchError):  # the reply need not be one about the status
        return job
    return Submitted(job, reading=reading) if reading.final else job
