"""A session of MCP, revision 2025-11-25: the handshake that opens it, and the header fields that name it.

Rule 1: a session is opened before the first request, and again when the server has ended it, once for all watches.
Rule 2: the ID of a session is a secret (Transports, "Session Management"). It is a header field of the credentials.
Rule 3: a server may speak another revision. Then there is no session, because its tasks would mean something else.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from importlib.metadata import version as version_of
from typing import Final

from yarl import URL

from pollwise.core.classification import refusal
from pollwise.core.header_hints import HintReader
from pollwise.endpoints._address import ApiRoot
from pollwise.endpoints._server_values import field_of
from pollwise.endpoints._strict import shown
from pollwise.endpoints.mcp_tasks.messages import error_of, response_in, rpc
from pollwise.errors import AuthenticationError, MalformedReply, PollError
from pollwise.http.auth import RenewingAuth
from pollwise.http.credentials import Credential
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Transport

__all__ = ["ACCEPT", "SESSION", "VERSION", "McpSession"]

SESSION: Final = "Mcp-Session-Id"
VERSION: Final = "MCP-Protocol-Version"
ACCEPT: Final[Mapping[str, str]] = {
    "Accept": "application/json, text/event-stream",
    "Content-Type": "application/json",
}
_REVISION: Final = "2025-11-25"
_SUBJECT: Final = "the MCP session"


class McpSession(RenewingAuth):
    """Opens a session with `initialize`, and sends its ID with each request.

    Args:
        url: The URL of the MCP endpoint, such as `https://example.com/mcp`.
        auth: The credentials of the server, which the handshake has, too; such as `BearerAuth(token)`. None for none.
        timeout_s: Max duration of the handshake, in seconds.

    Raises:
        ConfigurationError: `url` is no http or https URL with a host, or `timeout_s` is not positive.
    """

    def __init__(self, url: str, *, auth: Auth | None = None, timeout_s: float = 30.0) -> None:
        super().__init__(self._open, timeout_s=timeout_s)
        ApiRoot.parse(url)
        self._url = URL(url)
        self._auth = auth

    async def _open(self, via: Transport) -> Credential:
        own = await self._own(via, None)
        reply = await self._initialize(via, own)
        if reply.status == 401 and self._auth is not None:
            own = await self._own(via, own)
            reply = await self._initialize(via, own)
        fields = {**own, **_agreed(reply)}
        headers = {**ACCEPT, VERSION: _REVISION, **fields}
        done = await via.send(Request(self._url, headers, "POST", rpc("notifications/initialized", {})))
        if not 200 <= done.status < 300:
            raise _refused(done)
        if not fields:
            raise AuthenticationError("The server has no sessions. Leave McpSession out.")
        return Credential(fields)

    async def _own(self, via: Transport, stale: Mapping[str, str] | None) -> Mapping[str, str]:
        """The header fields of the server's own credentials."""
        if self._auth is None:
            return {}
        now = asyncio.get_running_loop().time()
        fields = self._auth.headers(now)
        if fields is None or (stale is not None and fields is stale):
            await self._auth.renew(via, now, stale)
            fields = self._auth.headers(asyncio.get_running_loop().time())
        if fields is None:
            raise AuthenticationError("There are no credentials for the MCP session, although they were renewed.")
        return fields

    async def _initialize(self, via: Transport, own: Mapping[str, str]) -> Reply:
        params = {
            "protocolVersion": _REVISION,
            "capabilities": {},
            "clientInfo": {"name": "pollwise", "version": version_of("pollwise")},
        }
        return await via.send(Request(self._url, {**ACCEPT, **own}, "POST", rpc("initialize", params, 0)))


def _agreed(reply: Reply) -> dict[str, str]:
    """The header fields that the reply to `initialize` asks for. Raises AuthenticationError or PollError."""
    if not 200 <= reply.status < 300:
        raise _refused(reply)
    response = response_in(reply)
    error = error_of(response)
    if error is not None:
        raise AuthenticationError("The server refused to open an MCP session.", error[1])
    result = response["result"]
    revision = result.get("protocolVersion") if isinstance(result, dict) else None
    if revision != _REVISION:
        raise AuthenticationError(
            f"The server speaks revision {shown(revision)} of MCP, and tasks need {_REVISION}. For a server of revision"
            " 2026-07-28, leave the session out and pass revision='2026-07-28' to McpTasksEndpoint."
        )
    session = field_of(reply.headers, SESSION)
    return {} if session is None else {SESSION: session}


def _refused(reply: Reply) -> PollError | AuthenticationError:
    """The error of a refused handshake: one that may pass by itself, or none of them."""
    try:
        found = error_of(response_in(reply))
    except MalformedReply:
        found = None
    problem = None if found is None else found[1]
    error = refusal(reply, problem, _SUBJECT, hints=HintReader().read(reply.headers, time.time))
    if isinstance(error, PollError) and reply.status != 404:
        return error
    return AuthenticationError(f"The server refused to open an MCP session (HTTP {reply.status}).", problem)
