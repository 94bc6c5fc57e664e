from __future__ import annotations

import asyncio
from collections.abc import Iterable
from datetime import timedelta
from typing import Any

import orjson
import pytest
from ledger_values import ENDPOINT, NOON, abandoned, acks, change, every, new, success

from pollwise.errors import ConfigurationError
from pollwise.ledger import Concluded, OpenWatch, OutcomeKind, Renewal, SqliteLedger
from pollwise.model.reading import Phase


async def exported(ledger: SqliteLedger, **options: bool) -> list[dict[str, Any]]:
    text = b"".join([lines async for lines in ledger.export(**options)])
    return [orjson.loads(line) for line in text.splitlines()]


# --- recording ----------------------------------------------------------------------------------


async def test_a_new_watch_is_open(ledger: SqliteLedger) -> None:
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


async def test_the_same_job_again_is_no_second_row(ledger: SqliteLedger) -> None:
    """A job is its endpoint and keys, in any order: again, it gets its old number and all that is known."""
    (first,) = await ledger.record([new(1, keys={"a": "1", "b": "2"})])
    await ledger.update([change(first.id)])
    (again,) = await ledger.record([new(1, keys={"b": "2", "a": "1"}, first_seen=NOON + timedelta(days=1))])
    (open_one,) = await every(ledger.open_watches(ENDPOINT))
    assert again.id == first.id
    assert again.known == open_one
    assert open_one.first_seen == NOON


async def test_a_job_that_was_over_is_recorded_with_its_outcome(ledger: SqliteLedger) -> None:
    """In one call, which never replaces what is known. Its number is not that of the given outcome."""
    first, second, _ = await ledger.record([new(1), new(2, outcome=success(77)), new(3)])
    assert (first.known, second.known) == (None, None)
    ((known,),) = [page async for page in ledger.unacknowledged(ENDPOINT)]
    assert (known.id, known.outcome, known.acknowledged) == (second.id, OutcomeKind.SUCCEEDED, False)
    assert [one.id for one in await every(ledger.open_watches(ENDPOINT))] == [first.id, second.id + 1]
    again, ended = await ledger.record([new(1, outcome=success(1)), new(2, outcome=abandoned(2))])
    assert isinstance(again.known, OpenWatch)
    assert ended.known == known


async def test_the_same_job_twice_in_one_call(ledger: SqliteLedger) -> None:
    """Within one call too, the second mention finds the first."""
    first, second = await ledger.record([new(1), new(1)])
    assert first.known is None
    assert isinstance(second.known, OpenWatch)
    assert second.id == first.id


async def test_known_and_new_jobs_in_one_call(ledger: SqliteLedger) -> None:
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


async def filled(ledger: SqliteLedger, numbers: Iterable[int]) -> list[OpenWatch]:
    await ledger.record([new(number) for number in numbers])
    return await every(ledger.open_watches(ENDPOINT))


async def test_a_finished_job_says_so(ledger: SqliteLedger) -> None:
    """Recording a job that is over returns its outcome and does not open it again."""
    (first,) = await ledger.record([new(1)])
    await ledger.conclude([success(first.id)])
    (again,) = await ledger.record([new(1)])
    assert isinstance(again.known, Concluded)
    assert again.known.outcome is OutcomeKind.SUCCEEDED
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def test_endpoints_do_not_mix(ledger: SqliteLedger) -> None:
    """The same keys at another endpoint are another job."""
    one, other = await ledger.record([new(1), new(1, endpoint="document360")])
    assert other.known is None
    assert [watch.id for watch in await every(ledger.open_watches(ENDPOINT))] == [one.id]
    assert [watch.id for watch in await every(ledger.open_watches("document360"))] == [other.id]


HOSTILE = ["", "\0", "a\0b", "'; DROP TABLE watches; --", '"\\\n\r\u2028', "é🦉", "\x1b[31m", "x" * 100_000]


async def test_keys_are_kept_letter_by_letter(ledger: SqliteLedger) -> None:
    """Whatever text a key is, it comes back as it was."""
    await ledger.record([new(1, keys={text: text}) for text in HOSTILE])
    assert [watch.keys for watch in await every(ledger.open_watches(ENDPOINT))] == [{text: text} for text in HOSTILE]


async def test_what_is_no_text_is_refused(ledger: SqliteLedger) -> None:
    """A lone surrogate cannot be kept; the call says so and keeps nothing of itself."""
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.record([new(1), new(2, keys={"job_id": "\ud800"})])
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.record([new(1), new(2, endpoint="\ud800")])
    assert await every(ledger.open_watches(ENDPOINT)) == []


