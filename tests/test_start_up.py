"""What is imported when. A count of modules is the same on every machine; benchmarks/startup.py has the times."""

from __future__ import annotations

import ast
import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pollwise
from pollwise.cli import _loading

HEAVY = [
    "aiohttp",
    "asyncio",
    "attr",
    "cattrs",
    "cyclopts",
    "jmespath",
    "logging",
    "orjson",
    "rich",
    "sqlite3",
    "ssl",
    "yarl",
]


PROGRAM = """
import atexit, json, sys
before = set(sys.modules)  # what measures the coverage has modules of its own
atexit.register(lambda: print(json.dumps([*sys.modules.keys() - before]), file=sys.stderr))
"""


def loaded_by(program: str, *arguments: str) -> set[str]:
    """The modules that this program loads in a new process, which it may end."""
    command = [sys.executable, "-c", PROGRAM + program, *arguments]
    done = subprocess.run(command, capture_output=True, check=False, text=True)
    return set(json.loads(done.stderr.splitlines()[-1]))


def test_importing_the_root_imports_no_other_module() -> None:
    """`import pollwise` costs nothing before one of its names is used. The errors alone need no aiohttp."""
    seen = loaded_by("from pollwise import JobFailed")
    assert [name for name in HEAVY if name in seen] == ["attr"]
    assert [name for name in loaded_by("import pollwise") if name.startswith("pollwise.")] == []


def test_a_watcher_loads_no_more_than_a_watch_needs() -> None:
    """Neither the command, nor telemetry, nor the vendors, nor what only reads metadata or other formats."""
    seen = loaded_by("from pollwise import JobWatcher")
    assert not seen & {"cattrs", "cyclopts", "importlib.metadata", "jmespath", "rich"}
    parts = {"cli", "telemetry", "simulator", "sync", "progress"}
    assert sorted(part for part in parts if f"pollwise.{part}" in seen) == []


@pytest.mark.parametrize(
    ("arguments", "needed"), [("--version", set()), ("version", set()), ("--help", {"attr", "cyclopts", "rich"})]
)
def test_the_version_and_the_help_load_little(arguments: str, needed: set[str]) -> None:
    """`--version` imports no other package, and `--help` only those that parse arguments and write the help."""
    seen = loaded_by("from pollwise.cli import main\nsys.exit(main())", arguments)
    assert {name for name in HEAVY if name in seen} == needed
    assert sorted(name for name in seen if name.startswith("pollwise") and name.count(".") < 2) == [
        "pollwise",
        "pollwise.cli",
    ]


def test_each_name_of_the_root_is_in_the_module_that_a_type_checker_sees() -> None:
    """The table of the lazy imports and the imports for type checkers name the same modules."""
    tree = ast.parse(Path(pollwise.__file__).read_text(encoding="utf-8"))
    found = {
        alias.name: node.module
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("pollwise.")
        for alias in node.names
    }
    assert found == pollwise._MODULE_OF
    assert {*found, "__version__"} == set(pollwise.__all__)


def test_a_name_that_the_root_lacks() -> None:
    """It is an AttributeError as of any module, and an ImportError of `from pollwise import`."""
    with pytest.raises(AttributeError, match="module 'pollwise' has no attribute 'JobWacher'"):
        _ = pollwise.JobWacher  # type: ignore[attr-defined]
    with pytest.raises(ImportError, match="JobWacher"):
        from pollwise import JobWacher  # type: ignore[attr-defined]  # noqa: F401, PLC0415


def test_all_names_at_once() -> None:
    """`from pollwise import *` gives every public name, each the same object as in its own module."""
    names: dict[str, object] = {}
    exec("from pollwise import *", names)  # noqa: S102  it stands in no function
    assert set(pollwise.__all__) <= names.keys()
    assert pollwise.JobFailed is pollwise.errors.JobFailed


def test_an_ignored_interrupt_stays_ignored() -> None:
    """As in a background job of a shell script: Ctrl-C for another command does not end this one while it is loaded."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        _loading.begin()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
        _loading.end()
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)
