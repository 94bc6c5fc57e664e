"""PollwiseOperator, with Airflow's classes and a real server. What Airflow passes to it is built here."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("airflow.sdk", reason="Airflow has an environment of its own: .ci/airflow runs these tests")

from airflow.sdk.exceptions import AirflowException, AirflowFailException, TaskDeferred
from job_server import SECRET, JobServer

from pollwise import ConfigurationError
from pollwise.airflow import PollwiseOperator, PollwiseTrigger

EXPORTS = str(Path(__file__).parents[2] / "examples" / "acme_exports.toml")


class Store(dict[str, Any]):
    """Airflow's task state store: JSON by name."""

    def set(self, name: str, value: Any) -> None:
        self[name] = json.loads(json.dumps(value))

    def delete(self, name: str) -> None:
        self.pop(name, None)


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[JobServer]:
    with JobServer() as server:
        fields = {"conn_type": "http", "host": server.url, "password": SECRET}
        monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps(fields))
        yield server


def context(store: Store | None = None, *, max_tries: int = 2) -> dict[str, Any]:
    pushed: dict[str, Any] = {}
    ti = SimpleNamespace(
        dag_id="d",
        run_id="r",
        task_id="export",
        map_index=-1,
        max_tries=max_tries,
        pushed=pushed,
        xcom_push=lambda key, value: pushed.update({key: value}),
    )
    return {"ti": ti, "task_state_store": Store() if store is None else store}


def operator(**options: Any) -> Any:
    given = {"endpoint": "acme-exports", "endpoints_file": EXPORTS, "conn_id": "acme", "timeout_s": 600}
    if "job" not in options:
        given["order"] = {"table": "quick"}
    return PollwiseOperator(**{"task_id": "export", **given, **options})


def deferred(task: Any, given: dict[str, Any]) -> Any:
    """The trigger that the task defers to, as Airflow keeps it."""
    with pytest.raises(TaskDeferred) as caught:
        task.execute(given)
    assert caught.value.method_name == "execute_complete"
    path, arguments = caught.value.trigger.serialize()
    assert path == "pollwise.airflow.trigger.PollwiseTrigger"
    kept = json.dumps(arguments)
    assert SECRET not in kept
    return PollwiseTrigger(**json.loads(kept))


def fired(trigger: Any) -> Any:
    async def first() -> Any:
        return [event async for event in trigger.run()]

    (event,) = asyncio.run(first())
    return json.loads(json.dumps(event.payload))


def test_a_deferred_task_returns_the_status(server: JobServer) -> None:
    """`execute` starts the job, the trigger waits, and the task returns the vendor's status."""
    given, task = context(), operator(deferrable=True)
    event = fired(deferred(task, given))
    assert task.execute_complete(given, event) == {"state": "done", "table": "quick", "percent": 50}
    assert given["ti"].pushed == {"job": {"id": "1"}}
    assert server.requests["POST"] == 1


def test_a_task_that_keeps_its_worker_returns_the_status(server: JobServer) -> None:
    """Without `deferrable` the task polls on its worker, and returns the same."""
    assert operator(deferrable=False).execute(context())["state"] == "done"


def test_a_job_that_runs_is_watched(server: JobServer) -> None:
    """With `job` nothing is started. Keys that a template has made numbers of are texts again."""
    server.jobs["7"] = {"table": "quick", "polls": 0, "state": "running"}
    assert operator(job={"id": 7}, deferrable=False).execute(context())["state"] == "done"
    assert server.requests["POST"] == 0


def test_the_result_is_returned_in_place_of_the_status(server: JobServer) -> None:
    """With `result=True` the worker fetches what the job made."""
    given, task = context(), operator(deferrable=True, result=True)
    assert task.execute_complete(given, fired(deferred(task, given))) == {"rows": [1, 2, 3]}
    with pytest.raises(AirflowException, match="its result was not fetched"):
        operator(deferrable=False, result=True, result_bytes=5).execute(context())


def test_a_failed_job_fails_the_task_without_a_retry(server: JobServer) -> None:
    """The vendor's word on a failure is final."""
    with pytest.raises(AirflowFailException, match="failed"):
        operator(order={"table": "bad"}, deferrable=False).execute(context())


def test_a_retry_goes_on_with_the_job(server: JobServer) -> None:
    """After a try that only lost its watch, the retry watches the same job; a cleared task starts a new one."""
    store = Store()
    deferred(operator(order={"table": "slow"}, deferrable=True), context(store))
    trigger = deferred(operator(order={"table": "slow"}, deferrable=True), context(store))
    assert server.started == 1
    server.finish()
    assert fired(trigger)["job"] == {"id": "1"}
    deferred(operator(deferrable=True), context(store, max_tries=4))
    assert server.started == 2


