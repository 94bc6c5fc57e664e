"""A ledger of the first schema version goes on: nothing of it is lost, and nothing of it is changed by looking.

tests/samples/ledger/version_1.sqlite was written by two early releases, version_1.jsonl is what they exported of it.
"""
# A test that looks at files and processes has its loop to itself, so it may block it.
# ruff: noqa: ASYNC220, ASYNC221

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import orjson
import pytest
from ledger_values import NOON, every, raw

from pollwise import errors
from pollwise.durable.codec import job_of, outcome_of
from pollwise.endpoints.document360 import DeleteFileEndpoint
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import PollError, RetriesExhausted, UnrestoredError
from pollwise.ledger import Concluded, LedgerFull, NewWatch, Relocation, SqliteLedger
from pollwise.ledger.schema import MIGRATIONS
from pollwise.model.events import Abandoned

SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
EXPORTED = (SAMPLES / "version_1.jsonl").read_bytes()
ENDPOINTS: Sequence[Any] = [DeleteFileEndpoint("https://a.example"), ExtractionEndpoint("https://b.example")]
TIMES: dict[str, Any] = {"first_seen": NOON, "deadline": None}
NEW: dict[str, Any] = {"endpoint": "document360", "keys": {"task_id": "acme-1"}, **TIMES}
CHILD = Path(__file__).with_name("ledger_child.py")


@pytest.fixture
def old(path: Path) -> Path:
    """A ledger of version 1 that may be written to."""
    shutil.copy(SAMPLES / "version_1.sqlite", path)
    return path


async def exported(ledger: SqliteLedger) -> bytes:
    return b"".join([lines async for lines in ledger.export(include_open=True)])


