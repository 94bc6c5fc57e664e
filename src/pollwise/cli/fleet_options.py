"""The options of `pollwise fleet`, and its database.

Rule 1: a value that is not valid is a usage error before any request is sent (options.py).
Rule 2: the URL of the database goes to the ledger and nowhere else. Messages show it without its credentials.
Rule 3: a client needs no credentials of an endpoint, because it sends nothing to it.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from pollwise.cli.batch_options import RateOption, Repeated, Url, names_of
from pollwise.cli.durations import to_timeout
from pollwise.cli.endpoint_completion import EndpointName
from pollwise.cli.exit_status import UsageError
from pollwise.cli.ledger_place import DatabaseUrl, to_place
from pollwise.cli.options import (
    CommonOptions,
    Count,
    Duration,
    EventOptions,
    FilePath,
    QueryOption,  # noqa: F401  the annotations of CommonOptions are resolved in this file, too
    WatchOptions,
)

if TYPE_CHECKING:
    from pollwise.cli.endpoint_names import EndpointNames

__all__ = ["DATABASE_VARIABLE", "FleetNames", "StatusOptions", "SubmitOptions", "WorkerOptions", "database_of"]

DATABASE_VARIABLE = "POLLWISE_POSTGRES"
"""The environment variable that has the URL of the database."""

_DAY_S = 86400.0
_HIDDEN = Parameter(parse=False, show=False)


def database_of(text: str | None) -> DatabaseUrl:
    """The database of this argument, or else that of the environment.

    Raises:
        UsageError: There is none, or it is a file.
    """
    url = text or os.environ.get(DATABASE_VARIABLE)
    if not url:
        raise UsageError(
            f"name the database, such as postgresql://user@host:5432/database, or set {DATABASE_VARIABLE}; the password can"
            " be in PGPASSWORD or the file of PGPASSFILE"
        )
    place = to_place(url)
    if not isinstance(place, DatabaseUrl):
        source = "DATABASE" if text else DATABASE_VARIABLE
        raise UsageError(
            f"{source} must be a URL such as postgresql://user@host:5432/database; several workers cannot share a file"
        )
    return place


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class FleetNames:
    """Which endpoints the names in shards and rows mean."""

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

    def names(self, account: str, *, quiet: bool, credentials: bool) -> EndpointNames:
        """The endpoints by their names.

        Args:
            account: The account of endpoints that `account_of` does not name.
            quiet: Do not say where an endpoint is from.
            credentials: Make the endpoints with their credentials.

        Raises:
            UsageError: An option names an endpoint that there is not.
        """
        return names_of(self, account=account, quiet=quiet, credentials=credentials)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class WorkerOptions(WatchOptions):
    """The options of `pollwise fleet worker`."""

    ttl: Duration = 15.0
    """How long a shard stays with a worker that does not answer. One that was killed is replaced at once."""

    name: Annotated[str | None, Parameter(metavar="NAME", show_default=False)] = None
    """The name of this worker in `pollwise fleet status`. Without it: the host and the process ID."""

    drain: Duration = 5.0
    """How long to wait for the replies to requests in flight, after Ctrl-C or SIGTERM."""

    rate: RateOption = None
    """The most requests to each endpoint and account. Without it: the limit that its vendor documents or sends."""

    concurrency: Count = 64
    """The most requests in flight, for each shard."""

    moved_from: Annotated[tuple[str, ...], Parameter(metavar="URL", negative="", show_default=False)] = ()
    """The former URL of an API that moved: its open jobs are polled at the new URL. May be repeated."""

    end_with_stdin: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """End at once when stdin, a pipe, is closed: so when the process that started this one ends in any way."""

    # A worker takes deadlines from the database, and writes no documents.
    timeout: Annotated[float | None, _HIDDEN] = None
    json: Annotated[bool, _HIDDEN] = False
    output: Annotated[Literal["json", "table"] | None, _HIDDEN] = None
    query: Annotated[Any, _HIDDEN] = None


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SubmitOptions(EventOptions):
    """The options of `pollwise fleet submit`."""

    timeout: Annotated[
        float | None, Parameter(converter=to_timeout, metavar="DURATION|none", show_default=lambda _: "1d")
    ] = _DAY_S
    """Stop watching a job DURATION after it was submitted, such as 12h; `none` is no limit."""

    split: Count = 1
    """Number of shards for the jobs of each endpoint, for more than one worker. Name the same number in every submit."""

    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Then wait for the outcomes, and show them."""

    form: Annotated[Literal["csv", "jsonl"] | None, Parameter(name="--format", show_default=False)] = None
    """The format of JOBS, if its name does not show it. For stdin: jsonl."""

    endpoint: Annotated[EndpointName | None, Parameter(metavar="NAME", show_default=False)] = None
    """The endpoint of rows that name none."""

    account: Annotated[str, Parameter(metavar="NAME", show_default=False)] = ""
    """The account of the jobs, if workers have the credentials of several accounts."""

    profile: Annotated[
        str | None, Parameter(metavar="NAME|none", env_var="POLLWISE_PROFILE", show_default=False, show_env_var=True)
    ] = None
    """Take options from [profiles.NAME] of pollwise.toml or your configuration folder. Without it: default, if there is one."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class StatusOptions(CommonOptions):
    """The options of `pollwise fleet status`."""

    watch: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Go on until Ctrl-C: live on a terminal, else a status at a time."""

    every: Duration = 1.0
    """The pause between two looks, with --watch."""
