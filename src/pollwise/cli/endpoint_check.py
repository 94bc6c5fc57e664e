"""`pollwise endpoint check`: what is wrong with declarations, and how sample replies would be read. `list`: the catalog.

Rule 1: nothing is sent, and no environment variable is read.
Rule 2: a line for each declaration, and one for each sample and declaration. What a sample says is escaped.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pollwise.cli.exit_status import ExitStatus, UsageError
from pollwise.cli.safe_text import safe
from pollwise.endpoints.catalog import catalog
from pollwise.endpoints.declared import Declaration, DeclarationErrors, DeclaredEndpoint, load_declarations
from pollwise.endpoints.installed import installed
from pollwise.errors import MalformedReply, RateLimited
from pollwise.http.auth import BearerAuth
from pollwise.model.messages import Reply
from pollwise.model.reading import Phase

__all__ = ["check_endpoints", "list_catalog"]

_UNUSED = BearerAuth("unused")  # nothing is sent, so the environment need not have the credentials
_UNKNOWN_END = "over in a way that no rule names"
_LARGEST = 1_048_576  # as the transport's limit


def check_endpoints(file: Path, samples: Sequence[Path], name: str | None, http_status: int) -> ExitStatus:
    """Print what the declarations of a file make of sample replies.

    Args:
        file: The file of declarations.
        samples: Files with bodies of replies.
        name: The one declaration to check, or None for all.
        http_status: The status code of the samples.

    Raises:
        UsageError: A file cannot be read, or there is no such declaration.
    """
    try:
        found = load_declarations(file)
    except DeclarationErrors as errors:
        for problem in errors.problems:
            print(safe(problem, 500))
        return ExitStatus.FAILED
    if name is not None and name not in found:
        raise UsageError(f"no endpoint {safe(name)} in {safe(file)}; there are {', '.join(map(safe, found))}")
    chosen = {known: declared for known, declared in found.items() if name in {None, known}}
    replies = [
        (sample, Reply(http_status, {"Content-Type": "application/json"}, _content(sample))) for sample in samples
    ]
    for declared in chosen.values():
        for line in _lines(declared, replies):
            print(line)
    return ExitStatus.SUCCEEDED


def list_catalog() -> ExitStatus:
    """Print a line for each entry of the catalog, with the keys of a job and the vendor's page, and for installed endpoints.

    The packages are not imported, so the keys of their jobs are not known here.
    """
    for name, entry in catalog().items():
        print(safe(f"{name}: keys {_keys(entry.declaration)}; {entry.page}", 300))
    for name, there in installed().items():
        print(safe(f"{name}: of the package {there.package}", 300))
    return ExitStatus.SUCCEEDED


def _keys(declared: Declaration) -> str:
    return ", ".join(f"{key} ({kind})" for key, kind in declared.job.items())


def _lines(declared: Declaration, replies: Sequence[tuple[Path, Reply]]) -> Iterator[str]:
    endpoint: DeclaredEndpoint[Any] = DeclaredEndpoint(declared, auth=_UNUSED if declared.auth else None)
    yield safe(f"{declared.name}: ok, {declared.poll.ask}, keys {_keys(declared)}", 300)
    for sample, reply in replies:
        yield safe(f"{declared.name}: {sample}: {_read(endpoint, reply)}", 500)


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
