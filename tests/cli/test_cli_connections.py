"""Which options for proxies and certificates are refused, and what they make."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import attrs
import pytest
import trustme
from cryptography.hazmat.primitives import serialization

from pollwise.cli.connections import proxy_of, tls_of, transport_for
from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import WatchOptions

USUAL = WatchOptions()


def options(**changes: Any) -> WatchOptions:
    return attrs.evolve(USUAL, **changes)


def test_the_environment_counts_unless_an_option_says_none() -> None:
    """A named proxy heeds NO_PROXY."""
    assert proxy_of(USUAL) == (None, True)
    assert proxy_of(options(proxy="none")) == (None, False)
    assert proxy_of(options(proxy="proxy.example:3128")) == ("proxy.example:3128", True)


@pytest.mark.parametrize("proxy", ["http://me:s3cret@proxy.example", "me:s3cret@proxy.example", "http://s3cret@p:x"])
def test_no_argument_has_a_password(proxy: str) -> None:
    """Every process of the machine could read it."""
    with pytest.raises(UsageError, match="put the URL with them into HTTPS_PROXY") as caught:
        proxy_of(options(proxy=proxy))
    assert "s3cret" not in str(caught.value)


def test_a_url_of_no_proxy_is_a_usage_error() -> None:
    """Before any request."""
    with pytest.raises(UsageError, match="its scheme is socks5"):
        transport_for(options(proxy="socks5://proxy.example"))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate, its key, both in one file, an encrypted key, and a file without any."""
    folder = tmp_path_factory.mktemp("certificates")
    issued = trustme.CA().issue_cert("me.example")
    issued.cert_chain_pems[0].write_to_path(folder / "cert.pem")
    issued.private_key_pem.write_to_path(folder / "key.pem")
    issued.private_key_and_cert_chain_pem.write_to_path(folder / "both.pem")
    key = serialization.load_pem_private_key(issued.private_key_pem.bytes(), None)
    hidden = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.BestAvailableEncryption(b"x")
    )
    (folder / "hidden.pem").write_bytes(hidden)
    (folder / "text.pem").write_text("no certificate")
    return folder


def test_certificates_are_loaded(files: Path) -> None:
    """The usual ones without an option. A client certificate has its key in its file, or in another."""
    assert tls_of(USUAL) is None
    trusted = tls_of(options(ca_bundle=files / "cert.pem"))
    assert trusted is not None
    assert trusted.check_hostname
    assert tls_of(options(cert=files / "both.pem")) is not None
    assert tls_of(options(cert=files / "cert.pem", cert_key=files / "key.pem")) is not None


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ({"ca_bundle": "text.pem"}, "has no certificate in PEM form"),
        ({"ca_bundle": "missing.pem"}, "missing.pem cannot be read: No such file"),
        ({"cert": "cert.pem"}, "must have a certificate in PEM form and the private key that belongs to it"),
        ({"cert": "missing.pem"}, "missing.pem cannot be read: No such file"),
        ({"cert": "cert.pem", "cert_key": "hidden.pem"}, "the private key of --cert is encrypted"),
        ({"cert_key": "key.pem"}, "--cert-key belongs to --cert"),
    ],
)
def test_a_file_that_cannot_be_used_is_a_usage_error(given: dict[str, str], sentence: str, files: Path) -> None:
    """The sentence names the option and the file."""
    with pytest.raises(UsageError, match=sentence):
        tls_of(options(**{name: files / file for name, file in given.items()}))
