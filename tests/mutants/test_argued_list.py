"""The page about testing and the list of argued mutants."""

from __future__ import annotations

import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


@pytest.fixture
def lists(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module `argued_list`, which is a script beside this file."""
    monkeypatch.syspath_prepend(str(HERE))
    import argued_list  # noqa: PLC0415

    yield argued_list
    sys.modules.pop("argued_list")


def test_the_page_lists_the_argued_mutants(lists: Any) -> None:
    """docs/testing.md has each argument. `python tests/mutants/argued_list.py` writes them."""
    text = lists.PAGE.read_text()
    assert text == lists.page(text, lists.argued())
    for entry in lists.argued():
        assert entry["why"] in text


def test_each_argument_is_of_a_module_that_is_mutated(lists: Any) -> None:
    """An argument for another module would never be looked at."""
    modules = tomllib.loads((HERE / "modules.toml").read_text())["modules"]
    assert {entry["module"] for entry in lists.argued()} <= modules.keys()
    assert all(len(entry["why"]) > 20 for entry in lists.argued())


def test_each_named_test_file_exists() -> None:
    """A renamed test file needs its new name in the list of modules."""
    root = HERE.parents[1]
    for module, tests in tomllib.loads((HERE / "modules.toml").read_text())["modules"].items():
        assert (root / "src" / "pollwise" / module).is_file(), module
        for test in tests:
            assert test.startswith("-") or (root / test.partition("::")[0]).is_file(), test
