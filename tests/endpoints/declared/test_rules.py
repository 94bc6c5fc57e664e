"""What a reply says about its job, by the rules of a declaration."""

from __future__ import annotations

from typing import Any

import pytest

from pollwise import Phase
from pollwise.endpoints.declared import Declaration, Progress, Wait
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.rules import Rules


def rules_of(**words: Any) -> tuple[Rules, list[str]]:
    problems = Problems()
    declaration = Declaration(name="exports", base="https://a.example", job=["id"], poll="GET /{id}", **words)
    return Rules.of(declaration, problems), list(map(str, problems.found))


def right(**words: Any) -> Rules:
    rules, problems = rules_of(**words)
    assert not problems
    return rules


WORDS: dict[str, Any] = {
    "state": "state",
    "queued": [0, "waiting"],
    "succeeded": ["Done", 3],
    "failed": ["error", 4],
    "cancelled": ["stopped", False],
    "unconfirmed": [4, False],
}


@pytest.mark.parametrize(
    ("state", "phase", "unconfirmed", "unknown"),
    [
        ("waiting", Phase.QUEUED, False, None),
        ("DONE", Phase.SUCCEEDED, False, None),
        ("done", Phase.SUCCEEDED, False, None),
        (0, Phase.QUEUED, False, None),
        (4, Phase.FAILED, True, None),
        (False, Phase.CANCELLED, True, None),
        ("0", Phase.RUNNING, False, "state=0"),
        (True, Phase.RUNNING, False, "state=True"),
        (9.5, Phase.RUNNING, False, "state=9.5"),
        ("PAUSED", Phase.RUNNING, False, "state=PAUSED"),
    ],
)
def test_words_are_compared_without_case_and_by_type(
    state: Any, phase: Phase, unconfirmed: bool, unknown: str | None
) -> None:
    """0, false and "0" are three words. A word in no list means running, and is reported."""
    verdict = right(**WORDS).verdict({"state": state})
    assert verdict is not None
    assert (verdict.phase, verdict.unconfirmed, verdict.unknown) == (phase, unconfirmed, unknown)


@pytest.mark.parametrize("state", [None, [], {}, ["done"], {"a": "done"}])
def test_what_is_no_word_says_nothing(state: Any) -> None:
    """Such a reply is malformed, and does not run for ever."""
    assert right(**WORDS).verdict({"state": state}) is None
    assert right(**WORDS).verdict({}) is None
    assert right(**WORDS).verdict([state]) is None


def test_the_first_rule_that_matches_decides() -> None:
    """Expressions: cancelled, failed, succeeded, waiting for input, running, queued; then the words; then otherwise."""
    rules = right(
        **WORDS,
        cancelled_when="c",
        failed_when="f",
        succeeded_when="s",
        waiting_for_input_when="w",
        running_when="r",
        queued_when="q",
        otherwise="queued",
    )
    data: dict[str, Any] = dict.fromkeys("cfswrq", True) | {"state": "done"}
    seen = []
    for name in "cfswrq":
        verdict = rules.verdict(data)
        assert verdict is not None
        seen.append(verdict.phase)
        del data[name]
    ends = [Phase.CANCELLED, Phase.FAILED, Phase.SUCCEEDED]
    assert seen == [*ends, Phase.WAITING_FOR_INPUT, Phase.RUNNING, Phase.QUEUED]
    word, nothing = rules.verdict(data), rules.verdict({})
    assert word is not None
    assert nothing is not None
    assert (word.phase, nothing.phase) == (Phase.SUCCEEDED, Phase.QUEUED)


@pytest.mark.parametrize(
    ("data", "unknown", "why"),
    [
        (
            {"state": "weird", "over": True},
            "state=weird",
            "state gives 'weird', which is in no list, and over_when is true",
        ),
        ({"state": {"a": 1}, "over": True}, "over_when=true", "over_when is true, and no rule says how the job ended"),
        ({"over": True}, "over_when=true", "over_when is true, and no rule says how the job ended"),
    ],
)
def test_an_end_that_no_rule_names_is_no_success(data: dict[str, Any], unknown: str, why: str) -> None:
    """It is an end of unknown kind, which says how the vendor put it."""
    rules = right(**WORDS, over_when="over", otherwise="queued")
    verdict = rules.verdict(data)
    assert verdict is not None
    assert (verdict.phase, verdict.unknown_end, verdict.unknown) == (Phase.RUNNING, True, unknown)
    assert rules.why(200, data) == why


@pytest.mark.parametrize(
    ("data", "phase"),
    [
        ({"state": "done", "over": True}, Phase.SUCCEEDED),
        ({"state": "waiting", "over": True}, Phase.QUEUED),
        ({"state": "weird", "over": False}, Phase.RUNNING),
        ({"over": ""}, Phase.QUEUED),
    ],
)
def test_a_rule_that_names_the_phase_comes_before_over_when(data: dict[str, Any], phase: Phase) -> None:
    """Also one that says that the job is at work. Without a true `over_when` nothing is an end of unknown kind."""
    verdict = right(**WORDS, over_when="over", otherwise="queued").verdict(data)
    assert verdict is not None
    assert (verdict.phase, verdict.unknown_end) == (phase, False)


