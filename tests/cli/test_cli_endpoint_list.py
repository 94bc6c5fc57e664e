"""`pollwise endpoint list`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.vendors import FURTHER
from pollwise.endpoints.catalog import catalog

Run = Callable[..., Any]


async def test_every_name_is_listed(exports: Any, command: Run) -> None:
    """In the order in which names are looked up: vendors, files, catalog. With keys, and where it is from."""
    status, out, err = await command("endpoint", "list")
    lines = out.splitlines()
    assert (status, err) == (0, "")
    assert lines[:3] == [
        "document360: keys task_id (str); included",
        "oracle-content: keys file_id (str), job_id (str); included",
        "document360-export: keys export_id (str); included",
    ]
    further = len(FURTHER)
    assert lines[2 + further : 4 + further] == [
        "exports: keys id (int); declared in pollwise.toml",
        "reports: keys owner (str), name (str); declared in pollwise.toml",
    ]
    assert (
        lines[4 + further]
        == "openai-batch: keys id (str); https://platform.openai.com/docs/api-reference/batch/retrieve"
    )
    assert len(lines) == len(catalog()) + 4 + further


async def test_a_named_file_is_listed_alone(exports: Any, command: Run) -> None:
    """As its endpoints are the only ones then."""
    status, out, _ = await command("endpoint", "list", "--endpoints", "pollwise.toml")
    assert (status, len(out.splitlines())) == (0, 2)


@pytest.mark.parametrize("more", [(), ("--endpoints", "pollwise.toml")])
async def test_a_wrong_file_is_a_usage_error(more: tuple[str, ...], exports: Any, command: Run, tmp_path: Path) -> None:
    """With what is wrong."""
    (tmp_path / "pollwise.toml").write_text("[exports]\nbas = 1")
    status, _, err = await command("endpoint", "list", *more)
    assert status == 2
    assert "[exports] bas: there is no such word; did you mean base?" in err
