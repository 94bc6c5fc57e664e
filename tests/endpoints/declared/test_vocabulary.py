"""The words of a declaration, as values."""

from __future__ import annotations

from pollwise.endpoints.declared import Call, Declaration


def test_a_declaration_cannot_change_under_an_endpoint() -> None:
    """Lists and mappings that the caller passes are copied."""
    words, headers, job = ["done"], {"X-A": "b"}, {"id": "int"}
    made = Declaration(name="a", job=job, poll="GET {+id}", headers=headers, succeeded=words)
    words.append("more")
    headers.clear()
    job.clear()
    assert (made.succeeded, made.headers, made.job) == (("done",), {"X-A": "b"}, {"id": "int"})


def test_names_of_keys_are_texts_by_default() -> None:
    """A list is short for a mapping to `str`, and a text for a call without header fields or body."""
    made = Declaration(name="a", job=["id", "region"], poll="GET /{id}")
    assert made.job == {"id": "str", "region": "str"}
    assert made.poll == Call(ask="GET /{id}")


def test_the_keys_of_a_job_are_the_holes_of_the_poll() -> None:
    """In their order, as texts, if `job` is left out. A path is no key."""
    poll = Call(ask="GET /{+region}/{id}?of={id}", headers={"X-A": "a {part}"}, json=["{row}", "no {hole}", "{a.b}"])
    made = Declaration(name="a", poll=poll, headers={"X-B": "{team}"})
    assert list(made.job.items()) == [(name, "str") for name in ("region", "id", "team", "part", "row")]
    assert Declaration(name="a", poll="GET /{id}", job={"id": "int"}).job == {"id": "int"}
