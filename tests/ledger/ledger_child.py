"""Another process that uses a ledger: `ledger_child.py MODE PATH [ARGUMENT]`. It prints one line for each step."""

from __future__ import annotations

import asyncio
import json
import os
import resource
import selectors
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from ledger_values import acks, change, new, raw, success

from pollwise.errors import PollwiseError
from pollwise.ledger import LedgerError, Recorded, SqliteLedger

BATCH = 10


def say(*words: object) -> None:
    sys.stdout.write(" ".join(map(str, words)) + "\n")
    sys.stdout.flush()


async def hold(path: str, _: str) -> None:
    """Keep it open until stdin says otherwise."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        say("open")
        await asyncio.to_thread(sys.stdin.readline)


async def work(path: str, first: str) -> None:
    """Work for ever, several callers at once, and print each finished call. The parent kills this process."""
    async with SqliteLedger(path, linger_s=0.0) as ledger:

        async def caller(name: str) -> None:
            batch = int(first)
            while True:
                keys = [{"caller": name, "batch": str(batch), "n": str(n)} for n in range(BATCH)]
                ids = [one.id for one in await ledger.record([new(0, keys=key) for key in keys])]
                say("recorded", *ids)
                await ledger.update([change(number, polls=7) for number in ids])
                say("updated", *ids)
                await ledger.conclude([success(number, polls=8) for number in ids[:5]])
                say("concluded", *ids[:5])
                count = await ledger.acknowledge(acks(*ids[:2]))
                say("acknowledged", count, *ids[:2])
                batch += 1

        await asyncio.gather(*(caller(name) for name in "abc"))


async def fill(path: str, room: str) -> None:
    """Record until there is no room, then make room and go on."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    kept: list[int] = []
    lost: list[int] = []
    batch = 0

    async def record(ledger: SqliteLedger, number: int) -> Sequence[Recorded]:
        return await ledger.record([new(0, keys={"batch": str(number), "n": str(n)}) for n in range(BATCH)])

    async with SqliteLedger(path, linger_s=0.0) as ledger:
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), unlimited[1]))
        while not lost:
            numbers = range(batch, batch + 5)
            results = await asyncio.gather(*(record(ledger, number) for number in numbers), return_exceptions=True)
            for number, answer in zip(numbers, results, strict=True):
                (lost if isinstance(answer, BaseException) else kept).append(number)
            batch += 5
        again = await asyncio.gather(*(record(ledger, number) for number in lost), return_exceptions=True)
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
        await record(ledger, batch)
        kept.append(batch)
    errors = [type(answer).__name__ for answer in [*results, *again] if isinstance(answer, LedgerError)]
    say(json.dumps({"kept": kept, "lost": lost, "errors": errors}))


async def begin_without_room(path: str, room: str) -> None:
    """Make a new ledger where there is no room for it, then where there is."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), unlimited[1]))
    try:
        async with SqliteLedger(path):
            say("opened")
    except PollwiseError as exc:
        say(type(exc).__name__)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    say(*sorted(found.name for found in Path(path).parent.iterdir()))
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
    say("recorded")


async def bring_up(path: str, _: str) -> None:
    """Open an older ledger for writing; the test kills this process."""
    say("begins")
    async with SqliteLedger(path):
        say("open")


async def bring_up_without_room(path: str, room: str) -> None:
    """Open an older ledger for writing where there is no room to bring it up, then where there is."""
    unlimited = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (int(room), unlimited[1]))
    try:
        async with SqliteLedger(path):
            say("opened")
    except PollwiseError as exc:
        say(type(exc).__name__)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, unlimited)
    say(version_of(path))
    async with SqliteLedger(path):
        pass
    say(version_of(path))


def version_of(path: str) -> int:
    """The schema version that the file says it has."""
    ((version,),) = raw(Path(path), "PRAGMA user_version")
    return int(version)


async def fork(path: str, _: str) -> None:
    """Fork with an open ledger: the child may do nothing with it, and its end does nothing to it."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        child = os.fork()
        if child == 0:
            try:
                ledger.record([new(2)]).send(None)
            except PollwiseError as exc:
                say(type(exc).__name__)
            del ledger
            sys.exit()  # and not os._exit: what would be closed on the way out is closed
        os.waitpid(child, 0)  # noqa: ASYNC222 - nothing else runs meanwhile
        await ledger.record([new(3)])
    say("closed")


async def fork_and_die(path: str, _: str) -> None:
    """Fork with an open ledger, print the child's ID, and die. The child does nothing, until it is killed."""
    async with SqliteLedger(path) as ledger:
        await ledger.record([new(1)])
        child = os.fork()
        if child == 0:
            signal.pause()
        say(child)
        os.kill(os.getpid(), signal.SIGKILL)


if __name__ == "__main__":
    mode, path, *rest = sys.argv[1:]
    makers = (begin_without_room, bring_up, bring_up_without_room)
    modes = {one.__name__: one for one in (hold, work, fill, *makers, fork, fork_and_die)}
    # Not epoll: that would be shared with a forked child, whose closing loop would take the parent's wake-ups away.
    with asyncio.Runner(loop_factory=lambda: asyncio.SelectorEventLoop(selectors.SelectSelector())) as runner:
        runner.run(modes[mode](path, rest[0] if rest else ""))
