"""Adds credentials to requests, and renews them.

Rule 1: a secret goes into a header field only: never into a `repr`, a log, an error or a pickle.
Rule 2: a value that cannot be sent is refused when it is passed in, not when it is first used.
Rule 3: `headers` returns the same mapping until the credentials change. So a call costs nothing, and `is` shows whether
a refused mapping is still in use.
Rule 4: concurrent callers of `renew` share one renewal. It is cancelled when the last of them stops waiting.
Rule 5: this file opens no connection: a renewal sends through the caller's transport.
"""

from __future__ import annotations

import asyncio
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Awaitable, Callable, Mapping
from types import MappingProxyType
from typing import Final, NoReturn

import attrs

from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectFailed,
    PollError,
    PollTimeout,
    PollwiseError,
    RateLimited,
    ServerUnavailable,
    WatcherClosed,
)
from pollwise.http.credentials import Credential, basic, bearer, checked_text, header_fields
from pollwise.http.oauth import ClientCredentialsGrant
from pollwise.model.log_fields import log_fields
from pollwise.model.messages import Request
from pollwise.model.protocols import Transport

__all__ = [
    "ApiKeyAuth",
    "BasicAuth",
    "BearerAuth",
    "ClientCredentialsAuth",
    "Credential",
    "RenewingAuth",
    "SigningAuth",
]

_MAX_EARLY_FRACTION: Final = 0.1  # of the lifetime; else a token of one minute would be renewed at each poll
_RETRY_DELAY_S: Final = 1.0  # after a failed renewal without a hint
_MAX_RETRY_DELAY_S: Final = 3600.0  # after a failed renewal with a hint, such as Retry-After
_NO_FIELDS: Final[Mapping[str, str]] = MappingProxyType({})
_NOT_PICKLED: Final = (
    "credentials cannot be pickled, because a secret must not get into a queue or a file; construct them in the process"
    " that uses them"
)

_log = logging.getLogger(__name__)


# --- static credentials -----------------------------------------------------------------------


