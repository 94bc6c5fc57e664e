"""The errors of a fleet say what to do."""

from __future__ import annotations

import pickle

from pollwise.fleet import JobNotRecorded
from toy import ToyJob


def test_an_unknown_job_is_named() -> None:
    """With its endpoint and account, and the error survives pickling."""
    error = JobNotRecorded("postgresql://db:5432/jobs", "toy/north", ToyJob("a"))
    assert "toy/north" in str(error)
    assert "Submit the job first" in str(error)
    assert str(pickle.loads(pickle.dumps(error))) == str(error)  # noqa: S301  # of this test
