"""The job is over, and not well: the vendor said so."""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.errors._root import PollwiseError, printable

__all__ = ["JobCancelled", "JobError", "JobFailed"]


class JobError(PollwiseError):
    """The vendor's own answer says that the job did not succeed."""


@attrs.define
class JobFailed(JobError):
    """The job ended in failure. `status` is the vendor's typed status, nothing thrown away."""

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {printable(self.reason)}" if self.reason else ""
        return f"{self.job} failed{why}. See .status for all that the server reported."


@attrs.define
class JobCancelled(JobError):
    """The job was cancelled on the server's side. `status` is the vendor's typed status."""

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {printable(self.reason)}" if self.reason else ""
        return f"{self.job} was cancelled{why}. Start it again if it is still wanted."
