"""What a reply that is not 2xx means."""

from __future__ import annotations

import pytest
from multidict import CIMultiDict

from pollwise import errors
from pollwise.core.classification import refusal
from pollwise.core.header_hints import RateHints, ReplyHints
from pollwise.model.messages import Reply

TABLE = [
    (0, errors.MalformedReply),
    (99, errors.MalformedReply),
    (100, errors.MalformedReply),
    (101, errors.MalformedReply),
    (199, errors.MalformedReply),
    (301, errors.RequestRejected),
    (302, errors.RequestRejected),
    (304, errors.MalformedReply),
    (400, errors.RequestRejected),
    (401, errors.AuthenticationError),
    (403, errors.PermissionDenied),
    (404, errors.NotVisibleYet),
    (405, errors.RequestRejected),
    (408, errors.ServerUnavailable),
    (410, errors.JobNotFound),
    (422, errors.RequestRejected),
    (425, errors.ServerUnavailable),
    (429, errors.RateLimited),
    (500, errors.ServerUnavailable),
    (502, errors.ServerUnavailable),
    (503, errors.ServerUnavailable),
    (599, errors.ServerUnavailable),
    (600, errors.ServerUnavailable),
    (999, errors.ServerUnavailable),
]

WAIT = ReplyHints(7.0)
NOTHING_LEFT = ReplyHints(None, RateHints(remaining=0))
SOME_LEFT = ReplyHints(None, RateHints(limit=60, remaining=1, reset_s=30.0))


@pytest.mark.parametrize(("status", "kind"), TABLE)
def test_each_status_code_has_one_meaning(status: int, kind: type) -> None:
    """And its message says the code and what to do."""
    error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=None)
    assert type(error) is kind
    assert str(status) in str(error)


@pytest.mark.parametrize(("status", "kind"), [row for row in TABLE if row[1] is not errors.MalformedReply])
def test_an_error_names_the_job_and_keeps_the_vendors_codes(status: int, kind: type) -> None:
    """A poll that failed names no job, because the next one may succeed."""
    problem = errors.Problem(("-7",))
    error = refusal(Reply(status, CIMultiDict(), b""), problem, "job", hints=None)
    assert type(error) is kind
    assert error.problem is problem  # type: ignore[union-attr]  # each of these has one
    if isinstance(error, (errors.JobNotFound, errors.PermissionDenied, errors.RequestRejected)):
        assert (error.job, error.http_status) == ("job", status)


@pytest.mark.parametrize(
    ("status", "reason"),
    [
        *((status, "its status code is none of HTTP, where the smallest is 100") for status in (0, 99)),
        (100, "its status code announces a further reply, which did not come"),
        (101, "it switches to another protocol, for which no request asked"),
        *((status, "its status code announces a further reply, which did not come") for status in (102, 199)),
        (304, "there is no earlier reply that it could repeat"),
    ],
)
def test_a_malformed_reply_says_what_is_wrong_with_its_code(status: int, reason: str) -> None:
    """In words that a reader can look up."""
    error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=None)
    assert isinstance(error, errors.MalformedReply)
    assert error.reason == reason


@pytest.mark.parametrize("status", [0, 99, 101, 199, 304])
def test_a_code_that_is_no_refusal_is_described_as_what_it_is(status: int) -> None:
    """With all three digits, and without a word of redirects, rejections or rate limits."""
    for hints in (None, WAIT, NOTHING_LEFT):
        error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=hints)
        assert isinstance(error, errors.MalformedReply)
        assert f"HTTP {status:03d}" in str(error)
        assert "redirect" not in str(error)


@pytest.mark.parametrize("status", [400, 404, 500])
def test_the_vendors_word_that_the_job_is_unknown_is_final(status: int) -> None:
    """Whatever status code it comes with, and with the vendor's codes kept."""
    problem = errors.Problem(("-96",), ("Extraction job ID not valid.",), "!key", job_unknown=True)
    error = refusal(Reply(status, CIMultiDict(), b""), problem, "job", hints=None)
    assert isinstance(error, errors.JobNotFound)
    assert error.problem is problem
    assert (error.job, error.http_status) == ("job", status)
    assert "-96" in str(error)
    assert "!key" in str(error)


@pytest.mark.parametrize("status", [404, 408, 425, 429, 500, 501, 503])
def test_retry_after_is_kept(status: int) -> None:
    """Where asking again helps, the server's hint is there."""
    error = refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=WAIT)
    assert isinstance(error, (errors.RateLimited, errors.ServerUnavailable, errors.NotVisibleYet))
    assert error.retry_after_s == 7.0


