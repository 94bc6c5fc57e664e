"""Whether a try of a task starts a job, or goes on with the job of an earlier try.

Rule 1: all tries of a task instance are for one job, until the task is cleared. A cleared task starts a new job. `max_tries`
tells them apart, because Airflow raises it when a task is cleared.
Rule 2: the key is in Airflow's task state store before the request is sent, and the resume token after it. The key is random:
a run that was deleted and created again has the same names, and its API may still know an old key.
Rule 3: a request that an earlier try may have sent is sent again only if it is idempotent. Otherwise the task fails, because a
second job could be started.

Source: Airflow 3.3, `clear_task_instances` of `models/taskinstance.py`, and the task state store of the task SDK.
"""

from __future__ import annotations

import enum
import uuid
from typing import Any, Final

import attrs

from pollwise.model.protocols import Endpoint

__all__ = ["NAME", "Start", "StartRecord", "next_start", "start_is_idempotent"]

NAME: Final = "pollwise"
"""Under which the task state store keeps the record."""

_VERSION: Final = 1


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
        max_tries: That of the task instance, which is another one after the task was cleared.
        key: The key of the order.
        token: The resume token of the job's watch, or None while the reply is not known.
    """

    max_tries: int
    key: str
    token: str | None = None

    @classmethod
    def new(cls, max_tries: int) -> StartRecord:
        """The record of a start with a new key: a UUID, which every API with idempotency keys takes."""
        return cls(max_tries=max_tries, key=str(uuid.uuid4()))

    def to_json(self) -> dict[str, Any]:
        """The record as the store keeps it."""
        return {"version": _VERSION, "max_tries": self.max_tries, "key": self.key, "token": self.token}

    @classmethod
    def from_json(cls, found: object) -> StartRecord | None:
        """The record again. None if there is none, or a later release wrote it."""
        match found:
            case {"version": 1, "max_tries": int(max_tries), "key": str(key), "token": str() | None as token}:
                return cls(max_tries=max_tries, key=key, token=token)
        return None


def next_start(record: StartRecord | None, max_tries: int, *, is_idempotent: bool) -> Start:
    """What a try of a task instance with this `max_tries` does, if the store has this record."""
    if record is None or record.max_tries != max_tries:
        return Start.BEGIN
    if record.token is not None:
        return Start.RESUME
    return Start.REPEAT if is_idempotent else Start.REFUSE


def start_is_idempotent(endpoint: Endpoint[Any, Any], order: Any, key: str) -> bool:
    """Whether the request that starts this job may be sent twice. Raises what the endpoint raises for the order."""
    request = endpoint.submit_request(order, key)  # type: ignore[attr-defined]  # checked by the caller
    return bool(request.is_idempotent)
