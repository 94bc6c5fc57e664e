"""A server that repeats a secret, in each spelling, wherever it can: nothing that is kept or shown has it."""

from __future__ import annotations

import logging
import pickle
import re
import traceback
from base64 import b64encode
from functools import cache
from itertools import product
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from hypothesis import settings
from yarl import URL

from pollwise import (
    ApiKeyAuth,
    BasicAuth,
    BearerAuth,
    ClientCredentialsAuth,
    JobWatcher,
    RateBudget,
    Retry,
    SqliteLedger,
)
from pollwise.endpoints import AttrsCodec
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.http.auth import Credential, RenewingAuth
from pollwise.model.events import Abandoned, Failed, Succeeded
from pollwise.model.limits import Limits
from pollwise.model.messages import Reply, Request
from pollwise.model.protocols import Auth, Endpoint
from pollwise.model.reading import Reading
from raw_server import Line, RawServer, raw_server, reply
from spellings import SPELLINGS

KEY = "k3y+AbC/dEf_=Zz"
PASSWORD = "hunter2+Secret/9=="
WEAK = "key4567"
STATUSES = (200, 400, 401, 403, 404, 422, 500)
TYPES = ("application/json", "text/html", "application/problem+json; charset=latin-1")
NOT_OF_WEAK = {name for name in SPELLINGS if name.startswith(("base64 b", "base64, U", "base64 in l"))}
PATIENCE: Any = {"retry": Retry(outage_s=1e-9, min_failures=1, base_s=0.001), "not_found_grace_s": 0.001}


class OwnAuth:
    """An `Auth` of a user's own, with two fields."""

    def headers(self, _now: float, /) -> dict[str, str]:
        return {"X-Signature": f"v1 {KEY}", "X-Client": "me"}

    async def renew(self, *_: Any) -> None:
        raise OSError(f"no other than {KEY}")


async def _fetch(_via: Any) -> Credential:
    return Credential({"Authorization": f"Bearer {KEY}"}, 3600.0)


AUTHS: dict[str, tuple[Any, list[str]]] = {
    "API key": (lambda _: ApiKeyAuth(KEY), [KEY]),
    "short API key": (lambda _: ApiKeyAuth(WEAK), [WEAK]),
    "word": (lambda _: ApiKeyAuth("abcd"), ["abcd"]),
    "bearer": (lambda _: BearerAuth(KEY), [KEY, f"Bearer {KEY}"]),
    "basic": (
        lambda _: BasicAuth("bob@corp", PASSWORD),
        [PASSWORD, f"bob@corp:{PASSWORD}", b64encode(f"bob@corp:{PASSWORD}".encode()).decode()],
    ),
    "short password": (lambda _: BasicAuth("bob", WEAK), [WEAK]),
    "key as user": (lambda _: BasicAuth(KEY, ""), [KEY]),
    "renewing": (lambda _: RenewingAuth(_fetch), [KEY]),
    "OAuth": (lambda url: ClientCredentialsAuth(f"{url}/token", "me", PASSWORD), [KEY]),
    "own": (lambda _: OwnAuth(), [KEY]),
}


@attrs.frozen(kw_only=True)
class Case:
    """One reply of the server."""

    secret: str
    spelling: str
    status: int
    content_type: str

    @property
    def echo(self) -> str:
        return SPELLINGS[self.spelling](self.secret)

    def reply_to(self, task_id: str) -> bytes:
        body = f"<html>{self.echo} is a bad credential: {self.echo} !</html>"
        if "json" in self.content_type:
            body = (
                f'{{"task_status": {{"is_complete": true, "status": 4, "task_id": "{task_id}"}}, "success": false,'
                f' "extension_data": {{"key": "{self.echo}"}}, "errors": [{{"description": "bad key {self.echo} !",'
                f' "error_code": "E", "stack_trace": 1, "custom_data": {{"it is {self.echo}": ["{self.echo}"]}}}}]}}'
            )
        fields = [f"X-Echo: {self.echo}", f"Location: /?key={self.echo}", f"WWW-Authenticate: K realm={self.echo}"]
        head = f"HTTP/1.1 {self.status} {self.echo}\r\nContent-Type: {self.content_type}; echo={self.echo}"
        data = body.encode()
        return "\r\n".join([head, f"Content-Length: {len(data)}", *fields, "", ""]).encode() + data


def cases(secrets: list[str]) -> dict[str, Case]:
    """Every combination. With the profile `brief` of Hypothesis it is a fifth of them, with each secret, spelling and status."""
    step = 5 if settings.get_current_profile_name() == "brief" else 1
    every = list(product(secrets, SPELLINGS, STATUSES, TYPES))[::step]
    return {
        f"T{n}": Case(secret=secret, spelling=spelling, status=status, content_type=content_type)
        for n, (secret, spelling, status, content_type) in enumerate(every)
        if not (len(secret) < 8 and spelling in NOT_OF_WEAK)
    }


def answering(known: dict[str, Case], server: RawServer) -> Any:
    def answer(line: Line) -> None:
        request = server.requests[-1].decode()
        if request.startswith("POST /token"):
            line.say(reply(orjson.dumps({"access_token": KEY, "token_type": "Bearer", "expires_in": 3600})))
            return
        found = re.search(r"/(T\d+)[ ?]", request)
        assert found is not None
        line.say(known[found[1]].reply_to(found[1]))

    return answer


