"""A seeded mix of jobs of both vendors with every outcome."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any, TypeAlias

from pollwise.simulator.document360 import DOCUMENT360, DeletePlan
from pollwise.simulator.jobs import Plan
from pollwise.simulator.oracle_content import ORACLE_CONTENT, ExtractionPlan
from pollwise.simulator.progress_curves import CurveName
from pollwise.simulator.vendor import Vendor

__all__ = ["generate_jobs"]

PlannedJob: TypeAlias = tuple[Vendor, tuple[str, ...], Plan]

# Used in turn, not at random, so that four jobs of a vendor have all of its outcomes.
_DELETIONS: tuple[dict[str, Any], ...] = (
    {},
    {"outcome": "failed"},
    {"outcome": "cancelled"},
    {"complete_status": 3, "information": ("3 files were deleted.",)},
    {"warnings": ("One file was deleted before.",), "null_lists": True},
    {"outcome": "failed", "complete_status": 2, "error_code": "QUOTA", "error": "The quota is used up."},
)
_EXTRACTIONS: tuple[dict[str, Any], ...] = (
    {},
    {"skipped": 3},
    {"outcome": "failed"},
    {"files": 12, "skipped": 2, "ignored": 1, "name_adjusted": 4},
    {"files": 40, "overwritten": 5, "versioned": 7},
    {"outcome": "failed", "ignored": 2, "error_code": -21},
)
_CURVES: tuple[CurveName, ...] = ("linear", "ease", "stalls", "backwards", "jumpy")


def generate_jobs(
    rng: random.Random, *, document360: int, oracle_content: int, duration_s: tuple[float, float]
) -> Iterator[PlannedJob]:
    """Jobs of each vendor with realistic keys, and durations in the range `duration_s`."""
    for index in range(document360):
        options = _DELETIONS[index % len(_DELETIONS)]
        plan = DeletePlan(duration_s=rng.uniform(*duration_s), curve=rng.choice(_CURVES[:3]), **options)
        yield DOCUMENT360, (f"{rng.getrandbits(96):024x}",), plan
    for index in range(oracle_content):
        options = _EXTRACTIONS[index % len(_EXTRACTIONS)]
        extraction = ExtractionPlan(duration_s=rng.uniform(*duration_s), curve=rng.choice(_CURVES), **options)
        file_id, job_id = f"D{rng.getrandbits(172):043X}", f"ZX-{rng.getrandbits(160):040X}{rng.randrange(10**13):013}"
        yield ORACLE_CONTENT, (file_id, job_id), extraction
