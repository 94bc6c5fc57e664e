"""An endpoint for each waiter of botocore.

Rule 1: the waiter's acceptors decide, as in botocore. The status is the parsed reply, without its request ID and header fields,
because they differ in each reply.
Rule 2: the waiter's delay is the least time between two polls. Its number of attempts makes a timeout that is only suggested.
Rule 3: an error that no acceptor matches is no failure of the job. Throttling, faults of the server and refused credentials are
told apart by the error code. Everything else ends the watch as `Abandoned`, as any refusal does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Final

import botocore
from botocore import exceptions as aws_errors
from botocore.session import Session

from pollwise.core.identity import checked_account
from pollwise.endpoints.aws.acceptors import State, acceptors_of, decided, error_code
from pollwise.endpoints.aws.credentials import AwsAuth, CredentialSource, new_session
from pollwise.endpoints.aws.jobs import WaiterCodec, WaiterJob
from pollwise.endpoints.aws.operation import Operation, OperationAuth, plain
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    MalformedReply,
    PermissionDenied,
    Problem,
    RateLimited,
    ServerUnavailable,
)
from pollwise.model.abilities import NEVER_ANSWERS
from pollwise.model.limits import require_seconds
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading

__all__ = ["WaiterEndpoint", "waiter_endpoint", "waiter_names"]

_KEPT_REQUESTS: Final = 2_048
_LONGEST_WORDS: Final = 500
_LONGEST_CODE: Final = 100
# Error codes, as the SDKs of AWS class them: https://docs.aws.amazon.com/sdkref/latest/guide/feature-retry-behavior.html
_THROTTLED: Final = frozenset(
    {
        "BandwidthLimitExceeded",
        "EC2ThrottledException",
        "LimitExceededException",
        "PriorRequestNotComplete",
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestThrottledException",
        "SlowDown",
        "ThrottledException",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
        "TransactionInProgressException",
    }
)
_UNAVAILABLE: Final = frozenset({"RequestTimeout", "RequestTimeoutException"})
_REFUSED_KEYS: Final = frozenset(
    {
        "AuthFailure",
        "ExpiredToken",
        "ExpiredTokenException",
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "InvalidSignatureException",
        "InvalidToken",
        "RequestExpired",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "UnrecognizedClientException",
    }
)
_FORBIDDEN: Final = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class WaiterEndpoint(Endpoint[WaiterJob, Mapping[str, Any]]):
    """The endpoint of one waiter, as `waiter_endpoint` makes it.

    A status is the parsed reply, as botocore's client returns it, but in JSON's types: a date is a text in ISO 8601 and in UTC,
    bytes are base64. It has no `ResponseMetadata`. The status of an error that is an answer has `Error` with `Code`.

    Attributes:
        waiter: The name of the waiter, such as `instance_running`.
        delay_s: Least seconds between two polls of a job.
        max_attempts: How often botocore's own waiter would ask.
    """

    answer_statuses = frozenset(range(300, 600)) - NEVER_ANSWERS

    def __init__(
        self,
        operation: Operation,
        auth: AwsAuth,
        waiter: str,
        config: Mapping[str, Any],
        *,
        account: str,
        delay_s: float | None,
    ) -> None:
        self.name = f"aws:{auth.service}:{waiter}:{operation.region}"
        self.waiter = waiter
        self.delay_s = float(config["delay"]) if delay_s is None else delay_s
        self.max_attempts = int(config["maxAttempts"])
        self.auth = auth
        self.account = checked_account(account)
        self.codec = WaiterCodec()
        self._operation = operation
        self._acceptors = acceptors_of(config["acceptors"])
        self._request = lru_cache(_KEPT_REQUESTS)(lambda job: operation.request(job.parameters))

    @property
    def suggested_timeout_s(self) -> float:
        """How long botocore's own waiter would wait, in seconds. For `JobWatcher(endpoint, timeout_s=...)`."""
        return self.delay_s * self.max_attempts

    def job(self, **parameters: Any) -> WaiterJob:
        """The job with these parameters of the operation: `endpoint.job(InstanceIds=["i-0123456789abcdef0"])`.

        Raises:
            ConfigurationError: A parameter is unknown, missing, of another type, or a secret.
        """
        job = WaiterJob.of(parameters)
        self._request(job)
        return job

    def request(self, job: WaiterJob, /) -> Request:
        """The request of the waiter's operation, without its signature."""
        request = self._request(job)
        self._operation.keep(request)
        return request

    def read(self, reply: Reply, /) -> Reading[Mapping[str, Any]]:
        """The reading, by the waiter's acceptors. As `read_for`, with errors that name no job."""
        return self.read_for(None, reply)

    def read_for(self, job: WaiterJob | None, reply: Reply, /) -> Reading[Mapping[str, Any]]:
        """The reading, by the waiter's acceptors.

        Raises:
            MalformedReply: The reply is not of the operation's form, or it is an error that no acceptor matches.
            RateLimited: AWS throttles.
            ServerUnavailable: AWS could not answer.
            AuthenticationError: The credentials were refused or have expired.
            PermissionDenied: The credentials lack the right for the operation.
        """
        parsed = self._operation.parsed(reply)
        acceptor = decided(self._acceptors, parsed)
        if acceptor is None and (error_code(parsed) is not None or not 200 <= reply.status < 300):
            self._raise_for(job, reply, parsed)
        status = {name: plain(value) for name, value in parsed.items() if name != "ResponseMetadata"}
        if acceptor is None or acceptor.state is State.RETRY:
            return Reading.running(status, poll_after_s=self.delay_s)
        if acceptor.state is State.SUCCESS:
            return Reading.succeeded(status)
        words = _message(parsed)
        return Reading.failed(status, reason=f"{acceptor.text} ({words})" if words else acceptor.text)

    def problem(self, reply: Reply, /) -> Problem | None:
        """The error code and the message of AWS, and the ID of the request, which the support of AWS asks for."""
        try:
            return _problem(self._operation.parsed(reply))
        except MalformedReply:
            return None

    def _raise_for(self, job: WaiterJob | None, reply: Reply, parsed: Mapping[str, Any]) -> None:
        """Rule 3."""
        code, problem = str(error_code(parsed)), _problem(parsed)
        if code in _THROTTLED:
            raise RateLimited(None, problem, reply.status)
        if code in _REFUSED_KEYS:
            raise AuthenticationError(f"AWS refused the credentials (HTTP {reply.status}).", problem)
        if code in _FORBIDDEN:
            raise PermissionDenied(job, reply.status, problem)
        if code in _UNAVAILABLE or 200 <= reply.status < 300:  # S3 has errors in a 200
            raise ServerUnavailable(reply.status if reply.status >= 400 else 500, None, problem)
        raise reply.malformed("no acceptor of the waiter matches this error")

    def __repr__(self) -> str:
        account = f", account={self.account!r}" if self.account else ""
        return f"WaiterEndpoint({self.name!r}{account})"


