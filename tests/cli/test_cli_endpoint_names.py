"""What the name of an endpoint means."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pollwise.cli.endpoint_names import EndpointNames, form_of
from pollwise.cli.exit_status import UsageError
from pollwise.cli.job_forms import UnknownEndpoint
from pollwise.endpoints import installed
from pollwise.endpoints.declared import Declaration
from pollwise.errors import ConfigurationError

Run = Callable[..., Any]
DECLARED = '[{}]\nbase = "https://{}.example"\njob = ["id"]\npoll = "GET /{{id}}"\nstate = "s"\nsucceeded = ["x"]\n'
OVER_PACKAGE = ", in place of that of the package acme-jobs 1.2; its requests go to"
PACKAGE = """
import attrs
from yarl import URL
from pollwise.endpoints import AttrsCodec, Endpoint, Reading, Request
from pollwise.endpoints.declared import Declaration

ONE = Declaration(name="one", base="https://package.example", job=["id"], poll="GET /{id}", state="s", succeeded=["x"])

@attrs.frozen
class Build:
    number: int

class Builds(Endpoint):
    name = "build"
    codec = AttrsCodec(Build, dict)
    def __init__(self, base_url, account):
        self.base, self.account = URL(base_url or "https://package.example"), account
    def request(self, job, /):
        return Request(self.base / "exports" / str(job.number))
    def read(self, reply, /):
        data = reply.json()
        return Reading.succeeded(data) if data["state"] == "done" else Reading.running(data)

def build(base_url, account):
    return Builds(base_url, account)

def bare(base_url, account):
    made = Builds(base_url, account)
    made.name = "bare"
    del Builds.codec
    return made
"""


@pytest.fixture
def places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, an empty configuration folder, and a package with the endpoints one, build and bare."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    (tmp_path / "config" / "pollwise").mkdir(parents=True)
    metadata = tmp_path / "site" / "acme_jobs-1.2.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: acme-jobs\nVersion: 1.2\n")
    points = "one = acme_names:ONE\nbuild = acme_names:build\nbare = acme_names:bare\nbroken = acme_names:gone\n"
    (metadata / "entry_points.txt").write_text(f"[pollwise.endpoints]\n{points}")
    (tmp_path / "site" / "acme_names.py").write_text(PACKAGE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.delitem(__import__("sys").modules, "acme_names", raising=False)
    return tmp_path


def test_places_are_looked_at_in_their_order(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The current folder, the configuration folder, packages, the catalog. What was found is said on stderr."""
    config = places / "config" / "pollwise" / "endpoints.toml"
    (places / "pollwise.toml").write_text(DECLARED.format("one", "here") + DECLARED.format("document360", "here"))
    config.write_text(DECLARED.format("one", "config") + DECLARED.format("two", "config"))
    assert EndpointNames().endpoint("one").fixed_origin == "https://here.example"
    assert EndpointNames().endpoint("two").fixed_origin == "https://config.example"
    (places / "pollwise.toml").unlink()
    assert EndpointNames().endpoint("one").fixed_origin == "https://config.example"
    config.unlink()
    assert EndpointNames().endpoint("one").fixed_origin == "https://package.example"
    assert (EndpointNames().find("airbyte").source or "").startswith("from the catalog, https://reference.airbyte.com/")
    assert capsys.readouterr().err.splitlines() == [
        f"pollwise: one is declared in pollwise.toml{OVER_PACKAGE} https://here.example",
        f"pollwise: two is declared in {config}",
        f"pollwise: one is declared in {config}{OVER_PACKAGE} https://config.example",
        "pollwise: one is of the package acme-jobs 1.2",
    ]


def test_a_server_of_ones_own_needs_its_url(places: Path) -> None:
    """Where the catalog has none."""
    with pytest.raises(UsageError, match="--base-url is missing: give the root of your own server, such as https://"):
        EndpointNames().endpoint("databricks-run")


def test_a_vendor_is_no_other_endpoint(places: Path, environment: pytest.MonkeyPatch) -> None:
    """A declaration cannot take the name of one of the two vendors."""
    (places / "pollwise.toml").write_text(DECLARED.format("document360", "here"))
    names = EndpointNames(base_urls={"document360": "https://a.example"}, account="acme")
    assert str(names.endpoint("document360")) == "DeleteFileEndpoint('https://a.example', account='acme')"
    with pytest.raises(UsageError, match=r"--base-url is missing: .*, or set ORACLE_CONTENT_BASE_URL"):
        names.endpoint("oracle-content")


