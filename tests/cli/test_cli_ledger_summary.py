from __future__ import annotations

import math
from typing import Any

from pollwise.cli.event_text import ENDED, look
from pollwise.cli.ledger_entries import Entry
from pollwise.cli.ledger_summary import WORDS, Tally


def entry(name: str, word: str = "succeeded", **more: Any) -> Entry:
    elapsed_s = 2.0 if word in ENDED else None
    reason = "broken" if word in ENDED and word != "succeeded" else ""
    usual = {"endpoint": "e", "keys": (name,), "first_seen": 1.0, "elapsed_s": elapsed_s, "polls": 3, "reason": reason}
    return Entry(word=word, **{**usual, **more})


def test_every_word_is_counted() -> None:
    """All words of entries have their place, and a look."""
    tally = Tally()
    tally.add(entry(word, word) for word in WORDS)
    assert tally.words == dict.fromkeys(WORDS, 1)
    assert (tally.total, tally.ended, tally.polls) == (9, 4, 27)
    assert [look(word).symbol for word in WORDS]


def test_numbers_of_all_and_endpoints_apart() -> None:
    """Each watch leaves its times and its requests; endpoints are counted apart as well."""
    tally = Tally()
    tally.add([entry("a", detected_within_s=0.5), entry("b", "running", endpoint="f", polls=0, first_seen=5.0)])
    assert tally.endpoints == {"e": {"succeeded": 1}, "f": {"running": 1}}
    assert list(tally.began) == [1.0, 5.0]
    assert tally.took[0] == 2.0
    assert math.isnan(tally.took[1])
    assert tally.detected[0] == 0.5
    assert math.isnan(tally.detected[1])
    assert list(tally.polled) == [3, 0]
    assert [WORDS[code] for code in tally.codes] == ["succeeded", "running"]


def test_what_nobody_has_acknowledged() -> None:
    """Only outcomes can be acknowledged."""
    tally = Tally()
    tally.add([entry("a"), entry("b", acknowledged=True), entry("c", "running")])
    assert tally.unacknowledged == 1


def test_equal_reasons_are_counted_together() -> None:
    """The commonest first, with a few examples."""
    tally = Tally()
    tally.add([entry("x", "abandoned", reason="rare")])
    tally.add(entry(str(number), "failed") for number in range(5))
    tally.add([entry("y", "failed", endpoint="f")])
    assert [(reason.count, reason.word, reason.endpoint, reason.text) for reason in tally.reasons] == [
        (5, "failed", "e", "broken"),
        (1, "abandoned", "e", "rare"),
        (1, "failed", "f", "broken"),
    ]
    assert tally.reasons[0].examples == ["0", "1", "2"]


def test_reasons_without_end_are_only_counted() -> None:
    """A vendor that says something else each time fills no memory."""
    tally = Tally()
    tally.add(entry("x", "failed", reason=str(number)) for number in range(1500))
    assert (len(tally.reasons), tally.unnamed) == (1000, 500)


def test_the_rows_that_tell_most() -> None:
    """Of more entries than there is room for, those that did not succeed are kept, in the order recorded."""
    tally = Tally(rows=3)
    tally.add([entry("a"), entry("b", "failed"), entry("c", "running"), entry("d"), entry("e", "abandoned")])
    assert [row.keys[0] for row in tally.rows] == ["b", "e", "a"]
