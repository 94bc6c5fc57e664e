"""The trigger that polls for PollwiseOperator.

Rule 1: it only polls. So it may run twice, be moved to another triggerer, or begin again from its token after one died. It
starts no job.
Rule 2: its arguments, which Airflow keeps in its database, are a resume token and a reference. Credentials are read where it
runs.
Rule 3: it fires one event, also if the watch could not begin. What to do about it is the operator's to decide.
Rule 4: the server is asked to stop the job if a user ends the task while it is deferred, and not if a triggerer shuts down.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Final
from weakref import WeakKeyDictionary

from pollwise.airflow.connection import credentials_of
from pollwise.airflow.reference import Credentials, EndpointReference
from pollwise.airflow.reports import followed, setup_report
from pollwise.airflow.shared import SharedWatchers
from pollwise.errors import ConfigurationError, WatchError
from pollwise.model.protocols import Endpoint

# Airflow is in no environment for development.
# pyright: reportMissingImports=false
try:
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowException
    from airflow.triggers.base import BaseTrigger, TriggerEvent
except ImportError as exc:
    raise ConfigurationError("pollwise.airflow needs Airflow 3.3; run: pip install 'pollwise[airflow]'") from exc

__all__ = ["PollwiseTrigger"]

_CANCEL_S: Final = 20.0  # the triggerer waits 30 s for `on_kill` by default
_shared: WeakKeyDictionary[asyncio.AbstractEventLoop, SharedWatchers] = WeakKeyDictionary()


class PollwiseTrigger(BaseTrigger):
    """Polls one job until it is over, and fires one event with its outcome.

    Args:
        token: The resume token of the watch.
        endpoint: The endpoint, as `EndpointReference.to_json` writes it.
        cancel_on_kill: Ask the server to stop the job if a user ends the task, where the endpoint can.

    Raises:
        ConfigurationError: The endpoint has a form that this release does not know.
    """

    def __init__(self, *, token: str, endpoint: Mapping[str, Any], cancel_on_kill: bool = True) -> None:
        super().__init__()
        self.token = token
        self.reference = EndpointReference.from_json(endpoint)
        self.cancel_on_kill = cancel_on_kill

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """The class, and the arguments that make the same trigger."""
        arguments = {"token": self.token, "endpoint": self.reference.to_json(), "cancel_on_kill": self.cancel_on_kill}
        return "pollwise.airflow.trigger.PollwiseTrigger", arguments

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Watch the job, and fire the event. Its payload is a `Report`, with the token of the watch."""
        try:
            async with _watchers().watch(self.reference, self.token) as shared:
                report = await followed(shared.watch, shared.endpoint, self.log)
        except (ConfigurationError, AirflowException) as error:  # the endpoint, the token, or the connection
            report = setup_report(error)
        yield TriggerEvent({**report, "token": self.token})

    async def on_kill(self) -> None:
        """Ask the server to stop the job. Airflow calls this after a user has marked or cleared the deferred task."""
        if not self.cancel_on_kill:
            return
        try:
            async with _watchers().watch(self.reference, self.token) as shared:
                if not hasattr(shared.endpoint, "cancel_request"):
                    self.log.info("%s cannot cancel jobs; the job may go on", shared.endpoint.name)
                elif await shared.watch.cancel(timeout_s=_CANCEL_S):
                    self.log.info("%s accepted the cancelling of the job", shared.endpoint.name)
                else:
                    self.log.info("%s has nothing to cancel", shared.endpoint.name)
        except (ConfigurationError, WatchError, AirflowException) as error:
            self.log.warning("the job was not cancelled, and may be running: %s", error)


def _watchers() -> SharedWatchers:
    """The watchers of the running event loop."""
    loop = asyncio.get_running_loop()
    if loop not in _shared:
        _shared[loop] = SharedWatchers(_opened)
    return _shared[loop]


async def _opened(reference: EndpointReference) -> Endpoint[Any, Any]:
    credentials = Credentials()
    if reference.conn_id is not None:
        connection = await BaseHook.aget_connection(reference.conn_id)
        credentials = credentials_of(connection, await connection.aextra_dejson())
    return await asyncio.to_thread(reference.make, credentials)  # it may import modules and read files
