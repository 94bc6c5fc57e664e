"""PollwiseTrigger, with Airflow's classes and a real server."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow has an environment of its own: .ci/airflow runs these tests")

from job_server import SECRET, JobServer

from pollwise import ConfigurationError, JobWatcher
from pollwise.airflow import PollwiseTrigger
from pollwise.airflow.reference import EndpointReference
from pollwise.endpoints.declared import DeclaredEndpoint

EXPORTS = str(Path(__file__).parents[2] / "examples" / "acme_exports.toml")
REFERENCE = EndpointReference(endpoint="acme-exports", endpoints_file=EXPORTS, conn_id="acme").to_json()


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    with JobServer() as server:
        connect(monkeypatch, server)
        yield server


def connect(monkeypatch: pytest.MonkeyPatch, server: JobServer, **fields: Any) -> None:
    right = {"conn_type": "http", "host": server.url, "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps({**right, **fields}))


async def trigger(server: JobServer, table: str, *, timeout_s: float = 600, **options: Any) -> Any:
    """A trigger for a job that runs."""
    job_id = str(len(server.jobs) + 1)
    server.jobs[job_id] = {"table": table, "polls": 0, "state": "running"}
    endpoint: Any = DeclaredEndpoint.load(EXPORTS, "acme-exports", base_url=server.url)
    async with JobWatcher(endpoint, timeout_s=timeout_s) as watcher:
        token = watcher.watch(endpoint.job(id=job_id), first_after_s=100).resume_token
    return PollwiseTrigger(token=token, endpoint=REFERENCE, **options)


def again(one: Any) -> Any:
    """The trigger as another triggerer makes it."""
    _, arguments = one.serialize()
    return PollwiseTrigger(**json.loads(json.dumps(arguments)))


async def fired(one: Any) -> Any:
    (event,) = [event async for event in one.run()]
    return event.payload


async def test_a_trigger_that_was_killed_begins_again(server: JobServer) -> None:
    """After a triggerer died, another one goes on from the token, and the outcome is the same."""
    first = await trigger(server, "slow")
    running = asyncio.create_task(fired(first))
    while not server.requests["GET"]:
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    server.finish()
    payload = await fired(again(first))
    assert (payload["state"], payload["job"], payload["token"]) == ("succeeded", {"id": "1"}, first.token)
    assert server.requests["DELETE"] == 0


async def test_a_trigger_that_runs_twice_fires_the_same(server: JobServer) -> None:
    """Two copies of a trigger in one triggerer share the polls, and fire the same event."""
    one = await trigger(server, "orders")
    first, second = await asyncio.gather(fired(one), fired(again(one)))
    assert first == second
    assert server.requests["GET"] == 2


async def test_a_deadline_that_passed_is_abandoned(server: JobServer) -> None:
    """If the triggerer was down past the deadline, the job is polled once more, and then abandoned, not failed."""
    payload = await fired(await trigger(server, "slow", timeout_s=0.001))
    assert (payload["state"], payload["error"], server.requests["GET"]) == ("abandoned", "DeadlineExceeded", 1)


async def test_refused_credentials_are_abandoned(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A connection with a wrong password ends the watch with the server's refusal, without the password."""
    connect(monkeypatch, server, password="wr0ng-of-a-test")
    payload = await fired(await trigger(server, "orders"))
    assert (payload["state"], payload["error"]) == ("abandoned", "AuthenticationError")
    assert "wr0ng" not in json.dumps(payload)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"token": "pw9.e30"}, "version 9"),
        (
            {"endpoint": {**REFERENCE, "endpoint": "no_such_module:make"}},
            "install it on the workers and where the triggerer",
        ),
        ({"endpoint": {**REFERENCE, "conn_id": "no_such_connection"}}, "no_such_connection"),
    ],
)
async def test_a_watch_that_cannot_begin_is_an_event(server: JobServer, changes: dict[str, Any], words: str) -> None:
    """What is wrong on the triggerer reaches the task as an event with the reason."""
    _, arguments = (await trigger(server, "orders")).serialize()
    payload = await fired(PollwiseTrigger(**{**arguments, **changes}))
    assert payload["state"] == "unwatched"
    assert words in payload["message"]


def test_a_reference_of_another_release_is_refused() -> None:
    """A trigger that a later release has written says so."""
    with pytest.raises(ConfigurationError, match="install one version"):
        PollwiseTrigger(token="pw2.x", endpoint={**REFERENCE, "later": 1})


@pytest.mark.parametrize("cancels", [True, False])
async def test_ending_the_task_cancels_the_job(server: JobServer, cancels: bool) -> None:
    """When a user ends a deferred task, the server is asked to stop the job, unless the DAG says otherwise."""
    await (await trigger(server, "slow", cancel_on_kill=cancels)).on_kill()
    assert server.requests["DELETE"] == int(cancels)


async def test_a_refused_cancel_is_only_logged(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception in `on_kill` would be lost, so the log says that the job may be running."""
    connect(monkeypatch, server, password="wr0ng-of-a-test")
    await (await trigger(server, "slow")).on_kill()
    assert server.jobs["1"]["state"] == "running"
