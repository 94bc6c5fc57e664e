"""Rate limits, exact to the request."""

from __future__ import annotations

import asyncio
import email.utils
import re
import time
from typing import Any, Literal

import aiohttp
import pytest
from hand_clock import HandClock
from hypothesis import given
from hypothesis import strategies as st

from pollwise.simulator import RateLimit, ReplyOverride, Simulator
from pollwise.simulator.rate_limits import RateLimiter
from pollwise.simulator.vendor import VendorName

A_TOKEN = "t"
# Quarters of seconds are exact in floating point, so the model and the counter agree on every boundary.
MOMENTS = st.lists(st.integers(0, 80), max_size=120).map(lambda ticks: [tick / 4 for tick in sorted(ticks)])
QUARTERS = st.integers(1, 20).map(lambda tick: tick / 4)


def accepted(rule: RateLimit, moments: list[float]) -> list[bool]:
    limiter = RateLimiter(rule)
    return [limiter.acquire("document360", "token", now).accepted for now in moments]


@given(MOMENTS, st.integers(0, 5), QUARTERS)
def test_a_fixed_window_accepts_its_limit(moments: list[float], limit: int, per_s: float) -> None:
    """A window begins with the first request after the end of the last window, and accepts `limit` requests."""
    expected, begin, used = [], None, 0
    for now in moments:
        if begin is None or now - begin >= per_s:
            begin, used = now, 0
        expected.append(used < limit)
        used += used < limit
    assert accepted(RateLimit(limit=limit, per_s=per_s), moments) == expected


@given(MOMENTS, st.integers(0, 5), QUARTERS)
def test_an_aligned_window_begins_at_a_multiple(moments: list[float], limit: int, per_s: float) -> None:
    """Of the requests between two multiples of `per_s` the first `limit` are accepted."""
    expected: list[bool] = []
    used: dict[int, int] = {}
    for now in moments:
        window = int(now / per_s)
        expected.append(used.get(window, 0) < limit)
        used[window] = used.get(window, 0) + 1
    assert accepted(RateLimit(limit=limit, per_s=per_s, aligned=True), moments) == expected


@given(MOMENTS, st.integers(0, 5), QUARTERS)
def test_a_sliding_window_counts_the_last_seconds(moments: list[float], limit: int, per_s: float) -> None:
    """A request is accepted if fewer than `limit` were accepted in the `per_s` seconds before it."""
    accepted_at: list[float] = []
    expected: list[bool] = []
    for now in moments:
        accept = sum(now - earlier < per_s for earlier in accepted_at) < limit
        expected.append(accept)
        accepted_at += [now] * accept
    assert accepted(RateLimit(limit=limit, per_s=per_s, window="sliding"), moments) == expected


@given(MOMENTS, st.integers(1, 5), st.integers(1, 8), st.sampled_from([0.25, 0.5, 1.0, 2.0]))
def test_a_bucket_is_filled_evenly(moments: list[float], limit: int, burst: int, each_s: float) -> None:
    """A bucket holds `burst` requests, and gets one every `per_s / limit` seconds."""
    held, at = float(burst), 0.0
    expected: list[bool] = []
    for now in moments:
        held, at = min(float(burst), held + (now - at) / each_s), now
        expected.append(held >= 1)
        held -= held >= 1
    assert accepted(RateLimit(limit=limit, per_s=limit * each_s, window="bucket", burst=burst), moments) == expected


@given(MOMENTS, st.integers(1, 5), QUARTERS, st.sampled_from(["fixed", "sliding", "bucket"]), st.booleans())
def test_a_request_after_the_reset_is_accepted(
    moments: list[float], limit: int, per_s: float, window: Literal["fixed", "sliding", "bucket"], aligned: bool
) -> None:
    """A refusal states the seconds after which the next request is accepted."""
    rule = RateLimit(limit=limit, per_s=per_s, window=window, aligned=aligned)
    for count in range(1, len(moments) + 1):
        limiter = RateLimiter(rule)
        *_, standing = [limiter.acquire("document360", "token", now) for now in moments[:count]]
        assert 0 < standing.reset_s <= per_s
        assert 0 <= standing.remaining < limit or standing.accepted
        if not standing.accepted:
            assert standing.remaining == 0
            assert limiter.acquire("document360", "token", moments[count - 1] + standing.reset_s).accepted


async def tries(
    sim: Simulator, count: int, *, token: str = A_TOKEN, path: str = "/v2/Drive/Folders/DeleteFile/Status/task"
) -> list[tuple[int, dict[str, str]]]:
    """The status codes of `count` requests, and their header fields about limits."""
    seen = []
    async with aiohttp.ClientSession(sim.document360_url) as session:
        for _ in range(count):
            async with session.get(path, headers={"api_token": token}) as response:
                names = [name for name in response.headers if re.search("rate-?limit|retry-after", name.lower())]
                seen.append((response.status, {name: response.headers[name] for name in names}))
    return seen


