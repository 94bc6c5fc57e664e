"""What PostgreSQL can keep, and what comes back."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import abandoned, change, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, NewIntent, OpenWatch
from pollwise.ledger.postgres.columns import (
    change_row,
    columns_of,
    conclusion_row,
    identity_of,
    intent_row,
    lock_key,
    watch_of,
    watch_row,
)


def kept(message: str | None) -> str | None:
    """The error message of a row that was written and read."""
    end = conclusion_row(abandoned(1, error_message=message, error_type="Some\0Error"))
    _, _, _, job, origin, first_seen, deadline, *_ = watch_row(new(1))
    found = watch_of((1, "e", "", job, origin, first_seen, deadline, 0, *end[1:-1], False, end[-1]))
    assert isinstance(found, Concluded)
    assert found.error_type == "Some\0Error"
    return found.error_message


@given(st.text(st.sampled_from("a\0\uffff01\\")))
def test_a_message_comes_back_as_it_was(message: str) -> None:
    """Also with the character NUL, which no text of PostgreSQL has."""
    assert kept(message) == message


def test_a_new_watch_is_open() -> None:
    """A row of a new watch reads as an open one."""
    identity, endpoint, account, *rest = watch_row(new(1, origin="https://a"))
    found = watch_of((5, endpoint, account, *rest[:4], 0, *rest[4:-1], False, rest[-1]))
    assert isinstance(found, OpenWatch)
    assert (found.id, found.keys, found.origin) == (5, new(1).keys, "https://a")
    assert len(identity) == 16


@pytest.mark.parametrize(
    "wrong",
    [
        {"endpoint": "a\0b"},
        {"account": "a\0b"},
        {"origin": "https://\0"},
        {"endpoint": "\ud800"},
        {"account": "x" * 1_001},
        {"keys": {"id": "\ud800"}},
        {"cursor": b"{"},
    ],
)
def test_what_cannot_be_kept_is_refused(wrong: dict[str, Any]) -> None:
    """Before anything is sent, and named."""
    with pytest.raises(ConfigurationError, match=r"cannot be kept|at most 1,000 bytes|not one JSON document"):
        watch_row(new(1, **wrong))


@pytest.mark.parametrize("wrong", [{"polls": 2**63}, {"failures": -(2**63) - 1}, {"id": 2**63}])
def test_a_count_has_64_bits(wrong: dict[str, int]) -> None:
    """A larger number is refused before anything is sent."""
    with pytest.raises(ConfigurationError, match="64 bits"):
        change_row(change(**{"number": 1, **wrong}) if "id" not in wrong else change(wrong["id"]))
    if "id" in wrong:
        with pytest.raises(ConfigurationError, match="64 bits"):
            conclusion_row(success(wrong["id"]))


@pytest.mark.parametrize("wrong", [{"key": "a\0"}, {"digest": "\0"}, {"endpoint": "\0"}])
def test_an_intent_is_of_plain_texts(wrong: dict[str, str]) -> None:
    """Its key, too: a start with a key that cannot be kept must not be sent."""
    given_ = {"endpoint": "e", "key": "k", "digest": "d", "began": new(1).first_seen, **wrong}
    with pytest.raises(ConfigurationError, match="NUL"):
        intent_row(NewIntent(**given_))  # type: ignore[arg-type]


def test_keys_of_any_length_have_a_short_identity() -> None:
    """An index of PostgreSQL takes 2,700 bytes, and a job may be named by a long URL."""
    assert len(identity_of("e", "", "https://" + "x" * 100_000)) == 16
    assert identity_of("a", "b", "c") != identity_of("a", "", "bc")
    assert identity_of("a", "b", "c") == identity_of("a", "b", "c")


def test_a_lock_is_named_by_all_its_parts() -> None:
    """Locks of other schemas and shards differ, and fit into a bigint."""
    keys = {
        lock_key("record", "pollwise", "e", ""),
        lock_key("record", "other", "e", ""),
        lock_key("migrate", "pollwise"),
    }
    assert len(keys) == 3
    assert all(-(2**63) <= key < 2**63 for key in keys)


def test_no_rows_are_empty_columns() -> None:
    """A statement gets as many arrays as it has parameters."""
    assert columns_of([], 3) == [[], [], []]
    assert columns_of([(1, "a"), (2, "b")], 2) == [[1, 2], ["a", "b"]]
