"""The status of a declared endpoint: the JSON of a reply, or an object of the caller's class.

Rule 1: without a class the status is the JSON itself, so nothing is converted and nothing can be wrong.
Rule 2: with a class, a reply that does not fit is malformed. Fields with defaults may be missing.
"""

from __future__ import annotations

from functools import cached_property
from typing import Any, Generic, TypeVar

import attrs

from pollwise.endpoints.attrs_codec import AttrsCodec
from pollwise.errors import ConfigurationError
from pollwise.model.messages import Reply

__all__ = ["StatusForm"]

S = TypeVar("S")


@attrs.frozen
class _NoJob:
    """AttrsCodec needs a class of jobs, and only statuses are read here."""


class StatusForm(Generic[S]):
    """Makes statuses from JSON, and JSON from statuses.

    Args:
        kind: The caller's class, or None for the JSON itself.
    """

    def __init__(self, kind: type[S] | None) -> None:
        self._kind = kind

    def structured(self, data: Any, reply: Reply) -> S:
        """The status in a reply. Raises MalformedReply, which names the field, if it does not fit the class."""
        if self._kind is None:
            return data  # type: ignore[no-any-return]  # S is Any
        try:
            return self.from_json(data)
        except ConfigurationError as exc:
            why = str(exc)
        raise reply.malformed(why)

    def to_json(self, status: S) -> Any:
        """The status as JSON-ready values."""
        return status if self._kind is None else self._codec.status_to_json(status)

    def from_json(self, data: Any) -> S:
        """The status again. Raises ConfigurationError, a ValueError, if the data does not fit the class."""
        return data if self._kind is None else self._codec.status_from_json(data)

    @cached_property
    def _codec(self) -> AttrsCodec[Any, S]:
        assert self._kind is not None  # noqa: S101  # both callers look
        return AttrsCodec(_NoJob, self._kind)
