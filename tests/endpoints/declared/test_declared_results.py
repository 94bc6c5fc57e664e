"""The words `result` and `then` of a declaration, on a real socket."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest

from pollwise import BearerAuth, JobWatcher, Pacing, Reply
from pollwise.endpoints.declared import DeclarationErrors, DeclaredEndpoint, Fetch, load_declarations
from pollwise.endpoints.declared.loading import declarations_of
from pollwise.errors import ConfigurationError, JobFailed, MalformedReply, RequestRejected
from raw_server import Line, raw_server
from raw_server import reply as raw

VENDORS = Path(__file__).parents[2] / "samples" / "declared" / "vendors.toml"
TABLE: dict[str, Any] = {
    "base": "https://a.example",
    "job": {"id": "int", "region": "str"},
    "poll": "GET /{region}/jobs/{id}",
    "headers": {"X-Version": "2"},
    "state": "state",
    "succeeded": ["done"],
    "reason": "why",
}
CSV = b'a,"b"\r\n\xff'


def endpoint(url: str | None = None, **words: Any) -> DeclaredEndpoint[Any]:
    return DeclaredEndpoint(declarations_of({"jobs": {**TABLE, **words}})["jobs"], base_url=url)


def problems_of(**words: Any) -> list[str]:
    with pytest.raises(DeclarationErrors) as caught:
        declarations_of({"jobs": {**TABLE, **words}}, file="f.toml")
    return str(caught.value).splitlines()


async def result_of(
    status: bytes, answer: bytes = raw(b"{}"), options: dict[str, Any] | None = None, **words: Any
) -> tuple[Any, list[bytes]]:
    """The result of a job whose first status is this one, and the requests for it."""

    def say(line: Line) -> None:
        line.say(raw(status) if len(server.requests) == 1 else answer)

    async with raw_server(say) as server:
        (declared,) = declarations_of({"jobs": {**TABLE, **words}}).values()
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared, base_url=server.url, **(options or {}))
        async with JobWatcher(made, timeout_s=600.0, pacing=Pacing.fixed(1.0)) as watcher:
            watch = watcher.watch(made.job(id=7, region="eu"))
            try:
                return await watch.result(), server.requests[1:]
            except ConfigurationError:
                assert len(server.requests) == 1
                raise


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("path", "result"),
    [("output.rows", [1, 2]), ("missing", None), ("@", {"state": "done", "output": {"rows": [1, 2]}})],
)
async def test_a_result_may_be_in_the_status(path: str, result: Any) -> None:
    """Then no request is needed."""
    found, requests = await result_of(b'{"state": "done", "output": {"rows": [1, 2]}}', result=path)
    assert (found, requests) == (result, [])


@pytest.mark.looptime
@pytest.mark.parametrize("length", [400, 100_000])
async def test_a_result_in_a_long_status_is_whole(length: int) -> None:
    """A long status is cut down to limits, so it is asked for once more, like the first time."""
    rows = list(range(length))
    status = orjson.dumps({"state": "done", "output": rows})
    found, requests = await result_of(status, raw(status), result="output")
    assert found == rows
    assert [request.split(b"\r\n")[0] for request in requests] == [b"GET /eu/jobs/7 HTTP/1.1"]


@pytest.mark.looptime
async def test_a_result_that_is_deep_is_whole() -> None:
    """A value of a hundred levels is cut even from a short status."""
    status = b'{"state": "done", "output": %b}' % (b"[" * 150 + b"]" * 150)
    found, requests = await result_of(status, raw(status), result="output")
    assert orjson.dumps(found) == b"[" * 150 + b"]" * 150
    assert len(requests) == 1


@attrs.frozen
class Status:
    state: str
    output: str = ""


@pytest.mark.looptime
async def test_a_status_of_the_callers_class_has_the_result_too() -> None:
    """If it has the field."""
    found, _ = await result_of(
        b'{"state": "done", "output": "x", "more": 1}', options={"status": Status}, result="output"
    )
    assert found == "x"


@pytest.mark.looptime
@pytest.mark.parametrize("word", ["result", "then"])
@pytest.mark.parametrize(
    ("table", "line", "body"),
    [
        ({"ask": "GET /{region}/{id}/rows"}, b"GET /eu/7/rows HTTP/1.1\r\n", b""),
        ({"ask": "GET /files/{file}?n={data.n}"}, b"GET /files/a%2Fb?n=3 HTTP/1.1\r\n", b""),
        ({"ask": "GET /files/{+file}"}, b"GET /files/a/b HTTP/1.1\r\n", b""),
        ({"ask": "POST /rows", "json": {"f": "{file}", "n": "{data.n}"}}, b"POST /rows ", b'{"f":"a/b","n":3}'),
        ({"ask": "GET /rows", "headers": {"X-File": "{file}"}}, b"GET /rows HTTP/1.1\r\n", b""),
        ({"url": "data.url"}, b"GET /eu/x?s=%2F HTTP/1.1\r\n", b""),
    ],
)
async def test_a_result_may_be_asked_for(word: str, table: dict[str, Any], line: bytes, body: bytes) -> None:
    """Holes are keys of the job, or paths into the final status. `result` and `then` mean the same."""
    status = b'{"state": "done", "id": "x", "file": "a/b", "data": {"n": 3, "url": "../x?s=%2F"}}'
    found, (request,) = await result_of(status, raw(b'{"rows": 2}'), **{word: table})
    assert found == {"rows": 2}
    assert request.startswith(line)
    assert request.endswith(b"\r\n\r\n" + body)
    assert b"\r\nX-Version: 2\r\n" in request
    assert (b"\r\nX-File: a/b\r\n" in request) is ("headers" in table)


@pytest.mark.looptime
async def test_a_raw_result_is_its_bytes(tmp_path: Path) -> None:
    """Whatever they are. Without `raw` they are JSON, or malformed. Both can be saved to a file."""
    found, _ = await result_of(b'{"state": "done"}', raw(CSV), then={"ask": "GET /rows", "raw": True})
    assert found == CSV
    with pytest.raises(MalformedReply, match="for a result of bytes, write raw = true"):
        endpoint(then={"ask": "GET /rows"}).read_result(Reply(200, {}, CSV))

    def say(line: Line) -> None:
        line.say(raw(b'{"state": "done"}') if len(server.requests) == 1 else raw(CSV))

    async with raw_server(say) as server:
        made = endpoint(server.url, then={"ask": "GET /rows", "raw": True})
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            size = await watcher.watch(made.job(id=7, region="eu")).save_result(tmp_path / "rows", max_bytes=100)
    assert (size, (tmp_path / "rows").read_bytes()) == (len(CSV), CSV)


@pytest.mark.looptime
async def test_a_result_in_the_status_is_no_file(tmp_path: Path) -> None:
    """Saving it is refused, also where it is an empty value."""
    async with raw_server(raw(b'{"state": "done", "output": 0}')) as server:
        made = endpoint(server.url, result="output")
        async with JobWatcher(made, timeout_s=600.0) as watcher:
            with pytest.raises(ConfigurationError, match="no file"):
                await watcher.watch(made.job(id=7, region="eu")).save_result(tmp_path / "rows", max_bytes=100)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.looptime
async def test_the_reply_to_the_result_can_say_that_the_job_failed() -> None:
    """With the vendor's words. Other refusals are errors of the fetch."""
    status, table = b'{"state": "done", "url": "/r"}', {"url": "url", "failed": [422, 500]}
    for code in ("422 No", "500 No"):
        with pytest.raises(JobFailed) as caught:
            await result_of(status, raw(b'{"why": "no disk"}', status=code), then=table)
        assert (caught.value.reason, caught.value.status) == ("no disk", {"why": "no disk"})
        assert not hasattr(caught.value, "__notes__")
    with pytest.raises(JobFailed):
        await result_of(status, raw(b"<html>", status="422 No"), then=table)
    with pytest.raises(RequestRejected):
        await result_of(status, raw(b'{"why": "no disk"}', status="400 No"), then=table)


