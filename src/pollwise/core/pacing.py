"""When to ask again: after a good poll (`Pacing`), and after a failed poll (`Retry`).

Rule 1: a delay is a pure function of the attempt number, so a watch can be recorded and resumed.
Rule 2: dice are handed in; this file never rolls its own.
Rule 3: a good poll's delay is jittered upwards only: no poll before its time. A retry's has full jitter.
Rule 4: no generator per watch. One table of delays serves every watch of a watcher.

The sequences come from backoff's wait generators (`backoff.expo`, `backoff.fibo`, `backoff.constant`) or from any
factory of the same kind. Only the generators of that library are used: its decorators read the wall clock.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Generator, Iterator
from typing import Any, TypeAlias

import attrs
import backoff

from pollwise.errors import CallbackFailed, ConfigurationError
from pollwise.model.limits import is_number, require_seconds

__all__ = ["GROWTH", "Pacing", "Retry", "WaitFactory"]

WaitFactory: TypeAlias = Callable[[], Generator[Any, Any, None]]
"""Makes a generator of delays in seconds; primed with `send(None)` as backoff's are, or not, as plain ones are."""

GROWTH = 1.5  # of a wait to the next, where nothing else is known
_GEOMETRIC = functools.partial(backoff.expo, base=GROWTH)
_LONGEST_TABLE = 512  # backoff.expo without a maximum overflows a float at attempt 1,024
_END = object()


class DelayTable:
    """The delays of one wait generator, each computed once, clipped to `floor`..`ceiling` seconds."""

    __slots__ = ("_ceiling", "_delays", "_floor", "_waits")

    def __init__(self, wait: WaitFactory, floor: float, ceiling: float) -> None:
        self._waits: Iterator[Any] | None = _begun(wait)
        self._floor = floor
        self._ceiling = ceiling
        self._delays: list[float] = []

    def delay_s(self, attempt: int) -> float:
        """The delay after the `attempt`-th poll (1-based). Beyond the end of the table the last one repeats."""
        delays = self._delays
        if attempt > len(delays) and self._waits is not None:
            self._extend(attempt)
        return delays[min(attempt, len(delays)) - 1] if delays else self._ceiling

    def _extend(self, attempt: int) -> None:
        while self._waits is not None and len(self._delays) < min(attempt, _LONGEST_TABLE):
            try:
                wait_s = self._next_s(self._waits)
            except OverflowError:
                wait_s = None
            except (CallbackFailed, KeyboardInterrupt, SystemExit):
                raise
            except BaseException as exc:
                raise CallbackFailed(None, "wait", type(exc).__name__, str(exc)) from exc
            if wait_s is None:
                self._waits = None
            else:
                self._delays.append(min(max(wait_s, self._floor), self._ceiling))
        if len(self._delays) >= _LONGEST_TABLE:
            self._waits = None

    def _next_s(self, waits: Iterator[Any]) -> float | None:
        """The next wait in seconds, or None at the end."""
        primed = next(waits, _END)
        # backoff's generators yield None once, before their first delay
        given: Any = next(waits, _END) if primed is None and not self._delays else primed
        if given is _END:
            return None
        wait_s: float = given * 1.0  # raises for what is no number, and for a Decimal
        if not wait_s >= 0.0:
            raise CallbackFailed(None, "wait", "ValueError", f"it yielded {given!r}, not seconds of at least 0")
        return wait_s


def _begun(wait: WaitFactory) -> Iterator[Any]:
    try:
        return iter(wait())
    except Exception as exc:
        raise ConfigurationError(
            "wait must be a function that makes a generator of seconds, such as backoff.expo; a call of it raised"
            f" {type(exc).__name__}: {exc}"
        ) from exc