async def test_the_headers_are_document360s(clock: HandClock) -> None:
    """Every reply has `Remaining`; only a refusal has `Limit` and `Reset`. A new window begins after the reset."""
    async with Simulator(clock=clock, rate_limit=RateLimit(limit=2, per_s=60)) as sim:
        sim.add_delete("task")
        first, second = await tries(sim, 2)
        clock.now += 17.5
        (refused,) = await tries(sim, 1)
        clock.now += 42.5
        (again,) = await tries(sim, 1)
    assert first == again == (200, {"X-RateLimit-Remaining": "1"})
    assert second == (200, {"X-RateLimit-Remaining": "0"})
    fields = {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "2", "X-RateLimit-Reset": "43"}
    assert refused == (429, fields)


async def test_a_refusal_is_an_envelope_and_costs_nothing(clock: HandClock) -> None:
    """429 has the vendor's envelope. A refused request uses up neither the next window nor a script entry."""
    async with (
        Simulator(clock=clock, rate_limit=RateLimit(limit=1, per_s=10)) as sim,
        aiohttp.ClientSession(sim.document360_url) as session,
    ):
        job = sim.add_delete("task", script=[None, "server-error"])
        for _ in range(5):
            async with session.get(job.path) as response:
                body = await response.json()
        assert (response.status, body["success"]) == (429, False)
        clock.now += 10
        async with session.get(job.path) as response:
            assert response.status == 500
        assert (sim.requests.accepted, sim.requests.refused) == (2, 4)
        assert (job.polls, job.admitted) == (6, 2)
        assert sim.requests.by_status == {200: 1, 429: 4, 500: 1}


async def test_every_reply_carries_the_remaining_requests(clock: HandClock) -> None:
    """404, 403 and faults with header fields have `Remaining`, too."""
    async with Simulator(clock=clock, rate_limit=RateLimit(limit=9)) as sim:
        sim.add_delete("task", script=["bad-gateway", "no-content"], forbidden=True)
        seen = await tries(sim, 3) + await tries(sim, 1, path="/v2/Drive/Folders/DeleteFile/Status/unknown")
    assert [(status, fields["X-RateLimit-Remaining"]) for status, fields in seen] == [
        (502, "8"),
        (204, "7"),
        (403, "6"),
        (404, "5"),
    ]


async def test_a_refused_credential_costs_nothing() -> None:
    """401 is decided before the limit, and has no header fields about it."""
    async with Simulator(api_token="good", rate_limit=RateLimit(limit=1)) as sim:
        sim.add_delete("task")
        assert await tries(sim, 2, token="bad") == [(401, {}), (401, {})]
        assert await tries(sim, 1, token="good") == [(200, {"X-RateLimit-Remaining": "0"})]


async def test_each_token_has_its_own_budget() -> None:
    """The requests of one token do not use up the budget of another."""
    async with Simulator(rate_limit=RateLimit(limit=1)) as sim:
        sim.add_delete("task")
        assert [(await tries(sim, 1, token=token))[0][0] for token in ("a", "a", "b")] == [200, 429, 200]


async def test_another_client_may_spend_the_budget() -> None:
    """`spend` uses up requests of a token, as another process would."""
    async with Simulator(rate_limit=RateLimit(limit=5)) as sim:
        sim.add_delete("task")
        sim.spend(3, token=A_TOKEN)
        assert [status for status, _ in await tries(sim, 3)] == [200, 200, 429]
        assert (sim.requests.accepted, sim.requests.refused) == (2, 1)


async def test_spend_needs_a_rate_limit() -> None:
    """Without a rate limit `spend` raises RuntimeError."""
    async with Simulator() as sim:
        with pytest.raises(RuntimeError):
            sim.spend(1)


async def test_oracle_content_is_limited_on_request() -> None:
    """By default only Document360 is limited. If both are, each has its own budget."""
    both: list[VendorName] = ["document360", "oracle-content"]
    for vendors, expected in ((both[:1], [200, 200]), (both, [200, 429])):
        async with Simulator(rate_limit=RateLimit(limit=1, vendors=vendors)) as sim:
            path = sim.add_extraction("FILE", "ZX-1").path
            sim.spend(1)
            assert [status for status, _ in await tries(sim, 2, path=path)] == expected


