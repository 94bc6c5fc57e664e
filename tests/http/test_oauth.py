"""The OAuth 2 client credentials grant: the request, and what its replies mean."""

from __future__ import annotations

import base64
import contextlib
import email.utils
from typing import Any
from urllib.parse import parse_qs, unquote_plus

import attrs
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from multidict import CIMultiDict

from pollwise.core.header_values import LONGEST_WAIT_S
from pollwise.errors import (
    AuthenticationError,
    ConfigurationError,
    ConnectFailed,
    InsecureUrl,
    MalformedReply,
    PollError,
    RateLimited,
    ServerUnavailable,
)
from pollwise.http.auth import ClientCredentialsAuth
from pollwise.http.oauth import ClientCredentialsGrant
from pollwise.http.transport import AiohttpTransport
from pollwise.model.messages import Reply
from raw_server import Line, raw_server, reply
from spellings import SPELLINGS

SECRET = "s3cr3t:of/the house+ü"
SCOPE = "https://host.example:443/urn:opc:cec:all"
GRANT = ClientCredentialsGrant.of("https://id.example/oauth2/v1/token", "me:too", SECRET, SCOPE)


def answer(document: Any, status: int = 200, **fields: str) -> Reply:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return Reply(status, CIMultiDict({"Content-Type": "application/json;charset=UTF-8", **fields}), body, GRANT.request)


def granted(**fields: Any) -> dict[str, Any]:
    return {"access_token": "a-token", "token_type": "Bearer", "expires_in": 3600, **fields}


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in granted().items() if key != name}


def sign_in(authorization: str) -> tuple[str, str]:
    """The client's ID and secret, as a server that keeps to RFC 6749, 2.3.1 reads them."""
    kind, _, value = authorization.partition(" ")
    assert kind == "Basic"
    user, _, password = base64.b64decode(value).decode("ascii").partition(":")
    return unquote_plus(user), unquote_plus(password)


# --- the request --------------------------------------------------------------------------------


def test_the_request_is_a_form_with_the_client_in_its_header() -> None:
    """RFC 6749, 4.4.2 and 2.3.1, with the spelling of the RFC: some servers look at the letter case of a name."""
    request = ClientCredentialsGrant.of("https://id.example/oauth2/v1/token", "me:too", SECRET, SCOPE).request
    assert (request.method, str(request.url)) == ("POST", "https://id.example/oauth2/v1/token")
    assert dict(request.headers) == {
        "Authorization": request.headers["Authorization"],
        "Content-Type": "application/x-www-form-urlencoded",
        "Accept": "application/json",
    }
    assert sign_in(request.headers["Authorization"]) == ("me:too", SECRET)
    assert request.body is not None
    assert parse_qs(request.body.decode()) == {"grant_type": ["client_credentials"], "scope": [SCOPE]}


def test_no_scope_asks_for_the_server_s_default() -> None:
    """An absent scope is not sent as an empty one."""
    assert ClientCredentialsGrant.of("https://id.example/", "me", SECRET, None).request.body == (
        b"grant_type=client_credentials"
    )


_READABLE = st.text(st.characters(min_codepoint=0x20, exclude_categories=["Cc", "Cs"]), min_size=1)


@given(client_id=_READABLE, client_secret=_READABLE)
def test_any_client_id_and_secret_can_be_sent(client_id: str, client_secret: str) -> None:
    """Colons, spaces and non-ASCII characters arrive unchanged."""
    grant = ClientCredentialsGrant.of("https://id.example/", client_id, client_secret, None)
    assert sign_in(grant.request.headers["Authorization"]) == (client_id, client_secret)


