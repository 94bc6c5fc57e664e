from __future__ import annotations

from pathlib import Path

import attrs
import pytest
from cyclopts import App, CycloptsError

from pollwise.cli.batch_options import BatchOptions, Rate
from pollwise.cli.exit_status import UsageError
from pollwise.model.limits import RateLimit

USUAL = BatchOptions()


@pytest.fixture(autouse=True)
def _environment(environment: pytest.MonkeyPatch) -> None:
    """No URL of the machine's own."""


def parse(*tokens: str) -> BatchOptions:
    app = App()

    @app.default
    def command(*, options: BatchOptions = USUAL) -> None: ...

    _, bound, _ = app.parse_args(list(tokens), print_error=False, exit_on_error=False)
    options = bound.arguments.get("options", USUAL)
    assert isinstance(options, BatchOptions)
    return options


@pytest.mark.parametrize(
    ("tokens", "name", "value"),
    [
        ("", "timeout", 86400.0),
        ("--timeout none", "timeout", None),
        ("--timeout 5", "timeout", 5.0),
        ("--rate 60/min", "rate", Rate(60, 60.0)),
        ("--rate 60/m", "rate", Rate(60, 60.0)),
        ("--rate 10/s", "rate", Rate(10, 1.0)),
        ("--rate 5000/h", "rate", Rate(5000, 3600.0)),
        ("--concurrency 8", "concurrency", 8),
        ("--format csv", "form", "csv"),
        ("--endpoint document360", "endpoint", "document360"),
        ("--out x --report y --ledger z", "report", Path("y")),
        ("--document360-url https://x", "document360_url", "https://x"),
        ("--interval 3", "interval", 3.0),
        ("--json -v", "json", True),
    ],
)
def test_what_can_be_said(tokens: str, name: str, value: object) -> None:
    """Each option is understood."""
    assert getattr(parse(*tokens.split()), name) == value


@pytest.mark.parametrize(
    "tokens",
    [
        *("--rate 60", "--rate 0/s", "--rate -1/s", "--rate 1/day", "--rate 1.5/s", "--rate 99999999999/s"),
        *("--concurrency 0", "--format xml", "--endpoint oracle", "--timeout 0", "--interval soon", "--out"),
    ],
)
def test_what_cannot_be_meant(tokens: str) -> None:
    """It is refused before anything is sent."""
    with pytest.raises(CycloptsError):
        parse(*tokens.split())


def test_urls_come_from_the_environment_as_well(environment: pytest.MonkeyPatch) -> None:
    """By the same variables as for `pollwise watch`."""
    environment.setenv("ORACLE_CONTENT_BASE_URL", "https://y")
    assert parse().oracle_content_url == "https://y"


@pytest.mark.parametrize(
    ("jobs", "form"),
    [
        ("a.jsonl", "jsonl"),
        ("a.ndjson", "jsonl"),
        ("A.JSONL", "jsonl"),
        ("a.csv", "csv"),
        ("a.tsv", "csv"),
        ("-", "jsonl"),
    ],
)
def test_a_name_tells_the_format(jobs: str, form: str) -> None:
    """By its ending; what is said counts more."""
    assert USUAL.form_of(jobs) == form
    assert attrs.evolve(USUAL, form="csv").form_of(jobs) == "csv"


def test_a_name_that_tells_nothing() -> None:
    """The format is never guessed."""
    with pytest.raises(UsageError, match="--format"):
        USUAL.form_of("jobs.txt")


def test_where_the_ledger_is() -> None:
    """Beside JOBS, unless it is said; stdin has no place beside it."""
    assert USUAL.ledger_of("a/jobs.csv") == Path("a/jobs.csv.ledger")
    assert attrs.evolve(USUAL, ledger=Path("x")).ledger_of("-") == Path("x")
    with pytest.raises(UsageError, match="--ledger"):
        USUAL.ledger_of("-")


@pytest.mark.parametrize(
    ("jobs", "options", "states"),
    [
        ("x", {"out": Path("x"), "ledger": Path("l")}, "JOBS and --out"),
        ("x", {"out": Path("./x.ledger")}, "--ledger and --out"),
        ("x", {"out": Path("o"), "report": Path("o")}, "--out and --report"),
        ("-", {"ledger": Path("l"), "report": Path("l")}, "--ledger and --report"),
        ("x", {"out": Path("x.ledger"), "report": Path("x.ledger")}, "--ledger and --out"),
    ],
)
def test_no_two_files_are_one(jobs: str, options: dict[str, Path], states: str) -> None:
    """One of them would be lost."""
    with pytest.raises(UsageError, match=f"{states} are the same file"):
        attrs.evolve(USUAL, **options).check_files(jobs)
    attrs.evolve(USUAL, out=Path("o"), report=Path("p"), ledger=Path("l")).check_files(jobs)


@pytest.mark.parametrize("end", ["-lock", "-wal", "-shm", "-journal", "-pollwise-new"])
def test_what_belongs_to_the_ledger_is_not_written_over(end: str) -> None:
    """Its lock kept a second process away, and its log holds the newest outcomes."""
    with pytest.raises(UsageError, match="is a part of the ledger l; name another file for --out"):
        attrs.evolve(USUAL, ledger=Path("l"), out=Path(f"./l{end}")).check_files("x")
    with pytest.raises(UsageError, match="for JOBS"):
        attrs.evolve(USUAL, ledger=Path("l")).check_files(f"l{end}")


def test_a_rate_is_a_budget() -> None:
    """What is said is never exceeded; else what the vendor documents is a beginning, and no limit is learnt."""
    assert (attrs.evolve(USUAL, rate=Rate(5, 1.0)).budget(RateLimit(60, per_s=60.0)).limit) == 5
    assert (USUAL.budget(RateLimit(60, per_s=60.0)).limit, USUAL.budget(RateLimit(60, per_s=60.0)).per_s) == (60, 60.0)
    assert USUAL.budget(None).limit is None
