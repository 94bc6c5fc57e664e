"""The options that commands share, and the checks of their values.

Rule 1: a value that is not valid is a usage error before any request is sent. NaN and infinity are not valid.
Rule 2: no option takes a secret, because every process of the machine can read the arguments. Secrets are read from the
environment.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import attrs
from cyclopts import Parameter

from pollwise.cli.durations import duration_text, to_duration, to_timeout
from pollwise.cli.exit_status import UsageError
from pollwise.cli.query import Query, parse_query

if TYPE_CHECKING:
    from pollwise.cli.documents import Documents, DocumentWriter
    from pollwise.core.pacing import Pacing

__all__ = [
    "CancelOptions",
    "CommonOptions",
    "Count",
    "Duration",
    "EndpointOptions",
    "EventOptions",
    "FilePath",
    "LogOptions",
    "Names",
    "Port",
    "QueryOption",
    "ReadOptions",
    "ResultOptions",
    "Seed",
    "Share",
    "SubmitOptions",
    "WatchOptions",
]


def _number(text: str, expected: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise ValueError(f"expected {expected}, got {text!r}")
    return number


def _shown_duration(seconds: float | None) -> Any:
    """A default in the help. None is not shown."""
    return None if seconds is None else duration_text(seconds)


def _to_share(_type: Any, tokens: Any) -> float:
    share = _number(tokens[0].value, "a number from 0 to 1")
    if not 0 <= share <= 1:
        raise ValueError(f"expected a number from 0 to 1, got {tokens[0].value!r}")
    return share


def _to_whole(least: int, most: float) -> Callable[[Any, Any], int]:
    def convert(_type: Any, tokens: Any) -> int:
        text = tokens[0].value
        if not re.fullmatch(r"[+-]?[0-9]{1,18}", text) or not least <= int(text) <= most:
            limit = f"of at least {least}" if most == math.inf else f"from {least} to {most:g}"
            raise ValueError(f"expected a whole number {limit}, got {text!r}")
        return int(text)

    return convert


def _to_query(_type: Any, tokens: Any) -> Query:
    return parse_query(tokens[0].value)


Duration = Annotated[float, Parameter(converter=to_duration, metavar="DURATION", show_default=_shown_duration)]
Share = Annotated[float, Parameter(converter=_to_share, metavar="RATE")]
Port = Annotated[int, Parameter(converter=_to_whole(0, 65535), metavar="N")]
Seed = Annotated[int, Parameter(converter=_to_whole(0, math.inf), metavar="N")]
QueryOption = Annotated[
    Query | None,
    Parameter(converter=_to_query, accepts_keys=False, n_tokens=1, metavar="EXPRESSION", show_default=False),
]
FilePath = Annotated[Path | None, Parameter(metavar="FILE", show_default=False)]
Names = Annotated[tuple[str, ...], Parameter(metavar="NAME", negative="", consume_multiple=False, show_default=False)]
Count = Annotated[int, Parameter(converter=_to_whole(1, math.inf), metavar="N")]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class LogOptions:
    """Options of every command."""

    verbose: Annotated[bool, Parameter(name=["--verbose", "-v"], negative="", show_default=False)] = False
    """Write the whole log to stderr, with the traceback of a bug."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class CommonOptions(LogOptions):
    """Options of every command that can write JSON documents to stdout."""

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Write JSON to stdout: one line for each event. The same as --output json."""

    output: Annotated[Literal["json", "table"] | None, Parameter(show_default=False)] = None
    """Write JSON documents to stdout, or a table of them."""

    query: QueryOption = None
    """Write only what this JMESPath expression gives of each JSON document."""

    def __attrs_post_init__(self) -> None:
        """Raises UsageError if two options contradict each other."""
        if self.json and self.output == "table":
            raise UsageError("--json and --output table contradict each other; give one of them")

    @property
    def as_json(self) -> bool:
        """Whether --json or --output json is given."""
        return self.json or self.output == "json"

    @property
    def writes_documents(self) -> bool:
        """Whether stdout has JSON documents, a table or the values of a query, and no texts."""
        return self.json or self.output is not None or self.query is not None

    def documents(self, *, stream: bool = True) -> Documents:
        """Makes the lines of documents."""
        from pollwise.cli.documents import Documents  # noqa: PLC0415  `--help` imports no engine

        return Documents(self.query, table=self.output == "table", stream=stream)

    def writer(self, *, stream: bool = True) -> DocumentWriter:
        """Writes documents to stdout."""
        from pollwise.cli.documents import DocumentWriter  # noqa: PLC0415  `--help` imports no engine

        return DocumentWriter(self.documents(stream=stream))


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class EventOptions(CommonOptions):
    """Options of every command that shows events."""

    quiet: Annotated[bool, Parameter(name=["--quiet", "-q"], negative="", show_default=False)] = False
    """Show no progress: only outcomes, results and errors."""

    def __attrs_post_init__(self) -> None:
        """Raises UsageError if two options contradict each other."""
        super(EventOptions, self).__attrs_post_init__()  # noqa: UP008  attrs makes a new class with slots
        if self.quiet and self.verbose:
            raise UsageError("--quiet and --verbose contradict each other; give one of them")


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class WatchOptions(EventOptions):
    """Options of every command that watches jobs of a real server."""

    timeout: Annotated[
        float | None, Parameter(converter=to_timeout, metavar="DURATION|none", show_default=lambda _: "1h")
    ] = 3600.0
    """Stop watching after DURATION, such as 90s or 1h30m; a plain number is seconds, `none` is no limit."""

    interval: Duration | None = None
    """Ask every DURATION. With --max-interval: the shortest interval."""

    max_interval: Duration | None = None
    """The longest interval; pollwise chooses between the two. Without both options: 1s and 60s."""

    account: Annotated[str, Parameter(metavar="NAME", show_default=False)] = ""
    """The account of the credentials, if one ledger has the jobs of several accounts."""

    allow_plain_http: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Allow http:// to another machine. Every machine on the way can then read the credentials."""

    proxy: Annotated[str | None, Parameter(metavar="URL|none", show_default=False)] = None
    """Send requests through this proxy. Without it: HTTPS_PROXY, HTTP_PROXY or ALL_PROXY; NO_PROXY names exceptions."""

    ca_bundle: FilePath = None
    """Trust the certificate authorities in this PEM file, instead of those of the system."""

    cert: FilePath = None
    """Send the client certificate in this PEM file, which has its private key, too, unless --cert-key names one."""

    cert_key: FilePath = None
    """The PEM file with the private key of --cert."""

    profile: Annotated[
        str | None, Parameter(metavar="NAME|none", env_var="POLLWISE_PROFILE", show_default=False, show_env_var=True)
    ] = None
    """Take options from [profiles.NAME] of pollwise.toml or your configuration folder. Without it: default, if there is one."""

    def pacing(self) -> Pacing:
        """How often to ask.

        Raises:
            UsageError: The shortest interval is longer than the longest.
        """
        from pollwise.core.pacing import Pacing  # noqa: PLC0415  `--help` imports no engine

        shortest, longest = self.interval, self.max_interval
        if shortest is not None and longest is None:
            return Pacing.fixed(shortest)
        if shortest is not None and longest is not None and shortest > longest:
            raise UsageError(
                f"--interval {duration_text(shortest)} is longer than --max-interval {duration_text(longest)}; swap them"
            )
        usual = Pacing()
        longest = usual.max_s if longest is None else longest
        return Pacing(min_s=min(usual.min_s, longest) if shortest is None else shortest, max_s=longest)


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class EndpointOptions(WatchOptions):
    """Options of every command that takes an endpoint by its name."""

    endpoints: FilePath = None
    """The file that declares it. Without it: pollwise.toml, your configuration folder, installed packages, the catalog."""

    base_url: Annotated[str | None, Parameter(metavar="URL", show_default=False)] = None
    """Replaces the declared base URL."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ResultOptions(EndpointOptions):
    """The options of `pollwise result`."""

    out: Annotated[Path | None, Parameter(name=["--out", "-o"], metavar="FILE", show_default=False)] = None
    """Write the result to this file, whole or not at all. Needed for bytes on a terminal."""

    max_bytes: Annotated[
        int | None,
        Parameter(
            converter=_to_whole(1, math.inf),
            metavar="N",
            show_default=lambda _: "67108864 in memory, 1073741824 streamed to a file",
        ),
    ] = None
    """The largest result."""

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Write the events to stderr as JSON lines. The same as --output json."""

    @property
    def shows_bytes(self) -> bool:
        """Whether the result is written as it is."""
        return self.query is None and self.output != "table"


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class CancelOptions(EndpointOptions):
    """The options of `pollwise cancel`."""

    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Then watch the job to its outcome."""


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class SubmitOptions(ResultOptions):
    """The options of `pollwise submit`."""

    order: Annotated[Path | None, Parameter(metavar="FILE", show_default=False, allow_leading_hyphen=True)] = None
    """A file with the order as one JSON object, instead of KEY=VALUE; - for stdin."""

    key: Annotated[str | None, Parameter(metavar="KEY", show_default=False)] = None
    """Names the order, and is the idempotency key where the API takes one. Without it: a random one."""

    wait: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Then watch the job to its outcome."""

    result: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Then watch the job, and write its result; -o FILE means the same."""

    json: Annotated[bool, Parameter(negative="", show_default=False)] = False
    """Write the job and its events as JSON lines: to stdout, or with --result to stderr. The same as --output json."""

    @property
    def wants_result(self) -> bool:
        """Whether to write the result of the job."""
        return self.result or self.out is not None

    @property
    def waits(self) -> bool:
        """Whether to watch the job."""
        return self.wait or self.wants_result


_Text = Annotated[str | None, Parameter(metavar="EXPRESSION", show_default=False)]
_Words = Annotated[tuple[str, ...], Parameter(metavar="WORD", negative="", consume_multiple=False, show_default=False)]
_Variable = Annotated[str | None, Parameter(metavar="VARIABLE", show_default=False)]


@Parameter(name="*")
@attrs.frozen(kw_only=True)
class ReadOptions:
    """How `watch url` reads a reply. The words are those of a declaration."""

    state: _Text = None
    """The field with the word for the state, such as task.status; any JMESPath."""

    queued: _Words = ()
    """A word for a job that waits; may be repeated, as all of these words."""

    running: _Words = ()
    """A word for a job at work."""

    succeeded: _Words = ()
    """A word for a success."""

    failed: _Words = ()
    """A word for a failure."""

    cancelled: _Words = ()
    """A word for a cancellation."""

    succeeded_when: _Text = None
    """An expression that is true once the job has succeeded."""

    failed_when: _Text = None
    """An expression that is true once the job has failed."""

    progress: _Text = None
    """An expression that gives the percentage that is done."""

    reason: _Text = None
    """An expression that gives the reason of a failure."""

    bearer_env: _Variable = None
    """The environment variable that has a bearer token."""

    key_env: _Variable = None
    """The environment variable that has an API key; needs --key-header."""

    key_header: Annotated[str | None, Parameter(metavar="FIELD", show_default=False)] = None
    """The header field for the API key, such as X-API-Key."""

    def words(self) -> dict[str, Any]:
        """The words of the declaration."""
        return {
            field.name: getattr(self, field.name)
            for field in attrs.fields(ReadOptions)
            if field.name not in {"bearer_env", "key_env", "key_header"}
        }

    def auth(self) -> dict[str, str] | None:
        """Where the credentials are, as in a declaration.

        Raises:
            UsageError: The options do not fit each other.
        """
        if (self.key_env is None) != (self.key_header is None):
            raise UsageError("--key-env and --key-header belong together")
        if self.bearer_env is not None and self.key_env is not None:
            raise UsageError("give one of --bearer-env and --key-env")
        if self.bearer_env is not None:
            return {"bearer": self.bearer_env}
        return (
            None
            if self.key_env is None or self.key_header is None
            else {"key": self.key_env, "header": self.key_header}
        )
