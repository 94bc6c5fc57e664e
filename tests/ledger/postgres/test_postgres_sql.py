"""The statements: one for each call, qualified, and fenced where they write."""

from __future__ import annotations

import re

import attrs
import pytest

from pollwise.ledger.postgres.sql import Fence, Statements, statements_of

WRITING = (
    "record", "update", "conclude", "acknowledge", "reopen", "relocate", "claim", "release", "intend", "forget",
)  # fmt: skip


@pytest.mark.parametrize("fenced", [True, False])
def test_every_table_is_qualified(fenced: bool) -> None:
    """A statement finds its tables whatever the search_path of the connection is."""
    for name, sql in attrs.asdict(statements_of("jobs", fenced=fenced)).items():
        tables = re.findall(r"(?:FROM|INTO|UPDATE|JOIN|USING) (\S*)(?:watches|submits|shards)\b", sql)
        assert tables, name
        assert set(tables) == {'"jobs".'}, name


@pytest.mark.parametrize("name", WRITING)
def test_a_write_is_one_statement_that_looks_at_the_epoch(name: str) -> None:
    """A process that is frozen between two statements would keep its locks, so there are no two."""
    sql = getattr(statements_of("jobs", fenced=True), name)
    assert ";" not in sql
    assert sql.count("epoch = $3") == 1
    assert "FOR SHARE" in sql
    assert sql.count("FROM fence") + sql.count("USING fence") >= 2


def test_a_statement_of_a_ledger_without_a_fence_looks_at_no_shard() -> None:
    """Its first parameter is the first column."""
    plain = statements_of("jobs", fenced=False)
    assert all("epoch = $" not in getattr(plain, name) for name in WRITING)
    assert {field.name for field in attrs.fields(Statements)} >= set(WRITING)


def test_a_fence_has_the_first_parameters() -> None:
    """Endpoint, account and epoch, in this order."""
    assert Fence("e", "a", 3).values == ("e", "a", 3)