@pytest.mark.looptime
async def test_the_reply_to_a_file_can_say_that_the_job_failed(tmp_path: Path) -> None:
    """As the reply to `result()` can. No file is left, and another refusal is an error of the fetch."""
    for code, error in (("422 No", JobFailed), ("400 No", RequestRejected)):
        left = [raw(b'{"state": "done", "url": "/r"}'), raw(b'{"why": "no disk"}', status=code)]
        async with raw_server(lambda line, left=left: line.say(left.pop(0))) as server:
            made = endpoint(server.url, then={"url": "url", "failed": [422]})
            async with JobWatcher(made, timeout_s=600.0) as watcher:
                with pytest.raises(error) as caught:
                    await watcher.watch(made.job(id=7, region="eu")).save_result(tmp_path / "rows", max_bytes=100)
        assert getattr(caught.value, "reason", "no disk") == "no disk"
        assert list(tmp_path.iterdir()) == []


@pytest.mark.looptime
@pytest.mark.parametrize("value", ["null", '""', '".."', "true", "[1]", "1.5", '"a\\u0000"', f'"{"x" * 2000}"'])
async def test_a_value_that_cannot_stand_in_the_request_is_refused(value: str) -> None:
    """Nothing is asked. The error names the path, and not the value."""
    with pytest.raises(ConfigurationError, match="no text or whole number at file that can stand") as caught:
        await result_of(f'{{"state": "done", "file": {value}}}'.encode(), then={"ask": "GET /files/{file}"})
    assert caught.value.__context__ is None


