"""How far watches got: worth a row, not a wait.

Rule 1: what changed is pushed every half second, each watch once, as it is then.
Rule 2: it is made and sent some hundred at a time, so that the loop is not held up, and a ledger that is slow gets
fewer rows rather than a queue.
Rule 3: what the ledger does not take waits for the next time. Nobody suffers for it: the ledger is only behind.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Hashable
from typing import Any, Generic, TypeVar

from pollwise.durable.background_job import BackgroundJob, Start, pause
from pollwise.durable.codec import change_of
from pollwise.durable.recorded_watch import RecordedWatch, is_left_open, words_of
from pollwise.ledger import Ledger
from pollwise.model.protocols import Endpoint

__all__ = ["Checkpoints"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_EVERY_S = 0.5
_PAGE = 200  # rows in one call: some milliseconds of the loop

_log = logging.getLogger(__name__)


class Checkpoints(Generic[J, S]):
    """Pushes how far watches got.

    Args:
        ledger: Where to.
        endpoint: Whose jobs they are of.
        start: Starts tasks.
        closing: Set when what is left is to be pushed at once.
    """

    def __init__(self, *, ledger: Ledger, endpoint: Endpoint[J, S], start: Start, closing: asyncio.Event) -> None:
        self._ledger = ledger
        self._endpoint = endpoint
        self._closing = closing
        self._changed: dict[RecordedWatch[J, S], None] = {}
        self._troubled = False
        self._duty = BackgroundJob(self._work, start, "pollwise-checkpoints")

    def add(self, watch: RecordedWatch[Any, Any]) -> None:
        """This one got further."""
        if not self._changed:
            self._duty.wake()
        self._changed[watch] = None

    async def finished(self) -> None:
        """Wait until all is pushed, once it is closing."""
        await self._duty.finished()

    async def _work(self) -> None:
        while self._changed:
            await pause(_EVERY_S, self._closing)
            changed, self._changed = list(self._changed), {}
            left = changed
            try:
                left = await self._push(changed)
            finally:
                self._changed = {**dict.fromkeys(left), **self._changed}
            if left and self._closing.is_set():
                return

    async def _push(self, changed: list[RecordedWatch[J, S]]) -> list[RecordedWatch[J, S]]:
        """Those that are left."""
        for n in range(0, len(changed), _PAGE):
            some = [watch for watch in changed[n : n + _PAGE] if watch.number and not _is_concluded(watch)]
            try:
                await self._ledger.update([change_of(watch.number, watch.machine, self._endpoint) for watch in some])
            except Exception as exc:  # noqa: BLE001  # foreign code
                if not self._troubled:  # said once, until it is mended
                    _log.warning(
                        "the ledger does not take how far watches got (%s: %s)", type(exc).__name__, words_of(exc)
                    )
                self._troubled = True
                return changed[n:]
            self._troubled = False
        return []


def _is_concluded(watch: RecordedWatch[Any, Any]) -> bool:
    outcome = watch.machine.outcome
    return outcome is not None and not is_left_open(outcome)
