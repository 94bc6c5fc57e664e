"""Whether a try of a task starts a job, or goes on with the job of an earlier try.

Rule 1: the tries of a task instance until somebody clears it are for one job, so they have one key. A task that is cleared
gets a new key and a new job. The number that tells them apart is `max_tries`, which Airflow raises when a task is cleared.
Rule 2: the key is in Airflow's task state store before the request is sent, and the resume token after it.
Rule 3: a request that an earlier try may have sent is sent again only if it is idempotent. Otherwise the task fails, because a
second job could be started.

Source: Airflow 3.3, `clear_task_instances` of `models/taskinstance.py`, and the task state store of the task SDK.
"""

from __future__ import annotations

import enum
import json
import uuid
from typing import Any, Final, Protocol

import attrs

from pollwise.model.protocols import Endpoint

__all__ = ["NAME", "Start", "StartRecord", "TaskFields", "next_start", "start_is_idempotent", "start_key"]

NAME: Final = "pollwise"
"""Under which the task state store keeps the record."""

_VERSION: Final = 1
_NAMESPACE: Final = uuid.UUID("6f4e4f3e-5a0b-5c57-9d0e-0f6f3f6a7c11")  # of the keys of this module


class TaskFields(Protocol):
    """What is read of a task instance."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int | None
    max_tries: int


class Start(enum.Enum):
    """What a try does."""

    BEGIN = enum.auto()
    """Start a job."""
    RESUME = enum.auto()
    """Go on with the job of an earlier try."""
    REPEAT = enum.auto()
    """Send the request of an earlier try again: no second job is started for one key."""
    REFUSE = enum.auto()
    """Fail: an earlier try may have started a job, and its reply is lost."""


@attrs.frozen(kw_only=True)
class StartRecord:
    """What the task state store keeps of a start.

    Attributes:
        key: The key of the order.
        token: The resume token of the job's watch, or None while the reply is not known.
    """

    key: str
    token: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The record as the store keeps it."""
        return {"version": _VERSION, "key": self.key, "token": self.token}

    @classmethod
    def from_json(cls, found: object) -> StartRecord | None:
        """The record again. None if there is none, or a later release wrote it."""
        match found:
            case {"version": 1, "key": str(key), "token": str() | None as token}:
                return cls(key=key, token=token)
        return None


def start_key(task: TaskFields) -> str:
    """The key of the order of a task instance: a UUID, which every API with idempotency keys takes."""
    index = -1 if task.map_index is None else task.map_index
    names = [task.dag_id, task.run_id, task.task_id, index, task.max_tries]
    return str(uuid.uuid5(_NAMESPACE, json.dumps(names)))


def next_start(record: StartRecord | None, key: str, *, is_idempotent: bool) -> Start:
    """What a try with this key does, if the store has this record."""
    if record is None or record.key != key:
        return Start.BEGIN
    if record.token is not None:
        return Start.RESUME
    return Start.REPEAT if is_idempotent else Start.REFUSE


def start_is_idempotent(endpoint: Endpoint[Any, Any], order: Any, key: str) -> bool:
    """Whether the request that starts this job may be sent twice. Raises what the endpoint raises for the order."""
    request = endpoint.submit_request(order, key)  # type: ignore[attr-defined]  # checked by the caller
    return bool(request.is_idempotent)
