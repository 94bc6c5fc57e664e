"""What went wrong with the jobs of a ledger, and what to do about it.

Rule 1: every job that ended without success is counted under one reason, or as one of the reasons that were not kept.
Rule 2: each reason has its next step. A reason may state a closer one itself.
Rule 3: what a summary does not count (damaged rows, starts without a known job) is said, with the command that shows it.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence

import attrs

from pollwise.cli.ledger_place import Place
from pollwise.cli.ledger_summary import LedgerSummary, Reason
from pollwise.cli.safe_text import counted, safe

__all__ = ["Group", "Wrong", "find_wrong", "ledger_command"]

_MOST_REASONS = 25

_ADVICE: Mapping[str, str] = {
    "failed": "Find the cause at the vendor, and start the job again there. pollwise does not poll it again.",
    "cancelled": "If the job is still wanted, start it again at the vendor. pollwise does not poll it again.",
    "abandoned": "Run the same command, or watch the job again. Only the abandoned jobs are polled again.",
}
_ADVICE_BY_TYPE: Mapping[str, str] = {
    "DeadlineExceeded": "Run the same command, or watch the job again, with a longer time limit if jobs take so long.",
    "JobNotFound": "Correct the IDs, the account or the base URL, and run the same command.",
    "PermissionDenied": "Give the credentials the right to read the job, and run the same command.",
    "UnknownOutcome": "Look at the job at the vendor. It is over, so another poll shows nothing new.",
}


@attrs.frozen
class Group:
    """The jobs with one reason, and what to do about them."""

    reason: Reason
    advice: str


@attrs.frozen(kw_only=True)
class Wrong:
    """What went wrong.

    Attributes:
        text: One sentence about all of it.
        groups: The commonest reasons.
        more: What is left out of `groups`, or an empty text.
        notices: Sentences about what no reason counts, each with a command or an empty text.
    """

    text: str
    groups: Sequence[Group]
    more: str
    notices: Sequence[tuple[str, str]]

    @property
    def is_nothing(self) -> bool:
        """Whether nothing went wrong."""
        return not (self.groups or self.notices)


def find_wrong(summary: LedgerSummary, ledger: Place, *, damaged: int, unfinished: int) -> Wrong:
    """What went wrong.

    Args:
        summary: The jobs.
        ledger: The path of their ledger, for the commands.
        damaged: The number of damaged rows, which `summary` does not count.
        unfinished: The number of starts of which the job is not known.
    """
    reasons = summary.reasons
    shown = reasons[:_MOST_REASONS]
    return Wrong(
        text=_text(summary, len(reasons)),
        groups=[Group(reason, _advice(reason)) for reason in shown],
        more=_more(len(reasons) - len(shown), summary.unlisted),
        notices=_notices(summary, ledger, damaged, unfinished),
    )


def ledger_command(command: str, ledger: Place, options: str = "") -> str:
    """A command about this ledger, to be copied."""
    return f"pollwise ledger {command} {shlex.quote(safe(ledger))}{options}"


def _advice(reason: Reason) -> str:
    return _ADVICE_BY_TYPE.get(reason.error_type) or _ADVICE[reason.state]


def _text(summary: LedgerSummary, reasons: int) -> str:
    bad = summary.ended - summary.states["succeeded"]
    if not bad:
        return "Nothing went wrong." if summary.ended == summary.total else "Nothing has gone wrong so far."
    why = counted(reasons, "reason") if not summary.unlisted else f"more than {reasons:,} reasons"
    return f"{bad:,} of {counted(summary.total, 'job')} did not succeed, for {why}."


def _more(reasons: int, unlisted: int) -> str:
    """The reasons that are not shown, and the jobs with reasons that were not kept."""
    if not (reasons or unlisted):
        return ""
    are = f"{'is' if reasons == 1 else 'are'} {counted(reasons, 'more reason')}"
    others = counted(unlisted, "job with a reason", "jobs with reasons")
    return f"There {are}{f', and {others} beyond those that were kept' if unlisted else ''}."


def _notices(summary: LedgerSummary, ledger: Place, damaged: int, unfinished: int) -> list[tuple[str, str]]:
    found = []
    if retried := summary.states["retrying"]:
        one = "open job is polled again, because its last poll failed."
        many = "open jobs are polled again, because their last poll failed."
        found.append((counted(retried, one, many), ""))
    if damaged:
        rows = counted(damaged, "row of the ledger is damaged and is", "rows of the ledger are damaged and are")
        found.append((f"{rows} not counted on this page:", ledger_command("check", ledger)))
    if unfinished:
        starts = counted(unfinished, "start has", "starts have")
        text = f"{starts} no known job, so it may or may not have been started:"
        found.append((text, ledger_command("show", ledger)))
    return found