def test_nothing_is_read_before_it_is_needed(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong file, or a broken package, does not matter for a name that is found before."""

    def never() -> Any:
        raise AssertionError

    monkeypatch.setattr(installed, "installed", never)
    (places / "pollwise.toml").write_text(DECLARED.format("one", "here"))
    (places / "config" / "pollwise" / "endpoints.toml").write_text("broken")
    assert EndpointNames().form("one").key_types == {"id": str}
    with pytest.raises(ConfigurationError, match="cannot be read"):
        EndpointNames().form("two")


def test_an_unknown_name_has_a_hint(places: Path) -> None:
    """The nearest names of all places, also the second time. Later ones are not looked for, because that takes long."""
    (places / "pollwise.toml").write_text(DECLARED.format("exports", "here"))
    names = EndpointNames()
    for _ in range(2):
        with pytest.raises(UnknownEndpoint, match=r"there are exports\. Did you mean exports\?") as raised:
            names.find("export")
        assert raised.value.hint == "did you mean exports?"
    for name, hint in (("biuld", "build"), ("openai-batsch", "openai-batch"), ("oracle", "oracle-content")):
        with pytest.raises(UnknownEndpoint) as raised:
            names.find(name)
        assert hint in raised.value.hint
    for number in range(200):
        with pytest.raises(UnknownEndpoint):
            names.find(f"{number}")
    with pytest.raises(UnknownEndpoint) as raised:
        names.find("exportz")
    assert "did you mean" not in raised.value.hint


def test_the_function_of_a_package_needs_a_codec(places: Path) -> None:
    """Because the keys of a job are texts in the command."""
    with pytest.raises(ConfigurationError, match=r"bare of the package acme-jobs 1\.2 has no codec"):
        EndpointNames().find("bare")


def test_a_codec_that_raises_is_an_error_of_its_package(places: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever it raises, and without the value of a key."""
    endpoint = EndpointNames().endpoint("build")

    def broken(_keys: object) -> Any:
        raise KeyError("s3cret")

    monkeypatch.setattr(endpoint.codec, "job_from_keys", broken)
    with pytest.raises(ConfigurationError, match="the codec of build raised KeyError for these keys; correct it"):
        form_of(endpoint).job({"number": "7"})
    with pytest.raises(ConfigurationError, match="a job of build has exactly the keys number; got none"):
        form_of(endpoint).job({})


async def test_a_packages_endpoint_is_watched(places: Path, exports: Any, command: Run) -> None:
    """By its name and its keys, whether it is declared or of a class."""
    arguments = ("watch", "build", "number=7", "--base-url", exports.url, "--interval", "0.01")
    status, out, err = await command(*arguments)
    assert (status, err) == (0, "pollwise: build is of the package acme-jobs 1.2\n")
    assert "build 7 succeeded (" in out
    (places / "jobs.csv").write_text("endpoint,number\nbuild,8\n")
    status, out, _ = await command("batch", "jobs.csv", "--base-url", f"build={exports.url}", "--interval", "0.01")
    assert status == 0
    assert "build 8 succeeded" in out


async def test_a_broken_package_is_a_usage_error_of_its_name_alone(places: Path, command: Run) -> None:
    """And all of them are in the list."""
    status, out, err = await command("watch", "broken", "id=7")
    assert (status, out) == (2, "")
    assert err.startswith(
        "pollwise: the endpoint broken of the package acme-jobs 1.2 cannot be used: it cannot be loaded"
    )
    status, out, _ = await command("endpoint", "list")
    assert status == 0
    assert "broken: of the package acme-jobs 1.2" in out.splitlines()


def test_a_declaration_of_a_package_is_data(places: Path) -> None:
    """It is checked when it is found."""
    assert isinstance(installed.installed()["one"].load(), Declaration)


def test_a_file_that_replaces_another_endpoint_is_named(places: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With the server that gets the requests, because they would carry the same credentials. --quiet does not hide it."""
    (places / "pollwise.toml").write_text(DECLARED.format("one", "evil") + DECLARED.format("openai-batch", "evil"))
    EndpointNames(quiet=True).endpoint("one")
    EndpointNames(base_urls={"openai-batch": "https://mine.example/v1"}).endpoint("openai-batch")
    EndpointNames(places / "pollwise.toml").endpoint("openai-batch")  # named by the user
    over_catalog = ", in place of that of the catalog; its requests go to"
    assert capsys.readouterr().err.splitlines() == [
        f"pollwise: one is declared in pollwise.toml{OVER_PACKAGE} https://evil.example",
        f"pollwise: openai-batch is declared in pollwise.toml{over_catalog} https://mine.example",
    ]