def shown(event: Any) -> str:
    """All that a caller can see of an event."""
    error = getattr(event, "error", None)
    text = f"{event!r}{error!s}{pickle.dumps(event).decode('latin-1')}"
    return text if error is None else text + "".join(traceback.format_exception(error))


@cache
def _to_look_for(secret: str) -> dict[str, str]:
    """Each spelling of the secret by its name, in lower case."""
    found = {"as it is": secret.lower()}
    for name, spell in SPELLINGS.items():
        if not (len(secret) < 8 and name in NOT_OF_WEAK):
            spelled = spell(secret)
            if "base64" in name:
                spelled = b64encode(secret.encode()).decode()[: 4 * (len(secret) // 3)]
            found[name] = spelled.lower()
    return found


def leaks(text: str, secrets: list[str]) -> list[str]:
    lower = text.lower()
    return [name for secret in secrets for name, spelled in _to_look_for(secret).items() if spelled in lower]


@pytest.mark.parametrize("name", AUTHS)
async def test_no_spelling_of_a_secret_is_kept(name: str, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """For each auth, status code, content type and spelling: in no event, error, pickle, traceback, log and ledger."""
    make, secrets = AUTHS[name]
    known = cases(secrets)
    caplog.set_level(logging.DEBUG)
    async with raw_server() as server:
        server.answer = answering(known, server)
        endpoint = DeleteFileEndpoint(server.url, auth=make(server.url))
        options = {**PATIENCE, "budget": RateBudget(100_000, per_s=1.0), "limits": Limits(concurrency=16)}
        async with (
            SqliteLedger(tmp_path / "l") as ledger,
            JobWatcher(endpoint, timeout_s=60, ledger=ledger, **options) as watcher,
        ):
            watches = [watcher.watch(DeleteFileJob(task_id)) for task_id in known]
            for watch, case in zip(watches, known.values(), strict=True):
                events = [event async for event in watch]
                assert isinstance(events[-1], (Abandoned, Failed)), case
                assert not leaks("".join(map(shown, events)), secrets), case
                if case.status == 200 and "json" in case.content_type:
                    assert "***" in str(events[-1]), case
    assert not leaks(caplog.text, secrets)
    kept = b"".join(path.read_bytes() for path in tmp_path.iterdir()).decode("latin-1")
    assert not leaks(kept, secrets)


@pytest.mark.parametrize("weak", ["true", "false", "null", "4", "200", "1234", "done", "task"])
async def test_a_short_secret_does_not_change_what_decides(weak: str) -> None:
    """It may be the very word or number that ends the watch."""
    body = '{"task_status": {"is_complete": "true", "status": "%s", "task_id": "%s"}, "success": true, "errors": null}'
    async with raw_server(reply((body % ("3", weak)).encode())) as server:
        endpoint = DeleteFileEndpoint(server.url, auth=ApiKeyAuth(weak))
        async with JobWatcher(endpoint, timeout_s=60) as watcher:
            status = await watcher.watch(DeleteFileJob(weak))
    assert status.success is True


@attrs.frozen
class Link:
    url: str
    kind: str | None = None


class Signed(Endpoint[DeleteFileJob, Link]):
    """An endpoint that puts a key into its URL, and reads header fields and text."""

    name = "signed"
    codec = AttrsCodec(DeleteFileJob, Link)

    def __init__(self, url: str, auth: Auth | None) -> None:
        self._url = URL(url)
        self.auth = auth

    def request(self, job: DeleteFileJob, /) -> Request:
        return Request(self._url / job.task_id % {"sig": KEY}, {"X-Api-Key": PASSWORD})

    def read(self, reply: Reply, /) -> Reading[Link]:
        if "json" in (reply.content_type or ""):
            raise ValueError(reply.body, dict(reply.headers))
        return Reading.succeeded(Link(reply.headers["Location"] + reply.body.decode("latin-1"), reply.content_type))


@pytest.mark.parametrize("auth", [None, ApiKeyAuth("an0ther-key")], ids=["bare", "with auth"])
async def test_a_secret_that_the_endpoint_sends_is_masked(auth: Auth | None, caplog: pytest.LogCaptureFixture) -> None:
    """In a query parameter and in a header field; in the fields and the body that the endpoint reads, and in its bugs."""
    secrets = [KEY, PASSWORD, *(["an0ther-key"] if auth else [])]
    known = cases(secrets)
    caplog.set_level(logging.DEBUG)
    async with raw_server() as server:
        server.answer = answering(known, server)
        options = {**PATIENCE, "budget": RateBudget(100_000, per_s=1.0), "limits": Limits(concurrency=16)}
        async with JobWatcher(Signed(server.url, auth), timeout_s=60, **options) as watcher:
            watches = [watcher.watch(DeleteFileJob(task_id)) for task_id in known]
            for watch, case in zip(watches, known.values(), strict=True):
                events = [event async for event in watch]
                assert isinstance(events[-1], (Abandoned, Succeeded)), case
                assert not leaks("".join(map(shown, events)), secrets), case
    assert not leaks(caplog.text, secrets)
