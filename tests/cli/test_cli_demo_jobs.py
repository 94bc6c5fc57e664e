from __future__ import annotations

from pollwise.cli.demo_jobs import DEMO_JOBS, demo_jobs
from pollwise.simulator import Simulator


def test_every_outcome_is_in_the_demo() -> None:
    """A dozen jobs of both vendors: successes, one of them with skipped files, a failure, a cancellation, an unknown job."""
    assert len(DEMO_JOBS) == 12
    assert {len(job.keys) for job in DEMO_JOBS} == {1, 2}
    assert {job.outcome for job in DEMO_JOBS} == {"succeeded", "failed", "cancelled", "abandoned"}
    assert any(job.options.get("skipped") for job in DEMO_JOBS)
    assert any(job.options.get("script") for job in DEMO_JOBS)


def test_a_demo_job_has_its_planned_outcome() -> None:
    """The simulator gets each job with the outcome that it names. The unknown job is not added."""
    simulator = Simulator()
    for job in DEMO_JOBS:
        job.add_to(simulator, length_s=10.0)
    for job in DEMO_JOBS:
        if job.outcome == "abandoned":
            assert job.keys not in simulator.jobs
        else:
            simulated = simulator.jobs[job.keys]
            assert simulated.outcome == job.outcome
            assert 0 < simulated.plan.duration_s <= 10.0


def test_more_jobs_than_demo_jobs() -> None:
    """The demo jobs are repeated with other keys."""
    many = list(demo_jobs(30))
    assert many[:12] == list(DEMO_JOBS)
    assert len({job.keys for job in many}) == 30
    assert many[12].keys == ("handbook-2019-2",)
    assert many[30 - 1].keys[-1].endswith("-3")
    assert [job.outcome for job in many[12:24]] == [job.outcome for job in DEMO_JOBS]
