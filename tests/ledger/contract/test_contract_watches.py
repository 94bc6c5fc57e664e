"""The contract of every ledger: watches, their states and their outcomes."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from ledger_kinds import LASTING, open_ledger
from ledger_values import ENDPOINT, NOON, abandoned, acks, change, every, exported, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, Ledger, NewIntent, OpenWatch, OutcomeKind, Relocation, Renewal
from pollwise.model.reading import Phase

# --- recording ----------------------------------------------------------------------------------


async def test_a_new_watch_is_open(ledger: Ledger) -> None:
    """What was recorded is what is open, in the order recorded."""
    recorded = await ledger.record([new(1), new(2, deadline=None)])
    assert [one.known for one in recorded] == [None, None]
    assert await every(ledger.open_watches(ENDPOINT)) == [
        OpenWatch(
            id=one.id,
            endpoint=ENDPOINT,
            keys={"file_id": "D1", "job_id": f"ZX-{number}"},
            first_seen=NOON,
            deadline=deadline,
            phase=None,
            polls=0,
            failures=0,
            status=None,
        )
        for number, (one, deadline) in enumerate(zip(recorded, [NOON + timedelta(hours=1), None], strict=True), 1)
    ]


async def test_the_same_job_again_is_no_second_row(ledger: Ledger) -> None:
    """A job is its endpoint and keys, in any order: again, it gets its old number and all that is known."""
    (first,) = await ledger.record([new(1, keys={"a": "1", "b": "2"})])
    await ledger.update([change(first.id)])
    (again,) = await ledger.record([new(1, keys={"b": "2", "a": "1"}, first_seen=NOON + timedelta(days=1))])
    (open_one,) = await every(ledger.open_watches(ENDPOINT))
    assert again.id == first.id
    assert again.known == open_one
    assert open_one.first_seen == NOON


async def test_a_job_that_was_over_is_recorded_with_its_outcome(ledger: Ledger) -> None:
    """In one call, which never replaces what is known. Its number is not that of the given outcome."""
    first, second, _ = await ledger.record([new(1), new(2, outcome=success(77)), new(3)])
    assert (first.known, second.known) == (None, None)
    ((known,),) = [page async for page in ledger.unacknowledged(ENDPOINT)]
    assert (known.id, known.outcome, known.acknowledged) == (second.id, OutcomeKind.SUCCEEDED, False)
    assert [one.id for one in await every(ledger.open_watches(ENDPOINT))] == [first.id, second.id + 1]
    again, ended = await ledger.record([new(1, outcome=success(1)), new(2, outcome=abandoned(2))])
    assert isinstance(again.known, OpenWatch)
    assert ended.known == known


async def test_the_same_job_twice_in_one_call(ledger: Ledger) -> None:
    """Within one call too, the second mention finds the first."""
    first, second = await ledger.record([new(1), new(1)])
    assert first.known is None
    assert isinstance(second.known, OpenWatch)
    assert second.id == first.id


async def test_known_and_new_jobs_in_one_call(ledger: Ledger) -> None:
    """However many: each answer is its own job's, and new numbers rise in the order of the call."""
    known = {int(one.keys["job_id"][3:]): one for one in await filled(ledger, range(0, 500, 3))}
    answers = await ledger.record([new(number) for number in range(500)])
    assert {number: answer.known for number, answer in enumerate(answers) if answer.known} == known
    fresh = [answer.id for answer in answers if answer.known is None]
    assert fresh == sorted(set(fresh))
    assert len(fresh) + len(known) == 500
    rows = await every(ledger.open_watches(ENDPOINT))
    assert {row.id: row.keys["job_id"] for row in rows} == {
        answer.id: f"ZX-{number}" for number, answer in enumerate(answers)
    }


async def filled(ledger: Ledger, numbers: Iterable[int]) -> list[OpenWatch]:
    await ledger.record([new(number) for number in numbers])
    return await every(ledger.open_watches(ENDPOINT))


async def test_a_finished_job_says_so(ledger: Ledger) -> None:
    """Recording a job that is over returns its outcome and does not open it again."""
    (first,) = await ledger.record([new(1)])
    await ledger.conclude([success(first.id)])
    (again,) = await ledger.record([new(1)])
    assert isinstance(again.known, Concluded)
    assert again.known.outcome is OutcomeKind.SUCCEEDED
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def test_endpoints_do_not_mix(ledger: Ledger) -> None:
    """The same keys at another endpoint are another job."""
    one, other = await ledger.record([new(1), new(1, endpoint="document360")])
    assert other.known is None
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [one.id]
    assert [watch.id for watch in await every(ledger.open_watches("document360"))] == [other.id]


