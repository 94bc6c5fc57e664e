"""The URL of a database, and the connections to it."""

from __future__ import annotations

import asyncio
import os

import asyncpg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ledger_values import acks, change, every, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import LedgerRefused
from pollwise.ledger.postgres import PostgresLedger, is_postgres_url, url_without_credentials
from real_postgres import connected, needs_postgres, run, url
from stalling_proxy import stalling_proxy

pytestmark = needs_postgres


@pytest.mark.parametrize(
    ("dsn", "shown"),
    [
        ("postgresql://user:pw@db.example:6432/jobs", "postgresql://db.example:6432/jobs"),
        ("postgres://db.example/jobs?sslmode=require", "postgresql://db.example:5432/jobs"),
        ("postgresql://user:p%40w@a:1,b:2/jobs", "postgresql://a:1,b:2/jobs"),
        ("postgresql://user@[::1]:5432/jobs", "postgresql://[::1]:5432/jobs"),
        ("postgresql://user:pw@/jobs?host=/run/postgresql&password=pw", "postgresql://%2Frun%2Fpostgresql:5432/jobs"),
        ("postgresql:///jobs?user=me&password=secret", "postgresql://localhost:5432/jobs"),
        ("postgresql://localhost?dbname=jobs", "postgresql://localhost:5432/jobs"),
    ],
)
def test_a_database_is_shown_without_credentials(dsn: str, shown: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """User, password and parameters are left out."""
    for name in ("PGHOST", "PGPORT", "PGDATABASE"):
        monkeypatch.delenv(name, raising=False)
    assert url_without_credentials(dsn) == shown
    assert "pw" not in repr(PostgresLedger(dsn))


@pytest.mark.parametrize(
    "dsn",
    [
        "postgresql://user:hun/ter2@host/jobs",
        "postgresql://user:hunter2#@host/jobs",
        "postgresql://user:hunter2@host:port/jobs",
        "postgresql://user:hunter2@host:99999/jobs",
        "postgresql://user:hunter2@host:0/jobs",
        "postgresql://user:hunter2@host/jobs?port=65536",
        "postgresql://[hunter2/jobs",
        "http://hunter2@host/jobs",
        "postgresql://host/jobs?hunter2",
        "jobs.ledger",
        "",
    ],
)
def test_a_malformed_url_is_refused_without_a_quotation(dsn: str) -> None:
    """What follows a wrong character may be a password, so the message quotes nothing of the URL."""
    with pytest.raises(ConfigurationError, match="Percent-encode") as caught:
        PostgresLedger(dsn)
    assert "hunter2" not in f"{caught.value!r} {caught.value.__context__!r}" or caught.value.__suppress_context__
    assert "hunter2" not in str(caught.value)


@given(st.text(max_size=40) | st.text("0/?#@:=[]%&", max_size=12))
def test_no_password_is_shown(password: str) -> None:
    """Whatever stands in the place of a password: the URL is refused, or shown without it."""
    for marked in (f"q7{password}7q", f"31{password}31"):
        try:
            shown = url_without_credentials(f"postgresql://user:{marked}@host/jobs")
        except ConfigurationError as exc:
            shown = str(exc)
        assert "q7" not in shown
        assert "31" not in shown


def test_only_a_url_of_postgres_is_one() -> None:
    """A path is none, whatever its name is."""
    assert is_postgres_url("postgresql://host/jobs")
    assert is_postgres_url("postgres://host/jobs")
    assert not is_postgres_url("postgres.ledger")
    assert not is_postgres_url(None)


@pytest.mark.parametrize("wrong", [None, 5, object()])
def test_a_database_is_a_url_or_a_pool(wrong: object) -> None:
    """Anything else is a mistake that is named."""
    with pytest.raises(ConfigurationError, match="a pool of asyncpg"):
        PostgresLedger(wrong)  # type: ignore[arg-type]


async def test_the_password_may_come_from_the_environment(
    ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    """PGPASSWORD and PGUSER are read as by psql."""
    monkeypatch.setenv("PGPASSWORD", os.environ.get("PGPASSWORD", "from-the-environment"))
    async with PostgresLedger(url(), schema=ledger.schema) as other:
        assert "from-the-environment" not in repr(other)


async def test_a_pool_of_the_caller_is_used_and_not_closed(ledger: PostgresLedger) -> None:
    """After the ledger was closed, the pool goes on. Its place is that of the server."""
    settings = {"plan_cache_mode": "force_custom_plan"}
    async with asyncpg.create_pool(url(), min_size=0, max_size=2, server_settings=settings) as pool:
        async with PostgresLedger(pool, schema=ledger.schema) as ours:
            assert "postgres" in ours.where
            (recorded,) = await ours.record([new(1)])
            await ours.conclude([success(recorded.id)])
            async with ours.leases(owner="one") as leases:
                assert len(await leases.acquire(1)) == 1
        assert await pool.fetchval("SELECT 1") == 1


async def test_a_pool_whose_plans_are_slow_is_named(ledger: PostgresLedger, caplog: pytest.LogCaptureFixture) -> None:
    """The log says which setting the pool lacks. A ledger's own connections have it."""
    assert caplog.records == []
    async with asyncpg.create_pool(url(), min_size=0, max_size=1) as pool, PostgresLedger(pool, schema=ledger.schema):
        pass
    (record,) = caplog.records
    assert "plan_cache_mode=force_custom_plan" in record.getMessage()


async def test_a_killed_connection_costs_no_call(ledger: PostgresLedger) -> None:
    """Connections that an administrator ends in the middle of writes are replaced: nothing is lost, nothing is double."""
    recorded = await ledger.record([new(number) for number in range(300)])
    async with connected() as admin:
        for part in range(6):
            some = recorded[part * 50 : part * 50 + 50]
            writes = asyncio.gather(
                *(ledger.conclude([success(one.id, elapsed_s=float(one.id))]) for one in some),
                *(ledger.origins("oracle-content") for _ in range(5)),
            )
            await asyncio.sleep(0)
            await admin.fetch(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE application_name = 'pollwise' AND pid <> pg_backend_pid()"
            )
            await writes
    ended = await every(ledger.unacknowledged("oracle-content"))
    assert [(one.id, one.elapsed_s) for one in ended] == [(one.id, float(one.id)) for one in recorded]
    assert await ledger.acknowledge(acks(*(one.id for one in recorded))) == 300


async def test_a_cut_network_costs_no_call(ledger: PostgresLedger) -> None:
    """Connections that break in the middle of a statement are opened again, and the statement is sent again."""
    async with stalling_proxy() as proxy, PostgresLedger(proxy.url, schema=ledger.schema, linger_s=0.0) as cut:
        for number in range(5):
            proxy.open.clear()
            writing = asyncio.ensure_future(cut.record([new(number)]))
            for _ in range(10):
                await asyncio.sleep(0)
            proxy.cut()
            proxy.open.set()
            await writing
    assert len(await every(ledger.open_watches("oracle-content"))) == 5


async def test_a_cancelled_call_leaves_the_ledger_usable(ledger: PostgresLedger) -> None:
    """No later call gets the answer of one that was cancelled."""
    await ledger.record([new(number) for number in range(20)])
    for passes in range(12):
        reading = asyncio.ensure_future(ledger.origins("oracle-content"))
        for _ in range(passes):
            await asyncio.sleep(0)
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)
        assert await ledger.durations("oracle-content") == []
    assert len(await every(ledger.open_watches("oracle-content"))) == 20


async def test_no_more_connections_are_open_than_asked_for(ledger: PostgresLedger) -> None:
    """Many calls at once share `connections`."""
    async with PostgresLedger(
        f"{url()}&application_name=narrow" if "?" in url() else f"{url()}?application_name=narrow",
        schema=ledger.schema,
        connections=1,
    ) as narrow:
        await asyncio.gather(*(narrow.origins("oracle-content") for _ in range(20)), narrow.update([change(1)]))
        (row,) = await run("SELECT count(*) FROM pg_stat_activity WHERE application_name = 'narrow'")
        assert row[0] <= 1


async def test_a_server_that_is_too_old_is_refused(ledger: PostgresLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    """When the ledger is opened, with the version of the server, and not by a statement that it does not know."""
    monkeypatch.setattr("pollwise.ledger.postgres.connections.OLDEST_SERVER", 999)
    with pytest.raises(LedgerRefused, match=r"the server is PostgreSQL \d+.*Use PostgreSQL 14 or newer"):
        await PostgresLedger(url(), schema=ledger.schema).__aenter__()
