"""Signing of requests, piece by piece."""

from __future__ import annotations

import asyncio
import pickle
from collections.abc import Callable
from typing import Any

import attrs
import pytest
from yarl import URL

from pollwise import ConfigurationError, Reply, Request
from pollwise.errors import AuthenticationError, ConnectFailed, RateLimited
from pollwise.http import SigningAuth
from pollwise.http.signing import SigningTransport, signature_mask, signed, signing, unsigned
from pollwise.http.turns import Turns
from toy import ToyAuth

SIGNATURE = "5f1c9a7e5f1c9a7e5f1c9a7e"
REQUEST = Request(URL("https://api.example/jobs/7?view=full"), {"Accept": "a"}, "POST", b"{}")


class Signer(SigningAuth):
    """Calls a function of the test."""

    def __init__(self, sign: Callable[[Request], Any]) -> None:
        self._with = sign

    def sign(self, request: Request, /) -> Request:
        made: Request = self._with(request)
        return made


def with_fields(**fields: str) -> Callable[[Request], Request]:
    return lambda request: attrs.evolve(request, headers={**request.headers, **fields})


def sign(made: Callable[[Request], Any], request: Request = REQUEST) -> Request:
    auth = Signer(made)
    return signed(request, auth, auth.sign)


def test_an_auth_that_signs_needs_no_arguments() -> None:
    """Its key may come from elsewhere, and a subclass may call `super().__init__()`."""

    class Plain(SigningAuth):
        def sign(self, request: Request, /) -> Request:
            return request

    class Calling(Plain):
        def __init__(self) -> None:
            super().__init__()

    assert [auth().headers(0.0) for auth in (Plain, Calling)] == [{}, {}]
    assert repr(Plain()) == "Plain(***)"


class Wire:
    """Repeats in its reply what the request has, or raises."""

    def __init__(self, error: Exception | None = None) -> None:
        self.error = error
        self.sent: list[Request] = []

    async def send(self, request: Request, /) -> Reply:
        self.sent.append(request)
        if self.error is not None:
            raise self.error
        fields = {f"Echo-{name}": value for name, value in request.headers.items()}
        return Reply(200, fields, repr(dict(request.headers)).encode(), request)

    async def stream(self, request: Request, sink: Callable[[bytes], object], /) -> Reply:
        sink(b"piece")
        return await self.send(request)


def test_a_plain_auth_is_sent_by_the_transport_itself() -> None:
    """No code of signing lies on its road."""
    wire, turns = Wire(), Turns()
    assert signing(wire, ToyAuth(), turns) is wire
    assert signing(wire, None, turns) is wire
    assert unsigned(wire) is wire


def test_a_renewal_is_not_signed() -> None:
    """It goes through the transport beneath."""
    wire = Wire()
    assert unsigned(signing(wire, Signer(with_fields(Signature=SIGNATURE)), Turns())) is wire


async def test_a_signature_is_masked_in_the_reply() -> None:
    """In its body and in its header fields; what the request had before stays."""
    wire = Wire()
    reply = await signing(wire, Signer(with_fields(Signature=SIGNATURE)), Turns()).send(REQUEST)
    assert wire.sent[0].headers["Signature"] == SIGNATURE
    assert reply.body == b"{'Accept': 'a', 'Signature': '***'}"
    assert reply.headers == {"Echo-Accept": "a", "Echo-Signature": "***"}


async def test_a_signature_is_masked_in_a_long_reply() -> None:
    """In steps, as other secrets are."""
    auth = Signer(with_fields(Signature=SIGNATURE, Padding="word " * 1_000))
    reply = await signing(Wire(), auth, Turns()).send(REQUEST)
    assert SIGNATURE.encode() not in reply.body


async def test_a_signature_is_masked_in_errors() -> None:
    """What the transport raises may repeat it."""
    wire = Wire(ConnectFailed(f"no route for {SIGNATURE}"))
    with pytest.raises(ConnectFailed) as caught:
        await signing(wire, Signer(with_fields(Signature=SIGNATURE)), Turns()).send(REQUEST)
    assert SIGNATURE not in str(caught.value)


async def test_a_streamed_request_is_signed() -> None:
    """A result that is saved to a file has a signature, too."""
    wire, pieces = Wire(), list[bytes]()
    transport = signing(wire, Signer(with_fields(Signature=SIGNATURE)), Turns())
    assert isinstance(transport, SigningTransport)
    await transport.stream(REQUEST, pieces.append)
    assert pieces == [b"piece"]
    assert wire.sent[0].headers["Signature"] == SIGNATURE


