"""Ledger files of each schema version: each outcome comes back as the release that wrote it read it.

`version_N.sqlite` was written with schema version N, and `version_N.jsonl` is its export by that release.
`version_N_errors.json` has the class and the fields that the last release with that schema version (2 for 1) gave each
row's error.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import attrs
import orjson
import pytest
from ledger_values import every, raw

from pollwise import errors
from pollwise.durable.codec import job_of, outcome_of
from pollwise.durable.resume_token import read_token
from pollwise.endpoints.document360 import DeleteFileEndpoint
from pollwise.endpoints.oracle_content import ExtractionEndpoint
from pollwise.errors import PollwiseError, UnrestoredError
from pollwise.ledger import SqliteLedger
from pollwise.ledger.rows import COLUMNS, known_watch
from pollwise.ledger.schema import MIGRATIONS
from pollwise.model.events import Succeeded

SAMPLES = Path(__file__).parents[1] / "samples" / "ledger"
VERSIONS = [1, 2, 3, 4, 5]
_REOPENED_IN_4 = {11: 1, 12: 1, 13: 1, 14: 1, 43: 1, 44: 2}
REOPENED = {4: _REOPENED_IN_4, 5: _REOPENED_IN_4}  # by version, the generations of the rows that were reopened
NEWER_FIELDS: dict[str, dict[str, Any]] = {  # of later releases, by error
    "DeadlineExceeded": {"cancel": None, "not_started": False},
    "RetriesExhausted": {"not_started": False},
}
ODD_WORDS = "No such job.; Really; !csCloudKey; code -96, 7"
ENDPOINTS: dict[str, Any] = {
    endpoint.name: endpoint
    for endpoint in (DeleteFileEndpoint("https://a.example"), ExtractionEndpoint("https://b.example"))
}


@pytest.fixture(params=VERSIONS)
def version(request: pytest.FixtureRequest) -> int:
    number: int = request.param
    return number


@pytest.fixture
def old(version: int, path: Path) -> Path:
    """A ledger of this version that may be written to."""
    shutil.copy(SAMPLES / f"version_{version}.sqlite", path)
    return path


def exported_then(version: int) -> bytes:
    return (SAMPLES / f"version_{version}.jsonl").read_bytes()


async def exported(ledger: SqliteLedger) -> bytes:
    return b"".join([lines async for lines in ledger.export(include_open=True)])


def described(error: PollwiseError, job: Any) -> dict[str, Any]:
    """The error's class and fields in JSON. The row's own job and status are named and not repeated."""
    if not attrs.has(type(error)):
        return {"type": type(error).__name__, "fields": {"args": list(error.args)}}
    fields = {field.name: getattr(error, field.name) for field in attrs.fields(type(error))}
    if isinstance(error, UnrestoredError):
        assert fields.pop("fields") == {}  # which those rows do not have
    return {"type": type(error).__name__, "fields": {name: _told(name, value, job) for name, value in fields.items()}}


def _told(name: str, value: Any, job: Any) -> Any:
    if name == "job":
        return "the row's" if value == job else value
    if name == "status":
        return None if value is None else "the row's"
    if isinstance(value, PollwiseError):
        return described(value, job)
    return attrs.asdict(value) if attrs.has(type(value)) else value


def outcomes(path: Path) -> Sequence[dict[str, Any]]:
    """Every outcome of the file, as `version_N_errors.json` has them."""
    found = []
    for row in raw(path, f"SELECT {COLUMNS} FROM watches WHERE outcome IS NOT NULL ORDER BY id"):  # noqa: S608
        known: Any = known_watch(row)
        endpoint = ENDPOINTS[known.endpoint]
        job = job_of(known, endpoint)
        outcome = outcome_of(known, job, endpoint)
        error = None if isinstance(outcome, Succeeded) else described(outcome.error, job)
        found.append({"id": known.id, "outcome": type(outcome).__name__, "error": error})
    return found


def expected(version: int) -> list[dict[str, Any]]:
    lines: list[dict[str, Any]] = orjson.loads((SAMPLES / f"version_{version}_errors.json").read_bytes())
    for line in lines:
        # That release was misled by a job whose ID looks like a sentence of ours. This one reads it.
        if line["error"] is not None and "(HTTP 500)" in line["error"]["fields"].get("message", ""):
            assert line["error"]["fields"]["kind"] == "JobNotFound"
            problem = {"codes": [], "descriptions": [ODD_WORDS], "key": None, "job_unknown": False}
            fields = {"job": "the row's", "http_status": 404, "problem": problem}
            line["error"] = {"type": "JobNotFound", "fields": fields}
        if line["error"] is not None:
            line["error"]["fields"] = NEWER_FIELDS.get(line["error"]["type"], {}) | line["error"]["fields"]
    return lines


async def test_each_error_comes_back_as_before(version: int, old: Path) -> None:
    """The same class with the same fields as in the release that wrote the row."""
    async with SqliteLedger(old):
        pass
    assert orjson.loads(orjson.dumps(outcomes(old))) == expected(version)


async def test_other_sentences_change_nothing(version: int, old: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The sentences of the old rows are not those of `pollwise.errors`, which may change."""
    async with SqliteLedger(old):
        pass
    for name in errors.__all__:
        kind = getattr(errors, name)
        if "__str__" in vars(kind):
            monkeypatch.setattr(kind, "__str__", lambda _error: "something else")
    assert orjson.loads(orjson.dumps(outcomes(old))) == expected(version)


