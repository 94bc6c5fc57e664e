from __future__ import annotations

from pollwise.cli.demo_jobs import CAST, parts
from pollwise.simulator import Simulator


def test_every_end_is_played() -> None:
    """A dozen jobs of both vendors: successes, one of them with skipped files, a failure, a cancellation, a stranger."""
    assert len(CAST) == 12
    assert {len(part.keys) for part in CAST} == {1, 2}
    assert {part.end for part in CAST} == {"succeeded", "failed", "cancelled", "abandoned"}
    assert any(part.options.get("skipped") for part in CAST)
    assert any(part.options.get("script") for part in CAST)


def test_a_part_is_what_it_says() -> None:
    """The simulator's truth about each job is the end that the part names; a stranger is unknown to it."""
    simulator = Simulator()
    for part in CAST:
        part.enter(simulator, length_s=10.0)
    for part in CAST:
        if part.end == "abandoned":
            assert part.keys not in simulator.jobs
        else:
            job = simulator.jobs[part.keys]
            assert job.outcome == part.end
            assert 0 < job.plan.duration_s <= 10.0


def test_more_jobs_than_parts() -> None:
    """The cast comes again under other keys, as often as it is wanted."""
    many = list(parts(30))
    assert many[:12] == list(CAST)
    assert len({part.keys for part in many}) == 30
    assert many[12].keys == ("handbook-2019-2",)
    assert many[30 - 1].keys[-1].endswith("-3")
    assert [part.end for part in many[12:24]] == [part.end for part in CAST]
