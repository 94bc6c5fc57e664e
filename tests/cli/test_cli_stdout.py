from __future__ import annotations

import asyncio
import io
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.stdout import StderrWriter, StdoutWriter

LONG = 300_000  # more than fits into any pipe


class Pipe:
    """A pipe that replaces stdout. The test itself sets it, because pytest sets its own stdout before each test."""

    def __init__(self) -> None:
        self.ours, theirs = os.pipe()
        self.stream = open(theirs, "w", encoding="utf-8", errors="backslashreplace")  # noqa: PTH123, SIM115  a descriptor

    def read(self, size: int = 65536) -> bytes:
        return os.read(self.ours, size)

    def close(self) -> None:
        self.stream.close()
        os.close(self.ours)


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    pipe = Pipe()
    yield pipe
    pipe.close()


async def test_a_line_is_written_at_once(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """After `line` returns, the reader can read it in stdout's encoding. Other characters are escaped."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    await StdoutWriter().line("grüße \ud800")
    assert pipe.read() == "grüße \\ud800\n".encode()


async def test_a_slow_reader_blocks_no_other_task(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """While the pipe is full the loop runs. When it is read again, the lines are whole and in order."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    output = StdoutWriter()
    writing = [asyncio.create_task(output.line(letter * LONG)) for letter in "ab"]
    for _ in range(100):
        await asyncio.sleep(0)  # a blocking write would stop the loop here
    assert not any(task.done() for task in writing)
    got = bytearray()
    while len(got) < 2 * LONG + 2:
        got += await asyncio.to_thread(pipe.read)
    await asyncio.gather(*writing)
    assert got.decode() == f"{'a' * LONG}\n{'b' * LONG}\n"


async def test_a_waiting_line_can_be_cancelled(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """A `line` that waits for a full pipe can be cancelled."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    writing = asyncio.create_task(StdoutWriter().line("x" * LONG))
    for _ in range(100):
        await asyncio.sleep(0)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing


async def test_a_reader_that_closes_the_pipe(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """`line` raises BrokenPipeError, also while it waits for a full pipe."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    writing = asyncio.create_task(StdoutWriter().line("x" * LONG))
    for _ in range(100):
        await asyncio.sleep(0)
    os.close(pipe.ours)
    with pytest.raises(BrokenPipeError):
        await writing
    pipe.ours = os.open(os.devnull, os.O_RDONLY)  # for `close`


@pytest.fixture
def full_disk() -> Iterator[Any]:
    with Path("/dev/full").open("w") as full:
        yield full


async def test_a_file_and_a_full_disk(full_disk: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines are written to a file, too. A full disk raises OSError."""
    with (tmp_path / "out").open("w") as file:
        monkeypatch.setattr(sys, "stdout", file)
        await StdoutWriter().line("one")
        await StdoutWriter().line("two")
    assert (tmp_path / "out").read_text() == "one\ntwo\n"
    monkeypatch.setattr(sys, "stdout", full_disk)
    with pytest.raises(OSError, match="No space left"):
        await StdoutWriter().line("one")


async def test_a_descriptor_that_another_process_has_filled(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """If another process has filled a non-blocking stdout, `line` waits again."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    really_write = os.write
    refused: list[bool] = []

    def sometimes(descriptor: int, data: Any) -> int:
        if not refused:
            refused.append(True)
            raise BlockingIOError
        return really_write(descriptor, data)

    monkeypatch.setattr(os, "write", sometimes)
    await StdoutWriter().line("x")
    assert pipe.read() == b"x\n"
    assert refused


async def test_a_stdout_in_memory(capsys: pytest.CaptureFixture[str]) -> None:
    """A stdout without a file descriptor gets the lines, too."""
    await StdoutWriter().line("x")
    assert capsys.readouterr().out == "x\n"


async def test_bytes_are_written_as_they_are(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without a line end, to a pipe and to a stdout in memory. One that takes texts only is an OSError."""
    monkeypatch.setattr(sys, "stdout", pipe.stream)
    await StdoutWriter().data(b"\x00\xff")
    assert pipe.read() == b"\x00\xff"
    memory = io.TextIOWrapper(io.BytesIO())
    monkeypatch.setattr(sys, "stdout", memory)
    await StdoutWriter().data(b"\x00\xff")
    assert memory.buffer.getvalue() == b"\x00\xff"  # type: ignore[attr-defined]  # a BytesIO
    monkeypatch.setattr(sys, "stdout", io.StringIO())
    with pytest.raises(OSError, match="takes texts only"):
        await StdoutWriter().data(b"\x00\xff")


async def test_a_stderr_that_cannot_be_written_ends_nothing(pipe: Pipe, monkeypatch: pytest.MonkeyPatch) -> None:
    """Because the result is on stdout."""
    monkeypatch.setattr(sys, "stderr", pipe.stream)
    await StderrWriter().line("one")
    assert pipe.read() == b"one\n"
    os.close(pipe.ours)
    await StderrWriter().line("two")
    pipe.ours = os.open(os.devnull, os.O_RDONLY)  # for `close`
