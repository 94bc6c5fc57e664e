"""Endpoints of installed packages."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pollwise.endpoints.declared import Declaration, DeclaredEndpoint
from pollwise.endpoints.installed import from_installed, installed
from pollwise.errors import ConfigurationError
from pollwise.http.auth import BearerAuth

Install = Callable[..., None]
TOML = """
[acme-export]
base = "https://acme.example"
job = { id = "int" }
poll = "GET /exports/{id}"
state = "state"
succeeded = ["done"]

[acme-import]
base = "https://acme.example"
job = ["id"]
poll = "GET /imports/{id}"
state = "state"
succeeded = ["done"]
"""
CODE = """
from importlib import resources
import attrs
from yarl import URL
from pollwise.endpoints import AttrsCodec, Endpoint, Reading, Request
from pollwise.endpoints.declared import Declaration

NAMED = "endpoints.toml"
RESOURCE = resources.files("acme_jobs") / "endpoints.toml"
ONE = Declaration(name="acme-one", base="https://acme.example", job=["id"], poll="GET /{id}", state="s", succeeded=["x"])
MANY = {"acme-one": ONE, "acme-table": {"base": "https://acme.example", "job": ["id"], "poll": "GET /{id}",
        "state": "s", "succeeded": ["x"]}, "acme-wrong": {"pol": 1}}
NUMBER = 7

@attrs.frozen
class Build:
    repo: str
    number: int

class BuildEndpoint(Endpoint):
    name = "acme-build"
    codec = AttrsCodec(Build, dict)
    def __init__(self, base_url, account):
        self.base, self.account = URL(base_url or "https://acme.example"), account
    def request(self, job, /):
        return Request(self.base / "builds" / job.repo / str(job.number))
    def read(self, reply, /):
        data = reply.json()
        return Reading.succeeded(data) if data["over"] else Reading.running(data)

def build(*, base_url, account):
    return BuildEndpoint(base_url, account)

def broken(*, base_url, account):
    raise RuntimeError("s3cret")

