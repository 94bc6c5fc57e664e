"""Signs requests with the method `sign` of an `Auth`.

Rule 1: a request is signed last, when its header fields and its body are complete, and for every attempt anew.
Rule 2: a request to a server that is not the API's own, one with a `first_host`, is never signed. Nor is a renewal.
Rule 3: a signature may change header fields, the query and the body. It may not change where the request goes.
Rule 4: what a signature added is a secret, except for parts that are named as public ones, such as a date or a digest. It
is masked in the reply, and in whatever the transport raises.
Rule 5: an `Auth` without `sign` costs nothing: its requests do not come here.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any, Final
from urllib.parse import parse_qsl

from pollwise.errors import AuthenticationError, ConfigurationError, PollwiseError
from pollwise.http.turns import Turns
from pollwise.model.abilities import sign_method
from pollwise.model.bounded_reply import SHORT
from pollwise.model.masked_values import masked_error
from pollwise.model.masking import Mask, mask_of
from pollwise.model.messages import Reply, Request
from pollwise.model.misuse import wrong_with_request
from pollwise.model.protocols import Auth, Transport
from pollwise.model.secrets import is_secret_name, secrets_in

__all__ = ["SigningTransport", "signature_mask", "signed", "signing", "unsigned"]

# Parts of a signed request that are no secrets. Masking a date could hide a date of the reply's own.
_PUBLIC: Final = re.compile(
    r"(?:^|[-_])(?:date|expires|created|timestamp|time|nonce|digest|sha-?256|md5|algorithm|method|version|region|host|length"
    r"|type)$|access-?key-?id$",
    re.IGNORECASE,
).search


def signing(transport: Transport, auth: Auth | None, turns: Turns) -> Transport:
    """The transport itself, or one that signs first if the auth has a method `sign`.

    Args:
        transport: Sends the requests.
        auth: The credentials, or None.
        turns: The order in which long replies are worked on.
    """
    sign = sign_method(auth)
    return transport if sign is None or auth is None else SigningTransport(transport, auth, sign, turns)


def unsigned(transport: Transport) -> Transport:
    """The transport beneath, for requests that are not signed: those that renew credentials."""
    return transport.beneath if isinstance(transport, SigningTransport) else transport


class SigningTransport:
    """Signs each request, sends it with another transport, and masks the signature in the reply.

    Args:
        beneath: Sends the requests.
        auth: The credentials, for messages.
        sign: Their method `sign`.
        turns: The order in which long replies are worked on.
    """

    def __init__(self, beneath: Transport, auth: Auth, sign: Callable[[Request], Request], turns: Turns) -> None:
        self.beneath = beneath
        self._auth = auth
        self._sign = sign
        self._turns = turns

    async def send(self, request: Request, /) -> Reply:
        """Sign and send the request once. Raises what `signed` and the transport raise."""
        return await self._sent(request, self.beneath.send)

    async def stream(self, request: Request, sink: Callable[[bytes], object], /) -> Reply:
        """The same for a reply whose body is passed on."""
        stream = self.beneath.stream  # type: ignore[attr-defined]  # `JobCalls` has looked whether it is there
        return await self._sent(request, lambda made: stream(made, sink))

    async def _sent(self, request: Request, send: Callable[[Request], Any]) -> Reply:
        if request.first_host is not None:
            reply: Reply = await send(request)
            return reply
        made = signed(request, self._auth, self._sign)
        mask = signature_mask(request, made)
        try:
            reply = await send(made)
        except Exception as exc:
            masked_error(mask, exc)
            raise
        if len(reply.body) <= SHORT:
            return reply.masked(mask, with_headers=True)
        return await self._turns.take(reply.masked_in_steps(mask, with_headers=True))


def signed(request: Request, auth: Auth, sign: Callable[[Request], Request]) -> Request:
    """The request as `sign` returns it.

    Raises:
        AuthenticationError: `sign` raised an exception that is no `PollwiseError`. That one is its cause.
        ConfigurationError: `sign` returned something else than a request, or one to another URL or with another method.
    """
    name = f"sign of {type(auth).__name__}"
    try:
        made: Any = sign(request)
    except PollwiseError:
        raise
    except Exception as exc:
        raise AuthenticationError(f"{name} raised {type(exc).__name__}; see __cause__ for its error.") from exc
    unchanged: bool = made is request
    if unchanged:
        return request
    if inspect.iscoroutine(made):
        made.close()  # else Python warns that it was never awaited
        raise ConfigurationError(f"{name} must return a Request, and returned a coroutine; wait in renew")
    wrong = wrong_with_request(made)
    if wrong:
        raise ConfigurationError(f"{name}: {wrong.replace('request must', 'it must', 1)}")
    if made.url is not request.url and _target(made) != _target(request):
        raise ConfigurationError(f"{name} must not change where a request goes: only its query, header fields and body")
    if made.method != request.method or made.first_host is not None:
        raise ConfigurationError(f"{name} must not change the method or the first_host of a request")
    checked: Request = made  # else there was something wrong
    return checked


def signature_mask(request: Request, made: Request) -> Mask:
    """Masks what a signature has added to a request."""
    if made is request:
        return mask_of(frozenset())
    before = {name.lower(): value for name, value in request.headers.items()}
    added = {name: value for name, value in made.headers.items() if before.get(name.lower()) != value}
    secrets = secrets_in({name: value for name, value in added.items() if not _is_public(name)})
    if made.url is not request.url:
        own = set(parse_qsl(request.url.raw_query_string))
        secrets |= _values(pair for pair in parse_qsl(made.url.raw_query_string) if pair not in own)
    if made.body != request.body:
        secrets |= Request(made.url, body=made.body).named_secrets
    return mask_of(secrets)


def _values(pairs: Iterable[tuple[str, str]]) -> frozenset[str]:
    return frozenset(value for name, value in pairs if value and not _is_public(name))


def _is_public(name: str) -> bool:
    return not is_secret_name(name) and _PUBLIC(name) is not None


def _target(request: Request) -> tuple[str, str, str]:
    url = request.url
    return url.scheme, url.raw_authority, url.raw_path
