"""Fixtures and checks that every test gets.

Rule 1: a test leaves nothing behind: no task, no socket, no thread. We look after its own fixtures have cleaned up.
Rule 2: the same commit gives the same result: the dice of each test are fixed; in CI those of Hypothesis are, too, and
its clock is off.
Rule 3: minutes are asked for: what is marked `slow` runs with `--slow` only.
"""

from __future__ import annotations

import asyncio
import gc
import math
import os
import random
import signal
import socket
import stat
import threading
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
from hypothesis import HealthCheck, settings
from pytest_asyncio import is_async_test

SAMPLES = Path(__file__).parent / "samples"
_LOOP_PASSES = (
    10  # a closed transport calls its protocol a pass later, and the server notices it a few passes after that
)
_THREAD_END_S = 1.0

# No deadlines anywhere: a timing is a benchmark, never a test.
settings.register_profile("dev", deadline=None)
for name, examples in (("ci", 50), ("brief", 10)):
    settings.register_profile(
        name,
        deadline=None,
        derandomize=True,
        max_examples=examples,
        print_blob=True,
        suppress_health_check=[HealthCheck.too_slow],  # a loaded machine is slow, and no test is wrong for it
    )
settings.register_profile("thorough", deadline=None, max_examples=2_000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE") or ("ci" if os.environ.get("CI") else "dev"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="also run the tests that take minutes")


def pytest_sessionstart() -> None:
    # Tests that run in the background may ignore Ctrl-C, and every process that they start would inherit that.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    # looptime asks for the current event loop even around a test that has none, and asking would make one.
    asyncio.set_event_loop(None)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--slow"):
        return
    for item in items:
        if item.get_closest_marker("slow") is not None:
            item.add_marker(pytest.mark.skip(reason="takes minutes; run with --slow"))


def pytest_collection_finish() -> None:
    # Many tests collect garbage, and each pass would look at all that the collection of thousands of tests has made.
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def samples() -> Path:
    """The folder of the vendors' documented payloads: `samples / "oracle_content" / "processing.json"`."""
    return SAMPLES


@attrs.frozen(kw_only=True)
class Belongings:
    """The tasks, sockets and threads of this process at one time."""

    tasks: frozenset[asyncio.Task[Any]]
    sockets: frozenset[tuple[int, int]]
    threads: frozenset[threading.Thread]

    @classmethod
    def now(cls) -> Belongings:
        return cls(
            tasks=frozenset(_tasks()),
            sockets=frozenset(_sockets()),
            # the loop's own threads for blocking calls end with the loop
            threads=frozenset(thread for thread in threading.enumerate() if not thread.name.startswith("asyncio_")),
        )

    def since(self, before: Belongings) -> Belongings:
        return Belongings(
            tasks=self.tasks - before.tasks,
            sockets=self.sockets - before.sockets,
            threads=self.threads - before.threads,
        )

    def __bool__(self) -> bool:
        return bool(self.tasks or self.sockets or self.threads)

    def __str__(self) -> str:
        fds = _sockets()
        return "\n".join(
            [
                *(f"  task {task.get_name()}: {task.get_coro()}" for task in self.tasks),
                *(f"  socket {_describe(fds[found])}" for found in self.sockets if found in fds),
                *(f"  thread {thread.name}" for thread in self.threads),
            ]
        )


def _tasks() -> set[asyncio.Task[Any]]:
    try:
        return {task for task in asyncio.all_tasks() if task is not asyncio.current_task()}
    except RuntimeError:  # no loop is running
        return set()


def _sockets() -> dict[tuple[int, int], int]:
    """The open sockets of this process by identity, with their file descriptors. A number is reused, an inode hardly."""
    found: dict[tuple[int, int], int] = {}
    for name in os.listdir("/dev/fd"):  # noqa: PTH208 - names are all that we need, and this runs twice a test
        try:
            info = os.fstat(int(name))
        except OSError:  # the descriptor that listed the folder
            continue
        if stat.S_ISSOCK(info.st_mode):
            found[info.st_dev, info.st_ino] = int(name)
    return found


def _describe(fd: int) -> str:
    with socket.socket(fileno=os.dup(fd)) as duplicate:
        return repr(duplicate)


@pytest.fixture(autouse=True)
def fixed_dice(request: pytest.FixtureRequest) -> None:
    """Seeds the jitter of every watcher by the test's name: chance must not decide whether a test passes."""
    random.seed(request.node.nodeid)


@pytest.fixture(autouse=True)
def leaves_nothing_behind(request: pytest.FixtureRequest) -> Iterator[None]:
    """Fails the test that leaves a task, a socket or a thread. Set up first, hence torn down last."""
    if is_async_test(request.node):
        request.getfixturevalue("leaves_nothing_on_its_loop")
        yield
        return
    before = Belongings.now()
    yield
    _complain(before)


@pytest.fixture
async def leaves_nothing_on_its_loop() -> AsyncIterator[None]:
    """The part of `leaves_nothing_behind` that needs the test's own event loop."""
    # Debug mode logs each step of the loop that takes long. A loaded machine's steps do, and a timing is no test.
    asyncio.get_running_loop().slow_callback_duration = math.inf
    before = Belongings.now()
    yield
    for _ in range(_LOOP_PASSES):
        if not Belongings.now().since(before):
            return
        await asyncio.sleep(0)
    _complain(before)


def _complain(before: Belongings) -> None:
    left = Belongings.now().since(before)
    for thread in left.threads:
        thread.join(_THREAD_END_S)
    if left := Belongings.now().since(before):
        message = f"the test left behind:\n{left}"
        gc.collect()  # whatever was merely forgotten says so now, in this test and not in the next
        pytest.fail(message, pytrace=False)
