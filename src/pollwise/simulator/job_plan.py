"""The plan of a job of any of the vendors' further calls, and what these calls have in common.

Rule 1: one plan serves all of these calls. The call makes the documents, in its vendor's words.
Rule 2: the keys of such a job begin with the name of its call, because the IDs of different calls may be equal.
"""

from __future__ import annotations

import abc
import math
from typing import Any
from urllib.parse import quote, unquote

import attrs

from pollwise.simulator.jobs import Plan, PlanOptions, Stage
from pollwise.simulator.vendor import Asked, Vendor

__all__ = ["LINK", "ApiCall", "JobOptions", "JobPlan", "Words", "path_with"]

LINK = "{link}"
"""In a document: the place of the link to the result."""

_EMPTY_ZIP = b"PK\x05\x06" + bytes(18)
_QUEUED_UNTIL = 0.1
_UNKNOWN_FROM, _UNKNOWN_UNTIL = 0.4, 0.7


class JobOptions(PlanOptions, total=False):
    """The arguments of a `JobPlan`, as keyword arguments of other functions."""

    result: bytes
    link_valid_s: float
    error: str
    error_code: str
    unknown_word: str | None
    strings: bool
    interval_ms: int


@attrs.frozen(kw_only=True)
class JobPlan(Plan):
    """The plan of a job of any further call; see `Plan` for the arguments of all jobs.

    Unconfirmed means that the state has a word that is not documented, while another field says that the job is over.

    Attributes:
        result: The bytes that the job makes, for calls that have a result.
        link_valid_s: Seconds that a link to the result is valid.
        error: The vendor's words for a failure.
        error_code: The vendor's code for it.
        unknown_word: A word that the vendor does not document. It replaces that for running for a part of the time, and is sent
            while unconfirmed (None sends `Finishing`) and at an unknown end (None sends `TimedOut`).
        strings: Scalars as strings and links as a list, which one of the vendor's pages has as well.
        interval_ms: The wait that a status asks for, where the vendor has a field for it.
    """

    result: bytes = attrs.field(default=_EMPTY_ZIP, repr=False)
    link_valid_s: float = attrs.field(default=math.inf, validator=attrs.validators.gt(0.0))
    error: str = "The job failed."
    error_code: str = "JOB_FAILED"
    unknown_word: str | None = None
    strings: bool = False
    interval_ms: int = 5_000

    def status(self, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The call makes the document."""
        raise NotImplementedError

    def percentage(self, stage: Stage) -> int:
        """0 to 100, and below 100 unless all of the work was done."""
        whole = stage.over and self.outcome in {"succeeded", "unknown"}
        return 100 if whole else min(99, int(stage.share * 100))

    def failed(self, stage: Stage) -> bool:
        """Whether the status shows a failure."""
        return stage.final and self.outcome == "failed"

    def word(self, stage: Stage, words: Words) -> str:
        """The vendor's word for this stage."""
        if stage.final:
            return words.end(self.outcome) or self.unknown_word or "TimedOut"
        if stage.over or stage.looks_failed:
            return self.unknown_word or "Finishing"
        if self.unknown_word is not None and _UNKNOWN_FROM <= stage.share < _UNKNOWN_UNTIL:
            return self.unknown_word
        return words.queued if stage.share < _QUEUED_UNTIL else words.running


@attrs.frozen
class Words:
    """A call's words for the states of a job."""

    queued: str
    running: str
    succeeded: str
    failed: str
    cancelled: str

    def end(self, outcome: str) -> str | None:
        """The word for an outcome; None for one that the vendor does not document."""
        return {"succeeded": self.succeeded, "failed": self.failed, "cancelled": self.cancelled}.get(outcome)


class ApiCall(Vendor):
    """One further call.

    Attributes:
        status_path: The segments of the path of a status. None stands for a key.
        start_path: The same for the path that starts a job; None if no request does.
        result_path: The same for the path of the result; None if there is none.
        signed_results: Whether the URL of a result is the permission to ask it.
    """

    status_path: tuple[str | None, ...]
    start_path: tuple[str | None, ...] | None = None
    result_path: tuple[str | None, ...] | None = None
    signed_results: bool = False

    @property
    def key_count(self) -> int:
        """How many keys a job has."""
        return self.status_path.count(None)

    @abc.abstractmethod
    def document(self, plan: Any, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The status of the job with these keys, of which the first is the call's name."""

    def path_of(self, keys: tuple[str, ...]) -> str:
        """The path of a status."""
        return path_with(self.status_path, keys[1:])

    def asked(self, path: str) -> Asked | None:
        """By the paths of this call."""
        segments = tuple(path.split("/")[1:])
        keys = _keys(self.status_path, segments)
        if keys is not None:
            return Asked("status", (self.call, *keys))
        keys = _keys(self.start_path, segments)
        if keys is not None:
            return Asked("start", (self.call, *keys))
        keys = _keys(self.result_path, segments)
        return None if keys is None else Asked("result", (self.call, *keys), self.signed_results)


def path_with(pattern: tuple[str | None, ...], keys: tuple[str, ...]) -> str:
    """The path with these keys, percent-encoded."""
    left = iter(keys)
    return "".join(f"/{quote(next(left), safe='') if segment is None else segment}" for segment in pattern)


def _keys(pattern: tuple[str | None, ...] | None, segments: tuple[str, ...]) -> tuple[str, ...] | None:
    if pattern is None or len(pattern) != len(segments):
        return None
    pairs = list(zip(pattern, segments, strict=True))
    if not all(found and wanted in {None, found} for wanted, found in pairs):
        return None
    return tuple(unquote(found) for wanted, found in pairs if wanted is None)
