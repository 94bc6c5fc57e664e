"""Waiters of botocore, end to end: one of each protocol against a server on a real socket that verifies the signatures."""

from __future__ import annotations

import asyncio
import itertools
import re
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from email.utils import formatdate
from pathlib import Path
from typing import Any

import attrs
import pytest
from aws_server import KEYS, Aws, Said, cbor, js, xml
from botocore.credentials import Credentials

from pollwise import (
    Abandoned,
    ConfigurationError,
    JobFailed,
    JobWatcher,
    Pacing,
    Progressed,
    SqliteLedger,
    Succeeded,
)
from pollwise.endpoints.aws import WaiterEndpoint, WaiterJob, waiter_endpoint, waiter_names
from pollwise.errors import (
    AuthenticationError,
    ClockSkewed,
    MalformedReply,
    PermissionDenied,
    RequestRejected,
    SetupError,
)
from pollwise.model.bounded_reply import bounded
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase
from pollwise.testing import EndpointProblems, Sample, check_endpoint
from raw_server import raw_server

pytestmark = pytest.mark.looptime

REGION = "eu-central-1"


def ec2(state: str) -> Said:
    return xml(
        '<DescribeInstancesResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><reservationSet>'
        "<item><instancesSet><item><instanceId>i-1</instanceId><launchTime>2026-11-30T00:00:00.000Z</launchTime>"
        f"<instanceState><code>0</code><name>{state}</name></instanceState></item></instancesSet></item></reservationSet>"
        "</DescribeInstancesResponse>"
    )


def ec2_error(code: str, status: int = 400) -> Said:
    error = f"<Error><Code>{code}</Code><Message>It said {code}.</Message></Error>"
    return xml(f"<Response><Errors>{error}</Errors><RequestID>r</RequestID></Response>", status)


def stack(status: str) -> Said:
    return xml(
        "<DescribeStacksResponse><DescribeStacksResult><Stacks><member><StackName>s</StackName>"
        f"<StackStatus>{status}</StackStatus></member></Stacks></DescribeStacksResult></DescribeStacksResponse>"
    )


def stack_gone() -> Said:
    error = "<Error><Type>Sender</Type><Code>ValidationError</Code><Message>Stack does not exist</Message></Error>"
    return xml(f"<ErrorResponse>{error}<RequestId>r</RequestId></ErrorResponse>", 400)


def invalidation(status: str) -> Said:
    return xml(f"<Invalidation><Id>I</Id><Status>{status}</Status></Invalidation>")


@asynccontextmanager
async def watching(
    aws: Aws, service: str, waiter: str, *, keys: Any = KEYS, **options: Any
) -> AsyncIterator[tuple[WaiterEndpoint, JobWatcher[WaiterJob, Mapping[str, Any]]]]:
    """A watcher of a waiter at the server, and its endpoint."""
    async with raw_server(aws) as server:
        aws.server = server
        endpoint = waiter_endpoint(service, waiter, region=REGION, credentials=keys, endpoint_url=server.url)
        given: dict[str, Any] = {"timeout_s": 6_000.0, "pacing": Pacing(min_s=1.0, max_s=2.0), **options}
        async with JobWatcher(endpoint, **given) as watcher:
            yield endpoint, watcher


async def events_of(aws: Aws, service: str, waiter: str, parameters: Mapping[str, Any], **options: Any) -> list[Any]:
    async with watching(aws, service, waiter, **options) as (endpoint, watcher):
        return [event async for event in watcher.watch(endpoint.job(**parameters))]


# --- each protocol ------------------------------------------------------------------------------

