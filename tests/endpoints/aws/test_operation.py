"""Requests and replies of AWS operations: as botocore's own client makes and reads them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import orjson
import pytest
import time_machine
from aws_server import KEYS, SESSION
from botocore.awsrequest import AWSPreparedRequest
from botocore.handlers import add_retry_headers
from yarl import URL

from pollwise import ConfigurationError, Request
from pollwise.endpoints.aws import waiter_endpoint
from pollwise.endpoints.aws.operation import Operation, OperationAuth, plain
from pollwise.errors import AuthenticationError, MalformedReply, ServerUnavailable
from pollwise.model.messages import Reply

REGION = "eu-central-1"


class _Seen(Exception):
    def __init__(self, request: AWSPreparedRequest) -> None:
        self.request = request


def _see(request: AWSPreparedRequest, **_event: Any) -> None:
    raise _Seen(request)


def by_client(service: str, operation: str, parameters: dict[str, Any]) -> AWSPreparedRequest:
    """The request that botocore's client would send."""
    client: Any = SESSION.create_client(
        service,
        region_name=REGION,
        aws_access_key_id=KEYS.access_key,
        aws_secret_access_key=KEYS.secret_key,
        aws_session_token=KEYS.token,
    )
    client.meta.events.unregister("request-created", add_retry_headers)  # an ID of the client's own attempts
    client.meta.events.register_first(f"before-send.{client.meta.service_model.service_id.hyphenize()}", _see)
    try:
        getattr(client, operation)(**parameters)
    except _Seen as seen:
        return seen.request
    raise AssertionError("nothing was sent")


SAME: list[tuple[str, str, str, dict[str, Any]]] = [
    ("ec2", "instance_running", "describe_instances", {"InstanceIds": ["i-1", "i-2"], "MaxResults": 7}),
    ("rds", "db_instance_available", "describe_db_instances", {"DBInstanceIdentifier": "a b&c=d"}),
    ("dynamodb", "table_exists", "describe_table", {"TableName": "t"}),
    ("lambda", "function_exists", "get_function", {"FunctionName": "f:ü", "Qualifier": "1 2"}),
    ("s3", "object_exists", "head_object", {"Bucket": "bucket", "Key": "a//b/../c d+e%ü?#"}),
    ("s3", "bucket_exists", "head_bucket", {"Bucket": "Old.Bucket_1"}),
    (
        "s3",
        "object_exists",
        "head_object",
        {"Bucket": "arn:aws:s3:eu-west-1:123456789012:accesspoint/mine", "Key": "k"},
    ),
    ("cloudfront", "invalidation_completed", "get_invalidation", {"DistributionId": "D", "Id": "I"}),
    ("glacier", "vault_exists", "describe_vault", {"vaultName": "v"}),
    ("ecs", "services_stable", "describe_services", {"services": ["s"]}),
]


@pytest.mark.parametrize(("service", "waiter", "operation", "parameters"), SAME)
async def test_a_request_is_that_of_botocores_client(
    service: str, waiter: str, operation: str, parameters: dict[str, Any]
) -> None:
    """URL, method, body, header fields and signature, to the letter."""
    endpoint = waiter_endpoint(service, waiter, region=REGION, credentials=KEYS)
    auth: Any = endpoint.auth
    await auth.renew(None, 0.0, None)
    with time_machine.travel("2026-11-30T00:00:00Z", tick=False):
        made = auth.sign(endpoint.request(endpoint.job(**parameters)))
        expected = by_client(service, operation, parameters)
    assert str(made.url) == expected.url
    assert made.method == expected.method
    body: Any = expected.body
    assert made.body == (body.encode() if isinstance(body, str) else body)
    fields = {
        name.lower(): value.decode() if isinstance(value, bytes) else value for name, value in expected.headers.items()
    }
    for own in ("user-agent", "content-length"):
        fields.pop(own, None)
    fields["accept"] = "*/*"  # not signed; the transport's own would be JSON
    assert {name.lower(): value for name, value in made.headers.items()} == fields


