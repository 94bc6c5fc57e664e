"""Credentials: nothing shows them, and concurrent callers share one renewal."""

from __future__ import annotations

import asyncio
import base64
import copy
import gc
import logging
import math
import pickle
from collections.abc import Callable, Mapping
from typing import Any

import pytest
from multidict import CIMultiDictProxy

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
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth, ClientCredentialsAuth, Credential, RenewingAuth
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Transport

SECRET = "s3cr3t-of-the-house"


class Nowhere:
    """A transport over which nothing can be sent."""

    async def send(self, request: Request, /) -> Reply:
        raise AssertionError(f"nothing should be sent, but {request} was")


VIA: Transport = Nowhere()


class Bank:
    """Returns numbered credentials, one for each `fetch`, when the test lets it."""

    def __init__(self, *, life_s: float | None = None) -> None:
        self.life_s = life_s
        self.calls = 0
        self.cancelled = 0
        self.error: BaseException | None = None
        self.open = asyncio.Event()
        self.open.set()

    async def fetch(self, via: Transport) -> Credential:
        assert via is VIA
        self.calls += 1
        number = self.calls
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        if self.error is not None:
            raise self.error
        return Credential({"Authorization": f"Bearer {SECRET}-{number}"}, self.life_s)


def number(headers: Mapping[str, str] | None) -> int | None:
    """The number of these credentials."""
    return None if headers is None else int(headers["authorization"].rpartition("-")[2])


# --- static credentials -------------------------------------------------------------------------


FIXED: list[Callable[[], Auth]] = [
    lambda: ApiKeyAuth(SECRET),
    lambda: ApiKeyAuth(SECRET, header="X-Key"),
    lambda: BasicAuth("me", SECRET),
    lambda: BearerAuth(SECRET),
]


@pytest.mark.parametrize(
    ("make", "name", "value"),
    [
        (FIXED[0], "api_token", SECRET),
        (FIXED[1], "X-Key", SECRET),
        (FIXED[2], "Authorization", "Basic " + base64.b64encode(f"me:{SECRET}".encode()).decode()),
        (
            lambda: BasicAuth("jürgen", "a:b€"),
            "Authorization",
            "Basic " + base64.b64encode("jürgen:a:b€".encode()).decode(),
        ),
        (lambda: BasicAuth("a-key", ""), "Authorization", "Basic " + base64.b64encode(b"a-key:").decode()),
        (FIXED[3], "Authorization", f"Bearer {SECRET}"),
    ],
)
def test_a_secret_goes_into_one_header_field(make: Callable[[], Auth], name: str, value: str) -> None:
    """The field has its own name, found in any letter case."""
    fields = make().headers(0.0)
    assert fields is not None
    assert list(fields.items()) == [(name, value)]
    assert fields[name.upper()] == value


@pytest.mark.parametrize("make", FIXED)
def test_headers_returns_the_same_mapping_each_time(make: Callable[[], Auth]) -> None:
    """No mapping is built for a poll, and the mapping cannot be changed."""
    auth = make()
    assert auth.headers(0.0) is auth.headers(1e9)
    assert isinstance(auth.headers(0.0), CIMultiDictProxy)


@pytest.mark.parametrize("make", FIXED)
async def test_static_credentials_cannot_be_renewed(make: Callable[[], Auth]) -> None:
    """A refusal of static credentials is final."""
    auth = make()
    with pytest.raises(AuthenticationError, match="refused the credentials, and they cannot be renewed") as caught:
        await auth.renew(VIA, 0.0, auth.headers(0.0))
    assert SECRET not in f"{caught.value} {caught.value!r}"


@pytest.mark.parametrize("make", [*FIXED, lambda: RenewingAuth(Bank().fetch)])
def test_a_secret_is_never_shown_nor_stored(make: Callable[[], Auth]) -> None:
    """No repr shows it, and no pickle or copy stores it."""
    auth = make()
    assert SECRET not in f"{auth} {auth!r}"
    assert base64.b64encode(f"me:{SECRET}".encode()).decode() not in repr(auth)
    assert type(auth).__name__ in repr(auth)
    for stored in (pickle.dumps, copy.deepcopy):
        with pytest.raises(TypeError, match="cannot be pickled"):
            stored(auth)


