"""The rate that a server allows and does not state: a search, which starts with refusals and ends when they stop.

Rule 1: a single refusal sets no rate. A rate is set when the goodput no longer rises from one refusal to the next.
Rule 2: goodput is the number of good replies between two recoveries, divided by the time between them. This includes the
pauses, so neither a burst at the start nor the few requests before a refusal decide.
Rule 3: the search runs between `_held`, a rate that passed a trial, and `_refused_at`, a rate that did not. A trial is a
number of good replies in a row. Its length follows the longest pause that refusals have caused.
Rule 4: when the two rates are close, the rate stays: the plateau. A higher rate is tried only after a long hold. The hold
doubles each time that trial is refused, because a real limit refuses again and a spurious 429 does not (the plateau of
CUBIC, RFC 9438).
Rule 5: each passed trial above the plateau doubles the step. At four times the plateau the limit is forgotten.
Rule 6: a trial counts only if the requests have used the rate (`_BUSY`).
"""

from __future__ import annotations

import math

__all__ = ["Limiter"]

_SHORTEST_GOODPUT_S = 1.0  # a goodput of a shorter time is ignored
_DOUBTFUL_GOODPUT_S = 5.0  # the same, if a third of the bursts of refusals was contradicted
_SAME = 1.3  # the goodput of a limited server differs by less than this factor from refusal to refusal
_AS_MANY = 0.03  # or its good replies in a window differ by at most this share
_OFTEN_ENOUGH = 2
_QUIET_S = 60.0  # a refusal is forgotten after this long without another one, or four times its pause
_REFUSED_PROBES = 6  # this many refused probes in a row show a real limit

_CLIMB = 0.25  # the first steps, while only the lower end of the search is known
_CLOSE = 1.035  # the plateau: the ends of the search differ by this factor at most
_LOWER = 0.97  # a rate that was held and is refused was a little too high
_MUCH_LOWER = 0.85  # and much too high if it is refused at once
_LOWEST = 0.7
_FORGET = 4.0
_MOVED = 1.5
_REFUTED = 0.5  # refused at this share of the goodput that set the rate: the goodput was no limit

_SHORTEST_TRIAL = 8  # good replies
_SHORTEST_TRIAL_S = 0.5
_LONGEST_TRIAL_S = 60.0
_HOLD = 1_000  # good replies before a higher rate is tried again; doubled each time that this is refused
_LONGEST_HOLD = 8_000
_TRIALS_A_HOLD = 8  # above the plateau trials are longer, because a token bucket lets a whole burst through
_LONGEST_HOLD_S = 3_600.0
_BUSY = 0.8  # a trial counts only if the requests came at this share of the rate at least
_CATCH_UP_S = 0.05  # a wake-up that is late by at most this does not delay the next request


