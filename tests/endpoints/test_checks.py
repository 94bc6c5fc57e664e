"""check_endpoint reports everything that is wrong."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from yarl import URL

from pollwise.endpoints import AttrsCodec, Endpoint, RateLimited
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.http import ApiKeyAuth, BearerAuth
from pollwise.model.messages import Reply, Request
from pollwise.model.reading import Phase, Reading
from pollwise.testing import EndpointProblems, Sample, check_endpoint

SAMPLES = Path(__file__).parents[1] / "samples"
EXAMPLE = Path(__file__).parents[2] / "examples" / "own_endpoint.py"


@attrs.frozen
class Job:
    id: str = "a"


@attrs.frozen
class Status:
    state: str


class Good(Endpoint[Job, Status]):
    """Does all that it must."""

    name = "good"
    heeded_headers: tuple[str, ...] | None = ()
    codec = AttrsCodec(Job, Status)

    def request(self, job: Job, /) -> Request:
        return Request(URL(f"https://api.example.com/{job.id}"))

    def read(self, reply: Reply, /) -> Reading[Status]:
        document = reply.json()
        state = document.get("state") if isinstance(document, dict) else None
        if not isinstance(state, str):
            raise reply.malformed("no state")
        match state:
            case "done":
                return Reading.succeeded(Status(state))
            case "maybe":
                return Reading.unconfirmed_end(Phase.FAILED, Status(state))
            case "running":
                return Reading.running(Status(state))
        return Reading.running(Status(state), unknown=f"state={state}")


RUNNING: Sample[Any] = Sample(job=Job(), reply={"state": "running"}, phase=Phase.RUNNING)
DONE: Sample[Any] = Sample(job=Job(), reply={"state": "done"}, phase=Phase.SUCCEEDED)
MAYBE: Sample[Any] = Sample(job=Job(), reply={"state": "maybe"}, phase=Phase.FAILED, unconfirmed=True)


def problems(endpoint: Any, *samples: Sample[Any], states: tuple[str, ...] = ()) -> list[str]:
    with pytest.raises(EndpointProblems) as caught:
        check_endpoint(endpoint, samples or [RUNNING, DONE], states=states)
    assert isinstance(caught.value, AssertionError)
    assert all(f"{n}. {said}" in str(caught.value) for n, said in enumerate(caught.value.problems, 1))
    return list(caught.value.problems)


def test_a_good_endpoint_passes() -> None:
    """With each kind of reading."""
    check_endpoint(Good(), [RUNNING, DONE, MAYBE], states=["state"])


def test_the_example_of_an_own_endpoint_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    """The README shows it."""
    spec = importlib.util.spec_from_file_location("own_endpoint", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    own = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "own_endpoint", own)
    spec.loader.exec_module(own)
    job = own.Export(7)
    samples = [
        Sample(job=job, reply={"state": "running", "rows_done": 1, "rows": 4}, phase=Phase.RUNNING),
        Sample(job=job, reply={"state": "done", "rows_done": 4, "rows": 4}, phase=Phase.SUCCEEDED),
        Sample(job=job, reply={"state": "error", "rows_done": 1, "rows": 4}, phase=Phase.FAILED),
    ]
    check_endpoint(own.ExportEndpoint("https://api.example.com"), samples, states=["state"])


def test_document360_passes() -> None:
    """By the vendor's documented reply."""
    document = orjson.loads((SAMPLES / "document360" / "complete.json").read_bytes())
    job = DeleteFileJob(str(document["task_status"]["task_id"]))
    open_task = {**document, "task_status": {**document["task_status"], "is_complete": False}}
    check_endpoint(
        DeleteFileEndpoint("https://apihub.document360.io", auth=ApiKeyAuth("s3cret-of-a-test")),
        [
            Sample(job=job, reply=document, phase=Phase.SUCCEEDED),
            Sample(job=job, reply=open_task, phase=Phase.RUNNING),
        ],
        states=["task_status.status"],
    )


def test_oracle_content_passes() -> None:
    """By the vendor's documented replies."""
    job = ExtractionJob("DC765D5CD846E67B395AE676435D1DBF", "ZX-E83150A29A911D33")
    check_endpoint(
        ExtractionEndpoint("https://host.example", auth=BearerAuth("s3cret-of-a-test")),
        [
            Sample(
                job=job, reply=Reply(200, {}, (SAMPLES / "oracle_content" / f"{name}.json").read_bytes()), phase=phase
            )
            for name, phase in (("processing", Phase.RUNNING), ("succeeded", Phase.SUCCEEDED))
        ],
        states=["progress"],
    )


