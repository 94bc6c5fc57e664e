"""Any object with three members is an endpoint; what is wrong with one is said when the watcher is made."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
from yarl import URL

from kept_toy import KeptToyEndpoint, MemoryLedger
from pollwise.errors import ConfigurationError, Problem
from pollwise.model.abilities import with_defaults
from pollwise.model.limits import RateLimit
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import NO_CODEC, Endpoint
from pollwise.model.reading import Reading
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus

REPLY = Reply(200, {}, b"{}")


class Structural:
    """What an endpoint needs, and no more."""

    name = "structural"

    def request(self, job: ToyJob) -> Request:
        return Request(URL(f"https://toy.example/{job.id}"))

    def read(self, reply: Reply) -> Reading[ToyStatus]:
        status = ToyStatus(orjson.loads(reply.body)["state"])
        return Reading.succeeded(status) if status.state == "succeeded" else Reading.running(status)


class Able(Structural):
    """Has more than it must."""

    account = "acme"
    heeded_headers = ("ETag",)
    result_answer_statuses = frozenset({422})
    submit_answer_statuses = frozenset({303})
    submit_advice = "Look at the list of exports."
    documented_limit = RateLimit(7, per_s=1.0)
    codec = KeptToyEndpoint().codec

    def read_for(self, job: ToyJob, reply: Reply) -> Reading[ToyStatus]:
        return Reading.running(ToyStatus(job.id))

    def problem(self, reply: Reply) -> Problem | None:
        return Problem(codes=("X",))


def test_a_subclass_of_endpoint_is_used_as_it_is() -> None:
    """No poll goes through an adapter."""
    endpoint = ToyEndpoint()
    assert with_defaults(endpoint) is endpoint


def test_an_object_of_another_class_gets_the_defaults() -> None:
    """It promises nothing that it does not say."""
    whole = with_defaults(Structural())
    assert isinstance(whole, Endpoint)
    assert (whole.name, whole.auth, whole.account, whole.documented_limit) == ("structural", None, "", None)
    assert (whole.heeded_headers, whole.fixed_origin, whole.codec) == (None, None, NO_CODEC)
    assert whole.problem(REPLY) is None
    assert whole.request(ToyJob("x")).url.path == "/x"
    assert whole.read_for(ToyJob(), Reply(200, {}, b'{"state": "a"}')) == Reading.running(ToyStatus("a"))


def test_an_object_of_another_class_keeps_what_it_has() -> None:
    """Each further member of `Endpoint` counts."""
    whole = with_defaults(Able())
    assert (whole.account, whole.heeded_headers, whole.documented_limit) == ("acme", ("ETag",), RateLimit(7, per_s=1.0))
    assert (whole.result_answer_statuses, whole.submit_answer_statuses) == ({422}, {303})
    assert whole.submit_advice == Able.submit_advice
    assert whole.problem(REPLY) == Problem(codes=("X",))
    assert whole.read_for(ToyJob("x"), REPLY) == Reading.running(ToyStatus("x"))
    assert whole.codec is Able.codec


@pytest.mark.looptime
async def test_an_object_of_another_class_is_watched() -> None:
    """From its request to its typed status."""
    transport = ScriptedTransport([RUNNING, SUCCEEDED])
    async with JobWatcher(Structural(), timeout_s=60, transport=transport) as watcher:
        assert await watcher.watch(ToyJob("x")) == ToyStatus("succeeded")
    assert [str(request.url) for _, request in transport.requests] == ["https://toy.example/x"] * 2


@pytest.mark.looptime
async def test_a_missing_codec_is_named_where_it_is_needed() -> None:
    """A ledger needs it at once, a resume token when it is written or read."""
    with pytest.raises(ConfigurationError, match="'structural' has no codec"):
        JobWatcher(Structural(), timeout_s=60, ledger=MemoryLedger())
    transport = ScriptedTransport([RUNNING])
    async with JobWatcher(Structural(), timeout_s=60, transport=transport) as watcher:
        watch = watcher.watch(ToyJob())
        with pytest.raises(ConfigurationError, match="has no codec"):
            _ = watch.resume_token


async def _waits(*_values: Any) -> Any:
    raise AssertionError


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"name": ""}, "name of the endpoint Changed must be a text of 1 to 100"),
        ({"name": "a\nb"}, "printable"),
        ({"name": 7}, "got int"),
        ({"request": 7}, "request of the endpoint Changed must be a method"),
        ({"read": _waits}, "read of the endpoint Changed must be a plain method, without `async`"),
        ({"read_for": _waits}, "read_for .* without `async`"),
        ({"auth": "secret"}, r"auth .* must be None or credentials, such as BearerAuth\('...'\), got str"),
        ({"codec": Structural()}, r"codec .* such as AttrsCodec\(MyJob, MyStatus\), got Structural"),
        ({"documented_limit": (60, 60.0)}, r"documented_limit .* RateLimit\(60, per_s=60.0\), got tuple"),
        ({"fixed_origin": URL("https://a.example")}, "fixed_origin .* such as 'https://api.example.com', got URL"),
        ({"origins": "https://a.example"}, r"origins .* a tuple of origins, such as \('https://d.*',\), got str"),
        ({"origins": ("a.example",)}, "origins .* must be a tuple of origins"),
        ({"origins": ("https://a.example/path",)}, "origins .* must be a tuple of origins"),
        ({"origins": ("https://me:pw@a.example",)}, "origins .* must be a tuple of origins"),
        ({"heeded_headers": "ETag"}, r"heeded_headers .* a tuple of texts, such as \('ETag',\), got str"),
        ({"heeded_headers": ["ETag"]}, "got list"),
        ({"account": None}, "account must be a str"),
        ({"answer_statuses": (404,)}, r"answer_statuses .* such as frozenset\(\{404\}\), got tuple"),
        ({"answer_statuses": frozenset({"404"})}, "answer_statuses"),
        ({"answer_statuses": frozenset({200})}, "from 300 to 599"),
        ({"answer_statuses": frozenset({401})}, "without 401 and 429"),
        ({"answer_statuses": frozenset({404, 429})}, "without 401 and 429"),
        ({"result_answer_statuses": [422]}, r"result_answer_statuses .* such as frozenset\(\{404\}\), got list"),
        ({"result_answer_statuses": frozenset({401})}, "without 401 and 429"),
        ({"submit_answer_statuses": [303]}, r"submit_answer_statuses .* such as frozenset\(\{404\}\), got list"),
        ({"submit_answer_statuses": frozenset({200})}, "from 300 to 599"),
        ({"submit_advice": None}, "submit_advice .* must be a text, such as .*, got NoneType"),
        ({"first_after_s": "5"}, "first_after_s .* a number of seconds of at least 0, such as 5.0, got str"),
        ({"first_after_s": -1.0}, "first_after_s"),
        ({"first_after_s": float("nan")}, "first_after_s"),
        ({"submit_request": "POST /"}, "submit_request .* must be a method"),
    ],
)
@pytest.mark.parametrize("base", [Structural, ToyEndpoint])
def test_a_member_of_the_wrong_type_is_refused(base: type, change: dict[str, Any], message: str) -> None:
    """The error says what to write instead, for subclasses of Endpoint and for other objects."""
    make: Callable[[], Any] = type("Changed", (base,), {"__init__": lambda self: None, **change})
    with pytest.raises(ConfigurationError, match=message):
        JobWatcher(make(), timeout_s=1)


@pytest.mark.parametrize(
    ("endpoint", "message"),
    [
        (Structural, r"endpoint must be an object, got a class; write Structural\(...\)"),
        (ToyEndpoint, r"write ToyEndpoint\(...\)"),
        (object(), "object has no name and no request and no read"),
        (None, "NoneType has no name"),
        ("https://api.example", "str has no name"),
    ],
    ids=range(5),
)
def test_what_is_no_endpoint_is_refused(endpoint: Any, message: str) -> None:
    """The error says what is missing."""
    with pytest.raises(ConfigurationError, match=message):
        JobWatcher(endpoint, timeout_s=1)
