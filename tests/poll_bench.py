"""Answers for one watch, as the poller gives them to `PollResults`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, cast

import attrs

from pollwise.core.call_machine import machine_class
from pollwise.core.callbacks import checked_clock, checked_dice
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.core.poll_results import PollResults
from pollwise.core.token_budget import TokenBudget
from pollwise.core.watch_state import StepResult
from pollwise.errors import AuthenticationError, WatchError
from pollwise.model.calls import Call
from pollwise.model.events import Abandoned
from pollwise.model.limits import ReplyLimits
from pollwise.model.messages import Reply
from pollwise.model.reading import Reading
from pollwise.model.secrets import KnownSecrets
from pollwise.runtime.driven_watch import DrivenWatch
from pollwise.runtime.poller import PollResult
from pollwise.runtime.unknown_values import UnknownValues
from toy import ToyEndpoint, ToyJob, ToyStatus

_LIMITS = ReplyLimits()


class Counted(ToyEndpoint):
    """Counts what it reads; `instead` is done in place of reading, if it is given."""

    def __init__(self, instead: Callable[[Reply], Reading[ToyStatus]] | None = None) -> None:
        super().__init__()
        self.instead = instead
        self.reads = 0

    def read(self, reply: Reply, /) -> Reading[ToyStatus]:
        self.reads += 1
        return super().read(reply) if self.instead is None else self.instead(reply)


@attrs.define
class Hand:
    """What an answer needs of the poller that has got it."""

    permit: int = 0
    refusal: AuthenticationError | None = None
    sent_at: float = 0.0


class Bench:
    """Answers for one watch, with all that is about them in reach."""

    def __init__(
        self,
        endpoint: Counted | None = None,
        *,
        timeout_s: float | None = None,
        pacing: Pacing | None = None,
        dice: Callable[[], float] = lambda: 0.5,
        clock: Callable[[], float] = lambda: 1e9,
        call: Call[ToyJob, ToyStatus] | None = None,
        secret: str = "",
        limits: ReplyLimits = _LIMITS,
    ) -> None:
        self.endpoint = endpoint or Counted()
        self.budget = TokenBudget()
        self.hand = Hand()
        rules = Policy(pacing=pacing or Pacing(), retry=Retry(), timeout_s=timeout_s, call=call)
        secrets = KnownSecrets()
        secrets.learn({"Authorization": f"Bearer {secret}"}, 0.0)
        machine = machine_class(rules)(ToyJob(), rules, now=0.0)
        self.watch = DrivenWatch(machine, cast("Any", None))  # no test here needs its owner
        self._results = PollResults(
            endpoint=self.endpoint,
            budget=self.budget,
            dice=checked_dice(dice),
            clock=checked_clock(clock),
            on_unknown=UnknownValues(self.endpoint.name).log_once,
            secrets=secrets,
            limits=limits,
        )

    def take(self, answer: PollResult, now: float = 1.0) -> StepResult:
        self.hand.permit = self.budget.acquire(now)
        self.watch.machine.asked(now)
        return self._results.on_result(self.hand, self.watch.machine, answer, now)

    @property
    def why(self) -> WatchError:
        assert isinstance(self.watch.outcome, Abandoned)
        return self.watch.outcome.error
