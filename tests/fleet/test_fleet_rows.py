"""The jobs of a client as rows."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import attrs
import pytest
from fleet_toy import FleetToy

from pollwise.errors import ConfigurationError
from pollwise.fleet.rows import ClientRows
from pollwise.ledger import Concluded, OutcomeKind
from pollwise.model.events import Abandoned, Succeeded
from pollwise.model.reading import Phase
from toy import ToyEndpoint, ToyJob

KNOWN = Concluded(
    id=1,
    endpoint="toy",
    keys={"id": "a"},
    first_seen=datetime(2026, 1, 1, tzinfo=UTC),
    deadline=None,
    phase=Phase.SUCCEEDED,
    polls=2,
    failures=0,
    status=b'{"state":"succeeded","done":1}',
    outcome=OutcomeKind.SUCCEEDED,
    elapsed_s=1.0,
    error_type=None,
    error_message=None,
    acknowledged=False,
)


def test_a_row_has_its_part_and_its_deadline() -> None:
    """The deadline counts from the time that is given, and the origin is that of the job."""
    rows: ClientRows[Any, Any] = ClientRows(FleetToy("acme"), 2)
    row = rows.new(ToyJob("a"), 1_000.0, 60.0)
    assert row.account in {"acme#0/2", "acme#1/2"}
    assert row.account == rows.place(ToyJob("a"))[0].account
    assert row.deadline is not None
    assert (row.deadline - row.first_seen).total_seconds() == 60
    assert row.origin == "https://toy.example"
    assert rows.new(ToyJob("a"), 1_000.0, None).deadline is None


def test_outcomes_are_typed() -> None:
    """A status that cannot be read is an outcome, too, and a row of another program is none."""
    rows: ClientRows[Any, Any] = ClientRows(FleetToy(), 1)
    assert isinstance(rows.outcome(KNOWN), Succeeded)
    assert isinstance(rows.outcome(attrs.evolve(KNOWN, status=b"{}"), ToyJob("a")), Abandoned)
    assert rows.outcome(attrs.evolve(KNOWN, keys={})) is None


def test_an_endpoint_without_a_codec_is_refused() -> None:
    """Its jobs could not be read back."""
    with pytest.raises(ConfigurationError, match="codec"):
        ClientRows(ToyEndpoint(), 1)
