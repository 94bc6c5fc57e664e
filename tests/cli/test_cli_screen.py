from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable
from typing import Any

import pytest
from rich.text import Text

from pollwise.cli.live_screen import LiveScreen
from pollwise.cli.screen import JsonScreen, LineScreen, open_screen
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.model.events import Succeeded


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


class Flushed(io.StringIO):
    """Keeps the written text at each flush."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[str] = []

    def flush(self) -> None:
        self.seen.append(self.getvalue())


@pytest.mark.parametrize(
    ("json", "on_terminal", "term", "kind"),
    [
        (True, True, "xterm", JsonScreen),
        (False, False, "xterm", LineScreen),
        (False, True, "dumb", LineScreen),
        (False, True, "unknown", LineScreen),
        (False, True, "xterm", LiveScreen),
    ],
)
def test_open_screen_chooses_by_json_terminal_and_term(
    json: bool, on_terminal: bool, term: str, kind: type, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`json=True` gives JSON lines, a terminal that can move its cursor live rows, everything else plain lines."""
    monkeypatch.setattr(sys, "stdout", Terminal() if on_terminal else io.StringIO())
    monkeypatch.setenv("TERM", term)
    monkeypatch.setenv("FORCE_COLOR", "1")
    assert type(open_screen(json=json)) is kind


@pytest.mark.parametrize("kind", [JsonScreen, LineScreen])
async def test_a_line_is_flushed_at_once(
    kind: type[JsonScreen | LineScreen],
    extractions: ExtractionEndpoint,
    extract_job: ExtractionJob,
    extraction_status: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The reader of a pipe gets each event when it happens, as one whole line."""
    out = Flushed()
    monkeypatch.setattr(sys, "stdout", out)
    async with kind() as screen:
        assert screen.persistent
        screen.add_job(extractions, extract_job)
        assert out.getvalue() == ""
        await screen.show(extractions, Succeeded(job=extract_job, status=extraction_status(), elapsed_s=1.0, polls=1))
    assert out.seen
    assert out.seen[-1].count("\n") == 1
    assert out.seen[-1].endswith("\n")


async def test_only_events_are_json(monkeypatch: pytest.MonkeyPatch) -> None:
    """`print_text` writes plain text in a pipe, and nothing with JSON lines."""
    out = io.StringIO()
    monkeypatch.setattr(sys, "stdout", out)
    await JsonScreen().print_text(Text("hello", style="red"))
    assert out.getvalue() == ""
    await LineScreen().print_text(Text("[b]hello[/]", style="red"))
    assert out.getvalue() == "[b]hello[/]\n"


async def test_json_lines_are_json(
    extractions: ExtractionEndpoint,
    extract_job: ExtractionJob,
    extraction_status: Callable[..., Any],
    capsys: pytest.CaptureFixture[str],
) -> None:
    """A JSON screen writes the line of jsonlines.py and nothing else."""
    event = Succeeded(job=extract_job, status=extraction_status(), elapsed_s=1.0, polls=1)
    await JsonScreen().show(extractions, event)
    assert json.loads(capsys.readouterr().out)["event"] == "succeeded"
