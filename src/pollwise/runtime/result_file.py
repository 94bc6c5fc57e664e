"""The file that a result is saved to, whole or not at all.

Rule 1: bytes go to a temporary file beside the target, which only this user can read. It is moved to its place when it is
complete and on disk.
Rule 2: each try begins with an empty file.
Rule 3: an error or a cancellation leaves nothing behind.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Callable, Collection, Hashable
from pathlib import Path
from typing import Any, Final, Generic, TypeVar

from pollwise.errors import ConfigurationError, Problem, ResultTooLarge
from pollwise.model.calls import passing_cursor
from pollwise.model.cursor import Cursor
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading

__all__ = ["ResultFile", "SaveCall", "WriteFailed"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_PRIVATE: Final = 0o600


class WriteFailed(Exception):
    """The file could not be written. `ResultFile.failure` has the error, which must not look like one of the network."""


class ResultFile:
    """A file that is being written.

    Args:
        path: Where it is to be.
        job: The job, for the error.
        max_bytes: The largest size.

    Attributes:
        failure: The error of a write, or None.
        size: The bytes written so far.

    Raises:
        OSError: It cannot be written there.
    """

    def __init__(self, path: str | os.PathLike[str], job: Any, max_bytes: int) -> None:
        self._place = Path(os.path.realpath(path))
        if self._place.is_dir():
            raise IsADirectoryError(21, "it is a folder", str(path))
        self._part = self._place.with_name(f".{self._place.name[:100]}.{secrets.token_hex(4)}.part")
        self._job = job
        self._max_bytes = max_bytes
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
        self._stream = os.fdopen(os.open(self._part, flags, _PRIVATE), "wb", 0)
        self.failure: OSError | None = None
        self.size = 0

    def restart(self) -> None:
        """A new try: forget what was written."""
        if self.size:
            self.size = 0
            self._stream.seek(0)
            self._stream.truncate()

    def write(self, piece: bytes) -> None:
        """Write the next piece. Raises ResultTooLarge, or WriteFailed."""
        self.size += len(piece)
        if self.size > self._max_bytes:
            raise ResultTooLarge(self._job, self._max_bytes)
        view = memoryview(piece)
        try:
            while view:
                view = view[self._stream.write(view) :]
        except OSError as exc:
            self.failure = exc
            raise WriteFailed from None

    async def finish(self) -> None:
        """Bring it to the disk, then put it into its place. Raises OSError."""
        await asyncio.to_thread(os.fsync, self._stream.fileno())
        self._stream.close()
        self._part.replace(self._place)

    def discard(self) -> None:
        """Remove what is left of an unfinished file."""
        self._stream.close()
        self._part.unlink(missing_ok=True)


class SaveCall(Generic[J, S]):
    """Fetches the result of one job into a file.

    Args:
        endpoint: The endpoint, as `with_defaults` returns it.
        status: The job's last status.
        file: Where the bytes go.

    Attributes:
        sink: Gets the body, piece by piece.
    """

    compares: bool = False
    deciding_keys: Collection[str] = ()
    limits: ReplyLimits | None = None
    at_once: bool = False
    starts_own: bool = False

    def __init__(self, endpoint: Endpoint[J, S], status: S, file: ResultFile) -> None:
        made: Any = endpoint
        self.answer_statuses: frozenset[int] = endpoint.result_answer_statuses
        self._request: Callable[[J, S], Request] = made.result_request
        self._read: Callable[[Reply, Cursor], Any] = passing_cursor(made.read_result)
        self.problem: Callable[[Reply], Problem | None] = endpoint.problem
        self._status = status
        self._file = file
        self.sink: Callable[[bytes], None] = file.write

    def request(self, job: J, _cursor: Cursor, /) -> Request:
        """The request for the result. The file is empty again."""
        self._file.restart()
        return self._request(job, self._status)

    def read(self, _job: J, reply: Reply, cursor: Cursor, /) -> Reading[Any]:
        """The number of bytes, or what `read_result` reads in a reply whose status code is in `result_answer_statuses`."""
        if reply.status not in self.answer_statuses:
            return Reading.succeeded(self._file.size)
        made = self._read(reply, cursor)
        if isinstance(made, Reading):
            return made
        raise ConfigurationError(
            f"read_result returned a result for HTTP {reply.status}, and only the bytes of a 2xx reply are saved; return"
            " Reading.failed(...) for it, or take the code out of result_answer_statuses"
        )
