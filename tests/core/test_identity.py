"""Accounts and origins: a name that is no credential, and a place that is no path."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise.core.identity import Origins, checked_account, origins_of
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import ConfigurationError, OriginChanged
from pollwise.http.auth import ApiKeyAuth, BasicAuth, BearerAuth
from pollwise.model.messages import Request
from toy import ToyEndpoint, ToyJob

KEY = "Kv9U8xJQ1mZ4TtWnA7RcYb2DfGh5LpSe"


class PlacedToy(ToyEndpoint):
    """Polls at the given URL."""

    def __init__(self, url: str) -> None:
        super().__init__()
        self.url = url

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(self.url))


@pytest.mark.parametrize(
    "name",
    [
        "",
        "acme",
        "ACME GmbH & Co. KG",
        "日本",
        "a" * 200,
        "0b7e3c9e-6f0f-4c35-9d53-0e1a5c1f6a77",
        "65868a00c536f34594713fec",
        "Basic",
    ],
)
def test_a_name_is_an_account(name: str) -> None:
    """Whatever can be printed: words, a project's ID, or nothing."""
    assert checked_account(name) == name
    assert DeleteFileEndpoint("https://a.example", account=name).account == name
    assert ExtractionEndpoint("https://a.example", account=name).account == name


@pytest.mark.parametrize(
    ("name", "why"),
    [
        (None, "must be a str, got NoneType"),
        (b"acme", "must be a str, got bytes"),
        ("a" * 201, "at most 200 characters, got 201"),
        (" acme", "spaces around"),
        ("acme\n", "printable"),
        ("ac\x00me", "printable"),
        ("ac\u202eme", "printable"),
        ("\ud800", "printable"),
        ("Bearer abc123def", "looks like a credential"),
        ("basic dXNlcjpwYXNz=", "looks like a credential"),
        ("eyJhbGciOi.eyJzdWIiOiIx.c2ln", "looks like a credential"),
        (KEY, "looks like a credential"),
    ],
)
def test_what_is_no_account_is_refused(name: object, why: str) -> None:
    """When the endpoint is made, and without showing it."""
    with pytest.raises(ConfigurationError, match=why) as caught:
        DeleteFileEndpoint("https://a.example", account=name)  # type: ignore[arg-type]
    assert not name or str(name) not in str(caught.value)


@pytest.mark.parametrize("auth", [ApiKeyAuth("hunter2"), BearerAuth("hunter2")])
def test_the_credential_itself_is_no_account(auth: ApiKeyAuth | BearerAuth) -> None:
    """However short it is; the user's name is no secret."""
    with pytest.raises(ConfigurationError, match="looks like a credential"):
        checked_account("hunter2", auth)
    assert checked_account("alice", BasicAuth("alice", "hunter2")) == "alice"


def test_the_last_word_of_a_field_is_a_credential_too() -> None:
    """Whatever words stand before it."""
    auth = ApiKeyAuth("Token v1 hunter2", header="Authorization")
    for account in ("hunter2", "Token v1 hunter2"):
        with pytest.raises(ConfigurationError, match="looks like a credential"):
            checked_account(account, auth)
    assert checked_account("v1", auth) == "v1"


@pytest.mark.parametrize(
    ("account", "message"),
    [
        (" acme", "account must hold printable characters alone, and no spaces around them"),
        (
            KEY,
            (
                "account must be a name of yours, such as 'acme', and this looks like a credential; accounts are"
                " written to ledgers and resume tokens"
            ),
        ),
    ],
)
def test_the_error_says_what_an_account_is(account: str, message: str) -> None:
    """And why it must not be a credential."""
    with pytest.raises(ConfigurationError) as caught:
        checked_account(account)
    assert str(caught.value) == message


@given(st.text())
def test_no_text_gets_past_unseen(name: str) -> None:
    """It is an account of printable characters, or a ConfigurationError."""
    try:
        account = checked_account(name)
    except ConfigurationError:
        return
    assert account == name
    assert account.isprintable()
    assert len(account) <= 200