@pytest.mark.parametrize(
    ("name", "wrong", "why"),
    [
        *(("token_url", no_url, "^token_url must be an absolute https URL$") for no_url in [
            "ftp://id.example/", "id.example", "", None, f"https://{SECRET}/", f"https://me:{SECRET}@id.example/",
            "https://id.example:99999/",
        ]),
        *(("token_url", f"https://{user}@id.example/", "^token_url must have neither credentials") for user in [
            "me:hunter2", "me",
        ]),
        ("token_url", "https://id.example/#x", "fragment; pass client_id and client_secret$"),
        ("client_id", "", "^the client ID is empty"), ("client_id", None, "^the client ID must be a str, not NoneType$"),
        ("client_secret", "", "^the client secret is empty"), ("client_secret", None, "^the client secret must be a str"),
        ("client_secret", f"{SECRET}\n", "^the client secret has a control character"),
        ("scope", "", "^the scope is empty"), ("scope", "a\nb", "^the scope has a control character"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_refused_at_once(name: str, wrong: Any, why: str) -> None:
    """The constructor refuses it. The error names the argument and what is wrong with it, and does not show it."""
    right = {"token_url": "https://id.example/", "client_id": "me", "client_secret": SECRET, "scope": SCOPE}
    with pytest.raises(ConfigurationError, match=why) as caught:
        ClientCredentialsAuth(**{**right, name: wrong})
    error = caught.value
    for secret in (SECRET, "hunter2"):
        assert secret not in f"{error!r} {error.__cause__!r} {error.__context__!r}"


def test_nothing_shows_a_secret() -> None:
    """Neither the grant nor its auth shows it."""
    auth = ClientCredentialsAuth("https://id.example/", "me", SECRET, SCOPE)
    sent = GRANT.request.headers["Authorization"].partition(" ")[2]
    for shown in (repr(GRANT), repr(auth), repr(GRANT.request)):
        assert SECRET not in shown
        assert sent not in shown


# --- what replies mean ----------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Bearer", "bearer", "BEARER", "BearerToken", " bearer ", "", None])
@pytest.mark.parametrize(
    ("life", "life_s"),
    [
        *((3600, 3600.0), ("604800", 604800.0), (3600.0, 3600.0), ("3600.0", 3600.0), (" 60 ", 60.0), (0.5, 0.5)),
        *((10**12, LONGEST_WAIT_S), (2**63, LONGEST_WAIT_S), (1e300, LONGEST_WAIT_S), ("9" * 13, LONGEST_WAIT_S)),
        *((unknown, None) for unknown in (None, "", 0, -1, "0", "-5", "soon", "1e9", "nan", True, [], {}, "9" * 400)),
    ],
)
def test_a_token_is_read(kind: str, life: Any, life_s: float | None) -> None:
    """RFC 6749, 5.1: the type in any letter case, or none. A lifetime that is not a number is unknown."""
    credential = GRANT.read(answer(granted(token_type=kind, expires_in=life, scope="x", unheard_of=1)))
    assert dict(credential.headers) == {"Authorization": "Bearer a-token"}
    assert credential.expires_in_s == life_s
    for name in ("expires_in", "token_type"):
        assert dict(GRANT.read(answer(without(name))).headers) == {"Authorization": "Bearer a-token"}
    assert GRANT.read(answer(without("expires_in"))).expires_in_s is None


NO_JSON = "the token endpoint's reply is not a JSON object"
NO_TOKEN = "access_token is missing or cannot be sent in a header"
NO_BEARER = "token_type is not Bearer"


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        *((body, NO_JSON) for body in (b"", b"<html>", b'{"access_token": "a-token"', b"\xff", [], "a-token", None)),
        (without("access_token"), NO_TOKEN),
        *((granted(access_token=bad), NO_TOKEN) for bad in ("", 7, None, "a b", "a\r\nX: y", "tok€n", ["a"])),
        *((granted(token_type=bad), NO_BEARER) for bad in ("mac", "DPoP", 1, ["bearer"])),
    ],
)
def test_a_reply_without_a_token_is_malformed(document: Any, reason: str) -> None:
    """The error names the part that is wrong. It has no excerpt, because the reply may hold a token in another place."""
    with pytest.raises(MalformedReply) as caught:
        GRANT.read(answer(document))
    error = caught.value
    assert (error.reason, error.http_status, error.excerpt) == (reason, 200, "")
    assert error.content_type == "application/json"
    assert error.__context__ is None
    assert "a-token" not in str(error)


@pytest.mark.parametrize("status", [200, 201, 203])
@pytest.mark.parametrize("media_type", ["application/json", "text/html", "text/plain; charset=utf-8", ""])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
def test_the_media_type_does_not_matter(status: int, media_type: str, mark: bytes) -> None:
    """A token is read with any 2xx status, any media type, and with a byte order mark."""
    reply = answer(mark + orjson.dumps(granted()), status, **{"Content-Type": media_type})
    assert dict(GRANT.read(reply).headers) == {"Authorization": "Bearer a-token"}


@pytest.mark.parametrize("value", ["NaN", "1e999", "Infinity", "9" * 400, "[" * 200 + "]" * 200])
def test_no_other_value_hides_a_token(value: str) -> None:
    """NaN and the like are an unknown lifetime, as in any other reply."""
    reply = answer(granted())
    for encoding in ("utf-8", "utf-16"):
        body = orjson.dumps({**granted(), "expires_in": "?"}).decode().replace('"?"', value).encode(encoding)
        assert dict(GRANT.read(attrs.evolve(reply, body=body)).headers) == {"Authorization": "Bearer a-token"}


def test_an_empty_success_has_no_token() -> None:
    """The request may be retried."""
    with pytest.raises(MalformedReply):
        GRANT.read(answer(b"", 204))


@pytest.mark.parametrize("status", [200, 201, 401])
def test_a_refusal_with_a_2xx_status_is_a_refusal(status: int) -> None:
    """Some servers refuse with HTTP 200, and send the code of RFC 6749, 5.2 instead of a token."""
    with pytest.raises(AuthenticationError, match="invalid_client"):
        GRANT.read(answer({"error": "invalid_client"}, status))


@pytest.mark.parametrize(
    ("status", "code"),
    [(401, "invalid_client"), (400, "invalid_scope"), (400, "unauthorized_client"), (403, "access_denied")],
)
def test_a_refusal_is_final_and_says_why(status: int, code: str) -> None:
    """The error has the code and the description of RFC 6749, 5.2."""
    with pytest.raises(AuthenticationError, match=rf"https://id\.example.*HTTP {status}.*{code}") as caught:
        GRANT.read(answer({"error": code, "error_description": "Client authentication failed."}, status))
    assert caught.value.problem is not None
    assert caught.value.problem.codes == (code,)
    assert caught.value.problem.descriptions == ("Client authentication failed.",)


def test_a_description_is_read_in_its_charset() -> None:
    """It may be in the language of the server, and in an encoding other than UTF-8."""
    body = '{"error": "invalid_client", "error_description": "Schlüssel ungültig"}'.encode("latin-1")
    with pytest.raises(AuthenticationError, match="Schlüssel ungültig"):
        GRANT.read(answer(body, 401, **{"Content-Type": "application/json; charset=ISO-8859-1"}))


@pytest.mark.parametrize("document", [b"<html>", [], {}, {"error": 7}, {"error": "\x1b[2J"}, {"error": "x" * 100}])
def test_a_refusal_without_a_code_is_a_refusal(document: Any) -> None:
    """A code that RFC 6749 does not allow is ignored."""
    with pytest.raises(AuthenticationError) as caught:
        GRANT.read(answer(document, 401))
    assert caught.value.problem is None


def test_what_a_server_echoes_is_masked_and_cut() -> None:
    """If an identity service repeats the request, no secret of it gets into a log."""
    sent = GRANT.request.headers["Authorization"].partition(" ")[2]
    words = f"bad client {SECRET} / {sent}" + "x" * 1_000
    with pytest.raises(AuthenticationError) as caught:
        GRANT.read(answer({"error": "invalid_client", "error_description": words}, 401))
    assert SECRET not in str(caught.value)
    assert sent not in str(caught.value)
    assert len(str(caught.value)) < 500


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (429, RateLimited),
        (408, ServerUnavailable),
        (425, ServerUnavailable),
        (500, ServerUnavailable),
        (503, ServerUnavailable),
    ],
)
def test_a_temporary_failure_is_retried(status: int, expected: type[RateLimited | ServerUnavailable]) -> None:
    """It is not retried before the time that the server says, in seconds or as a date."""
    dates = {"Retry-After": email.utils.formatdate(160, usegmt=True), "Date": email.utils.formatdate(100, usegmt=True)}
    for fields, wait_s in (({"Retry-After": "17"}, 17.0), (dates, 60.0), ({}, None)):
        with pytest.raises((RateLimited, ServerUnavailable)) as caught:
            GRANT.read(answer(b"", status, **fields))
        assert type(caught.value) is expected
        assert caught.value.retry_after_s == wait_s


