"""Open SyncWatchers of the toy, on the real clock: they poll every few milliseconds."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

from pollwise import Pacing, Request
from pollwise.sync import SyncWatcher
from pollwise.testing import Answer, ScriptedTransport
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus

QUICK = Pacing.fixed(0.002)


def toy_options(script: list[Answer] | Callable[[Request], Answer], **options: Any) -> dict[str, Any]:
    return {"timeout_s": 60.0, "pacing": QUICK, "transport": ScriptedTransport(script), **options}


def toy_watcher(
    script: list[Answer] | Callable[[Request], Answer], **options: Any
) -> SyncWatcher[ToyJob, ToyStatus, Any, Any]:
    return SyncWatcher(ToyEndpoint(), **toy_options(script, **options))


class Gate:
    """A script: the jobs run until `open` is called."""

    def __init__(self) -> None:
        self.polled = threading.Event()
        self._is_open = False

    def open(self) -> None:
        self._is_open = True

    def __call__(self, _request: Request) -> Mapping[str, Any]:
        self.polled.set()
        return SUCCEEDED if self._is_open else RUNNING
