"""What `check_endpoint` says about the starts of an endpoint."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise import Phase, Request
from pollwise.endpoints import Reply, Submitted
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob, ExtractionOrder
from pollwise.endpoints.start_checks import start_problems
from pollwise.testing import EndpointProblems, Sample, StartSample, check_endpoint
from toy import ToyEndpoint, ToyJob

START = StartSample(order="print", reply={"id": "7"}, job=ToyJob("7"))
SAMPLE = Sample(job=ToyJob("7"), reply={"state": "running"}, phase=Phase.RUNNING)


class Good(ToyEndpoint):
    def submit_request(self, order: str, key: str, /) -> Request:
        return Request(URL("https://toy.example/start"), {"Idempotency-Key": key}, "POST", order.encode())

    def read_submitted(self, order: str, reply: Reply, /) -> Any:
        document = reply.json()
        if not isinstance(document, dict) or "id" not in document:
            raise reply.malformed("no id")
        return Submitted(ToyJob(document["id"]), 5.0)


def _request(**fields: Any) -> Any:
    """A `submit_request` that makes a request of these fields."""
    given = {"url": URL("https://toy.example/start"), "method": "POST", **fields}
    return lambda _self, _order, key: Request(
        **{name: value(key) if callable(value) else value for name, value in given.items()}
    )


def _problems(**members: Any) -> str:
    kind: Any = type("Wrong", (Good,), members)
    return " ".join(start_problems(kind(), START))


def test_a_good_endpoint_has_no_problem() -> None:
    """With a wait in the reply, too. The vendor's is one."""
    assert list(start_problems(Good(), START)) == []
    order = StartSample(order=ExtractionOrder("F"), reply={"id": "F", "jobId": "Z"}, job=ExtractionJob("F", "Z"))
    sample = Sample(job=ExtractionJob("F", "Z"), reply={"progress": "PENDING"}, phase=Phase.QUEUED)
    check_endpoint(ExtractionEndpoint("https://example.com"), [sample], starts=[order])


def test_an_endpoint_without_starts_is_told_what_to_write() -> None:
    """If a sample of a start is given."""
    with pytest.raises(EndpointProblems, match=r"submit_request\(order, key\)"):
        check_endpoint(ToyEndpoint(), [SAMPLE], starts=[START])


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (lambda *_: "https://toy.example", "submit_request must return a Request"),
        (lambda *_: 1 / 0, "submit_request raised ZeroDivisionError"),
        (_request(url=URL("/start")), "must be absolute"),
        (_request(headers={"Authorization": "Bearer x"}), "no credentials"),
        (
            _request(body=lambda _: str(id(object())).encode() + str(len(_COUNT) or _COUNT.append(1)).encode()),
            "same request",
        ),
        (_request(idempotent=True), "the key must be in it"),
        (_request(body=lambda key: key.encode()), "idempotent=True"),
    ],
)
def test_a_wrong_request_is_a_problem(made: Any, words: str) -> None:
    """One sentence says what to change."""
    assert words in _problems(submit_request=made)


_COUNT: list[int] = []


@pytest.mark.parametrize(
    ("read", "words"),
    [
        (lambda *_: ToyJob("8"), "it gave another one"),
        (lambda _self, _order, reply: reply.json()["ID"], "it raised KeyError"),
        (lambda _self, _order, reply: ToyJob(reply.json()["id"]), "it raised TypeError"),
        (lambda *_: ToyJob("7"), "it gave a job"),
        (lambda *_: Submitted(ToyJob("7"), reading="done"), "must be a Reading, such as self.read(reply); it is a str"),
    ],
)
def test_a_wrong_reading_is_a_problem(read: Any, words: str) -> None:
    """Also for a body that no vendor sends."""
    assert words in _problems(read_submitted=read)


def test_a_job_at_another_origin_is_a_problem() -> None:
    """A caller of `submit` would get UnsafeUrl."""
    members: dict[str, Any] = {"request": lambda _self, _job: Request(URL("https://other.example/7"))}
    assert "name it in origins" in _problems(**members)
    assert not _problems(**members, origins=("https://other.example",))


def test_a_body_that_is_no_json_is_not_replaced() -> None:
    """What is garbage for it is not known."""
    sample = StartSample(order="print", reply=Reply(201, {"Location": "7"}, b""), job=ToyJob("7"))
    kind: Any = type(
        "ByField", (Good,), {"read_submitted": lambda _self, _order, reply: ToyJob(reply.headers["Location"])}
    )
    assert list(start_problems(kind(), sample)) == []
