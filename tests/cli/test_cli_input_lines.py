from __future__ import annotations

import asyncio
import os
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.cli.input_lines import LineSplitter, read_chunks


def lines(data: bytes, cuts: list[int] = [], longest: int = 100) -> list[tuple[int, bytes | None]]:  # noqa: B006
    splitter = LineSplitter(longest)
    edges = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[low:high] for low, high in pairwise(edges)]
    return [*(line for piece in pieces for line in splitter.feed(piece)), *splitter.end()]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"a", [(1, b"a")]),
        (b"a\n", [(1, b"a")]),
        (b"a\r\nb\n\nc", [(1, b"a"), (2, b"b"), (3, b""), (4, b"c")]),
        (b"\n", [(1, b"")]),
        (b"a\rb\n", [(1, b"a\rb")]),
        (b"x" * 100 + b"\n", [(1, b"x" * 100)]),
        (b"x" * 101 + b"\nb", [(1, None), (2, b"b")]),
        (b"a\n" + b"x" * 1000, [(1, b"a"), (2, None)]),
    ],
)
def test_bytes_become_numbered_lines(data: bytes, found: list[tuple[int, bytes | None]]) -> None:
    """Each line has its number and no line end. A line that is too long is None, and the next one is whole."""
    assert lines(data) == found


@given(st.binary(max_size=400).map(lambda data: data.replace(b"\x01", b"\n")), st.lists(st.integers(0, 400)))
def test_the_sizes_of_pieces_do_not_matter(data: bytes, cuts: list[int]) -> None:
    """The same bytes in other pieces give the same lines."""
    assert lines(data, cuts, 30) == lines(data, [], 30)


def test_a_line_that_is_too_long_uses_no_memory() -> None:
    """The splitter keeps at most one line of the longest size in memory."""
    splitter = LineSplitter(1000)
    for _ in range(100):
        assert list(splitter.feed(b"x" * 999)) == []
        assert len(splitter._begun) <= 1000


async def test_a_file_is_read_in_pieces(tmp_path: Path) -> None:
    """The pieces together are the file."""
    path = tmp_path / "f"
    path.write_bytes(os.urandom(200_000))
    with path.open("rb") as stream:
        got = [data async for data in read_chunks(stream.fileno())]
    assert b"".join(got) == path.read_bytes()
    assert len(got) > 2


async def test_an_empty_pipe_does_not_block() -> None:
    """Waiting for a pipe does not block the loop, and can be cancelled."""
    ours, theirs = os.pipe()
    try:
        reading = read_chunks(ours)
        first = asyncio.ensure_future(anext(reading))
        for _ in range(5):
            await asyncio.sleep(0)
        assert not first.done()
        os.write(theirs, b"a\nb")
        assert await first == b"a\nb"
        second = asyncio.ensure_future(anext(reading))
        await asyncio.sleep(0)
        second.cancel()
        with pytest.raises(asyncio.CancelledError):
            await second
    finally:
        os.close(theirs)
        os.close(ours)


async def test_data_that_another_process_has_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """If a non-blocking descriptor was readable and has no data, `read_chunks` waits again."""
    ours, theirs = os.pipe()
    os.set_blocking(ours, False)
    read, answers = os.read, [BlockingIOError()]

    def first_nothing(descriptor: int, size: int) -> bytes:
        if descriptor == ours and answers:
            raise answers.pop()
        return read(descriptor, size)

    os.write(theirs, b"x")
    monkeypatch.setattr(os, "read", first_nothing)
    try:
        assert await anext(read_chunks(ours)) == b"x"
    finally:
        os.close(theirs)
        os.close(ours)
