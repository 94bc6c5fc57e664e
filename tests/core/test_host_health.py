"""When a host counts as down, when it is asked again, and how it comes back."""

from __future__ import annotations

import math
import random
from itertools import pairwise
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pollwise.core.host_health import HostHealth, Hosts, HostState, WatchedHosts, is_host_failure
from pollwise.core.machine import WatchMachine
from pollwise.core.pacing import Pacing, Retry
from pollwise.core.policy import Policy
from pollwise.errors import (
    ConnectFailed,
    MalformedReply,
    NotVisibleYet,
    PollError,
    PollTimeout,
    RateLimited,
    ServerUnavailable,
    TlsFailed,
)
from toy import ToyEndpoint, ToyJob

REFUSED = ConnectFailed("Connection refused")


def failing(host: HostHealth, now: float = 0.0) -> float:
    """Let polls of different watches fail until the host is down. Returns when that is."""
    for watch in range(3):
        host.on_failure(watch, REFUSED, now, 0.0)
    while host.state is not HostState.DOWN:
        now = host.probe_at
        host.on_probe(0, now)
        host.on_failure(0, REFUSED, now, 0.0)
    return now


def failing_on(host: HostHealth, now: float, *, probes: int) -> float:
    """Let that many probes fail. Returns when the last one did."""
    for _ in range(probes):
        now = max(now, host.probe_at)
        host.on_probe(0, now)
        host.on_failure(0, REFUSED, now, 0.0)
    return now


def test_one_watch_that_fails_for_ever_is_not_the_host() -> None:
    """Its job may be the reason, so it keeps its own retries."""
    host = HostHealth("https://a.example")
    for second in range(1_000):
        host.on_failure(1, REFUSED, float(second), 0.5)
    assert host.state is HostState.ANSWERING


def test_an_answer_in_between_shows_that_the_host_is_there() -> None:
    """Two watches that fail again and again close nothing while a third one is answered."""
    host = HostHealth("https://a.example")
    for second in range(100):
        host.on_failure(1, REFUSED, float(second), 0.5)
        host.on_failure(2, REFUSED, float(second), 0.5)
        host.on_answer(second + 0.5)
    assert host.state is HostState.ANSWERING
    assert host.is_calm


def test_different_watches_that_fail_in_a_row_are_asked_one_at_a_time() -> None:
    """Until it is clear that the host is down, nothing else changes for them."""
    host = HostHealth("https://a.example")
    for watch in range(3):
        assert not host.is_closed
        host.on_failure(watch, REFUSED, 10.0, 0.0)
    assert host.state is HostState.SUSPECTED
    assert not host.may_probe(10.0)
    assert host.may_probe(host.probe_at)
    host.on_probe(7, host.probe_at)
    assert not host.may_probe(10.2)


def test_a_burst_of_failures_alone_is_no_outage() -> None:
    """Eight requests that fail at the same moment may have met one broken connection of a proxy."""
    host = HostHealth("https://a.example")
    for watch in range(64):
        host.on_failure(watch, REFUSED, 5.0, 0.0)
    assert host.state is HostState.SUSPECTED
    for _ in range(16):
        host.on_answer(5.1)
        assert host.state is HostState.ANSWERING
    assert host.is_calm


def test_the_pauses_between_probes_grow_and_are_bounded() -> None:
    """In an outage of two minutes the last pauses are 4.5 s, and in one of hours 15 s."""
    host = HostHealth("https://a.example")
    now, pauses = failing(host), []
    while now < 7_200.0:
        pauses.append(host.probe_at - now)
        now = host.probe_at
        host.on_probe(0, now)
        host.on_failure(0, REFUSED, now, 0.0)
    assert all(pause <= later + 1e-9 for pause, later in pairwise(pauses))
    assert pauses[5] == 4.5
    assert pauses[-1] == pytest.approx(15.0)


def test_a_probe_without_a_reply_delays_the_next_by_a_pause_only() -> None:
    """A server that swallows requests is probed on, ever more seldom, so that its return is seen."""
    host = HostHealth("https://a.example")
    now = failing(host)
    sent = []
    for watch in range(20):
        now = max(now, host.probe_at)
        sent.append(now)
        host.on_probe(watch, now)
    assert 3.0 < sent[-1] - sent[-2] <= 4.5


def test_a_poll_that_decides_is_a_probe_that_need_not_wait() -> None:
    """One a second is enough for all: what it shows counts for the others."""
    host = HostHealth("https://a.example")
    now = failing(host) + 1.5
    assert not host.may_probe(now)
    assert host.may_probe(now, decides=True)
    host.on_probe(5, now)
    assert not host.may_probe(now + 0.1, decides=True)
    assert not host.is_fresh(now + 0.1)
    host.on_failure(5, REFUSED, now + 0.2, 0.0)
    assert host.is_fresh(now + 0.3)
    assert not host.may_probe(now + 1.1, decides=True)


