"""A declaration as a whole."""

from __future__ import annotations

import re
from typing import Any

import pytest

from pollwise.endpoints.declared import Call, Declaration, DeclarationErrors, DeclaredEndpoint, Fetch, Submit
from pollwise.endpoints.declared.plan import compiled, deciding_keys
from pollwise.endpoints.declared.problems import Problems


def problems_of(**words: Any) -> list[str]:
    problems = Problems()
    usual = {
        "name": "a",
        "base": "https://a.example",
        "job": ["id"],
        "poll": "GET /{id}",
        "state": "s",
        "succeeded": ["x"],
    }
    compiled(Declaration(**{**usual, **words}), problems)
    return list(map(str, problems.found))


@pytest.mark.parametrize("auth", [None, {"bearer": "A"}, {"basic": ["A", "B"]}, {"key": "A", "header": "X-Key"}])
def test_auth_names_environment_variables(auth: Any) -> None:
    """One form for each way to send credentials."""
    assert problems_of(auth=auth) == []


@pytest.mark.parametrize(
    "auth",
    [
        {},
        {"bearer": "sk-hunter2"},
        {"bearer": 7},
        {"bearer": "A", "basic": ["A", "B"]},
        {"basic": "hunter2"},
        {"basic": ["A"]},
        {"key": "A"},
        {"key": "A", "header": 7},
        {"token": "A"},
    ],
)
def test_auth_of_another_form_is_refused(auth: Any) -> None:
    """The error shows no value, because it may be a secret."""
    (problem,) = problems_of(auth=auth)
    assert problem.startswith("auth: name environment variables, never a secret")
    assert "hunter2" not in problem


def test_the_header_of_a_key_must_be_a_header_field() -> None:
    """The error quotes the name, which is no secret."""
    (problem,) = problems_of(auth={"key": "A", "header": "a b"})
    assert problem.startswith("auth: 'a b' is not a valid header field name")


def test_a_long_reply_keeps_what_decides() -> None:
    """The names in the expressions that decide; those that inform may be cut."""
    made = Declaration(
        name="a",
        base="https://a.example",
        job=["id"],
        poll="GET /{id}",
        state="task.status",
        succeeded=["x"],
        failed_when="errors[?kind=='fatal']",
        reason="words",
    )
    keys = deciding_keys(made)
    assert {"task", "status", "errors", "kind"} <= set(keys)
    assert "words" not in keys


@pytest.mark.parametrize(
    ("job", "why"),
    [
        ({"id": "float"}, "job: write names with the types str or int"),
        ({"id": "str", "a b": "str"}, "job: write names with the types str or int"),
        (["id", "extra"], "job: the request uses no extra"),
    ],
)
def test_keys_are_names_that_the_request_uses(job: Any, why: str) -> None:
    """Two jobs that differ only in an unused key would be one job at the server."""
    assert any(problem.startswith(why) for problem in problems_of(job=job))


URL_JOBS: dict[str, Any] = {"job": ["url"], "poll": "GET {+url}"}


@pytest.mark.parametrize(
    "words",
    [
        {"cancel": "DELETE /jobs"},
        {"then": Fetch(ask="GET /{file}")},
        {"submit": Submit(ask="POST /jobs", id="$Location"), "cancel": "DELETE {+url}"},
    ],
)
def test_a_base_url_may_be_that_of_another_call(words: dict[str, Any]) -> None:
    """If the jobs are URLs, it is an origin to which the credentials may go, because the declaration names it."""
    problems = Problems()
    base = "https://A.example:443/api"
    plan = compiled(Declaration(name="a", base=base, state="s", succeeded=["x"], **URL_JOBS, **words), problems)
    assert problems.found == []
    assert plan is not None
    assert plan.poll.whole_url == "url"
    assert plan.origins == ("https://a.example",)
    assert problems_of(**URL_JOBS) == ["base: poll takes its whole URL from {+url}; leave base out"]


@pytest.mark.parametrize("wrong", [-1, True, "5", float("nan"), float("inf")])
def test_the_first_delay_is_a_number_of_seconds(wrong: Any) -> None:
    """Zero is one, too."""
    assert problems_of(first_after_s=0) == []
    assert problems_of(first_after_s=wrong) == [f"first_after_s: write a number of seconds, such as 5, not {wrong!r}"]


def test_the_base_url_is_no_further_origin() -> None:
    """If the poll is below it."""
    plan = compiled(
        Declaration(name="a", base="https://a.example", poll="GET /{id}", state="s", succeeded=["x"]), Problems()
    )
    assert plan is not None
    assert plan.origins == ()


def test_origins_are_scheme_and_host() -> None:
    """Each is written once."""
    assert problems_of(origins=["https://b.example", "http://c.example:8080"]) == []
    for wrong in ("b.example", "https://b.example/x", "https://me:pw@b.example", "ftp://b.example", ""):
        (problem,) = problems_of(origins=[wrong])
        assert problem.startswith("origins: write origins, such as")
    assert problems_of(origins="https://b.example")[0] == "origins: write a list of texts"


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"result": {"url": "u"}}, "result: write a text or Fetch(...), got dict"),
        ({"then": "u"}, "then: write Fetch(...), got str"),
        ({"submit": "POST /x"}, "submit: write Submit(...), got str"),
        ({"cancel": {"ask": "POST /x"}}, "cancel: write Call(...), got dict"),
        ({"poll": 7}, "poll: write Call(...), got int"),
        ({"poll": Call(ask=7)}, "poll.ask: it must be a text, got int"),  # type: ignore[arg-type]  # what a user may do
        ({"progress": "percent"}, "progress: write Progress(...), got str"),
        ({"after": {"s": "x"}}, "after: write Wait(...), got dict"),
        ({"limit": "5/min"}, "limit: write RateLimit(...), got str"),
        ({"cancel": Call(ask=7)}, "cancel.ask: it must be a text, got int"),  # type: ignore[arg-type]  # what a user may do
        ({"then": Fetch(url="u", next=7)}, "then.next: it must be a text, got int"),  # type: ignore[arg-type]  # likewise
        ({"submit": Submit(ask="POST /x", id=7)}, "submit.id: write an expression, or"),  # type: ignore[arg-type]  # likewise
        ({"submit": Submit(ask="POST /x", id={"id": 7})}, "submit.id: write an expression, or"),  # type: ignore[dict-item]  # likewise
    ],
)
def test_a_value_of_another_class_is_a_problem(words: dict[str, Any], problem: str) -> None:
    """Also in Python, where nothing has read a file. With the keys of the job, and without."""
    with pytest.raises(DeclarationErrors, match=re.escape(problem)):
        DeclaredEndpoint(Declaration(**{"name": "a", "base": "https://a.example", "poll": "GET /{id}", **words}))
    (found,) = problems_of(**words)
    assert found.startswith(problem)