HOSTILE = ["", "\0", "a\0b", "'; DROP TABLE watches; --", '"\\\n\r\u2028', "é🦉", "\x1b[31m", "x" * 100_000]


async def test_keys_are_kept_letter_by_letter(ledger: Ledger) -> None:
    """Whatever text a key is, it comes back as it was."""
    await ledger.record([new(1, keys={text: text}) for text in HOSTILE])
    assert [watch.keys for watch in await every(ledger.open_watches(ENDPOINT))] == [{text: text} for text in HOSTILE]


async def test_what_is_no_text_is_refused(ledger: Ledger) -> None:
    """A lone surrogate cannot be kept; the call says so and keeps nothing of itself."""
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.record([new(1), new(2, keys={"job_id": "\ud800"})])
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.record([new(1), new(2, endpoint="\ud800")])
    assert await every(ledger.open_watches(ENDPOINT)) == []


# --- changing -----------------------------------------------------------------------------------


async def test_the_newest_change_is_kept(ledger: Ledger) -> None:
    """Of several changes of a watch the last one counts, in one call and over several."""
    await ledger.record([new(1)])
    await ledger.update([change(1), change(1, polls=5, failures=0, status=b'{"n": 5}')])
    (known,) = await every(ledger.open_watches(ENDPOINT))
    assert (known.phase, known.polls, known.failures, known.status) == (Phase.RUNNING, 5, 0, b'{"n": 5}')


async def test_a_change_after_the_outcome_is_nothing(ledger: Ledger) -> None:
    """What has an outcome does not change any more; nor does what was never recorded."""
    await ledger.record([new(1)])
    await ledger.conclude([success(1)])
    await ledger.update([change(1, polls=99), change(77)])
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert known.polls == 4
    assert len(await exported(ledger, include_open=True)) == 1


@pytest.mark.parametrize("status", [b"", b"{", b"\xff", b"{} {}", b"NaN"])
async def test_a_status_is_json(ledger: Ledger, status: bytes) -> None:
    """What could not be read back is not written."""
    await ledger.record([new(1)])
    with pytest.raises(ConfigurationError, match="not one JSON document"):
        await ledger.update([change(1, status=status)])
    with pytest.raises(ConfigurationError, match="not one JSON document"):
        await ledger.conclude([success(1, status=status)])


# --- concluding and acknowledging ---------------------------------------------------------------


async def test_the_first_outcome_wins(ledger: Ledger) -> None:
    """A second outcome of a watch is ignored, in one call and over several, and the count says so."""
    await ledger.record([new(1), new(2)])
    assert await ledger.conclude([success(1), abandoned(1), abandoned(2)]) == 2
    assert await ledger.conclude([abandoned(1), success(2), success(77)]) == 0
    kinds = [known.outcome for known in await every(ledger.unacknowledged(ENDPOINT))]
    assert kinds == [OutcomeKind.SUCCEEDED, OutcomeKind.ABANDONED]
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def test_an_outcome_is_acknowledged_exactly_once(ledger: Ledger) -> None:
    """Of all calls that acknowledge one outcome at once, exactly one counts it."""
    await ledger.record([new(1), new(2)])
    await ledger.conclude([success(1)])
    counts = await asyncio.gather(*(ledger.acknowledge(acks(1, 2, 77)) for _ in range(20)))
    assert sorted(counts) == [0] * 19 + [1]
    assert await every(ledger.unacknowledged(ENDPOINT)) == []
    assert await ledger.acknowledge(acks(1, 1)) == 0


async def test_an_open_watch_cannot_be_acknowledged(ledger: Ledger) -> None:
    """What has no outcome yet has nothing to acknowledge, and its outcome will be seen."""
    await ledger.record([new(1)])
    assert await ledger.acknowledge(acks(1)) == 0
    await ledger.conclude([success(1)])
    assert len(await every(ledger.unacknowledged(ENDPOINT))) == 1


