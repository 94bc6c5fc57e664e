"""The job ended, and the vendor says that it did not succeed."""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.errors._root import PollwiseError, printable

__all__ = ["JobCancelled", "JobError", "JobFailed"]


class JobError(PollwiseError):
    """The vendor's own reply says that the job did not succeed."""


@attrs.define
class JobFailed(JobError):
    """The job failed.

    Attributes:
        job: What was watched.
        status: The vendor's typed status with every field.
        reason: The vendor's words, or None. Untrusted text.
    """

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {printable(self.reason)}" if self.reason else ""
        return f"{self.job} failed{why}. See .status for all that the server reported."


@attrs.define
class JobCancelled(JobError):
    """The job was cancelled on the server.

    Attributes:
        job: What was watched.
        status: The vendor's typed status with every field.
        reason: The vendor's words, or None. Untrusted text.
    """

    job: Any
    status: Any
    reason: str | None = None

    def __str__(self) -> str:
        why = f": {printable(self.reason)}" if self.reason else ""
        return f"{self.job} was cancelled{why}. Start it again if it is still wanted."
