"""A file that is there whole or not at all."""

from __future__ import annotations

import io
from pathlib import Path

import pytest

from pollwise.errors import ResultTooLarge
from pollwise.runtime.result_file import ResultFile, WriteFailed


async def test_a_file_is_in_its_place_when_it_is_whole(tmp_path: Path) -> None:
    """Also after a try that began anew."""
    file = ResultFile(tmp_path / "a", "job", 10)
    file.write(b"12345678")
    file.restart()
    file.write(b"abc")
    file.write(b"def")
    assert not (tmp_path / "a").exists()
    await file.finish()
    file.discard()
    assert (tmp_path / "a").read_bytes() == b"abcdef"
    assert [path.name for path in tmp_path.iterdir()] == ["a"]


def test_what_is_discarded_leaves_nothing(tmp_path: Path) -> None:
    """As often as one likes."""
    file = ResultFile(tmp_path / "a", "job", 10)
    with pytest.raises(ResultTooLarge):
        file.write(b"12345678901")
    file.discard()
    file.discard()
    assert list(tmp_path.iterdir()) == []


def test_a_link_stays_one(tmp_path: Path) -> None:
    """What it leads to is replaced."""
    (tmp_path / "there").mkdir()
    (tmp_path / "a").symlink_to(tmp_path / "there" / "b")
    file = ResultFile(tmp_path / "a", "job", 10)
    assert len(list((tmp_path / "there").iterdir())) == 1
    file.discard()


class _Full(io.RawIOBase):
    def write(self, _data: object) -> int:
        raise OSError(28, "no space left on device")


def test_a_full_disk_is_no_fault_of_the_network(tmp_path: Path) -> None:
    """The error is kept for the caller."""
    file = ResultFile(tmp_path / "a", "job", 10)
    file._stream.close()
    file._stream = _Full()  # type: ignore[assignment]
    with pytest.raises(WriteFailed):
        file.write(b"1")
    assert file.failure is not None
    assert file.failure.errno == 28
    file.discard()
