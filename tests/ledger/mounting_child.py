"""A process in a mount namespace of its own: `mounting_child.py MODE FOLDER`. It prints one word for each step."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

from ledger_values import ENDPOINT, every, new

from pollwise.ledger import LedgerError, LedgerNotRecovered, SqliteLedger
from pollwise.ledger.recovery import check_ledger, recover_ledger


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


async def read_only_remount(_: Path, container: Path) -> None:
    """A disk that becomes read-only between two runs, as after an error of its file system, and is writable again."""
    path, elsewhere = container / "jobs.ledger", container.parent / "new.ledger"
    mount("-t", "tmpfs", "none", container)
    await attempt(path, 1)
    before = path.read_bytes()
    mount("-o", "remount,ro", container)
    await attempt(path, 2)
    await attempt(path, 0, read_only=True)
    say(await rows(path))
    say(check_ledger(str(path)).sound)
    recovered(path, container / "new.ledger")
    recovered(path, elsewhere)
    say(path.read_bytes() == before)
    mount("-o", "remount,rw", container)
    await attempt(path, 2)
    say(await rows(path))


def recovered(path: Path, target: Path) -> None:
    try:
        say(recover_ledger(str(path), str(target)).sound)
    except LedgerNotRecovered as exc:
        say("full" if exc.is_full else "not-writable")
    say("there" if target.exists() else "removed")


async def full_disk(_: Path, container: Path) -> None:
    """A disk that is full while a ledger on it is open, and has room again."""
    path, ballast = container / "jobs.ledger", container / "ballast"
    mount("-t", "tmpfs", "-o", "size=2m", "none", container)
    async with SqliteLedger(path, linger_s=0.0) as ledger:
        await ledger.record([new(1)])
        with suppress(OSError):
            ballast.write_bytes(bytes(4 * 1024 * 1024))
        kept = 1
        try:
            while kept < 10_000:
                await ledger.record([new(number) for number in range(kept + 1, kept + 101)])
                kept += 100
        except LedgerError as exc:
            say(type(exc).__name__)
        recovered(path, container / "new.ledger")
        say(await rows(path) == kept)
        ballast.unlink()
        await ledger.record([new(kept + 1)])
    say(await rows(path) == kept + 1)
    recovered(path, container / "new.ledger")


async def main(mode: str, place: str) -> None:
    host, container = Path(place) / "host" / "jobs.ledger", Path(place) / "container"
    host.parent.mkdir()
    container.mkdir()
    async with SqliteLedger(host):
        pass
    modes = {one.__name__: one for one in (file, folder, tmpfs, overlay, hidden, read_only_remount, full_disk)}
    await modes[mode](host, container)


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