def _positive(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    require_seconds(attribute.name, value)


def _positive_or_none(_instance: object, attribute: attrs.Attribute[Any], value: float | None) -> None:
    if value is not None:
        require_seconds(attribute.name, value)


def _wait_factory(_instance: object, attribute: attrs.Attribute[Any], value: object) -> None:
    if not callable(value) and not (value is None and attribute.default is None):
        raise ConfigurationError(f"{attribute.name} must be a function such as backoff.expo, got {value!r}")


def _share(_instance: object, attribute: attrs.Attribute[Any], value: float) -> None:
    if not (is_number(value) and 0 <= value <= 1):
        raise ConfigurationError(f"{attribute.name} must be between 0 and 1, got {value!r}")


@attrs.frozen(kw_only=True)
class Pacing:
    """When to ask again after a good poll that did not end the watch.

    Attributes:
        min_s: Shortest wait in seconds. Always holds.
        max_s: Longest wait in seconds, before jitter.
        wait: The sequence of waits in seconds: `backoff.expo`, `backoff.fibo`, `functools.partial(backoff.constant,
            interval=5)`, or your own generator factory.
            Used where nothing is known of when the job may end, and always unless `adaptive`.
        jitter: Up to this share is added to each wait, so that many watches do not fall into step.
        adaptive: Ask when it is likeliest to be worth it: by the job's own progress, or by how long the endpoint's
            jobs took so far.
        patience_s: With `adaptive`, ask when the expected detection delay has reached this number of seconds.
    """

    min_s: float = attrs.field(default=1.0, validator=_positive)
    max_s: float = attrs.field(default=60.0, validator=_positive)
    wait: WaitFactory = attrs.field(default=_GEOMETRIC, validator=_wait_factory)
    jitter: float = attrs.field(default=0.1, validator=_share)
    adaptive: bool = True
    patience_s: float = attrs.field(default=1.0, validator=_positive)
    _table: DelayTable = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if self.min_s > self.max_s:
            raise ConfigurationError(f"min_s ({self.min_s:g}) must not exceed max_s ({self.max_s:g})")
        object.__setattr__(self, "_table", DelayTable(self.wait, self.min_s, self.max_s))

    @classmethod
    def fixed(cls, interval_s: float) -> Pacing:
        """Ask every `interval_s` seconds, whatever is known about the job."""
        return cls(min_s=interval_s, max_s=interval_s, jitter=0.0, adaptive=False)

    def delay_s(self, attempt: int, dice: float, silence_s: float | None = None) -> float:
        """Seconds to wait after a good poll.

        Args:
            attempt: Which good poll of the watch it was, from 1.
            dice: A random number in [0, 1).
            silence_s: How long it takes until asking is worth it, where that is known.
        """
        if silence_s is None or not self.adaptive:
            wait = self._table.delay_s(attempt)
        else:
            wait = min(max(silence_s, self.min_s), self.max_s)
        return wait * (1.0 + self.jitter * dice)


@attrs.frozen(kw_only=True)
class Retry:
    """When to ask again after a poll that failed, and how long an outage may last.

    A failed poll says nothing about the job: no connection, a time-out, HTTP 408, 425 or 5xx, a reply that
    is not what the vendor documents. 429 is none: the server is there, and says when to come back.

    Attributes:
        outage_s: The watch is abandoned when all polls failed for this many seconds. Any good reading begins anew. None
            waits for the deadline.
        min_failures: The fewest failed polls in a row that end a watch, however long they took.
        base_s: The first wait is up to this many seconds; each next one up to twice as long.
        max_s: No wait is longer than this many seconds, unless the server asks for more.
        wait: The sequence of longest waits, in place of `base_s` doubled each time.
    """

    outage_s: float | None = attrs.field(default=600.0, validator=_positive_or_none)
    min_failures: int = 5
    base_s: float = attrs.field(default=1.0, validator=_positive)
    max_s: float = attrs.field(default=60.0, validator=_positive)
    wait: WaitFactory | None = attrs.field(default=None, validator=_wait_factory)
    _table: DelayTable = attrs.field(init=False, repr=False, eq=False)

    def __attrs_post_init__(self) -> None:
        if not (is_number(self.min_failures) and self.min_failures >= 1):
            raise ConfigurationError(f"min_failures must be a number of at least 1, got {self.min_failures!r}")
        wait = self.wait or functools.partial(backoff.expo, factor=self.base_s)
        object.__setattr__(self, "_table", DelayTable(wait, 0.0, self.max_s))

    def delay_s(self, failures: int, dice: float, hint_s: float | None = None) -> float:
        """Seconds to wait after the `failures`-th failed poll in a row. `dice` is in [0, 1).

        Without a hint the whole delay is jittered. A server's hint is obeyed and jittered upwards only; the delay
        without it is the floor, so that a hint of zero does not make a hot loop.
        """
        spread = self._table.delay_s(failures) * dice
        if hint_s is None:
            return spread
        return max(spread, hint_s + min(spread, 0.1 * hint_s))
