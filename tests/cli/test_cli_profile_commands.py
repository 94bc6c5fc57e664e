"""`pollwise profile` shows the options that are kept in files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.fixture(autouse=True)
def files(tmp_path: Path, environment: pytest.MonkeyPatch) -> None:
    """The current folder has the profiles `default` and `work`."""
    environment.chdir(tmp_path)
    environment.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    work = r'account = "a\u001bb"'
    (tmp_path / "pollwise.toml").write_text(f"[profiles.default]\ntimeout = 9\n[profiles.work]\n{work}\n")


async def test_profiles_are_listed(command: Run) -> None:
    """Each with its file."""
    assert await command("profile", "list") == (0, "default: pollwise.toml\nwork: pollwise.toml\n", "")


async def test_an_empty_list_says_where_profiles_belong(command: Run, tmp_path: Path) -> None:
    """On stderr, so that a pipe gets no line."""
    (tmp_path / "pollwise.toml").unlink()
    status, out, err = await command("profile", "list")
    assert (status, out) == (0, "")
    files = f"pollwise.toml or {tmp_path / 'config' / 'pollwise' / 'endpoints.toml'}"
    assert err == f"pollwise: there are no profiles. Write one as [profiles.NAME] in {files}\n"


async def test_a_profile_is_shown_as_toml(command: Run) -> None:
    """Without a name it is the one that is taken without a name."""
    assert await command("profile", "show") == (0, "# default of pollwise.toml\ntimeout = 9\n", "")
    assert (await command("profile", "show", "work"))[1] == '# work of pollwise.toml\naccount = "a\\u001bb"\n'
    assert (await command("profile", "show", "wrok"))[0] == 2
    assert (await command("profile", "show", "none"))[0] == 2
