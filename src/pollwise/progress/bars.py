"""What bars show, whichever library draws them.

Rule 1: a bar shows the events that pass through it. It starts no task and polls nothing, and what passes through is
unchanged.
Rule 2: a text on a bar has one line. It is made of our own words and of the job's own text, which masks the secrets of its
keys; never of a server's message.
Rule 3: leaving a loop early leaves nothing behind but a bar that stays as it is, until the `with` of its Bars ends.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import AsyncIterable, AsyncIterator, Hashable, Iterable, Iterator
from types import TracebackType
from typing import Any, Generic, Protocol, Self, TypeVar, overload

from pollwise.errors import ConfigurationError
from pollwise.model.events import (
    Abandoned,
    Cancelled,
    Event,
    Failed,
    Outcome,
    Progressed,
    Retrying,
    Succeeded,
    Throttled,
)
from pollwise.runtime.watch import Watch

__all__ = ["Bar", "Bars", "Iterated", "label_of", "text_of"]

J = TypeVar("J", bound=Hashable)
S = TypeVar("S")
T = TypeVar("T")

_LONGEST_LABEL = 40


class Bar(Protocol):
    """One bar, as a library draws it."""

    def show(self, *, done: float | None, text: str) -> None:
        """Show this much done, None for unknown, and this text."""
        ...

    def end(self, *, text: str) -> None:
        """Show this text for good. What is done stays as it is."""
        ...


class Iterated(Protocol[J, S]):
    """A `SyncWatch`, as a bar sees it."""

    @property
    def job(self) -> J:
        """The job that is watched."""
        ...

    def __iter__(self) -> Iterator[Event[J, S]]:
        """Iterate over its events."""
        ...


class Bars(ABC):
    """Bars of one program: a context manager, for code with and without asyncio. Use `RichBars` or `TqdmBars`."""

    @abstractmethod
    def __enter__(self) -> Self:
        """Begin to draw."""

    @abstractmethod
    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Draw all bars for the last time."""

    @abstractmethod
    def add(self, label: str, *, total: int | None, is_share: bool) -> Bar:
        """A new bar, whose `total` is the number of jobs, or None for unknown. A share of the work is from 0 to 1."""

    async def follow(self, watch: Watch[Any, S, Any], *, label: str | None = None) -> S:
        """Show this watch on a bar of its own until its end, and return what `await watch` returns.

        Args:
            watch: The watch.
            label: What stands before the bar; by default the text of the job.

        Raises:
            JobError: The job failed or was cancelled.
            WatchError: The watch ended, and the job may still be running.
        """
        async for _ in self.events(watch, label=label):
            pass
        return await watch

    @overload
    def events(self, watch: Watch[J, S, Any], *, label: str | None = None) -> AsyncIterator[Event[J, S]]: ...
    @overload
    def events(self, watch: Iterated[J, S], *, label: str | None = None) -> Iterator[Event[J, S]]: ...

    def events(self, watch: Any, *, label: str | None = None) -> Any:
        """The events of a watch, each of which is shown on a bar of its own.

        Args:
            watch: A `Watch`, or a `SyncWatch` of `pollwise.sync`.
            label: What stands before the bar; by default the text of the job.

        Raises:
            ConfigurationError: It is no watch.
        """
        if not hasattr(watch, "job"):
            raise ConfigurationError(f"a bar follows a watch, such as watcher.watch(job); got {type(watch).__name__}")
        name = label_of(watch.job) if label is None else _one_line(label)
        return _stream(watch, _WatchBar(self.add(name, total=1, is_share=True)))

    @overload
    def outcomes(
        self, stream: AsyncIterable[Outcome[J, S]], *, total: int | None = None, label: str = "jobs"
    ) -> AsyncIterator[Outcome[J, S]]: ...
    @overload
    def outcomes(
        self, stream: Iterable[Outcome[J, S]], *, total: int | None = None, label: str = "jobs"
    ) -> Iterator[Outcome[J, S]]: ...

    def outcomes(self, stream: Any, *, total: int | None = None, label: str = "jobs") -> Any:
        """The outcomes of many jobs, which one bar counts.

        Args:
            stream: What `JobWatcher.as_completed` or `SyncWatcher.as_completed` returns.
            total: The number of jobs; None for unknown.
            label: What stands before the bar.

        Raises:
            ConfigurationError: The stream yields something else. The iteration raises this.
        """
        return _stream(stream, _CountBar(self.add(_one_line(label), total=total, is_share=False)))