@pytest.mark.parametrize(
    ("data", "fraction"),
    [
        ({"done": 5, "of": 10}, 0.5),
        ({"done": "5", "of": "10"}, 0.5),
        ({"done": 0, "of": 10}, 0.0),
        ({"done": 0, "of": 0}, None),
        ({"done": 11, "of": 10}, None),
        ({"done": -1, "of": 10}, None),
        ({"done": True, "of": 10}, None),
        ({"done": "five", "of": 10}, None),
        ({"done": [], "of": {}}, None),
        ({}, None),
    ],
)
def test_a_fraction_is_a_share_or_none(data: dict[str, Any], fraction: float | None) -> None:
    """An odd number informs of nothing, and hides nothing."""
    assert right(**WORDS, progress=Progress(done="done", of="of")).fraction(data) == fraction


def test_a_percentage_is_of_a_hundred() -> None:
    """`of` may be a number."""
    assert right(**WORDS, progress=Progress(done="percent", of=100)).fraction({"percent": 25}) == 0.25


def test_a_reason_is_short_text() -> None:
    """Objects are shown as JSON. Nothing is shown of nothing."""
    rules = right(**WORDS, reason="why")
    assert rules.reason({"why": "no disk"}) == "no disk"
    assert rules.reason({"why": {"a": 1}}) == '{"a":1}'
    assert rules.reason({"why": ""}) is None
    assert rules.reason({}) is None
    assert len(rules.reason({"why": "x" * 10_000}) or "") == 500


@pytest.mark.parametrize(
    ("after", "data", "wait_s"),
    [
        (Wait(s="wait"), {"wait": 30}, 30.0),
        (Wait(s="wait"), {"wait": "30"}, 30.0),
        (Wait(ms="wait"), {"wait": 1500}, 1.5),
        (Wait(ms="wait"), {"wait": -1}, None),
        (Wait(ms="wait"), {"wait": "soon"}, None),
    ],
)
def test_a_wait_has_its_unit(after: Wait, data: dict[str, Any], wait_s: float | None) -> None:
    """Seconds or milliseconds, as the declaration says."""
    assert right(**WORDS, after=after).poll_after_s(data) == wait_s


def test_codes_of_refusals_may_be_answers() -> None:
    """Then every refusal but 401 and 429 is read, and a code in no list leaves it a refusal."""
    rules = right(state="state", succeeded=["done"], code="error.code", codes={"failed": ["Gone"], "succeeded": [7]})
    assert {400, 404, 503} <= rules.answer_statuses
    assert not {401, 429} & rules.answer_statuses
    gone, other = rules.verdict_of_code({"error": {"code": "gone"}}), rules.verdict_of_code({"error": {"code": "x"}})
    assert gone is not None
    assert gone.phase is Phase.FAILED
    assert other is None
    assert rules.verdict_of_code(None) is None


@pytest.mark.parametrize(
    ("words", "why"),
    [
        ({"running": ["done"]}, "'done' is listed for succeeded, too"),
        ({"unconfirmed": ["waiting"]}, "'waiting' must be in succeeded, failed or cancelled"),
        ({"unconfirmed": ["nowhere"]}, "'nowhere' must be in"),
        ({"state": None}, "state: write the expression"),
        ({"state": "a["}, "state: the expression 'a['"),
        ({"http": {"done": [200]}}, "http.done: there is no such phase"),
        ({"http": {"failed": [401]}}, "http: write lists of status codes from 200 to 599, without 401 and 429"),
        ({"http": {"failed": ["404"]}}, "http: write lists of status codes"),
        ({"http": {"failed": 404}}, "http.failed: write a list"),
        ({"codes": {"failed": ["x"]}}, "codes: write code, too"),
        ({"otherwise": "failed"}, "otherwise: write 'running' or 'queued'"),
        ({"succeeded": (), "unconfirmed": ()}, "nothing says that a job succeeded"),
        ({"succeeded": "done"}, "succeeded: write a list"),
        ({"progress": Progress(done="a", of=0)}, "progress.of: write a positive number"),
        ({"progress": Progress(done="a[")}, "progress.done: the expression"),
        ({"after": Wait()}, "after: write one of s and ms"),
        ({"after": Wait(s="a", ms="b")}, "after: write one of s and ms"),
    ],
)
def test_rules_that_cannot_be_right_are_problems(words: dict[str, Any], why: str) -> None:
    """Each names its word and says what to write."""
    _, problems = rules_of(**{**WORDS, **words})
    assert any(why in problem for problem in problems), problems


def test_otherwise_needs_what_every_reply_has() -> None:
    """Without it, `{}` would run until the deadline."""
    _, problems = rules_of(succeeded_when="done", otherwise="running")
    assert any("expects: write what every reply about a job has" in problem for problem in problems)
    right(succeeded_when="done", otherwise="running", expects="id")
