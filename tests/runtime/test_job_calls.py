"""The calls of a watch beside its polls. What they fetch is tested on real sockets: tests/test_fetching_results.py."""

from __future__ import annotations

import gc

import pytest
from yarl import URL

from pollwise.model.messages import Reply, Request
from pollwise.runtime.job_calls import JobCalls
from toy import RUNNING, SUCCEEDED, ToyEndpoint, ToyJob, ToyStatus, watching

pytestmark = pytest.mark.looptime


class WithResult(ToyEndpoint):
    def result_request(self, job: ToyJob, status: ToyStatus, /) -> Request:
        return Request(URL(f"https://toy.example/{job.id}/result"))

    def read_result(self, reply: Reply, /) -> str:
        return str(reply.json()["made"])


async def test_the_fetch_of_a_result_is_no_open_watch() -> None:
    """Nor is a watch kept alive by a result that nothing holds."""
    async with watching([SUCCEEDED, {"made": "orders"}], endpoint=WithResult()) as (watcher, _):
        assert await watcher.watch(ToyJob()).result() == "orders"
        assert watcher.open_count == 0
        assert watcher._parts().dispatcher is not None
        calls = watcher._parts().dispatcher.calls
        assert isinstance(calls, JobCalls)
        gc.collect()
        assert not calls._pending


async def test_the_policy_of_the_calls_is_made_once() -> None:
    """Because making its forecast takes a millisecond."""
    async with watching([RUNNING], endpoint=WithResult()) as (watcher, _):
        assert watcher._parts().dispatcher is not None
        calls = watcher._parts().dispatcher.calls
        assert isinstance(calls, JobCalls)
        one, two = calls.policy_for(object(), None), calls.policy_for(object(), 5.0)
        assert one.forecast is two.forecast
        assert one.forecast is not watcher._policy.forecast
        assert (one.timeout_s, two.timeout_s) == (3600.0, 5.0)