ONE_OF_EACH = {
    "ec2": ("ec2", "instance_running", {"InstanceIds": ["i-1"]}, [ec2_error("InvalidInstanceID.NotFound"), ec2("pending"), ec2("running")]),
    "query": ("cloudformation", "stack_delete_complete", {"StackName": "s"}, [stack("DELETE_IN_PROGRESS"), stack_gone()]),
    "json": (
        "dynamodb",
        "table_exists",
        {"TableName": "t"},
        [
            js({"__type": "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"}, 400),
            js({"Table": {"TableStatus": "CREATING"}}),
            js({"Table": {"TableStatus": "ACTIVE"}}),
        ],
    ),
    "rest-json": (
        "lambda",
        "function_active_v2",
        {"FunctionName": "f/ü"},
        [js({"Configuration": {"State": "Pending"}}), js({"Configuration": {"State": "Active"}})],
    ),
    "rest-xml": (
        "s3",
        "object_exists",
        {"Bucket": "bucket", "Key": "a folder/käse+1"},
        [Said(status=404), Said(fields={"ETag": '"e"'})],
    ),
    "cbor": ("eventbridgev2", "event_bus_active", {"Name": "b"}, [cbor({"State": "CREATING"}), cbor({"State": "ACTIVE"})]),
}  # fmt: skip


@pytest.mark.parametrize("protocol", ONE_OF_EACH)
async def test_a_waiter_of_each_protocol_waits_to_the_end(protocol: str) -> None:
    """Requests are signed as the service wants them, and replies decide as in botocore."""
    service, waiter, given, replies = ONE_OF_EACH[protocol]
    if protocol == "cbor":
        try:
            waiter_names(service)
        except ConfigurationError:
            pytest.skip("this botocore has no waiter with CBOR")
        given = _cbor_parameters(service)
    aws = Aws(*replies, region=REGION)
    events = await events_of(aws, service, waiter, given)
    assert [type(event) for event in events][-1] is Succeeded, events
    assert aws.wrong == []
    assert aws.verified == len(replies)


def _cbor_parameters(service: str) -> dict[str, Any]:
    import botocore.session  # noqa: PLC0415  # only this test asks the model

    model: Any = botocore.session.get_session().get_service_model(service)
    return dict.fromkeys(model.operation_model("DescribeEventBus").input_shape.required_members, "bus")


async def test_the_status_is_the_parsed_reply() -> None:
    """With the names of the model, dates as texts, and nothing that differs in each reply."""
    aws = Aws(ec2("pending"), ec2("running"))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert isinstance(events[0], Progressed)
    assert events[-1].status == {
        "Reservations": [
            {
                "Instances": [
                    {
                        "InstanceId": "i-1",
                        "LaunchTime": "2026-11-30T00:00:00+00:00",
                        "State": {"Code": 0, "Name": "running"},
                    }
                ]
            }
        ]
    }


async def test_an_equal_reply_is_silent() -> None:
    """Its request ID and its header fields do not count."""
    aws = Aws(ec2("pending"), ec2("pending"), ec2("pending"), ec2("running"))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert [type(event) for event in events] == [Progressed, Succeeded]


async def test_a_failure_state_is_a_failed_job() -> None:
    """The reason names the rule."""
    aws = Aws(ec2("shutting-down"))
    async with watching(aws, "ec2", "instance_running") as (endpoint, watcher):
        with pytest.raises(JobFailed, match=r"one of Reservations\[\].Instances\[\].State.Name is 'shutting-down'"):
            await watcher.watch(endpoint.job(InstanceIds=["i-1"]))


async def test_the_delay_of_the_waiter_is_a_floor() -> None:
    """Also where the pacing of the watcher is quicker; its attempts make the suggested timeout."""
    times: list[float] = []

    class Timed(Aws):
        def __call__(self, line: Any) -> None:
            times.append(asyncio.get_running_loop().time())
            super().__call__(line)

    aws = Timed(ec2("pending"), ec2("pending"), ec2("running"))
    async with watching(aws, "ec2", "instance_running") as (endpoint, watcher):
        assert (endpoint.delay_s, endpoint.max_attempts, endpoint.suggested_timeout_s) == (15.0, 40, 600.0)
        await watcher.watch(endpoint.job(InstanceIds=["i-1"]))
    assert all(later - at >= 15.0 for at, later in itertools.pairwise(times))


# --- errors -------------------------------------------------------------------------------------