@pytest.mark.parametrize("status", [400, 402, 403, 405, 409, 418, 420, 422, 423, 429, 451, 499])
@pytest.mark.parametrize(("hints", "wait_s"), [(WAIT, 7.0), (ReplyHints(0.0), 0.0), (NOTHING_LEFT, None)])
def test_a_refusal_that_says_when_to_come_back_is_a_rate_limit(
    status: int, hints: ReplyHints, wait_s: float | None
) -> None:
    """Whatever its 4xx, and so is one that says that no request is left."""
    problem = errors.Problem(("ThrottlingException",))
    error = refusal(Reply(status, CIMultiDict(), b""), problem, "job", hints=hints)
    assert isinstance(error, errors.RateLimited)
    assert (error.retry_after_s, error.problem, error.http_status) == (wait_s, problem, status)
    assert str(status) in str(error)


@pytest.mark.parametrize(("status", "kind"), [row for row in TABLE if row[0] != 429])
def test_a_counter_that_is_not_used_up_changes_nothing(status: int, kind: type) -> None:
    """Many servers send their counters with every reply."""
    assert type(refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=SOME_LEFT)) is kind


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (302, errors.RequestRejected),
        (401, errors.AuthenticationError),
        (404, errors.NotVisibleYet),
        (408, errors.ServerUnavailable),
        (410, errors.JobNotFound),
        (425, errors.ServerUnavailable),
        (503, errors.ServerUnavailable),
    ],
)
@pytest.mark.parametrize("hints", [WAIT, NOTHING_LEFT])
def test_a_plainer_answer_is_no_rate_limit(status: int, kind: type, hints: ReplyHints) -> None:
    """Waiting brings no credentials and no job that is gone; the others wait in a way of their own."""
    assert type(refusal(Reply(status, CIMultiDict(), b""), None, "job", hints=hints)) is kind


def test_an_unknown_job_is_unknown_whatever_the_counters_say() -> None:
    """The vendor's own word is the plainest."""
    problem = errors.Problem(("-96",), job_unknown=True)
    assert isinstance(refusal(Reply(400, CIMultiDict(), b""), problem, "job", hints=WAIT), errors.JobNotFound)


@pytest.mark.parametrize("status", [400, 401, 403])
@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer error="invalid_token"',
        'bearer realm="api", error = "invalid_token", error_description="it has expired"',
        "Bearer error=invalid_token",
        'Negotiate YII=, Basic realm="x, y", Bearer scope="a b",error="invalid_token"',
    ],
)
def test_a_refused_token_is_refused_credentials(status: int, challenge: str) -> None:
    """RFC 6750, 3.1: also where the server sends 400 or 403, so that the token is renewed."""
    reply = Reply(status, CIMultiDict({"WWW-Authenticate": challenge}), b"")
    for hints in (None, WAIT, NOTHING_LEFT):
        error = refusal(reply, None, "job", hints=hints)
        assert isinstance(error, errors.AuthenticationError)
        assert error.detail == f"The credentials were refused (HTTP {status})."


def test_one_of_several_challenges_is_enough() -> None:
    """Each may have a field of its own."""
    headers = CIMultiDict(
        [("WWW-Authenticate", 'Basic realm="x"'), ("www-authenticate", 'Bearer error="invalid_token"')]
    )
    for fields in (headers, {"WWW-Authenticate": 'Bearer error="invalid_token"'}):  # a dict, as of another transport
        reply = Reply(403, fields, b"")
        assert isinstance(refusal(reply, None, "job", hints=None), errors.AuthenticationError)


@pytest.mark.parametrize(
    "challenge",
    [
        'Bearer error="insufficient_scope"',
        "Bearer",
        "",
        'Bearer realm="error=invalid_token"',
        'Bearer realm="error=\\"invalid_token"',
        'Basic error="invalid_token"',
        'Bearer error="invalid_token_of_mine"',
        'Bearer error="Xinvalid_tokenX"',
        'error="invalid_token", Bearer',
        "x=" * 40_000,
        '"' * 40_000,
        "a \t" * 20_000,
        'Bearer error="' + "\\" * 60_000,
    ],
)
def test_another_challenge_leaves_403_as_it_is(challenge: str) -> None:
    """A right that is missing is not mended by a new token."""
    reply = Reply(403, CIMultiDict({"WWW-Authenticate": challenge}), b"")
    assert isinstance(refusal(reply, None, "job", hints=None), errors.PermissionDenied)
