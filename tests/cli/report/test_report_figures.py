from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.ledger_summary import LedgerSummary
from pollwise.cli.report.figures import figures, gap_notes, gap_texts, when
from pollwise.cli.report.gaps import Cause, Gap, Gaps

AT = datetime(2026, 11, 23, 18, 0, tzinfo=UTC).timestamp()
NONE = Gaps()


def summary(*jobs: LedgerEntry) -> LedgerSummary:
    made = LedgerSummary()
    made.add(jobs)
    return made


def job(took: float | None, state: str = "succeeded", **more: Any) -> LedgerEntry:
    usual = {"endpoint": "e", "keys": ("k",), "first_seen": AT, "polls": 3, "reason": "", "detected_within_s": None}
    return LedgerEntry(**{**usual, "state": state, "elapsed_s": took, **more})


def texts(made: LedgerSummary, gaps: Gaps = NONE) -> list[tuple[str, str]]:
    return [(figure.value, figure.description) for figure in figures(made, gaps)]


def test_every_percentile_says_of_which_jobs_it_is() -> None:
    """Each percentile, mean and maximum names its jobs and their number."""
    ended = [job(float(second), detected_within_s=second / 10) for second in range(1, 41)]
    others = [job(900.0, "abandoned"), job(700.0, "failed", detected_within_s=9.0), job(None, "running", polls=40)]
    assert texts(summary(*ended, *others)) == [
        ("166", "requests for 43 jobs"),
        ("3.9", "requests a job: the mean of 43 jobs"),
        ("40", "requests for one job: the most of 43 jobs"),
        ("20.0 s", "or less until the outcome, for half of the 40 jobs that succeeded"),
        ("38.0 s", "or less until the outcome, for 95 % of the 40 jobs that succeeded"),
        ("40.0 s", "until the outcome, for the longest of the 40 jobs that succeeded"),
        ("2.1 s", "or less from the end to the poll that saw it, for half of the 41 jobs whose end a poll saw"),
    ]


def test_figures_of_one_job() -> None:
    """One job has no percentiles."""
    assert texts(summary(job(4.0, polls=1, detected_within_s=1.0))) == [
        ("1", "request for 1 job"),
        ("4.0 s", "until the outcome of the one job that succeeded"),
        ("1.0 s", "or less from the end of the job to the poll that saw it"),
    ]


def test_few_values_have_no_percentile_of_95() -> None:
    """A percentile of 95 of fewer than twenty jobs would be their longest one, so it is left out."""
    assert not [text for _, text in texts(summary(*[job(1.0)] * 19)) if "95 %" in text]


@pytest.mark.parametrize(
    ("states", "description"),
    [
        (["failed", "failed"], "until the outcome, for the longest of the 2 jobs that failed"),
        (["cancelled"], "until the outcome of the one job that was cancelled"),
        (["cancelled", "cancelled"], "until the outcome, for the longest of the 2 jobs that were cancelled"),
        (["failed", "succeeded"], "until the outcome of the one job that succeeded"),
    ],
)
def test_durations_are_of_one_outcome(states: list[str], description: str) -> None:
    """Durations of different outcomes are not mixed."""
    assert texts(summary(*(job(5.0, state) for state in states)))[-1] == ("5.0 s", description)


def test_abandoned_jobs_have_no_duration() -> None:
    """The time of an abandoned watch says nothing about its job, so there is no figure for it."""
    assert [text for _, text in texts(summary(job(5.0, "abandoned")))] == ["requests for 1 job"]


def test_the_elapsed_time_says_what_of_it_was_a_gap() -> None:
    """The time from the first beginning to the last end says how much of it nothing ran."""
    made = summary(job(10_000.0), job(5.0))
    assert when(made, NONE, AT + 20_000) == "23 November 2026, 18:00 to 20:46 UTC (2 h 46 min)"
    gap = Gap(AT + 100, AT + 3700, Cause.NOTHING_RAN)
    assert when(made, Gaps([gap]), AT + 20_000).endswith("(2 h 46 min; nothing ran for 1 h 00 min of that)")
    both = Gaps([gap, Gap(AT + 4000, AT + 4600, Cause.NO_REPLY)])
    assert when(made, both, AT + 20_000).endswith("(2 h 46 min; nothing was seen for 1 h 10 min of that)")


def test_the_elapsed_time_of_open_jobs_goes_on() -> None:
    """As the timeline, it ends when the page is made, and not with the last outcome."""
    made = summary(job(60.0), job(None, "running"))
    assert when(made, NONE, AT + 3600.0) == "23 November 2026, 18:00 to 19:00 UTC (1 h 00 min)"


def test_a_duration_with_a_gap_in_it_is_named() -> None:
    """A note says how many durations may be too long because of gaps, and by how much."""
    gaps = Gaps([Gap(AT + 100, AT + 160, Cause.NOTHING_RAN)])
    ended_before, ran_on = job(50.0, detected_within_s=5.0), job(200.0, detected_within_s=5.0)
    assert gap_notes(summary(ended_before, ran_on), gaps) == ["Delays do not count gaps."]
    unsure = job(170.0, detected_within_s=120.0)
    assert gap_notes(summary(ended_before, ran_on, unsure, job(165.0)), gaps)[1] == (
        "2 of the jobs may have ended in a gap. A duration counts until the poll that saw the end, so their durations"
        " may be too long, by up to 1 min 00 s."
    )
    assert gap_notes(summary(unsure), gaps)[1].startswith("1 of the jobs may have ended in a gap.")
    assert gap_notes(summary(unsure), NONE) == []
    assert ("60.0 s", "1 min 00 s")[1] in dict(texts(summary(unsure), gaps))  # the delay of 120 s without the gap


def test_gaps_in_words() -> None:
    """The page says from when to when each gap was, and whether it is known what ran."""
    idle, silent = Gap(AT, AT + 30, Cause.NOTHING_RAN), Gap(AT + 60, AT + 90_000, Cause.NO_REPLY)
    assert gap_texts(Gaps([idle, silent]), recorded_since=AT) == [
        "Nothing ran from 23 November, 18:00:00 to 18:00:30 (30.0 s).",
        "No reply is recorded from 23 November, 18:01:00 to 24 November, 19:00:00 (24 h 59 min), though pollwise ran.",
    ]
    assert "because nothing ran, or no server answered" in gap_texts(Gaps([silent]), recorded_since=AT + 61)[0]
    many = [Gap(AT + 100 * n, AT + 100 * n + 10 + n, Cause.NOTHING_RAN) for n in range(9)]
    assert gap_texts(Gaps(many), recorded_since=AT)[5:] == ["4 more gaps were shorter."]
