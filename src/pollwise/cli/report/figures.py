"""The figures of the page, and what each of them is about.

Rule 1: a percentile, a mean or a maximum says of which jobs it is, and how many they are.
Rule 2: durations are of the jobs that succeeded. If there are none, they are of those that failed or were cancelled,
never of abandoned ones, because their time only says when pollwise stopped watching.
Rule 3: a figure does not count the time of gaps, or a note says that it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import attrs

from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.gaps import Cause, Gaps, delays_without
from pollwise.cli.safe_text import counted, duration
from pollwise.durable.codec import utc_datetime

__all__ = ["Figure", "figures", "gap_notes", "gap_texts", "moment_text", "timed_state", "when"]

_MOST_LISTED = 5  # gaps that are written out
_ENOUGH = 20  # values for a percentile of 95; of fewer ones it is the largest


@attrs.frozen
class Figure:
    """A number and its description."""

    value: str
    description: str


def figures(summary: LedgerSummary, gaps: Gaps) -> list[Figure]:
    """The requests, durations and delays of the jobs."""
    return [*_requests(summary), *_durations(summary), *_delays(summary, gaps)]


def _requests(summary: LedgerSummary) -> Iterator[Figure]:
    jobs = counted(summary.total, "job")
    yield Figure(f"{summary.polls:,}", f"{'request' if summary.polls == 1 else 'requests'} for {jobs}")
    if summary.total > 1:
        yield Figure(f"{summary.polls / summary.total:.1f}", f"requests a job: the mean of {jobs}")
        yield Figure(f"{max(summary.polled):,}", f"requests for one job: the most of {jobs}")


def _durations(summary: LedgerSummary) -> Iterator[Figure]:
    state = timed_state(summary)
    took = sorted(_of_state(summary, summary.took, state))
    of = f"{_jobs(len(took))} that {'were cancelled' if state == 'cancelled' else state}"
    if len(took) == 1:
        yield Figure(
            duration(took[0]),
            f"until the outcome of the one job that {'was cancelled' if state == 'cancelled' else state}",
        )
    elif took:
        yield Figure(duration(_quantile(took, 0.5)), f"or less until the outcome, for half of the {of}")
        if len(took) >= _ENOUGH:
            yield Figure(duration(_quantile(took, 0.95)), f"or less until the outcome, for 95 % of the {of}")
        yield Figure(duration(took[-1]), f"until the outcome, for the longest of the {of}")


def _delays(summary: LedgerSummary, gaps: Gaps) -> Iterator[Figure]:
    delays = sorted(each for each in delays_without(summary, gaps) if not math.isnan(each))
    if len(delays) == 1:
        yield Figure(duration(delays[0]), "or less from the end of the job to the poll that saw it")
    elif delays:
        of = f"{_jobs(len(delays))} whose end a poll saw"
        yield Figure(
            duration(_quantile(delays, 0.5)), f"or less from the end to the poll that saw it, for half of the {of}"
        )


def timed_state(summary: LedgerSummary) -> str:
    """The outcome of the jobs that the durations are of."""
    return next((state for state in ("succeeded", "failed", "cancelled") if summary.states[state]), "succeeded")


def _of_state(summary: LedgerSummary, values: Sequence[float], state: str) -> Iterator[float]:
    wanted = STATES.index(state)
    return (
        value for value, code in zip(values, summary.codes, strict=True) if code == wanted and not math.isnan(value)
    )


def _jobs(count: int) -> str:
    return f"{count:,} jobs"


def _quantile(ordered: Sequence[float], share: float) -> float:
    """The smallest value that is not exceeded by this share of the values."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)]


# --- times ------------------------------------------------------------------------------------


def when(summary: LedgerSummary, gaps: Gaps, now: float) -> str:
    """From when to when the jobs were watched, and how much of that was a gap. Open jobs: until `now`, in Unix seconds."""
    if not summary.total:
        return ""
    ends = [began + took for began, took in zip(summary.began, summary.took, strict=True) if not math.isnan(took)]
    first = utc_datetime(min(summary.began))
    if not ends:
        return f"since {moment_text(first)} UTC"
    last = max(first, utc_datetime(max(ends) if summary.ended == summary.total else max(now, *ends)))
    until = f"{last:%H:%M}" if last.date() == first.date() else moment_text(last)
    gap_s = gaps.within(first.timestamp(), last.timestamp())
    less = f"; {_words(gaps)} for {duration(gap_s)} of that" if gap_s else ""
    return f"{moment_text(first)} to {until} UTC ({duration((last - first).total_seconds())}{less})"


def moment_text(moment: datetime) -> str:
    """The time to the minute."""
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _words(gaps: Gaps) -> str:
    causes = {gap.cause for gap in gaps}
    return "nothing ran" if causes == {Cause.NOTHING_RAN} else "nothing was seen"


def gap_texts(gaps: Gaps, *, recorded_since: float) -> list[str]:
    """The longest gaps, each as a sentence, and the number of the others.

    Runs are recorded since `recorded_since`, in Unix seconds, so pollwise ran in a later gap of unknown cause.
    """
    texts = []
    for gap in gaps.longest(_MOST_LISTED):
        begin, end = utc_datetime(gap.begin), utc_datetime(gap.end)
        day = "" if begin.date() == end.date() else f"{end.day} {end:%B}, "
        time = f"from {begin.day} {begin:%B}, {begin:%H:%M:%S} to {day}{end:%H:%M:%S} ({duration(gap.seconds)})"
        if gap.cause is Cause.NOTHING_RAN:
            texts.append(f"Nothing ran {time}.")
        else:
            known = (
                "though pollwise ran" if gap.begin >= recorded_since else "because nothing ran, or no server answered"
            )
            texts.append(f"No reply is recorded {time}, {known}.")
    if (more := len(gaps) - len(texts)) > 0:
        texts.append(f"{counted(more, 'more gap')} {'was' if more == 1 else 'were'} shorter.")
    return texts


def gap_notes(summary: LedgerSummary, gaps: Gaps) -> list[str]:
    """What the gaps mean for the figures."""
    if not gaps:
        return []
    delayed = any(not math.isnan(each) for each in summary.detected)
    notes = ["Delays do not count gaps."] if delayed else []
    late = list(_late(summary, gaps))
    if late:
        which = "1 of the jobs" if len(late) == 1 else f"{len(late):,} of the jobs"
        notes.append(
            f"{which} may have ended in a gap. A duration counts until the poll that saw the end, so"
            f" {'its' if len(late) == 1 else 'their'} durations may be too long, by up to {duration(max(late))}."
        )
    return notes


def _late(summary: LedgerSummary, gaps: Gaps) -> Iterator[float]:
    """The seconds by which durations may be too long because of gaps. The other durations are left out."""
    wanted = STATES.index(timed_state(summary))
    for began, took, detected, code in zip(summary.began, summary.took, summary.detected, summary.codes, strict=True):
        if code == wanted and not math.isnan(took):
            end = began + took
            gap_s = gaps.within(began if math.isnan(detected) else end - detected, end)
            if gap_s > 0.0:
                yield gap_s
