"""The figures of the page, and what each of them is about.

Rule 1: a percentile, a mean or a maximum says of which jobs it is, and how many they are.
Rule 2: durations are of the jobs that succeeded. If there are none, they are of those that failed or were cancelled,
never of abandoned ones, because their time only says when pollwise stopped watching.
Rule 3: a figure does not count the time of pauses, or a note says that it does.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

import attrs

from pollwise.cli.ledger_summary import STATES, LedgerSummary
from pollwise.cli.report.pauses import Cause, Pauses, delays_without
from pollwise.cli.safe_text import counted, duration
from pollwise.durable.codec import utc_datetime

__all__ = ["Figure", "figures", "moment_text", "pause_notes", "pause_texts", "timed_state", "when"]

_MOST_LISTED = 5  # pauses that are written out
_ENOUGH = 20  # values for a percentile of 95; of fewer ones it is the largest


@attrs.frozen
class Figure:
    """A number and its description."""

    value: str
    description: str


def figures(summary: LedgerSummary, pauses: Pauses) -> list[Figure]:
    """The requests, durations and delays of the jobs."""
    return [*_requests(summary), *_durations(summary), *_delays(summary, pauses)]


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
        yield Figure(duration(took[0]), f"for the one job that {'was cancelled' if state == 'cancelled' else state}")
    elif took:
        yield Figure(duration(_quantile(took, 0.5)), f"or less for half of the {of}")
        if len(took) >= _ENOUGH:
            yield Figure(duration(_quantile(took, 0.95)), f"or less for 95 % of the {of}")
        yield Figure(duration(took[-1]), f"for the longest of the {of}")


def _delays(summary: LedgerSummary, pauses: Pauses) -> Iterator[Figure]:
    delays = sorted(each for each in delays_without(summary, pauses) if not math.isnan(each))
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


def when(summary: LedgerSummary, pauses: Pauses) -> str:
    """From when to when the jobs were watched, and how much of that was a pause."""
    if not summary.total:
        return ""
    ends = [began + took for began, took in zip(summary.began, summary.took, strict=True) if not math.isnan(took)]
    first = utc_datetime(min(summary.began))
    if not ends:
        return f"since {moment_text(first)} UTC"
    last = max(first, utc_datetime(max(ends)))
    until = f"{last:%H:%M}" if last.date() == first.date() else moment_text(last)
    paused_s = pauses.within(first.timestamp(), last.timestamp())
    less = f"; {_words(pauses)} for {duration(paused_s)} of that" if paused_s else ""
    return f"{moment_text(first)} to {until} UTC ({duration((last - first).total_seconds())}{less})"


def moment_text(moment: datetime) -> str:
    """The time to the minute."""
    return f"{moment.day} {moment:%B %Y, %H:%M}"


def _words(pauses: Pauses) -> str:
    causes = {pause.cause for pause in pauses}
    return "nothing ran" if causes == {Cause.NOTHING_RAN} else "nothing was seen"


def pause_texts(pauses: Pauses, *, recorded: bool) -> list[str]:
    """The longest pauses, each as a sentence, and how many there are besides.

    `recorded` says whether the ledger has recorded runs, so that in other times it is known that something ran.
    """
    texts = []
    for pause in pauses.longest(_MOST_LISTED):
        begin, end = utc_datetime(pause.begin), utc_datetime(pause.end)
        day = "" if begin.date() == end.date() else f"{end.day} {end:%B}, "
        time = f"from {begin.day} {begin:%B}, {begin:%H:%M:%S} to {day}{end:%H:%M:%S} ({duration(pause.seconds)})"
        if pause.cause is Cause.NOTHING_RAN:
            texts.append(f"Nothing ran {time}.")
        else:
            known = "though pollwise ran" if recorded else "because nothing ran, or no server answered"
            texts.append(f"No reply is recorded {time}, {known}.")
    if len(pauses) > len(texts):
        texts.append(f"{len(pauses) - len(texts):,} more pauses were shorter.")
    return texts


def pause_notes(summary: LedgerSummary, pauses: Pauses) -> list[str]:
    """What the pauses mean for the figures."""
    if not pauses:
        return []
    notes = ["Delays do not count pauses."]
    late = list(_late(summary, pauses))
    if late:
        which = "1 of the jobs" if len(late) == 1 else f"{len(late):,} of the jobs"
        notes.append(
            f"{which} may have ended in a pause. A duration counts until the poll that saw the end, so"
            f" {'its' if len(late) == 1 else 'their'} durations may be too long, by up to {duration(max(late))}."
        )
    return notes


def _late(summary: LedgerSummary, pauses: Pauses) -> Iterator[float]:
    """By how much each duration may be too long because of pauses, for those that may be."""
    wanted = STATES.index(timed_state(summary))
    for began, took, detected, code in zip(summary.began, summary.took, summary.detected, summary.codes, strict=True):
        if code == wanted and not math.isnan(took):
            end = began + took
            paused_s = pauses.within(began if math.isnan(detected) else end - detected, end)
            if paused_s > 0.0:
                yield paused_s
