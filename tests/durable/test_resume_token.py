"""Resume tokens: short, without a secret, and used whole or not at all, whatever the text is."""

from __future__ import annotations

import asyncio
import base64
from typing import Any

import orjson
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from kept_toy import NOON_S, KeptToyEndpoint, MemoryLedger, keeping
from pollwise.core.pacing import Pacing
from pollwise.durable.resume_token import read_token
from pollwise.endpoints.document360 import DeleteFileEndpoint, DeleteFileJob
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import ConfigurationError, DeadlineExceeded, TokenError, WatcherClosed
from pollwise.http.auth import ApiKeyAuth
from pollwise.ledger import OpenWatch
from pollwise.model.events import Abandoned, Progressed
from pollwise.model.reading import Phase
from pollwise.testing import ScriptedTransport
from pollwise.watcher import JobWatcher
from toy import FAILED, RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, running

ENDPOINT = KeptToyEndpoint()


def now() -> float:
    return asyncio.get_running_loop().time()


def said(token: str) -> dict[str, Any]:
    """The fields of a token, which are readable without a key."""
    assert token.startswith("pw2.")
    text = token.removeprefix("pw2.")
    found: dict[str, Any] = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    return found


def made(document: object, version: int = 1) -> str:
    raw = document if isinstance(document, bytes) else orjson.dumps(document)
    return f"pw{version}." + base64.urlsafe_b64encode(raw).decode().rstrip("=")


GOOD = {"e": "toy", "k": {"id": "a"}, "s": NOON_S, "d": NOON_S + 100, "p": 3, "f": 1, "h": "running"}


# --- there and back -----------------------------------------------------------------------------


@pytest.mark.looptime
async def test_a_watch_goes_on_by_its_token() -> None:
    """In another watcher, after a gap: deadline, beginning and polls are those of before."""
    async with keeping(None, [running(1)], timeout_s=100) as (watcher, _):
        watch = watcher.watch(ToyJob("a"))
        await asyncio.sleep(10.5)
        token = watch.resume_token
    assert len(token) < 200
    assert said(token) == {
        "e": "toy",
        "k": {"id": "a"},
        "s": NOON_S,
        "d": NOON_S + 100,
        "p": 11,
        "h": "running",
        "o": "https://toy.example",
    }
    await asyncio.sleep(30)
    async with keeping(None, [running(2)], timeout_s=100) as (watcher, transport):
        watch = watcher.watch_from_token(token)
        assert watcher.watch_from_token(f" {token}\n") is watch is watcher.watch(ToyJob("a"))
        events = [event async for event in watch]
        assert transport.times[0] == pytest.approx(40.5, abs=0.1)
        assert isinstance(events[0], Progressed)
        assert events[0].elapsed_s == pytest.approx(40.5, abs=0.1)
        assert isinstance(events[-1], Abandoned)
        assert isinstance(events[-1].error, DeadlineExceeded)
        assert now() == pytest.approx(100, abs=0.1)
        assert events[-1].polls > 60


@pytest.mark.looptime
async def test_a_deadline_that_is_taken_up_has_its_last_poll_where_new_watches_have_none() -> None:
    """A job that ends before the deadline is polled once more before its watch ends."""
    script = [RUNNING, RUNNING, SUCCEEDED]
    async with keeping(None, script, timeout_s=None, pacing=Pacing.fixed(60)) as (watcher, transport):
        assert (await watcher.watch_from_token(made({**GOOD, "d": NOON_S + 100}))).state == "succeeded"
        assert transport.times[-1] == pytest.approx(99, abs=0.1)