async def test_throttling_is_a_rate_limit() -> None:
    """EC2 throttles with 503 and other services with 400; the job is asked about again."""
    aws = Aws(ec2_error("RequestLimitExceeded", 503), ec2_error("Throttling"), ec2("running"))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert isinstance(events[-1], Succeeded)
    assert len(aws.targets) == 3


async def test_a_fault_of_aws_is_asked_again() -> None:
    """5xx, also with a body that is no XML, and a time-out that AWS calls the client's fault."""
    faults = (Said(b"<html>", 500), Said(b"", 502), ec2_error("InternalError", 500), ec2_error("RequestTimeout"))
    aws = Aws(*faults, ec2("running"))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert isinstance(events[-1], Succeeded)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (ec2_error("UnauthorizedOperation", 403), PermissionDenied),
        (ec2_error("InvalidParameterValue"), RequestRejected),
        (ec2_error("AuthFailure", 401), AuthenticationError),
        (ec2_error("SignatureDoesNotMatch", 403), AuthenticationError),
        (Said(b"", 301), RequestRejected),
    ],
)
async def test_an_error_that_no_acceptor_matches_is_no_failure_of_the_job(said: Said, kind: type[Exception]) -> None:
    """The watch is abandoned, and the error says what AWS said."""
    events = await events_of(Aws(said), "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert isinstance(events[-1], Abandoned)
    assert isinstance(events[-1].error, kind)
    if said.body:
        assert re.search("It said .*; request ID r; code ", str(events[-1].error))


async def test_a_wrong_clock_is_named() -> None:
    """With the words of AWS."""
    refused = ec2_error("RequestTimeTooSkewed", 403)
    date = formatdate(time.time() - 1_000.0, usegmt=True)
    aws = Aws(attrs.evolve(refused, fields={**refused.fields, "Date": date}))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]})
    assert isinstance(events[-1].error, ClockSkewed)
    assert re.search(r"10\d\d s ahead of the server's", str(events[-1].error))
    assert "It said RequestTimeTooSkewed" in str(events[-1].error)


async def test_a_request_asks_for_no_json() -> None:
    """Some services would reply in JSON for the transport's own `Accept`."""
    aws = Aws(stack_gone())
    await events_of(aws, "cloudformation", "stack_delete_complete", {"StackName": "s"})
    assert b"\r\nAccept: */*\r\n" in aws.server.requests[0]


@pytest.mark.parametrize(
    ("service", "waiter", "parameters", "said"),
    [
        ("ec2", "instance_running", {"InstanceIds": ["i-1"]}, xml("<html><body>Sign in</body></html>")),
        ("ec2", "instance_running", {"InstanceIds": ["i-1"]}, Said(b"<DescribeInstancesResponse>")),
        ("ec2", "instance_running", {"InstanceIds": ["i-1"]}, Said(b"")),
        (
            "ec2",
            "instance_running",
            {"InstanceIds": ["i-1"]},
            Said(b'<!DOCTYPE x [<!ENTITY a "a">]><DescribeInstancesResponse>&a;</DescribeInstancesResponse>'),
        ),
        ("dynamodb", "table_exists", {"TableName": "t"}, Said(b"Welcome")),
        ("dynamodb", "table_exists", {"TableName": "t"}, Said(b"[1]")),
        ("dynamodb", "table_exists", {"TableName": "t"}, Said(b"{}", fields={"Content-Type": "text/html"})),
        (
            "dynamodb",
            "table_exists",
            {"TableName": "t"},
            js({"Table": {"TableStatus": 1, "CreationDateTime": "never"}}),
        ),
        (
            "ecs",
            "services_stable",
            {"services": ["s"]},
            js({"services": [], "failures": [], "more": [[0] * 2_000]}),
        ),
        ("cloudfront", "invalidation_completed", {"DistributionId": "D", "Id": "I"}, Said(b"no xml")),
        (
            "cloudfront",
            "invalidation_completed",
            {"DistributionId": "D", "Id": "I"},
            xml("<?xml version='1.0'?> <html/>"),
        ),
    ],
)
def test_a_reply_of_another_form_is_no_answer(
    service: str, waiter: str, parameters: Mapping[str, Any], said: Said
) -> None:
    """A gateway's page, half a document, or one that was cut. Botocore would read most of them as empty replies."""
    endpoint = waiter_endpoint(service, waiter, region=REGION)
    with pytest.raises(MalformedReply):
        endpoint.read_for(endpoint.job(**parameters), bounded(Reply(said.status, said.fields, said.body)))


