"""Declarations from a TOML or JSON file.

Rule 1: loading is strict. An unknown word is an error, because a misspelt one would be ignored.
Rule 2: everything that is wrong with a file is reported at once.
"""

from __future__ import annotations

import difflib
import operator
import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import cache, partial
from importlib.resources.abc import Traversable
from pathlib import Path, PurePath
from typing import Any, Final

import attrs
import orjson
from cattrs import BaseValidationError, Converter
from cattrs.errors import AttributeValidationNote, ForbiddenExtraKeysError

from pollwise.endpoints.declared.plan import compiled
from pollwise.endpoints.declared.problems import DeclarationErrors, DeclarationProblem, Problems
from pollwise.endpoints.declared.vocabulary import Call, Declaration, Fetch, JobKeys, Progress, Submit, Wait, Word
from pollwise.model.limits import RateLimit

__all__ = ["declarations_of", "load_declarations"]

_LARGEST: Final = 1_000_000  # bytes
_PROFILES: Final = "profiles"  # of the command, in the same files


def load_declarations(path: str | Path | Traversable) -> dict[str, Declaration]:
    """All declarations of a TOML or JSON file, by name. The ending of its name says which of the two it is.

    A file of a package is a `Traversable`, such as `importlib.resources.files("acme_jobs") / "endpoints.toml"`.

    Raises:
        DeclarationErrors: The file cannot be read, or has wrong declarations. The error has everything that is wrong.
    """
    file = str(path)
    try:
        tables = _tables(Path(path) if isinstance(path, str) else path)
    except (OSError, ValueError, RecursionError) as exc:
        why = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc) or type(exc).__name__
        raise DeclarationErrors(
            [DeclarationProblem(file=file, table=None, word=None, why=f"cannot be read: {why}")]
        ) from exc
    return declarations_of(tables, file=file)


def _tables(path: Path | Traversable) -> object:
    form = PurePath(path.name).suffix.lower()
    if form not in {".toml", ".json"}:
        raise ValueError("its name must end in .toml or .json")
    with path.open("rb") as file:
        content = file.read(_LARGEST + 1)
    if len(content) > _LARGEST:
        raise ValueError(f"it has more than {_LARGEST} bytes")
    return tomllib.loads(content.decode()) if form == ".toml" else orjson.loads(content)


def declarations_of(tables: object, *, file: str | None = None) -> dict[str, Declaration]:
    """All declarations of a mapping of tables by name, as a TOML or JSON file has them.

    Raises:
        DeclarationErrors: Declarations are wrong. The error has everything that is wrong.
    """
    found: dict[str, Declaration] = {}
    wrong: list[DeclarationProblem] = []
    if not isinstance(tables, Mapping) or not tables:
        wrong.append(
            DeclarationProblem(
                file=file, table=None, word=None, why="it must have a table for each endpoint, such as [exports]"
            )
        )
        tables = {}
    for name, table in tables.items():
        if name == _PROFILES and _has_profiles(table):
            continue
        problems = Problems(name, file)
        declaration = _declaration(name, table, problems)
        if declaration is not None:
            compiled(declaration, problems)
            found[name] = declaration
        wrong += problems.found
    if wrong:
        raise DeclarationErrors(wrong)
    return found


def _has_profiles(table: object) -> bool:
    """Whether this is the table with the profiles of the command, and not a declaration of that name."""
    return isinstance(table, Mapping) and all(isinstance(profile, Mapping) for profile in table.values())


def _declaration(name: str, table: object, problems: Problems) -> Declaration | None:
    """The declaration of one table, or None if a word has a wrong value."""
    if not isinstance(table, Mapping):
        problems.add(None, f"it must be a table, got {_kind(table)}")
        return None
    if "name" in table:
        problems.add("name", "the name is that of the table; leave this word out")
        return None
    try:
        return _converter().structure({"name": name, **table}, Declaration)
    except BaseValidationError as exc:
        wrong = list(_reasons(exc, ()))
    for word, why in wrong:
        problems.add(word, why)
    _check_rest(name, table, {str(word).partition(".")[0] for word, _ in wrong}, problems)
    return None