def test_a_request_is_made_once_for_a_job() -> None:
    """Only its signature is new for each attempt."""
    endpoint = waiter_endpoint("dynamodb", "table_exists", region=REGION)
    job = endpoint.job(TableName="t")
    assert endpoint.request(job) is endpoint.request(endpoint.job(TableName="t"))


async def test_a_request_of_another_endpoint_is_not_signed() -> None:
    """The rules for signing belong to the endpoint."""
    auth: Any = waiter_endpoint("dynamodb", "table_exists", region=REGION, credentials=KEYS).auth
    await auth.renew(None, 0.0, None)
    assert isinstance(auth, OperationAuth)
    with pytest.raises(AuthenticationError, match="none of the endpoint for DescribeTable"):
        auth.sign(Request(URL("https://evil.example")))


def test_an_unknown_service_is_refused() -> None:
    """With botocore's words."""
    with pytest.raises(ConfigurationError, match="botocore cannot make a client of no-such"):
        Operation(SESSION, "no-such", "X", region=REGION, endpoint_url=None)


@pytest.mark.parametrize("bucket", ["mine--euc1-az1--x-s3", "arn:aws:s3::123456789012:accesspoint:mfzwi23gnjvgw.mrap"])
def test_a_bucket_with_other_signatures_is_refused(bucket: str) -> None:
    """Directory buckets and access points of several regions. Botocore would send requests of its own for them."""
    endpoint = waiter_endpoint("s3", "object_exists", region=REGION)
    with pytest.raises(ConfigurationError, match=r"signatures of the kind|additional dependency"):
        endpoint.job(Bucket=bucket, Key="k")


def test_the_client_of_botocore_sends_nothing() -> None:
    """Its handlers might; here they cannot."""
    operation: Any = waiter_endpoint("dynamodb", "table_exists", region=REGION)._operation
    with pytest.raises(RuntimeError, match="must not send"):
        operation._client.list_tables()


def test_a_200_of_s3_may_be_an_error() -> None:
    """As botocore's handler for S3 has it. The bucket is not there because of it."""
    endpoint = waiter_endpoint("s3", "bucket_exists", region=REGION)
    with pytest.raises(ServerUnavailable, match="HTTP 500"):
        endpoint.read(Reply(200, {}, b"<Error><Code>InternalError</Code><Message>m</Message></Error>"))


@pytest.mark.parametrize("body", [b"\xff\xfe", b"<a" * 1_000, b'{"Table": ' + b"[" * 5_000, b"\x00", b'{"Table": [1]}'])
@pytest.mark.parametrize(("service", "waiter"), [("dynamodb", "table_exists"), ("rds", "db_instance_available")])
def test_a_hostile_body_is_malformed(service: str, waiter: str, body: bytes) -> None:
    """Whatever botocore's parser raises."""
    endpoint = waiter_endpoint(service, waiter, region=REGION)
    with pytest.raises(MalformedReply):
        endpoint.read(Reply(200, {}, body))


def test_values_become_those_of_json() -> None:
    """Dates in UTC, bytes in base64, and nothing that orjson cannot write into a ledger."""
    east = dt.timezone(dt.timedelta(hours=2))
    given = {
        "at": dt.datetime(2026, 11, 30, 2, tzinfo=east),
        "blob": b"\x00\xff",
        "list": [1, 1.5, math.nan, math.inf, None, True, "x"],
        "large": [2**64 - 1, 2**64, 10**400, -math.inf],
        "ü\ud800": "€\udfff",
        1: {2, 3} and "set",
        "other": 1j,
    }
    assert orjson.loads(orjson.dumps(plain(given))) == {
        "at": "2026-11-30T00:00:00+00:00",
        "blob": "AP8=",
        "list": [1, 1.5, None, None, None, True, "x"],
        "large": [2**64 - 1, 2.0**64, None, None],
        "ü?": "€?",
        "1": "set",
        "other": "1j",
    }