@pytest.mark.parametrize(
    ("urls", "origins"),
    [
        ((), set()),
        ("https://API.example.com:443/v2?x=1", {"https://api.example.com"}),
        (["http://localhost:8080", "https://a.example/"], {"http://localhost:8080", "https://a.example"}),
        ({"https://user:hunter2@a.example"}, {"https://a.example"}),
    ],
)
def test_an_origin_is_scheme_host_and_port(urls: object, origins: set[str]) -> None:
    """Of one URL or of many; what else a URL has is left out."""
    assert origins_of(urls) == origins  # type: ignore[arg-type]


@pytest.mark.parametrize("urls", ["", "api.example.com", ["ftp://a.example"], ["https://"], [None], ["https://a:x/"]])
def test_what_is_no_url_has_no_origin(urls: object) -> None:
    """It is refused, and not shown."""
    with pytest.raises(ConfigurationError) as caught:
        origins_of(urls)  # type: ignore[arg-type]
    assert str(caught.value) == "moved_from must hold absolute http or https URLs, such as 'https://api.example.com'"


def test_another_origin_is_refused() -> None:
    """Unless the caller says that the API has moved from there; where no origin is known, any is right."""
    endpoint, job = DeleteFileEndpoint("https://new.example/api"), DeleteFileJob("t")
    origins: Origins[DeleteFileJob] = Origins(endpoint)
    assert origins.of(job) == origins.check(job, None) == origins.check(job, "https://new.example")
    with pytest.raises(OriginChanged) as caught:
        origins.check(job, "https://old.example", watches=3)
    error = caught.value
    assert (error.job, error.recorded, error.configured) == (job, "https://old.example", "https://new.example")
    assert str(error).startswith("3 open jobs, such as ")
    assert "moved_from=('https://old.example',)" in str(error)
    with pytest.raises(OriginChanged, match=r"^DeleteFileJob\(task_id='t'\) was asked about at "):
        origins.check(job, "https://old.example")
    moved: Origins[DeleteFileJob] = Origins(endpoint, frozenset({"https://old.example"}))
    assert moved.check(job, "https://old.example") == "https://new.example"


class PlacedByJob(ToyEndpoint):
    """Each job has a host of its own; one cannot be asked about."""

    def request(self, job: ToyJob, /) -> Request:
        return Request(URL(f"https://{job.id}.example/") if job.id != "none" else URL("/relative"))


@pytest.mark.parametrize(
    ("job", "recorded", "moved"),
    [
        ("a", "https://a.example", False),
        ("a", "https://b.example", True),
        ("b", "https://b.example", False),
        ("a", None, False),
        ("none", "https://a.example", False),
        ("none", None, False),
    ],
)
def test_a_job_has_moved_if_both_of_its_origins_are_known_and_differ(
    job: str, recorded: str | None, moved: bool
) -> None:
    """Whatever the caller says of moves. A cursor of the earlier place is not used then."""
    for moved_from in (frozenset[str](), frozenset({"https://b.example"})):
        origins: Origins[ToyJob] = Origins(PlacedByJob(), moved_from)
        assert origins.moved(ToyJob(job), recorded) is moved


class ElsewhereEndpoint(DeleteFileEndpoint):
    """Makes requests of its own."""

    def request(self, job: DeleteFileJob, /) -> Request:
        return Request(URL("https://elsewhere.example") / job.task_id)


@pytest.mark.parametrize(
    "url",
    ["https://API.example.com:443/v2", "http://localhost:8080", "https://b\u00fccher.example/a/", "http://[::1]:1"],
)
def test_a_vendor_knows_its_origin_without_a_request(url: str) -> None:
    """It is that of every request; a subclass that asks elsewhere has another one."""
    endpoint, job = DeleteFileEndpoint(url), DeleteFileJob("t")
    assert endpoint.fixed_origin == str(endpoint.request(job).url.origin()) == Origins(endpoint).of(job)
    assert Origins(ElsewhereEndpoint(url)).of(job) == "https://elsewhere.example"


@pytest.mark.parametrize("url", ["/relative", "https://a.example:99999/"])
def test_an_endpoint_that_makes_no_request_has_no_origin(url: str) -> None:
    """The first poll reports what is wrong."""
    assert Origins(PlacedToy(url)).of(ToyJob()) is None
