"""The names of endpoints that a shell offers."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

Run = Callable[..., Any]


@pytest.mark.parametrize(
    ("words", "offered"),
    [
        (["watch", "docu"], ["document360", "oracle-content", "exports", "openai-batch"]),
        (["result", ""], ["document360-export", "exports"]),
        (["cancel", "--endpoints", "pollwise.toml", ""], ["exports", "reports"]),
        (["batch", "--endpoint", ""], ["document360", "exports", "openai-batch"]),
        (["result", "--endpoints", "missing.toml", ""], []),
    ],
)
async def test_the_names_of_endpoints_are_offered(
    words: list[str], offered: list[str], exports: Any, command: Run
) -> None:
    """Those of files, too; if a file cannot be read, none. The shell keeps what begins as the typed word does."""
    status, out, err = await command("__complete", *words)
    given = out.split("begin\n", 1)[1].splitlines()
    assert (status, err, set(offered) <= set(given)) == (0, "", True)
    assert bool(given) is bool(offered)
    assert ("openai-batch" in given) is ("--endpoints" not in words and bool(offered))
