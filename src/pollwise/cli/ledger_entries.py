"""A ledger's watches as texts: one `LedgerEntry` each.

Rule 1: an entry is made of a line of `Ledger.export`, so whatever can be exported can be shown.
Rule 2: all texts in it are safe to print (safe_text.py) and short. A page still has to escape them.
Rule 3: a reason does not repeat the job, so that equal reasons are equal texts.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any

import attrs
import orjson

from pollwise.cli.safe_text import endpoint_label, safe
from pollwise.cli.stored_error import NO_REASON, StoredError
from pollwise.ledger import Ledger
from pollwise.model.reading import TERMINAL

__all__ = ["LedgerEntry", "open_state", "read_entries", "to_entry"]

_LONGEST_KEY = 120
_TERMINAL = {phase.value for phase in TERMINAL}


@attrs.frozen(kw_only=True)
class LedgerEntry:
    """One watch.

    Attributes:
        endpoint: Its endpoint's name.
        keys: The values of its job's keys.
        state: How it ended, or where it stands: one of the words that `event_text.appearance_of` takes.
        first_seen: When it began, in Unix seconds.
        elapsed_s: Seconds until its outcome, or None while it is open.
        detected_within_s: Max seconds between the end of the job and its outcome, or None if that is unknown.
        account: The endpoint's account, or an empty text.
        polls: Status exchanges so far, good and bad.
        reason: Why it ended so; empty for a success and while it is open.
        error_type: The class name of its error, or an empty text.
        acknowledged: Whether its outcome is acknowledged.
    """

    endpoint: str
    keys: tuple[str, ...]
    state: str
    first_seen: float
    elapsed_s: float | None
    polls: int
    reason: str
    acknowledged: bool = False
    detected_within_s: float | None = None
    account: str = ""
    error_type: str = ""

    @property
    def endpoint_label(self) -> str:
        """Its endpoint, and its account where there is one."""
        return endpoint_label(self.endpoint, self.account, _LONGEST_KEY)


async def read_entries(ledger: Ledger, *, include_open: bool = True) -> AsyncIterator[list[LedgerEntry]]:
    """All entries of a ledger in the order recorded, about a thousand at a time."""
    async for lines in ledger.export(include_open=include_open):
        yield [to_entry(orjson.loads(line)) for line in lines.splitlines()]


def to_entry(exported: Mapping[str, Any]) -> LedgerEntry:
    """The entry of one exported object."""
    outcome, error = exported["outcome"], StoredError.of_export(exported)
    return LedgerEntry(
        endpoint=safe(exported["endpoint"], _LONGEST_KEY),
        keys=tuple(safe(value, _LONGEST_KEY) for value in exported["job"].values()),
        state=outcome or open_state(exported["phase"], exported["failures"]),
        first_seen=datetime.fromisoformat(exported["first_seen"]).timestamp(),
        elapsed_s=exported["elapsed_s"],
        polls=exported["polls"],
        reason=_reason(outcome, error),
        acknowledged=exported["acknowledged"],
        detected_within_s=exported["detected_within_s"],
        account=safe(exported.get("account", ""), _LONGEST_KEY),
        error_type="" if error is None else safe(error.kind, _LONGEST_KEY),
    )


def _reason(outcome: str | None, error: StoredError | None) -> str:
    """Every job that did not succeed has a reason, so the reasons count them all."""
    if outcome in {None, "succeeded"}:
        return ""
    return NO_REASON if error is None else error.reason()


def open_state(phase: str | None, failures: int) -> str:
    """The word for a watch without an outcome."""
    if failures:
        return "retrying"
    if phase is None:
        return "waiting"
    return "confirming" if phase in _TERMINAL else phase
