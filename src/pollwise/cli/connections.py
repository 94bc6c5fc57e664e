"""How the commands connect: proxy, certificates, the transport that uses them, and which failures they wait out.

Rule 1: a file that cannot be used, or a URL of no proxy, is a usage error before any request is sent.
Rule 2: `--proxy` takes no password, because every process of the machine can read the arguments. A variable takes one.
"""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any, Final

from yarl import URL

from pollwise.cli.exit_status import UsageError
from pollwise.cli.options import WatchOptions
from pollwise.cli.safe_text import safe
from pollwise.core.pacing import Retry
from pollwise.errors import ConfigurationError
from pollwise.http.transport import AiohttpTransport

__all__ = ["GRACE_S", "RETRY", "proxy_of", "tls_of", "transport_for"]

GRACE_S: Final = 3.0
"""For an unknown job. A user names jobs that exist; three polls are sent in any case."""
RETRY: Final = Retry(outage_s=1800.0)
"""Of many jobs. They may run overnight, so a shorter outage than half an hour abandons none."""
_NO_PROXY: Final = "none"


def transport_for(options: WatchOptions, **more: Any) -> AiohttpTransport:
    """The transport of a command. `more` are further arguments of `AiohttpTransport`.

    Raises:
        UsageError: An option or a variable cannot be used.
    """
    proxy, trust_env = proxy_of(options)
    try:
        return AiohttpTransport(
            allow_plain_http=options.allow_plain_http, ssl=tls_of(options), proxy=proxy, trust_env=trust_env, **more
        )
    except ConfigurationError as error:
        raise UsageError(str(error)) from None


def proxy_of(options: WatchOptions) -> tuple[str | None, bool]:
    """The URL of the proxy if an option names one, and whether the environment counts.

    Raises:
        UsageError: The URL has a password.
    """
    text = options.proxy
    if text is None:
        return None, True
    if text.lower() == _NO_PROXY:
        return None, False
    try:
        url = URL(text if "://" in text else f"http://{text}")
        has_secret = url.user is not None or url.password is not None
    except ValueError:
        has_secret = "@" in text
    if has_secret:
        raise UsageError("--proxy takes no user name and no password; put the URL with them into HTTPS_PROXY")
    return text, True


def tls_of(options: WatchOptions) -> ssl.SSLContext | None:
    """Which certificates are trusted and sent. None for the usual ones.

    Raises:
        UsageError: A file cannot be used.
    """
    if options.cert is None and options.cert_key is not None:
        raise UsageError("--cert-key belongs to --cert, which names the certificate of that key")
    if options.ca_bundle is None and options.cert is None:
        return None
    context = _trusting(options.ca_bundle)
    if options.cert is not None:
        _add_certificate(context, options.cert, options.cert_key)
    return context


def _trusting(bundle: Path | None) -> ssl.SSLContext:
    try:
        return ssl.create_default_context(cafile=bundle)
    except ssl.SSLError:
        raise UsageError(f"--ca-bundle {safe(bundle)} has no certificate in PEM form") from None
    except OSError as error:
        raise UsageError(f"--ca-bundle {safe(bundle)} cannot be read: {error.strerror}") from None


def _add_certificate(context: ssl.SSLContext, certificate: Path, key: Path | None) -> None:
    named = f"--cert {safe(certificate)}" if key is None else f"--cert {safe(certificate)} and --cert-key {safe(key)}"
    try:
        # a function, because OpenSSL would ask the terminal for the password of an encrypted key
        context.load_cert_chain(certificate, key, password=_refuse_password)
    except ssl.SSLError:
        raise UsageError(
            f"{named} must have a certificate in PEM form and the private key that belongs to it"
        ) from None
    except OSError as error:
        raise UsageError(f"{named} cannot be read: {error.strerror}") from None


def _refuse_password() -> str:
    raise UsageError(
        "the private key of --cert is encrypted; give a file with the key decrypted, readable by you alone"
    )
