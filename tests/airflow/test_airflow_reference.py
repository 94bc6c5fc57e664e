"""How a DAG names an endpoint."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pollwise import BearerAuth, ConfigurationError
from pollwise.airflow.reference import Credentials, EndpointReference
from pollwise.endpoints.oracle_content import ExtractionEndpoint

EXPORTS = Path(__file__).parents[2] / "examples" / "acme_exports.toml"
ORACLE = "pollwise.endpoints.oracle_content:ExtractionEndpoint"
URL = "https://oracle.example.com"


@pytest.fixture
def own_module(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = ModuleType("own_jobs")
    monkeypatch.setitem(sys.modules, "own_jobs", module)
    return module


def test_an_import_path_names_a_class() -> None:
    """`package.module:Class` is called with the arguments and with what the connection says."""
    reference = EndpointReference(endpoint=ORACLE, arguments={"base_url": URL})
    made = reference.make(Credentials(auth=BearerAuth("t0ken-of-a-test"), account="eu"))
    assert isinstance(made, ExtractionEndpoint)
    assert (made.fixed_origin, made.account) == (URL, "eu")


def test_an_import_path_may_name_an_endpoint_that_is_made(own_module: Any) -> None:
    """An endpoint of a module is used as it is, and takes no arguments."""
    own_module.ENDPOINT = ExtractionEndpoint(URL)
    assert EndpointReference(endpoint="own_jobs:ENDPOINT").make() is own_module.ENDPOINT
    with pytest.raises(ConfigurationError, match="made already, so it takes no base_url; name a function"):
        EndpointReference(endpoint="own_jobs:ENDPOINT", arguments={"base_url": URL}).make()


def test_a_name_is_one_of_the_file_or_of_the_catalog(monkeypatch: pytest.MonkeyPatch) -> None:
    """A name without a colon is a declared endpoint: of `endpoints_file`, or of the catalog."""
    monkeypatch.setenv("OPENAI_API_KEY", "t0ken-of-a-test")
    assert EndpointReference(endpoint="acme-exports", endpoints_file=str(EXPORTS)).make().name == "acme-exports"
    assert EndpointReference(endpoint="openai-batch").make().name == "openai-batch"


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (
            {"endpoint": "no_such_module:make"},
            "No module named 'no_such_module'.*install it on the workers and where the",
        ),
        ({"endpoint": "pollwise.endpoints:nothing"}, "cannot be imported .AttributeError"),
        ({"endpoint": "pollwise:__version__"}, "is a str, not an endpoint"),
        ({"endpoint": ORACLE}, "missing 1 required positional argument: 'base_url'"),
        ({"endpoint": ORACLE, "arguments": {"base_url": "ftp://x"}}, "base_url"),
        ({"endpoint": "no-such-endpoint"}, "no installed package and no entry of the catalog"),
        ({"endpoint": "other", "endpoints_file": str(EXPORTS)}, "acme-exports"),
        ({"endpoint": "other", "endpoints_file": "no-such-file.toml"}, "no-such-file.toml"),
        ({"endpoint": "openai-batch", "arguments": {"region": "eu"}}, "takes base_url and account, not region"),
    ],
)
def test_an_endpoint_that_cannot_be_made_is_named(arguments: dict[str, Any], words: str) -> None:
    """Whatever is wrong, the error names the endpoint and says why."""
    with pytest.raises(ConfigurationError, match=words) as caught:
        EndpointReference(**arguments).make()
    assert f"the endpoint {arguments['endpoint']!r} cannot be made" in str(caught.value)


def test_what_user_code_raises_is_named(own_module: Any) -> None:
    """An exception of the function, also one that ends a program, becomes one clear error without its text."""
    own_module.make = lambda: sys.exit("wrong key: t0ken-of-a-test")
    with pytest.raises(
        ConfigurationError, match=r"'own_jobs:make' cannot be made: making it raised SystemExit\. Call"
    ) as caught:
        EndpointReference(endpoint="own_jobs:make").make()
    assert "t0ken" not in str(caught.value)


def test_an_endpoint_without_a_codec_is_refused(own_module: Any) -> None:
    """A trigger needs a resume token, and a token needs a codec. The error says how to write one."""

    class Bare:
        name = "bare"

        def request(self, job: object) -> Any: ...

        def read(self, reply: object) -> Any: ...

    own_module.Bare = Bare
    with pytest.raises(ConfigurationError, match=r"it has no codec.*AttrsCodec"):
        EndpointReference(endpoint="own_jobs:Bare").make()


@pytest.mark.parametrize("arguments", [{"api_key": "x"}, {"auth": "x"}, {"options": [{"Password": "x"}]}])
def test_a_credential_is_refused(arguments: dict[str, Any]) -> None:
    """What Airflow keeps in its database holds no credential; the error says where to put it, without its value."""
    with pytest.raises(ConfigurationError, match=r"names a credential.*pass conn_id") as caught:
        EndpointReference(endpoint=ORACLE, arguments=arguments)
    assert "'x'" not in str(caught.value)


@pytest.mark.parametrize(
    "arguments",
    [
        {"endpoint": ""},
        {"endpoint": 7},
        {"endpoint": "a:b", "conn_id": ""},
        {"endpoint": "a:b", "endpoints_file": Path("x")},
        {"endpoint": "a:b", "arguments": ["x"]},
        {"endpoint": "a:b", "arguments": {"size": object()}},
    ],
)
def test_a_reference_of_another_form_is_refused(arguments: dict[str, Any]) -> None:
    """Arguments that no trigger could keep are found when the reference is made."""
    with pytest.raises(ConfigurationError):
        EndpointReference(**arguments)


def test_a_trigger_keeps_a_reference_as_json() -> None:
    """A reference survives JSON, and one of a later release is refused with what to do."""
    reference = EndpointReference(endpoint=ORACLE, arguments={"base_url": URL}, conn_id="acme")
    kept = json.loads(json.dumps(reference.to_json()))
    assert EndpointReference.from_json(kept) == reference
    assert EndpointReference.from_json(kept).identity == reference.identity
    with pytest.raises(ConfigurationError, match="install one version of pollwise"):
        EndpointReference.from_json({**kept, "of_a_later_release": 1})
