"""One operation of an AWS service: its requests, their signatures, and its replies.

Rule 1: botocore serialises, resolves the endpoint, signs and parses, with its own handlers for each service. Its client is
stopped, by an exception in an event handler, before it signs and sends. So it opens no connection.
Rule 2: a request is serialised once for a job, and signed for each attempt.
Rule 3: a reply that is not of the operation's form is malformed: a web page, another document, a document that was cut. Botocore
alone would read it as an empty one, and a wait would go on for ever.
"""

from __future__ import annotations

import base64
import datetime as dt
import sys
from collections import OrderedDict
from collections.abc import Mapping
from typing import Any, Final, NoReturn

import attrs
import botocore
from botocore import exceptions as aws_errors
from botocore.awsrequest import AWSRequest, AWSResponse, HeadersDict
from botocore.config import Config
from botocore.model import OperationModel, Shape
from botocore.parsers import ResponseParserFactory
from botocore.session import Session
from botocore.signers import RequestSigner
from botocore.validate import ParamValidator
from yarl import URL

from pollwise.endpoints._server_values import is_web_page
from pollwise.endpoints.aws.credentials import AwsAuth, CredentialSource
from pollwise.errors import AuthenticationError, ConfigurationError
from pollwise.model.messages import Reply, Request

__all__ = ["Operation", "OperationAuth", "plain"]

_SIGNER: Final = "pollwise_signer"
_KEPT: Final = 4_096  # contexts of requests; each poll renews that of its own
_NO_KEY: Final = "unused"  # else botocore looks for credentials
_XML: Final = frozenset({"query", "ec2", "rest-xml"})
_NOT_IN_BODY: Final = frozenset({"header", "headers", "statusCode"})  # where else a member of a reply may be
_INTEGERS: Final = range(-(2**63), 2**64)  # what orjson writes
_SIGNATURES: Final = frozenset(
    {"v4", "v4-unsigned-body", "s3v4"}
)  # others need a request of their own, or another library


class _Stopped(Exception):
    """The client has made its request. It is raised on purpose, to end the work of the client."""

    def __init__(self, request: AWSRequest) -> None:
        self.request = request


@attrs.frozen
class _Context:
    """What botocore needs to sign a request."""

    fields: Mapping[str, Any]
    signer: RequestSigner
    auth_path: str | None


