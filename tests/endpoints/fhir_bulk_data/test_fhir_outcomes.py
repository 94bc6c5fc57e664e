"""What an OperationOutcome says."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from pollwise import Reply
from pollwise.endpoints.fhir_bulk_data import OutcomeIssue
from pollwise.endpoints.fhir_bulk_data.outcomes import issues_in, problem_in, reason_of


def reply(data: Any) -> Reply:
    return Reply(500, {}, data if isinstance(data, bytes) else orjson.dumps(data))


@pytest.mark.parametrize("issue", [None, [], [7], {}, "no"])
def test_an_outcome_without_issues_is_still_one(issue: object) -> None:
    """It has no words."""
    found = issues_in(reply({"resourceType": "OperationOutcome", "issue": issue}))
    assert found == (OutcomeIssue(),)
    assert reason_of(found) is None


@pytest.mark.parametrize("data", [b"<html>", [], {"resourceType": "Patient"}, {"issue": []}])
def test_another_body_is_no_outcome(data: object) -> None:
    """A gateway has none."""
    assert issues_in(reply(data)) == ()
    assert problem_in(reply(data)) is None


def test_values_of_another_type_hide_nothing() -> None:
    """They are None."""
    issue = {"severity": 1, "code": "x", "diagnostics": [], "details": {"text": "for people"}}
    found = issues_in(reply({"resourceType": "OperationOutcome", "issue": [issue, {"details": "no"}]}))
    assert found == (OutcomeIssue(code="x", details="for people"), OutcomeIssue())