@pytest.mark.looptime
@pytest.mark.parametrize("value", ["null", "7", '"a b"'])
async def test_a_status_without_the_url_is_named(value: str) -> None:
    """Nothing is asked."""
    with pytest.raises(ConfigurationError, match="the final status has no URL at url"):
        await result_of(f'{{"state": "done", "url": {value}}}'.encode(), then={"url": "url"})


@pytest.mark.looptime
async def test_a_result_elsewhere_gets_no_credentials() -> None:
    """A server cannot have them sent elsewhere."""
    async with raw_server(raw(b"[1]")) as other:
        status = f'{{"state": "done", "url": "{other.url}/x"}}'.encode()
        found, requests = await result_of(status, options={"auth": BearerAuth("s3cr3t-s3cr3t")}, then={"url": "url"})
    assert (found, requests) == ([1], [])
    assert b"s3cr3t-s3cr3t" not in other.requests[0]


def test_without_the_words_an_endpoint_has_no_result() -> None:
    """The watcher then says so."""
    for name in ("result_request", "read_result"):
        assert not hasattr(endpoint(), name)
        assert hasattr(endpoint(result="output"), name)


def test_a_long_status_keeps_what_the_result_needs() -> None:
    """As it keeps what decides."""
    for table in ({"url": "data.file"}, {"ask": "GET /{data.file}/{id}"}):
        assert {"data", "file"} <= set(endpoint(then=table).deciding_keys)
    assert "data" in endpoint(result="data").deciding_keys


def test_a_key_must_fit_the_request_for_the_result() -> None:
    """It is refused when the job is made."""
    assert endpoint().job(id=7, region="a//b")
    with pytest.raises(ConfigurationError, match="single slashes"):
        endpoint(then={"ask": "GET /{+region}"}).job(id=7, region="a//b")
    with pytest.raises(ConfigurationError, match="printable ASCII"):
        endpoint(then={"url": "url", "headers": {"X-A": "{region}"}}).job(id=7, region="é")


@pytest.mark.parametrize(
    ("words", "problems"),
    [
        ({"result": "a["}, ["result: the expression 'a['"]),
        ({"result": 7}, ["result: it must be a text or a table, got int"]),
        ({"then": "output"}, ["then: it must be a table, got str"]),
        ({"result": "a", "then": {"url": "b"}}, ["then: result has the same meaning; write one of the two"]),
        ({"then": {}}, ["then: write one of ask and url"]),
        ({"result": {"ask": "GET /", "url": "b"}}, ["result: write one of ask and url"]),
        ({"then": {"url": "b["}}, ["then.url: the expression 'b['"]),
        ({"then": {"url": "b", "json": {}}}, ["then: a URL of the status is asked with GET"]),
        ({"then": {"ask": "/x"}}, ["then: write a method and a path"]),
        ({"then": {"ask": "GET /x", "raw": "yes"}}, ["then.raw: it must be a truth value, got str"]),
        ({"then": {"ask": "GET /x", "failed": ["422"]}}, ["then.failed: it must be a whole number, got str"]),
        ({"then": {"ask": "GET /x", "failed": [200]}}, ["then.failed: write a list of status codes from 400"]),
        ({"then": {"ask": "GET /x", "failed": [429]}}, ["then.failed: write a list of status codes from 400"]),
        ({"result": {"aks": "GET /x"}}, ["result.aks: there is no such word; did you mean ask?"]),
        ({"poll": "GET /{region}/{id}/{a.b}"}, ["poll: the path has {a.b}, but the job has only the keys"]),
        ({"then": {"ask": "GET /x", "headers": {"Cookie": "a"}}}, ["then: the header field Cookie has credentials"]),
        (
            {"then": {"ask": "GET x", "failed": [1]}, "cancel": "no"},
            ["cancel: write a method", "then.failed: write", "then: the path must begin with a slash"],
        ),
    ],
)
def test_everything_that_is_wrong_with_a_result_is_reported(words: dict[str, Any], problems: list[str]) -> None:
    """With file, table and word."""
    found = problems_of(**words)
    assert len(found) == len(problems)
    for line, problem in zip(found, problems, strict=True):
        assert line.startswith(f"f.toml: [jobs] {problem}")


def test_every_table_of_the_proposal_loads() -> None:
    """As it was written: no line was changed. All four words are in use."""
    written, found = tomllib.loads(VENDORS.read_text()), load_declarations(VENDORS)
    assert list(found) == list(written)
    assert len(found) == 26
    for name, declared in found.items():
        made: DeclaredEndpoint[Any] = DeclaredEndpoint(declared)
        words = set(written[name])
        assert hasattr(made, "cancel_request") is ("cancel" in words)
        assert hasattr(made, "result_request") is bool({"result", "then"} & words)
        assert (declared.next is not None) is ("next" in words)
    assert found["fal"].then == Fetch(url="response_url", failed=(400, 422, 500))
