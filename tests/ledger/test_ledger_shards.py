"""Shards: the watches of one endpoint and account."""

from __future__ import annotations

import pickle

import pytest

from pollwise.errors import ConfigurationError
from pollwise.ledger import Shard


def test_shards_are_in_the_order_of_their_endpoint() -> None:
    """Then in that of their account, and no account is the first."""
    shards = [Shard("b"), Shard("a", "z"), Shard("a", "b"), Shard("a")]
    assert sorted(shards) == [Shard("a"), Shard("a", "b"), Shard("a", "z"), Shard("b")]


@pytest.mark.parametrize(("shard", "words"), [(Shard("toy"), "toy"), (Shard("toy", "acme"), "toy/acme")])
def test_a_shard_as_a_text(shard: Shard, words: str) -> None:
    """It has the account only where there is one."""
    assert str(shard) == words


@pytest.mark.parametrize("wrong", [(None,), (7,), ("toy", None), ("toy", b"acme")])
def test_a_shard_has_texts(wrong: tuple[object, ...]) -> None:
    """Anything else is refused at once, by its name."""
    with pytest.raises(ConfigurationError, match=r"^(endpoint|account) must be a text; got "):
        Shard(*wrong)  # type: ignore[arg-type]  # the mistake


def test_equal_shards_are_one_key() -> None:
    """Also after they have crossed a process."""
    assert {Shard("toy", "acme"): 1}[pickle.loads(pickle.dumps(Shard("toy", "acme")))] == 1  # noqa: S301 - our own
