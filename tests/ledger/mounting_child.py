"""A process in a mount namespace of its own: `mounting_child.py MODE FOLDER`. It prints one word for each step."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from ledger_values import ENDPOINT, every, new

from pollwise.ledger import LedgerError, SqliteLedger


def say(word: object) -> None:
    sys.stdout.write(f"{word}\n")
    sys.stdout.flush()


def mount(*arguments: object) -> None:
    if subprocess.run(["mount", *map(str, arguments)], capture_output=True, check=False).returncode:
        say("not mounted")
        sys.exit()


async def attempt(path: Path, number: int, *, read_only: bool = False) -> None:
    """Record one watch, and say whether it was recorded."""
    try:
        async with SqliteLedger(path, busy_timeout_s=0.0, read_only=read_only) as ledger:
            if not read_only:
                await ledger.record([new(number)])
            say("recorded")
    except LedgerError as exc:
        say(type(exc).__name__)


async def rows(path: Path) -> int:
    async with SqliteLedger(path, read_only=True) as ledger:
        return len(await every(ledger.open_watches(ENDPOINT)))


async def file(host: Path, container: Path) -> None:
    """Mount the ledger alone."""
    inside = container / host.name
    inside.touch()
    mount("--bind", host, inside)
    async with SqliteLedger(host) as ledger:
        await ledger.record([new(1)])
        await attempt(inside, 2)
        await attempt(inside, 2, read_only=True)
        await ledger.record([new(2)])
        say("recorded")
    say(await rows(host))


async def one_writer(path: Path, same: Path) -> None:
    """The ledger at two paths that lead to one folder."""
    await attempt(path, 1)
    async with SqliteLedger(same) as ledger:
        await ledger.record([new(2)])
        await attempt(path, 3)
    say(await rows(path))


async def folder(host: Path, container: Path) -> None:
    mount("--bind", host.parent, container)
    await one_writer(host, container / host.name)


async def tmpfs(_: Path, container: Path) -> None:
    mount("-t", "tmpfs", "none", container)
    await one_writer(container / "jobs.ledger", container / "jobs.ledger")


async def overlay(host: Path, container: Path) -> None:
    mount("-t", "tmpfs", "none", container)
    lower, upper, work, merged = (container / name for name in ("lower", "upper", "work", "merged"))
    for place in (lower, upper, work, merged):
        place.mkdir()
    (lower / host.name).write_bytes(host.read_bytes())
    mount("-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={work}", merged)
    await one_writer(merged / host.name, merged / host.name)


async def hidden(host: Path, container: Path) -> None:
    """A file that was mounted alone, under a mount of its folder that hides it."""
    (container / host.name).touch()
    mount("--bind", host, container / host.name)
    await folder(host, container)


async def main(mode: str, place: str) -> None:
    host, container = Path(place) / "host" / "jobs.ledger", Path(place) / "container"
    host.parent.mkdir()
    container.mkdir()
    async with SqliteLedger(host):
        pass
    modes = {one.__name__: one for one in (file, folder, tmpfs, overlay, hidden)}
    await modes[mode](host, container)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
