"""The files of declarations that are read if the user names none."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.usual_files import present_files, read_files, usual_files


@pytest.fixture(autouse=True)
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no configuration folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    return tmp_path


def no_home() -> Path:
    raise RuntimeError


def test_the_files_are_those_of_both_folders(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The configuration folder is that of the variable, or else in the home."""
    here = Path("pollwise.toml")
    assert usual_files() == [here, folders / "config" / "pollwise" / "endpoints.toml"]
    monkeypatch.delenv("XDG_CONFIG_HOME")
    monkeypatch.setattr(Path, "home", lambda: folders)
    assert usual_files() == [here, folders / ".config" / "pollwise" / "endpoints.toml"]
    monkeypatch.setenv("XDG_CONFIG_HOME", "../other")
    assert usual_files() == [here, folders / ".config" / "pollwise" / "endpoints.toml"]
    assert present_files() == []


def test_a_user_without_a_home_has_the_current_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a user ID without a name in a container."""
    monkeypatch.setenv("XDG_CONFIG_HOME", "")
    monkeypatch.setattr(Path, "home", no_home)
    assert usual_files() == [Path("pollwise.toml")]


def test_a_file_that_other_users_can_change_is_refused(folders: Path) -> None:
    """The error says how to read it all the same. A file that only its group can write is read."""
    file = folders / "pollwise.toml"
    file.touch()
    file.chmod(0o664)
    assert present_files() == [Path("pollwise.toml")]
    file.chmod(0o666)
    with pytest.raises(UsageError, match=r"can be written by every user.* add --endpoints pollwise.toml"):
        present_files()


def test_a_file_of_another_user_is_refused(folders: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder such as /tmp may have a file of any user. Files of root are read."""
    file = folders / "pollwise.toml"
    file.touch(0o644)
    owner = file.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    if owner:
        with pytest.raises(UsageError, match="belongs to another user"):
            present_files()
    else:
        assert present_files() == [Path("pollwise.toml")]
        os.chown(file, 12345, -1)
        with pytest.raises(UsageError, match="belongs to another user"):
            present_files()


def test_a_file_with_profiles_is_read_beside_the_named_one(folders: Path) -> None:
    """So no result may replace either of them. A file that is both is there once."""
    config = folders / "config" / "pollwise" / "endpoints.toml"
    assert list(read_files(None)) == ["pollwise.toml", str(config)]
    assert read_files(Path("other.toml")) == {
        "--endpoints": Path("other.toml"),
        "pollwise.toml": Path("pollwise.toml"),
        str(config): config,
    }
    assert list(read_files(folders / "pollwise.toml")) == ["--endpoints", str(config)]
