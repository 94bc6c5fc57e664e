from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.wrong import Wrong, find_wrong, ledger_command

LEDGER = Path("my jobs.ledger")


def job(state: str, reason: str = "", **more: Any) -> LedgerEntry:
    usual = {"endpoint": "e", "keys": ("k",), "first_seen": 1.0, "elapsed_s": 1.0, "polls": 1}
    return LedgerEntry(**{**usual, "state": state, "reason": reason, **more})


def wrong(*jobs: LedgerEntry, damaged: int = 0, unfinished: int = 0) -> Wrong:
    summary = LedgerSummary()
    summary.add(jobs)
    return find_wrong(summary, LEDGER, damaged=damaged, unfinished=unfinished)


def test_nothing_went_wrong() -> None:
    """If nothing went wrong, one line says so. While jobs are open it says that of the time so far."""
    found = wrong(job("succeeded"), job("succeeded"))
    assert (found.is_nothing, found.text) == (True, "Nothing went wrong.")
    found = wrong(job("succeeded"), job("running", elapsed_s=None))
    assert (found.is_nothing, found.text) == (True, "Nothing has gone wrong so far.")


def test_reasons_are_counted() -> None:
    """The commonest reason is first, and the counts are those of all jobs that did not succeed."""
    found = wrong(job("failed", "rare"), job("succeeded"), *[job("failed", "often")] * 3)
    assert found.text == "4 of 5 jobs did not succeed, for 2 reasons."
    assert [(group.reason.count, group.reason.text) for group in found.groups] == [(3, "often"), (1, "rare")]


@pytest.mark.parametrize(
    ("state", "error_type", "advice"),
    [
        ("failed", "JobFailed", "start the job again"),
        ("cancelled", "JobCancelled", "If the job is still wanted"),
        ("abandoned", "RetriesExhausted", "Run the same command"),
        ("abandoned", "", "Run the same command"),
        ("abandoned", "DeadlineExceeded", "with a longer time limit"),
        ("abandoned", "JobNotFound", "Correct the IDs"),
        ("abandoned", "UnknownOutcome", "Look at the job at the vendor"),
    ],
)
def test_every_reason_has_its_next_step(state: str, error_type: str, advice: str) -> None:
    """The page says what to do about each reason."""
    (group,) = wrong(job(state, "why", error_type=error_type)).groups
    assert advice in group.advice


def test_what_is_not_counted_is_said() -> None:
    """Damaged rows, starts without a known job and failing polls are said, with the command that shows more."""
    found = wrong(job("retrying", elapsed_s=None), damaged=2, unfinished=1)
    assert not found.is_nothing
    assert found.notices == [
        ("1 open job is polled again, because its last poll failed.", ""),
        (
            "2 rows of the ledger are damaged and are not counted on this page:",
            "pollwise ledger check 'my jobs.ledger'",
        ),
        (
            "1 start has no known job, so it may or may not have been started:",
            "pollwise ledger show 'my jobs.ledger'",
        ),
    ]


def test_a_command_can_be_copied() -> None:
    """The path in a command is quoted for a shell, and safe to print."""
    assert ledger_command("export", Path("a;b\x1b[2J"), " --x") == "pollwise ledger export 'a;b[2J' --x"


def test_a_reason_that_was_not_kept() -> None:
    """Jobs with reasons beyond those that are kept are counted."""
    found = wrong(*(job("failed", f"why {number}") for number in range(1_001)))
    assert found.text == "1,001 of 1,001 jobs did not succeed, for more than 1,000 reasons."
    assert found.more == "There are 975 more reasons, and 1 job with a reason beyond those that were kept."
