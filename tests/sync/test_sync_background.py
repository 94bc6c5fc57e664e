"""The background thread: what a program may do to it, and its end with the interpreter."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from sync_toys import toy_options, toy_watcher

from pollwise import ConfigurationError, Request, sync
from pollwise.errors import WatcherClosed, WatchError
from pollwise.sync.background import BackgroundLoop
from pollwise.testing import Answer
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus

PROGRAM = """
import os, sys
from sync_toys import Gate, toy_options, toy_watcher
from pollwise import ConfigurationError, sync
from toy import SUCCEEDED, ToyEndpoint, ToyJob

gate = Gate()
with toy_watcher([SUCCEEDED]) as other, toy_watcher(gate) as watcher:
    over = other.watch(ToyJob())
    over.wait()
    watch = watcher.watch(ToyJob())
    gate.polled.wait()
    sys.stdout.flush()
    child = os.fork()
    if child == 0:
        for call in (watch.wait, lambda: watcher.watch(ToyJob("b")), lambda: list(watch), lambda: watcher.gather([ToyJob()])):
            try:
                call()
            except ConfigurationError as error:
                assert "is a fork of it" in str(error), error
            else:
                raise AssertionError
        assert over.wait().state == "succeeded"
        print("child:", sync.wait(ToyJob(), ToyEndpoint(), **toy_options([SUCCEEDED])).state)
        sys.exit()
    assert os.waitpid(child, 0)[1] == 0
    gate.open()
    print("parent:", watch.wait().state)


class Transport:
    async def __aenter__(self):
        return self

    async def __aexit__(self, *exc_info):
        print("closed at exit")

    async def send(self, request):
        raise SystemError


left_open = sync.SyncWatcher(ToyEndpoint(), timeout_s=60, transport=Transport()).open()
left_open.watch(ToyJob())
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system cannot fork")
def test_a_fork_is_refused_and_an_exit_is_clean() -> None:
    """A fork says what to do and may open its own watcher; the parent goes on; what is left open is closed at exit."""
    tests = Path(__file__).parents[1]
    done = subprocess.run(
        [
            sys.executable,
            "-W",
            "error",
            "-W",
            "ignore::DeprecationWarning",
            "-c",
            PROGRAM,
        ],  # 3.12 warns of any fork with threads
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(tests), str(tests / "sync"), os.environ.get("PYTHONPATH", "")]),
        },
        capture_output=True,
        check=False,
        text=True,
        timeout=60,
    )
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["child: succeeded", "parent: succeeded", "closed at exit"]
    assert done.returncode == 0


def test_a_call_from_the_background_thread_is_refused() -> None:
    """An endpoint that calls back would wait for itself."""
    found: list[str] = []

    def answer(_request: Request) -> Answer:
        for call in (lambda: watcher.watch(ToyJob("other")), watcher.close):
            with pytest.raises(ConfigurationError) as caught:
                call()
            found.append(str(caught.value))
        return SUCCEEDED

    with toy_watcher(answer) as watcher:
        watcher.watch(ToyJob()).wait()
    assert len(found) == 2
    assert all("would wait for its own thread" in text for text in found)


def test_code_that_ends_the_loop_ends_the_waits(caplog: pytest.LogCaptureFixture) -> None:
    """If an endpoint raises SystemExit, each thread that waits gets an error, and the next watcher has a new thread."""

    class Exiting(ToyEndpoint):
        def request(self, job: ToyJob, /) -> Request:
            raise SystemExit

    with sync.SyncWatcher(Exiting(), **toy_options([RUNNING])) as watcher:
        with pytest.raises(WatchError):
            watcher.watch(ToyJob()).wait()
        with toy_watcher([RUNNING, SUCCEEDED]) as after:
            assert after.watch(ToyJob()).wait() == ToyStatus("succeeded", 10)
    assert "raised SystemExit, which has ended the background thread" in caplog.text


def test_what_is_accepted_after_the_end_is_refused() -> None:
    """A call that comes when the thread has ended raises `WatcherClosed`, and its coroutine is closed."""

    async def closer() -> None:
        pass

    user = object()
    background = BackgroundLoop.join(user, closer)
    background.leave(user)
    with pytest.raises(WatcherClosed):
        background.run(closer())
    background.call_soon(print, "never")