# --- when credentials are renewed -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("life_s", "early_s", "until"),
    [(3600.0, 60.0, 3540.0), (300.0, 60.0, 270.0), (10.0, 60.0, 9.0), (3600.0, 0.0, 3600.0), (None, 60.0, math.inf)],
)
async def test_credentials_are_handed_out_until_shortly_before_they_expire(
    life_s: float | None, early_s: float, until: float
) -> None:
    """They are renewed `early_s` before expiry, or a tenth of a short lifetime. It counts from the call of `fetch`."""
    bank = Bank(life_s=life_s)
    auth = RenewingAuth(bank.fetch, early_s=early_s)
    assert auth.headers(100.0) is None
    await auth.renew(VIA, 100.0, None)
    fields = auth.headers(100.0)
    assert number(fields) == 1
    if until < math.inf:
        assert auth.headers(100.0 + until - 0.001) is fields
        assert auth.headers(100.0 + until) is None
        await auth.renew(VIA, 100.0 + until, None)
        assert number(auth.headers(100.0 + until)) == 2
    assert auth.headers(1e9) is None or until == math.inf


async def test_refused_credentials_are_renewed_and_newer_ones_are_kept() -> None:
    """A late caller with old credentials gets the ones of the earlier renewal."""
    bank = Bank()
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    first = auth.headers(0.0)
    await auth.renew(VIA, 0.0, None)
    assert bank.calls == 1
    await auth.renew(VIA, 1.0, first)
    assert number(auth.headers(1.0)) == 2
    await auth.renew(VIA, 1.0, first)
    assert bank.calls == 2


async def test_the_same_token_again_counts_as_newer() -> None:
    """A server may grant the same token again. Requesting it repeatedly would not help."""
    calls = 0

    async def fetch(_via: Transport) -> Credential:
        nonlocal calls
        calls += 1
        return Credential({"Authorization": f"Bearer {SECRET}"})

    auth = RenewingAuth(fetch)
    await auth.renew(VIA, 0.0, None)
    first = auth.headers(0.0)
    for _ in range(3):
        await auth.renew(VIA, 1.0, first)
    assert calls == 2


async def test_refused_credentials_are_never_used_again() -> None:
    """They are not used during the renewal, and not after it failed."""
    bank = Bank()
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    bank.open.clear()
    renewing = asyncio.create_task(auth.renew(VIA, 1.0, auth.headers(1.0)))
    await asyncio.sleep(0)
    assert auth.headers(1.0) is None
    bank.error = ConnectFailed("away")
    bank.open.set()
    with pytest.raises(ConnectFailed):
        await renewing
    assert auth.headers(1.0) is None


async def test_a_late_refusal_leaves_newer_credentials_in_use() -> None:
    """They are about to expire and their renewal fails; the refusal of older ones says nothing against them."""
    bank = Bank(life_s=1000.0)
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    first = auth.headers(0.0)
    await auth.renew(VIA, 0.0, first)
    second = auth.headers(0.0)
    bank.error = ConnectFailed("away")
    with pytest.raises(ConnectFailed):
        await auth.renew(VIA, 950.0, first)
    assert auth.headers(950.5) is second


@pytest.mark.looptime
async def test_old_credentials_are_used_until_they_expire_if_a_renewal_fails() -> None:
    """A short outage of an identity service stops no watch whose token is still valid."""
    bank = Bank(life_s=1000.0)
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    bank.error = ConnectFailed("away")
    with pytest.raises(ConnectFailed):
        await auth.renew(VIA, 950.0, None)
    assert number(auth.headers(950.5)) == 1
    assert auth.headers(951.0) is None
    with pytest.raises(ConnectFailed):
        await auth.renew(VIA, 999.5, None)
    assert number(auth.headers(999.9)) == 1
    assert auth.headers(1000.0) is None
    bank.error = None
    await auth.renew(VIA, 1001.0, None)
    assert number(auth.headers(1001.0)) == 4


# --- shared renewals ------------------------------------------------------------------------------


async def test_a_hundred_concurrent_callers_share_one_renewal() -> None:
    """They share it whatever `stale` they pass."""
    bank = Bank()
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    first = auth.headers(0.0)
    bank.open.clear()
    waiting = [asyncio.create_task(auth.renew(VIA, 1.0, stale)) for stale in [first, None] * 50]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bank.open.set()
    await asyncio.gather(*waiting)
    assert bank.calls == 2
    assert number(auth.headers(1.0)) == 2