def test_a_lost_reply_is_asked_for_again_with_the_same_key(server: JobServer) -> None:
    """An API with idempotency keys names the job of the first try, so no second job is started."""
    store = Store()
    server.lose_starts = True
    with pytest.raises(AirflowException, match="A retry of the task does that") as caught:
        operator(timeout_s=1, deferrable=True).execute(context(store))
    assert not isinstance(caught.value, AirflowFailException)
    server.lose_starts = False
    deferred(operator(deferrable=True), context(store))
    assert server.started == 1


def test_a_lost_reply_without_keys_fails_the_task(server: JobServer, tmp_path: Path) -> None:
    """Where the API has no keys, neither this try nor a retry starts a second job, and the error says what to do."""
    keyless = tmp_path / "endpoints.toml"
    keyless.write_text(Path(EXPORTS).read_text().replace(', headers = { Idempotency-Key = "{key}" }', ""))
    store = Store()
    server.lose_starts = True
    with pytest.raises(AirflowFailException, match="Look on the server"):
        operator(endpoints_file=str(keyless), deferrable=True).execute(context(store))
    with pytest.raises(AirflowFailException, match="Clear the task to start a new job"):
        operator(endpoints_file=str(keyless), deferrable=True).execute(context(store))
    assert server.requests["POST"] == 1


def test_a_start_that_was_refused_may_be_retried(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """With wrong credentials no job is started, and a retry with the right ones starts it."""
    store = Store()
    right = {"conn_type": "http", "host": server.url, "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps({**right, "password": "wr0ng-of-a-test"}))
    with pytest.raises(AirflowException, match="started no job") as caught:
        operator(deferrable=True).execute(context(store))
    assert not isinstance(caught.value, AirflowFailException)
    assert store == {}
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps(right))
    deferred(operator(deferrable=True), context(store))


def test_a_repeated_start_that_is_refused_keeps_the_key(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """If a repeat of a lost start cannot be sent, the next try still has the key of the first, so one job is started."""
    store = Store()
    server.lose_starts = True
    with pytest.raises(AirflowException, match="A retry of the task does that"):
        operator(timeout_s=1, deferrable=True).execute(context(store))
    server.lose_starts = False
    right = {"conn_type": "http", "host": server.url, "password": SECRET}
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps({**right, "password": "wr0ng-of-a-test"}))
    with pytest.raises(AirflowException, match="started no job"):
        operator(deferrable=True).execute(context(store))
    monkeypatch.setenv("AIRFLOW_CONN_ACME", json.dumps(right))
    deferred(operator(deferrable=True), context(store))
    assert server.started == 1


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"endpoint": "no_such_module:make"}, "No module named"),
        ({"endpoint_kwargs": {"token": "x"}}, "names a credential"),
        ({"job": {"id": 1.5}}, "must be a text or a whole number"),
        ({"job": {"other": "7"}}, "cannot be made of the keys"),
        ({"job": "7"}, "must be a mapping"),
        ({"order": ["7"]}, "must be a mapping"),
        ({"timeout_s": "soon"}, "timeout_s"),
        ({"endpoint": "openai-batch", "endpoints_file": EXPORTS}, "acme-exports"),
    ],
)
def test_a_wrong_set_up_fails_without_a_retry(server: JobServer, options: dict[str, Any], words: str) -> None:
    """What no retry can mend fails at once, with what to change, and nothing is sent."""
    with pytest.raises(AirflowFailException, match=words):
        operator(**options).execute(context())
    assert server.requests.total() == 0


def test_a_job_and_an_order_are_refused() -> None:
    """The DAG cannot be imported with both, or with neither."""
    with pytest.raises(ConfigurationError, match="pass job="):
        operator(job={"id": "7"}, order={"table": "x"})
    with pytest.raises(ConfigurationError, match="pass job="):
        operator(job=None, order=None)


def test_an_endpoint_of_code_takes_the_connection(server: JobServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """A function gets `auth` and `base_url` of the connection beside its own arguments."""
    from pollwise.endpoints.declared import DeclaredEndpoint  # noqa: PLC0415

    module: Any = ModuleType("acme_jobs")
    module.make = lambda name, **given: DeclaredEndpoint.load(EXPORTS, name, **given)
    monkeypatch.setitem(sys.modules, "acme_jobs", module)
    options = {"endpoint": "acme_jobs:make", "endpoints_file": None, "endpoint_kwargs": {"name": "acme-exports"}}
    assert operator(**options, deferrable=False).execute(context())["state"] == "done"


def test_ending_the_worker_cancels_the_job(server: JobServer) -> None:
    """When Airflow ends a worker that polls, `on_kill` asks the server to stop the job."""
    task = operator(order={"table": "slow"}, deferrable=False)
    raised: list[BaseException] = []

    def run() -> None:
        try:
            task.execute(context())
        except AirflowException as error:
            raised.append(error)

    worker = threading.Thread(target=run, name="worker")
    worker.start()
    while not server.requests["GET"]:
        worker.join(0.01)
    task.on_kill()
    worker.join(20)
    assert server.requests["DELETE"] == 1
    assert isinstance(raised[0], AirflowFailException)
    task.on_kill()  # nothing waits any more
    assert server.requests["DELETE"] == 1
