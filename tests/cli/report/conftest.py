"""Tallies to draw."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

from pollwise.cli.ledger_entries import entry_of
from pollwise.cli.ledger_summary import Tally
from pollwise.cli.report.page import render

NOW = datetime(2026, 11, 23, 20, 0, tzinfo=UTC)
_ENDS = ("succeeded",) * 16 + ("failed", "failed", "cancelled", "abandoned")
_OPEN = ("running", "queued", "waiting", "retrying", "confirming")


@pytest.fixture
def drawn() -> Callable[..., Tally]:
    """Makes a tally of so many jobs of two endpoints; `words` stand in for every text, `still_open` is a share."""

    def make(count: int, *, words: str = "a word", still_open: float = 0.0, seed: int = 1) -> Tally:
        dice, tally = random.Random(seed), Tally()
        for number in range(count):
            word = dice.choice(_OPEN if dice.random() < still_open else _ENDS)
            ended = word in {*_ENDS}
            entry = entry_of(
                {
                    "outcome": word if ended else None,
                    "endpoint": dice.choice(("document360", "oracle-content")),
                    "job": dict.fromkeys(("file_id", "job_id")[: dice.choice((1, 2))], f"{words}-{number}"),
                    "phase": {"running": "running", "queued": "queued", "confirming": "failed"}.get(word),
                    "first_seen": f"2026-11-23T18:00:{dice.uniform(10, 59):.6f}+00:00",
                    "elapsed_s": dice.lognormvariate(5.5, 0.6) if ended else None,
                    "detected_within_s": dice.expovariate(0.2) if ended and word != "abandoned" else None,
                    "polls": int(dice.expovariate(0.2)),
                    "failures": int(word == "retrying"),
                    "error": None if not ended or word == "succeeded" else {"type": "X", "message": words},
                    "acknowledged": False,
                }
            )
            tally.add([entry])
        return tally

    return make


@pytest.fixture
def page(drawn: Callable[..., Tally]) -> Callable[..., str]:
    """Makes a page about such a tally."""

    def make(count: int, *, name: str = "jobs.jsonl", **options: Any) -> str:
        return render(drawn(count, **options), name=name, now=NOW, version="1.2.3")

    return make
