"""A ledger in numbers: what its watches add up to.

Rule 1: memory is bounded however many watches there are: numbers go into arrays of eight bytes, texts are kept for a
capped number of reasons and rows, and what is left out is counted.
Rule 2: of many rows, those that did not succeed are kept first, then the open ones, then the others, each in the order
recorded.
"""

from __future__ import annotations

import itertools
import math
from array import array
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import attrs

from pollwise.cli.event_text import ENDED
from pollwise.cli.ledger_entries import LedgerEntry
from pollwise.cli.safe_text import endpoint_label, shorten_keys

__all__ = ["STATES", "LedgerSummary", "Reason"]

STATES = (
    "succeeded",
    "failed",
    "cancelled",
    "abandoned",
    "waiting_for_input",
    "confirming",
    "running",
    "retrying",
    "queued",
    "waiting",
)
"""The states of entries, in the order in which they are shown."""

_MOST_REASONS = 1_000
_MOST_EXAMPLES = 3
_LONGEST_EXAMPLE = 110  # both IDs of an extraction, as they are sent


@attrs.define
class Reason:
    """Why some jobs did not succeed: the same words, for `count` of them. `examples` are the first ones.

    `error_type` is the class name of the first one's error, or an empty text.
    """

    state: str
    endpoint: str
    text: str
    account: str = ""
    error_type: str = ""
    count: int = 0
    examples: list[str] = attrs.field(factory=list)

    @property
    def endpoint_label(self) -> str:
        """The endpoint, and the account where there is one."""
        return endpoint_label(self.endpoint, self.account)


class LedgerSummary:
    """Counts entries.

    Attributes:
        states: How many entries have each state.
        accounts: The same by endpoint and account.
        polls: Status exchanges in all.
        unacknowledged: Number of outcomes that are not acknowledged.
        began: When each watch began, in Unix seconds, in the order recorded.
        took: How long each ended watch took in seconds, and not-a-number for the others, in the same order.
        detected: Within how many seconds each job's end was seen, and not-a-number where it is not known, in the same order.
        polled: How many status exchanges each took, in the same order.
        codes: The index in `STATES` of each one's word, in the same order.
        unlisted: How many entries have a reason that is none of `reasons`, since there were too many.
    """

    def __init__(self, *, rows: int = 1_000) -> None:
        self.states: Counter[str] = Counter()
        self.accounts: dict[tuple[str, str], Counter[str]] = {}
        self.polls = 0
        self.unacknowledged = 0
        self.began = array("d")
        self.took = array("d")
        self.detected = array("d")
        self.polled = array("Q")
        self.codes = bytearray()
        self.unlisted = 0
        self._reasons: dict[tuple[str, str, str, str], Reason] = {}
        self._rows = rows
        self._kept: tuple[list[LedgerEntry], ...] = ([], [], [])  # not succeeded, open, succeeded

    @property
    def total(self) -> int:
        """How many entries were counted."""
        return len(self.codes)

    @property
    def endpoints(self) -> Mapping[str, Counter[str]]:
        """How many entries of each endpoint have each word, whatever their account."""
        found: dict[str, Counter[str]] = {}
        for (endpoint, _), states in self.accounts.items():
            found.setdefault(endpoint, Counter()).update(states)
        return found

    @property
    def states_by_label(self) -> Mapping[str, Counter[str]]:
        """The same by endpoint and account, in words."""
        return {endpoint_label(*names): states for names, states in self.accounts.items()}

    @property
    def ended(self) -> int:
        """How many of them have an outcome."""
        return sum(self.states[state] for state in ENDED)

    @property
    def reasons(self) -> Sequence[Reason]:
        """Why jobs did not succeed, the commonest first."""
        return sorted(self._reasons.values(), key=lambda reason: -reason.count)

    @property
    def rows(self) -> Sequence[LedgerEntry]:
        """The entries to show."""
        return list(itertools.islice(itertools.chain(*self._kept), self._rows))

    def add(self, read_entries: Iterable[LedgerEntry]) -> None:
        """Count these as well."""
        for entry in read_entries:
            self._add(entry)

    def _add(self, entry: LedgerEntry) -> None:
        self.states[entry.state] += 1
        self.accounts.setdefault((entry.endpoint, entry.account), Counter())[entry.state] += 1
        self.polls += entry.polls
        self.unacknowledged += entry.state in ENDED and not entry.acknowledged
        self.began.append(entry.first_seen)
        self.took.append(math.nan if entry.elapsed_s is None else entry.elapsed_s)
        self.detected.append(math.nan if entry.detected_within_s is None else entry.detected_within_s)
        self.polled.append(entry.polls)
        self.codes.append(STATES.index(entry.state))
        if entry.reason:
            self._explain(entry)
        kept = self._kept[1 if entry.state not in ENDED else 2 if entry.state == "succeeded" else 0]
        if len(kept) < self._rows:
            kept.append(entry)

    def _explain(self, entry: LedgerEntry) -> None:
        key = entry.state, entry.endpoint, entry.reason, entry.account
        reason = self._reasons.get(key)
        if reason is None:
            if len(self._reasons) >= _MOST_REASONS:
                self.unlisted += 1
                return
            reason = self._reasons[key] = Reason(*key, entry.error_type)
        reason.count += 1
        if len(reason.examples) < _MOST_EXAMPLES:
            reason.examples.append(shorten_keys(entry.keys, _LONGEST_EXAMPLE))