READY = BuildEndpoint(None, "")
"""


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Install]:
    """Installs packages into a folder of `sys.path`, with their metadata."""
    site = tmp_path / "site"
    site.mkdir()
    monkeypatch.syspath_prepend(str(site))

    def install(
        points: dict[str, str], *, name: str = "acme-jobs", module: str = "acme_jobs", code: str = CODE
    ) -> None:
        metadata = site / f"{name.replace('-', '_')}-1.2.dist-info"
        metadata.mkdir()
        (metadata / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.2\n")
        lines = "".join(f"{point} = {target}\n" for point, target in points.items())
        (metadata / "entry_points.txt").write_text(f"[pollwise.endpoints]\n{lines}")
        (site / module).mkdir()
        (site / module / "__init__.py").write_text(code)
        (site / module / "endpoints.toml").write_text(TOML)

    yield install
    for module in [name for name in sys.modules if name.startswith("acme_")]:
        del sys.modules[module]


def test_what_is_installed_is_listed_without_an_import(install: Install) -> None:
    """With the package and its version, also if the package is broken."""
    assert dict(installed()) == {}
    install({"acme-one": "acme_jobs:ONE", "acme-build": "acme_jobs:build"}, code="raise RuntimeError")
    there = installed()
    assert list(there) == ["acme-build", "acme-one"]
    assert (there["acme-one"].package, there["acme-one"].target) == ("acme-jobs 1.2", "acme_jobs:ONE")
    assert "acme_jobs" not in sys.modules


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("acme-one", "acme_jobs:ONE"),
        ("acme-one", "acme_jobs:MANY"),
        ("acme-table", "acme_jobs:MANY"),
        ("acme-export", "acme_jobs:NAMED"),
        ("acme-import", "acme_jobs:RESOURCE"),
    ],
)
def test_a_declaration_comes_in_every_form(name: str, target: str, install: Install) -> None:
    """A `Declaration`, a mapping of declarations or tables, the name of a file in the package, and a resource."""
    install({name: target})
    endpoint = from_installed(name, base_url="https://other.example", account="acme", auth=BearerAuth("a-token"))
    assert isinstance(endpoint, DeclaredEndpoint)
    assert (endpoint.name, endpoint.account, endpoint.fixed_origin) == (name, "acme", "https://other.example")


def test_a_function_makes_an_endpoint_of_any_class(install: Install) -> None:
    """It gets the base URL, which may be None, and the account."""
    install({"acme-build": "acme_jobs:build"})
    endpoint = from_installed("acme-build", base_url="https://other.example", account="acme")
    job = endpoint.codec.job_from_keys({"repo": "r", "number": "7"})
    assert str(endpoint.request(job).url) == "https://other.example/builds/r/7"
    assert endpoint.account == "acme"
    assert from_installed("acme-build").account == ""
    with pytest.raises(ConfigurationError, match="sets the credentials of acme-build itself"):
        from_installed("acme-build", auth=BearerAuth("a-token"))


@pytest.mark.parametrize(
    ("name", "target", "states"),
    [
        ("acme-one", "acme_gone:ONE", "loaded from acme_gone:ONE (ModuleNotFoundError: No module named 'acme_gone')"),
        ("acme-one", "acme_jobs:TWO", "(AttributeError: module 'acme_jobs' has no attribute 'TWO')"),
        ("acme-one", "acme_jobs:NUMBER", "acme_jobs:NUMBER must be a Declaration, a mapping"),
        ("acme-build", "acme_jobs:READY", "a function that takes base_url and account; it is a BuildEndpoint"),
        (
            "acme-two",
            "acme_jobs:ONE",
            "its declaration is called 'acme-one'; give the entry point and the declaration one",
        ),
        ("acme-two", "acme_jobs:MANY", "acme_jobs:MANY has no acme-two; it has acme-one, acme-table, acme-wrong"),
        ("acme-wrong", "acme_jobs:MANY", "acme_jobs:MANY: [acme-wrong] pol: there is no such word; did you mean poll?"),
        ("acme-two", "acme_jobs:NAMED", "acme_jobs:NAMED has no acme-two; it has acme-export, acme-import"),
        ("acme-built", "acme_jobs:build", "it calls itself 'acme-build', which is not the name of its entry point"),
        ("acme-build", "acme_jobs:broken", "acme_jobs:broken raised RuntimeError."),
        ("acme-build", "acme_jobs:installed", "AttributeError"),
    ],
)
def test_a_wrong_package_is_an_error_where_it_is_used(name: str, target: str, states: str, install: Install) -> None:
    """One error, which names the endpoint, the package and what to correct. It has no message that may hold a secret."""
    install({name: target, "acme-good": "acme_jobs:MANY"})
    assert name in installed()
    with pytest.raises(ConfigurationError) as raised:
        from_installed(name)
    assert str(raised.value).startswith(f"the endpoint {name} of the package acme-jobs 1.2 cannot be used: ")
    assert states in str(raised.value)
    assert "s3cret" not in str(raised.value)


@pytest.mark.parametrize("code", ["raise SystemExit(3)", "1/0", "import acme_gone", "def"])
def test_a_package_that_cannot_be_imported_is_an_error(code: str, install: Install) -> None:
    """Whatever its import raises."""
    install({"acme-one": "acme_jobs:ONE"}, code=code)
    with pytest.raises(ConfigurationError, match="cannot be loaded from acme_jobs:ONE"):
        from_installed("acme-one")


def test_a_file_name_needs_a_package(install: Install, tmp_path: Path) -> None:
    """The file is beside the module, so a module alone has none."""
    (tmp_path / "site" / "acme_alone.py").write_text('NAMED = "endpoints.toml"')
    install({"acme-export": "acme_alone:NAMED"})
    with pytest.raises(ConfigurationError, match="so its module must be in a package"):
        from_installed("acme-export")


def test_two_packages_with_one_name_are_refused(install: Install) -> None:
    """Else an installation could decide where credentials go."""
    install({"acme-one": "acme_jobs:ONE"})
    install({"acme-one": "acme_more:ONE"}, name="acme-more", module="acme_more")
    with pytest.raises(ConfigurationError, match=r"acme-\w+ 1.2, acme-\w+ 1.2 bring an endpoint acme-one each"):
        from_installed("acme-one")


def test_a_name_that_no_package_brings_is_an_error(install: Install) -> None:
    """With the names that there are."""
    install({"acme-one": "acme_jobs:ONE"})
    with pytest.raises(ConfigurationError, match="no installed package brings an endpoint 'acme'; there are acme-one"):
        from_installed("acme")


def test_damaged_metadata_harm_no_other_package(install: Install, tmp_path: Path) -> None:
    """A package without a readable name is still listed."""
    install({"acme-one": "acme_jobs:ONE"})
    damaged = tmp_path / "site" / "damaged-1.0.dist-info"
    damaged.mkdir()
    (damaged / "entry_points.txt").write_text("[pollwise.endpoints]\nacme-odd = acme odd:\n")
    assert isinstance(installed()["acme-one"].load(), Declaration)
    with pytest.raises(ConfigurationError, match="acme-odd"):
        from_installed("acme-odd")


@pytest.mark.parametrize("content", [b"\xff\xfe", b"[pollwise.endpoints]\nno equals sign\n"])
def test_entry_points_that_cannot_be_read_hide_no_other_package(
    content: bytes, install: Install, tmp_path: Path
) -> None:
    """Though they stop the search of the standard library."""
    install({"acme-one": "acme_jobs:ONE"})
    damaged = tmp_path / "site" / "aaa-1.0.dist-info"
    damaged.mkdir()
    (damaged / "METADATA").write_text("Metadata-Version: 2.1\nName: aaa\nVersion: 1.0\n")
    (damaged / "entry_points.txt").write_bytes(content)
    assert list(installed()) == ["acme-one"]
    assert from_installed("acme-one").name == "acme-one"
