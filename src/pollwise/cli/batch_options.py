"""The options of `pollwise batch`.

Rule 1: a value that is not valid is a usage error before any request is sent (options.py).
Rule 2: it is also a usage error if two options name the same file, because one of the two would be lost.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol

import attrs
from cyclopts import Parameter

from pollwise.cli.atomic_file import check_distinct
from pollwise.cli.durations import to_timeout
from pollwise.cli.endpoint_completion import EndpointName
from pollwise.cli.exit_status import UsageError
from pollwise.cli.ledger_place import LedgerPlace, Place, file_of
from pollwise.cli.options import (
    Count,
    Duration,  # noqa: F401  the annotations of WatchOptions are resolved in this file, too
    FilePath,
    Port,
    QueryOption,  # noqa: F401  the same
    WatchOptions,
)
from pollwise.cli.safe_text import safe
from pollwise.cli.usual_files import read_files

if TYPE_CHECKING:
    from pollwise.cli.endpoint_names import EndpointNames
    from pollwise.cli.jobs_file import Format
    from pollwise.core.rate_budget import RateBudget
    from pollwise.model.limits import RateLimit

__all__ = [
    "BatchOptions",
    "Rate",
    "RateOption",
    "Repeated",
    "Url",
    "budget_of",
    "form_of",
    "moved_origins",
    "names_of",
    "to_rate",
]

_SPANS = {"s": 1.0, "sec": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "hour": 3600.0}
_FORMS: dict[str, Format] = {".csv": "csv", ".tsv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".json": "jsonl"}
_DAY_S = 86400.0


@attrs.frozen
class Rate:
    """At most `limit` requests in `per_s` seconds."""

    limit: int
    per_s: float


def _to_rate(_type: Any, tokens: Any) -> Rate:
    return to_rate(tokens[0].value)


def to_rate(text: str) -> Rate:
    """The rate that this text states. Raises ValueError."""
    found = re.fullmatch(r"([0-9]{1,9})/([a-z]+)", text)
    if found is None or not int(found[1]) or found[2] not in _SPANS:
        raise ValueError(f"expected a rate such as 60/min, 10/s or 5000/h, got {text!r}")
    return Rate(int(found[1]), _SPANS[found[2]])


def _by_name(values: Iterable[str], option: str, what: str) -> dict[str, str]:
    """The values of an option by the endpoints that they name. Raises UsageError, which shows no value."""
    found: dict[str, str] = {}
    for text in values:
        name, equals, value = text.partition("=")
        if not (equals and name and value) or "/" in name:
            raise UsageError(f"write {option} NAME={what}, where NAME is an endpoint")
        if name in found:
            raise UsageError(f"{option} names {safe(name, 60)} twice")
        found[name] = value
    return found


def moved_origins(urls: Sequence[str]) -> frozenset[str]:
    """The origins of these URLs. Raises UsageError if one of them is not a URL."""
    from pollwise.core.identity import origins_of  # noqa: PLC0415  `--help` imports no engine

    try:
        return origins_of(urls)
    except ValueError:
        raise UsageError("--moved-from needs an http or https URL, such as https://api.example.com") from None


def budget_of(rate: Rate | None, documented_limit: RateLimit | None) -> RateBudget:
    """The budget of one token: `rate` if it is given, else the limit that the vendor documents."""
    from pollwise.core.rate_budget import RateBudget  # noqa: PLC0415  `--help` imports no engine

    return RateBudget.documented(documented_limit) if rate is None else RateBudget(rate.limit, per_s=rate.per_s)


def form_of(jobs: str, form: Format | None) -> Format:
    """The format of JOBS: `form`, or else what its name states. Raises UsageError if neither does."""
    known: Format | None = form or ("jsonl" if jobs == "-" else _FORMS.get(Path(jobs).suffix.lower()))
    if known is None:
        raise UsageError(f"{jobs} ends neither in .jsonl nor in .csv; add --format jsonl or --format csv")
    return known


class _NameOptions(Protocol):
    """The options that say what the names of endpoints mean."""

    @property
    def endpoints(self) -> Path | None: ...
    @property
    def base_url(self) -> Sequence[str]: ...
    @property
    def account_of(self) -> Sequence[str]: ...
    @property
    def document360_url(self) -> str | None: ...
    @property
    def oracle_content_url(self) -> str | None: ...


def names_of(
    options: _NameOptions, checked: Iterable[str] = (), *, account: str, quiet: bool, credentials: bool = True
) -> EndpointNames:
    """The endpoints by their names.

    Args:
        options: What the names mean.
        checked: Further names that must be known.
        account: The account of endpoints that no option names.
        quiet: Do not say where an endpoint is from.
        credentials: Make the endpoints with their credentials.

    Raises:
        UsageError: An option names an endpoint that there is not.
    """
    from pollwise.cli.endpoint_names import EndpointNames  # noqa: PLC0415  `--help` imports no engine

    urls = _by_name(options.base_url, "--base-url", "URL")
    vendors = {"document360": options.document360_url, "oracle-content": options.oracle_content_url}
    accounts = _by_name(options.account_of, "--account-of", "ACCOUNT")
    names = EndpointNames(
        options.endpoints,
        base_urls={**{name: url for name, url in vendors.items() if url}, **urls},
        accounts=accounts,
        account=account,
        url_option="--{}-url",
        further_url_option="--base-url {}=URL",
        quiet=quiet,
        credentials=credentials,
    )
    for name in (*urls, *accounts, *checked):
        names.find(name)
    return names


Repeated = Parameter(negative="", show_default=False, consume_multiple=False)
Url = Annotated[str | None, Parameter(metavar="URL", show_default=False)]
RateOption = Annotated[
    Rate | None,
    Parameter(converter=_to_rate, accepts_keys=False, n_tokens=1, metavar="N/s|N/min|N/h", show_default=False),
]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class BatchOptions(WatchOptions):
    """The options of `pollwise batch`."""

    ledger: Annotated[LedgerPlace | None, Parameter(metavar="FILE", show_default=False)] = None
    """The file or PostgreSQL URL that records the progress. Without it: the name of JOBS with `.ledger` appended."""

    out: FilePath = None
    """Write the results to this file when all are known: a JSON object for each row."""

    report: FilePath = None
    """Write a report to this file, as one HTML page."""

    rate: RateOption = None
    """The most requests to each endpoint. Without it: the limit that its vendor documents or sends."""

    concurrency: Count = 64
    """The most requests in flight, for each endpoint."""

    timeout: Annotated[
        float | None, Parameter(converter=to_timeout, metavar="DURATION|none", show_default=lambda _: "1d")
    ] = _DAY_S
    """Stop watching a job DURATION after its first watch, such as 12h; `none` is no limit."""

    fresh: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Start over: move the ledger of an earlier run to `LEDGER.1`, or the next free number, and begin a new one."""

    fail_fast: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """End the batch at the first job that does not succeed, with the exit status of that job."""

    form: Annotated[Literal["csv", "jsonl"] | None, Parameter(name="--format", show_default=False)] = None
    """The format of JOBS, if its name does not show it. For stdin: jsonl."""

    endpoint: Annotated[EndpointName | None, Parameter(metavar="NAME", show_default=False)] = None
    """The endpoint of rows that name none."""

    endpoints: FilePath = None
    """The file that declares them. Without it: pollwise.toml, your configuration folder, installed packages, the catalog."""

    base_url: Annotated[tuple[str, ...], Repeated, Parameter(metavar="NAME=URL")] = ()
    """The base URL of the endpoint NAME, instead of the declared one; may be repeated."""

    account_of: Annotated[tuple[str, ...], Repeated, Parameter(metavar="NAME=ACCOUNT")] = ()
    """The account of the endpoint NAME, instead of the one of --account; may be repeated."""

    document360_url: Annotated[Url, Parameter(env_var="DOCUMENT360_BASE_URL")] = None
    """The root of Document360's API."""

    oracle_content_url: Annotated[Url, Parameter(env_var="ORACLE_CONTENT_BASE_URL")] = None
    """The root of Oracle Content Management: https://host[:port]"""

    metrics_port: Annotated[Port | None, Parameter(metavar="PORT", show_default=False)] = None
    """Serve metrics for Prometheus at this port while the batch runs; 0 takes a free one."""

    metrics_host: Annotated[str, Parameter(metavar="ADDRESS")] = "127.0.0.1"
    """The address for --metrics-port. Any other one than this machine's own shows the metrics to the network."""

    moved_from: Annotated[tuple[str, ...], Parameter(metavar="URL", negative="", show_default=False)] = ()
    """The former URL of an API that moved: its open jobs are polled at the new URL. May be repeated."""

    def names(self) -> EndpointNames:
        """The endpoints that rows may name. Raises UsageError if an option names an endpoint that there is not."""
        extra = () if self.endpoint is None else (self.endpoint,)
        return names_of(self, extra, account=self.account, quiet=self.quiet)

    def moved(self) -> frozenset[str]:
        """The former origins of the API. Raises UsageError if a `--moved-from` is not a URL."""
        return moved_origins(self.moved_from)

    def form_of(self, jobs: str) -> Format:
        """The format of JOBS. Raises UsageError if neither `--format` nor the name states it."""
        return form_of(jobs, self.form)

    def ledger_of(self, jobs: str) -> Place:
        """The place of the ledger of JOBS. Raises UsageError for stdin without `--ledger`."""
        if self.ledger is not None:
            return self.ledger
        if jobs == "-":
            raise UsageError("jobs from stdin need --ledger FILE, which records their progress")
        return Path(f"{jobs}.ledger")

    def file_to_move(self, jobs: str) -> Path:
        """The ledger that `--fresh` moves. Raises UsageError for a database."""
        place = self.ledger_of(jobs)
        if isinstance(place, Path):
            return place
        raise UsageError(
            f"--fresh moves a file, and {place} is a database. Name another database or schema, or another account of the jobs"
        )

    def check_files(self, jobs: str) -> None:
        """Raises UsageError if two options name the same file."""
        ledger = self.ledger_of(jobs)
        named = {
            "JOBS": None if jobs == "-" else jobs,
            **read_files(self.endpoints),
            "--ledger": file_of(ledger),
            "--out": self.out,
            "--report": self.report,
        }
        check_distinct(named, ledger=file_of(ledger))

    def written_files(self) -> frozenset[str]:
        """The real paths of the files that are written beside the ledger."""
        return frozenset(os.path.realpath(path) for path in (self.out, self.report) if path is not None)

    def files_of(self, jobs: str, *, complete: bool) -> dict[str, Path]:
        """The files of the batch, by their variables for `--exec`. The results are among them if the batch is complete."""
        files = {
            "LEDGER": file_of(self.ledger_of(jobs)),
            "REPORT": self.report,
            "RESULTS": self.out if complete else None,
        }
        return {f"POLLWISE_{name}": path for name, path in files.items() if path is not None}

    def budget(self, documented_limit: RateLimit | None) -> RateBudget:
        """The budget of one endpoint's token: `--rate` if it is given, else the limit that the vendor documents."""
        return budget_of(self.rate, documented_limit)
