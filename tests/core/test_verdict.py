"""What a reply that is not 2xx means."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from pollwise import errors
from pollwise.core.hints import ReplyHints
from pollwise.core.verdict import refusal
from pollwise.core.wire import Reply

TABLE = [
    (301, errors.RequestRejected),
    (302, errors.RequestRejected),
    (400, errors.RequestRejected),
    (401, errors.AuthenticationError),
    (403, errors.PermissionDenied),
    (404, errors.NotVisibleYet),
    (405, errors.RequestRejected),
    (408, errors.ServerTrouble),
    (410, errors.JobNotFound),
    (422, errors.RequestRejected),
    (425, errors.ServerTrouble),
    (429, errors.RateLimited),
    (500, errors.ServerTrouble),
    (502, errors.ServerTrouble),
    (503, errors.ServerTrouble),
    (599, errors.ServerTrouble),
]


@pytest.mark.parametrize(("status", "kind"), TABLE)
def test_each_status_code_has_one_meaning(status: int, kind: type) -> None:
    """And its message says the code and what to do."""
    error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=None)
    assert type(error) is kind
    assert str(status) in str(error)


@pytest.mark.parametrize("status", [400, 404, 500])
def test_the_vendors_word_that_the_job_is_unknown_is_final(status: int) -> None:
    """Whatever status code it comes with, and with the vendor's codes kept."""
    problem = errors.Problem(("-96",), ("Extraction job ID not valid.",), "!key", job_unknown=True)
    error = refusal(Reply(status, CIMultiDict(), b""), problem, "job", hints=None)
    assert isinstance(error, errors.JobNotFound)
    assert error.problem is problem
    assert "-96" in str(error)
    assert "!key" in str(error)


@pytest.mark.parametrize("status", [408, 429, 503])
def test_retry_after_is_kept(status: int) -> None:
    """Where asking again helps, the server's hint is there."""
    error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=ReplyHints(7.0))
    assert isinstance(error, (errors.RateLimited, errors.ServerTrouble))
    assert error.retry_after_s == 7.0