def test_while_a_host_is_only_suspected_each_poll_that_decides_goes() -> None:
    """The last poll before a deadline is not given up on a suspicion."""
    host = HostHealth("https://a.example")
    for watch in range(3):
        host.on_failure(watch, REFUSED, 0.0, 0.0)
    host.on_probe(1, 0.01)
    assert host.may_probe(0.02, decides=True)


def test_the_watches_that_waited_go_few_at_first() -> None:
    """Each answer lets more go, and after sixteen the host is like any other."""
    host = HostHealth("https://a.example")
    now = failing(host)
    host.on_answer(now)
    assert host.state is HostState.RETURNING
    released = 0
    while host.may_release(now):
        host.on_release()
        released += 1
    assert released == 4
    for _ in range(16):
        host.on_answer(now)
    assert host.is_calm
    assert host.may_release(now)


def test_a_host_that_returns_and_fails_again_is_closed_again() -> None:
    """Its pauses begin a little longer than those of a first outage."""
    host = HostHealth("https://a.example")
    now = failing_on(host, failing(host), probes=21)
    host.on_answer(now)
    for watch in range(3):
        host.on_failure(watch, REFUSED, now, 0.0)
    assert host.state is HostState.SUSPECTED
    assert host.probe_at == now + 0.5
    host.on_answer(now + 0.6)
    assert host.state is HostState.RETURNING


def test_the_slow_start_ends_even_if_few_watches_are_left() -> None:
    """After five seconds a single answer ends it."""
    host = HostHealth("https://a.example")
    now = failing(host)
    host.on_answer(now)
    assert host.state is HostState.RETURNING
    host.on_answer(now + 6.0)
    assert host.state is HostState.ANSWERING


def test_failures_after_an_early_answer_are_taken_for_chance() -> None:
    """A host that answered one of ten polls is suspected only after four times as many failures in a row, 100 at most."""
    host = HostHealth("https://a.example")
    now, tolerated = 0.0, []
    for _ in range(4):
        failures = 0
        while not host.is_closed:
            host.on_failure(failures, REFUSED, now, 0.0)
            failures += 1
        tolerated.append(failures)
        now = failing_on(host, now, probes=7)
        host.on_answer(now)
    assert tolerated == [3, 40, 100, 100]


def test_sixteen_answers_in_a_row_end_the_tolerance() -> None:
    """Fifteen do not: then nothing is kept of the host, and a new outage is noticed at once."""
    host = HostHealth("https://a.example")
    now = failing(host)
    for _ in range(15):
        host.on_answer(now)
    host.on_failure(1, REFUSED, now, 0.0)
    for _ in range(15):
        host.on_answer(now)
    assert not host.is_calm
    host.on_answer(now)
    assert host.is_calm
    failing(host, now)


def test_a_long_outage_is_no_chance() -> None:
    """After more than twenty failed probes an answer changes nothing for the next outage."""
    host = HostHealth("https://a.example")
    now = failing_on(host, failing(host), probes=21)
    host.on_answer(now)
    for watch in range(3):
        assert not host.is_closed
        host.on_failure(watch, REFUSED, now, 0.0)
    assert host.state is HostState.SUSPECTED


def test_probes_that_hang_delay_no_other_probe() -> None:
    """Each fails after 30 s, and a new one goes every 4.5 s all the same."""
    host = HostHealth("https://a.example")
    now, sent, in_flight = failing(host), [], []
    for watch in range(60):
        while in_flight and in_flight[0][0] <= host.probe_at:
            at, hung = in_flight.pop(0)
            host.on_failure(hung, REFUSED, at, 0.0)
        now = max(now, host.probe_at)
        sent.append(now)
        host.on_probe(watch, now)
        in_flight.append((now + 30.0, watch))
    assert max(later - before for before, later in pairwise(sent) if before < 120.0) <= 4.5


def test_only_a_host_that_is_down_is_shown() -> None:
    """With the time, the error, the number of jobs that wait, and when it is asked next."""
    host = HostHealth("https://a.example")
    assert host.outage(0.0) is None
    now = failing(host, 100.0)
    host.waiting = 7
    outage = host.outage(now + 1.0)
    assert outage is not None
    assert (outage.origin, outage.error, outage.waiting) == ("https://a.example", REFUSED, 7)
    assert outage.down_s == now + 1.0 - 100.0
    assert outage.next_try_s == host.probe_at - now - 1.0