@pytest.mark.parametrize("name", ["elapsed_s", "seen_s"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
async def test_a_duration_is_a_number(ledger: Ledger, name: str, seconds: float) -> None:
    """A duration that is no number of seconds is refused, by its name."""
    await ledger.record([new(1)])
    with pytest.raises(ConfigurationError, match=f"{name} must be a finite number of seconds"):
        await ledger.conclude([success(1, **{name: seconds})])


async def test_within_how_long_an_end_was_seen(ledger: Ledger) -> None:
    """The time since the job was last seen going on. None where it was never seen, and for an abandoned watch."""
    await ledger.record([new(1), new(2), new(3)])
    await ledger.conclude([success(1), success(2, seen_s=None), abandoned(3)])
    assert [known.detected_within_s for known in await every(ledger.unacknowledged(ENDPOINT))] == [2.5, None, None]


async def test_an_error_message_need_not_be_clean(ledger: Ledger) -> None:
    """A message with what no text can hold is kept, escaped: an outcome is never lost for its words."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1, error_message="\ud800 \0 🦉")])
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert known.error_message == "\\ud800 \0 🦉"


async def test_a_number_that_no_row_can_have(ledger: Ledger) -> None:
    """A number too large for the file is the caller's mistake, and said as one."""
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.acknowledge(acks(2**63))


async def test_an_abandoned_watch_can_be_taken_up_again(ledger: Ledger) -> None:
    """Reopening forgets that we stopped looking; what the vendor called over stays over."""
    await ledger.record([new(1), new(2), new(3)])
    await ledger.conclude([abandoned(1), success(2)])
    await ledger.acknowledge(acks(1))
    later = NOON + timedelta(days=1)
    assert await ledger.reopen([Renewal(id=number, generation=0, deadline=later) for number in (1, 2, 3, 77)]) == 1
    again, other = await every(ledger.open_watches(ENDPOINT))
    assert (again.id, again.deadline, again.polls, again.failures) == (1, later, 4, 0)
    assert (other.id, other.deadline) == (3, NOON + timedelta(hours=1))
    assert await ledger.conclude([success(1)]) == 1
    assert [known.id for known in await every(ledger.unacknowledged(ENDPOINT))] == [1, 2]
    assert await ledger.acknowledge(acks(1)) == 0
    assert await ledger.acknowledge(acks(1, generation=1)) == 1


async def test_an_old_acknowledgement_leaves_a_newer_outcome(ledger: Ledger) -> None:
    """It names the outcome of one generation; the outcome after reopening has another, and is delivered."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1)])
    (before,) = await every(ledger.unacknowledged(ENDPOINT))
    await ledger.reopen([Renewal(id=1, generation=0, deadline=None)])
    assert await ledger.acknowledge([before.acknowledgement]) == 0
    await ledger.conclude([success(1)])
    assert await ledger.acknowledge([before.acknowledgement]) == 0
    (after,) = await every(ledger.unacknowledged(ENDPOINT))
    assert (before.generation, after.generation) == (0, 1)
    assert await ledger.acknowledge([after.acknowledgement]) == 1


async def test_an_old_renewal_leaves_a_newer_outcome(ledger: Ledger) -> None:
    """A call that is repeated, or comes second, does not forget an outcome that it has not seen."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1)])
    renewal = Renewal(id=1, generation=0, deadline=None)
    assert await ledger.reopen([renewal, renewal]) == 1
    await ledger.conclude([abandoned(1, error_message="the second one")])
    assert await ledger.reopen([renewal]) == 0
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert (known.error_message, known.generation) == ("the second one", 1)


# --- every call ---------------------------------------------------------------------------------


async def test_nothing_to_do_changes_nothing(ledger: Ledger) -> None:
    """Each call may be empty."""
    assert list(await ledger.record([])) == []
    await ledger.update([])
    await ledger.relocate([])
    await ledger.release_claims([])
    assert await ledger.conclude([]) == await ledger.acknowledge([]) == await ledger.reopen([]) == 0
    assert list(await ledger.intend_submits([])) == []
    assert await ledger.forget_submits([]) == 0


async def test_a_call_is_carried_out_whole_or_not_at_all(ledger: Ledger) -> None:
    """If one of its values cannot be kept, the others are not kept, either."""
    await ledger.record([new(1), new(2)])
    with pytest.raises(ConfigurationError):
        await ledger.update([change(1, polls=9), change(2, status=b"no json")])
    with pytest.raises(ConfigurationError):
        await ledger.conclude([success(1), success(2, status=b"no json")])
    with pytest.raises(ConfigurationError):
        await ledger.record([new(3), new(4, cursor=b"no json")])
    found = await every(ledger.open_watches(ENDPOINT))
    assert [(watch.polls, watch.keys["job_id"]) for watch in found] == [(0, "ZX-1"), (0, "ZX-2")]


async def test_a_fault_of_one_call_is_not_that_of_another(ledger: Ledger) -> None:
    """Also if both are made at the same time."""
    await ledger.record([new(1), new(2)])
    bad, good = await asyncio.gather(
        ledger.conclude([success(1, status=b"no json")]), ledger.conclude([success(2)]), return_exceptions=True
    )
    assert isinstance(bad, ConfigurationError)
    assert good == 1


async def test_a_repeated_call_changes_nothing(ledger: Ledger) -> None:
    """So it may be repeated when it is unknown whether it was carried out."""
    for _ in range(2):
        await ledger.record([new(1), new(2)])
        await ledger.update([change(1, cursor=b"7"), change(2)])
        await ledger.relocate([Relocation(id=1, origin="https://b.example")])
    once = await every(ledger.open_watches(ENDPOINT))
    assert [(watch.id, watch.polls, watch.cursor, watch.origin) for watch in once] == [
        (1, 3, b"7", "https://b.example"),
        (2, 3, None, None),
    ]
    assert [await ledger.conclude([success(1), abandoned(2)]) for _ in range(2)] == [2, 0]
    assert [await ledger.acknowledge(acks(1)) for _ in range(2)] == [1, 0]
    renewal = Renewal(id=2, generation=0, deadline=None)
    assert [await ledger.reopen([renewal]) for _ in range(2)] == [1, 0]
    assert [watch.generation for watch in await every(ledger.open_watches(ENDPOINT))] == [1]


async def test_many_callers_at_the_same_time(ledger: Ledger) -> None:
    """Each job has one row for any number of callers that record it, and the first outcome stays."""
    found = await asyncio.gather(*(ledger.record([new(n), new(n + 1), new(n + 2)]) for n in range(30)))
    numbers = {one.id for answers in found for one in answers}
    assert len(numbers) == 32
    assert [one.known is None for answers in found for one in answers].count(True) == 32
    counts = await asyncio.gather(*(ledger.conclude([success(n) for n in numbers]) for _ in range(10)))
    assert sum(counts) == 32
    assert {one.id for one in await every(ledger.unacknowledged(ENDPOINT))} == numbers


async def test_a_cancelled_call_harms_no_other(ledger: Ledger) -> None:
    """It may be carried out, whole. The calls beside it and after it are."""
    calls = [asyncio.create_task(ledger.record([new(n), new(n + 10)])) for n in range(3)]
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.wait(calls)
    await ledger.record([new(5)])
    found = {watch.keys["job_id"] for watch in await every(ledger.open_watches(ENDPOINT))}
    assert found >= {"ZX-0", "ZX-10", "ZX-2", "ZX-12", "ZX-5"}
    assert len(found & {"ZX-1", "ZX-11"}) != 1


async def test_what_a_caller_does_to_its_list_meanwhile(ledger: Ledger) -> None:
    """A call is what was passed at that moment."""
    watches = [new(1), new(2)]
    recording = asyncio.create_task(ledger.record(watches))
    await asyncio.sleep(0)
    watches.clear()
    assert len(await recording) == 2


async def test_what_is_kept_is_there_after_opening_again(ledger_kind: str, tmp_path: Path) -> None:
    """Rows, outcomes, acknowledgements, generations and starts."""
    if ledger_kind not in LASTING:
        pytest.skip("this kind of ledger ends with its process")
    ledger = await open_ledger(ledger_kind, tmp_path)
    await ledger.record([new(n) for n in (1, 2, 3)])
    await ledger.update([change(1)])
    await ledger.conclude([abandoned(2), success(3)])
    await ledger.acknowledge(acks(3))
    await ledger.reopen([Renewal(id=2, generation=0, deadline=None)])
    await ledger.intend_submits([NewIntent(endpoint=ENDPOINT, key="a", digest="00ff", began=NOON)])
    before = await every(ledger.open_watches(ENDPOINT)), await exported(ledger, include_open=True)
    await ledger.aclose()
    await ledger.aclose()
    ledger = await open_ledger(ledger_kind, tmp_path)
    assert (await every(ledger.open_watches(ENDPOINT)), await exported(ledger, include_open=True)) == before
    assert [one.key for one in await ledger.unfinished_submits()] == ["a"]
    assert await every(ledger.unacknowledged(ENDPOINT)) == []
    await ledger.aclose()


async def test_every_zone_comes_back_in_utc(ledger: Ledger) -> None:
    """Times are moments: they come back equal, exact to the microsecond, and in UTC."""
    zone = timezone(timedelta(hours=5, minutes=30))
    times = [NOON.astimezone(zone), datetime.min.replace(tzinfo=zone) + timedelta(days=1), NOON.replace(year=9999)]
    await ledger.record([new(n, first_seen=moment, deadline=moment) for n, moment in enumerate(times)])
    found = await every(ledger.open_watches(ENDPOINT))
    assert [watch.first_seen for watch in found] == times
    assert [watch.deadline for watch in found] == times
    assert {watch.first_seen.utcoffset() for watch in found} == {timedelta(0)}


async def test_an_abandoned_watch_keeps_its_error(ledger: Ledger) -> None:
    """An outcome's error is kept as its type, its message and its data."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1, error_data=b'{"version":  1}')])
    (found,) = await every(ledger.unacknowledged(ENDPOINT))
    assert found.error_data == b'{"version":  1}'
    assert (found.error_type, found.error_message, found.failures) == ("RetriesExhausted", "gave up", 8)
