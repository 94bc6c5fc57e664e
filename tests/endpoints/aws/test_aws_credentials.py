"""Where AWS credentials come from, how long they are used, and what is said if there are none."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from aws_server import KEYS, Aws, js
from botocore import exceptions as aws_errors
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials, RefreshableCredentials
from yarl import URL

from pollwise import ConfigurationError, JobWatcher, Reading, Reply, Request
from pollwise.endpoints.aws import AwsAuth
from pollwise.errors import AuthenticationError, ConnectFailed, PollwiseError
from pollwise.model.protocols import Transport
from pollwise.testing import ScriptedTransport
from raw_server import raw_server

VIA: Transport = ScriptedTransport([Reply(500, {}, b"")])
REGION = "eu-central-1"


class Source:
    """Gives the next of these keys, or raises."""

    def __init__(self, *given: Any) -> None:
        self.given = list(given)
        self.threads: list[str] = []

    def get_frozen_credentials(self) -> Any:
        self.threads.append(threading.current_thread().name)
        found = self.given.pop(0) if len(self.given) > 1 else self.given[0]
        if isinstance(found, Exception):
            raise found
        return found


def auth_of(*given: Any) -> AwsAuth:
    return AwsAuth("execute-api", region=REGION, credentials=Source(*given))


@pytest.fixture
def config(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An AWS configuration that is empty, and the only one."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "config"))
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "credentials"))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    return tmp_path / "config"


class Function:
    """An API of the user's own behind API Gateway, with a wait in each query."""

    name = "function"

    def __init__(self, base_url: str, auth: AwsAuth) -> None:
        self._url = URL(base_url)
        self.auth = auth

    def request(self, job: str, /) -> Request:
        return Request(self._url / "jobs" / job / "a b" % {"z": "1", "a": "ü/"})

    def read(self, reply: Reply, /) -> Reading[str]:
        return Reading.succeeded(str(reply.json()["state"]))


@pytest.mark.looptime
@pytest.mark.parametrize("service", ["execute-api", "s3"])
async def test_any_endpoint_can_be_signed(service: str) -> None:
    """With the service's name in signatures, such as that of API Gateway. S3 has rules of its own for paths."""
    aws = Aws(js({"state": "done"}), service=service, region=REGION)
    async with raw_server(aws) as server:
        aws.server = server
        endpoint = Function(server.url, AwsAuth(service, region=REGION, credentials=KEYS))
        async with JobWatcher(endpoint, timeout_s=60.0) as watcher:
            assert await watcher.watch("7") == "done"
    assert aws.wrong == []
    assert aws.verified == 1


@pytest.mark.parametrize(
    ("query", "sent"),
    [
        ("", ""),
        ("a=1&b=%20", "?a=1&b=%20"),
        ("q=a+b&t=10:30/x,y@z", "?q=a%20b&t=10%3A30%2Fx%2Cy%40z"),
        ("flag&empty=", "?flag&empty="),
        ("a=b=c&d=", "?a=b%3Dc&d="),
        ("bad=%ff+&low=%3a", "?bad=%FF%20&low=%3A"),
    ],
)
async def test_a_query_is_signed_and_sent_percent_encoded(query: str, sent: str) -> None:
    """AWS reads `+` as a space, and computes the signature over `%20`."""
    auth = auth_of(KEYS)
    await auth.renew(VIA, 0.0, None)
    made = auth.sign(Request(URL(f"https://x.example/p?{query}", encoded=True)))
    assert str(made.url) == f"https://x.example/p{sent}"


async def test_credentials_are_fetched_in_a_thread_and_shared() -> None:
    """The event loop goes on meanwhile."""
    auth = auth_of(KEYS)
    assert auth.headers(0.0) is None
    await asyncio.gather(*[auth.renew(VIA, 0.0, None) for _ in range(5)])
    source: Any = auth._given
    assert len(source.threads) == 1
    assert source.threads != [threading.current_thread().name]
    assert auth.headers(1e9) == {}
    assert auth.headers(1e9) is auth.headers(0.0)


async def test_credentials_that_expire_are_asked_for_again() -> None:
    """Every nine minutes, and sooner if botocore could not renew them."""
    until = dt.datetime.now(dt.UTC)

    def refreshable(minutes: float) -> Any:
        return RefreshableCredentials(
            "AKID", "secret", "token", until + dt.timedelta(minutes=minutes), refresh_using=dict, method="test"
        )

    long = AwsAuth("s3", region=REGION, credentials=refreshable(60))
    await long.renew(VIA, 0.0, None)
    assert long.headers(539.0) is not None
    assert long.headers(541.0) is None

    class Failing(RefreshableCredentials):
        def get_frozen_credentials(self) -> Any:  # as botocore does in the last fifteen minutes, if a renewal fails
            return KEYS.get_frozen_credentials()

    brief = Failing("AKID", "s", "t", until + dt.timedelta(minutes=12), refresh_using=dict, method="test")
    short = AwsAuth("s3", region=REGION, credentials=brief)
    await short.renew(VIA, 0.0, None)
    assert short.headers(26.0) is not None
    assert short.headers(28.0) is None