@pytest.mark.parametrize(("status", "expected"), [(429, RateLimited), (500, ServerUnavailable)])
def test_a_temporary_failure_has_the_code_of_the_server(
    status: int, expected: type[RateLimited | ServerUnavailable]
) -> None:
    """HTTP 429 and 500 are temporary whatever the code, and a log says why."""
    with pytest.raises(expected, match="slow down a bit; code slow_down"):
        GRANT.read(answer({"error": "slow_down", "error_description": "slow down a bit"}, status))


@pytest.mark.parametrize("status", [400, 403, 409, 429])
def test_a_refusal_with_retry_after_is_retried(status: int) -> None:
    """A token endpoint has a rate limit, too, and uses several status codes for it."""
    with pytest.raises(RateLimited) as caught:
        GRANT.read(answer({"error": "invalid_client"}, status, **{"Retry-After": "17"}))
    assert (caught.value.retry_after_s, caught.value.http_status) == (17.0, status)
    with pytest.raises(RateLimited):
        GRANT.read(answer(b"", status, **{"X-RateLimit-Remaining": "0"}))


def test_a_counter_at_zero_does_not_hide_the_reason() -> None:
    """The last request of a window may be refused for another reason."""
    with pytest.raises(AuthenticationError, match="invalid_scope"):
        GRANT.read(answer({"error": "invalid_scope"}, 400, **{"X-RateLimit-Remaining": "0"}))


