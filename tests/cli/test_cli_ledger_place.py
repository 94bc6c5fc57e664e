"""Where the ledger of a command is: a file, or a database."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from pollwise.cli.exit_status import UsageError
from pollwise.cli.ledger_place import DatabaseUrl, file_of, open_place, to_place
from pollwise.errors import ConfigurationError
from pollwise.ledger import SqliteLedger


def test_a_path_is_a_file() -> None:
    """Also one whose name begins as a URL's does."""
    for text in ("jobs.ledger", "postgresql.ledger", "postgresql:/jobs"):
        place = to_place(text)
        assert place == Path(text)
        assert file_of(place) == place
        assert isinstance(open_place(place), SqliteLedger)
    assert file_of(None) is None


def test_a_url_is_a_database_and_shows_no_password() -> None:
    """It keeps both slashes, and its text has no credentials."""
    pytest.importorskip("asyncpg")
    place = to_place("postgresql://user:hunter2@db.example/jobs?sslmode=require")
    assert isinstance(place, DatabaseUrl)
    assert str(place) == place.name == "postgresql://db.example:5432/jobs"
    assert "hunter2" not in repr(place)
    assert file_of(place) is None
    assert open_place(place).where == str(place)  # type: ignore[union-attr]


def test_a_malformed_url_is_refused_without_a_quotation() -> None:
    """What follows a wrong character may be a part of the password."""
    pytest.importorskip("asyncpg")
    with pytest.raises(ConfigurationError, match="malformed") as caught:
        open_place(to_place("postgresql://user:hun/ter2@host/jobs"))
    assert "ter2" not in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "postgresql+asyncpg://user:hunter2@host/jobs",
        "POSTGRES://user:hunter2@host/jobs",
        " postgresql://user:hunter2@host/jobs",
        "postgresql:/user:hunter2@host/jobs",
        "mysql://user:hunter2@host/jobs",
        "host=localhost password=hunter2",
        "password=hunter2",
        "host=localhost user=hunter2 dbname=jobs",
    ],
)
def test_the_address_of_another_database_is_no_file(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The password becomes neither the name of a file nor a part of a message, in a command or in a program."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UsageError, match="postgresql://user@host") as caught:
        to_place(text)
    with pytest.raises(ConfigurationError, match="postgresql://user@host") as caught_in_program:
        SqliteLedger(Path(text))
    assert "hunter2" not in f"{caught.value}{caught_in_program.value}"
    assert not list(tmp_path.iterdir())


def test_a_file_may_have_the_signs_of_an_address() -> None:
    """Only a name that is an address for certain is refused."""
    for text in (
        "a=b.ledger",
        "run 3: host=x.ledger",
        "C:/jobs.ledger",
        "12:30.ledger",
        "no-password.ledger",
        "me@home:/x",
    ):
        assert to_place(text) == Path(text)


def test_without_the_extra_the_message_names_it(monkeypatch: pytest.MonkeyPatch) -> None:
    """An installation without asyncpg says what to install."""
    for name in [name for name in sys.modules if name.startswith("pollwise.ledger.postgres")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delattr("pollwise.ledger.postgres", raising=False)
    monkeypatch.setitem(sys.modules, "asyncpg", None)
    with pytest.raises(UsageError, match=r"pip install 'pollwise\[postgres\]'"):
        open_place(to_place("postgresql://localhost/jobs"))
