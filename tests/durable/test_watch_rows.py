"""Rows for new watches, and what a row of an earlier run means today."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import attrs
import pytest

from kept_toy import NOON_S, KeptToyEndpoint
from pollwise.core.identity import Origins
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.resume_state import ResumeState
from pollwise.durable.watch_rows import MachineFactory, WatchRows
from pollwise.errors import EndpointBug, OriginChanged
from pollwise.ledger import Concluded, NewWatch, OpenWatch, OutcomeKind
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.reading import Phase
from toy import ToyJob, ToyStatus

NOON = datetime.fromtimestamp(NOON_S, UTC)
RULES = Policy(pacing=Pacing(), retry=Retry(), timeout_s=600.0)
OPEN = OpenWatch(
    id=7,
    endpoint="toy",
    keys={"id": "a"},
    first_seen=NOON - timedelta(seconds=100),
    deadline=NOON + timedelta(seconds=50),
    phase=Phase.RUNNING,
    polls=9,
    failures=2,
    status=b'{"state":"running","done":3}',
    seen_s=80.0,
)
CONCLUDED = Concluded(
    **attrs.asdict(OPEN, recurse=False),
    outcome=OutcomeKind.ABANDONED,
    elapsed_s=100.0,
    error_type="DeadlineExceeded",
    error_message="?",
    acknowledged=False,
)


OLD, NEW = "https://old.example", "https://new.example"


class MovedEndpoint(KeptToyEndpoint):
    """A toy at its new origin."""

    @property
    def fixed_origin(self) -> str:
        return NEW


def rows(*, moved_from: frozenset[str] = frozenset()) -> WatchRows[ToyJob, ToyStatus]:
    endpoint = MovedEndpoint()
    origins: Origins[ToyJob] = Origins(endpoint, moved_from)
    machines = MachineFactory(policy=RULES, grace_s=30.0, now=lambda: 1_000.0, clock=lambda: NOON_S)
    return WatchRows(endpoint=endpoint, origins=origins, machines=machines)


def test_a_new_watch_begins_now() -> None:
    """By the wall clock, with all of the watcher's time before it."""
    row = rows().new(ToyJob("a"))
    assert isinstance(row, NewWatch)
    assert (row.keys, row.first_seen, row.deadline) == ({"id": "a"}, NOON, NOON + timedelta(seconds=600))
    machine: WatchMachine[ToyJob, ToyStatus] = rows().machines.new(ToyJob("a"))
    assert (machine.started_at, machine.deadline) == (1_000.0, 1_600.0)


def test_a_watch_of_a_token_keeps_its_beginning_and_deadline() -> None:
    """None stays none."""
    row = rows().resumed(ToyJob("a"), ResumeState(age_s=20.0, left_s=30.0))
    assert (row.first_seen, row.deadline) == (NOON - timedelta(seconds=20), NOON + timedelta(seconds=30))
    assert rows().resumed(ToyJob("a"), ResumeState(age_s=20.0, left_s=None)).deadline is None


def test_an_open_row_goes_on_where_it_was() -> None:
    """With its age, its deadline, its polls and its failures."""
    machine = rows().machine(ToyJob("a"), OPEN, after_s=5.0)
    assert (machine.started_at, machine.deadline, machine.due_at) == (900.0, 1_050.0, 1_005.0)
    assert (machine.polls, machine.failures, machine.phase) == (9, 2, Phase.RUNNING)


def test_a_row_that_is_opened_again_has_all_of_its_time() -> None:
    """And no failures; its polls are counted on."""
    machine = rows().machine(ToyJob("a"), CONCLUDED)
    assert (machine.started_at, machine.deadline) == (900.0, 1_600.0)
    assert (machine.polls, machine.failures) == (9, 0)
    renewal = rows().renewal(ToyJob("a"), attrs.evolve(CONCLUDED, id=7, generation=3))
    assert (renewal.id, renewal.generation, renewal.deadline) == (7, 3, NOON + timedelta(seconds=600))


def test_the_outcome_of_a_row() -> None:
    """It equals the published one. An outcome that cannot be read is an `EndpointBug`."""
    known = attrs.evolve(CONCLUDED, outcome=OutcomeKind.SUCCEEDED, error_type=None, error_message=None)
    outcome = rows().outcome(ToyJob("a"), known)
    assert isinstance(outcome, Succeeded)
    assert outcome.status == ToyStatus("running", 3)
    unreadable = rows().outcome(ToyJob("a"), attrs.evolve(known, status=b"{}"))
    assert isinstance(unreadable, Abandoned)
    assert isinstance(unreadable.error, EndpointBug)


def test_where_an_open_row_goes_on() -> None:
    """At its own origin, at a new one if the API has moved from there, and nowhere else."""
    there = attrs.evolve(OPEN, origin=OLD)
    assert rows().relocation(ToyJob("a"), attrs.evolve(OPEN, origin=NEW)) is None
    moved = rows(moved_from=frozenset({OLD})).relocation(ToyJob("a"), there)
    assert moved is not None
    assert (moved.id, moved.origin) == (7, NEW)
    with pytest.raises(OriginChanged):
        rows().relocation(ToyJob("a"), there)