async def test_a_page_of_a_gateway_is_a_wrong_set_up() -> None:
    """It is no reply of AWS. If no poll has worked before, the watch ends soon."""
    aws = Aws(xml("<html><body>Sign in</body></html>"))
    outcome = (await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]}))[-1]
    assert isinstance(outcome, Abandoned)
    assert isinstance(outcome.error, SetupError)
    assert isinstance(outcome.error.last_error, MalformedReply)


async def test_a_changed_file_of_credentials_is_read_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """After a refusal, as with temporary keys that a tool writes."""
    file = tmp_path / "credentials"
    _write(file, "AKIDOLD", "old")
    for name in ("AWS_ACCESS_KEY_ID", "AWS_PROFILE", "AWS_SESSION_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(file))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")

    class Rotating(Aws):
        def __call__(self, line: Any) -> None:
            super().__call__(line)
            if len(self.targets) == 2:
                _write(file, "AKIDNEW", "new-secret-key")
                self.keys = Credentials("AKIDNEW", "new-secret-key")

    aws = Rotating(ec2("pending"), ec2_error("ExpiredToken"), ec2("running"), keys=Credentials("AKIDOLD", "old"))
    events = await events_of(aws, "ec2", "instance_running", {"InstanceIds": ["i-1"]}, keys=None)
    assert isinstance(events[-1], Succeeded)
    assert aws.wrong == []


def _write(file: Path, key: str, secret: str) -> None:
    file.write_text(f"[default]\naws_access_key_id = {key}\naws_secret_access_key = {secret}\n")


# --- jobs, ledgers and names ----------------------------------------------------------------------


async def test_a_wait_is_kept_in_a_ledger_and_in_a_token(tmp_path: Path) -> None:
    """Another process goes on with it."""
    aws = Aws(ec2("pending"))
    async with SqliteLedger(tmp_path / "ledger") as ledger:
        async with watching(aws, "ec2", "instance_running", ledger=ledger, timeout_s=600.0) as (endpoint, watcher):
            watch = await watcher.record(endpoint.job(InstanceIds=["i-1"]))
            async for _ in watch:
                break
            token = watch.resume_token
            aws.replies = [ec2("running")]
            first = aws.server
        async with raw_server(aws) as server:
            aws.server = server
            again = waiter_endpoint("ec2", "instance_running", region=REGION, credentials=KEYS, endpoint_url=server.url)
            async with JobWatcher(again, timeout_s=600.0, ledger=ledger, moved_from=first.url) as watcher:
                (resumed,) = await watcher.resume()
                assert resumed.job == again.job(InstanceIds=["i-1"])
                assert (await resumed)["Reservations"]
            async with JobWatcher(again, timeout_s=600.0, moved_from=first.url) as watcher:
                assert watcher.watch_from_token(token).job == resumed.job


@pytest.mark.parametrize(
    ("service", "waiter", "wrong"),
    [
        ("ecc2", "instance_running", "no waiters of a service 'ecc2'; similar ones are ec2"),
        ("ec2", "instance_runing", "no waiter 'instance_runing'; similar ones are instance_running"),
        ("s3", "done", "bucket_exists, bucket_not_exists, object_exists, object_not_exists"),
        ("sts", "done", "no waiters"),
    ],
)
def test_an_unknown_name_is_refused_with_similar_ones(service: str, waiter: str, wrong: str) -> None:
    """Before anything is loaded that takes long."""
    with pytest.raises(ConfigurationError, match=wrong):
        waiter_endpoint(service, waiter, region=REGION)