async def test_a_cancelled_caller_does_not_cancel_the_renewal() -> None:
    """That holds for the caller that started it, too."""
    bank = Bank()
    bank.open.clear()
    auth = RenewingAuth(bank.fetch)
    waiting = [asyncio.create_task(auth.renew(VIA, 0.0, None)) for _ in range(5)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    for task in waiting[:4]:
        task.cancel()
    await asyncio.wait(waiting[:4])
    assert all(task.cancelled() for task in waiting[:4])
    bank.open.set()
    await waiting[4]
    assert (bank.calls, bank.cancelled) == (1, 0)
    assert number(auth.headers(0.0)) == 1


async def test_the_last_cancelled_caller_cancels_the_renewal() -> None:
    """No renewal runs without a caller, and the next caller starts another. The name of its task says what it does."""
    bank = Bank()
    bank.open.clear()
    auth = RenewingAuth(bank.fetch)
    others = asyncio.all_tasks()
    waiting = [asyncio.create_task(auth.renew(VIA, 0.0, None)) for _ in range(3)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    assert [task.get_name() for task in asyncio.all_tasks() - others - {*waiting}] == ["pollwise-renewal"]
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    assert bank.cancelled == 1
    assert asyncio.all_tasks() == others
    bank.open.set()
    await auth.renew(VIA, 0.0, None)
    assert bank.calls == 2


async def test_a_caller_does_not_join_a_renewal_that_is_being_cancelled() -> None:
    """A renewal without callers ends, and a new caller starts another."""
    bank = Bank()
    bank.open.clear()
    auth = RenewingAuth(bank.fetch)
    leaving = asyncio.create_task(auth.renew(VIA, 0.0, None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    leaving.cancel()
    coming = asyncio.create_task(auth.renew(VIA, 0.0, None))
    await asyncio.sleep(0)
    bank.open.set()
    await coming
    assert leaving.cancelled()
    assert (bank.calls, bank.cancelled) == (2, 1)


async def test_a_cancelled_renewal_cancels_no_caller() -> None:
    """A `fetch` that is cancelled is a failed renewal for its callers."""

    async def fetch(_via: Transport) -> Credential:
        raise asyncio.CancelledError

    auth = RenewingAuth(fetch)
    with pytest.raises(ConnectFailed, match=r"\(the renewal was cancelled; the next poll starts another\)"):
        await auth.renew(VIA, 0.0, None)


@pytest.mark.looptime
async def test_a_renewal_that_hangs_times_out() -> None:
    """Otherwise changing callers could keep it alive for ever."""
    bank = Bank()
    bank.open.clear()
    auth = RenewingAuth(bank.fetch, timeout_s=20.0)
    with pytest.raises(PollTimeout) as caught:
        await auth.renew(VIA, 0.0, None)
    assert caught.value.seconds == 20.0
    assert asyncio.get_running_loop().time() == 20.0
    assert bank.cancelled == 1


# --- when a renewal fails -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("raised", "expected", "words"),
    [
        (ServerUnavailable(503), ServerUnavailable, "HTTP 503"),
        (AuthenticationError("No."), AuthenticationError, "^No. "),
        (ConnectionResetError(SECRET), ConnectFailed, r"\(ConnectionResetError\)"),
        (TimeoutError(SECRET), ConnectFailed, r"\(TimeoutError\)"),
        (KeyError(SECRET), AuthenticationError, "raised KeyError; see __cause__ for its error"),
        (RuntimeError(SECRET), AuthenticationError, "raised RuntimeError; see __cause__ for its error"),
    ],
)
async def test_a_failure_says_whether_to_try_again(
    raised: Exception, expected: type[PollwiseError], words: str
) -> None:
    """Our errors are raised unchanged, an OSError may be retried, and a bug may not. The error names the other one."""
    bank = Bank()
    bank.error = raised
    auth = RenewingAuth(bank.fetch)
    with pytest.raises(expected, match=words) as caught:
        await auth.renew(VIA, 0.0, None)
    assert caught.value is raised or caught.value.__cause__ is raised
    assert SECRET not in f"{caught.value} {caught.value!r}"


async def test_a_closed_transport_fails_no_other_watcher() -> None:
    """If the transport of a shared renewal is closed, the other callers retry at once with their own."""
    bank = Bank()
    bank.error = WatcherClosed()
    auth = RenewingAuth(bank.fetch)
    with pytest.raises(ConnectFailed, match=r"\(the transport that sent the renewal was closed; the next .* another\)"):
        await auth.renew(VIA, 0.0, None)
    bank.error = None
    await auth.renew(VIA, 0.0, None)
    assert auth.headers(0.0) is not None


@pytest.mark.looptime
@pytest.mark.parametrize("cut", [False, True])
async def test_a_renewal_that_fails_slowly_leaves_the_old_ones_in_use(cut: bool) -> None:
    """The delay after it begins when the renewal failed, or when its callers were cancelled."""
    bank = Bank(life_s=1_000.0)
    auth = RenewingAuth(bank.fetch, timeout_s=20.0)
    await auth.renew(VIA, 0.0, None)
    late = 950.0
    assert auth.headers(late) is None
    bank.open.clear()
    with pytest.raises(TimeoutError if cut else PollTimeout):
        async with asyncio.timeout(10.0 if cut else None):
            await auth.renew(VIA, late, None)
    ended = late + (10.0 if cut else 20.0)
    assert auth.headers(ended) is not None
    assert auth.headers(ended + 1.5) is None


async def test_fetch_must_return_a_credential() -> None:
    """A bare token is refused."""

    async def fetch(_via: Transport) -> Any:
        return SECRET

    with pytest.raises(AuthenticationError, match="must return a Credential, not str") as caught:
        await RenewingAuth(fetch).renew(VIA, 0.0, None)
    assert SECRET not in str(caught.value)


@pytest.mark.looptime
async def test_a_failure_is_raised_again_for_a_second() -> None:
    """A hundred thousand watches do not send one request each to a broken token endpoint."""
    bank = Bank()
    bank.error = ConnectFailed("away")
    auth = RenewingAuth(bank.fetch)
    for now in (0.0, 0.5, 0.999):
        with pytest.raises(ConnectFailed):
            await auth.renew(VIA, now, None)
    assert bank.calls == 1
    bank.error = None
    await auth.renew(VIA, 1.0, None)
    assert bank.calls == 2
    assert number(auth.headers(1.0)) == 2


@pytest.mark.looptime
async def test_the_second_is_one_of_the_caller_s_clock() -> None:
    """The caller's `now` may come from another clock than the event loop's."""
    bank = Bank()
    bank.error = ConnectFailed("away")
    auth = RenewingAuth(bank.fetch)
    await asyncio.sleep(100.0)
    for now in (5.0, 5.999, 6.0):
        with pytest.raises(ConnectFailed):
            await auth.renew(VIA, now, None)
    assert bank.calls == 2


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("error", "pause_s"),
    [
        *((ServerUnavailable(503, 120.0), 120.0), (RateLimited(120.0), 120.0), (RateLimited(0.0), 1.0)),
        *((RateLimited(None), 1.0), (RateLimited(900_000.0), 3600.0), (ServerUnavailable(503, math.inf), 3600.0)),
    ],
)
async def test_a_token_server_that_says_when_to_come_back_is_left_alone_until_then(
    error: RateLimited | ServerUnavailable, pause_s: float
) -> None:
    """The wait is an hour at most. A caller meanwhile gets an error with the rest of the wait, and with its cause."""
    bank = Bank()
    bank.error = error
    cause = error.__cause__ = OSError("away")
    auth = RenewingAuth(bank.fetch)
    for now in (0.0, pause_s / 2, pause_s - 0.01):
        with pytest.raises(type(error)) as caught:
            await auth.renew(VIA, now, None)
        assert caught.value.__cause__ is cause
        if error.retry_after_s is not None:
            assert caught.value.retry_after_s is not None
            assert caught.value.retry_after_s <= (error.retry_after_s if now == 0.0 else pause_s - now)
    assert bank.calls == 1
    bank.error = None
    await auth.renew(VIA, pause_s, None)
    assert bank.calls == 2


async def test_a_shared_error_collects_no_frames() -> None:
    """All callers raise one object, and it must not keep their frames."""
    bank = Bank()
    bank.error = ConnectFailed("away")
    auth = RenewingAuth(bank.fetch)
    depths = set()
    for _ in range(5):
        with pytest.raises(PollError) as caught:
            await auth.renew(VIA, 0.0, None)
        assert "fetch" not in {frame.name for frame in caught.traceback}
        depths.add(len(caught.traceback))
    assert len(depths) == 1


async def test_a_failure_without_callers_is_not_reported(caplog: pytest.LogCaptureFixture) -> None:
    """If a renewal fails just when its last caller is cancelled, asyncio logs nothing."""
    bank = Bank()
    bank.open.clear()
    bank.error = ConnectFailed("away")
    auth = RenewingAuth(bank.fetch)
    waiting = asyncio.create_task(auth.renew(VIA, 0.0, None))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    bank.open.set()
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises((asyncio.CancelledError, ConnectFailed)):
        await waiting
    del waiting, auth
    gc.collect()
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


async def test_the_log_has_no_secret(caplog: pytest.LogCaptureFixture) -> None:
    """And no renewal is logged at INFO."""
    caplog.set_level(logging.DEBUG)
    bank = Bank(life_s=60.0)
    auth = RenewingAuth(bank.fetch)
    await auth.renew(VIA, 0.0, None)
    bank.error = ConnectFailed(SECRET)
    with pytest.raises(ConnectFailed):
        await auth.renew(VIA, 100.0, None)
    ours = [record for record in caplog.records if record.name == "pollwise.http.auth"]
    assert len(ours) == 2
    for record in ours:
        assert record.levelno == logging.DEBUG
        assert SECRET not in record.getMessage()


@pytest.mark.parametrize(
    "options",
    [{"early_s": -1.0}, {"early_s": math.inf}, {"early_s": math.nan}, {"timeout_s": 0.0}, {"timeout_s": math.inf}],
)
def test_invalid_times_are_refused(options: dict[str, Any]) -> None:
    """The constructor refuses them, not the first renewal."""
    with pytest.raises(ConfigurationError):
        RenewingAuth(Bank().fetch, **options)
    with pytest.raises(ConfigurationError):
        ClientCredentialsAuth("https://id.example/token", "me", SECRET, **options)


@pytest.mark.parametrize("make", [*FIXED, lambda: RenewingAuth(Bank().fetch)])
def test_an_auth_gives_no_state_away(make: Callable[[], Auth]) -> None:
    """Else each tool that copies or dumps objects would get the secret."""
    with pytest.raises(TypeError, match="cannot be pickled"):
        make().__getstate__()


# --- the client credentials grant -----------------------------------------------------------------


class TokenEndpoint:
    """A transport to a token endpoint, which keeps the requests and grants a token for an hour, or does not reply."""

    def __init__(self, *, silent: bool = False) -> None:
        self.requests: list[Request] = []
        self.silent = silent

    async def send(self, request: Request, /) -> Reply:
        self.requests.append(request)
        if self.silent:
            await asyncio.Event().wait()
        return Reply(200, {}, b'{"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600}', request)


@pytest.mark.looptime
async def test_a_client_gets_a_bearer_token_from_its_token_endpoint() -> None:
    """One request has the client, and the scope if there is one. The token is used until a minute before it expires."""
    via = TokenEndpoint()
    for scope, body in ((None, b"grant_type=client_credentials"), ("a", b"grant_type=client_credentials&scope=a")):
        auth = ClientCredentialsAuth("https://id.example/token", "me", SECRET, scope)
        await auth.renew(via, 100.0, None)
        assert dict(auth.headers(100.0) or {}) == {"Authorization": "Bearer a-token"}
        assert auth.headers(3_639.9) is not None
        assert auth.headers(3_640.0) is None
        assert (str(via.requests[-1].url), via.requests[-1].body) == ("https://id.example/token", body)
        assert via.requests[-1].headers["Authorization"] == next(iter(BasicAuth("me", SECRET).headers(0.0).values()))
    assert len(via.requests) == 2


@pytest.mark.looptime
async def test_a_token_endpoint_that_does_not_reply_times_out() -> None:
    """After half a minute, or after the time that you pass."""
    for options, timeout_s in (({}, 30.0), ({"timeout_s": 7.0}, 7.0)):
        began = asyncio.get_running_loop().time()
        with pytest.raises(PollTimeout) as caught:
            await ClientCredentialsAuth("https://id.example/token", "me", SECRET, **options).renew(
                TokenEndpoint(silent=True), 0.0, None
            )
        assert asyncio.get_running_loop().time() - began == caught.value.seconds == timeout_s
