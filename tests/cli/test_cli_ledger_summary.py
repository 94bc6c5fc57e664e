from __future__ import annotations

import math
from typing import Any

from pollwise.cli.event_text import ENDED, appearance_of
from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import STATES, LedgerSummary


def entry(name: str, state: str = "succeeded", **more: Any) -> LedgerEntry:
    elapsed_s = 2.0 if state in ENDED else None
    reason = "broken" if state in ENDED and state != "succeeded" else ""
    usual = {"endpoint": "e", "keys": (name,), "first_seen": 1.0, "elapsed_s": elapsed_s, "polls": 3, "reason": reason}
    return LedgerEntry(state=state, **{**usual, **more})


def test_every_state_is_counted() -> None:
    """Every state is counted and has an appearance."""
    summary = LedgerSummary()
    summary.add(entry(state, state) for state in STATES)
    assert summary.states == dict.fromkeys(STATES, 1)
    assert (summary.total, summary.ended, summary.polls) == (10, 4, 30)
    assert [appearance_of(state).symbol for state in STATES]


def test_numbers_of_all_and_endpoints_apart() -> None:
    """The summary has the times and requests of each watch, and counts for each endpoint."""
    summary = LedgerSummary()
    summary.add([entry("a", detected_within_s=0.5), entry("b", "running", endpoint="f", polls=0, first_seen=5.0)])
    assert summary.endpoints == {"e": {"succeeded": 1}, "f": {"running": 1}}
    assert list(summary.began) == [1.0, 5.0]
    assert summary.took[0] == 2.0
    assert math.isnan(summary.took[1])
    assert summary.detected[0] == 0.5
    assert math.isnan(summary.detected[1])
    assert list(summary.polled) == [3, 0]
    assert [STATES[code] for code in summary.codes] == ["succeeded", "running"]


def test_unacknowledged_outcomes() -> None:
    """Only outcomes can be acknowledged."""
    summary = LedgerSummary()
    summary.add([entry("a"), entry("b", acknowledged=True), entry("c", "running")])
    assert summary.unacknowledged == 1


def test_equal_reasons_are_counted_together() -> None:
    """Equal reasons are counted together. The commonest is first, with a few examples."""
    summary = LedgerSummary()
    summary.add([entry("x", "abandoned", reason="rare")])
    summary.add(entry(str(number), "failed") for number in range(5))
    summary.add([entry("y", "failed", endpoint="f")])
    assert [(reason.count, reason.state, reason.endpoint, reason.text) for reason in summary.reasons] == [
        (5, "failed", "e", "broken"),
        (1, "abandoned", "e", "rare"),
        (1, "failed", "f", "broken"),
    ]
    assert summary.reasons[0].examples == ["0", "1", "2"]


def test_the_number_of_reasons_is_bounded() -> None:
    """At most 1,000 different reasons are kept; entries with other reasons are only counted."""
    summary = LedgerSummary()
    summary.add(entry("x", "failed", reason=str(number)) for number in range(1500))
    assert (len(summary.reasons), summary.unlisted) == (1000, 500)


def test_rows_without_success_are_kept_first() -> None:
    """If there are more entries than rows, those that did not succeed are kept first, and then the open ones."""
    summary = LedgerSummary(rows=3)
    summary.add([entry("a"), entry("b", "failed"), entry("c", "running"), entry("d"), entry("e", "abandoned")])
    assert [row.keys[0] for row in summary.rows] == ["b", "e", "c"]
    summary.add([entry("f", "failed")])
    assert [row.keys[0] for row in summary.rows] == ["b", "e", "f"]
