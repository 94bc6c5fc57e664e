"""Lines of a file, a pipe or a terminal, read without blocking the event loop.

Rule 1: memory is bounded: a line longer than `MAX_LINE_BYTES` is counted and dropped.
Rule 2: the same bytes give the same lines, in pieces of any size.
Rule 3: Ctrl-C works while a pipe or a terminal has no data.
"""

from __future__ import annotations

import asyncio
import codecs
import os
from collections.abc import AsyncIterator, Iterator

from pollwise.cli._descriptors import wait_readable

__all__ = ["MAX_LINE_BYTES", "LineSplitter", "UnicodeConverter", "read_chunks"]

MAX_LINE_BYTES = 1 << 20  # bytes
_CHUNK = 1 << 16
_LONGEST_BOM = 4
_BOMS = (  # the longer ones first, because the BOM of UTF-32 begins like that of UTF-16
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)


class UnicodeConverter:
    """Converts a text that begins with the BOM of UTF-16 or UTF-32 to UTF-8. Any other text passes unchanged.

    Attributes:
        name: The encoding, such as `UTF-16`; empty until it is known, and if nothing is converted.
    """

    def __init__(self) -> None:
        self.name = ""
        self._begun = b""
        self._decoder: codecs.IncrementalDecoder | None = None
        self._known = False
        self._broken = False

    def to_utf8(self, data: bytes, *, last: bool) -> bytes:
        """The next bytes in UTF-8. Raises UnicodeError for bytes that are not valid in the encoding of the BOM."""
        if not self._known:
            self._begun += data
            if len(self._begun) < _LONGEST_BOM and not last:
                return b""
            data, self._begun, self._known = self._begun, b"", True
            for bom, name in _BOMS:
                if data.startswith(bom):
                    self.name, self._decoder = name, codecs.getincrementaldecoder(name)("strict")
                    break
        return data if self._decoder is None else self._decoded(self._decoder, data, last=last).encode()

    def _decoded(self, decoder: codecs.IncrementalDecoder, data: bytes, *, last: bool) -> str:
        """The text up to the first bad character; the call after that raises. So the sizes of the pieces do not matter."""
        if self._broken:
            raise UnicodeError(f"not {self.name}")
        before = decoder.getstate()
        try:
            return decoder.decode(data, last)
        except UnicodeError:
            if last:
                raise
        self._broken = True
        decoder.setstate(before)
        good = ""
        try:
            for byte in data:
                good += decoder.decode(bytes((byte,)))
        except UnicodeError:
            pass
        return good


class LineSplitter:
    """Splits bytes into lines: pairs of a number, from 1, and the line without its line end. None is a line too long."""

    def __init__(self, longest: int = MAX_LINE_BYTES) -> None:
        self._longest = longest
        self._number = 0
        self._begun = bytearray()
        self._too_long = False

    def feed(self, data: bytes) -> Iterator[tuple[int, bytes | None]]:
        """The lines that end in these bytes."""
        first, *others = data.split(b"\n")
        self._add(first)
        for piece in others:
            yield self._cut()
            self._add(piece)

    def end(self) -> Iterator[tuple[int, bytes | None]]:
        """The last line, if it has no line end."""
        if self._begun or self._too_long:
            yield self._cut()

    def _add(self, piece: bytes) -> None:
        if self._too_long or len(self._begun) + len(piece) > self._longest:
            self._too_long = True
            self._begun.clear()
        else:
            self._begun += piece

    def _cut(self) -> tuple[int, bytes | None]:
        self._number += 1
        line = None if self._too_long else bytes(self._begun.removesuffix(b"\r"))
        self._begun.clear()
        self._too_long = False
        return self._number, line


async def read_chunks(descriptor: int) -> AsyncIterator[bytes]:
    """Yield the data of the descriptor as it arrives, until its end."""
    while data := await _read(descriptor):
        yield data
        await asyncio.sleep(0)  # reading a file never waits, so signals are handled here


async def _read(descriptor: int) -> bytes:
    while True:
        await wait_readable(descriptor)
        try:
            return os.read(descriptor, _CHUNK)
        except BlockingIOError:  # another process has read the data, and the descriptor is non-blocking
            continue
