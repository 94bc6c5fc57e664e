"""What a caller's completion shows is what is documented."""

from __future__ import annotations

import importlib
import inspect
import subprocess
import sys

import pytest

import pollwise
from pollwise import RateBudget, errors

PARTS = ["endpoints", "errors", "http", "ledger", "progress", "simulator", "sync", "testing"]


def test_the_root_shows_no_internals() -> None:
    """Its public names, and the parts that importing it brings."""
    shown = [name for name in dir(pollwise) if not name.startswith("_")]
    assert shown == sorted([*(name for name in pollwise.__all__ if name[0] != "_"), "errors", "http", "ledger"])
    assert len(pollwise.__all__) <= 36


def test_the_root_has_the_errors_that_nearly_every_caller_catches() -> None:
    """All of them, the ledger's apart, are in `pollwise.errors`."""
    here = {name for name in pollwise.__all__ if name in errors.__all__}
    assert here == {
        "ConfigurationError",
        "DeadlineExceeded",
        "JobCancelled",
        "JobFailed",
        "PollwiseError",
        "WatchError",
    }


@pytest.mark.parametrize("part", PARTS)
def test_each_part_says_what_is_public(part: str) -> None:
    """The root's docstring names each part, and the part names what can be imported from it."""
    assert f"pollwise.{part}" in (pollwise.__doc__ or "")
    module = importlib.import_module(f"pollwise.{part}")
    assert all(hasattr(module, name) for name in module.__all__)


def test_every_public_class_has_a_docstring() -> None:
    """A completion shows it."""
    undocumented = [
        f"{part}.{name}"
        for part in PARTS
        for name in importlib.import_module(f"pollwise.{part}").__all__
        if inspect.isclass(value := getattr(importlib.import_module(f"pollwise.{part}"), name)) and not value.__doc__
    ]
    assert undocumented == []


def test_a_budget_shows_what_a_caller_can_use() -> None:
    """Permits are taken by pollwise alone, so a completion does not offer them."""
    shown = [name for name in dir(RateBudget(60, per_s=60)) if not name.startswith("_")]
    assert shown == ["close_at", "documented", "limit", "longest_hint_s", "per_s", "refused"]


def test_importing_the_package_loads_what_every_program_needs() -> None:
    """One without a ledger, a declaration or a waiter of AWS does not pay for them."""
    code = "import sys, pollwise.progress; from pollwise import *; sys.exit(bool({'botocore', 'cattrs', 'jmespath', 'rich', 'tqdm'} & sys.modules.keys()))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