def test_all_that_is_wrong_is_said_at_once() -> None:
    """In the order in which it is found, each thing once."""

    class Bad(Good):
        def request(self, job: Job, /) -> Request:
            return Request(URL("https://u:s3cret@api.example.com"), {"Authorization": "s3cret"})

        def read(self, reply: Reply, /) -> Reading[Status]:
            document = orjson.loads(reply.body)
            return Reading.succeeded(Status(document["state"]))

    said = problems(Bad(), states=("state", "mood"))
    for part in (
        "URL of a request must not hold credentials",
        "leave the header field Authorization to auth",
        "read gives phase Phase.SUCCEEDED for the sample of Phase.RUNNING",
        "an unknown word in state must give a reading that is no success",
        "states names mood, which is in no sample of Phase.RUNNING",
        "for an empty body; it raised JSONDecodeError",
        "for an empty JSON object; it raised KeyError",
        "for JSON null; it raised TypeError",
    ):
        assert any(part in problem for problem in said), part
    assert len(set(said)) == len(said)
    assert not any("s3cret" in problem for problem in said)


@attrs.define(eq=False)
class Loose:
    state: str


def _request(url: str, **fields: Any) -> Any:
    return lambda self, job, /: Request(URL(url), **fields)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"name": ""}, "name of the endpoint Changed must be"),
        ({"account": " x "}, "account must hold"),
        ({"request": lambda self, job, /: None}, "request must return a Request"),
        ({"request": lambda self, job, /: job.missing}, "request raised AttributeError"),
        ({"request": _request("/jobs")}, "must be absolute"),
        ({"request": _request("https://a.example", body="x")}, "the body of a Request must be bytes"),
        (
            {"request": _request("https://a.example/s3cret-of-a-test"), "auth": BearerAuth("s3cret-of-a-test")},
            "what auth puts on",
        ),
        (
            {
                "request": lambda self, job, /: Request(
                    URL(f"https://a.example/{id(object())}{attrs.fields}"), body=str(next(COUNT)).encode()
                )
            },
            "the same request each time",
        ),
        ({"fixed_origin": "https://other.example"}, "fixed_origin is 'https://other.example'"),
        ({"read": lambda self, reply, /: {"state": "a"}}, "read must return a Reading"),
        ({"read": lambda self, reply, /: Reading.running(Status("a"), fraction=40)}, "must be from 0 to 1"),
        ({"read": lambda self, reply, /: Reading.running(Loose("a"))}, "equal readings of the same reply"),
        (
            {"read": lambda self, reply, /: Reading.running(Status(reply.headers["Content-Type"]))},
            "name them in heeded_headers",
        ),
        ({"read": lambda self, reply, /: Reading.running(Status("a"))}, "for an empty body; it gave a reading"),
        (
            {"problem": lambda self, reply, /: orjson.loads(reply.body)},
            "problem must return a Problem or None for an empty body",
        ),
        ({"read": lambda self, reply, /: Reading.running(Status("a"), cursor=("a",))}, "must be JSON of at most 4 KiB"),
        (
            {"read": lambda self, reply, /: Reading.running(Status("a"), cursor="x" * 5_000)},
            "must be JSON of at most 4 KiB",
        ),
        ({"read": lambda self, reply, /: Reading.running(Status("a"), cursor=1)}, "a parameter cursor=None to get it"),
        ({"request": lambda self, job, /, *, cursor: None}, "must have a default: write cursor=None"),
        (
            {
                "request": lambda self, job, /, cursor=None: Request(URL("https://a.example/") / cursor["next"]),
                "read": lambda self, reply, /: Reading.running(Status("a"), cursor=1),
            },
            "with the cursor of a sample, request raised TypeError",
        ),
        ({"codec": AttrsCodec(DeleteFileJob, Status)}, "job_to_keys must give a dict of texts"),
        ({"codec": AttrsCodec(Job, dict[str, int])}, "the status must come back equal from the codec"),
    ],
    ids=range(22),
)
def test_each_thing_that_is_wrong_is_named(change: dict[str, Any], sentence: str) -> None:
    """The sentence says what to change."""
    endpoint = type("Changed", (Good,), change)()
    assert any(sentence in problem for problem in problems(endpoint)), problems(endpoint)


COUNT = iter(range(10**9))


def test_samples_are_needed() -> None:
    """And jobs that can be found again."""
    with pytest.raises(EndpointProblems, match="at least one sample"):
        check_endpoint(Good(), [])
    assert "a job must be hashable" in problems(Good(), Sample(job=["a"], reply={}, phase=Phase.RUNNING))[0]  # type: ignore[type-var]


def test_what_cannot_be_copied_to_another_process_is_named() -> None:
    """Both jobs and statuses."""

    @attrs.frozen
    class Local(Job):
        pass

    said = problems(Good(), Sample(job=Local(), reply={"state": "running"}, phase=Phase.RUNNING))
    assert any("the job must come back equal from pickle" in problem for problem in said)


class Throttling(Good):
    """Its vendor tells of the rate limit in a 200."""

    def read(self, reply: Reply, /) -> Reading[Status]:
        document = reply.json()
        if isinstance(document, dict) and document.get("throttled") is True:
            raise RateLimited(5.0)
        return super().read(reply)


def test_a_rate_limit_in_a_200_is_no_problem() -> None:
    """`read` says so by RateLimited."""
    check_endpoint(
        Throttling(), [Sample(job=Job(), reply={"state": "done", "throttled": False}, phase=Phase.SUCCEEDED)]
    )
