"""IDs and base URLs: a request goes to the right URL, or is refused."""

from __future__ import annotations

from urllib.parse import unquote

import pytest
from hypothesis import given
from hypothesis import strategies as st
from yarl import URL

from pollwise import ConfigurationError
from pollwise.endpoints import path_segment
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob

NASTY = [
    "a/b",
    "../x",
    "..%2f..",
    "%2e%2e",
    "%2E",
    "%",
    "%00",
    "?",
    "a?b=c",
    "#",
    "a#b",
    ";",
    "a;b",
    "a b",
    "+",
    "\\",
    "\\..\\",
    "...",
    "~",
    "@",
    "//host",
    "https://evil.example/",
    ":",
    "ü",
    "日本",
    "🙂",
    "'\"<>",
    "a" * 1024,
    "é",
    "e\u0301",
]
IDS = st.sampled_from(NASTY) | st.text(
    st.characters(exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=60
).filter(lambda name: name not in {".", ".."})


@given(IDS, IDS)
def test_an_id_is_exactly_one_path_segment(file_id: str, job_id: str) -> None:
    """No ID can change the path: read back from the wire, each is the segment that it was."""
    url = ExtractionEndpoint("https://example.com/p").request(ExtractionJob(file_id, job_id)).url
    assert url.raw_path.isascii()
    segments = url.raw_path.split("/")
    assert segments[:6] == ["", "p", "documents", "api", "1.2", "files"]
    assert [unquote(segment) for segment in segments[6:]] == [file_id, "_extract", job_id]
    assert str(url) == f"https://example.com{url.raw_path}"
    assert url.raw_path_qs == url.raw_path


@given(IDS)
def test_a_task_id_is_exactly_one_path_segment(task_id: str) -> None:
    """The same for the other vendor."""
    url = DeleteFileEndpoint("http://127.0.0.1:8080").request(DeleteFileJob(task_id)).url
    prefix, _, last = url.raw_path.rpartition("/")
    assert prefix == "/v2/Drive/Folders/DeleteFile/Status"
    assert unquote(last) == task_id
    assert (url.raw_query_string, url.raw_fragment) == ("", "")


@pytest.mark.parametrize(
    ("name", "sent"),
    [
        ("../../x", "..%2F..%2Fx"),
        ("a/b", "a%2Fb"),
        ("/", "%2F"),
        ("./", ".%2F"),
        ("..\\..\\x", "..%5C..%5Cx"),
        ("%2e%2e", "%252e%252e"),
        ("%2F", "%252F"),
        ("...", "..."),
        (" a b ", "%20a%20b%20"),
        ("a?b#c;d", "a%3Fb%23c%3Bd"),
        ("ü", "%C3%BC"),
        ("e\u0301", "e%CC%81"),
        ("x" * 1024, "x" * 1024),
    ],
)
def test_one_rule_says_how_an_id_is_sent(name: str, sent: str) -> None:
    """The same for both vendors, and for the endpoint of another author, who uses the public function."""
    assert path_segment(name) == sent
    assert str(URL(f"https://a.example/{path_segment(name)}", encoded=True)) == f"https://a.example/{sent}"
    task = DeleteFileEndpoint("https://a.example").request(DeleteFileJob(name)).url
    job = ExtractionEndpoint("https://a.example").request(ExtractionJob(name, name)).url
    assert task.raw_path.endswith(f"/Status/{sent}")
    assert job.raw_path.endswith(f"/files/{sent}/_extract/{sent}")


@pytest.mark.parametrize(
    "bad",
    [
        "",
        ".",
        "..",
        "a\nb",
        "\r",
        "\t",
        "\0",
        "\x7f",
        "\x80",
        "\x9f",
        "a\u2028",
        "\u2029",
        "\ud800",
        "x\udfff",
        "a" * 1025,
        None,
        5,
        b"abc",
        ["a"],
    ],
)
def test_an_id_that_cannot_be_a_segment_is_refused_at_once(bad: object) -> None:
    """The job's constructor refuses it, for every ID of the job."""
    with pytest.raises(ValueError, match="task_id") as caught:
        DeleteFileJob(bad)  # type: ignore[arg-type]  # that is what must fail
    assert isinstance(caught.value, ConfigurationError)
    assert str(caught.value).isascii()
    assert len(str(caught.value)) < 150
    with pytest.raises(ConfigurationError, match="the ID must"):
        path_segment(bad)  # type: ignore[arg-type]  # that is what must fail
    with pytest.raises(ValueError, match="file_id"):
        ExtractionJob(bad, "x")  # type: ignore[arg-type]  # that is what must fail
    with pytest.raises(ValueError, match="job_id"):
        ExtractionJob("x", bad)  # type: ignore[arg-type]  # that is what must fail


@pytest.mark.parametrize(
    ("base_url", "start"),
    [
        ("https://example.com", "https://example.com/v2/"),
        ("https://example.com/", "https://example.com/v2/"),
        ("HTTPS://Example.COM:8443/a/b/", "https://example.com:8443/a/b/v2/"),
        ("https://example.com/a%2Fb", "https://example.com/a%2Fb/v2/"),
        ("https://example.com/ü", "https://example.com/%C3%BC/v2/"),
        ("https://münchen.example", "https://xn--mnchen-3ya.example/v2/"),
        ("http://[::1]:8080", "http://[::1]:8080/v2/"),
        ("http://localhost", "http://localhost/v2/"),
    ],
)
def test_a_base_url_may_have_a_port_and_a_path(base_url: str, start: str) -> None:
    """It is parsed once, and every request is below it."""
    endpoint = DeleteFileEndpoint(base_url)
    assert str(endpoint.request(DeleteFileJob("x")).url).startswith(start)
    assert repr(endpoint) == f"DeleteFileEndpoint('{start.removesuffix('/v2/')}')"


@pytest.mark.parametrize(
    ("base_url", "why"),
    [
        ("", "absolute"),
        ("example.com", "absolute"),
        ("/path", "absolute"),
        ("//example.com", "absolute"),
        ("ftp://example.com", "absolute"),
        ("file:///etc/passwd", "absolute"),
        ("https://", "absolute"),
        ("https:///path", "absolute"),
        ("hunter2:x@example.com", "absolute"),
        ("https://u:hunter2@example.com", "auth="),
        ("https://hunter2@example.com", "auth="),
        ("https://@example.com", "auth="),
        ("https://example.com?token=hunter2", "query"),
        ("https://example.com/?", "query"),
        ("https://example.com/#hunter2", "fragment"),
        ("https://example.com:99999/hunter2", "valid"),
        ("https://[::1", "valid"),
        ("https://exam ple.com", "spaces"),
        ("https://example.com/\n", "spaces"),
        ("https://example.com\\hunter2", "backslashes"),
        ("https://example.com/\x00", "control"),
        ("https://example.com/\ud800", "control"),
        (None, "str"),
        (b"https://example.com", "str"),
    ],
)
def test_a_base_url_that_cannot_be_right_is_refused_at_once(base_url: object, why: str) -> None:
    """The error has an example and does not show the URL, because it may have a password."""
    for endpoint in (DeleteFileEndpoint, ExtractionEndpoint):
        with pytest.raises(ConfigurationError, match=why) as caught:
            endpoint(base_url)  # type: ignore[arg-type]  # that is what must fail
        assert "hunter2" not in str(caught.value)
        assert caught.value.__context__ is None
