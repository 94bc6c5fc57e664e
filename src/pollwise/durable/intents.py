"""Starts of a watcher that has a ledger.

Rule 1: the intent is on disk before the request is sent. Its end, and the row of the job, are on disk before `submit` returns.
Rule 2: a key whose job is known gives the watch of that job, and no request.
Rule 3: a key whose intent is unfinished may have started a job in an earlier run. Its request is sent again if it is
idempotent. Otherwise the caller gets `SubmitDoubtful`, until the intent is settled or forgotten.
Rule 4: an intent is removed when it is certain that no job was started.
Rule 5: the outcome of a job that was over in the reply to its start is in the transaction of its row. So after a crash there
is no row that would have to be polled for a result which came in that reply.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Container, Hashable, Mapping
from datetime import datetime
from typing import Any, Final, Generic, TypeVar

import attrs

from pollwise.durable.codec import utc_datetime
from pollwise.durable.recorded_watch import safe_message
from pollwise.durable.recorder import Recorder
from pollwise.durable.timed_ledger import untimed
from pollwise.errors import ConfigurationError, WatcherClosed
from pollwise.ledger import Intent, KeepsIntents, Ledger, NewIntent, NewWatch, OpenWatch, Recorded
from pollwise.model.log_fields import log_fields
from pollwise.model.protocols import Endpoint
from pollwise.model.reading import Reading
from pollwise.model.submitting import SubmitCall
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.submits import Starts, StartWatch, other_order, started_note
from pollwise.runtime.watch import Watch

__all__ = ["UnfinishedSubmit", "WithLedger"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")

_log = logging.getLogger(__name__)

_CALLS: Final = ("intend_submits", "unfinished_submits", "forget_submits")


class WithLedger(Starts[J], Generic[J, S]):
    """The starts of a watcher with a ledger.

    Args:
        recorder: Of the watcher.
        watches: The open watches of the watcher, by job.
        watch: Watches a job.
    """

    def __init__(self, recorder: Recorder[J, S], watches: dict[J, DrivenWatch[J, S]], watch: StartWatch[J]) -> None:
        self._recorder = recorder
        self._watches = watches
        self._watch = watch

    async def begin(self, call: SubmitCall[Any], /) -> DrivenWatch[Any, Any] | bool:
        """Write the intent. Returns the watch if the job is known, and else whether an earlier run may have started it."""
        recorder, ledger = self._recorder, self._ledger()
        endpoint = recorder.rows.endpoint
        intent = NewIntent(
            endpoint=endpoint.name,
            account=endpoint.account,
            key=call.key,
            digest=call.digest,
            began=utc_datetime(recorder.rows.machines.clock()),
        )
        (intended,) = await recorder.patience.call(lambda: ledger.intend_submits([intent]))
        known = intended.known
        if known is not None:
            if known.digest != call.digest:
                raise other_order(call.key)
            if known.keys is not None:
                return self._watch(_job_of(known, known.keys, endpoint))
            if not call.is_idempotent:
                raise call.doubtful(None)
        call.intent = intended.id
        return known is not None

    async def watch(
        self, call: SubmitCall[Any], job: J, after_s: float, reading: Reading[Any] | None = None, /
    ) -> DrivenWatch[Any, Any]:
        """Write the row of the job, with its outcome if it is over, and the end of the intent. Then watch the job."""
        try:
            if reading is None:
                return await self.settle(call.intent, job, after_s)
            return await self._begin(call.intent, job, after_s, reading)
        except Exception as exc:
            exc.add_note(f"{started_note(job)}. Its key is {call.key!r}, and `unfinished_submits` may list it.")
            raise

    async def settle(self, intent: int | None, job: J, after_s: float = 0.0) -> DrivenWatch[Any, Any]:
        """The job of this intent is known."""
        recorder = self._recorder
        with recorder.announced(job, is_open=job in self._watches) as new:
            row = attrs.evolve(new, intent=intent)
            recorded = await self._record(row)
            if recorder.closing:
                raise WatcherClosed(job)
        known = self._watches.get(job)
        if known is None and recorded.known is None:
            machine = recorder.rows.machine(job, _open_row(recorded.id, row), after_s)
            known = self._watches[job] = recorder.begin(machine, recorded.id)
        return known or self._watch(job)

    async def _begin(self, intent: int | None, job: J, after_s: float, reading: Reading[S]) -> DrivenWatch[Any, Any]:
        """The job of this intent is known, and has its first reading."""
        recorder, rows = self._recorder, self._recorder.rows
        with recorder.announced(job, is_open=job in self._watches) as new:
            row, machine = attrs.evolve(new, intent=intent), rows.machines.new(job, after_s, reading)
            whole = rows.started(row, machine)
            try:
                recorded = await self._record(whole)
            except ConfigurationError:  # of a status that the ledger cannot keep, perhaps; the outbox reports that
                if whole.outcome is None:
                    raise
                whole = row
                recorded = await self._record(whole)
            if recorder.closing:
                raise WatcherClosed(job)
        if job in self._watches or recorded.known is not None:
            return self._watch(job, reading=reading)
        watch = self._watches[job] = recorder.begin(machine, recorded.id)
        if machine.outcome is not None:
            recorder.end_begun(watch, is_written=whole.outcome is not None)
        return watch

    async def _record(self, row: NewWatch) -> Recorded:
        ledger = self._ledger()
        (recorded,) = await self._recorder.patience.call(lambda: ledger.record([row]))
        return recorded

    async def give_up(self, call: SubmitCall[Any], /) -> None:
        """No job was started: remove the intent."""
        try:
            if call.intent is not None:
                await self.forget(call.intent)
        except Exception as exc:  # noqa: BLE001  # a ledger may be foreign code; the intent stays unfinished
            _log.warning(
                "the start with the key %r started no job, but stays in the ledger (%s: %s)",
                call.key,
                type(exc).__name__,
                safe_message(exc),
                extra=log_fields(endpoint=self._recorder.rows.endpoint.name, error_type=type(exc).__name__),
            )

    async def forget(self, intent: int) -> None:
        """Remove this intent, unless it has a job."""
        ledger = self._ledger()
        await self._recorder.patience.call(lambda: ledger.forget_submits([intent]))

    async def unfinished(self, under_way: Callable[[], Container[str]]) -> list[UnfinishedSubmit[J, S]]:
        """The unfinished intents of the endpoint and account, but for those under way in this watcher.

        Args:
            under_way: Returns the keys of the latter.
        """
        endpoint, ledger = self._recorder.rows.endpoint, self._ledger()
        found = await self._recorder.patience.call(lambda: ledger.unfinished_submits(endpoint.name, endpoint.account))
        return [UnfinishedSubmit(self, intent, under_way) for intent in found if intent.key not in under_way()]

    def _ledger(self) -> Ledger:
        ledger = self._recorder.ledger
        kind = type(untimed(ledger))
        missing = [name for name in _CALLS if getattr(kind, name, None) in {None, getattr(KeepsIntents, name)}]
        if missing:
            raise ConfigurationError(
                f"the ledger {kind.__name__} cannot keep starts of jobs: it has no {' and no '.join(missing)}"
            )
        return ledger


def _open_row(number: int, row: NewWatch) -> OpenWatch:
    """The row as the ledger has it now."""
    return OpenWatch(
        id=number,
        endpoint=row.endpoint,
        account=row.account,
        keys=row.keys,
        origin=row.origin,
        first_seen=row.first_seen,
        deadline=row.deadline,
        phase=None,
        polls=0,
        failures=0,
        status=None,
        cursor=row.cursor,
    )


def _job_of(intent: Intent, keys: Mapping[str, str], endpoint: Endpoint[J, Any]) -> J:
    """The job that an intent has started. Raises ConfigurationError."""
    try:
        return endpoint.codec.job_from_keys(keys)
    except Exception as exc:
        raise ConfigurationError(
            f"the job with the key {intent.key!r} was started, and the codec of {endpoint.name} raised"
            f" {type(exc).__name__} for its keys in the ledger; correct the codec, or use the one that wrote them"
        ) from exc


class UnfinishedSubmit(Generic[J, S]):
    """A start of which it is not known whether there is a job. `JobWatcher.unfinished_submits` lists them."""

    def __init__(self, starts: WithLedger[J, S], intent: Intent, under_way: Callable[[], Container[str]]) -> None:
        self._starts = starts
        self._intent = intent
        self._under_way = under_way

    @property
    def key(self) -> str:
        """The key of the order."""
        return self._intent.key

    @property
    def began(self) -> datetime:
        """When the job was to be started first, in UTC."""
        return self._intent.began

    @property
    def digest(self) -> str:
        """The SHA-256 of the request's method, path, query and body, as hexadecimal text."""
        return self._intent.digest

    def __repr__(self) -> str:
        return f"<UnfinishedSubmit {self.key!r} of {self.began:%Y-%m-%d %H:%M:%S} UTC>"

    async def settle(self, job: J) -> Watch[J, S, Any]:
        """It has started this job, which is watched from now on. Returns its watch.

        Raises:
            LedgerError: The ledger did not write it within `ledger_patience_s`.
            ConfigurationError: The ledger cannot keep the job's keys, or a start with this key is under way.
            WatcherClosed: The watcher is not open.
        """
        self._check_idle()
        return await self._starts.settle(self._intent.id, job)

    async def forget(self) -> None:
        """It has started no job, or one that is not of interest. Its key may be used again.

        Raises:
            LedgerError: The ledger did not write it within `ledger_patience_s`.
            ConfigurationError: A start with this key is under way.
        """
        self._check_idle()
        await self._starts.forget(self._intent.id)

    def _check_idle(self) -> None:
        if self.key in self._under_way():
            raise ConfigurationError(f"a start with the key {self.key!r} is under way; await it before you settle it")
