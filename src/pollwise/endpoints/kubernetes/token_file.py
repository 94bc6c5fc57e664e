"""A bearer token in a file that something else replaces before it expires.

Rule 1: the file is read again once a minute, as client-go does, and at once if the server refuses the token.
Rule 2: a file that is not there or not readable is an error that names the file. The token is never shown.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path
from typing import Final

from pollwise.errors import AuthenticationError, ConfigurationError
from pollwise.http.auth import RenewingAuth
from pollwise.http.credentials import Credential, bearer
from pollwise.model.protocols import Transport

__all__ = ["ServiceAccountToken"]

_IN_A_POD: Final = "/var/run/secrets/kubernetes.io/serviceaccount/token"
_PERIOD_S: Final = 60.0  # client-go, transport/token_source.go: the kubelet renews a token at 80 % of 10 minutes


class ServiceAccountToken(RenewingAuth):
    """The token of a service account, from the file that the kubelet mounts and rotates.

    Args:
        path: The file. The default is the one in each pod that has a service account.
        reread_s: After how many seconds the file is read again.

    Raises:
        ConfigurationError: `reread_s` is not a positive number of seconds.
    """

    def __init__(self, path: str | os.PathLike[str] = _IN_A_POD, *, reread_s: float = _PERIOD_S) -> None:
        super().__init__(self._read_token, timeout_s=10.0)
        self._path = Path(path)
        self._reread_s = reread_s
        Credential({"Authorization": "none"}, reread_s)  # checks the number

    async def _read_token(self, _via: Transport) -> Credential:
        wrong = ""
        text = ""
        try:
            text = (await asyncio.to_thread(self._path.read_text, encoding="ascii")).strip()
        except (FileNotFoundError, PermissionError, IsADirectoryError, NotADirectoryError) as exc:
            wrong = f"cannot be read: {type(exc).__name__}"
        except UnicodeDecodeError:
            wrong = "is no token: it has other characters than ASCII"
        if not wrong:
            try:
                return Credential({"Authorization": bearer(text)}, self._reread_s)
            except ConfigurationError:
                wrong = "is empty" if not text else "is no token: it has spaces or control characters"
        # raised out here, so that no error has the token in its context
        raise AuthenticationError(
            f"The token file {self._path} {wrong}. Mount the token of a service account there, or name another file."
        )
