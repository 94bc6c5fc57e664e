"""How far one poll walks through the code: the files of pollwise that it enters, and the calls between files.

Rule 1: one steady poll is counted: from the moment that the transport is asked until the transport is asked again.
Rule 2: a hop is a call, or a resumed coroutine, whose file differs from the file that was entered last.
Rule 3: files outside pollwise do not count: the event loop, aiohttp, the tests, and the scripted transport.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import attrs

import pollwise
from pollwise.model.messages import Reply, Request
from pollwise.testing import Answer, ScriptedTransport

__all__ = ["PollTracer", "Walk"]

_ROOT = str(Path(pollwise.__file__).parent) + "/"
_OUTSIDE = frozenset({"testing.py"})  # the scripted transport stands for the network


@attrs.frozen
class Walk:
    """The files that one poll entered, in their order; a file that was entered again stands there again.

    Attributes:
        files: Without repetitions, sorted.
        hops: How often the poll went from one file to another.
    """

    entered: tuple[str, ...]

    @property
    def files(self) -> list[str]:
        return sorted(set(self.entered))

    @property
    def hops(self) -> int:
        return max(0, len(self.entered) - 1)


class PollTracer(ScriptedTransport):
    """A scripted transport that notes the walk between its requests.

    Attributes:
        walks: One for each request but the first: what ran since the request before.
    """

    def __init__(self, script: Iterable[Answer]) -> None:
        super().__init__(script)
        self.walks: list[Walk] = []
        self._entered: list[str] = []

    async def send(self, request: Request, /) -> Reply:
        if self.requests:
            self.walks.append(Walk(tuple(self._entered)))
        self._entered.clear()
        return await super().send(request)

    @contextmanager
    def tracing(self) -> Iterator[None]:
        """Note what this thread runs."""
        before = sys.getprofile()
        sys.setprofile(self._note)
        try:
            yield
        finally:
            sys.setprofile(before)

    def _note(self, frame: FrameType, event: str, _arg: Any) -> None:
        if event != "call":
            return
        path = frame.f_code.co_filename
        if not path.startswith(_ROOT):
            return
        file = path.removeprefix(_ROOT)
        if file not in _OUTSIDE and (not self._entered or self._entered[-1] != file):
            self._entered.append(file)
