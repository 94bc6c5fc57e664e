"""A simulated job: its plan over time, and its counters.

Rule 1: a `Plan` is a value. A job's state is a pure function of the seconds since its start.
Rule 2: a `SimulatedJob` is one running plan with its counters; it never reads a clock.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import Any, Literal, TypeAlias, TypedDict

import attrs

from pollwise.simulator.faults import ParsedEntry, Script, parse_script
from pollwise.simulator.field_overrides import with_overrides
from pollwise.simulator.progress_curves import Curve, CurveName
from pollwise.simulator.vendor import Vendor

__all__ = ["JobOutcome", "Plan", "PlanOptions", "SimulatedJob", "Stage"]

JobOutcome: TypeAlias = Literal["succeeded", "failed", "cancelled", "unknown"]

_SECONDS = attrs.validators.ge(0.0)


class PlanOptions(TypedDict, total=False):
    """The arguments of a `Plan`, as keyword arguments of other functions."""

    duration_s: float
    outcome: JobOutcome
    curve: Curve | CurveName
    hidden_s: float
    unconfirmed_s: float
    looks_failed_at_s: float
    looks_failed_for_s: float
    flap_s: float | None
    missing_at_s: float
    missing_for_s: float
    forbidden: bool
    starts_when_polled: bool
    overrides: Mapping[str, Any]
    script: Script


@attrs.frozen(kw_only=True)
class Stage:
    """The state of a job at one moment.

    Attributes:
        share: Share of its work done, 0..1.
        over: Its work is over.
        final: The work is over by the vendor's own rule.
        looks_failed: The work is not over, but the status looks failed.
    """

    share: float
    over: bool
    final: bool
    looks_failed: bool = False


@attrs.frozen(kw_only=True)
class Plan(abc.ABC):
    """The plan of a job, for any vendor: its duration, its outcome and its odd behaviour.

    Attributes:
        duration_s: Seconds until it is over; `math.inf` is a job that never ends.
        outcome: How it ends. `unknown` is an end that the vendor does not document, as newer servers may send.
        curve: Share of its work done over the share of its time, as a function or by name.
        hidden_s: Seconds at the start with HTTP 404: not visible yet.
        unconfirmed_s: Seconds after its end in which it looks over, but is not by the vendor's own rule.
        looks_failed_at_s: Seconds after which it looks failed for a while, as between two attempts of a server that
            retries; it is not over by the vendor's own rule.
        looks_failed_for_s: For how many seconds.
        flap_s: It alternates between failed and running every `flap_s` seconds, as behind two replicas that disagree;
            0 alternates with each request, None never.
        missing_at_s: Seconds after which it answers 404 for a while although it was visible: a replica that lags behind.
        missing_for_s: For how many seconds.
        forbidden: Answers 403: the client has no permission.
        starts_when_polled: Its time starts with the first request, not when it is added.
        overrides: Fields that replace the documented ones, by their paths in the status, such as
            `{"completedPercentage": "104"}`, `{"errors.0.error_code": 17}`, `{"task_status.task_id": None}`; `ABSENT`
            omits a field. Real servers exceed 100 %, send numbers instead of texts, and null instead of either.
        script: Its n-th entry applies to the n-th request that passes authentication and rate limit; None is a normal
            reply. Faults by rate start after its last entry.
    """

    duration_s: float = attrs.field(default=2.0, validator=_SECONDS)
    outcome: JobOutcome = attrs.field(
        default="succeeded", validator=attrs.validators.in_(("succeeded", "failed", "cancelled", "unknown"))
    )
    curve: Curve | CurveName = "linear"
    hidden_s: float = attrs.field(default=0.0, validator=_SECONDS)
    unconfirmed_s: float = attrs.field(default=0.0, validator=_SECONDS)
    looks_failed_at_s: float = attrs.field(default=0.0, validator=_SECONDS)
    looks_failed_for_s: float = attrs.field(default=0.0, validator=_SECONDS)
    flap_s: float | None = attrs.field(default=None, validator=attrs.validators.optional(_SECONDS))
    missing_at_s: float = attrs.field(default=0.0, validator=_SECONDS)
    missing_for_s: float = attrs.field(default=0.0, validator=_SECONDS)
    forbidden: bool = False
    starts_when_polled: bool = False
    overrides: Mapping[str, Any] = attrs.field(factory=dict)
    script: tuple[ParsedEntry, ...] = attrs.field(default=(), converter=parse_script)

    def looks_failed(self, elapsed: float, nth: int) -> bool:
        """True if it looks failed `elapsed` seconds after its start, in its n-th reply, from 1."""
        if 0.0 <= elapsed - self.looks_failed_at_s < self.looks_failed_for_s:
            return True
        if self.flap_s is None:
            return False
        return bool((int(elapsed / self.flap_s) if self.flap_s else nth - 1) % 2)

    @abc.abstractmethod
    def status(self, keys: tuple[str, ...], stage: Stage) -> dict[str, Any]:
        """The vendor's status document at that stage."""


@attrs.define(kw_only=True, eq=False)
class SimulatedJob:
    """One job and its counters. Only the simulator writes them.

    Attributes:
        vendor: The vendor of the job.
        keys: `(task_id,)`, `(file_id, job_id)`, or the name of another call and its keys.
        plan: Its plan.
        curve: The plan's curve as a function.
        started_at: Start of its time, in the clock's seconds; None before.
        polls: All requests for its status except those that a cache answered.
        admitted: Those of them that passed authentication and rate limit.
        finals: Replies without a fault that showed its end by the vendor's own rule.
        first_final_at: Time of the first of those replies, in the clock's seconds.
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
        """Its outcome, planned or reached."""
        return self.plan.outcome

    @property
    def path(self) -> str:
        """The percent-encoded path of its status, to append to the vendor's base URL."""
        return self.vendor.path_of(self.keys)

    @property
    def ends_at(self) -> float | None:
        """End of its work in the clock's seconds; None before it started."""
        return None if self.started_at is None else self.started_at + self.plan.duration_s

    def stage(self, now: float) -> Stage:
        """Its state at `now`, in the clock's seconds."""
        plan = self.plan
        elapsed = 0.0 if self.started_at is None else now - self.started_at
        over = elapsed >= plan.duration_s
        share = self.curve(1.0 if over else elapsed / plan.duration_s)
        final = elapsed >= plan.duration_s + plan.unconfirmed_s
        looks_failed = not over and plan.looks_failed(elapsed, self.admitted)
        return Stage(share=min(1.0, max(0.0, share)), over=over, final=final, looks_failed=looks_failed)

    def is_hidden(self, now: float) -> bool:
        """True if it is not visible at `now`."""
        if self.started_at is None:
            return False
        plan, elapsed = self.plan, now - self.started_at
        return elapsed < plan.hidden_s or 0.0 <= elapsed - plan.missing_at_s < plan.missing_for_s

    def status_document(self, stage: Stage) -> dict[str, Any]:
        """The vendor's status document at that stage, with the overrides."""
        return with_overrides(self.vendor.document(self.plan, self.keys, stage), self.plan.overrides)