@pytest.mark.parametrize(
    ("error", "is_one"),
    [
        (REFUSED, True),
        (TlsFailed("certificate has expired"), True),
        (PollTimeout(30.0), True),
        (ServerUnavailable(502), True),
        (ServerUnavailable(503), True),
        (ServerUnavailable(504), True),
        (ServerUnavailable(500), False),
        (ServerUnavailable(408), False),
        (ServerUnavailable(505), False),
        (RateLimited(1.0), False),
        (NotVisibleYet(None, None), False),
        (MalformedReply("https://a.example", "no state", 200), False),
    ],
)
def test_a_reply_of_the_application_is_no_failure_of_the_host(error: PollError, *, is_one: bool) -> None:
    """A 500, a 429, a 404 and a page in place of JSON come from a server that is there."""
    assert is_host_failure(error) is is_one


# --- the hosts of a token -----------------------------------------------------------------------


def machine(job: str, cls: type[WatchMachine[ToyJob, object]] = WatchMachine) -> WatchMachine[ToyJob, object]:
    return cls(ToyJob(job), Policy(pacing=Pacing(), retry=Retry(), timeout_s=None), now=0.0)


def test_nothing_is_kept_of_a_host_that_answers() -> None:
    """So a poll costs as much as if hosts were not watched."""
    hosts = WatchedHosts(Hosts(), ToyEndpoint())
    first = machine("1")
    hosts.on_failure(first, REFUSED, 0.0, 0.5)
    assert [*hosts.troubled] == ["https://toy.example"]
    hosts.on_answer(first, 1.0)
    assert not hosts.troubled


def test_a_single_call_says_nothing_about_the_host_of_the_jobs() -> None:
    """A result may be at another server, such as a store of files."""
    fetch: Any = SimpleNamespace(job=ToyJob("1"), call=object())
    hosts = WatchedHosts(Hosts(), ToyEndpoint())
    hosts.on_failure(fetch, REFUSED, 0.0, 0.5)
    assert not hosts.troubled
    assert hosts.of(fetch) is None


def test_a_host_that_is_not_asked_any_more_is_forgotten() -> None:
    """After an hour, when another host fails; but not while watches wait for it."""
    hosts = Hosts()
    hosts.needed("https://a.example", 0.0).on_failure(1, REFUSED, 0.0, 0.5)
    waited_for = hosts.needed("https://b.example", 0.0)
    waited_for.on_failure(1, REFUSED, 0.0, 0.5)
    waited_for.waiting = 1
    hosts.needed("https://c.example", 3_601.0)
    assert [*hosts.troubled] == ["https://b.example", "https://c.example"]


def test_each_change_is_reported_once_and_each_failed_probe() -> None:
    """So an outage is a few lines in a log, and not one for each watch."""
    seen: list[tuple[HostState, HostState]] = []
    hosts = WatchedHosts(Hosts(), ToyEndpoint(), lambda host, before: seen.append((before, host.state)))
    machines = [machine(str(n)) for n in range(5)]
    now = 0.0
    for n in range(5):
        hosts.on_failure(machines[n], REFUSED, now, 0.0)
    host = hosts.troubled["https://toy.example"]
    while host.state is not HostState.DOWN:
        now = host.probe_at
        host.on_probe(id(machines[0]), now)
        hosts.on_failure(machines[0], REFUSED, now, 0.0)
    hosts.on_failure(machines[1], REFUSED, now, 0.0)  # no probe
    hosts.on_answer(machines[2], now)
    states = HostState
    assert seen == [
        (states.ANSWERING, states.SUSPECTED),
        (states.SUSPECTED, states.DOWN),
        (states.DOWN, states.RETURNING),
    ]


# --- properties ---------------------------------------------------------------------------------


@given(
    st.lists(
        st.tuples(st.sampled_from(["fail", "probe fails", "answer", "probe"]), st.integers(0, 6), st.floats(0.0, 20.0)),
        max_size=80,
    ),
    st.integers(0, 1_000),
)
def test_whatever_comes_a_host_is_asked_again_within_seconds(steps: list[tuple[str, int, float]], seed: int) -> None:
    """The next probe is never further away than the longest pause, and an answer always opens the host."""
    host, now, dice = HostHealth("https://a.example"), 0.0, random.Random(seed).random
    for what, watch, after_s in steps:
        now += after_s
        match what:
            case "answer":
                host.on_answer(now)
                assert not host.is_closed
            case "probe":
                host.on_probe(watch, now)
            case _:
                if what == "probe fails":
                    host.on_probe(watch, now)
                host.on_failure(watch, REFUSED, now, dice())
        assert host.probe_at <= now + 15.0
        if host.state is HostState.DOWN:
            assert now >= host.since + 0.5
            assert host.failed_at > -math.inf
            assert host.may_probe(now + 15.0)
        assert host.may_release(now + 60.0)
