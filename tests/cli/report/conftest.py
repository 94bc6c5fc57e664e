"""Ledger summaries and pages with random jobs."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pollwise.cli.ledger_entries import to_entry
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.page import render

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_ENDS = ("succeeded",) * 16 + ("failed", "failed", "cancelled", "abandoned")
_OPEN = ("running", "queued", "waiting", "retrying", "confirming")


@pytest.fixture
def drawn() -> Callable[..., LedgerSummary]:
    """Makes a summary of `count` jobs of two endpoints. `text` is in every text; `still_open` is a share."""

    def make(count: int, *, text: str = "a word", still_open: float = 0.0, seed: int = 1) -> LedgerSummary:
        dice, summary = random.Random(seed), LedgerSummary()
        for number in range(count):
            state = dice.choice(_OPEN if dice.random() < still_open else _ENDS)
            ended = state in {*_ENDS}
            entry = to_entry(
                {
                    "outcome": state if ended else None,
                    "endpoint": dice.choice(("document360", "oracle-content")),
                    "job": dict.fromkeys(("file_id", "job_id")[: dice.choice((1, 2))], f"{text}-{number}"),
                    "phase": {"running": "running", "queued": "queued", "confirming": "failed"}.get(state),
                    "first_seen": f"2026-11-23T18:00:{dice.uniform(10, 59):.6f}+00:00",
                    "elapsed_s": dice.lognormvariate(5.5, 0.6) if ended else None,
                    "detected_within_s": dice.expovariate(0.2) if ended and state != "abandoned" else None,
                    "polls": int(dice.expovariate(0.2)),
                    "failures": int(state == "retrying"),
                    "error": None if not ended or state == "succeeded" else {"type": "X", "message": text},
                    "acknowledged": False,
                }
            )
            summary.add([entry])
        return summary

    return make


@pytest.fixture
def page(drawn: Callable[..., LedgerSummary]) -> Callable[..., str]:
    """Makes a page about such a summary."""

    def make(count: int, *, name: str = "jobs.jsonl", **options: Any) -> str:
        return render(drawn(count, **options), name=name, now=NOW, version="1.2.3")

    return make
