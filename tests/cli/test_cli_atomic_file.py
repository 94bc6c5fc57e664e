from __future__ import annotations

import os
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from pollwise.cli.atomic_file import atomic_write, check_writable


def test_a_file_appears_whole(tmp_path: Path) -> None:
    """Until the end of the block the old file is there, then the new one, with the usual permissions."""
    path = tmp_path / "out"
    path.write_text("old")
    with atomic_write(path) as write:
        write(b"new ")
        write(b"file")
        assert path.read_text() == "old"
    assert path.read_text() == "new file"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208
    usual = tmp_path / "usual"
    usual.touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE(usual.stat().st_mode)


def test_an_error_leaves_the_old_file(tmp_path: Path) -> None:
    """An error on the way leaves the old file, and no other."""
    path = tmp_path / "out"
    path.write_text("old")

    def fail() -> None:
        with atomic_write(path) as write:
            write(b"new")
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["out"]  # noqa: PTH208


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    """The target of a link is replaced, also in another folder."""
    folder = tmp_path / "folder"
    folder.mkdir()
    link = tmp_path / "link"
    link.symlink_to(folder / "file")
    check_writable(link)
    with atomic_write(link) as write:
        write(b"x")
    assert link.is_symlink()
    assert (folder / "file").read_bytes() == b"x"


def test_a_pipe_is_written_as_it_is(tmp_path: Path) -> None:
    """A pipe is written directly, because only a regular file can be replaced."""
    path = tmp_path / "pipe"
    os.mkfifo(path)
    got: list[bytes] = []
    reader = threading.Thread(target=lambda: got.append(path.read_bytes()))
    reader.start()
    check_writable(path)
    with atomic_write(path) as write:
        write(b"x")
    reader.join()
    assert got == [b"x"]
    assert stat.S_ISFIFO(path.stat().st_mode)


def test_check_writable(tmp_path: Path) -> None:
    """A path that cannot be written raises an OSError with its name. The check leaves no file."""
    check_writable(tmp_path / "new")
    assert os.listdir(tmp_path) == []  # noqa: PTH208
    with pytest.raises(IsADirectoryError) as error:
        check_writable(tmp_path)
    assert error.value.filename == str(tmp_path)
    missing = tmp_path / "missing" / "new"
    with pytest.raises(FileNotFoundError) as found:
        check_writable(missing)
    assert found.value.filename == str(missing)


def test_an_error_names_the_file_that_was_asked_for(tmp_path: Path) -> None:
    """No temporary file is left either, also if the disk is full."""
    missing = tmp_path / "missing" / "new"
    with pytest.raises(FileNotFoundError) as found, atomic_write(missing):
        pass
    assert found.value.filename == str(missing)
    code = (
        "import pathlib, resource, signal\n"
        "from pollwise.cli.atomic_file import atomic_write\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN)\n"
        "before = resource.getrlimit(resource.RLIMIT_FSIZE)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))\n"
        "try:\n"
        "    with atomic_write(pathlib.Path('out')) as write:\n"
        "        for _ in range(9):\n"
        "            write(b'x' * 100_000)\n"
        "except OSError as error:\n"
        "    print(error)\n"
        "resource.setrlimit(resource.RLIMIT_FSIZE, before)\n"  # because coverage writes a file at the end
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("[Errno 27] File too large: 'out'\n", "")
    assert os.listdir(tmp_path) == []  # noqa: PTH208


def test_the_longest_names(tmp_path: Path) -> None:
    """A name as long as the file system allows can be written, also in letters of many bytes."""
    path = tmp_path / ("é" * 120)
    with atomic_write(path) as write:
        write(b"x")
    assert path.read_bytes() == b"x"


@pytest.mark.parametrize("umask", [0, 0o022, 0o077])
def test_a_new_file_is_private_from_its_first_byte(tmp_path: Path, umask: int) -> None:
    """Its part and the file itself: only its user can read them."""
    before = os.umask(umask)
    try:
        with atomic_write(tmp_path / "out") as write:
            write(b"x" * (1 << 19))
            (part,) = tmp_path.iterdir()
            assert stat.S_IMODE(part.stat().st_mode) == 0o600
        assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == 0o600
    finally:
        os.umask(before)


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o644])
def test_a_replaced_file_keeps_its_mode(tmp_path: Path, mode: int) -> None:
    """Its new content gets the mode when it is whole."""
    path = tmp_path / "out"
    path.touch()
    path.chmod(mode)
    with atomic_write(path) as write:
        write(b"x")
        (part,) = set(tmp_path.iterdir()) - {path}
        assert stat.S_IMODE(part.stat().st_mode) == 0o600
    assert stat.S_IMODE(path.stat().st_mode) == mode
