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
    """The environment of the machine has no effect."""


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
def test_valid_options(tokens: str, name: str, value: object) -> None:
    """Each option is parsed."""
    assert getattr(parse(*tokens.split()), name) == value


@pytest.mark.parametrize(
    "tokens",
    [
        *("--rate 60", "--rate 0/s", "--rate -1/s", "--rate 1/day", "--rate 1.5/s", "--rate 99999999999/s"),
        *("--concurrency 0", "--format xml", "--timeout 0", "--interval soon", "--out"),
    ],
)
def test_invalid_options(tokens: str) -> None:
    """A value that is not valid is refused by the parser."""
    with pytest.raises(CycloptsError):
        parse(*tokens.split())


def test_urls_come_from_the_environment_as_well(environment: pytest.MonkeyPatch) -> None:
    """The URLs come from the same variables as for `pollwise watch`."""
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
def test_the_name_states_the_format(jobs: str, form: str) -> None:
    """The suffix of the name states the format; `--format` overrides it."""
    assert USUAL.form_of(jobs) == form
    assert attrs.evolve(USUAL, form="csv").form_of(jobs) == "csv"


def test_a_name_without_a_known_suffix() -> None:
    """The format is not guessed: the error names `--format`."""
    with pytest.raises(UsageError, match="--format"):
        USUAL.form_of("jobs.txt")


def test_the_path_of_the_ledger() -> None:
    """Without `--ledger` the ledger is beside JOBS. Jobs from stdin need `--ledger`."""
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
def test_two_options_with_the_same_file(jobs: str, options: dict[str, Path], states: str) -> None:
    """Two options that name the same file are refused, because one of the two would be lost."""
    with pytest.raises(UsageError, match=f"{states} are the same file"):
        attrs.evolve(USUAL, **options).check_files(jobs)
    attrs.evolve(USUAL, out=Path("o"), report=Path("p"), ledger=Path("l")).check_files(jobs)


@pytest.mark.parametrize("end", ["-lock", "-wal", "-shm", "-journal", "-pollwise-new"])
def test_files_of_the_ledger_are_not_overwritten(end: str) -> None:
    """The ledger's lock, log and other files are refused as JOBS and as output."""
    with pytest.raises(UsageError, match="is a part of the ledger l; name another file for --out"):
        attrs.evolve(USUAL, ledger=Path("l"), out=Path(f"./l{end}")).check_files("x")
    with pytest.raises(UsageError, match="for JOBS"):
        attrs.evolve(USUAL, ledger=Path("l")).check_files(f"l{end}")


def test_a_rate_is_a_budget() -> None:
    """`--rate` gives the budget. Without it the budget has the documented limit, or none."""
    assert (attrs.evolve(USUAL, rate=Rate(5, 1.0)).budget(RateLimit(60, per_s=60.0)).limit) == 5
    assert (USUAL.budget(RateLimit(60, per_s=60.0)).limit, USUAL.budget(RateLimit(60, per_s=60.0)).per_s) == (60, 60.0)
    assert USUAL.budget(None).limit is None
