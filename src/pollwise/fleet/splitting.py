"""A token whose jobs are too many for one process: K shards, each with a K-th of its limit.

Rule 1: the part of a job depends on its keys alone, so every client finds it. `split` is the same in all clients.
Rule 2: the name of a part says how many there are: the account `acme` in 4 parts is `acme#0/4` to `acme#3/4`. So a worker knows its
part of the limit without being told.
"""

from __future__ import annotations

import re
from collections.abc import Hashable, Mapping, Sequence
from copy import copy
from hashlib import blake2b
from typing import TypeVar

import attrs

from pollwise.core.rate_budget import RateBudget
from pollwise.errors import ConfigurationError
from pollwise.ledger.rows import key_text
from pollwise.ledger.shards import Shard
from pollwise.model.protocols import Endpoint

__all__ = ["MOST_PARTS", "base_of", "budget_of", "endpoint_of", "part_of", "parts_in", "shards_of"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

MOST_PARTS = 1_000
_PART = re.compile(r"(.*)#(\d+)/(\d+)", re.DOTALL)


def shards_of(shard: Shard, split: int) -> Sequence[Shard]:
    """The parts of a shard, or the shard itself for a `split` of 1.

    Raises:
        ConfigurationError: `split` is not a whole number from 1 to 1,000.
    """
    if type(split) is not int or not 1 <= split <= MOST_PARTS:
        raise ConfigurationError(f"split must be a whole number from 1 to {MOST_PARTS:,}; got {split!r}")
    if split == 1:
        return [shard]
    return [attrs.evolve(shard, account=f"{shard.account}#{part}/{split}") for part in range(split)]


def part_of(keys: Mapping[str, str], split: int) -> int:
    """The number of the part to which the job with these keys belongs."""
    return int.from_bytes(blake2b(key_text(keys).encode(), digest_size=8).digest(), "big") % split


def base_of(shard: Shard) -> Shard:
    """The shard of which this one is a part, with the account whose credentials the endpoint needs."""
    found = _PART.fullmatch(shard.account)
    return shard if found is None else attrs.evolve(shard, account=found[1])


def parts_in(shard: Shard) -> int:
    """How many parts share the limit of this shard's token. 1 if it is not split."""
    found = _PART.fullmatch(shard.account)
    return 1 if found is None else max(1, int(found[3]))


def endpoint_of(endpoint: Endpoint[J, S], shard: Shard) -> Endpoint[J, S]:
    """The endpoint for the jobs of this shard, which is a part of its account, or all of it.

    Raises:
        ConfigurationError: The endpoint is that of another shard, or no copy of it can be made.
    """
    base = base_of(shard)
    if (endpoint.name, endpoint.account) not in {(base.endpoint, base.account), (shard.endpoint, shard.account)}:
        raise ConfigurationError(
            f"the endpoint for the shard {str(shard)!r} must have the name {base.endpoint!r} and the account"
            f" {base.account!r}; got {endpoint.name!r} and {endpoint.account!r}"
        )
    if endpoint.account == shard.account:
        return endpoint
    part = copy(endpoint)
    try:
        part.account = shard.account
    except AttributeError as exc:
        raise ConfigurationError(
            f"the endpoint {endpoint.name!r} cannot be split, because its account cannot be set on a copy"
        ) from exc
    return part


def budget_of(budget: RateBudget, shard: Shard) -> RateBudget:
    """The part of this budget for the shard. The budget itself if the shard is not split, or no limit is known."""
    parts = parts_in(shard)
    if parts == 1 or budget.limit is None or budget.per_s is None:
        return budget
    limit = budget.limit // parts
    if limit == 0:  # fewer requests than parts in a window
        return RateBudget(1, per_s=budget.per_s * parts / budget.limit, longest_hint_s=budget.longest_hint_s)
    return RateBudget(limit, per_s=budget.per_s, longest_hint_s=budget.longest_hint_s)
