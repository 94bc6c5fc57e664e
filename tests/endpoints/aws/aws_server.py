"""A server that speaks the protocols of AWS, as far as waiters need it, and verifies each signature."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any
from urllib.parse import unquote

import attrs
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from pollwise.endpoints.aws.credentials import new_session
from raw_server import Line, RawServer

SESSION = new_session(None)  # keeps the models of services, which all tests share
KEYS = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI+s3cr3t", "session-token-1")


@attrs.frozen
class Said:
    """One reply."""

    body: bytes = b""
    status: int = 200
    fields: Mapping[str, str] = attrs.Factory(dict)


def xml(text: str, status: int = 200) -> Said:
    return Said(text.encode(), status, {"Content-Type": "text/xml"})


def js(data: Any, status: int = 200, **fields: str) -> Said:
    return Said(json.dumps(data).encode(), status, {"Content-Type": "application/x-amz-json-1.0", **fields})


def cbor(data: Any, status: int = 200) -> Said:
    return Said(_cbor(data), status, {"Content-Type": "application/cbor", "smithy-protocol": "rpc-v2-cbor"})


def _cbor(data: Any) -> bytes:
    """RFC 8949, for short texts, lists and maps alone."""
    match data:
        case str():
            return _head(3, len(data)) + data.encode()
        case list():
            return _head(4, len(data)) + b"".join(map(_cbor, data))
        case dict():
            return _head(5, len(data)) + b"".join(_cbor(key) + _cbor(value) for key, value in data.items())
    raise TypeError(type(data).__name__)


def _head(major: int, length: int) -> bytes:
    return bytes([major << 5 | length]) if length < 24 else bytes([major << 5 | 24, length])


class Aws:
    """Gives the replies in turn, the last one again and again.

    Attributes:
        verified: The number of requests whose signature was right.
        wrong: What was wrong with the others.
        targets: Method and target of each request.
        bodies: The body of each request.
    """

    def __init__(
        self, *replies: Said, keys: Credentials = KEYS, service: str = "", region: str = "eu-central-1"
    ) -> None:
        self.server: RawServer
        self.replies = list(replies)
        self.keys = keys
        self.service = service
        self.region = region
        self.verified = 0
        self.wrong: list[str] = []
        self.targets: list[str] = []
        self.bodies: list[bytes] = []

    def __call__(self, line: Line) -> None:
        head, _, body = self.server.requests[-1].partition(b"\r\n\r\n")
        first, *rest = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ")
        fields = dict(field.split(": ", 1) for field in rest)
        self.targets.append(f"{method} {target}")
        self.bodies.append(body)
        why = self._verify(method, target, {name.lower(): value for name, value in fields.items()}, body)
        if why:
            self.wrong.append(why)
        else:
            self.verified += 1
        said = self.replies.pop(0) if len(self.replies) > 1 else self.replies[0]
        lines = [f"HTTP/1.1 {said.status} Said", f"Content-Length: {len(said.body)}"]
        lines += [f"{name}: {value}" for name, value in said.fields.items()]
        # A reply to HEAD has no body, and may have its length.
        line.say("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if method == "HEAD" else said.body))

    def _verify(self, method: str, target: str, fields: Mapping[str, str], body: bytes) -> str:
        """What is wrong with the signature, or an empty text. Everything is computed again from the bytes that came."""
        found = re.fullmatch(
            r"AWS4-HMAC-SHA256 Credential=(\S+), SignedHeaders=(\S+), Signature=([0-9a-f]{64})",
            fields.get("authorization", ""),
        )
        if found is None:
            return "it has no signature"
        names = found[2].split(";")
        if not {"host", "x-amz-date"} <= set(names):
            return "host and x-amz-date must be signed"
        day, service = fields["x-amz-date"][:8], found[1].split("/")[3]
        if self.service and service != self.service:
            return f"it is for {service}"
        if found[1] != f"{self.keys.access_key}/{day}/{self.region}/{service}/aws4_request":
            return f"its scope is {found[1]}"
        if self.keys.token and fields.get("x-amz-security-token") != self.keys.token:
            return "it has no token"
        request = AWSRequest(method, f"http://{fields['host']}{target}", {name: fields[name] for name in names}, body)
        request.context["timestamp"] = fields["x-amz-date"]
        kind = S3SigV4Auth if service == "s3" else SigV4Auth
        auth: Any = kind(self.keys, service, self.region)
        text = auth.string_to_sign(request, auth.canonical_request(request))
        return "" if auth.signature(text, request) == found[3] else f"the signature of {unquote(target)} is wrong"
