"""The watchers that the triggers of one triggerer share."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from pollwise import BearerAuth, ConfigurationError, JobWatcher
from pollwise.airflow.reference import EndpointReference
from pollwise.airflow.shared import SharedWatchers
from pollwise.endpoints.oracle_content import ExtractionEndpoint, ExtractionJob
from pollwise.errors import TokenError
from pollwise.model.events import Abandoned, Succeeded
from pollwise.simulator import Simulator

SECRET = "t0ken-of-a-test"
REFERENCE = EndpointReference(endpoint="own:make")
NEVER = float("inf")

pytestmark = pytest.mark.looptime


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    async with Simulator(bearer=SECRET) as simulator:
        yield simulator


class Shared:
    """Shared watchers, and how many endpoints were made for them."""

    def __init__(self, simulator: Simulator) -> None:
        self.made = 0
        self.endpoint = ExtractionEndpoint(simulator.oracle_content_url, auth=BearerAuth(SECRET))
        self.watchers = SharedWatchers(self._open)

    async def _open(self, reference: EndpointReference) -> Any:
        self.made += 1
        await asyncio.sleep(1)
        return self.endpoint

    async def token(self, job_id: str, timeout_s: float = 600) -> str:
        async with JobWatcher(self.endpoint, timeout_s=timeout_s) as watcher:
            return watcher.watch(ExtractionJob("D1", job_id), first_after_s=100).resume_token

    async def outcome(self, token: str) -> Any:
        async with self.watchers.watch(REFERENCE, token) as shared:
            async for _ in shared.watch:
                pass
            return shared.watch.outcome


async def test_triggers_share_an_endpoint_and_a_watcher(simulator: Simulator) -> None:
    """Ten triggers of one reference make one endpoint, and the end of the last closes everything."""
    shared = Shared(simulator)
    for number in range(10):
        simulator.add_extraction("D1", f"ZX-{number}", duration_s=5.0)
    tokens = [await shared.token(f"ZX-{number}") for number in range(10)]
    outcomes = await asyncio.gather(*map(shared.outcome, tokens))
    assert all(isinstance(outcome, Succeeded) for outcome in outcomes)
    assert (shared.made, len(shared.watchers)) == (1, 0)


async def test_a_trigger_that_runs_twice_polls_once(simulator: Simulator) -> None:
    """Two triggers with one token get the same outcome of the same polls."""
    shared = Shared(simulator)
    simulator.add_extraction("D1", "ZX-1", duration_s=30.0)
    token = await shared.token("ZX-1")
    first, second = await asyncio.gather(shared.outcome(token), shared.outcome(token))
    assert first is second
    assert simulator.jobs["D1", "ZX-1"].polls == first.polls


async def test_each_token_keeps_its_own_deadline(simulator: Simulator) -> None:
    """Two tasks that wait for one job with different timeouts end at their own."""
    shared = Shared(simulator)
    simulator.add_extraction("D1", "ZX-1", duration_s=200.0)
    short, long = await shared.token("ZX-1", 60), await shared.token("ZX-1", 600)
    first, second = await asyncio.gather(shared.outcome(short), shared.outcome(long))
    assert isinstance(first, Abandoned)
    assert isinstance(second, Succeeded)


async def test_a_trigger_that_is_cancelled_leaves_the_others(simulator: Simulator) -> None:
    """When a triggerer cancels one of two triggers, the other goes on. When it cancels the last, polling ends."""
    shared = Shared(simulator)
    simulator.add_extraction("D1", "ZX-1", duration_s=NEVER)
    token = await shared.token("ZX-1")
    first, second = (asyncio.create_task(shared.outcome(token)) for _ in range(2))
    await asyncio.sleep(20)
    first.cancel()
    before = simulator.jobs["D1", "ZX-1"].polls
    await asyncio.sleep(100)
    assert simulator.jobs["D1", "ZX-1"].polls > before
    second.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    before = simulator.jobs["D1", "ZX-1"].polls
    await asyncio.sleep(100)
    assert (simulator.jobs["D1", "ZX-1"].polls, len(shared.watchers)) == (before, 0)


async def test_a_trigger_that_is_cancelled_while_it_opens_leaves_nothing(simulator: Simulator) -> None:
    """A triggerer that shuts down at once leaves no task."""
    shared = Shared(simulator)
    trigger = asyncio.create_task(shared.outcome(await shared.token("ZX-1")))
    await asyncio.sleep(0.5)
    trigger.cancel()
    await asyncio.gather(trigger, return_exceptions=True)
    assert len(shared.watchers) == 0


async def test_each_trigger_gets_the_error_of_its_endpoint() -> None:
    """If the endpoint cannot be made, each trigger raises why, and the next one tries again."""

    async def refuse(_reference: EndpointReference) -> Any:
        nonlocal tries
        tries += 1
        raise ConfigurationError("no such endpoint")

    tries = 0
    watchers = SharedWatchers(refuse)
    for _ in range(2):
        with pytest.raises(ConfigurationError, match="no such endpoint"):
            async with watchers.watch(REFERENCE, "pw2.x"):
                pass
    assert (tries, len(watchers)) == (2, 0)


@pytest.mark.parametrize("token", ["", "pw9.e30", "pw2.e30"])
async def test_a_token_that_cannot_be_read_is_refused(simulator: Simulator, token: str) -> None:
    """A damaged token, or one of a later release, raises TokenError, and nothing is left open."""
    shared = Shared(simulator)
    with pytest.raises(TokenError):
        await shared.outcome(token)
    assert len(shared.watchers) == 0


async def test_a_deadline_that_passed_while_nothing_ran_gets_one_more_poll(simulator: Simulator) -> None:
    """A triggerer that was down past the deadline still finds a job that is over."""
    shared = Shared(simulator)
    simulator.add_extraction("D1", "ZX-1", duration_s=0.0)
    token = await shared.token("ZX-1", timeout_s=0.001)
    assert isinstance(await shared.outcome(token), Succeeded)
