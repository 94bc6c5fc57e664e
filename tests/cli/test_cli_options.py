from __future__ import annotations

from typing import Any

import attrs
import pytest
from cyclopts import App, CycloptsError

from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import Count, Duration, Port, Share, WatchOptions
from pollwise.core.pacing import Pacing

USUAL = WatchOptions()


def parse(*tokens: str) -> dict[str, Any]:
    """The arguments that a command with every kind of option gets."""
    app = App()

    @app.default
    def command(
        *, count: Count = 1, port: Port = 1, share: Share = 0.0, at: Duration = 1.0, options: WatchOptions = USUAL
    ) -> None: ...

    _, bound, _ = app.parse_args(list(tokens), print_error=False, exit_on_error=False)
    given = dict(bound.arguments)
    options = given.pop("options", USUAL)
    return {**attrs.asdict(options), **given}


@pytest.mark.parametrize(
    ("tokens", "name", "value"),
    [
        ("", "timeout", 3600.0),
        ("--timeout 90", "timeout", 90.0),
        ("--timeout 0.5", "timeout", 0.5),
        ("--timeout none", "timeout", None),
        ("--timeout None", "timeout", None),
        ("--timeout 1h30m", "timeout", 5400.0),
        ("--interval 500ms", "interval", 0.5),
        ("--interval 2 --max-interval 9", "max_interval", 9.0),
        ("--json", "json", True),
        ("-v", "verbose", True),
        ("--allow-plain-http", "allow_plain_http", True),
        ("--count 3", "count", 3),
        ("--port 0", "port", 0),
        ("--share 0.25", "share", 0.25),
        ("--at 1e1", "at", 10.0),
    ],
)
def test_valid_options(tokens: str, name: str, value: object) -> None:
    """Each option is parsed. A timeout may be `none`, which is no limit."""
    assert parse(*tokens.split())[name] == value


@pytest.mark.parametrize(
    "tokens",
    [
        "--timeout 0",
        "--timeout -1",
        "--timeout nan",
        "--timeout inf",
        "--timeout soon",
        "--timeout",
        "--interval 0",
        "--interval none",
        "--max-interval -3",
        "--at nan",
        "--share 1.1",
        "--share -0.1",
        "--share nan",
        "--share x",
        "--count 0",
        "--count 1.5",
        "--port 65536",
        "--port -1",
        "--json=maybe",
        "--no-json",
        "--api-token secret",
    ],
)
def test_invalid_options(tokens: str) -> None:
    """A value that is not valid is refused, and the message shows neither a secret nor a function's name."""
    with pytest.raises(CycloptsError) as refused:
        parse(*tokens.split())
    assert "secret" not in str(refused.value)
    assert "_to_" not in str(refused.value)


@pytest.mark.parametrize(
    ("options", "pacing"),
    [
        ({}, Pacing()),
        ({"interval": 5.0}, Pacing.fixed(5.0)),
        ({"interval": 5.0, "max_interval": 9.0}, Pacing(min_s=5.0, max_s=9.0)),
        ({"max_interval": 0.5}, Pacing(min_s=0.5, max_s=0.5)),
        ({"max_interval": 90.0}, Pacing(min_s=1.0, max_s=90.0)),
        ({"interval": 90.0, "max_interval": 90.0}, Pacing(min_s=90.0, max_s=90.0)),
    ],
)
def test_intervals_become_a_pacing(options: dict[str, float], pacing: Pacing) -> None:
    """One interval is kept exactly, two are bounds. A missing bound has its default, limited by the other bound."""
    made = WatchOptions(**options).pacing()  # type: ignore[arg-type]  # only intervals are in the table
    assert (made.min_s, made.max_s, made.jitter) == (pacing.min_s, pacing.max_s, pacing.jitter)


def test_intervals_that_contradict_each_other() -> None:
    """The shortest interval cannot be longer than the longest."""
    with pytest.raises(UsageError, match="swap them"):
        WatchOptions(interval=9.0, max_interval=2.0).pacing()
