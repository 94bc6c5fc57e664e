"""What the command prints about an error: a sentence for each class, made from the error's attributes.

Rule 1: the advice names options of the command, never parameters or attributes of the Python API.
Rule 2: a sentence about a watch does not name the job, because the line in which it stands does.
Rule 3: a class without a row has a sentence of its own (`str`) that is right on a command line, too.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import attrs

from pollwise.cli.job_forms import JOB_TYPES, KEYS
from pollwise.cli.safe_text import counted, safe
from pollwise.endpoints.declared import DeclaredJob
from pollwise.errors import (
    AuthenticationError,
    CallbackFailed,
    CancelDoubtful,
    CertificateRejected,
    ClockSkewed,
    ConfigurationError,
    DeadlineExceeded,
    EndpointBug,
    InsecureUrl,
    JobCancelled,
    JobFailed,
    JobNotFound,
    LedgerWriteFailed,
    MalformedReply,
    NotVisibleYet,
    OriginChanged,
    PermissionDenied,
    PollTimeout,
    PollwiseError,
    ProxyFailed,
    RateLimited,
    RequestRejected,
    ResultTooLarge,
    RetriesExhausted,
    SetupError,
    SubmitDoubtful,
    TokenError,
    UnknownHost,
    UnknownOutcome,
    UnrestoredError,
    UnsafeUrl,
    WatcherClosed,
    WatchStopped,
)
from pollwise.ledger import (
    LedgerClosed,
    LedgerFailed,
    LedgerFull,
    LedgerInUse,
    LedgerMissing,
    LedgerReadOnly,
    LedgerTooOld,
    LedgerUnreachable,
    LedgerUnwritable,
)
from pollwise.model.events import Abandoned

__all__ = ["abandoned_text", "call_error_text", "error_text", "job_text"]

_Sentence: TypeAlias = Callable[[Any], str]
_MAY_RUN = "the job may still be running"
_NEVER_SEEN = "no poll has shown the job"
_UNKEPT = "see __cause__"  # the detail in rows of ledgers that older versions wrote


def error_text(error: BaseException) -> str:
    """The sentence for this error, or for the nearest of its base classes that has one. Not yet safe to print."""
    for kind in type(error).__mro__:
        sentence = _SENTENCES.get(kind)
        if sentence is not None:
            return sentence(error)
    return str(error)


def abandoned_text(event: Abandoned[Any, Any]) -> str:
    """The sentence for the end of a watch. It does not say that a job may be running that no poll has shown."""
    text = error_text(event.error)
    return text if event.phase is not None else text.replace(_MAY_RUN, _NEVER_SEEN, 1)


def call_error_text(error: BaseException) -> str:
    """The sentence for the error of a single request about a job, such as for its result. Not yet safe to print."""
    match error:
        case DeadlineExceeded():
            limit = "the time limit" if error.timeout_s is None else f"{error.timeout_s:g} s"
            last = "" if error.last_error is None else f" The last try failed: {error_text(error.last_error)}"
            return f"there was no answer within {limit}. Allow more time with --timeout.{last}"
        case RetriesExhausted():
            span = "" if error.outage_s is None else f" within {error.outage_s:.0f} s"
            return (
                f"{_last(error.failures, 'try', 'tries')}{span} failed. Run the command again."
                f" The last one failed: {error_text(error.last_error)}"
            )
        case JobNotFound():
            return f"the server does not know it (HTTP {error.http_status}).{_server_said(error)}"
        case SubmitDoubtful() if isinstance(error.__cause__, PollwiseError):
            why = call_error_text(error.__cause__)
            return error_text(attrs.evolve(error, detail=f"{why[:1].upper()}{why[1:]}"))
        case _:
            return error_text(error)


def job_text(job: Any) -> str:
    """The job as the user named it: `document360 task_id=t-1`."""
    for endpoint, kind in JOB_TYPES.items():
        if isinstance(job, kind):
            keys = (f"{key}={safe(getattr(job, key), 120)}" for key in KEYS[endpoint])
            return " ".join([endpoint, *keys])
    if isinstance(job, DeclaredJob):
        return " ".join([safe(job.endpoint), *(f"{name}={safe(value, 120)}" for name, value in job.keys)])
    if attrs.has(type(job)):
        return " ".join(f"{name}={safe(value, 120)}" for name, value in attrs.asdict(job, recurse=False).items())
    return safe(job, 120)


def _last(number: int, one: str, many: str | None = None) -> str:
    return f"the last {one}" if number == 1 else f"all of the last {counted(number, one, many)}"


def _server_said(error: Any) -> str:
    return "" if error.problem is None else f" The server said: {str(error.problem).removesuffix('.')}."


def _deadline(error: DeadlineExceeded) -> str:
    limit = "its deadline" if error.timeout_s is None else f"{error.timeout_s:g} s"
    last = "" if error.last_error is None else f" The last poll failed: {error_text(error.last_error)}"
    cancel = "" if error.cancel is None else f" The cancel request at the deadline: {error.cancel}."
    return f"not over within {limit}; {_MAY_RUN}. Watch it again, or allow more time with --timeout.{cancel}{last}"


def _too_large(error: ResultTooLarge) -> str:
    limit = "one reply may have" if error.most_bytes is None else counted(error.most_bytes, "byte")
    return f"the job succeeded, and its result is larger than {limit}. Allow more with --max-bytes."


def _retries(error: RetriesExhausted) -> str:
    span = "" if error.outage_s is None else f" within {error.outage_s:.0f} s"
    return (
        f"{_last(error.failures, 'poll')}{span} failed; {_MAY_RUN}."
        f" Watch it again. The last poll failed: {error_text(error.last_error)}"
    )


def _not_found(error: JobNotFound) -> str:
    return (
        f"not known to the server (HTTP {error.http_status})."
        f" Check the IDs, and that these credentials started the job.{_server_said(error)}"
    )


def _rejected(error: RequestRejected) -> str:
    if 300 <= error.http_status < 400 and error.http_status != 304:
        return (
            f"the server answered with a redirect (HTTP {error.http_status}), which is not followed because it could"
            " carry the credentials elsewhere. Give the final base URL."
        )
    return (
        f"the server rejected the request (HTTP {error.http_status}). Check the IDs and the base URL."
        f"{_server_said(error)}"
    )


def _denied(error: PermissionDenied) -> str:
    return (
        f"permission denied (HTTP {error.http_status}). Give these credentials the right to read the job."
        f"{_server_said(error)}"
    )


def _unknown(error: UnknownOutcome) -> str:
    return (
        f"the job is over, but this version does not know how it ended: the server said {error.word}."
        " Look up that value in the vendor's documentation."
    )


def _unwritten(error: LedgerWriteFailed) -> str:
    effect = "the outcome is not reported" if error.asked else "nothing was asked about the job"
    return (
        f"the ledger could not be written ({error.kind}), so {effect}. Repair the ledger, then run the command again."
    )


def _limited(error: RateLimited) -> str:
    wait = "" if error.retry_after_s is None else f" The server asked for a pause of {error.retry_after_s:g} s."
    return f"the rate limit was reached (HTTP {error.http_status}).{wait}{_server_said(error)}"


def _configuration(error: ConfigurationError) -> str:
    text = str(error).replace(", which go into auth=", "; set them as environment variables")
    return text.replace("base_url", "the base URL")


def _bug(error: EndpointBug) -> str:
    if error.kind == "ConfigurationError":
        return error.detail
    detail = "" if error.detail == _UNKEPT else error.detail.removesuffix(f", {_UNKEPT}")
    words = f": {detail}" if detail else ""
    return f"the endpoint's code failed ({error.kind}{words}). This is a bug of the endpoint."


def _page(error: MalformedReply) -> str:
    if not error.is_web_page:
        return str(error)
    return (
        f"the server answered with a web page (HTTP {error.http_status}) and not with data. Check the base URL, and"
        " whether the server wants a login or a VPN first."
    )


def _certificate(error: CertificateRejected) -> str:
    check = {
        "other name": "Check the host of the base URL.",
        "unknown issuer": "If you trust its issuer, name the issuer's certificate with --ca-bundle FILE.",
        "not yet valid": "Check the clock of this machine.",
    }.get(error.flaw, "Check the clock of this machine; if it is right, the server needs a new certificate.")
    return f"the server's certificate was not accepted ({error.detail}). {check}"


def _proxy(error: ProxyFailed) -> str:
    match error.http_status:
        case None:
            check = "Check the URL in HTTPS_PROXY, or --proxy."
        case 407:
            check = "Put the user name and the password for the proxy into the URL in HTTPS_PROXY."
        case _:
            check = "Check that the proxy may connect to this host, or name the host in NO_PROXY."
    return f"{error.detail}. {check}"


def _insecure(error: InsecureUrl) -> str:
    return (
        f"{error.origin} is plain http to another machine; use https, or --allow-plain-http if every machine on the way"
        " may read the credentials"
    )


def _origin(error: OriginChanged) -> str:
    job = job_text(error.job)
    subject = f"{job} was" if error.watches == 1 else f"{error.watches} open jobs, such as {job}, were"
    return (
        f"{subject} asked about at {error.recorded}, but the command would now ask at {error.configured}. Nothing was"
        f" sent. Give the earlier URL. If {error.configured} is another server, name its account with --account. If"
        f" the API has moved there, add --moved-from {error.recorded}"
    )


_SENTENCES: Mapping[type[BaseException], _Sentence] = {
    CallbackFailed: lambda error: f"a part of pollwise raised {error.kind}: {error.detail}. This is a bug in pollwise.",
    AuthenticationError: lambda error: (
        f"{error.detail} Check that they are right and not expired, in the environment variables that have them."
        f"{_server_said(error)}"
    ),
    CertificateRejected: _certificate,
    CancelDoubtful: lambda error: (
        "the cancel request may or may not have reached the server:"
        f" {error_text(error.last_error)} Cancel the job again if the API allows that."
    ),
    ClockSkewed: lambda error: (
        f"the signature was refused (HTTP {error.http_status}), and the clock of this machine is"
        f" {abs(error.ahead_s):.0f} s {'ahead of' if error.ahead_s > 0 else 'behind'} the server's. Set the clock."
    ),
    ConfigurationError: _configuration,
    DeadlineExceeded: _deadline,
    EndpointBug: _bug,
    InsecureUrl: _insecure,
    JobCancelled: lambda error: f"cancelled: {error.reason or 'no reason given'}",
    JobFailed: lambda error: f"failed: {error.reason or 'no reason given'}",
    JobNotFound: _not_found,
    LedgerClosed: lambda error: f"{error.where} was closed while it was in use. Run the command again.",
    LedgerFailed: lambda error: (
        f"{error.where}: {error.detail}. {error.advice.replace('call again', 'run the command again')}."
    ),
    LedgerFull: lambda error: (
        f"{error.where} could not grow ({error.detail}): the disk is full, or a quota or size limit is reached."
        " Make room, then run the command again; the ledger is still usable."
    ),
    LedgerInUse: lambda error: (
        f"{error.where} is in use: one ledger is written by one process at a time. Stop the other one, use another"
        " file with --ledger, or only look at it with `pollwise ledger show`."
    ),
    LedgerMissing: lambda error: f"{error.where} does not exist. Check the path.",
    LedgerReadOnly: lambda error: (
        f"{error.where} is read-only: {error.detail}. Use the URL of the primary, or several hosts with"
        " ?target_session_attrs=read-write; to look at it, use `pollwise ledger show`."
    ),
    LedgerTooOld: lambda error: str(error).replace(
        "`pollwise ledger migrate LEDGER`", f"`pollwise ledger migrate {error.where}`"
    ),
    LedgerUnreachable: lambda error: (
        f"{error.where} cannot be reached: {error.detail}. Check that the server runs and that the network leads to it,"
        " then run the command again; nothing is done twice."
    ),
    LedgerUnwritable: lambda error: (
        f"{error.where} cannot be opened here: {error.detail}. To write it, the file and its directory must be"
        " writable; to look at it with `pollwise ledger show`, the file must be readable."
    ),
    LedgerWriteFailed: _unwritten,
    MalformedReply: _page,
    NotVisibleYet: lambda _: "the job is not visible yet (HTTP 404); pollwise asks again for a while.",
    OriginChanged: _origin,
    PermissionDenied: _denied,
    ProxyFailed: _proxy,
    PollTimeout: lambda error: f"no whole reply within {error.seconds:g} s.",
    RateLimited: _limited,
    RequestRejected: _rejected,
    ResultTooLarge: _too_large,
    RetriesExhausted: _retries,
    SetupError: lambda error: error_text(error.last_error),
    SubmitDoubtful: lambda error: (
        f"the job of the order with the key {error.key!r} may have been started."
        + (f" {error.detail}" if error.detail else "")
        + (
            " Start it again with the same key."
            if error.repeatable
            else " Look on the server before you start it again."
        )
        + (f" {error.advice}" if error.advice else "")
    ),
    TokenError: lambda error: f"the resume token cannot be used: {error.reason}.",
    UnknownHost: lambda error: (
        f"the host name {error.host} does not exist. Check the base URL, and whether this network needs a VPN or a proxy"
        " (--proxy URL)."
    ),
    UnknownOutcome: _unknown,
    UnrestoredError: lambda error: error.message or f"an earlier run stopped watching it with {error.kind}.",
    UnsafeUrl: lambda error: (
        f"the server named a URL at {error.host or 'no host'}, which was not asked: {error.reason}."
    ),
    WatchStopped: lambda _: f"the watch was stopped; {_MAY_RUN}. Watch it again to continue.",
    WatcherClosed: lambda _: f"the watch was closed; {_MAY_RUN}. Watch it again to continue.",
}