class Limiter:
    """The rate of one token, as far as its refusals show one.

    Attributes:
        good_replies: Good replies since `since`.
        memory_s: How long a measure of the goodput, or a refusal, is remembered.
        next_at: When the next request may go.
        rate: Requests per second; infinite while no limit is known.
        since: When the trial began, or the measure of the goodput.
        spacing_s: Seconds between two requests; 0 while no limit is known.
        stale_after: After this time the measure of the goodput begins anew; infinite while a rate is set.
        trial: How many good replies make a trial, after which `pass_trial` is to be called; infinite while no limit is known.
    """

    __slots__ = (
        "_climbing",
        "_confirmed",
        "_contradicted",
        "_forgotten",
        "_goodput",
        "_held",
        "_last_good",
        "_least_trial",
        "_pause_s",
        "_plateau",
        "_recovered_at",
        "_refused_at",
        "_refused_since",
        "_same",
        "_same_good",
        "_same_since",
        "_set_at",
        "_step",
        "good_replies",
        "memory_s",
        "next_at",
        "rate",
        "since",
        "spacing_s",
        "stale_after",
        "trial",
    )

    # set with the first measure
    _same: int  # how often in a row the goodput stayed the same
    _same_good: int  # good replies since `_same_since`
    _same_since: float

    # set with the rate
    _held: float
    _refused_at: float
    _plateau: float  # the rate that was held last for a whole hold
    _climbing: bool  # a rate above the plateau is being tried
    _confirmed: int  # how often that was refused
    _step: float

    def __init__(self) -> None:
        self.rate = math.inf
        self.spacing_s = 0.0
        self.next_at = -math.inf
        self.stale_after = -math.inf
        self.good_replies = 0
        self.since = math.nan
        self.memory_s = _QUIET_S
        self._contradicted = 0  # positive if more than a third of the bursts of refusals were contradicted
        self._goodput = 0.0  # at the previous refusal, while no rate is set; 0 if there was none
        self._last_good = 0  # good replies between the last two recoveries; 0 if there was no earlier measure
        self._forgotten = False  # a rate was set and forgotten recently
        self._least_trial = _SHORTEST_TRIAL  # grows each time that a rate is set again after it was forgotten
        self._refused_since = math.nan  # when the pause began
        self._recovered_at = math.nan  # when the last pause ended
        self._set_at = math.nan  # when the rate was set
        self._pause_s = 0.0  # the longest pause
        self.trial = math.inf

    # --- for every request --------------------------------------------------------------------

    def acquire(self, now: float) -> None:
        """A request is sent now. Needed only while a rate is set."""
        earliest = now - min(_CATCH_UP_S, self.spacing_s)
        self.next_at = max(self.next_at, earliest) + self.spacing_s

    def on_reply(self, now: float) -> None:
        """A request was not refused. `TokenBudget.release` repeats these lines, to save a call for every reply."""
        self.good_replies += 1
        if self.good_replies >= self.trial:
            self.pass_trial(now)
        elif now > self.stale_after:
            self.good_replies, self.since, self.stale_after = 1, now, now + self.memory_s

    # --- refusals -----------------------------------------------------------------------------

    def on_refusal(self, now: float) -> None:
        """A burst of refusals began. It counts once, at its end."""
        if math.isnan(self._refused_since):
            self._refused_since = now

    def on_recovery(self, now: float, probes: int, *, contradicted: bool) -> None:
        """Requests may be sent again.

        Args:
            now: Monotonic seconds.
            probes: The number of probes that were refused.
            contradicted: Whether requests that were sent after the refused one succeeded, so that no probe was needed.
        """
        began_at, self._refused_since = self._refused_since, math.nan
        if math.isnan(began_at):
            return
        quiet_s, self._recovered_at = began_at - self._recovered_at, now
        if quiet_s > self.memory_s and self.rate == math.inf:
            self._goodput, self._last_good = 0.0, 0
            self._set_pause(0.0)
            self._forgotten = False
        self._adjust(now, now - began_at, probes, contradicted=contradicted)
        self.next_at = now + self.spacing_s  # the probe was sent at the earlier rate

    def _adjust(self, now: float, pause_s: float, probes: int, *, contradicted: bool) -> None:
        if self.rate < math.inf:
            if contradicted and now - self._set_at < _SHORTEST_TRIAL_S:
                self.good_replies, self.since = 0, now  # refused at the earlier rate; the trial starts anew
            else:
                self._lower(now, pause_s)
            return
        self._set_pause(max(self._pause_s, pause_s))
        self._contradicted += 2 if contradicted else -1
        self._measure(now, sure=probes >= _REFUSED_PROBES)

    def _set_pause(self, longest_s: float) -> None:
        self._pause_s = longest_s
        self.memory_s = max(_QUIET_S, 4.0 * longest_s)

    def _measure(self, now: float, *, sure: bool) -> None:
        """Set a rate if the good replies or the goodput are as between the earlier refusals."""
        good, took_s = self.good_replies, now - self.since
        if not took_s >= (_DOUBTFUL_GOODPUT_S if self._contradicted > 0 else _SHORTEST_GOODPUT_S):
            return
        before, self._goodput = self._goodput, max(1, good) / took_s
        as_many = abs(good - self._last_good) <= _AS_MANY * good and good >= _SHORTEST_TRIAL
        if as_many or before / _SAME < self._goodput < before * _SAME:
            self._same += 1
        else:
            self._same = self._same_good = 0
            self._same_since = self.since
        self._last_good = good
        self._same_good += good
        self._contradicted = 0
        self.good_replies, self.since, self.stale_after = 0, now, now + self.memory_s
        if sure or self._same >= _OFTEN_ENOUGH:
            goodput = max(1, self._same_good) / (now - self._same_since)
            self._least_trial = min(_LONGEST_HOLD, 4 * self._least_trial) if self._forgotten else _SHORTEST_TRIAL
            self._goodput = self._held = self._plateau = goodput
            self._refused_at, self._step, self._confirmed, self._climbing = math.inf, _CLIMB, 0, False
            self._try(goodput, now)

    def _lower(self, now: float, pause_s: float) -> None:
        """A request was refused at the rate that is set."""
        rate, good, took_s = self.rate, self.good_replies, now - self.since
        self._set_pause(max(self._pause_s, pause_s))
        self._refused_at = rate
        if self._climbing:
            self._climbing = False
            self._back_to_plateau(rate)
        elif rate <= self._held:
            share = _MUCH_LOWER if good < _SHORTEST_TRIAL else good / took_s / rate
            self._held = rate * min(_LOWER, max(_LOWEST, share))
        if self._held < _REFUTED * self._goodput:
            self._forget()
        else:
            self._try(self._held, now)

    def _back_to_plateau(self, rate: float) -> None:
        """A request was refused above the plateau, so the limit is real."""
        if rate > _MOVED * self._plateau:
            self._confirmed = 1
            self._held = max(self._plateau, self._held / _CLOSE)
            return
        self._confirmed += 1
        self._held = self._plateau
        if self._confirmed > 1:
            self._refused_at = self._plateau  # an earlier search found no higher one

    # --- trials -------------------------------------------------------------------------------

    def pass_trial(self, now: float) -> None:
        """The trial has passed: no request was refused."""
        rate = self.rate
        if self.good_replies < _BUSY * rate * (now - self.since):
            self.good_replies, self.since = 0, now
            return
        self._held = rate
        if rate > _FORGET * self._plateau:
            self._forget()
        elif self._refused_at > _CLOSE * rate:
            if self._refused_at == math.inf:
                self._try(rate * (1.0 + self._step), now)
                self._step = min(1.0, 2.0 * self._step)
            else:
                self._try(math.sqrt(rate * self._refused_at), now)
        elif self.trial < self._hold():
            self._plateau = rate
            self.good_replies, self.since, self.trial = 0, now, self._hold()
        else:
            self._climbing, self._refused_at, self._step = True, math.inf, 2.0 * (_CLOSE - 1.0)
            self._try(rate * _CLOSE, now)

    def _hold(self) -> int:
        least = self._trial_of(self.rate) + 1
        return max(least, self._hold_of(self.rate)) if self._confirmed else least

    def _hold_of(self, rate: float) -> int:
        most = min(_LONGEST_HOLD, max(_HOLD, int(_LONGEST_HOLD_S * rate)))
        return min(most, _HOLD << min(self._confirmed - 1, 20))

    def _trial_of(self, rate: float) -> int:
        trial_s = min(_LONGEST_TRIAL_S, max(_SHORTEST_TRIAL_S, 2.0 * self._pause_s))
        least = self._hold_of(rate) // _TRIALS_A_HOLD if self._confirmed else self._least_trial
        return max(least, int(rate * trial_s))

    def _try(self, rate: float, now: float) -> None:
        self.rate, self.spacing_s, self._set_at, self.stale_after = rate, 1.0 / rate, now, math.inf
        self.good_replies, self.since, self.trial = 0, now, self._trial_of(rate)

    def _forget(self) -> None:
        least_trial = self._least_trial
        self.__init__()  # type: ignore[misc]  # all state is out of date
        self._least_trial, self._forgotten = least_trial, True
