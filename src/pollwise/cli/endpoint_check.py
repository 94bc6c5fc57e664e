"""`pollwise endpoint check`: what is wrong with declarations, and how sample replies would be read.

Rule 1: nothing is sent, and no environment variable is read.
Rule 2: a line for each declaration, and one for each sample and declaration. What a sample says is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from multidict import CIMultiDict

from pollwise.cli.declared import keys_of
from pollwise.cli.endpoint_requests import further_readings, own_requests
from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.declared import Declaration, DeclarationErrors, DeclaredEndpoint, load_declarations
from pollwise.errors import MalformedReply, RateLimited
from pollwise.http.auth import BearerAuth
from pollwise.http.credentials import is_field_name
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase

__all__ = ["check_endpoints", "keys_text"]

_UNUSED = BearerAuth("unused")  # nothing is sent, so the environment need not have the credentials
_UNKNOWN_END = "over in a way that no rule names"
_LARGEST = 1_048_576  # as the transport's limit


def check_endpoints(
    file: Path,
    samples: Sequence[Path],
    name: str | None,
    http_status: int,
    *,
    keys: Sequence[str] = (),
    headers: Sequence[str] = (),
) -> ExitStatus:
    """Print what the declarations of a file make of sample replies.

    Args:
        file: The file of declarations.
        samples: Files with bodies of replies.
        name: The one declaration to check, or None for all.
        http_status: The status code of the samples.
        keys: The keys of a job, each as KEY=VALUE. With them, the requests for this job are printed, too.
        headers: Header fields of the samples, each as `FIELD: VALUE`.

    Raises:
        UsageError: A file cannot be read, there is no such declaration, or none has such keys.
        ConfigurationError: A key is wrong.
    """
    given, fields = keys_of(keys), _fields(headers)
    try:
        found = load_declarations(file)
    except DeclarationErrors as errors:
        for problem in errors.problems:
            print(safe(problem, 500))
        return ExitStatus.FAILED
    if name is not None and name not in found:
        raise UsageError(f"no endpoint {safe(name)} in {safe(file)}; there are {', '.join(map(safe, found))}")
    chosen = {known: declared for known, declared in found.items() if name in {None, known}}
    if given and not any(set(given) == set(declared.job) for declared in chosen.values()):
        wanted = "; ".join(f"{safe(known)} has {keys_text(declared)}" for known, declared in chosen.items())
        raise UsageError(f"no endpoint has exactly the keys {', '.join(map(safe, given))}: {wanted}")
    replies = [(sample, Reply(http_status, fields, _content(sample))) for sample in samples]
    for declared in chosen.values():
        for line in _lines(declared, replies, given if set(given) == set(declared.job) else {}):
            print(line)
    return ExitStatus.SUCCEEDED


def keys_text(declared: Declaration) -> str:
    """The keys of a job with their types, such as `id (int)`."""
    return ", ".join(f"{key} ({kind})" for key, kind in declared.job.items())


def _lines(declared: Declaration, replies: Sequence[tuple[Path, Reply]], keys: Mapping[str, str]) -> Iterator[str]:
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(declared, auth=_UNUSED if declared.auth else None)
    job = endpoint.codec.job_from_keys(keys) if keys else None
    yield safe(f"{declared.name}: ok, {declared.poll.ask}, keys {keys_text(declared)}", 300)
    for line in () if job is None else own_requests(endpoint, job):
        yield safe(f"{declared.name}: {line}", 500)
    for sample, reply in replies:
        yield safe(f"{declared.name}: {sample}: {_read(endpoint, reply)}", 500)
        for line in () if job is None else further_readings(endpoint, job, reply):
            yield safe(f"{declared.name}: {sample}: {line}", 700)


def _fields(headers: Sequence[str]) -> Mapping[str, str]:
    """The header fields of the samples. The last one of a name counts."""
    fields = CIMultiDict({"Content-Type": "application/json"})
    for text in headers:
        name, colon, value = text.partition(":")
        if not colon or not is_field_name(name):
            raise UsageError("write a header field of the samples as 'FIELD: VALUE', such as 'Location: /jobs/7'")
        fields[name] = value.strip()
    return fields


def _read(endpoint: DeclaredEndpoint[Any], reply: Reply) -> str:
    why = endpoint.why(reply)
    try:
        reading = endpoint.read(reply)
    except RateLimited:
        return "rate limited, because limited is true"
    except MalformedReply as exc:
        return f"no reading: {exc.reason}" if 200 <= reply.status < 300 else f"a refusal, because {why}"
    state = _UNKNOWN_END if reading.final and reading.phase is Phase.RUNNING else reading.phase.value
    phase = f"{state}{', to be confirmed' if reading.unconfirmed else ''}"
    more = [
        "" if reading.fraction is None else f"; {reading.fraction:.0%} done",
        "" if reading.reason is None else f"; reason {reading.reason!r}",
        "" if reading.poll_after_s is None else f"; wait {reading.poll_after_s:g} s",
    ]
    return f"{phase}, because {why}{''.join(more)}"


def _content(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(_LARGEST)
    except OSError as error:
        raise UsageError(f"cannot read {safe(path)}: {error.strerror}") from error
