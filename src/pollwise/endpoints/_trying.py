"""What the checks of an endpoint have in common: calls that may raise, and bodies that no vendor sends."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

__all__ = ["GARBAGE", "JSON_TYPE", "tried"]

JSON_TYPE: Final[Mapping[str, str]] = {"Content-Type": "application/json"}
GARBAGE: Final[Mapping[str, bytes]] = {
    "an empty body": b"",
    "an HTML page": b"<!doctype html><title>502</title>",
    "broken JSON": b'{"a": ',
    "JSON null": b"null",
    "a JSON number": b"7",
    "a JSON text": b'"text"',
    "a JSON list": b"[]",
    "a list of lists": b"[[]]",
    "an empty JSON object": b"{}",
    "an object of other keys": b'{"pollwise-other": {"pollwise-other": []}}',
}


def tried(call: Callable[..., Any], *allowed: type[Exception]) -> tuple[Any, str]:
    """What the call returns, and the class name of what it raises, or an empty text."""
    try:
        return call(), ""
    except allowed:
        return None, ""
    except Exception as exc:  # noqa: BLE001  # this is what the checks are for
        return None, type(exc).__name__