async def test_a_request_to_another_server_is_not_signed() -> None:
    """A signature is a credential of the API."""
    wire = Wire()
    foreign = attrs.evolve(REQUEST, first_host="api.example")
    await signing(wire, Signer(with_fields(Signature=SIGNATURE)), Turns()).send(foreign)
    assert wire.sent == [foreign]


@pytest.mark.parametrize(
    ("made", "wrong"),
    [
        (lambda _request: None, "it must return a Request"),
        (lambda _request: "https://api.example", "it must return a Request"),
        (lambda request: attrs.evolve(request, headers={"Signature": b"1"}), "header field Signature must be a str"),
        (lambda request: attrs.evolve(request, body="{}"), "must be bytes"),
        (lambda request: attrs.evolve(request, url="https://api.example"), "must be a yarl.URL"),
        (lambda request: attrs.evolve(request, url=URL("https://evil.example/jobs/7")), "where a request goes"),
        (lambda request: attrs.evolve(request, url=URL("http://api.example/jobs/7")), "where a request goes"),
        (lambda request: attrs.evolve(request, url=URL("https://api.example/jobs/8")), "where a request goes"),
        (lambda request: attrs.evolve(request, method="PUT"), "the method"),
        (lambda request: attrs.evolve(request, first_host="x"), "first_host"),
    ],
)
def test_a_wrong_request_of_a_signature_is_refused(made: Callable[[Request], Any], wrong: str) -> None:
    """The error names the class and what to write."""
    with pytest.raises(ConfigurationError, match=f"sign of Signer.*{wrong}"):
        sign(made)


def test_a_coroutine_in_place_of_a_request_is_refused() -> None:
    """It is closed, and the error says where to wait."""

    async def late(request: Request) -> Request:
        await asyncio.sleep(0)
        return request

    with pytest.raises(ConfigurationError, match="returned a coroutine; wait in renew"):
        sign(late)


def test_an_exception_of_a_signature_is_an_authentication_error() -> None:
    """Its message, which may show a key, is left to the cause."""
    with pytest.raises(AuthenticationError, match="sign of Signer raised ZeroDivisionError") as caught:
        sign(lambda _request: 1 / 0)
    assert isinstance(caught.value.__cause__, ZeroDivisionError)


def test_an_error_of_pollwise_is_passed_on() -> None:
    """A key service that is busy is asked again later."""

    def busy(_request: Request) -> Request:
        raise RateLimited(3.0)

    with pytest.raises(RateLimited):
        sign(busy)


def test_a_signature_in_the_query_is_a_secret() -> None:
    """The other parameters that it adds, such as a date, are not."""

    def in_query(request: Request) -> Request:
        url = request.url.update_query(
            {"X-Amz-Signature": SIGNATURE, "X-Amz-Date": "20261130T000000Z", "mac": "a" * 20}
        )
        return attrs.evolve(request, url=url)

    mask = signature_mask(REQUEST, sign(in_query))
    assert mask.text(f"{SIGNATURE} 20261130T000000Z {'a' * 20} full") == "*** 20261130T000000Z *** full"


def test_a_signature_in_the_body_is_a_secret() -> None:
    """By the name of its field."""
    made = sign(
        lambda request: attrs.evolve(request, body=b'{"signature": "%s", "id": "export-77"}' % SIGNATURE.encode())
    )
    assert signature_mask(REQUEST, made).text(f"{SIGNATURE} export-77") == "*** export-77"


@pytest.mark.parametrize(
    ("field", "secret"),
    [
        ("Signature", True),
        ("X-Mac", True),
        ("X-Runtime-Token", True),
        ("X-Acs-Signature-Nonce", True),
        ("X-Amz-Date", False),
        ("Date", False),
        ("Content-Digest", False),
        ("X-Amz-Content-SHA256", False),
        ("X-Timestamp", False),
    ],
)
def test_a_field_of_a_signature_is_a_secret_unless_its_name_says_otherwise(field: str, *, secret: bool) -> None:
    """A date or a digest may well be in a reply."""
    mask = signature_mask(REQUEST, sign(with_fields(**{field: "value-value-1"})))
    assert (mask.text("value-value-1") == "***") is secret


def test_an_unchanged_request_has_nothing_to_mask() -> None:
    """`sign` may decide that a request needs no signature."""
    assert signature_mask(REQUEST, sign(lambda request: request)).is_empty


async def test_a_signing_auth_is_no_more_than_its_method() -> None:
    """It has no header fields of its own, cannot be renewed, and neither its repr nor a pickle shows a key."""
    auth = Signer(with_fields(Signature=SIGNATURE))
    assert auth.headers(0.0) == {}
    assert repr(auth) == "Signer(***)"
    with pytest.raises(AuthenticationError, match="cannot be renewed"):
        await auth.renew(Wire(), 0.0, None)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(auth)
