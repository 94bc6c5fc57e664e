"""A service account's token is read from its file, which changes."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from pollwise import JobWatcher, Pacing
from pollwise.endpoints import kubernetes
from pollwise.endpoints.kubernetes import Resource, ServiceAccountToken
from pollwise.errors import AuthenticationError, ConfigurationError, ConnectFailed
from pollwise.testing import ScriptedTransport
from scripted_server import answer, scripted_server

OLD, NEW = "eyJhbGciOi.old-token.0001", "eyJhbGciOi.new-token.0002"
NOTHING = ScriptedTransport([ConnectFailed("it is not used")])
PATH = "/api/v1/namespaces/default/pods/web"


def pod(ready: str) -> bytes:
    metadata = {"name": "web", "namespace": "default"}
    return answer({"metadata": metadata, "status": {"conditions": [{"type": "Ready", "status": ready}]}})


@pytest.mark.looptime
async def test_a_rotated_token_is_used_without_a_refusal(tmp_path: Path) -> None:
    """The file is read again once a minute."""
    file = tmp_path / "token"
    file.write_text(f"{OLD}\n")
    async with scripted_server({f"GET {PATH}": [pod("False"), pod("False"), pod("True")]}) as server:
        endpoint = kubernetes.pods(server.url, auth=ServiceAccountToken(file))
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(50)) as watcher:
            watch = watcher.watch(Resource("web", "default"))
            async for _ in watch:
                file.write_text(NEW)
                break
            await watch
    sent = [asked.headers["authorization"] for asked in server.asked]
    assert sent == [f"Bearer {OLD}", f"Bearer {OLD}", f"Bearer {NEW}"]


@pytest.mark.looptime
async def test_a_refused_token_is_read_again_at_once(tmp_path: Path) -> None:
    """A 401 costs one more request."""
    file = tmp_path / "token"
    file.write_text(OLD)
    refused = answer({"kind": "Status", "reason": "Unauthorized"}, status="401 Unauthorized")
    async with scripted_server({f"GET {PATH}": [pod("False"), refused, pod("True")]}) as server:
        endpoint = kubernetes.pods(server.url, auth=ServiceAccountToken(file))
        async with JobWatcher(endpoint, timeout_s=600, pacing=Pacing.fixed(5)) as watcher:
            watch = watcher.watch(Resource("web", "default"))
            async for _ in watch:
                file.write_text(NEW)
                break
            await watch
    assert [asked.headers["authorization"][7:] for asked in server.asked] == [OLD, OLD, NEW]


@pytest.mark.parametrize(
    ("content", "why"), [(None, "FileNotFoundError"), ("", "is empty"), ("a b", "spaces"), ("\xe9", "ASCII")]
)
async def test_a_file_without_a_token_is_named(tmp_path: Path, content: str | None, why: str) -> None:
    """The error says which file, and shows nothing of it."""
    file = tmp_path / "token"
    if content is not None:
        file.write_text(content)
    auth = ServiceAccountToken(file)
    with pytest.raises(AuthenticationError, match=why) as caught:
        await auth.renew(NOTHING, asyncio.get_running_loop().time(), None)
    assert str(file) in str(caught.value)
    assert caught.value.__context__ is None
    assert "***" in repr(auth)


def test_the_period_is_checked() -> None:
    """It is a positive number of seconds."""
    with pytest.raises(ConfigurationError):
        ServiceAccountToken(reread_s=0)
