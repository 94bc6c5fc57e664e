"""Azure operations as values: from the reply that started one, to a ledger and back."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import ConfigurationError, Phase
from pollwise.endpoints.azure import AzureOperation, AzureOperationsEndpoint, AzureOrder, FinalStateVia, Monitor
from pollwise.errors import MalformedReply
from pollwise.model.messages import Reply, Request
from pollwise.model.results import ResultPage
from pollwise.model.submitting import Submitted

URL_OF_START = "https://management.example.com/subscriptions/s/vm/7/start?api-version=1&sig=s3cr3t"
CODEC = AzureOperationsEndpoint.codec


def started(method: str, status: int, headers: Mapping[str, str], body: bytes = b"") -> AzureOperation:
    request = Request(URL(URL_OF_START, encoded=True), method=method)
    return AzureOperation.from_reply(request, Reply(status, headers, body))


@pytest.mark.parametrize(
    ("location", "url"),
    [
        ("/operations/7?t=1%2F2&c=a+b", "https://management.example.com/operations/7?t=1%2F2&c=a+b"),
        ("operations/7", "https://management.example.com/subscriptions/s/vm/7/operations/7"),
        ("//other.example/7", "https://other.example/7"),
        ("https://west.example:8443/7", "https://west.example:8443/7"),
    ],
)
def test_a_relative_url_is_relative_to_that_of_the_start(location: str, url: str) -> None:
    """RFC 9110, 10.2.2. Percent-encoded characters stay as they are."""
    assert started("POST", 202, {"Location": location}).url == url


@pytest.mark.parametrize("name", ["Operation-Location", "operation-location", "OPERATION-LOCATION"])
def test_a_field_is_found_in_any_letter_case(name: str) -> None:
    """Also in the plain dict of another client."""
    job = started("DELETE", 202, {name: "https://x.example/1"})
    assert (job.url, job.monitor) == ("https://x.example/1", Monitor.STATUS)


@pytest.mark.parametrize(
    "location",
    ["http://[", "http://x:abc/", "http://x:99999/", "a b", "a\tb", "https://x.example/\\y", "mailto:a@b.example"],
)
def test_a_location_that_is_no_url_is_a_malformed_reply(location: str) -> None:
    """It is not asked, and nothing is asked in its place."""
    with pytest.raises(MalformedReply, match="its header field Location is no URL"):
        started("POST", 202, {"Location": location})


@pytest.mark.parametrize("location", ["ftp://x.example/s3cr3t", "file://host/s3cr3t"])
def test_a_location_that_cannot_be_asked_is_a_malformed_reply(location: str) -> None:
    """The server is to blame for it, and not the caller."""
    with pytest.raises(
        MalformedReply, match="what it names cannot be followed: url must be an absolute http"
    ) as caught:
        started("POST", 202, {"Location": location})
    assert "s3cr3t" not in str(caught.value)


def test_an_empty_field_is_no_field() -> None:
    """As for azure-core."""
    job = started("PUT", 201, {"Operation-Location": "", "Location": ""})
    assert (job.monitor, job.location) == (Monitor.RESOURCE, "")


def test_a_202_without_a_way_to_follow_it_says_so() -> None:
    """The error names the three header fields."""
    with pytest.raises(MalformedReply, match="without Operation-Location, Azure-AsyncOperation and Location"):
        started("POST", 202, {})


@pytest.mark.parametrize(("body", "result"), [(b"", None), (b'{"a": 1}', {"a": 1}), (b"done", b"done")])
def test_an_operation_that_is_over_has_its_result_in_its_first_status(body: bytes, result: Any) -> None:
    """Nothing is to be polled. The operation keeps no query, which may have a signature."""
    job = started("POST", 200, {}, body)
    assert job.monitor is Monitor.NOTHING
    assert "s3cr3t" not in job.url + job.request_url
    endpoint = AzureOperationsEndpoint("https://management.example.com")
    made = endpoint.read_submitted(AzureOrder("POST", "/subscriptions/s/vm/7/start"), Reply(200, {}, body))
    assert isinstance(made, Submitted)
    assert made.reading is not None
    assert endpoint.result_request(made.job, made.reading.status) == ResultPage(result)


@pytest.mark.parametrize(
    ("status", "body", "phase"),
    [
        (200, b'{"properties": {"provisioningState": "Succeeded"}}', Phase.SUCCEEDED),
        (201, b'{"properties": {"provisioningState": "Failed"}}', Phase.FAILED),
        (200, b'{"name": "vm-7"}', Phase.SUCCEEDED),
        (201, b'{"name": "vm-7"}', None),
        (200, b'{"properties": {"provisioningState": "Creating"}}', None),
        (202, b'{"properties": {"provisioningState": "Succeeded"}}', None),
        (200, b"", None),
    ],
)
def test_a_resource_may_be_there_in_the_reply_to_its_start(status: int, body: bytes, phase: Phase | None) -> None:
    """Where azure-mgmt-core takes it for the end, too. Any other is polled at once."""
    endpoint = AzureOperationsEndpoint("https://management.example.com")
    made = endpoint.read_submitted(AzureOrder("PUT", "/vm/7"), Reply(status, {}, body))
    reading = made.reading if isinstance(made, Submitted) else None
    assert (None if reading is None else reading.phase) is phase


def test_a_resource_that_is_followed_elsewhere_is_polled_there() -> None:
    """The reply to its start says nothing about that place."""
    order = AzureOrder("PUT", "/vm/7", monitor="resource")
    endpoint = AzureOperationsEndpoint("https://management.example.com")
    made = endpoint.read_submitted(order, Reply(200, {"Location": "/vm/7/state"}, b'{"name": "vm-7"}'))
    assert isinstance(made, AzureOperation)
    assert made.url.endswith("/state")


def test_the_text_of_an_operation_has_no_query() -> None:
    """It may have a signature, and the text stands in logs and errors."""
    job = started("POST", 202, {"Location": "https://x.example/1?sig=s3cr3t"})
    assert repr(job) == "AzureOperation(POST https://management.example.com/subscriptions/s/vm/7/start)"


def test_a_web_page_is_no_end_of_a_start() -> None:
    """Whether the server got the request is in doubt."""
    with pytest.raises(MalformedReply, match="web page"):
        started("POST", 200, {"Content-Type": "text/html"}, b"<html>Sign in</html>")


def test_an_operation_keeps_no_password() -> None:
    """Its URLs would be written to ledgers. The error does not show them."""
    with pytest.raises(MalformedReply, match="without a user name") as caught:
        started("POST", 202, {"Location": "https://user:s3cr3t@x.example/1"})
    assert "s3cr3t" not in str(caught.value)


def test_the_text_of_a_start_has_no_password() -> None:
    """The request may be that of another client. Its URL cannot be kept."""
    with pytest.raises(MalformedReply) as caught:
        AzureOperation.from_reply(Request(URL("https://user:s3cr3t@x.example/1"), method="POST"), Reply(200, {}, b""))
    assert "s3cr3t" not in str(caught.value) + repr(caught.value)


def test_the_result_does_not_depend_on_the_letter_case_of_the_method() -> None:
    """`put` is PUT: the result is the resource, and not the last status."""
    job = AzureOperation(url="https://x.example/1", method="put", request_url=URL_OF_START)
    assert job == AzureOperation(url="https://x.example/1", method="PUT", request_url=URL_OF_START)
    assert job.final_url(None) == URL_OF_START


@pytest.mark.parametrize("method", ["", "P T", None, 7])
def test_a_method_that_is_none_is_refused(method: Any) -> None:
    """The error says what to write."""
    with pytest.raises(ConfigurationError, match="such as 'POST'"):
        AzureOperation(url="https://x.example/1", method=method, request_url=URL_OF_START)


@pytest.mark.parametrize("via", FinalStateVia)
@pytest.mark.parametrize("monitor", Monitor)
def test_an_operation_is_kept_whole(via: FinalStateVia, monitor: Monitor) -> None:
    """A ledger and a resume token give an equal operation back."""
    job = AzureOperation(
        url="https://x.example/1?a=b", method="PUT", request_url=URL_OF_START, monitor=monitor, final_state_via=via
    )
    keys = CODEC.job_to_keys(job)
    assert all(isinstance(value, str) for value in keys.values())
    assert CODEC.job_from_keys(keys) == job
    assert hash(CODEC.job_from_keys(keys)) == hash(job)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"url": "/operations/7"}, "url must be an absolute http or https URL"),
        ({"url": "ftp://x.example/s3cr3t"}, "url must be an absolute http or https URL"),
        ({"request_url": "http://["}, "request_url must be an absolute"),
        ({"request_url": "http://x:abc/"}, "request_url must be an absolute"),
        ({"location": "x"}, "location must be an absolute"),
        ({"monitor": "body"}, "monitor must be one of status, location, resource"),
        ({"final_state_via": "Location"}, "final_state_via must be one of default, azure-async-operation"),
    ],
)
def test_a_value_that_cannot_be_right_is_refused(change: dict[str, Any], words: str) -> None:
    """Where the operation is made, without a part of a URL in the error."""
    job = started("POST", 202, {"Location": "https://x.example/1"})
    with pytest.raises(ConfigurationError, match=words) as caught:
        attrs.evolve(job, **change)
    assert "s3cr3t" not in str(caught.value)
