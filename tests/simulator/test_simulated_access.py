"""The credentials that the simulator requires."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any

import aiohttp
import pytest
from hand_clock import HandClock

from pollwise.simulator import ABSENT, Fault, OAuthClient, Simulator


def basic(user: str, password: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{password}".encode()).decode()


CLIENT = OAuthClient(client_id="pollwise", client_secret="s3cr3t-s3cr3t", expires_in_s=100)
FORM = {"grant_type": "client_credentials", "scope": "https://host:443/urn:opc:cec:all"}
SIGN_IN = {"Authorization": basic("pollwise", "s3cr3t-s3cr3t")}


async def ask(sim: Simulator, path: str, headers: Mapping[str, str]) -> int:
    async with aiohttp.ClientSession(sim.oracle_content_url) as session, session.get(path, headers=headers) as response:
        return response.status


async def fetch(
    sim: Simulator,
    *,
    headers: Mapping[str, str] = SIGN_IN,
    form: Mapping[str, str] | bytes | None = FORM,
    method: str = "POST",
    **options: Any,
) -> tuple[int, Mapping[str, str], Any]:
    async with (
        aiohttp.ClientSession() as session,
        session.request(method, sim.token_url, data=form, headers=headers, **options) as response,
    ):
        return response.status, response.headers, await response.json() if response.content_length else None


async def test_no_credentials_are_required_by_default() -> None:
    """A vendor without configured credentials accepts every request."""
    async with Simulator() as sim:
        for job in (sim.add_delete("task"), sim.add_extraction("FILE", "ZX-1")):
            assert await ask(sim, job.path, {}) == 200
            assert await ask(sim, job.path, {"Authorization": "whatever", "api_token": "whatever"}) == 200


async def test_document360_requires_its_api_token() -> None:
    """A missing or wrong `api_token` is 401 in the envelope. Oracle Content requires no credential."""
    async with Simulator(api_token="good") as sim, aiohttp.ClientSession(sim.document360_url) as session:
        path = sim.add_delete("task").path
        for headers in ({}, {"api_token": "bad"}, {"Authorization": "good"}):
            async with session.get(path, headers=headers) as response:
                body = await response.json()
                assert (response.status, body["success"]) == (401, False)
                assert [error["error_code"] for error in body["errors"]] == ["API_TOKEN_INVALID"]
        assert await ask(sim, path, {"api_token": "good"}) == 200
        assert await ask(sim, sim.add_extraction("FILE", "ZX-1").path, {}) == 200


async def test_oracle_content_accepts_basic_and_bearer() -> None:
    """Either configured credential is accepted. Any other is 401, and `WWW-Authenticate` names the schemes."""
    async with Simulator(basic=("user", "pass"), bearer="token") as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        assert await ask(sim, path, {"Authorization": basic("user", "pass")}) == 200
        assert await ask(sim, path, {"Authorization": "Bearer token"}) == 200
        for wrong in ("Bearer other", "token", basic("user", "other"), ""):
            assert await ask(sim, path, {"Authorization": wrong}) == 401
        async with aiohttp.ClientSession(sim.oracle_content_url) as session, session.get(path) as response:
            assert "Bearer" in response.headers["WWW-Authenticate"]
            assert set(await response.json()) >= {"errorCode", "errorKey", "title"}


async def test_a_client_fetches_a_token() -> None:
    """Client credentials give a bearer token that is accepted. The reply has `Cache-Control: no-store`."""
    async with Simulator(oauth=CLIENT) as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        assert await ask(sim, path, {}) == 401
        status, headers, grant = await fetch(sim)
        assert (status, headers["Cache-Control"]) == (200, "no-store")
        assert (grant["token_type"], grant["expires_in"]) == ("Bearer", 100)
        assert await ask(sim, path, {"Authorization": f"Bearer {grant['access_token']}"}) == 200
        assert sim.requests.tokens == 1


@pytest.mark.parametrize(
    ("change", "status", "error"),
    [
        ({"headers": {}}, 401, "invalid_client"),
        ({"headers": {"Authorization": basic("pollwise", "wrong")}}, 401, "invalid_client"),
        ({"form": {**FORM, "grant_type": "password"}}, 400, "unsupported_grant_type"),
        ({"form": {"scope": FORM["scope"]}}, 400, "invalid_request"),
        ({"form": {"grant_type": "client_credentials"}}, 400, "invalid_scope"),
        ({"form": {**FORM, "scope": "everything"}}, 400, "invalid_scope"),
        ({"headers": {**SIGN_IN, "Content-Type": "application/json"}, "form": b"{}"}, 400, "invalid_request"),
    ],
)
async def test_a_wrong_request_for_a_token_is_refused(change: dict[str, Any], status: int, error: str) -> None:
    """The errors are those of RFC 6749, 5.2."""
    async with Simulator(oauth=CLIENT) as sim:
        answered, _, body = await fetch(sim, **change)
        assert (answered, body["error"]) == (status, error)


async def test_the_token_endpoint_needs_post_and_a_client() -> None:
    """GET is 405. Without an OAuth client the endpoint is 404."""
    async with Simulator(oauth=CLIENT) as sim:
        assert (await fetch(sim, method="GET", form=None))[0] == 405
    async with Simulator() as sim:
        assert (await fetch(sim))[0] == 404


async def test_a_scope_may_be_fixed() -> None:
    """A configured scope must be requested exactly."""
    async with Simulator(oauth=OAuthClient(client_id="a", client_secret="b", scope="x/urn:opc:cec:all")) as sim:
        sign_in = {"Authorization": basic("a", "b")}
        assert (await fetch(sim, headers=sign_in))[0] == 400
        assert (await fetch(sim, headers=sign_in, form={**FORM, "scope": "x/urn:opc:cec:all"}))[0] == 200


async def test_a_token_expires(clock: HandClock) -> None:
    """After `expires_in_s` seconds a token is refused with 401, and a newer one is accepted."""
    async with Simulator(oauth=CLIENT, clock=clock) as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        bearer = {"Authorization": f"Bearer {(await fetch(sim))[2]['access_token']}"}
        clock.now += 99.9
        assert await ask(sim, path, bearer) == 200
        clock.now += 0.1
        assert await ask(sim, path, bearer) == 401
        renewed = {"Authorization": f"Bearer {(await fetch(sim))[2]['access_token']}"}
        assert await ask(sim, path, renewed) == 200


@pytest.mark.parametrize("expires_in", [3600.0, "3600.0", "", 0, -1, ABSENT])
@pytest.mark.parametrize("token_type", ["Bearer", "bearer", "BEARER", ABSENT])
async def test_a_grant_may_have_odd_fields(expires_in: Any, token_type: Any) -> None:
    """The fields are sent verbatim or omitted. The token is valid for `expires_in_s` in any case."""
    client = OAuthClient(
        client_id="pollwise", client_secret="s3cr3t-s3cr3t", expires_in=expires_in, token_type=token_type
    )
    async with Simulator(oauth=client) as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        status, _, grant = await fetch(sim)
        assert status == 200
        assert grant.get("expires_in", ABSENT) == expires_in
        assert type(grant.get("expires_in", ABSENT)) is type(expires_in)
        assert grant.get("token_type", ABSENT) == token_type
        assert await ask(sim, path, {"Authorization": f"Bearer {grant['access_token']}"}) == 200


async def test_revoked_tokens_are_401_until_renewed() -> None:
    """`revoke` ends fetched and fixed bearer tokens and sets new ones. Basic stays valid."""
    async with Simulator(oauth=CLIENT, bearer="fixed", basic=("user", "pass"), api_token="old") as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        fetched = f"Bearer {(await fetch(sim))[2]['access_token']}"
        sim.revoke(bearer="newer", api_token="new")
        for token, status in {
            fetched: 401,
            "Bearer fixed": 401,
            "Bearer newer": 200,
            basic("user", "pass"): 200,
            f"Bearer {(await fetch(sim))[2]['access_token']}": 200,
        }.items():
            assert await ask(sim, path, {"Authorization": token}) == status
        task = sim.add_delete("task").path
        assert [await ask(sim, task, {"api_token": token}) for token in ("old", "new")] == [401, 200]


async def test_no_credential_is_accepted_after_the_only_one_was_revoked() -> None:
    """After `revoke` of the only bearer token every request is 401."""
    async with Simulator(bearer="fixed") as sim:
        path = sim.add_extraction("FILE", "ZX-1").path
        sim.revoke()
        assert [await ask(sim, path, {"Authorization": token}) for token in ("Bearer fixed", "")] == [401, 401]


async def test_the_token_endpoint_has_a_script_too() -> None:
    """A request for a token can fail, and the next one succeeds."""
    client = OAuthClient(client_id="pollwise", client_secret="s3cr3t-s3cr3t", script=[Fault.UNAVAILABLE])
    async with Simulator(oauth=client) as sim:
        assert [(await fetch(sim))[0] for _ in range(2)] == [503, 200]


async def test_a_403_is_no_401() -> None:
    """A forbidden job is 403 with valid credentials, and 401 with others."""
    async with Simulator(api_token="good") as sim:
        path = sim.add_delete("task", forbidden=True).path
        assert [await ask(sim, path, {"api_token": token}) for token in ("good", "bad")] == [403, 401]


async def test_no_repr_has_a_secret() -> None:
    """The `repr` of the router, of logged requests and of the OAuth client contains no credential."""
    async with Simulator(api_token="secret-1", basic=("u", "secret-1"), bearer="secret-1", oauth=CLIENT) as sim:
        sim.add_delete("task")
        await ask(sim, "/v2/Drive/Folders/DeleteFile/Status/task", {"api_token": "secret-1"})
        grant = (await fetch(sim))[2]
        shown = repr(sim._router) + repr(sim.requests.latest) + repr(CLIENT)
    for secret in ("secret-1", "s3cr3t-s3cr3t", grant["access_token"]):
        assert secret not in shown
