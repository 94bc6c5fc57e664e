"""What a simulated job does over its time, and what has been asked about it.

Rule 1: a `Plan` is a value: how a job goes is a pure function of the seconds since it started.
Rule 2: a `SimulatedJob` is one plan under way, with its counters; it never looks at a clock.
"""

from __future__ import annotations

import abc
from typing import Any, Literal, TypeAlias, TypedDict

import attrs

from pollwise.simulator.answers import Answer
from pollwise.simulator.curves import Curve, CurveName
from pollwise.simulator.faults import Fault, Script, read_script
from pollwise.simulator.vendor import Vendor

__all__ = ["JobOutcome", "Plan", "PlanOptions", "SimulatedJob", "Stage"]

JobOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled"]

_SECONDS = attrs.validators.ge(0.0)


class PlanOptions(TypedDict, total=False):
    """The arguments of a `Plan`, for those who pass them on."""

    duration_s: float
    outcome: JobOutcome
    curve: Curve | CurveName
    hidden_s: float
    unconfirmed_s: float
    forbidden: bool
    starts_when_polled: bool
    script: Script


@attrs.frozen(kw_only=True)
class Stage:
    """Where a job stands: its share of work done, is it over, and does the vendor's own rule say so already."""

    share: float
    over: bool
    final: bool


@attrs.frozen(kw_only=True)
class Plan(abc.ABC):
    """How a job goes, whichever vendor runs it.

    Attributes:
        duration_s: Seconds until it is over; `math.inf` never is.
        outcome: How it ends.
        curve: Share of its work done over the share of its time, as a function or by name.
        hidden_s: Seconds at its beginning in which it answers 404: not visible yet.
        unconfirmed_s: Seconds after its end in which it looks over, but not by the vendor's own rule.
        forbidden: Answers 403: the caller may not see it.
        starts_when_polled: Its time begins with the first request, not when it is added.
        script: What the n-th request gets that passes authentication and rate limit; None is a normal answer.
            Faults by rate begin where the script ends.
    """

    duration_s: float = attrs.field(default=2.0, validator=_SECONDS)
    outcome: JobOutcome = attrs.field(
        default="succeeded", validator=attrs.validators.in_(("succeeded", "failed", "cancelled"))
    )
    curve: Curve | CurveName = "linear"
    hidden_s: float = attrs.field(default=0.0, validator=_SECONDS)
    unconfirmed_s: float = attrs.field(default=0.0, validator=_SECONDS)
    forbidden: bool = False
    starts_when_polled: bool = False
    script: tuple[Fault | Answer | None, ...] = attrs.field(default=(), converter=read_script)

    @abc.abstractmethod
    def status(self, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The vendor's status document at that stage."""


@attrs.define(kw_only=True, eq=False)
class SimulatedJob:
    """One job under way, and what has been asked about it. Read it; only the simulator writes.

    Attributes:
        vendor: The vendor that runs it.
        keys: `(task_id,)` or `(file_id, job_id)`.
        plan: How it goes.
        curve: The plan's curve as a function.
        started_at: When its time began, in the clock's seconds; None before.
        polls: Requests for its status, whatever they got.
        admitted: Those of them that passed authentication and rate limit.
        finals: Undisturbed answers that showed its end by the vendor's own rule.
        first_final_at: When the first of those was given, in the clock's seconds.
    """

    vendor: Vendor = attrs.field(repr=lambda vendor: repr(vendor.name))
    keys: tuple[str, ...]
    plan: Plan = attrs.field(repr=False)
    curve: Curve = attrs.field(repr=False)
    started_at: float | None = None
    polls: int = 0
    admitted: int = 0
    finals: int = 0
    first_final_at: float | None = None

    @property
    def outcome(self) -> JobOutcome:
        """How it ends, or has ended."""
        return self.plan.outcome

    @property
    def path(self) -> str:
        """The percent-encoded path of its status, to be put behind the vendor's base URL."""
        return self.vendor.path_of(self.keys)

    @property
    def ends_at(self) -> float | None:
        """When its work is over, in the clock's seconds; None before it started."""
        return None if self.started_at is None else self.started_at + self.plan.duration_s

    def stage(self, now: float) -> Stage:
        """Where it stands at `now`, in the clock's seconds."""
        plan = self.plan
        elapsed = 0.0 if self.started_at is None else now - self.started_at
        over = elapsed >= plan.duration_s
        share = self.curve(1.0 if over else elapsed / plan.duration_s)
        final = elapsed >= plan.duration_s + plan.unconfirmed_s
        return Stage(share=min(1.0, max(0.0, share)), over=over, final=final)

    def is_hidden(self, now: float) -> bool:
        """Is it not visible yet at `now`?"""
        return self.started_at is not None and now - self.started_at < self.plan.hidden_s
