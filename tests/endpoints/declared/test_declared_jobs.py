"""The jobs of declared endpoints."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, DeclaredJob
from pollwise.errors import ConfigurationError

EXPORTS = Declaration(
    name="exports",
    base="https://api.example.com",
    job={"id": "int", "region": "str"},
    poll="GET /{region}/exports/{id}",
    state="state",
    succeeded=["done"],
)


def endpoint() -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint(EXPORTS)


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"id": 7}, "has exactly the keys id, region; got id"),
        ({"id": 7, "region": "eu", "more": 1}, "exactly the keys"),
        ({"id": "7", "region": "eu"}, "key id of exports must be of the type int, got str"),
        ({"id": True, "region": "eu"}, "must be of the type int, got bool"),
        ({"id": 7, "region": ".."}, "region must not be"),
        ({"id": 7, "region": ""}, "region must have"),
    ],
)
def test_a_job_that_cannot_be_right_is_refused(keys: dict[str, Any], why: str) -> None:
    """When it is made, not when it is polled."""
    with pytest.raises(ConfigurationError, match=why):
        endpoint().job(**keys)


def test_a_job_shows_its_keys() -> None:
    """In messages, and by name."""
    job = endpoint().job(id=7, region="eu")
    assert repr(job) == "exports(id=7, region='eu')"
    assert (job["id"], job["region"]) == (7, "eu")
    assert job == DeclaredJob("exports", (("id", 7), ("region", "eu")))


@pytest.mark.parametrize(
    ("keys", "why"),
    [
        ({"id": "seven", "region": "eu"}, "whole number"),
        ({"id": "07", "region": "eu"}, "whole number"),
        ({"id": "7"}, "exactly the keys"),
        (["id"], "must be texts by name"),
        ({"id": 7, "region": "eu"}, "must be texts by name"),
    ],
)
def test_keys_that_are_no_jobs_are_refused(keys: Any, why: str) -> None:
    """A ledger or a token may have been changed."""
    with pytest.raises(ConfigurationError, match=why):
        endpoint().codec.job_from_keys(keys)
