"""What puts credentials on requests, and renews them.

Rule 1: a secret goes into a header field and nowhere else: not into a `repr`, a log, an error or a pickle.
Rule 2: what could never be sent is refused when it is given, not when it is first used.
Rule 3: `headers` hands out the same mapping until the credentials change, so asking costs nothing, and "are these
still the ones that were refused?" is a question of identity.
Rule 4: a renewal is one request for any number of callers. It lives as long as one of them waits for it.
Rule 5: this file sends nothing: what a renewal needs goes through the transport that the caller brings.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Mapping
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
from pollwise.http.credentials import Credential, basic, bearer, header_fields, printable
from pollwise.http.oauth import ClientCredentialsGrant
from pollwise.model.protocols import Transport

__all__ = ["ApiKeyAuth", "BasicAuth", "BearerAuth", "ClientCredentialsAuth", "Credential", "RenewingAuth"]

_EARLY_SHARE: Final = 0.1  # of a short life; else a token of a minute would always be about to expire
_PAUSE_S: Final = 1.0  # after a failed renewal
_LONGEST_PAUSE_S: Final = 3600.0  # after one that was answered with when to come back
_NOT_PICKLED: Final = "credentials are not pickled, so that no secret gets into a queue or a file; make them anew"

_log = logging.getLogger(__name__)


# --- credentials that stay as they were given -------------------------------------------------


class _FixedAuth:
    """One header field, made once."""

    __slots__ = ("_fields",)

    def __init__(self, name: str, value: str) -> None:
        self._fields = header_fields({name: value})

    def headers(self, _now: float, /) -> Mapping[str, str]:
        """The header fields to send; the same mapping each time."""
        return self._fields

    async def renew(self, _via: Transport, _now: float, _stale: Mapping[str, str] | None, /) -> None:
        """Always raises AuthenticationError: there is nothing newer to be had."""
        raise AuthenticationError(f"The server refused the credentials of {self!r}, which cannot be renewed.")

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


class ApiKeyAuth(_FixedAuth):
    """A key in a header field of its own.

    Args:
        key: The key: visible ASCII characters.
        header: The field's name; Document360 calls it `api_token`.

    Raises:
        ConfigurationError: The key or the name cannot be sent in a header. The key is not shown.
    """

    __slots__ = ()

    def __init__(self, key: str, *, header: str = "api_token") -> None:
        super().__init__(header, key)

    def __repr__(self) -> str:
        return f"ApiKeyAuth(***, header={next(iter(self._fields))!r})"


class BasicAuth(_FixedAuth):
    """User and password, by HTTP Basic authentication (RFC 7617) in UTF-8.

    Args:
        user: The user; without a colon.
        password: The password; may be empty, as some APIs take a key as the user and nothing else.

    Raises:
        ConfigurationError: One of them cannot be sent. Neither is shown.
    """

    __slots__ = ()

    def __init__(self, user: str, password: str) -> None:
        if ":" in printable("the user", user):
            raise ConfigurationError("the user holds a colon, which HTTP Basic authentication cannot carry")
        if password != "":
            printable("the password", password)
        super().__init__("Authorization", basic(user, password))


class BearerAuth(_FixedAuth):
    """A bearer token that pollwise did not fetch and cannot renew (RFC 6750).

    Args:
        token: The token, without the word `Bearer`.

    Raises:
        ConfigurationError: The token cannot be sent. It is not shown.
    """

    __slots__ = ()

    def __init__(self, token: str) -> None:
        super().__init__("Authorization", bearer(token))


# --- credentials that are renewed -------------------------------------------------------------


class RenewingAuth:
    """Credentials that a function of yours fetches: the first ones, and new ones when they expire or are refused.

    A failure is the answer for everybody who asks within a second of it, so that a server of tokens in trouble is not
    asked once for each watch. If the failure says how long to wait (`retry_after_s`), it is the answer for that long, at
    most an hour. Credentials that were refused are never handed out again; such as are only about to
    expire serve to the end of their life if newer ones cannot be had.

    Args:
        fetch: Called with the transport to send with. Returns a `Credential`, or raises `PollError` (or an `OSError`)
            if it may be tried again, `AuthenticationError` if that is of no use. Whatever else it raises is taken for
            the latter.
        early_s: Seconds before they expire at which credentials are renewed, at most a tenth of their life.
        timeout_s: Most seconds that one call of `fetch` may take.

    Raises:
        ConfigurationError: `early_s` or `timeout_s` is no time.
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
        """The header fields to send; None where there are none yet, or they are about to expire."""
        return self._fields if now < self._renew_at else None

    async def renew(self, via: Transport, now: float, stale: Mapping[str, str] | None, /) -> None:
        """Get new credentials, together with everybody else who wants them now.

        Args:
            via: What to send with. The first caller's is used.
            now: Monotonic seconds.
            stale: The very mapping that `headers` gave and the server refused; None where it gave None. Returns at
                once if there is another by now.

        Raises:
            AuthenticationError: The renewal was refused.
            PollError: It could not be had just now.
        """
        fields = self.headers(now)
        if fields is not None and fields is not stale:
            return
        if stale is not None and stale is self._fields:
            self._fields = None
        if self._failure is not None and now < self._pause_until:
            raise _still(self._failure, self._pause_until - now)
        renewal = self._renewal
        if renewal is None or not renewal.joinable:
            task = asyncio.create_task(self._attempt(via, now), name="pollwise-renewal")
            renewal = self._renewal = _Renewal(task)
        failure = await renewal.outcome()
        if failure is not None:
            raise failure.with_traceback(None)  # many raise this one: it must not gather all their frames

    async def _attempt(self, via: Transport, now: float) -> PollwiseError | None:
        """Fetch once. A failure is returned, not raised: perhaps nobody is left to hear of it."""
        failure: PollwiseError
        limit = asyncio.timeout(self._timeout_s)
        clock = asyncio.get_running_loop().time
        ahead_s = now - clock()  # whose `now` it is need not be the loop's
        try:
            async with limit:
                self._keep(await self._fetch(via), now)
                return None
        except asyncio.CancelledError:  # those who waited had not the time; old ones that are good go on meanwhile
            self._renew_at = min(self._expire_at, clock() + ahead_s + _PAUSE_S)
            raise
        except WatcherClosed:  # the first caller's, who has left: no word about the others
            return ConnectFailed("the transport that was to fetch new credentials has been closed")
        except PollwiseError as exc:
            failure = exc
        except OSError as exc:
            failure = PollTimeout(self._timeout_s) if limit.expired() else ConnectFailed(type(exc).__name__)
            failure.__cause__ = exc
        except Exception as exc:  # noqa: BLE001  # whatever a caller's function raises, nobody may wait for ever
            failure = AuthenticationError(f"Fetching new credentials raised {type(exc).__name__}.")
            failure.__cause__ = exc
        self._failure, self._pause_until = failure, clock() + ahead_s + _pause_s(failure)
        if isinstance(failure, PollError):
            self._renew_at = min(self._expire_at, self._pause_until)
        _log.debug("%r: renewal failed: %s", self, type(failure).__name__)
        return failure

    def _keep(self, credential: Credential, now: float) -> None:
        if not isinstance(credential, Credential):  # a caller's function may not be type-checked
            raise AuthenticationError(f"Fetching new credentials gave a {type(credential).__name__}, no Credential.")
        life_s = math.inf if credential.expires_in_s is None else credential.expires_in_s
        self._fields = credential.headers
        self._expire_at = now + life_s
        self._renew_at = self._expire_at - min(self._early_s, _EARLY_SHARE * life_s)
        self._failure = None
        _log.debug("%r: renewed, good for %g s", self, life_s)

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***, early_s={self._early_s:g})"

    def __reduce__(self) -> NoReturn:
        raise TypeError(_NOT_PICKLED)