async def test_all_of_it_is_there(old: Path) -> None:
    """The same lines come out as from the release that wrote it, and the file is of the newest version then."""
    assert raw(old, "PRAGMA user_version") == [(1,)]
    async with SqliteLedger(old) as ledger:
        assert await exported(ledger) == EXPORTED
    assert raw(old, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert raw(old, "PRAGMA integrity_check") == [("ok",)]
    async with SqliteLedger(old) as ledger:
        assert await exported(ledger) == EXPORTED


async def test_looking_leaves_it_as_it_is(old: Path) -> None:
    """It can be read without being brought up: what is open, what is not acknowledged, durations and origins."""
    before = old.read_bytes()
    async with SqliteLedger(old, read_only=True) as ledger:
        assert await exported(ledger) == EXPORTED
        looked = [await seen(ledger, endpoint.name) for endpoint in ENDPOINTS]
    assert old.read_bytes() == before
    async with SqliteLedger(old) as ledger:
        assert [await seen(ledger, endpoint.name) for endpoint in ENDPOINTS] == looked


async def seen(ledger: SqliteLedger, name: str) -> Sequence[Any]:
    return [
        await every(ledger.open_watches(name)),
        await every(ledger.unacknowledged(name)),
        await ledger.durations(name),
        await ledger.origins(name),
        await ledger.origins(name, "acme"),
    ]


async def test_looking_while_another_process_brings_it_up(old: Path) -> None:
    """A ledger that is open to read goes on being read."""
    async with SqliteLedger(old, read_only=True) as onlooker:
        async with SqliteLedger(old) as ledger:
            (one,) = await ledger.record([NewWatch(**{**NEW, "account": "acme"})])
            await ledger.relocate([Relocation(id=one.id, origin="https://a.example")])
        assert (await exported(onlooker)).startswith(EXPORTED)
        assert len(await every(onlooker.open_watches("document360", "acme"))) == 1


async def test_rows_are_known_by_the_same_keys(old: Path) -> None:
    """They have no account and no origin, and to record one of them again finds it."""
    async with SqliteLedger(old) as ledger:
        for endpoint in ENDPOINTS:
            for known in await every(ledger.open_watches(endpoint.name)):
                assert (known.account, known.origin) == ("", None)
                again = NewWatch(endpoint=endpoint.name, keys=known.keys, first_seen=known.first_seen, deadline=None)
                (found,) = await ledger.record([again])
                assert found.known == known


async def test_every_error_comes_back_as_its_class(old: Path) -> None:
    """Also where a later release has put it in other words; only a class of the caller's own is an UnrestoredError."""
    lines = [orjson.loads(line) for line in EXPORTED.splitlines()]
    abandoned = [line for line in lines if line["outcome"] == "abandoned"]
    async with SqliteLedger(old) as ledger:
        for line in abandoned:
            endpoint = next(one for one in ENDPOINTS if one.name == line["endpoint"])
            new = NewWatch(endpoint=endpoint.name, keys=line["job"], **TIMES)
            (found,) = await ledger.record([new])
            assert isinstance(found.known, Concluded)
            outcome = outcome_of(found.known, job_of(found.known, endpoint), endpoint)
            assert isinstance(outcome, Abandoned)
            if line["error"]["type"] == "QuotaSpent":
                assert isinstance(outcome.error, UnrestoredError)
                continue
            assert type(outcome.error).__name__ == line["error"]["type"]
            # test_ledger_versions.py compares the fields. The messages may be other ones in this release.
            assert str(outcome.error)
    kinds = {line["error"]["type"] for line in abandoned} - {"QuotaSpent"}
    assert kinds == {
        *("AuthenticationError", "CallbackFailed", "DeadlineExceeded", "EndpointBug", "InsecureUrl", "JobNotFound"),
        *("PermissionDenied", "RequestRejected", "RetriesExhausted", "UnknownOutcome", "WatchStopped"),
    }
    assert all(hasattr(errors, kind) for kind in kinds)


async def test_both_sentences_of_an_outage_are_read(old: Path) -> None:
    """With how often was asked and what the last poll said; the later one with how long it took, too."""
    found = []
    async with SqliteLedger(old) as ledger:
        for endpoint in ENDPOINTS:
            async for page in ledger.unacknowledged(endpoint.name):
                for known in page:
                    if known.error_type == "RetriesExhausted":
                        found.append(outcome_of(known, job_of(known, endpoint), endpoint))
    tired = [outcome.error for outcome in found if isinstance(outcome, Abandoned)]
    assert all(isinstance(error, RetriesExhausted) for error in tired)
    outages = {(error.failures, error.outage_s) for error in tired if isinstance(error, RetriesExhausted)}
    assert outages == {(8, None), (50, None), (12, 600.0), (9, None)}
    assert all(isinstance(error.last_error, PollError) for error in tired if isinstance(error, RetriesExhausted))


# --- bringing it up is done whole or not at all -------------------------------------------------


def grow(path: Path, rows: int) -> None:
    """So many open rows more, as version 1 had them."""
    raw(
        path,
        "INSERT INTO watches (endpoint, job, first_seen_us) WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1"  # noqa: S608
        f" FROM n WHERE i < {rows}) SELECT 'document360', json_object('task_id', 'more-' || i), i FROM n",
    )


async def test_killed_on_the_way(old: Path) -> None:
    """At any moment: the file is as it was or as new, every row is there, and the next one brings it up."""
    grow(old, 10_000)
    size = len(raw(old, "SELECT id FROM watches"))
    versions = set()
    for pause_s in (0.0, 0.02, 0.04, 0.08):
        copy = old.with_name(f"killed-{pause_s}")
        shutil.copy(old, copy)
        with subprocess.Popen([sys.executable, CHILD, "bring_up", copy], stdout=subprocess.PIPE, text=True) as other:
            assert other.stdout is not None
            assert other.stdout.readline() == "begins\n"
            time.sleep(pause_s)  # noqa: ASYNC251  # a disk has no virtual time
            other.kill()
        (version,) = raw(copy, "PRAGMA user_version")[0]
        versions.add(version)
        assert raw(copy, "SELECT count(*) FROM watches") == [(size,)]
        async with SqliteLedger(copy) as ledger:
            assert (await exported(ledger)).startswith(EXPORTED)
        assert raw(copy, "PRAGMA integrity_check") == [("ok",)]
    assert versions <= {1, len(MIGRATIONS)}


async def test_a_full_disk_on_the_way(old: Path) -> None:
    """It stays as it was, that is said, and with room it is brought up."""
    grow(old, 5_000)
    before = raw(old, "SELECT count(*) FROM watches")
    command = [sys.executable, CHILD, "bring_up_without_room", old, str(old.stat().st_size // 2)]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    assert done.stdout.split() == [LedgerFull.__name__, "1", str(len(MIGRATIONS))]
    assert raw(old, "SELECT count(*) FROM watches") == before
    assert raw(old, "PRAGMA integrity_check") == [("ok",)]