def waiter_endpoint(
    service: str,
    waiter: str,
    *,
    region: str | None = None,
    credentials: CredentialSource | None = None,
    profile: str | None = None,
    endpoint_url: str | None = None,
    account: str = "",
    delay_s: float | None = None,
) -> WaiterEndpoint:
    """The endpoint of a waiter of botocore: `waiter_endpoint("ec2", "instance_running", region="eu-central-1")`.

    Reads the model of the service from disk, which takes from 0.05 to 0.5 s. So make it before the event loop is busy, or with
    `asyncio.to_thread`.

    Args:
        service: The service as `boto3.client` takes it.
        waiter: The waiter as `client.get_waiter` takes it, or as the model has it: `InstanceRunning`.
        region: The region. None for that of the AWS configuration.
        credentials: A source of credentials, such as `botocore.credentials.Credentials`. None for those that botocore finds.
        profile: A profile of the AWS configuration, in place of the default one.
        endpoint_url: Another server that speaks the service's protocol. None for what botocore's rules give.
        account: A name for these credentials, if one ledger has the jobs of several accounts.
        delay_s: Least seconds between two polls of a job. None for the waiter's own delay.

    Raises:
        ConfigurationError: There is no such service or waiter (the error has similar names), no region, or another argument
            is invalid.
    """
    if delay_s is not None:
        require_seconds("delay_s", delay_s)
    session = new_session(profile)
    waiters = _waiters(session, service)
    known = {botocore.xform_name(name): name for name in waiters}
    name = waiter if waiter in waiters else known.get(waiter)
    if name is None:
        raise ConfigurationError(f"{service} has no waiter {waiter!r}{_similar(waiter, sorted(known))}")
    config = waiters[name]
    operation = Operation(session, service, config["operation"], region=region, endpoint_url=endpoint_url)
    auth = OperationAuth(operation, service, credentials=credentials, profile=profile)
    return WaiterEndpoint(operation, auth, botocore.xform_name(name), config, account=account, delay_s=delay_s)


def waiter_names(service: str) -> tuple[str, ...]:
    """The names of a service's waiters, such as `instance_running`. Raises ConfigurationError for an unknown service."""
    return tuple(sorted(botocore.xform_name(name) for name in _waiters(Session(), service)))


def _waiters(session: Session, service: str) -> Mapping[str, Mapping[str, Any]]:
    loader: Any = session.get_component("data_loader")
    try:
        found: Mapping[str, Mapping[str, Any]] = loader.load_service_model(service, "waiters-2")["waiters"]
    except aws_errors.UnknownServiceError:
        similar = _similar(service, loader.list_available_services("waiters-2"))
    else:
        return found
    raise ConfigurationError(f"botocore has no waiters of a service {service!r}{similar}")


def _similar(name: str, names: Sequence[str]) -> str:
    near = get_close_matches(str(name), names, n=5) or [one for one in names if str(name).lower() in one][:5]
    if not near and len(names) <= 12:
        near = list(names)
    return f"; similar ones are {', '.join(near)}" if near else ""


def _problem(parsed: Mapping[str, Any]) -> Problem | None:
    code, request_id = error_code(parsed), parsed.get("ResponseMetadata", {}).get("RequestId")
    if code is None:
        return None
    words = (_message(parsed), f"request ID {str(request_id)[:_LONGEST_CODE]}" if request_id else "")
    return Problem((str(code)[:_LONGEST_CODE],), tuple(filter(None, words)))


def _message(parsed: Mapping[str, Any]) -> str:
    error = parsed.get("Error")
    message = error.get("Message") if isinstance(error, dict) else None
    return str(message)[:_LONGEST_WORDS] if message else ""