def _pause_s(failure: PollwiseError) -> float:
    hint_s = failure.retry_after_s if isinstance(failure, (RateLimited, ServerUnavailable)) else None
    return _PAUSE_S if hint_s is None else min(max(_PAUSE_S, hint_s), _LONGEST_PAUSE_S)


def _still(failure: PollwiseError, left_s: float) -> PollwiseError:
    """The same failure for a later caller: what is left of its wait."""
    if (type(failure) is RateLimited or type(failure) is ServerUnavailable) and failure.retry_after_s is not None:
        later = attrs.evolve(failure, retry_after_s=min(failure.retry_after_s, left_s))
        later.__cause__ = failure.__cause__
        return later
    return failure.with_traceback(None)


class _Renewal:
    """A renewal under way, and how many wait for it."""

    __slots__ = ("task", "waiting")

    def __init__(self, task: asyncio.Task[PollwiseError | None]) -> None:
        self.task = task
        self.waiting = 0

    @property
    def joinable(self) -> bool:
        """It is still going on. When everybody has left it is being cancelled."""
        return self.waiting > 0 and not self.task.done()

    async def outcome(self) -> PollwiseError | None:
        """Wait for the end of it. Who is cancelled leaves alone, and the last to leave ends it."""
        self.waiting += 1
        try:
            await asyncio.wait((self.task,))  # a wait that is cancelled leaves the task as it is
        finally:
            self.waiting -= 1
            if not self.waiting and not self.task.done():
                self.task.cancel()
                await asyncio.wait((self.task,))
        # not ours to pass on: somebody cancelled the renewal, and nobody this waiter
        return ConnectFailed("the renewal was cancelled") if self.task.cancelled() else self.task.result()


class ClientCredentialsAuth(RenewingAuth):
    """A bearer token by the OAuth 2 client credentials grant (RFC 6749, 4.4), as Oracle Content Management takes it.

    Args:
        token_url: Where tokens are to be had: `https://<identity host>/oauth2/v1/token`. Plain http is for this
            machine only, unless the transport allows more.
        client_id: The client's ID.
        client_secret: The client's secret.
        scope: The scope to ask for: `<audience>/urn:opc:cec:all`. None asks for the server's default.
        early_s: As in `RenewingAuth`.
        timeout_s: As in `RenewingAuth`.

    Raises:
        ConfigurationError: One of them cannot be right. None is shown.
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
