"""Where a request may go whose URL came from a server, and with what."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise.core.url_rules import UrlRules
from pollwise.errors import UnsafeUrl
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading


class Exports(Endpoint[str, str]):
    """Its jobs are at URLs of their own."""

    name = "exports"
    origins = ("https://Downloads.example.com", "https://b.example:8443")

    def __init__(self, first: str = "https://api.example.com/exports/7", fixed: str | None = None) -> None:
        self.first = first
        self.fixed_origin = fixed

    def request(self, job: str, /) -> Request:
        return Request(URL(self.first))

    def read(self, reply: Reply, /) -> Reading[str]:
        raise NotImplementedError


SECRETS = {"Authorization": "Bearer x", "Cookie": "a=b", "X-Api-Key": "k", "api_token": "t", "Proxy-Authorization": "p"}
HARMLESS = {"Accept": "application/json", "If-None-Match": '"7"', "Prefer": "wait=5"}


def _checked(url: str, cursor: Any = "c", *, first: str = "https://api.example.com/exports/7", **more: Any) -> Request:
    request = Request(URL(url), more.pop("headers", {**SECRETS, **HARMLESS}), **more)
    return UrlRules(Exports(first)).checked("job", request, cursor)


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/results/7",
        "https://API.example.com:443/results/7?sig=1",
        "https://downloads.example.com/7",
        "https://b.example:8443/7",
    ],
)
def test_a_url_at_a_known_origin_is_asked_with_everything(url: str) -> None:
    """The origin of the job's own URL, and those that the endpoint lists."""
    request = _checked(url)
    assert request.headers == {**SECRETS, **HARMLESS}
    assert request.first_host is None


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com:8443/",
        "https://api.example.com.evil.example/",
        "https://evil.example/?https://api.example.com",
        "https://b.example/7",
        "https://sub.api.example.com/",
        "https://93.184.216.34/",
    ],
)
def test_a_url_at_another_origin_is_asked_bare(url: str) -> None:
    """Without a header field that is named like a credential. The rest of the request stays."""
    request = _checked(url, method="POST", body=b'{"page": 2}', idempotent=True)
    assert request.headers == HARMLESS
    assert (request.first_host, request.method, request.body) == ("api.example.com", "POST", b'{"page": 2}')
    assert request.idempotent is True
    assert str(request.url) == url


@given(
    st.dictionaries(st.sampled_from([*SECRETS, *HARMLESS, "X-Auth-Token", "x-amz-security-token"]), st.text(max_size=3))
)
def test_no_field_that_is_named_like_a_credential_goes_elsewhere(headers: dict[str, str]) -> None:
    """Whatever the endpoint put in."""
    assert set(_checked("https://evil.example/", headers=headers).headers) <= HARMLESS.keys()


@pytest.mark.parametrize(
    ("url", "host", "reason"),
    [
        ("file:///etc/passwd", "", "it is no absolute http or https URL"),
        ("ftp://a.example/x", "a.example", "it is no absolute http or https URL"),
        ("gopher://a.example/x", "a.example", "it is no absolute http or https URL"),
        ("/relative", "", "it is no absolute http or https URL"),
        ("http://evil.example/", "evil.example", "it is plain http, and the job's own URL is https"),
        ("http://api.example.com/", "api.example.com", "it is plain http, and the job's own URL is https"),
        ("https://me@api.example.com/", "api.example.com", "it has a user name or a password"),
        ("https://me:pw@evil.example/", "evil.example", "it has a user name or a password"),
        ("https://evil.example/" + "a" * 8_172, "evil.example", "it has more than 8,192 characters"),
        ("https://api.example.com/" + "a" * 8_169, "api.example.com", "it has more than 8,192 characters"),
        ("https://a.example:x/", "", "its host or port is invalid"),
        ("https://a.example:65536/", "", "its host or port is invalid"),
    ],
    ids=range(12),
)
def test_a_url_that_nothing_good_can_have_is_refused(url: str, host: str, reason: str) -> None:
    """Wherever it leads. The error names the host, and shows neither path nor query."""
    with pytest.raises(UnsafeUrl) as caught:
        UrlRules(Exports()).checked("job", Request(URL(url, encoded=True)), "c")
    assert (caught.value.host, caught.value.reason) == (host, reason)
    assert "passwd" not in str(caught.value)
    assert "pw" not in str(caught.value)
    assert len(str(caught.value)) < 400


@pytest.mark.parametrize(
    "cursor", ["https://api.example.com/\n", "\x00/next", "https://evil.example/\x7f", "/a\r\nX: y"]
)
def test_a_url_with_control_characters_is_refused(cursor: str) -> None:
    """A URL of yarl has them encoded, so the cursor is looked at, too."""
    with pytest.raises(UnsafeUrl) as caught:
        _checked("https://api.example.com/next", cursor)
    assert caught.value.reason == "it has control characters"
    with pytest.raises(UnsafeUrl, match="control characters"):
        UrlRules(Exports()).checked("job", Request(URL("https://api.example.com/\x01", encoded=True)), None)


def test_the_longest_url_has_8192_characters() -> None:
    """At any origin."""
    for start in ("https://evil.example/", "https://api.example.com/"):
        url = start + "a" * (8_192 - len(start))
        assert str(_checked(url).url) == url


def test_a_cursor_that_is_no_url_may_be_any_text() -> None:
    """It is the API's own."""
    assert _checked("https://api.example.com/next", "page\n2").first_host is None


PRIVATE = [
    "127.0.0.1",
    "10.1.2.3",
    "192.168.1.1",
    "169.254.169.254",
    "0.0.0.0",  # noqa: S104  # nothing is bound
    "224.0.0.1",
    "[::1]",
    "[fe80::1]",
    "[fd00::1]",
]


