"""The operator that starts a job, or takes one that runs, and waits for it.

Rule 1: only `execute` starts a job. starts.py says when.
Rule 2: while the job runs, a deferred task has no worker. `deferrable=False` keeps the worker and polls there.
Rule 3: a job that failed or was cancelled fails the task at once, because a retry would wait for the same job. A watch that
ended before its job is an AirflowException, so Airflow retries it, and the retry goes on with the same job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Mapping, Sequence
from typing import Any, Final

import attrs

from pollwise.airflow.connection import credentials_of
from pollwise.airflow.reference import Credentials, EndpointReference
from pollwise.airflow.reports import Report, followed, json_result, report_of
from pollwise.airflow.starts import NAME, Start, StartRecord, next_start, start_is_idempotent
from pollwise.airflow.trigger import PollwiseTrigger
from pollwise.durable.resume_token import read_token
from pollwise.endpoints.json_order import order_from_json
from pollwise.errors import (
    ConfigurationError,
    EndpointBug,
    JobError,
    RequestRejected,
    SubmitDoubtful,
    UnsafeUrl,
    WatchError,
)
from pollwise.model.events import Succeeded
from pollwise.model.limits import Limits
from pollwise.model.protocols import Endpoint
from pollwise.sync.watcher import SyncWatcher
from pollwise.watcher import JobWatcher

# Airflow is in no environment for development.
# pyright: reportMissingImports=false
try:
    from airflow.sdk import BaseHook, BaseOperator
    from airflow.sdk.configuration import conf
    from airflow.sdk.exceptions import AirflowException, AirflowFailException
except ImportError as exc:
    raise ConfigurationError("pollwise.airflow needs Airflow 3.3; run: pip install 'pollwise[airflow]'") from exc

__all__ = ["PollwiseOperator"]

_CANCEL_S: Final = 10.0  # a worker that is ended is killed soon
_NEVER_S: Final = 3600.0  # the first poll is the trigger's
_RESULT_BYTES: Final = 262_144


class PollwiseOperator(BaseOperator):
    """Waits for a job of another server, and starts it if it gets an order.

        PollwiseOperator(
            task_id="export",
            endpoint="acme_jobs:ExportEndpoint",
            conn_id="acme",
            order={"name": "{{ ds }}"},
            timeout_s=86_400,
        )

    The task returns the vendor's status as JSON, or the job's result with `result=True`. The XCom `job` has the job's keys.

    Args:
        endpoint: `"package.module:name"` of a class, function or endpoint, or the name of a declared endpoint.
        timeout_s: Longest duration of the watch of each try, in seconds. None sets no limit.
        job: The keys of a job that runs already. Either this, or `order`.
        order: What the job is to do, as JSON. The job is started once; a retry goes on with it.
        endpoints_file: The TOML file that declares the endpoint. It must be where the triggerer runs, too.
        endpoint_kwargs: Keyword arguments of the class or function, without credentials.
        conn_id: The Airflow connection with the credentials and, if it has a host, the base URL. None if the endpoint finds
            credentials itself.
        result: Fetch the job's result, and return it in place of the status.
        result_bytes: Largest size of the result in bytes. An XCom is kept in Airflow's database.
        cancel_on_kill: Ask the server to stop the job if a user ends the task, where the endpoint can.
        deferrable: Wait in the triggerer, without a worker. By default `[operators] default_deferrable` of Airflow.

    Raises:
        ConfigurationError: There is neither a job nor an order, or both.
    """

    template_fields: Sequence[str] = (
        "endpoint",
        "endpoints_file",
        "endpoint_kwargs",
        "conn_id",
        "job",
        "order",
    )
    template_fields_renderers = {"job": "json", "order": "json", "endpoint_kwargs": "json"}  # noqa: RUF012  # Airflow's type
    ui_color = "#e8f1fa"

    def __init__(
        self,
        *,
        endpoint: str,
        timeout_s: float | None,
        job: Mapping[str, Any] | None = None,
        order: Mapping[str, Any] | None = None,
        endpoints_file: str | None = None,
        endpoint_kwargs: Mapping[str, Any] | None = None,
        conn_id: str | None = None,
        result: bool = False,
        result_bytes: int = _RESULT_BYTES,
        cancel_on_kill: bool = True,
        deferrable: bool = conf.getboolean("operators", "default_deferrable", fallback=False),
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if (job is None) == (order is None):
            raise ConfigurationError("pass job=, the keys of a job that runs, or order=, what a new job is to do")
        self.endpoint = endpoint
        self.timeout_s = timeout_s
        self.job = job
        self.order = order
        self.endpoints_file = endpoints_file
        self.endpoint_kwargs = endpoint_kwargs
        self.conn_id = conn_id
        self.result = result
        self.result_bytes = result_bytes
        self.cancel_on_kill = cancel_on_kill
        self.deferrable = deferrable
        self._waiting: tuple[Endpoint[Any, Any], str] | None = None  # of a worker that polls

    # --- what Airflow calls -------------------------------------------------------------------

    def execute(self, context: Any) -> Any:
        """Start the job, or take the one that runs, and defer until it is over."""
        try:
            endpoint = self._endpoint()
            if self.result and not hasattr(endpoint, "result_request"):
                raise ConfigurationError(f"{endpoint.name} has no results; leave result=True out")  # noqa: TRY301
            begun = self._started(endpoint, context) if self.order is not None else self._named(endpoint)
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        context["ti"].xcom_push(key="job", value=begun.keys)
        if begun.report is not None:
            return self._concluded(begun.report, begun.result)
        assert begun.token is not None  # noqa: S101  # the job is not over
        if self.deferrable:
            trigger = PollwiseTrigger(
                token=begun.token, endpoint=self._reference.to_json(), cancel_on_kill=self.cancel_on_kill
            )
            self.defer(trigger=trigger, method_name="execute_complete")
        self._waiting = endpoint, begun.token
        try:
            report = asyncio.run(self._polled(endpoint, begun.token))
        except ConfigurationError as error:
            raise AirflowFailException(str(error)) from error
        finally:
            self._waiting = None
        return self.execute_complete(context, event={**report, "token": begun.token})

    def execute_complete(self, context: Any, event: Report) -> Any:  # noqa: ARG002  # Airflow passes the context
        """Return the status or the result of a job that succeeded, and raise for every other outcome."""
        fetched = None
        if self.result and event["state"] == "succeeded":
            try:
                fetched = asyncio.run(self._fetched(self._endpoint(), event["token"]))
            except ConfigurationError as error:
                raise AirflowFailException(str(error)) from error
        return self._concluded(event, fetched)

    def on_kill(self) -> None:
        """Ask the server to stop the job that this worker waits for. The trigger does it for a deferred task."""
        if self._waiting is None or not self.cancel_on_kill:
            return
        endpoint, token = self._waiting
        if not hasattr(endpoint, "cancel_request"):
            self.log.info("%s cannot cancel jobs; the job may go on", endpoint.name)
            return
        try:
            with SyncWatcher(endpoint, timeout_s=None) as watcher:
                watcher.watch_from_token(token).cancel(timeout_s=_CANCEL_S)
        except (ConfigurationError, WatchError) as error:
            self.log.warning("the job was not cancelled, and may be running: %s", error)

    # --- the job ------------------------------------------------------------------------------

    @property
    def _reference(self) -> EndpointReference:
        return EndpointReference(
            endpoint=self.endpoint,
            endpoints_file=self.endpoints_file,
            arguments=self.endpoint_kwargs or {},
            conn_id=self.conn_id,
        )

    def _endpoint(self) -> Endpoint[Any, Any]:
        credentials = Credentials()
        if self.conn_id is not None:
            connection = BaseHook.get_connection(self.conn_id)
            credentials = credentials_of(connection, connection.extra_dejson)
        return self._reference.make(credentials)

    def _named(self, endpoint: Endpoint[Any, Any]) -> _Begun:
        """The job whose keys the DAG has."""
        if not isinstance(self.job, Mapping):
            raise ConfigurationError("job must be a mapping of the job's keys to their values")
        keys = {str(name): _key_text(name, value) for name, value in self.job.items()}
        try:
            job = endpoint.codec.job_from_keys(keys)
        except ValueError as error:
            raise ConfigurationError(f"the job of {endpoint.name} cannot be made of the keys: {error}") from error
        return asyncio.run(self._begun(endpoint, job))

    def _started(self, endpoint: Endpoint[Any, Any], context: Any) -> _Begun:
        """The job of this task instance: started now, or by an earlier try."""
        if not isinstance(self.order, Mapping):
            raise ConfigurationError("order must be a mapping, the JSON object that says what the job is to do")
        if not hasattr(endpoint, "submit_request"):
            raise ConfigurationError(f"{endpoint.name} cannot start jobs; pass job=, the keys of one that runs")
        order = order_from_json(endpoint, self.order)
        store, new = context["task_state_store"], StartRecord.new(context["ti"].max_tries)
        known = StartRecord.from_json(store.get(NAME))
        record = new if known is None or known.max_tries != new.max_tries else known
        is_idempotent = start_is_idempotent(endpoint, order, record.key)
        step = next_start(known, new.max_tries, is_idempotent=is_idempotent)
        match step:
            case Start.RESUME:
                self.log.info("going on with the job that an earlier try has started")
                assert record.token is not None  # noqa: S101  # RESUME is for a record with one
                return asyncio.run(self._begun(endpoint, read_token(endpoint, record.token).job))
            case Start.REFUSE:
                raise AirflowFailException(
                    "an earlier try may have started a job, and no reply is known. Nothing was sent now, because that could"
                    " start a second job. Look on the server whether it is there. Clear the task to start a new job"
                )
            case Start.BEGIN | Start.REPEAT:
                store.set(NAME, record.to_json())
                try:
                    begun = self._submit(endpoint, order, record.key)
                except _NotStarted as error:
                    if step is Start.BEGIN:  # else the job of an earlier try may be there
                        store.delete(NAME)
                    raise error.raised from error.__cause__
                if begun.token is not None:
                    store.set(NAME, attrs.evolve(record, token=begun.token).to_json())
                return begun

    def _submit(self, endpoint: Endpoint[Any, Any], order: Any, key: str) -> _Begun:
        """Send the request that starts the job. Raises `_NotStarted` if it did nothing for certain."""
        try:
            return asyncio.run(self._submitted(endpoint, order, key))
        except SubmitDoubtful as doubt:
            if doubt.repeatable:
                raise AirflowException(f"{doubt} A retry of the task does that.") from doubt
            raise AirflowFailException(str(doubt)) from doubt
        except (UnsafeUrl, EndpointBug) as error:  # the reply may be one of a job that was started
            notes = " ".join(f"{note}." for note in getattr(error, "__notes__", ()))
            raise AirflowFailException(f"{error} {notes}".rstrip()) from error
        except (ConfigurationError, RequestRejected) as error:  # before anything was sent, or no retry would help
            raise _NotStarted(AirflowFailException(f"the request started no job: {error}")) from error
        except WatchError as error:
            raise _NotStarted(AirflowException(f"the request started no job: {error}")) from error

    async def _submitted(self, endpoint: Any, order: Any, key: str) -> _Begun:
        async with JobWatcher(endpoint, timeout_s=self.timeout_s, limits=self._limits) as watcher:
            watch = await watcher.submit(order, key=key)
            try:
                keys = endpoint.codec.job_to_keys(watch.job)
                if watch.outcome is None:
                    return _Begun(keys=keys, token=watch.resume_token)
            except ConfigurationError as error:
                raise AirflowFailException(f"the job {watch.job!r} was started and is not watched: {error}") from error
            result = None
            if self.result and isinstance(watch.outcome, Succeeded):
                result = await self._json_of(watch.result())
            return _Begun(keys=keys, report=report_of(endpoint, watch.outcome), result=result)

    async def _begun(self, endpoint: Endpoint[Any, Any], job: Any) -> _Begun:
        """A watch of this job that begins now, as its token."""
        async with JobWatcher(endpoint, timeout_s=self.timeout_s) as watcher:
            token = watcher.watch(job, first_after_s=_NEVER_S).resume_token
        return _Begun(keys=endpoint.codec.job_to_keys(job), token=token)

    async def _polled(self, endpoint: Endpoint[Any, Any], token: str) -> Report:
        async with JobWatcher(endpoint, timeout_s=None) as watcher:
            return await followed(watcher.watch_from_token(token), endpoint, self.log)

    async def _fetched(self, endpoint: Endpoint[Any, Any], token: str) -> Any:
        async with JobWatcher(endpoint, timeout_s=None, limits=self._limits) as watcher:
            return await self._json_of(watcher.watch_from_token(token).result(timeout_s=self.timeout_s))

    async def _json_of(self, result: Awaitable[Any]) -> Any:
        try:
            return json_result(await result)
        except ConfigurationError as error:  # the endpoint has none, or it is no JSON
            raise AirflowFailException(f"the job succeeded. {error}") from error
        except (JobError, WatchError) as error:
            raise AirflowException(f"the job succeeded, and its result was not fetched: {error}") from error

    @property
    def _limits(self) -> Limits:
        return Limits(result_bytes=self.result_bytes)

    def _concluded(self, report: Report, result: Any) -> Any:
        match report["state"]:
            case "succeeded":
                if report["left_out"] is not None:
                    self.log.warning("the status of the job is left out of the XCom: %s", report["left_out"])
                return result if self.result else report["status"]
            case "failed" | "cancelled":
                raise AirflowFailException(report["message"])
            case "abandoned":
                raise AirflowException(f"stopped watching; the job may still be running. {report['message']}")
            case _:
                raise AirflowException(f"the job was not watched, and may be running: {report['message']}")


@attrs.frozen(kw_only=True)
class _Begun:
    """A job that runs, with the token of its watch; or one that is over, with the report of its outcome."""

    keys: Mapping[str, str]
    token: str | None = None
    report: Report | None = None
    result: Any = None


class _NotStarted(Exception):
    """The request of a start did nothing. `raised` is what the task raises."""

    def __init__(self, raised: Exception) -> None:
        super().__init__(str(raised))
        self.raised = raised


def _key_text(name: object, value: object) -> str:
    """The value of a key as a text. A template may make a number of it."""
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return ("true" if value else "false") if isinstance(value, bool) else str(value)
    raise ConfigurationError(
        f"the key {name!r} of the job must be a text or a whole number, not {type(value).__name__}"
    )