async def test_the_export_is_the_same(version: int, old: Path) -> None:
    """Before and after the migration, and nothing is changed by a ledger that is opened to read."""
    before = old.read_bytes()
    assert raw(old, "PRAGMA user_version") == [(version,)]
    async with SqliteLedger(old, read_only=True) as ledger:
        assert await exported(ledger) == exported_then(version)
    assert old.read_bytes() == before
    async with SqliteLedger(old) as ledger:
        assert await exported(ledger) == exported_then(version)
    assert raw(old, "PRAGMA user_version") == [(len(MIGRATIONS),)]
    assert raw(old, "PRAGMA integrity_check") == [("ok",)]


async def test_a_read_only_ledger_has_the_same_rows(old: Path) -> None:
    """Open watches and unacknowledged outcomes, of each endpoint and account."""

    async def rows(*, read_only: bool) -> list[Any]:
        async with SqliteLedger(old, read_only=read_only) as ledger:
            return [
                await every(rows)
                for name in ENDPOINTS
                for account in ("", "acme")
                for rows in (ledger.open_watches(name, account), ledger.unacknowledged(name, account))
            ]

    looked = await rows(read_only=True)
    assert sum(map(len, looked)) > 30
    assert await rows(read_only=False) == looked


async def test_a_text_that_is_damaged_before_the_migration(version: int, old: Path) -> None:
    """A text that is not UTF-8 does not keep the file from being opened: its row is damaged, and all others are used."""
    raw(old, "UPDATE watches SET error_message = CAST(x'ff' AS TEXT) WHERE id = 14")
    rows = len(raw(old, "SELECT id FROM watches"))
    async with SqliteLedger(old) as ledger:
        assert len((await exported(ledger)).splitlines()) == rows - 1
        assert [row.id for row in ledger.damaged] == [14]


async def test_no_start_is_known_of_before_version_6(version: int, old: Path) -> None:
    """Whether the file is read as it is or migrated."""
    for read_only in (True, False):
        async with SqliteLedger(old, read_only=read_only) as ledger:
            assert list(await ledger.unfinished_submits()) == []


async def test_each_row_has_its_generation(version: int, old: Path) -> None:
    """It is how often the watch was opened again. Before version 4 this was not counted, so it is zero."""
    async with SqliteLedger(old):
        pass
    known = [known_watch(row) for row in raw(old, f"SELECT {COLUMNS} FROM watches")]  # noqa: S608
    assert {one.id: one.generation for one in known if one.generation} == REOPENED.get(version, {})


@pytest.mark.parametrize("known", orjson.loads((SAMPLES / "tokens_version_2.json").read_bytes()))
def test_tokens_of_version_2_are_read(known: dict[str, Any]) -> None:
    """With account, origin, counts and deadline, as `version_1` tokens are in test_accounts.py without them."""
    kind = type(ENDPOINTS[known["endpoint"]])
    base_url = known["origin"]
    endpoint = kind(base_url, account=known["account"])
    token = read_token(endpoint, known["token"])
    assert endpoint.codec.job_to_keys(token.job) == known["job"]
    assert (token.polls, token.failures, token.origin) == (known["polls"], known["failures"], known["origin"])
    assert (token.deadline_s is not None) is known["deadline"]
    assert (token.phase is not None) is known["seen"]
    assert token.first_seen_s == 1_772_366_390.129
