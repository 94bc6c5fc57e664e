"""The end of a watcher. How watches and rows end then is tested in tests/test_watcher.py and tests/durable."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise.durable.closing import close_watcher


class _Part:
    """Notes the calls of its methods; `aclose` of the named one fails."""

    def __init__(self, name: str, seen: list[str], fails: str) -> None:
        self._name, self._seen, self._fails = name, seen, fails

    def __getattr__(self, method: str) -> Any:
        done = f"{self._name}.{method}"

        async def wait(*_: object) -> None:
            self._seen.append(done)
            if done == self._fails:
                raise ZeroDivisionError

        return wait if method in {"drain", "join", "aclose"} else lambda *_: self._seen.append(done)


ORDER = [
    "recorder.begin_closing",
    "pool.drain",
    "submits.join",
    "recorder.aclose",
    "pool.aclose",
    "recorder.detach",
    "transport.aclose",
]


@pytest.mark.parametrize("fails", ["", "recorder.aclose", "pool.aclose"])
async def test_all_parts_are_closed_whatever_fails(fails: str) -> None:
    """In the order in which they need each other."""
    seen: list[str] = []
    names = ("pool", "submits", "recorder", "transport")
    pool, submits, recorder, transport = (_Part(name, seen, fails) for name in names)
    closing: Any = close_watcher
    if fails:
        with pytest.raises(ZeroDivisionError):
            await closing(pool, submits, recorder, transport, [])
    else:
        await closing(pool, submits, recorder, transport, [])
    assert seen == ORDER
