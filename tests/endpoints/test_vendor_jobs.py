"""What holds for each further job of the two vendors."""

from __future__ import annotations

import copy
from functools import reduce
from pathlib import Path
from typing import Any

import orjson
import pytest

from pollwise import JobWatcher, Phase, Reading, Reply, SqliteLedger
from pollwise.errors import ConfigurationError, MalformedReply
from pollwise.testing import Sample, ScriptedTransport, check_endpoint
from vendor_cases import BASE_URL, CASES, Case

EACH = pytest.mark.parametrize("case", CASES, ids=[case.name for case in CASES])


def changed(case: Case, **fields: object) -> dict[str, Any]:
    """The document of a success with these fields: `state`, `id`, or others of the object that has the state."""
    document: dict[str, Any] = copy.deepcopy(dict(case.done))
    *above, state = case.state.split(".")
    parent: Any = reduce(lambda part, name: part[name], above, document)
    names = {"state": state, "id": (case.id or "").split(".")[-1]}
    parent.update({names.get(name, name): value for name, value in fields.items()})
    return document


def read(case: Case, body: object) -> Reading[Any]:
    reading: Reading[Any] = case.endpoint.read_for(case.job, Reply(200, {}, orjson.dumps(body)))
    return reading


@EACH
def test_it_is_an_endpoint_in_every_respect(case: Case) -> None:
    """Documented states are read. Whatever else a reply holds gives a reading or is malformed, and a ledger keeps all of it."""
    queued, running, _, failed = case.words
    samples = [
        Sample(job=case.job, reply=case.done, phase=Phase.SUCCEEDED),
        Sample(job=case.job, reply=changed(case, state=queued, completed=False, completed_at=None), phase=Phase.QUEUED),
        Sample(job=case.job, reply=changed(case, state=running, completed=False), phase=Phase.RUNNING),
        Sample(job=case.job, reply=changed(case, state=failed), phase=Phase.FAILED),
    ]
    check_endpoint(case.endpoint, samples, states=[case.state])


@EACH
def test_the_status_is_asked_at_the_documented_path(case: Case) -> None:
    """Each ID is one segment of it."""
    request = case.endpoint.request(case.job)
    assert (request.method, str(request.url)) == ("GET", BASE_URL + case.path)
    with pytest.raises(ConfigurationError):
        type(case.job)(*[".."] * len(case.endpoint.codec.job_to_keys(case.job)))


@EACH
def test_the_word_may_be_in_any_letter_case(case: Case) -> None:
    """The vendors' own APIs spell the same words in several ways."""
    for spell in (str.upper, str.lower, str.title):
        assert read(case, changed(case, state=spell(case.words[2]))).phase is Phase.SUCCEEDED
        assert read(case, changed(case, state=spell(case.words[3]))).phase is Phase.FAILED


@EACH
def test_an_undocumented_word_is_running_and_told(case: Case) -> None:
    """Also one that sounds like an end. If the reply looks over in another field, the end is of unknown kind, never a success."""
    field = case.state.split(".")[-1]
    reading = read(case, changed(case, state="Archived", completed=False, completed_at=None))
    assert (reading.phase, reading.final, reading.unconfirmed) == (Phase.RUNNING, False, False)
    assert reading.unknown == f"{field}=Archived"
    over = read(case, changed(case, state="Archived", completed="true", completed_at="2025-07-10T09:15:00Z"))
    assert (over.phase, over.final) == (Phase.RUNNING, False)
    says_so = {"completed", "completedPercentage"} & set(case.done) or "completed_at" in str(case.done)
    assert over.unconfirmed is bool(says_so)


@EACH
@pytest.mark.parametrize("state", [None, "", "  ", 3, True, ["Completed"], {"a": 1}])
def test_a_reply_without_a_word_is_malformed(case: Case, state: object) -> None:
    """Only this field decides. The error has its path."""
    with pytest.raises(MalformedReply, match=rf"field {case.state}: expected"):
        read(case, changed(case, state=state))


@EACH
def test_a_cancellation_is_unconfirmed(case: Case) -> None:
    """No page calls it an end. Further polls confirm it, as for the vendor's other jobs."""
    word = "aborted" if case.state == "progress" else "Cancelled"
    reading = read(case, changed(case, state=word))
    assert (reading.phase, reading.final, reading.unconfirmed) == (Phase.CANCELLED, False, True)


@pytest.mark.parametrize("case", [case for case in CASES if case.id], ids=[case.name for case in CASES if case.id])
def test_a_reply_about_another_job_is_malformed(case: Case) -> None:
    """It may be the reply to another request. An absent ID, and one of zeros, say nothing."""
    for other in ("00112233-4455-6677-8899-aabbccddeeff", "another"):
        with pytest.raises(MalformedReply, match=rf"field {case.id}: the reply is about another"):
            read(case, changed(case, id=other))
    for none in (None, "", "00000000-0000-0000-0000-000000000000"):
        assert read(case, changed(case, id=none)).phase is Phase.SUCCEEDED


@EACH
def test_the_same_reply_is_no_change(case: Case) -> None:
    """Also if the server gives each reply an ID of its own."""
    if "request_id" in case.done:
        again = read(case, {**changed(case), "request_id": "another"})
        assert again == read(case, case.done)
        assert again.status.request_id == "another"
    assert read(case, case.done) == read(case, case.done)


@pytest.mark.looptime
@EACH
async def test_a_ledger_keeps_its_outcome(case: Case, tmp_path: Path) -> None:
    """A second watcher reports the same status without a request."""
    transport = ScriptedTransport([Reply(200, {}, orjson.dumps(case.done))])
    async with SqliteLedger(tmp_path / "jobs.ledger") as ledger:
        async with JobWatcher(case.endpoint, timeout_s=60, transport=transport, ledger=ledger) as watcher:
            status = await watcher.watch(case.job)
        async with JobWatcher(case.endpoint, timeout_s=60, transport=transport, ledger=ledger) as later:
            assert await later.watch(case.job) == status
    assert len(transport.requests) == 1
    assert status == read(case, case.done).status