# --- changing -----------------------------------------------------------------------------------


async def test_the_newest_change_is_kept(ledger: SqliteLedger) -> None:
    """Of several changes of a watch the last one counts, in one call and over several."""
    await ledger.record([new(1)])
    await ledger.update([change(1), change(1, polls=5, failures=0, status=b'{"n": 5}')])
    (known,) = await every(ledger.open_watches(ENDPOINT))
    assert (known.phase, known.polls, known.failures, known.status) == (Phase.RUNNING, 5, 0, b'{"n": 5}')


async def test_a_change_after_the_outcome_is_nothing(ledger: SqliteLedger) -> None:
    """What has an outcome does not change any more; nor does what was never recorded."""
    await ledger.record([new(1)])
    await ledger.conclude([success(1)])
    await ledger.update([change(1, polls=99), change(77)])
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert known.polls == 4
    assert len(await exported(ledger, include_open=True)) == 1


@pytest.mark.parametrize("status", [b"", b"{", b"\xff", b"{} {}", b"NaN"])
async def test_a_status_is_json(ledger: SqliteLedger, status: bytes) -> None:
    """What could not be read back is not written."""
    await ledger.record([new(1)])
    with pytest.raises(ConfigurationError, match="not one JSON document"):
        await ledger.update([change(1, status=status)])
    with pytest.raises(ConfigurationError, match="not one JSON document"):
        await ledger.conclude([success(1, status=status)])


# --- concluding and acknowledging ---------------------------------------------------------------


async def test_the_first_outcome_wins(ledger: SqliteLedger) -> None:
    """A second outcome of a watch is ignored, in one call and over several, and the count says so."""
    await ledger.record([new(1), new(2)])
    assert await ledger.conclude([success(1), abandoned(1), abandoned(2)]) == 2
    assert await ledger.conclude([abandoned(1), success(2), success(77)]) == 0
    kinds = [known.outcome for known in await every(ledger.unacknowledged(ENDPOINT))]
    assert kinds == [OutcomeKind.SUCCEEDED, OutcomeKind.ABANDONED]
    assert await every(ledger.open_watches(ENDPOINT)) == []


async def test_an_outcome_is_acknowledged_exactly_once(ledger: SqliteLedger) -> None:
    """Of all calls that acknowledge one outcome at once, exactly one counts it."""
    await ledger.record([new(1), new(2)])
    await ledger.conclude([success(1)])
    counts = await asyncio.gather(*(ledger.acknowledge(acks(1, 2, 77)) for _ in range(20)))
    assert sorted(counts) == [0] * 19 + [1]
    assert await every(ledger.unacknowledged(ENDPOINT)) == []
    assert await ledger.acknowledge(acks(1, 1)) == 0


async def test_an_open_watch_cannot_be_acknowledged(ledger: SqliteLedger) -> None:
    """What has no outcome yet has nothing to acknowledge, and its outcome will be seen."""
    await ledger.record([new(1)])
    assert await ledger.acknowledge(acks(1)) == 0
    await ledger.conclude([success(1)])
    assert len(await every(ledger.unacknowledged(ENDPOINT))) == 1


@pytest.mark.parametrize("name", ["elapsed_s", "seen_s"])
@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
async def test_a_duration_is_a_number(ledger: SqliteLedger, name: str, seconds: float) -> None:
    """A duration that is no number of seconds is refused, by its name."""
    await ledger.record([new(1)])
    with pytest.raises(ConfigurationError, match=f"{name} must be a finite number of seconds"):
        await ledger.conclude([success(1, **{name: seconds})])


async def test_within_how_long_an_end_was_seen(ledger: SqliteLedger) -> None:
    """The time since the job was last seen going on. None where it was never seen, and for an abandoned watch."""
    await ledger.record([new(1), new(2), new(3)])
    await ledger.conclude([success(1), success(2, seen_s=None), abandoned(3)])
    assert [known.detected_within_s for known in await every(ledger.unacknowledged(ENDPOINT))] == [2.5, None, None]


async def test_an_error_message_need_not_be_clean(ledger: SqliteLedger) -> None:
    """A message with what no text can hold is kept, escaped: an outcome is never lost for its words."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1, error_message="\ud800 \0 🦉")])
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert known.error_message == "\\ud800 \0 🦉"


async def test_a_number_that_no_row_can_have(ledger: SqliteLedger) -> None:
    """A number too large for the file is the caller's mistake, and said as one."""
    with pytest.raises(ConfigurationError, match="cannot be kept"):
        await ledger.acknowledge(acks(2**63))