@pytest.mark.parametrize("code", ["temporarily_unavailable", "server_error"])
def test_a_temporary_code_is_retried(code: str) -> None:
    """Its HTTP status does not matter."""
    for status in (200, 400, 403, 503):
        with pytest.raises(ServerUnavailable, match=code) as caught:
            GRANT.read(answer({"error": code}, status, **{"Retry-After": "5"}))
        assert caught.value.retry_after_s == 5.0


@pytest.mark.parametrize("status", [0, 99, 101, 304])
def test_a_code_that_is_no_refusal_may_be_asked_again(status: int) -> None:
    """Such a reply says nothing about the client, so it is a failed poll and no end of the watch. It shows no body."""
    with pytest.raises(MalformedReply, match=f"{status:03d}") as caught:
        GRANT.read(answer(granted(), status=status))
    assert caught.value.excerpt == ""


@pytest.mark.parametrize("status", [300, 301, 302, 303, 307, 308, 399])
def test_a_redirect_is_a_refusal(status: int) -> None:
    """The client's secret goes to the token endpoint only. A token in a redirect is no grant."""
    why = rf"redirect \(HTTP {status}\), which is not followed\. Pass the URL of the token endpoint itself"
    for document in (b"", granted()):
        with pytest.raises(AuthenticationError, match=why):
            GRANT.read(answer(document, status, Location="https://evil.example/"))


@given(
    status=st.integers(200, 599),
    body=st.one_of(st.binary(max_size=50), st.dictionaries(st.sampled_from(
        ["access_token", "token_type", "expires_in", "error", "error_description"]
    ), st.one_of(st.none(), st.booleans(), st.integers(-2**63, 2**63), st.floats(), st.text(), st.just("bearer")))
        .map(orjson.dumps)),
)  # fmt: skip
def test_garbage_raises_nothing_else(status: int, body: bytes) -> None:
    """Any reply gives a credential or one of our errors."""
    with contextlib.suppress(AuthenticationError, PollError):
        assert GRANT.read(answer(body, status)).headers["Authorization"].startswith("Bearer ")


# --- with a transport -----------------------------------------------------------------------------


async def test_a_token_is_fetched_and_renewed_over_a_real_connection() -> None:
    """The first token is fetched, and another one after the server refused it."""
    tokens = iter(["first", "second"])

    def grant(line: Line) -> None:
        line.say(reply(orjson.dumps(granted(access_token=next(tokens)))))

    async with raw_server(grant) as server, AiohttpTransport() as via:
        auth = ClientCredentialsAuth(f"{server.url}/oauth2/v1/token", "me", SECRET, SCOPE)
        await auth.renew(via, 0.0, None)
        fields = auth.headers(0.0)
        assert fields is not None
        assert fields["Authorization"] == "Bearer first"
        assert auth.headers(3540.0) is None
        await auth.renew(via, 1.0, fields)
        assert dict(auth.headers(1.0) or {}) == {"Authorization": "Bearer second"}
        assert len(server.requests) == 2
        assert server.requests[0].startswith(b"POST /oauth2/v1/token HTTP/1.1\r\n")
        assert server.requests[0].endswith(b"\r\n\r\n" + (GRANT.request.body or b""))


async def test_a_client_s_secret_does_not_travel_in_clear_text() -> None:
    """The transport's rule holds for token endpoints too."""
    auth = ClientCredentialsAuth("http://id.example/token", "me", SECRET)
    async with AiohttpTransport() as via:
        with pytest.raises(InsecureUrl):
            await auth.renew(via, 0.0, None)


async def test_a_token_request_without_reply_may_be_retried() -> None:
    """The request is sent once, and a closed connection is not a refusal."""
    async with raw_server(Line.hang_up) as server, AiohttpTransport() as via:
        auth = ClientCredentialsAuth(server.url, "me", SECRET)
        with pytest.raises(ConnectFailed):
            await auth.renew(via, 0.0, None)
        assert len(server.requests) == 1


@pytest.mark.parametrize("spelling", SPELLINGS)
@pytest.mark.parametrize("status", [200, 400, 401, 403, 500])
def test_a_token_endpoint_that_repeats_the_secret_is_masked(spelling: str, status: int) -> None:
    """In each spelling: in the description and in the content type."""
    secret = "hunter2+Secret/9=="
    grant = ClientCredentialsGrant.of("https://id.example/token", "me", secret, None)
    spelled = SPELLINGS[spelling](secret)
    body = f'{{"error": "invalid_client", "error_description": "bad {spelled} !"}}'.encode()
    made = Reply(status, CIMultiDict({"Content-Type": spelled}), body, grant.request)
    with pytest.raises((AuthenticationError, PollError)) as caught:
        grant.read(made)
    assert secret.lower() not in f"{caught.value!s}{caught.value!r}".lower()
    assert spelled not in f"{caught.value!s}{caught.value!r}"