class Operation:
    """One operation of a service in a region.

    Args:
        session: A session of botocore.
        service: The service's name at botocore, such as `ec2`.
        name: The operation's name in the model, such as `DescribeInstances`.
        region: The region, or None for that of the configuration.
        endpoint_url: Replaces the URL that botocore's rules give.

    Raises:
        ConfigurationError: There is no region, or the service is not there.
    """

    def __init__(
        self, session: Session, service: str, name: str, *, region: str | None, endpoint_url: str | None
    ) -> None:
        try:
            client: Any = session.create_client(
                service,
                region_name=region,
                endpoint_url=endpoint_url,
                config=Config(),
                aws_access_key_id=_NO_KEY,
                aws_secret_access_key=_NO_KEY,
            )
        except aws_errors.NoRegionError as exc:
            raise ConfigurationError("pass a region, such as region='eu-central-1', or set AWS_DEFAULT_REGION") from exc
        except (aws_errors.BotoCoreError, ValueError) as exc:
            raise ConfigurationError(f"botocore cannot make a client of {service}: {exc}") from exc
        self._client = client
        self._model: OperationModel = client.meta.service_model.operation_model(name)
        self._events = client.meta.events
        self._call = getattr(client, botocore.xform_name(name))
        self._id: str = f"{client.meta.service_model.service_id.hyphenize()}.{name}"
        self._events.register_last(f"before-call.{self._id}", _keep_signer)
        self._events.register_first(f"request-created.{self._id}", _stop)
        self._events.register_first("before-send", _send_nothing)
        model = client.meta.service_model
        self.protocol: str = getattr(model, "resolved_protocol", None) or model.metadata["protocol"]
        self.region: str = client.meta.region_name
        self._parser: Any = ResponseParserFactory().create_parser(self.protocol)
        self._has_body = self._model.http.get("method") != "HEAD" and _is_in_body(self._model.output_shape)
        self._names = _names_in_body(self._model.output_shape)
        self._contexts: OrderedDict[tuple[str, bytes | None], _Context] = OrderedDict()

    # --- requests -----------------------------------------------------------------------------

    def request(self, parameters: Mapping[str, Any]) -> Request:
        """The request with these parameters, without its signature.

        Raises:
            ConfigurationError: A parameter is unknown, missing, of another type or a secret, or there is no URL for them.
        """
        self._refuse_secrets(parameters)
        try:
            self._call(**parameters)
        except _Stopped as stopped:
            made = stopped.request
        except (aws_errors.BotoCoreError, ValueError, TypeError) as exc:
            why = self._wrong_with(parameters) or str(exc)
            raise ConfigurationError(f"{self._model.name} cannot be asked with these parameters: {why}") from exc
        else:  # pragma: no cover  # a handler of botocore answers the call by itself
            raise ConfigurationError(f"botocore makes no request for {self._model.name}")
        prepared = made.prepare()
        headers = {name: str(value) for name, value in made.headers.items() if name.lower() != "user-agent"}
        request = Request(URL(prepared.url, encoded=True), headers, prepared.method, _bytes(prepared.body))
        fields = dict(made.context)
        signer: RequestSigner = fields.pop(_SIGNER)
        kind = fields.get("auth_type") or signer.signature_version
        if kind not in _SIGNATURES:
            raise ConfigurationError(
                f"{request.url.host} wants signatures of the kind {kind}, which pollwise cannot make"
            )
        self.keep(request, _Context(fields, signer, made.auth_path))
        return request

    def keep(self, request: Request, context: _Context | None = None) -> None:
        """Keep the context of this request in mind, because it will be signed soon."""
        key = (str(request.url), request.body)
        found = self._contexts.pop(key, None) if context is None else context
        if found is not None:
            self._contexts[key] = found
            if len(self._contexts) > _KEPT:
                self._contexts.popitem(last=False)

    def add_signature(self, made: AWSRequest, request: Request, keys: Any) -> None:
        """Sign as the service wants it. Raises BotoCoreError, and AuthenticationError for a request of another endpoint."""
        context = self._contexts.get((str(request.url), request.body))
        if context is None:
            raise AuthenticationError(
                f"This request is none of the endpoint for {self._model.name}, so it is not signed."
            )
        made.context = {**context.fields, "signing": dict(context.fields.get("signing", {}))}
        made.auth_path = context.auth_path
        signer, model = context.signer, self._client.meta.service_model
        RequestSigner(
            model.service_id,
            signer.region_name,
            signer.signing_name,
            signer.signature_version,
            _Frozen(keys),  # type: ignore[arg-type]  # a signer asks for nothing else
            self._events,
        ).sign(self._model.name, made)

    def _wrong_with(self, parameters: Mapping[str, Any]) -> str:
        """What botocore's own check says. Its handlers may fail before it, with an error that says little."""
        shape: Any = self._model.input_shape
        return "" if shape is None else str(ParamValidator().validate(parameters, shape).generate_report())

    def _refuse_secrets(self, parameters: Mapping[str, Any]) -> None:
        shape: Any = self._model.input_shape
        members = {} if shape is None else shape.members
        for name in parameters:
            if name in members and members[name].metadata.get("sensitive"):
                raise ConfigurationError(
                    f"the parameter {name} of {self._model.name} is a secret, and a job is written to logs and ledgers"
                )

    # --- replies ------------------------------------------------------------------------------

    def parsed(self, reply: Reply) -> dict[str, Any]:
        """The reply as botocore parses it, with `ResponseMetadata`, and with `Error` if it is one.

        Raises:
            MalformedReply: It is no reply of this operation.
        """
        if 200 <= reply.status < 300:
            self._check_form(reply)
        try:
            return self._parsed(reply)
        except Exception as exc:  # noqa: BLE001  # botocore raises what its parsers happen to raise
            why = f"botocore cannot parse it ({type(exc).__name__})"
        raise reply.malformed(why)

    def _parsed(self, reply: Reply) -> dict[str, Any]:
        headers = HeadersDict(reply.headers.items())
        message: dict[str, Any] = {
            "headers": headers,
            "status_code": reply.status,
            "body": reply.body,
            "context": {"operation_name": self._model.name},
        }
        custom: dict[str, Any] = {}
        self._events.emit(
            f"before-parse.{self._id}",
            operation_model=self._model,
            response_dict=message,
            customized_response_dict=custom,
        )
        parsed: dict[str, Any] = self._parser.parse(message, self._model.output_shape)
        parsed.update(custom)
        response = AWSResponse(None, message["status_code"], headers, None)  # type: ignore[arg-type]  # a handler reads no more
        self._events.emit(
            f"after-call.{self._id}", http_response=response, parsed=parsed, model=self._model, context={}
        )
        return parsed

    def _check_form(self, reply: Reply) -> None:
        """Rule 3, for a reply that is no error."""
        if reply.left_out:
            raise reply.malformed(
                "it was cut down to limits, so a rule for all of its items would be wrong; name fewer resources, or pass"
                " Limits(reply=ReplyLimits(...))"
            )
        if not self._has_body:
            return
        if not reply.body:
            raise reply.malformed(f"a reply of {self._model.name} has a body, and this one is empty")
        if is_web_page(reply):
            raise reply.malformed("it is a web page")
        if self.protocol in _XML:
            self._check_xml(reply)
        elif "json" in self.protocol:
            self._check_json(reply)

    def _check_json(self, reply: Reply) -> None:
        data = reply.json()
        if not isinstance(data, dict):
            raise reply.malformed("expected a JSON object")
        if data and self._names.isdisjoint(data):  # an empty one is a reply without items
            raise reply.malformed(f"it has no field of a reply of {self._model.name}")

    def _check_xml(self, reply: Reply) -> None:
        body = reply.body
        if b"\0" in body or b"<!DOCTYPE" in body or b"<!ENTITY" in body:
            raise reply.malformed("it has a document type, which no service of AWS sends")
        if self.protocol != "rest-xml" and f"{self._model.name}Response".encode() not in body:
            raise reply.malformed(f"it is no {self._model.name}Response")