class _Shown(Protocol):
    def show(self, event: Any) -> None: ...

    def end(self) -> None: ...


class _WatchBar:
    """The bar of one watch."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._done: float | None = None
        self._text = ""

    def show(self, event: Event[Any, Any]) -> None:
        if isinstance(event, Progressed):
            self._done = event.fraction
        elif isinstance(event, Succeeded):
            self._done = 1.0
        self._text = text_of(event)
        self._bar.show(done=self._done, text=self._text)

    def end(self) -> None:
        self._bar.end(text=self._text)


class _CountBar:
    """The bar of many jobs."""

    def __init__(self, bar: Bar) -> None:
        self._bar = bar
        self._ends: Counter[str] = Counter()

    def show(self, event: Outcome[Any, Any]) -> None:
        if not isinstance(event, (Succeeded, Failed, Cancelled, Abandoned)):
            raise ConfigurationError(
                f"`outcomes` takes what `as_completed` returns; got {type(event).__name__} from it"
            )
        self._ends[type(event).__name__.lower()] += 1
        self._bar.show(done=float(self._ends.total()), text=self._text)

    def end(self) -> None:
        self._bar.end(text=self._text)

    @property
    def _text(self) -> str:
        kinds = ("failed", "cancelled", "abandoned")
        return ", ".join(f"{self._ends[kind]} {kind}" for kind in kinds if self._ends[kind])


class _AsyncStream(Generic[T]):
    """The items of an async iterator, each of which is shown."""

    def __init__(self, items: AsyncIterator[T], shown: _Shown) -> None:
        self._items = items
        self._shown = shown

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        try:
            item = await self._items.__anext__()
        except StopAsyncIteration:
            self._shown.end()
            raise
        self._shown.show(item)
        return item


class _SyncStream(Generic[T]):
    """The items of an iterator, each of which is shown."""

    def __init__(self, items: Iterator[T], shown: _Shown) -> None:
        self._items = items
        self._shown = shown

    def __iter__(self) -> Self:
        return self

    def __next__(self) -> T:
        try:
            item = next(self._items)
        except StopIteration:
            self._shown.end()
            raise
        self._shown.show(item)
        return item


def _stream(items: Any, shown: _Shown) -> _AsyncStream[Any] | _SyncStream[Any]:
    if isinstance(items, AsyncIterable):
        return _AsyncStream(aiter(items), shown)
    return _SyncStream(iter(items), shown)


def text_of(event: Event[Any, Any]) -> str:
    """What a bar says of this event."""
    match event:
        case Progressed(phase=phase, eta_s=eta_s):
            words = phase.value.replace("_", " ")
            return words if eta_s is None else f"{words}, about {_duration(eta_s)} left"
        case Retrying(error=error, delay_s=delay_s):
            return f"{type(error).__name__}, retrying in {_duration(delay_s)}"
        case Throttled(delay_s=delay_s):
            return f"waits {_duration(delay_s)} for the rate limit"
        case Abandoned(error=error):
            return f"abandoned: {type(error).__name__}"
        case Succeeded() | Failed() | Cancelled():
            return type(event).__name__.lower()


def label_of(job: object) -> str:
    """The job's own text without the name of its class, in one line of at most 40 characters. It shows no secret of a URL."""
    text = job if isinstance(job, str) else repr(job)
    named = re.fullmatch(r"\w+\((.*)\)", text, re.DOTALL)
    return _one_line(text if named is None else named[1])


def _one_line(text: str) -> str:
    """The printable characters of the text. Of a long one the end, which tells jobs apart."""
    line = "".join(character for character in text[-8 * _LONGEST_LABEL :] if character.isprintable())
    return line if len(line) <= _LONGEST_LABEL else "…" + line[1 - _LONGEST_LABEL :]


def _duration(seconds: float) -> str:
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest and minutes < 10 else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"