@pytest.mark.looptime
async def test_what_counts_failures_goes_on_too() -> None:
    """A token in the middle of a bad time says so."""
    async with keeping(None, [RUNNING, 503]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await asyncio.sleep(4)
        assert said(watch.resume_token)["f"] == watch.machine.failures > 1
        assert read_token(ENDPOINT, watch.resume_token).failures == watch.machine.failures


@pytest.mark.looptime
async def test_an_overdue_token_is_asked_about_once() -> None:
    """The job may have ended in time while no process watched it."""
    late = made({**GOOD, "s": NOON_S - 1000, "d": NOON_S - 900})
    async with keeping(None, [SUCCEEDED]) as (watcher, _):
        assert (await watcher.watch_from_token(late)).state == "succeeded"
    async with keeping(None, [RUNNING]) as (watcher, transport):
        with pytest.raises(DeadlineExceeded):
            await watcher.watch_from_token(late)
        assert len(transport.requests) == 1


@pytest.mark.looptime
async def test_an_overdue_token_stays_overdue() -> None:
    """A token that is saved again at each try does not give its watch more time."""
    token = made({**GOOD, "s": NOON_S - 1000, "d": NOON_S - 900})
    for _ in range(3):
        async with keeping(None, [503]) as (watcher, _):
            watch = watcher.watch_from_token(token)
            await asyncio.sleep(3)
            assert watch.outcome is None
            token = watch.resume_token
            assert (said(token)["s"], said(token)["d"]) == (NOON_S - 1000, NOON_S - 900)
    async with keeping(None, [RUNNING]) as (watcher, transport):
        with pytest.raises(DeadlineExceeded):
            await watcher.watch_from_token(token)
        assert len(transport.requests) == 1


@pytest.mark.looptime
@pytest.mark.parametrize("deadline_s", [None, NOON_S + 1e9])
async def test_a_token_gives_no_more_time(deadline_s: float | None) -> None:
    """Whatever it says, the watcher's own limit holds."""
    async with keeping(None, [RUNNING], timeout_s=50) as (watcher, _):
        with pytest.raises(DeadlineExceeded):
            await watcher.watch_from_token(made({**GOOD, "d": deadline_s}))
        assert now() == pytest.approx(50, abs=0.1)


@pytest.mark.looptime
async def test_what_the_ledger_knows_goes_before_the_token() -> None:
    """The ledger is newer, and its outcomes are reported without a poll. A job that it lacks is recorded from the token."""
    ledger = MemoryLedger()
    async with keeping(ledger, [FAILED]) as (watcher, _):
        watch = watcher.watch(ToyJob("a"))
        token = watch.resume_token
        await asyncio.sleep(1)
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        outcome = (await asyncio.gather(watcher.watch_from_token(token), return_exceptions=True))[0]
        assert "no disk" in str(outcome)
        assert transport.requests == []
        other = watcher.watch_from_token(made({**GOOD, "k": {"id": "b"}, "s": NOON_S - 50}))
        await asyncio.sleep(1)
        row = ledger.of(id="b")
        assert isinstance(row, OpenWatch)
        assert row.first_seen.timestamp() == pytest.approx(NOON_S - 50)
        assert row.deadline is not None
        assert row.deadline.timestamp() == pytest.approx(NOON_S + 100)
        assert other.machine.polls == 4


@pytest.mark.looptime
async def test_a_watch_that_is_over_still_has_a_token() -> None:
    """By which it is asked about again."""
    async with keeping(None, [SUCCEEDED]) as (watcher, _):
        watch = watcher.watch(ToyJob())
        await watch
        assert (await watcher.watch_from_token(watch.resume_token)).state == "succeeded"
        assert watch.machine.polls == 1


@pytest.mark.looptime
async def test_waiting_for_ever_has_no_deadline_in_a_token() -> None:
    """And with one thousands of years away the token can still be read."""
    for timeout_s in (None, 1e13):
        async with keeping(None, [RUNNING], timeout_s=timeout_s) as (watcher, _):
            token = watcher.watch(ToyJob()).resume_token
            assert ("d" in said(token)) is (timeout_s is not None)
            assert watcher.watch_from_token(token) is watcher.watch(ToyJob())


@pytest.mark.looptime
async def test_no_secret_is_in_a_token() -> None:
    """Nor a status, nor of the address more than its origin."""
    endpoint = ExtractionEndpoint("https://host.example/secret-path", auth=ApiKeyAuth("k3y-s3cr3t"))
    answer = {"progress": "PROCESSING", "completed": "false", "completedPercentage": "1", "message": "private"}
    job = ExtractionJob("D/1 ü", "ZX-1")
    async with JobWatcher(endpoint, timeout_s=60, transport=ScriptedTransport([answer])) as watcher:
        watch = watcher.watch(job)
        await asyncio.sleep(1)
        text = orjson.dumps(said(watch.resume_token)).decode()
        assert all(word not in text for word in ("s3cr3t", "private", "secret-path"))
        assert read_token(endpoint, watch.resume_token).job == job


@pytest.mark.looptime
async def test_keys_that_are_too_long_for_a_token() -> None:
    """That is said where the token is asked for, not where it is handed in."""
    async with keeping(None, [RUNNING]) as (watcher, _):
        watch = watcher.watch(ToyJob("x" * 10_000))
        with pytest.raises(TokenError, match="too long"):
            _ = watch.resume_token


# --- hostile, old, foreign ----------------------------------------------------------------------


BAD: dict[str, object] = {
    "nothing": "",
    "prose": "take up my job please",
    "another version": made(GOOD, version=4),
    "a cursor that is too long": made({**GOOD, "c": "x" * 4_095}, version=3),
    "a cursor that is too deep": made({**GOOD, "c": [[[[[[[[[1]]]]]]]]]}, version=3),
    "version nothing": made(GOOD, version=0),
    "standard base64": "pw1.++//",
    "padding": made(GOOD) + "=",
    "odd length": "pw1.a",
    "no JSON": made(b"\x80\x04\x95pickle"),
    "not UTF-8": made(b'{"e": "\xff"}'),
    "a list": made([GOOD]),
    "a number": made(7),
    "deeply nested": made(b"[" * 3000 + b"]" * 3000),
    "of a foreign endpoint": made({**GOOD, "e": "oracle-content"}),
    "of no endpoint": made({**GOOD, "e": None}),
    "no keys": made({**GOOD, "k": None}),
    "keys of another job": made({**GOOD, "k": {"file": "a"}}),
    "keys that are no texts": made({**GOOD, "k": {"id": 7}}),
    "too many keys": made({**GOOD, "k": {str(n): "" for n in range(99)}}),
    "no beginning": made({**GOOD, "s": None}),
    "a negative beginning": made({**GOOD, "s": -1}),
    "a beginning in the year 300,000": made({**GOOD, "s": 1e13, "d": None}),
    "true as a time": made({**GOOD, "s": True}),
    "infinite": made(b'{"e":"toy","k":{"id":"a"},"s":1e999,"p":0}'),
    "an end before the beginning": made({**GOOD, "d": NOON_S - 1}),
    "polls that are no count": made({**GOOD, "p": 1.5}),
    "too many polls": made({**GOOD, "p": 10**12}),
    "negative polls": made({**GOOD, "p": -1}),
    "more failures than polls": made({**GOOD, "f": 4}),
    "an unknown phase": made({**GOOD, "h": "exploded"}),
    "a phase that is no text": made({**GOOD, "h": ["running"]}),
    "of an account": made({**GOOD, "a": "acme"}, version=2),
    "an account that is no text": made({**GOOD, "a": 7}, version=2),
    "an origin that is no text": made({**GOOD, "o": ["https://toy.example"]}, version=2),
    "an origin with a path": made({**GOOD, "o": "https://toy.example/a"}, version=2),
    "an origin with a password": made({**GOOD, "o": "https://a:b@toy.example"}, version=2),
    "an origin of a script": made({**GOOD, "o": "javascript:alert(1)"}, version=2),
    "too long": made({**GOOD, "k": {"id": "a" * 9000}}),
    "bytes": made(GOOD).encode(),
    "None": None,
    "a non-ASCII digit": "pw\u0661." + made(GOOD)[4:],
}


@pytest.mark.looptime
@pytest.mark.parametrize("text", BAD.values(), ids=BAD.keys())
async def test_what_is_no_token_is_refused(text: Any) -> None:
    """With a reason, before anything of it is used; nothing is watched and nothing is asked."""
    ledger = MemoryLedger()
    async with keeping(ledger, [RUNNING]) as (watcher, transport):
        with pytest.raises(TokenError) as caught:
            watcher.watch_from_token(text)
        assert isinstance(caught.value, ConfigurationError)
        assert str(caught.value).isprintable()
        assert len(str(caught.value)) < 300
        await asyncio.sleep(1)
        assert (watcher.open_count, transport.requests, ledger.rows) == (0, [], {})


def test_why_it_is_refused_is_said() -> None:
    """In the cases that happen to honest people."""
    for what, why in {
        "another version": "version 4",
        "a cursor that is too long": "its cursor cannot be used",
        "of a foreign endpoint": "'oracle-content', not of 'toy'",
        "of an account": "it is of the account 'acme', not of an endpoint without one",
        "too long": "longer than",
        "keys of another job": "keys are not a job's",
    }.items():
        with pytest.raises(TokenError, match=why):
            read_token(ENDPOINT, str(BAD[what]))


@given(st.text() | st.binary().map(made) | st.from_regex(r"pw[0-9]+\.[A-Za-z0-9_-]{0,80}", fullmatch=True))
@example(made({"__reduce__": ["os.system", "true"]}))
def test_nothing_but_a_token_error_comes_of_noise(text: str) -> None:
    """Whatever the text."""
    with pytest.raises(TokenError):
        read_token(ENDPOINT, text)


@given(
    st.dictionaries(
        st.sampled_from([*GOOD, "a", "o", "x"]),
        st.none()
        | st.booleans()
        | st.integers(-(2**63), 2**63)
        | st.floats()
        | st.text(max_size=5)
        | st.just({"id": "a"}),
    )
)
def test_a_token_is_read_whole_or_not_at_all(changed: dict[str, Any]) -> None:
    """A token with anything changed in it is one that could have been written, or a TokenError."""
    try:
        token = read_token(ENDPOINT, made({**GOOD, **changed}, version=2))
    except TokenError:
        return
    past = token.resume_state(NOON_S)
    assert past.age_s >= 0
    assert 0 <= token.failures <= token.polls
    assert isinstance(token.job, ToyJob)
    assert token.phase in {None, *Phase}


@pytest.mark.looptime
async def test_a_watcher_that_is_not_open_takes_no_token() -> None:
    """As with every other way to watch."""
    watcher = JobWatcher(ENDPOINT, timeout_s=10)
    with pytest.raises(WatcherClosed):
        watcher.watch_from_token(made(GOOD))


@pytest.mark.looptime
async def test_an_endpoint_without_a_codec_says_so() -> None:
    """It can neither write a token nor use one. The latter is a TokenError, and its cause says what is missing."""
    async with JobWatcher(KeptToyEndpoint(), timeout_s=10, transport=ScriptedTransport([RUNNING])) as watcher:
        token = watcher.watch(ToyJob()).resume_token
    async with JobWatcher(ToyEndpoint(), timeout_s=10, transport=ScriptedTransport([RUNNING])) as watcher:
        with pytest.raises(ConfigurationError, match="has no codec"):
            _ = watcher.watch(ToyJob()).resume_token
        with pytest.raises(TokenError) as caught:
            watcher.watch_from_token(token)
        assert "has no codec" in str(caught.value.__cause__)


@pytest.mark.parametrize(
    ("endpoint", "job"),
    [
        (DeleteFileEndpoint("https://a.example"), DeleteFileJob("\u00fc/.. task")),
        (ExtractionEndpoint("https://a.example"), ExtractionJob("D1", "ZX-1")),
    ],
)
@pytest.mark.looptime
async def test_the_vendors_jobs_survive(endpoint: Any, job: Any) -> None:
    """There and back they are equal, and of the right endpoint."""
    async with JobWatcher(endpoint, timeout_s=10, transport=ScriptedTransport([503])) as watcher:
        watch = watcher.watch(job)
        assert read_token(endpoint, watch.resume_token).job == job