def _check_rest(name: str, table: Mapping[str, Any], wrong: set[str], problems: Problems) -> None:
    """Add the problems of the words that have a right value."""
    rest = {word: value for word, value in table.items() if word not in wrong}
    with suppress(BaseValidationError):
        more = Problems(name)
        compiled(_converter().structure({"name": name, **rest}, Declaration), more)
        for problem in more.found:
            if problem.word is not None and problem.word.partition(".")[0] not in wrong:
                problems.add(problem.word, problem.why)


@cache
def _converter() -> Converter:
    converter = Converter(forbid_extra_keys=True)
    for exact in (str, int, bool):
        converter.register_structure_hook(exact, partial(_exactly, exact))
    converter.register_structure_hook(float, _number)
    for kind, read in _HOOKS:
        converter.register_structure_hook_func(partial(operator.eq, kind), read)
    call = converter.get_structure_hook(Call)
    converter.register_structure_hook(Call, partial(_text_or_table, lambda text: Call(ask=text), call))
    fetch = partial(_text_or_table, str, lambda value, _: converter.structure(value, Fetch))
    converter.register_structure_hook_func(partial(operator.eq, str | Fetch | None), fetch)
    converter.register_structure_hook_func(partial(operator.eq, Fetch | None), partial(_fetch_table, converter))
    converter.register_structure_hook_func(partial(operator.eq, Submit | None), partial(_submit_table, converter))
    converter.register_structure_hook_func(partial(operator.eq, tuple[int, ...]), _codes)
    for kind in (Progress, Wait):
        read = converter.get_structure_hook(kind)
        converter.register_structure_hook(kind, partial(_of_table, read))
    converter.register_structure_hook(RateLimit, _rate_limit)
    return converter


def _exactly(kind: type, value: object, _type: object = None, /) -> Any:
    if type(value) is not kind:
        raise TypeError(f"it must be a {_EXACT[kind]}, got {_kind(value)}")
    return value


def _words(value: object, _type: object, /) -> tuple[Word, ...]:
    if not isinstance(value, list) or any(type(word) not in (str, int, bool) for word in value):
        raise TypeError("write a list of texts, whole numbers or truth values")
    return tuple(value)


def _by_phase(value: object, kind: object, /) -> dict[str, tuple[Word, ...]]:
    return {str(phase): _words(words, kind) for phase, words in _table(value).items()}


def _table(value: object, _type: object = None, /) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise TypeError(f"it must be a table, got {_kind(value)}")
    return value


def _of_table(read: Callable[[Any, Any], Any], value: object, kind: Any, /) -> Any:
    return read(_table(value), kind)


def _codes(value: object, _type: object, /) -> tuple[int, ...]:
    if not isinstance(value, list):
        raise TypeError(f"it must be a list of status codes, got {_kind(value)}")
    return tuple(_exactly(int, code) for code in value)


def _texts(value: object, _type: object, /) -> dict[str, str]:
    return {name: _exactly(str, text) for name, text in _table(value).items()}


def _job(value: object, kind: object, /) -> dict[str, str]:
    if isinstance(value, list):
        return dict.fromkeys((_exactly(str, name) for name in value), "str")
    return _texts(value, kind)


def _text_or_number(value: object, _type: object, /) -> str | float:
    if type(value) not in (str, int, float):
        raise TypeError(f"it must be an expression or a number, got {_kind(value)}")
    return value  # type: ignore[return-value]  # looked at one line before


def _text_or_table(
    of_text: Callable[[str], Any], of_table: Callable[[Any, Any], Any], value: object, kind: Any, /
) -> Any:
    if isinstance(value, str):
        return of_text(value)
    if not isinstance(value, dict):
        raise TypeError(f"it must be a text or a table, got {_kind(value)}")
    return of_table(value, kind)