def test_a_waiter_may_have_its_name_of_the_model() -> None:
    """`BucketExists` is `bucket_exists`."""
    endpoint = waiter_endpoint("s3", "BucketExists", region=REGION)
    assert endpoint.name == "aws:s3:bucket_exists:eu-central-1"
    assert "bucket_exists" in waiter_names("s3")
    assert repr(endpoint) == "WaiterEndpoint('aws:s3:bucket_exists:eu-central-1')"


def test_a_region_is_needed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Unless the configuration has one."""
    for name in ("AWS_DEFAULT_REGION", "AWS_REGION", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ConfigurationError, match="pass a region"):
        waiter_endpoint("dynamodb", "table_exists")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert waiter_endpoint("dynamodb", "table_exists").name == "aws:dynamodb:table_exists:eu-west-1"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"delay_s": 0}, "delay_s must be a positive number"),
        ({"profile": "no-such"}, "no-such"),
        ({"credentials": "AKID"}, "credentials must be an object"),
        ({"endpoint_url": "nowhere"}, "nowhere"),
        ({"account": "eyJhbGciOi.eyJzdWIiOiIx.c2ln"}, "looks like a credential"),
    ],
)
def test_a_wrong_option_is_refused(options: dict[str, Any], wrong: str) -> None:
    """ConfigurationError, before any request."""
    with pytest.raises(ConfigurationError, match=wrong):
        waiter_endpoint("dynamodb", "table_exists", region=REGION, **options)


@pytest.mark.parametrize(
    ("parameters", "wrong"),
    [
        ({}, "Bucket"),
        ({"Bucket": "b", "Key": "k", "Kee": "x"}, "Kee"),
        ({"Bucket": "b", "Key": ["k"]}, "Invalid type for parameter Key"),
        ({"Bucket": ["b"], "Key": "k"}, "Invalid type for parameter Bucket"),
        ({"Bucket": "b", "Key": "k", "SSECustomerKey": "c2VjcmV0"}, "SSECustomerKey of HeadObject is a secret"),
        ({"Bucket": "b", "Key": object()}, "the parameter Key must be"),
    ],
)
def test_a_job_with_wrong_parameters_is_refused(parameters: dict[str, Any], wrong: str) -> None:
    """When it is made."""
    endpoint = waiter_endpoint("s3", "object_exists", region=REGION)
    with pytest.raises(ConfigurationError, match=wrong) as caught:
        endpoint.job(**parameters)
    assert "c2VjcmV0" not in str(caught.value)


def test_a_waiter_passes_the_checks_of_every_endpoint() -> None:
    """Whatever values stand in a reply. An empty object is a reply, because a service may leave out empty lists."""
    endpoint = waiter_endpoint("dynamodb", "table_exists", region=REGION)
    job = endpoint.job(TableName="t")
    table = {"TableName": "t", "CreationDateTime": 1.7e9, "KeySchema": [{"AttributeName": "a", "KeyType": "HASH"}]}
    samples = [
        Sample(job=job, reply={"Table": {**table, "TableStatus": "CREATING"}}, phase=Phase.RUNNING),
        Sample(job=job, reply={"Table": {**table, "TableStatus": "ACTIVE"}}, phase=Phase.SUCCEEDED),
    ]
    with pytest.raises(EndpointProblems) as caught:
        check_endpoint(endpoint, samples, states=["Table.TableStatus"])
    assert [problem.partition(" for ")[2] for problem in caught.value.problems] == [
        "an empty JSON object; it gave a reading"
    ]


def test_the_delay_can_be_chosen() -> None:
    """As `WaiterConfig` of botocore does; a body that nothing can read has no problem."""
    endpoint = waiter_endpoint("ec2", "instance_running", region=REGION, delay_s=1.0)
    said = ec2_error("InvalidInstanceID.NotFound")
    assert endpoint.read(Reply(400, said.fields, said.body)).poll_after_s == 1.0
    assert endpoint.problem(Reply(500, {}, b"\xff")) is None