class OperationAuth(AwsAuth):
    """Signs the requests of one operation, each as its endpoint wants it.

    Args:
        operation: The operation.
        service: The service's name.
        credentials: As in `AwsAuth`.
        profile: As in `AwsAuth`.
    """

    def __init__(
        self, operation: Operation, service: str, *, credentials: CredentialSource | None, profile: str | None
    ) -> None:
        super().__init__(service, region=operation.region, credentials=credentials, profile=profile)
        self._operation = operation

    def sign(self, request: Request, /) -> Request:
        """As in `AwsAuth`. The transport's own `Accept` is replaced, because some services would reply in JSON for it."""
        made = super().sign(request)
        if any(name.lower() == "accept" for name in made.headers):
            return made
        return attrs.evolve(made, headers={**made.headers, "Accept": "*/*"})

    def add_signature(self, made: AWSRequest, request: Request, keys: Any, /) -> None:
        """As botocore's client would, whose rules differ by service and by operation."""
        self._operation.add_signature(made, request, keys)


@attrs.frozen
class _Frozen:
    """Credentials that were fetched already, as a signer asks for them."""

    keys: Any = attrs.field(repr=False)

    def get_frozen_credentials(self) -> Any:
        return self.keys


def plain(value: Any) -> Any:  # noqa: PLR0911  # a table: one return a row
    """A parsed value as JSON that a ledger can keep: dates as ISO 8601 in UTC, bytes in base64.

    A number that JSON lacks is None, and an integer of more than 64 bits is a float, as in other replies. A lone surrogate in a
    text is `?`.
    """
    match value:
        case dict():
            return {plain(str(name)): plain(one) for name, one in value.items()}
        case list():
            return [plain(one) for one in value]
        case None | bool():
            return value
        case str():
            return value if value.isascii() else value.encode("utf-8", "replace").decode()
        case int() if value in _INTEGERS:
            return value
        case int() | float():
            return float(value) if abs(value) <= sys.float_info.max else None
        case dt.datetime():
            return value.astimezone(dt.UTC).isoformat()
        case bytes():
            return base64.b64encode(value).decode()
    return plain(str(value))


def _keep_signer(request_signer: RequestSigner, context: dict[str, Any], **_event: Any) -> None:
    context[_SIGNER] = request_signer


def _stop(request: AWSRequest, **_event: Any) -> NoReturn:
    raise _Stopped(request)


def _send_nothing(**_event: Any) -> NoReturn:
    raise RuntimeError("a client of botocore must not send anything here")  # rule 1


def _bytes(body: Any) -> bytes | None:
    if body is None or isinstance(body, bytes):
        return body
    if isinstance(body, str):
        return body.encode()
    raise ConfigurationError(f"a request whose body is a {type(body).__name__} cannot be sent again and again")


def _names_in_body(shape: Any) -> frozenset[str]:
    """The names of the fields at the top of a JSON body of this shape."""
    if shape is None:
        return frozenset()
    payload = shape.serialization.get("payload")
    inner = shape if payload is None else shape.members[payload]
    members: Mapping[str, Any] = getattr(inner, "members", {})
    return frozenset(str(member.serialization.get("name", name)) for name, member in members.items())


def _is_in_body(shape: Shape | None) -> bool:
    """Whether a reply of this shape has members in its body."""
    members: Mapping[str, Any] = getattr(shape, "members", {})
    return any(member.serialization.get("location") not in _NOT_IN_BODY for member in members.values())