@pytest.mark.parametrize("host", [*PRIVATE, "localhost", "a.localhost", "[::ffff:10.0.0.1]", "[64:ff9b::a9fe:a9fe]"])
def test_a_private_address_is_not_asked_for_a_public_job(host: str) -> None:
    """The server must not reach this machine or its network through us."""
    with pytest.raises(UnsafeUrl, match=r"address, and the job's own URL is not"):
        _checked(f"https://{host}/latest/meta-data", first="https://93.184.216.34/exports/7")


@pytest.mark.parametrize(
    ("first", "allowed"),
    [
        ("http://127.0.0.1:8000/", ["127.0.0.1", "[::1]", "localhost", "127.8.8.8"]),
        ("http://localhost:8000/", ["127.0.0.1", "[::1]", "localhost"]),
        ("https://10.0.0.1/", ["10.1.2.3", "192.168.1.1", "[fd00::1]"]),
    ],
)
def test_a_private_job_may_lead_to_its_own_kind(first: str, allowed: list[str]) -> None:
    """To no other: not from a private network to this machine, nor from anywhere to the metadata of a cloud."""
    scheme = URL(first).scheme
    for host in allowed:
        assert _checked(f"{scheme}://{host}:9999/", first=first).first_host == URL(first).raw_host
    for host in {*PRIVATE, "localhost"} - set(allowed):
        with pytest.raises(UnsafeUrl):
            _checked(f"{scheme}://{host}:9999/", first=first)


def test_a_name_is_left_to_the_transport() -> None:
    """It has to be resolved: that of the target, and that of the job's own URL."""
    assert _checked("https://evil.example/", first="https://93.184.216.34/").first_host == "93.184.216.34"
    assert _checked("https://10.0.0.9/", first="https://intranet.example/").first_host == "intranet.example"


@pytest.mark.parametrize("host", ["2130706433", "0x7f000001", "127.1", "0177.0.0.1", "1.2.3.4.5", "a.0x7f"])
def test_a_host_that_some_systems_take_as_an_address_is_refused(host: str) -> None:
    """No real name ends in a number."""
    with pytest.raises(UnsafeUrl) as caught:
        _checked(f"https://{host}/")
    assert caught.value.reason == "its host is a number, which some systems take as an address"


def test_a_fixed_origin_counts_in_place_of_a_request() -> None:
    """No request is made for it."""

    class Fixed(Exports):
        def request(self, job: str, /) -> Request:
            raise AssertionError

    rules = UrlRules(Fixed(fixed="https://fixed.example"))
    assert rules.checked("job", Request(URL("https://fixed.example/a")), "c").first_host is None
    assert rules.checked("job", Request(URL("https://api.example.com/a")), "c").first_host == "fixed.example"


def test_a_key_that_the_endpoint_adds_to_a_servers_url_goes_nowhere_else() -> None:
    """A signature that the server has put there does, in a text or in an object."""
    signed = "https://evil.example/r?sig=a%2Bb%2Fc&page=2"
    for cursor in (signed, "https://evil.example/r?sig=a+b/c", {"next": [signed]}, {"sig": "a+b/c"}):
        assert _checked(signed, cursor).first_host == "api.example.com"
    with pytest.raises(UnsafeUrl) as caught:
        _checked(f"{signed}&api_key=s3cr3t", signed)
    assert caught.value.reason == (
        "its query has a credential that the server did not name, which is not for that server"
    )
    assert _checked("https://api.example.com/r?api_key=s3cr3t", "/r").first_host is None


def test_a_job_without_a_host_of_its_own_gives_no_credentials_away() -> None:
    """Such as one whose endpoint forgets the base URL, resumed at a cursor: the request is bare."""
    request = _checked("https://evil.example/", first="/exports/7")
    assert (request.first_host, request.headers) == ("", HARMLESS)


def test_a_body_with_a_credential_goes_nowhere_else() -> None:
    """It cannot be taken out."""
    with pytest.raises(UnsafeUrl) as caught:
        _checked("https://evil.example/", method="POST", body=b'{"client_secret": "s3cr3t"}')
    assert caught.value.reason == "the body of the request has a credential, which is not for that server"
    assert _checked("https://api.example.com/", method="POST", body=b'{"client_secret": "s"}').first_host is None


START = URL("https://api.example.com/exports")


@pytest.mark.parametrize(
    "url",
    [
        "https://api.example.com/7",
        "https://API.example.com:443/7",
        "https://downloads.example.com/7",
        "https://b.example:8443/7",
    ],
)
def test_a_started_job_may_be_where_its_start_was(url: str) -> None:
    """Or at an origin that the endpoint lists."""
    UrlRules(Exports(url)).check_started("job", START)


@pytest.mark.parametrize(
    "url",
    [
        "http://api.example.com/7",
        "https://api.example.com:8443/7",
        "https://evil.example/7?sig=1",
        "https://10.0.0.1/7",
    ],
)
def test_a_started_job_may_not_be_elsewhere(url: str) -> None:
    """Its polls would carry the credentials there. The refusal names the host, and no query."""
    with pytest.raises(UnsafeUrl) as caught:
        UrlRules(Exports(url)).check_started("job", START)
    assert caught.value.host == URL(url).host
    assert "sig" not in str(caught.value)


def test_an_endpoint_with_one_origin_is_not_asked_where_its_jobs_are() -> None:
    """It says so. A request that cannot be made is told by the first poll."""

    class Broken(Exports):
        def request(self, job: str, /) -> Request:
            raise ZeroDivisionError

    UrlRules(Exports("https://evil.example/7", fixed="https://api.example.com")).check_started("job", START)
    UrlRules(Broken()).check_started("job", START)