class _StaticAuth:
    """One header field that never changes."""

    __slots__ = ("_fields",)

    def __init__(self, name: str, value: str) -> None:
        self._fields = header_fields({name: value})

    def headers(self, _now: float, /) -> Mapping[str, str]:
        """The header fields to send. Always the same mapping."""
        return self._fields

    async def renew(self, _via: Transport, _now: float, _stale: Mapping[str, str] | None, /) -> None:
        """Always raises AuthenticationError, because static credentials cannot be renewed."""
        raise AuthenticationError("The server refused the credentials, and they cannot be renewed.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


class ApiKeyAuth(_StaticAuth):
    """An API key in its own header field.

    Args:
        key: The key, in visible ASCII characters.
        header: The name of the header field. Document360 uses `api_token`.

    Raises:
        ConfigurationError: The key or the name cannot be sent in a header. The message does not show the key.
    """

    __slots__ = ()

    def __init__(self, key: str, *, header: str = "api_token") -> None:
        super().__init__(header, key)

    def __repr__(self) -> str:
        return f"ApiKeyAuth(***, header={next(iter(self._fields))!r})"


class BasicAuth(_StaticAuth):
    """HTTP Basic authentication (RFC 7617), in UTF-8.

    Args:
        user: The user name, without a colon.
        password: The password. May be empty, because some APIs take a key as the user name alone.

    Raises:
        ConfigurationError: One of them cannot be sent. The message shows neither.
    """

    __slots__ = ()

    def __init__(self, user: str, password: str) -> None:
        if ":" in checked_text("the user", user):
            raise ConfigurationError("the user has a colon, which HTTP Basic authentication does not allow")
        if password != "":
            checked_text("the password", password)
        super().__init__("Authorization", basic(user, password))


class BearerAuth(_StaticAuth):
    """A bearer token that cannot be renewed (RFC 6750).

    Args:
        token: The token, without the word `Bearer`.

    Raises:
        ConfigurationError: The token cannot be sent. The message does not show it.
    """

    __slots__ = ()

    def __init__(self, token: str) -> None:
        super().__init__("Authorization", bearer(token))


class SigningAuth(_StaticAuth, ABC):
    """The base class of credentials that sign whole requests. `sign` is yours.

        class HmacAuth(SigningAuth):
            def __init__(self, key: bytes) -> None:
                self._key = key

            def sign(self, request: Request, /) -> Request:
                text = f"{request.method} {request.url.raw_path_qs}".encode() + (request.body or b"")
                signature = hmac.new(self._key, text, "sha256").hexdigest()
                return attrs.evolve(request, headers={**request.headers, "X-Signature": signature})

    What `sign` adds is a secret, and is masked in replies and errors. Parts whose names say that they are a date, a digest or
    the like are not.
    """

    def __init__(self) -> None:
        """Nothing is kept here. A subclass need not call this."""

    def headers(self, _now: float, /) -> Mapping[str, str]:
        """No header fields, because a signature differs for each request."""
        return _NO_FIELDS

    @abstractmethod
    def sign(self, request: Request, /) -> Request:
        """The same request with its signature. Called just before each attempt, with the complete request.

        It may change header fields, the query and the body, and neither the method nor where the request goes.
        """


# --- renewed credentials ----------------------------------------------------------------------


class RenewingAuth:
    """Credentials from your `fetch` function. It is called at first use, before they expire, and when they are refused.

    After a failure, `renew` raises the same error for one second without calling `fetch`. So a broken token endpoint
    does not get one request for each watch. If the failure has a hint (`retry_after_s`), `renew` waits for that long
    instead, at most an hour. Refused credentials are never used again. If a renewal before expiry fails, the old
    credentials are used until they expire.

    Args:
        fetch: Called with the transport to send with. Returns a `Credential`. Raises `PollError` or `OSError` if a
            retry may help, and `AuthenticationError` if not. Any other exception counts as `AuthenticationError`.
        early_s: How long before expiry credentials are renewed, in seconds. At most a tenth of their lifetime.
        timeout_s: Max duration of one call of `fetch`, in seconds.

    Raises:
        ConfigurationError: `early_s` or `timeout_s` is not a valid number of seconds.
    """

    def __init__(
        self, fetch: Callable[[Transport], Awaitable[Credential]], *, early_s: float = 60.0, timeout_s: float = 30.0
    ) -> None:
        if not 0 <= early_s < math.inf:
            raise ConfigurationError(f"early_s must be a number of seconds, at least 0, not {early_s!r}")
        if not 0 < timeout_s < math.inf:
            raise ConfigurationError(f"timeout_s must be a number of seconds above 0, not {timeout_s!r}")
        self._fetch = fetch
        self._early_s = early_s
        self._timeout_s = timeout_s
        self._fields: Mapping[str, str] | None = None
        self._renew_at = -math.inf
        self._expire_at = -math.inf
        self._renewal: _Renewal | None = None
        self._failure: PollwiseError | None = None
        self._pause_until = -math.inf

    def headers(self, now: float, /) -> Mapping[str, str] | None:
        """The header fields to send. None if there are none yet, or if they expire soon: then call `renew`."""
        return self._fields if now < self._renew_at else None

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        """Get new credentials. Concurrent callers share one call of `fetch`.

        Args:
            via: The transport to send with. A shared renewal uses the one of its first caller.
            now: Monotonic seconds.
            stale: The mapping from `headers` that the server refused, or None if `headers` returned None. If it was
                replaced in the meantime, this method returns at once.

        Raises:
            AuthenticationError: The renewal was refused.
            PollError: The renewal failed and may be retried.
        """
        fields = self.headers(now)
        if fields is not None and fields is not stale:
            return
        if stale is not None and stale is self._fields:
            self._fields = None
        if self._failure is not None and now < self._pause_until:
            raise _with_remaining_wait(self._failure, self._pause_until - now)
        renewal = self._renewal
        if renewal is None or not renewal.joinable:
            task = asyncio.create_task(self._attempt(via, now), name="pollwise-renewal")
            renewal = self._renewal = _Renewal(task)
        failure = await renewal.wait()
        if failure is not None:
            raise failure.with_traceback(None)  # many callers raise this object: its traceback must not grow with each

    async def _attempt(self, via: Transport, now: float) -> PollwiseError | None:
        """Call `fetch` once. Returns a failure instead of raising it: there may be no waiting caller left."""
        failure: PollwiseError
        limit = asyncio.timeout(self._timeout_s)
        clock = asyncio.get_running_loop().time
        offset_s = now - clock()  # `now` may come from another clock than the loop's
        try:
            async with limit:
                self._store(await self._fetch(via), now)
                return None
        except asyncio.CancelledError:  # no caller waits any more; valid old credentials stay in use until the next try
            self._renew_at = min(self._expire_at, clock() + offset_s + _RETRY_DELAY_S)
            raise
        except WatcherClosed:  # of the first caller's watcher; other watchers may still be open
            return ConnectFailed("the transport that sent the renewal was closed; the next renewal uses another")
        except PollwiseError as exc:
            failure = exc
        except OSError as exc:
            failure = PollTimeout(self._timeout_s) if limit.expired() else ConnectFailed(type(exc).__name__)
            failure.__cause__ = exc
        except Exception as exc:  # noqa: BLE001  # a bug in `fetch` must not leave callers waiting
            failure = AuthenticationError(
                f"The fetch function for new credentials raised {type(exc).__name__}; see __cause__ for its error."
            )
            failure.__cause__ = exc
        self._failure, self._pause_until = failure, clock() + offset_s + _pause_s(failure)
        if isinstance(failure, PollError):
            self._renew_at = min(self._expire_at, self._pause_until)
        _log.debug(
            "%r: renewal failed: %s",
            self,
            type(failure).__name__,
            extra=log_fields(error_type=type(failure).__name__),
        )
        return failure

    def _store(self, credential: Credential, now: float) -> None:
        if not isinstance(credential, Credential):  # `fetch` may be untyped code
            raise AuthenticationError(
                f"The fetch function for new credentials must return a Credential, not {type(credential).__name__}."
            )
        lifetime_s = math.inf if credential.expires_in_s is None else credential.expires_in_s
        self._fields = credential.headers
        self._expire_at = now + lifetime_s
        self._renew_at = self._expire_at - min(self._early_s, _MAX_EARLY_FRACTION * lifetime_s)
        self._failure = None
        _log.debug("%r: renewed, valid for %g s", self, lifetime_s, extra=log_fields(lifetime_s=lifetime_s))

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***, early_s={self._early_s:g})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)

    def __getstate__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


