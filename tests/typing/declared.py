"""What a caller's type checker infers of declared endpoints."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, assert_type

import attrs

from pollwise import JobWatcher
from pollwise.endpoints.declared import Declaration, DeclaredEndpoint, DeclaredJob


@attrs.frozen
class Status:
    state: str


DECLARED = Declaration(name="a", base="https://a.example", job=["id"], poll="GET /{id}", state="s", succeeded=["x"])


async def statuses_are_json_or_the_callers_class() -> None:
    plain = DeclaredEndpoint.load("endpoints.toml", "a")
    typed = DeclaredEndpoint.load("endpoints.toml", "a", status=Status)
    assert_type(plain, DeclaredEndpoint[Any])
    assert_type(typed, DeclaredEndpoint[Status])
    assert_type(DeclaredEndpoint(DECLARED), DeclaredEndpoint[Any])
    assert_type(DeclaredEndpoint(DECLARED, status=Status), DeclaredEndpoint[Status])
    assert_type(typed.job(id="7"), DeclaredJob)
    watcher = JobWatcher(typed, timeout_s=None)
    assert_type(watcher, JobWatcher[DeclaredJob, Status, Any, Mapping[str, Any]])
    assert_type(await (await watcher.submit({"file": "a"})), Status)
    async with JobWatcher(typed, timeout_s=60) as watcher:
        assert_type(await watcher.watch(typed.job(id="7")), Status)
        assert_type(await watcher.watch(typed.job(id="7")).result(), Any)