@pytest.mark.parametrize(
    ("options", "on_success", "on_refusal"),
    [
        (
            {"headers": "always"},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1", "X-RateLimit-Reset": "1"},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1", "X-RateLimit-Reset": "1"},
        ),
        (
            {"headers": "always", "fractional": True},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1", "X-RateLimit-Reset": "0.500"},
            {"X-RateLimit-Remaining": "0", "X-RateLimit-Limit": "1", "X-RateLimit-Reset": "0.400"},
        ),
        ({"headers": "hidden"}, {}, {}),
        ({"headers": "hidden", "retry_after": "seconds"}, {}, {"Retry-After": "1"}),
        ({"headers": "hidden", "retry_after": "seconds", "fractional": True}, {}, {"Retry-After": "0.400"}),
        (
            {"headers": "hidden", "ietf": True},
            {"RateLimit-Policy": '"default";q=1;w=1', "RateLimit": '"default";r=0;t=1'},
            {"RateLimit-Policy": '"default";q=1;w=1', "RateLimit": '"default";r=0;t=1'},
        ),
        ({"headers": "hidden", "retry_after": "retry-after-ms"}, {}, {"retry-after-ms": "400"}),
        ({"headers": "hidden", "retry_after": "x-ms-retry-after-ms"}, {}, {"x-ms-retry-after-ms": "400"}),
        (
            {"style": "x-rate-limit"},
            {"X-Rate-Limit-Remaining": "0"},
            {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Limit": "1", "X-Rate-Limit-Reset": "1"},
        ),
        (
            {"style": "ratelimit", "policy": True},
            {"RateLimit-Remaining": "0"},
            {"RateLimit-Remaining": "0", "RateLimit-Limit": "1, 1;w=1", "RateLimit-Reset": "1"},
        ),
        (
            {"style": "requests", "reset": "duration"},
            {"x-ratelimit-remaining-requests": "0"},
            {
                "x-ratelimit-remaining-requests": "0",
                "x-ratelimit-limit-requests": "1",
                "x-ratelimit-reset-requests": "400ms",
            },
        ),
    ],
)
async def test_limits_are_announced_as_configured(
    clock: HandClock, options: dict[str, Any], on_success: dict[str, str], on_refusal: dict[str, str]
) -> None:
    """The header fields have the configured names and formats. Whole seconds are rounded up, fractions are exact."""
    clock.now = 0.0
    async with Simulator(clock=clock, rate_limit=RateLimit(limit=1, per_s=0.5, **options)) as sim:
        sim.add_delete("task")
        (success,) = await tries(sim, 1)
        clock.now += 0.1
        (refusal,) = await tries(sim, 1)
        clock.now += 0.4
        (again,) = await tries(sim, 1)
    assert success == again == (200, on_success)
    assert refusal == (429, on_refusal)


@pytest.mark.parametrize("vendor", ["document360", "oracle-content"])
@pytest.mark.parametrize("refusal", [200, 400, 402, 403, 409, 420, 423, 429])
async def test_a_limit_may_refuse_with_any_code(refusal: int, vendor: VendorName) -> None:
    """With any status code the body is the vendor's error document about the limit, and the counts are the same."""
    rule = RateLimit(limit=1, refusal=refusal, retry_after="seconds", vendors=[vendor])
    async with Simulator(rate_limit=rule) as sim, aiohttp.ClientSession(sim.document360_url) as session:
        job = sim.add_delete("task") if vendor == "document360" else sim.add_extraction("FILE", "ZX-1")
        async with session.get(job.path) as response:
            assert (response.status, "Retry-After" in response.headers) == (200, False)
        async with session.get(job.path) as response:
            assert (response.status, response.headers["Retry-After"]) == (refusal, "60")
            body = await response.text()
        assert ("RATE_LIMIT_EXCEEDED" in body) or ("csTooManyRequests" in body)
        assert (sim.requests.accepted, sim.requests.refused) == (1, 1)


async def test_a_script_may_send_wrong_limit_fields() -> None:
    """A script's header fields replace those of the limit."""
    wrong = ReplyOverride({"x-ratelimit-remaining": "0", "X-RateLimit-Reset": "60000"})
    async with Simulator(rate_limit=RateLimit(limit=60)) as sim:
        sim.add_delete("task", script=[wrong])
        first, second = await tries(sim, 2)
    assert first == (200, {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "60000"})
    assert second == (200, {"X-RateLimit-Remaining": "58"})


async def test_retry_after_may_be_a_date() -> None:
    """The date is an HTTP date, and not before the window's end."""
    async with Simulator(rate_limit=RateLimit(limit=0, per_s=30, headers="hidden", retry_after="date")) as sim:
        sim.add_delete("task")
        before = time.time()
        ((status, fields),) = await tries(sim, 1)
    until = email.utils.parsedate_to_datetime(fields["Retry-After"]).timestamp()
    assert status == 429
    assert before + 30 <= until <= time.time() + 31
    assert fields["Retry-After"].endswith(" GMT")


@pytest.mark.looptime
async def test_limits_use_the_loops_time() -> None:
    """In virtual time a window of a minute is exact to the request."""
    async with (
        Simulator(rate_limit=RateLimit(limit=20, per_s=60)) as sim,
        aiohttp.ClientSession(sim.document360_url) as session,
    ):
        path = sim.add_delete("task", duration_s=1e6).path
        for _ in range(50):
            async with session.get(path) as response:
                if response.status == 429:
                    await asyncio.sleep(float(response.headers["X-RateLimit-Reset"]))
        assert (sim.requests.accepted, sim.requests.refused) == (48, 2)


@pytest.mark.parametrize(
    "wrong",
    [
        {"limit": -1},
        {"per_s": 0},
        {"window": "round"},
        {"headers": "loud"},
        {"burst": 0},
        {"style": "?"},
        {"reset": "?"},
        {"refusal": 404},
        {"retry_after": "?"},
    ],
)
def test_an_invalid_limit_is_refused(wrong: dict[str, Any]) -> None:
    """`RateLimit` checks its values when it is created."""
    with pytest.raises(ValueError):  # noqa: PT011 - that it is one is the promise
        RateLimit(**wrong)