def _pause_s(failure: PollwiseError) -> float:
    hint_s = failure.retry_after_s if isinstance(failure, (RateLimited, ServerUnavailable)) else None
    return _RETRY_DELAY_S if hint_s is None else min(max(_RETRY_DELAY_S, hint_s), _MAX_RETRY_DELAY_S)


def _with_remaining_wait(failure: PollwiseError, left_s: float) -> PollwiseError:
    """The same failure for a later caller, with the rest of its wait."""
    if (type(failure) is RateLimited or type(failure) is ServerUnavailable) and failure.retry_after_s is not None:
        later = attrs.evolve(failure, retry_after_s=min(failure.retry_after_s, left_s))
        later.__cause__ = failure.__cause__
        return later
    return failure.with_traceback(None)


class _Renewal:
    """A renewal in progress, and the number of callers that wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[PollwiseError | None]) -> None:
        self.task = task
        self.waiting = 0

    @property
    def joinable(self) -> bool:
        """Whether it is in progress. Without waiting callers it is being cancelled."""
        return self.waiting > 0 and not self.task.done()

    async def wait(self) -> PollwiseError | None:
        """Wait for its result. A cancelled caller stops waiting, and the last one cancels the renewal."""
        self.waiting += 1
        try:
            await asyncio.wait((self.task,))  # cancelling wait() does not cancel the task
        finally:
            self.waiting -= 1
            if not self.waiting and not self.task.done():
                self.task.cancel()
                await asyncio.wait((self.task,))
        # no CancelledError: the renewal was cancelled, not this caller
        return (
            ConnectFailed("the renewal was cancelled; the next poll starts another")
            if self.task.cancelled()
            else self.task.result()
        )


class ClientCredentialsAuth(RenewingAuth):
    """Bearer tokens from the OAuth 2 client credentials grant (RFC 6749, 4.4), as Oracle Content Management uses it.

    Args:
        token_url: The token endpoint: `https://<identity host>/oauth2/v1/token`. Plain http is allowed to this machine
            only, unless the transport has `allow_plain_http`.
        client_id: The client's ID.
        client_secret: The client's secret.
        scope: The scope to request: `<audience>/urn:opc:cec:all`. None requests the server's default.
        early_s: As in `RenewingAuth`.
        timeout_s: As in `RenewingAuth`.

    Raises:
        ConfigurationError: An argument is invalid. The message shows no value.
    """

    def __init__(
        self,
        token_url: str,
        client_id: str,
        client_secret: str,
        scope: str | None = None,
        *,
        early_s: float = 60.0,
        timeout_s: float = 30.0,
    ) -> None:
        super().__init__(self._fetch_token, early_s=early_s, timeout_s=timeout_s)
        self._grant = ClientCredentialsGrant.of(token_url, client_id, client_secret, scope)

    async def _fetch_token(self, via: Transport) -> Credential:
        return self._grant.read(await via.send(self._grant.request))
