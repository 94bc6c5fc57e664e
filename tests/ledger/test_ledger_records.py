"""The values of a ledger: what they refuse, what they keep, and what they say about an outcome."""

from __future__ import annotations

import inspect
from datetime import datetime
from typing import Any

import attrs
import pytest
from ledger_values import new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import (
    Acknowledgement,
    Change,
    Concluded,
    Conclusion,
    Ledger,
    NewIntent,
    NewWatch,
    OutcomeKind,
    Relocation,
    Renewal,
    SqliteLedger,
)


def test_times_are_aware() -> None:
    """A time without a zone is refused at once, because it could be any of several times."""
    naive = datetime(2026, 3, 1)  # noqa: DTZ001 - the point of it
    with pytest.raises(ConfigurationError, match="first_seen must be an aware datetime"):
        new(1, first_seen=naive)
    with pytest.raises(ConfigurationError, match="deadline must be an aware datetime"):
        new(1, deadline=naive)
    with pytest.raises(ConfigurationError, match="deadline must be an aware datetime"):
        Renewal(id=1, generation=0, deadline=naive)


@pytest.mark.parametrize(
    ("keys", "found"),
    [({"job_id": 7}, "'job_id': 7"), ({7: "job"}, "7: 'job'"), ({"file_id": "D1", "job_id": None}, "'job_id': None")],
)
def test_keys_are_texts(keys: dict[object, object], found: str) -> None:
    """A job's keys map text to text; anything else is refused at once, by its name."""
    with pytest.raises(ConfigurationError, match=f"^keys must map text to text; got {found}$"):
        new(1, keys=keys)


@pytest.mark.parametrize("given", [{}, {"account": "", "origin": None}, {"account": "acme", "origin": "https://a"}])
def test_account_and_origin_may_be_left_out(given: dict[str, Any]) -> None:
    """Without them a watch has no account, and its origin is unknown."""
    watch = new(1, **given)
    assert (watch.account, watch.origin) == (given.get("account", ""), given.get("origin"))


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"account": 7}, "account must be a text; got 7"),
        ({"account": None}, "account must be a text; got None"),
        ({"origin": 7}, "origin must be a text; got 7"),
        ({"origin": b"https://a"}, "origin must be a text; got b'https://a'"),
    ],
)
def test_account_and_origin_are_texts(given: dict[str, Any], words: str) -> None:
    """Anything else is refused at once."""
    with pytest.raises(ConfigurationError, match=f"^{words}$"):
        new(1, **given)


def test_a_watch_keeps_its_keys() -> None:
    """What the caller does to its mapping later does not reach the value."""
    keys = {"job_id": "1"}
    watch = new(1, keys=keys)
    keys["job_id"] = "2"
    assert watch.keys == {"job_id": "1"}


def test_statuses_are_not_in_a_repr() -> None:
    """A status may be long and is untrusted: a repr leaves it out."""
    assert "SUCCEEDED" not in repr(attrs.evolve(success(1), phase=None, outcome=None))


def test_values_have_no_place_for_a_credential() -> None:
    """The values have these fields and no others."""
    found = {
        field.name
        for kind in (Acknowledgement, NewWatch, Change, Conclusion, Relocation, Renewal, NewIntent)
        for field in attrs.fields(kind)
    }
    assert found == {
        *("endpoint", "account", "origin", "keys", "first_seen", "deadline", "intent"),
        *("key", "digest", "began"),
        *("id", "generation", "phase", "polls", "failures", "status", "seen_s", "cursor"),
        *("outcome", "elapsed_s", "error_type", "error_message", "error_data"),
    }


def test_the_default_keeps_the_protocol() -> None:
    """SqliteLedger is a Ledger."""
    as_protocol: Ledger = SqliteLedger("nowhere.ledger")
    assert as_protocol


@pytest.mark.parametrize("name", [name for name in vars(Ledger) if not name.startswith("_")])
def test_the_protocol_says_what_is_left_out(name: str) -> None:
    """An argument that a caller leaves out has the value that `Ledger` documents."""
    said, done = (inspect.signature(getattr(kind, name)) for kind in (Ledger, SqliteLedger))
    assert said.parameters == done.parameters


def ended(**other: Any) -> Concluded:
    given: dict[str, Any] = {
        **attrs.asdict(new(1), recurse=False),
        **attrs.asdict(success(7), recurse=False),
        "acknowledged": False,
    }
    del given["intent"]
    return Concluded(**{**given, **other})


@pytest.mark.parametrize("outcome", list(OutcomeKind))
def test_how_soon_an_end_was_seen(outcome: OutcomeKind) -> None:
    """Seconds since a poll last said that the job goes on; unknown without such a poll, and if the job did not end."""
    within_s = ended(outcome=outcome, elapsed_s=12.5, seen_s=10.0).detected_within_s
    assert within_s == (None if outcome is OutcomeKind.ABANDONED else 2.5)
    assert ended(outcome=outcome, elapsed_s=12.5, seen_s=None).detected_within_s is None


def test_an_acknowledgement_is_of_one_outcome() -> None:
    """It names the watch and the generation of this outcome, so it never acknowledges a later one."""
    assert ended(generation=3).acknowledgement == Acknowledgement(id=7, generation=3)