async def test_an_abandoned_watch_can_be_taken_up_again(ledger: SqliteLedger) -> None:
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


async def test_an_old_acknowledgement_leaves_a_newer_outcome(ledger: SqliteLedger) -> None:
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


async def test_an_old_renewal_leaves_a_newer_outcome(ledger: SqliteLedger) -> None:
    """A call that is repeated, or comes second, does not forget an outcome that it has not seen."""
    await ledger.record([new(1)])
    await ledger.conclude([abandoned(1)])
    renewal = Renewal(id=1, generation=0, deadline=None)
    assert await ledger.reopen([renewal, renewal]) == 1
    await ledger.conclude([abandoned(1, error_message="the second one")])
    assert await ledger.reopen([renewal]) == 0
    (known,) = await every(ledger.unacknowledged(ENDPOINT))
    assert (known.error_message, known.generation) == ("the second one", 1)


# --- reading ------------------------------------------------------------------------------------


async def test_many_watches_come_in_chunks(ledger: SqliteLedger) -> None:
    """Open watches and outcomes come in chunks of 1,000, each once and in order."""
    await ledger.record([new(n) for n in range(2_500)])
    chunks = [chunk async for chunk in ledger.open_watches(ENDPOINT)]
    assert [len(chunk) for chunk in chunks] == [1_000, 1_000, 500]
    numbers = [watch.id for chunk in chunks for watch in chunk]
    assert numbers == sorted(set(numbers))
    await ledger.conclude([success(number) for number in numbers])
    done = [chunk async for chunk in ledger.unacknowledged(ENDPOINT)]
    assert [[known.id for known in chunk] for chunk in done] == [[w.id for w in chunk] for chunk in chunks]


async def test_a_reader_may_write_between_chunks(ledger: SqliteLedger) -> None:
    """Acknowledging while iterating skips nothing."""
    await ledger.record([new(n) for n in range(1_500)])
    await ledger.conclude([success(n + 1) for n in range(1_500)])
    count = 0
    async for chunk in ledger.unacknowledged(ENDPOINT):
        count += await ledger.acknowledge([known.acknowledgement for known in chunk])
    assert count == 1_500


async def test_durations_are_those_of_successes(ledger: SqliteLedger) -> None:
    """Learnt durations come from what succeeded, the newest first, as many as wanted."""
    await ledger.record([new(n) for n in range(4)] + [new(9, endpoint="document360")])
    await ledger.conclude([success(n, elapsed_s=float(n)) for n in (1, 2, 3, 5)] + [abandoned(4)])
    assert await ledger.durations(ENDPOINT) == [3.0, 2.0, 1.0]
    assert await ledger.durations(ENDPOINT, newest=2) == [3.0, 2.0]


async def test_export_is_json_lines(ledger: SqliteLedger) -> None:
    """Results are one JSON object a line, in the order recorded, the open ones only if wanted."""
    await ledger.record([new(1), new(2, deadline=None), new(3)])
    await ledger.update([change(2)])
    await ledger.conclude([abandoned(3, error_message="line\nbreak"), success(1, status=b'{\n"n": [1]\n}')])
    await ledger.acknowledge(acks(1))
    first, third = await exported(ledger)
    assert first == {
        "outcome": "succeeded",
        "endpoint": ENDPOINT,
        "job": {"file_id": "D1", "job_id": "ZX-1"},
        "phase": "succeeded",
        "first_seen": "2026-03-01T12:00:00.123456Z",
        "deadline": "2026-03-01T13:00:00.123456Z",
        "elapsed_s": 12.5,
        "detected_within_s": 2.5,
        "polls": 4,
        "failures": 0,
        "status": {"n": [1]},
        "error": None,
        "acknowledged": True,
    }
    assert third["error"] == {"type": "RetriesExhausted", "message": "line\nbreak"}
    everything = await exported(ledger, include_open=True)
    assert [line["outcome"] for line in everything] == ["succeeded", None, "abandoned"]
    assert everything[1]["status"] == {"progress": "PROCESSING"}
    assert everything[1]["deadline"] is None


async def test_export_streams(ledger: SqliteLedger) -> None:
    """Many results come as several pieces, each of whole lines."""
    await ledger.record([new(n) for n in range(2_500)])
    pieces = [piece async for piece in ledger.export(include_open=True)]
    assert [piece.count(b"\n") for piece in pieces] == [1_000, 1_000, 500]
    assert all(piece.endswith(b"\n") for piece in pieces)
