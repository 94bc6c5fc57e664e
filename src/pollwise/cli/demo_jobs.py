"""The jobs of `pollwise demo` and `pollwise simulator`: a dozen, of both vendors.

Rule 1: the jobs have every outcome: a success, a success that skipped files, a failure, a cancellation, and a job that
the server does not know. Each job names its outcome, so the demo can check its watch.
Rule 2: the durations are shares of one length, so the demo can take a second or a minute.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from pollwise.simulator import Fault, Simulator

__all__ = ["DEMO_JOBS", "DemoJob", "demo_jobs"]


@attrs.frozen
class DemoJob:
    """One job of the demo.

    Attributes:
        keys: `(task_id,)` for Document360, `(file_id, job_id)` for Oracle Content Management.
        outcome: The outcome of its watch: succeeded, failed, cancelled or abandoned.
        share: Its duration as a share of the demo's; None for a job that the server does not know.
        options: Options of its plan; see `DeletePlan` and `ExtractionPlan`.
    """

    keys: tuple[str, ...]
    outcome: str
    share: float | None
    options: Mapping[str, Any] = attrs.field(factory=dict)

    def add_to(self, simulator: Simulator, *, length_s: float, starts_when_polled: bool = False) -> None:
        """Add the job to the simulator, in a demo of `length_s` seconds."""
        if self.share is None:
            return
        add: Callable[..., Any] = simulator.add_delete if len(self.keys) == 1 else simulator.add_extraction
        options = {"outcome": self.outcome, "starts_when_polled": starts_when_polled, **self.options}
        add(*self.keys, duration_s=self.share * length_s, **options)

    def copy(self, number: int) -> DemoJob:
        """The same job with other keys. Copy 1 is the job itself."""
        return self if number == 1 else attrs.evolve(self, keys=(*self.keys[:-1], f"{self.keys[-1]}-{number}"))


DEMO_JOBS = (
    DemoJob(("handbook-2019",), "succeeded", 0.30, {"information": ("14 files were deleted.",)}),
    DemoJob(("course-videos",), "succeeded", 0.75, {"script": (None, Fault.BAD_GATEWAY, None, Fault.RESET)}),
    DemoJob(("old-screenshots",), "failed", 0.45),
    DemoJob(("release-drafts",), "cancelled", 0.40),
    DemoJob(("archive-2021",), "succeeded", 0.60, {"warnings": ("One file was deleted before.",)}),
    DemoJob(("just-created",), "succeeded", 0.50, {"script": (Fault.NOT_FOUND, Fault.NOT_FOUND)}),
    DemoJob(("catalogue.zip", "ZX-101"), "succeeded", 0.55, {"files": 24, "curve": "ease"}),
    DemoJob(("product-photos.zip", "ZX-102"), "succeeded", 0.35, {"skipped": 3}),
    DemoJob(("invoices.zip", "ZX-103"), "failed", 0.50, {"error_code": -21, "curve": "stalls"}),
    DemoJob(("brochures.zip", "ZX-104"), "succeeded", 0.70, {"files": 12, "ignored": 2, "name_adjusted": 4}),
    DemoJob(("site-backup.zip", "ZX-105"), "succeeded", 0.90, {"files": 400, "script": (None, Fault.UNAVAILABLE)}),
    DemoJob(("other-users.zip", "ZX-106"), "abandoned", None),
)


def demo_jobs(count: int) -> Iterator[DemoJob]:
    """`count` jobs: the demo jobs, then copies of them with other keys."""
    for index in range(count):
        yield DEMO_JOBS[index % len(DEMO_JOBS)].copy(index // len(DEMO_JOBS) + 1)