async def test_refused_credentials_are_not_used_again() -> None:
    """New ones from the same source are; the same ones are an error that says what to do."""
    other = Credentials("AKIDOTHER", "other").get_frozen_credentials()
    auth = auth_of(KEYS, KEYS, other)
    await auth.renew(VIA, 0.0, None)
    refused = auth.headers(0.0)
    with pytest.raises(AuthenticationError, match="finds the same ones"):
        await auth.renew(VIA, 0.0, refused)
    assert auth.headers(0.0) is None
    await auth.renew(VIA, 10.0, None)
    assert auth.headers(10.0) == {}
    assert "AKIDOTHER" in auth.sign(Request(URL("https://x.example"))).headers["Authorization"]


@pytest.mark.parametrize(
    ("raised", "kind", "words"),
    [
        (aws_errors.ProfileNotFound(profile="work"), AuthenticationError, "work"),
        (aws_errors.NoCredentialsError(), AuthenticationError, "Unable to locate credentials"),
        (aws_errors.UnauthorizedSSOTokenError(), AuthenticationError, "SSO"),
        (
            aws_errors.CredentialRetrievalError(provider="x", error_msg="s3cr3t"),
            ConnectFailed,
            "CredentialRetrievalError",
        ),
        (aws_errors.EndpointConnectionError(endpoint_url="https://sts"), ConnectFailed, "EndpointConnectionError"),
        (OSError("s3cr3t"), ConnectFailed, "OSError"),
        (
            aws_errors.ClientError({"Error": {"Code": "AccessDenied"}}, "AssumeRole"),
            AuthenticationError,
            "AccessDenied",
        ),
        (aws_errors.ClientError({"Error": {"Code": "Throttling"}}, "AssumeRole"), ConnectFailed, "Throttling"),
        (
            aws_errors.ClientError({"Error": {"Code": "X"}, "ResponseMetadata": {"HTTPStatusCode": 503}}, "AssumeRole"),  # type: ignore[typeddict-item]
            ConnectFailed,
            "X",
        ),
        (KeyError("s3cr3t"), AuthenticationError, "KeyError"),
    ],
)
async def test_what_botocore_raises_is_told_apart(raised: Exception, kind: type[PollwiseError], words: str) -> None:
    """What the user has to mend ends the watch, and what may pass is tried again."""
    with pytest.raises(kind, match=words) as caught:
        await auth_of(raised).renew(VIA, 0.0, None)
    assert "s3cr3t" not in str(caught.value)


async def test_missing_credentials_are_named(config: Path) -> None:
    """With what to set."""
    with pytest.raises(AuthenticationError, match="Set AWS_ACCESS_KEY_ID"):
        await AwsAuth("s3", region=REGION).renew(VIA, 0.0, None)
    config.write_text("[profile half]\naws_access_key_id = AKID\n")
    with pytest.raises(AuthenticationError, match="Partial credentials"):
        await AwsAuth("s3", region=REGION, profile="half").renew(VIA, 0.0, None)


async def test_a_profile_may_run_a_program(config: Path, tmp_path: Path) -> None:
    """Botocore runs it, in the thread."""
    program = tmp_path / "keys.py"
    keys = {"Version": 1, "AccessKeyId": "AKIDRUN", "SecretAccessKey": "x"}
    program.write_text(f"print({json.dumps(json.dumps(keys))})")
    config.write_text(f"[profile run]\ncredential_process = {sys.executable} -I -S {program}\n")
    auth = AwsAuth("s3", region=REGION, profile="run")
    await auth.renew(VIA, 0.0, None)
    assert "AKIDRUN" in auth.sign(Request(URL("https://x.example"))).headers["Authorization"]


async def test_no_signature_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    """Also at the level DEBUG, at which botocore logs them."""
    caplog.set_level("DEBUG")
    auth = auth_of(KEYS)
    await auth.renew(VIA, 0.0, None)
    made = auth.sign(Request(URL("https://x.example")))
    for secret in (made.headers["Authorization"][-64:], KEYS.token, KEYS.secret_key):
        assert str(secret) not in caplog.text
    SigV4Auth(KEYS, "s3", REGION).add_auth(AWSRequest("GET", "https://x.example", {}, b""))
    assert "Signature:" in caplog.text


def test_nothing_is_signed_before_there_are_credentials() -> None:
    """A watcher calls `renew` first."""
    with pytest.raises(AuthenticationError, match="Call renew first"):
        auth_of(KEYS).sign(Request(URL("https://x.example")))


def test_an_auth_shows_no_secret() -> None:
    """Neither key nor token."""
    auth = AwsAuth("s3", region=REGION, credentials=KEYS)
    assert repr(auth) == "AwsAuth(***, service='s3', region='eu-central-1')"


@pytest.mark.parametrize(
    ("options", "wrong"),
    [
        ({"region": ""}, "region must be a name"),
        ({"region": None}, "region must be a name"),
        ({"region": REGION, "credentials": ("AKID", "x")}, "credentials must be an object"),
        ({"region": REGION, "credentials": KEYS, "profile": "p"}, "not both"),
    ],
)
def test_a_wrong_argument_is_refused(options: dict[str, Any], wrong: str) -> None:
    """At once, and without its value if that may be a secret."""
    with pytest.raises(ConfigurationError, match=wrong):
        AwsAuth("s3", **options)
