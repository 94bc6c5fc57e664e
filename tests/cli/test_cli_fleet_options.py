from __future__ import annotations

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.fleet_options import FleetNames, WorkerOptions, database_of


def test_the_database_is_named_or_in_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """The argument wins over POLLWISE_POSTGRES."""
    monkeypatch.setenv("POLLWISE_POSTGRES", "postgresql://a.example/jobs")
    assert str(database_of(None)) == "postgresql://a.example:5432/jobs"
    assert str(database_of("postgresql://b.example/jobs")) == "postgresql://b.example:5432/jobs"
    monkeypatch.delenv("POLLWISE_POSTGRES")
    with pytest.raises(UsageError, match="POLLWISE_POSTGRES"):
        database_of(None)


def test_a_file_is_no_database(monkeypatch: pytest.MonkeyPatch) -> None:
    """The message says whether the argument or the variable is wrong, and does not show a value that may be a secret."""
    with pytest.raises(UsageError, match="DATABASE must be a URL"):
        database_of("jobs.ledger")
    monkeypatch.setenv("POLLWISE_POSTGRES", "user:hunter2@host")
    with pytest.raises(UsageError, match="POLLWISE_POSTGRES must be a URL") as raised:
        database_of(None)
    assert "hunter2" not in str(raised.value)


def test_names_need_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Who submits needs the base URL of an endpoint, and not its secret."""
    for name in ("DOCUMENT360_API_TOKEN", "ORACLE_CONTENT_TOKEN", "ORACLE_CONTENT_USER", "OPENAI_API_KEY"):
        monkeypatch.delenv(name, raising=False)
    options = FleetNames(
        document360_url="https://d.example",
        oracle_content_url="https://o.example",
        base_url=("oracle-content-site=https://o.example",),
        account_of=("oracle-content=acme",),
    )
    names = options.names("usual", quiet=True, credentials=False)
    for name, account in (
        ("document360", "usual"),
        ("oracle-content", "acme"),
        ("oracle-content-site", "usual"),
        ("openai-batch", "usual"),
    ):
        endpoint = names.endpoint(name)
        assert (endpoint.name, endpoint.account) == (name, account)
    with pytest.raises(UsageError, match="DOCUMENT360_API_TOKEN"):
        options.names("usual", quiet=True, credentials=True).endpoint("document360")


def test_a_worker_has_no_deadline_of_its_own() -> None:
    """Deadlines are those with which jobs were submitted."""
    assert WorkerOptions().timeout is None
