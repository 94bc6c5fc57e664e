"""The errors of a fleet."""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.errors import PollwiseError

__all__ = ["JobNotRecorded"]


@attrs.define
class JobNotRecorded(PollwiseError):
    """The database at `where` has no watch of this job of the endpoint and account `shard`, so no outcome will come."""

    where: str
    shard: str
    job: Any

    def __str__(self) -> str:
        return (
            f"{self.where} has no watch of {self.job!r} in {self.shard!r}. Submit the job first, with the same endpoint,"
            " account and split."
        )