def _fetch_table(converter: Converter, value: object, _type: object, /) -> Fetch:
    return converter.structure(_table(value), Fetch)


def _submit_table(converter: Converter, value: object, _type: object, /) -> Submit:
    return converter.structure(_table(value), Submit)


def _text_list(value: object, _type: object, /) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError(f"it must be a list of texts, got {_kind(value)}")
    return tuple(_exactly(str, text) for text in value)


def _number(value: object, _type: object, /) -> float:
    if type(value) not in (int, float):
        raise TypeError(f"it must be a number, got {_kind(value)}")
    return value  # type: ignore[return-value]  # looked at one line before


def _text_or_texts(value: object, kind: object, /) -> str | dict[str, str]:
    return value if isinstance(value, str) else _texts(value, kind)


def _rate_limit(value: object, _type: object, /) -> RateLimit:
    match = _RATE(value) if isinstance(value, str) else None
    if match is None:
        raise TypeError("write a number of requests in a unit of time, such as '500/min'")
    return RateLimit(int(match[1]), per_s=float(match[2] or 1) * _UNITS_S[match[3]])


def _unchanged(value: Any, _type: object, /) -> Any:
    return value


_EXACT: Final[Mapping[type, str]] = {str: "text", int: "whole number", bool: "truth value"}
_RATE: Final = re.compile(r"([1-9]\d{0,8}) ?/ ?([1-9]\d{0,5})? ?(s|second|min|minute|h|hour|d|day)", re.ASCII).fullmatch
_UNITS_S: Final[Mapping[str, float]] = {
    "s": 1.0,
    "second": 1.0,
    "min": 60.0,
    "minute": 60.0,
    "h": 3600.0,
    "hour": 3600.0,
    "d": 86_400.0,
    "day": 86_400.0,
}
_LATER: Final[Mapping[str, str]] = {
    "many": "one request for many jobs cannot be declared yet; leave the word out, and each job is asked for by itself",
    "hold_s": "long polling cannot be declared yet; leave the word out, and the status is polled",
    "heeds": "leave the word out: a declaration looks at no header field but that of next, which is heeded without it",
}
_HOOKS: Final[Sequence[tuple[Any, Callable[[Any, Any], Any]]]] = (
    (tuple[Word, ...], _words),
    (JobKeys, _job),
    (Mapping[str, str], _texts),
    (Mapping[str, tuple[Word, ...]], _by_phase),
    (Mapping[str, Any], _table),
    (tuple[str, ...], _text_list),
    (str | Mapping[str, str], _text_or_texts),
    (str | float, _text_or_number),
    (Any, _unchanged),
)


# --- sentences --------------------------------------------------------------------------------


def _reasons(exc: BaseException, words: tuple[str, ...]) -> Iterator[tuple[str | None, str]]:
    """The word and the reason of each failure in an error of cattrs."""
    if isinstance(exc, BaseValidationError):
        for inner in exc.exceptions:
            yield from _reasons(inner, (*words, *_attribute(inner)))
        return
    place = ".".join(words) or None
    match exc:
        case ForbiddenExtraKeysError():
            for word in sorted(exc.extra_fields):
                yield ".".join((*words, word)), _LATER.get(word) or f"there is no such word{_near(word, exc.cl)}"
        case KeyError():
            yield place, "it is missing"
        case _:
            yield place, str(exc)


def _attribute(exc: BaseException) -> tuple[str, ...]:
    """The field that cattrs notes on an error, if it notes one."""
    return tuple(note.name for note in getattr(exc, "__notes__", ()) if isinstance(note, AttributeValidationNote))


def _near(word: str, kind: type) -> str:
    near = difflib.get_close_matches(word, [field.name for field in attrs.fields(kind)], 1)
    return f"; did you mean {near[0]}?" if near else ""


def _kind(value: object) -> str:
    return type(value).__name__
