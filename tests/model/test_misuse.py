"""What an endpoint returns wrongly is called by its name."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from pollwise.errors import ConfigurationError, EndpointBug
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import explained, wrong_with_reading, wrong_with_request
from pollwise.model.reading import Phase, Reading
from pollwise.simulator import Simulator
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import RUNNING, SUCCEEDED, ToyAuth, ToyEndpoint, ToyJob, ToyStatus, watching

HERE = URL("http://127.0.0.1:9")


class Reads(ToyEndpoint):
    """Reads each reply as this."""

    def __init__(self, made: Any) -> None:
        super().__init__()
        self.made = made

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        return self.made  # type: ignore[no-any-return]


class Asks(ToyEndpoint):
    """Asks with this."""

    def __init__(self, made: Any, auth: ToyAuth | None = None) -> None:
        super().__init__(auth)
        self.made = made

    def request(self, job: ToyJob, /) -> Request:
        return self.made  # type: ignore[no-any-return]


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (None, "read must return a Reading, such as Reading.running(status); it returned None"),
        ({"state": "s3cret"}, "it returned a value of type dict"),
        (ToyStatus("s3cret"), "it returned a value of type ToyStatus"),
    ],
    ids=range(3),
)
async def test_what_is_no_reading_is_explained(made: Any, sentence: str) -> None:
    """As the endpoint's bug, without a value."""
    async with watching([RUNNING], endpoint=Reads(made)) as (watcher, _):
        with pytest.raises(EndpointBug) as caught:
            await watcher.watch(ToyJob())
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)


WRONG_REQUESTS = [
    (None, "request must return a Request, such as Request(URL('https://...')); it returned None"),
    ("http://127.0.0.1:9", "it returned a value of type str"),
    (HERE, "it returned a value of type URL"),
    (Request("http://127.0.0.1:9"), "the url of a Request must be a yarl.URL"),  # type: ignore[arg-type]
    (Request(HERE, method="PUT", body="s3cret"), "the body of a Request must be bytes or None"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("made", "sentence"), WRONG_REQUESTS, ids=range(len(WRONG_REQUESTS)))
@pytest.mark.parametrize("auth", [False, True])
@pytest.mark.parametrize("scripted", [False, True])
async def test_what_is_no_request_is_explained(made: Any, sentence: str, auth: bool, scripted: bool) -> None:
    """As the endpoint's bug, over a network as in a test; nothing is sent."""
    endpoint = Asks(made, ToyAuth() if auth else None)
    transport = ScriptedTransport([SUCCEEDED]) if scripted else AiohttpTransport()
    async with JobWatcher(endpoint, timeout_s=5, transport=transport) as watcher:
        with pytest.raises(EndpointBug) as caught:
            await watcher.watch(ToyJob())
    if isinstance(transport, AiohttpTransport):
        await transport.aclose()
    assert sentence in str(caught.value)
    assert "s3cret" not in str(caught.value)


async def test_a_header_value_that_is_no_text_is_explained() -> None:
    """Aiohttp finds it once there is a connection."""
    async with Simulator() as simulator, AiohttpTransport() as transport:
        request = Request(URL(simulator.oracle_content_url), {"X-Page": 7})  # type: ignore[dict-item]
        with pytest.raises(ConfigurationError, match="the value of header field X-Page must be a str") as caught:
            await transport.send(request)
    assert caught.value.__suppress_context__


def test_what_is_right_is_not_blamed() -> None:
    """A request and a reading as they should be, and errors of the endpoint's own."""
    assert wrong_with_request(Request(HERE, {"A": "b"}, "POST", b"x")) is None
    assert wrong_with_reading(Reading.running("s", fraction=1)) is None
    assert explained(ValueError()) is None
    assert explained(AttributeError()) is None
    with pytest.raises(AttributeError) as caught:
        _ = (7).url  # type: ignore[attr-defined]
    assert explained(caught.value) is None


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (Reading(status="s", phase="running"), "the phase of a Reading must be a Phase"),  # type: ignore[arg-type]
        (Reading.running("s", fraction="1"), "the fraction of a Reading must be a number"),  # type: ignore[arg-type]
        (Reading.running("s", fraction=True), "the fraction of a Reading must be a number"),
        (Reading.running("s", fraction=40), "must be from 0 to 1, or None; it is 40"),
        (Phase.RUNNING, "it returned a value of type Phase"),
    ],
    ids=range(5),
)
def test_a_wrong_field_of_a_reading_is_named(made: Any, sentence: str) -> None:
    """With the type that it has."""
    assert sentence in str(wrong_with_reading(made))


@pytest.mark.parametrize(
    ("made", "sentence"),
    [
        (Request(HERE, [("A", "b")]), "the headers of a Request must be a mapping"),  # type: ignore[arg-type]
        (Request(HERE, {"A": 7}), "the value of header field A must be a str"),  # type: ignore[dict-item]
        (Request(HERE, {7: "b"}), "the names of header fields must be str"),  # type: ignore[dict-item]
        (Request(HERE, method=7), "the method of a Request must be a str"),  # type: ignore[arg-type]
        (Request(HERE, idempotent="no"), "idempotent of a Request must be True, False or None"),  # type: ignore[arg-type]
    ],
    ids=range(5),
)
def test_a_wrong_field_of_a_request_is_named(made: Any, sentence: str) -> None:
    """With the type that it has."""
    assert sentence in str(wrong_with_request(made))
