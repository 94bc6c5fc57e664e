"""Makes the endpoints of shards, and remembers which shards cannot be served here.

Rule 1: a shard that cannot be served is left to other workers. That is logged once, and tried again after a while.
Rule 2: the message of a foreign error may have a secret, so it is not logged.
"""

from __future__ import annotations

import asyncio
import logging
import math
from collections.abc import Awaitable, Callable, Collection
from typing import Any, Final, TypeAlias

from pollwise.durable.codec import check_codec
from pollwise.errors import PollwiseError
from pollwise.fleet.splitting import base_of, endpoint_of
from pollwise.ledger import Shard
from pollwise.model.abilities import with_defaults
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint, EndpointLike

__all__ = ["EndpointFor", "EndpointMaker"]

AnyEndpoint: TypeAlias = EndpointLike[Any, Any]
EndpointFor: TypeAlias = Callable[[Shard], AnyEndpoint | Awaitable[AnyEndpoint]]

_MAKING_S: Final = 10.0  # longest time for an endpoint_for that is async
_FIRST_REFUSAL_S: Final = 30.0  # until a shard that could not be served is tried again
_LONGEST_REFUSAL_S: Final = 600.0

_log = logging.getLogger(__name__)


class EndpointMaker:
    """Makes endpoints.

    Args:
        endpoint_for: The caller's function.
        name: Of the worker.
    """

    def __init__(self, endpoint_for: EndpointFor, name: str) -> None:
        self._endpoint_for = endpoint_for
        self._name = name
        self._refused: set[Shard] = set()
        self._last: dict[Shard, tuple[float, float]] = {}  # when it was refused last, and for how long

    async def make(self, shard: Shard) -> Endpoint[Any, Any] | None:
        """The endpoint of this shard, or None if it cannot be served here."""
        try:
            made = self._endpoint_for(base_of(shard))
            if isinstance(made, Awaitable):
                async with asyncio.timeout(_MAKING_S):
                    made = await made
            endpoint = endpoint_of(with_defaults(made), shard)
            check_codec(endpoint)
        except Exception as exc:  # noqa: BLE001  # foreign code
            self.refuse(shard, exc)
            return None
        return endpoint

    def refuse(self, shard: Shard, exc: Exception) -> None:
        """The shard cannot be served here, because of this error."""
        self.refuse_because(shard, type(exc).__name__, str(exc) if isinstance(exc, PollwiseError) else "")

    def refuse_because(self, shard: Shard, kind: str, text: str) -> None:
        """The shard cannot be served here. `kind` is the class of an error, and `text` its message or empty."""
        now = asyncio.get_running_loop().time()
        at, pause_s = self._last.get(shard, (-math.inf, 0.0))
        is_new = now - at > 2.0 * pause_s + _MAKING_S  # it was served since then
        pause_s = _FIRST_REFUSAL_S if is_new else min(2.0 * pause_s, _LONGEST_REFUSAL_S)
        self._last[shard] = now, pause_s
        self._refused.add(shard)
        if is_new:
            _log.warning(
                "%s: the shard %s cannot be served here (%s%s); it is left to other workers, and tried again later",
                self._name,
                shard,
                kind,
                f": {text}" if text else "",
                extra=log_fields(endpoint=shard.endpoint, error_type=kind),
            )

    def served(self, shard: Shard) -> None:
        """The shard is served here."""
        self._refused.discard(shard)

    @property
    def refused(self) -> Collection[Shard]:
        """The shards that could not be served here at the last try."""
        return self._refused

    def refused_at(self, now: float) -> Collection[Shard]:
        """Those that are not tried at this time."""
        return {shard for shard in self._refused if sum(self._last[shard]) > now}
