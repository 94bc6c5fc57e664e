"""What a reply says about its job, by the rules of a declaration.

Rule 1: the first rule that matches decides: status codes, then expressions, then words, then `over_when` and
`otherwise`.
Rule 2: words are compared without letter case and by type: 0, false and "0" are three words.
Rule 3: a word in no list means running. It is reported, so that the caller can add it.
Rule 4: an end that no rule names is no success: `over_when` makes it an end of unknown kind.
Rule 5: a reply that no rule matches says nothing about the job.
Rule 6: what informs (progress, reason, wait) is None if it cannot be read. It never hides what decides.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any, Final

import attrs
import orjson

from pollwise.endpoints._strict import unknown
from pollwise.endpoints.declared.expressions import Expression, compiled, is_true
from pollwise.endpoints.declared.problems import Problems
from pollwise.endpoints.declared.vocabulary import PHASES, Declaration, Word
from pollwise.model.abilities import NEVER_ANSWERS
from pollwise.model.limits import is_number
from pollwise.model.reading import TERMINAL, Phase

__all__ = ["Rules", "Verdict", "text_or_none"]

_LONGEST_REASON: Final = 500
_LONGEST_SHOWN: Final = 60
_NUMBER: Final = re.compile(r"[+-]?\d{1,300}(?:\.\d{1,300})?", re.ASCII).fullmatch
_OTHERWISE: Final = {"running": Phase.RUNNING, "queued": Phase.QUEUED}


@attrs.frozen
class Verdict:
    """What the rules say.

    Attributes:
        phase: The phase.
        unconfirmed: Whether it only looks over.
        unknown: A word in no list, as `state=WORD`.
        unknown_end: Whether the job is over in a way that no rule names.
    """

    phase: Phase
    unconfirmed: bool = False
    unknown: str | None = None
    unknown_end: bool = False


_END: Final = Verdict(Phase.RUNNING, unknown="over_when=true", unknown_end=True)
_VERDICTS: Final = {phase: Verdict(phase) for phase in Phase}


@attrs.frozen(kw_only=True)
class Rules:
    """The rules of one declaration, compiled.

    Attributes:
        http: The verdict of a status code.
        answer_statuses: Status codes outside 2xx whose replies may be answers.
        expects: What every reply about a job has, or None.
        limited: Whether a 2xx says that the rate limit was hit, or None.
    """

    http: Mapping[int, Verdict]
    answer_statuses: frozenset[int]
    expects: Expression | None
    limited: Expression | None
    _when: tuple[tuple[str, Expression, Verdict], ...] = attrs.field(alias="when")
    _state: Expression | None = attrs.field(alias="state")
    _words: Mapping[Any, Verdict] = attrs.field(alias="words")
    _over: Expression | None = attrs.field(alias="over")
    _otherwise: Verdict | None = attrs.field(alias="otherwise")
    _done: Expression | None = attrs.field(alias="done")
    _of: Expression | float = attrs.field(alias="of")
    _reason: Expression | None = attrs.field(alias="reason")
    _code: Expression | None = attrs.field(alias="code")
    _codes: Mapping[Any, Verdict] = attrs.field(alias="codes")
    _after: Expression | None = attrs.field(alias="after")
    _after_unit_s: float = attrs.field(alias="after_unit_s")

    def verdict(self, data: Any) -> Verdict | None:
        """What the body of a 2xx says, or None if no rule matches."""
        for _, when, verdict in self._when:
            if is_true(when(data)):
                return verdict
        if self._state is not None:
            word = self._state(data)
            if word is not None:
                found = self._words.get(_word_key(word)) if isinstance(word, (str, int)) else None
                return found or self._of_unlisted(word, data)
        return self._otherwise if self._over is None or not is_true(self._over(data)) else _END

    def _of_unlisted(self, word: Any, data: Any) -> Verdict | None:
        """What a word in no list means. An object and a list are no words."""
        strange = None if isinstance(word, (dict, list)) else unknown("state", word)
        if self._over is not None and is_true(self._over(data)):
            return attrs.evolve(_END, unknown=strange) if strange else _END
        return None if strange is None else Verdict(Phase.RUNNING, unknown=strange)

    def why(self, http_status: int, data: Any) -> str:
        """Which rule decides about a reply, in words."""
        if http_status in self.http:
            return f"http lists {http_status} for {self.http[http_status].phase.value}"
        if not 200 <= http_status < 300:
            return self._why_of_code(http_status, data)
        if self.expects is not None and self.expects(data) is None:
            return "expects gives nothing"
        for name, when, _ in self._when:
            if is_true(when(data)):
                return f"{name} is true"
        return self._why_of_state(data)

    def _why_of_code(self, http_status: int, data: Any) -> str:
        if self._code is None or not self._codes:
            return f"http does not list {http_status}"
        verdict = self.verdict_of_code(data)
        listed = "which codes does not list" if verdict is None else f"which codes lists for {verdict.phase.value}"
        return f"code gives {_shown(self._code(data))}, {listed}"

    def _why_of_state(self, data: Any) -> str:
        word = None if self._state is None else self._state(data)
        if isinstance(word, (str, int)) and _word_key(word) in self._words:
            return f"state gives {_shown(word)}, which {self._words[_word_key(word)].phase.value} lists"
        over = "" if self._over is None or not is_true(self._over(data)) else "over_when is true"
        if word is not None and not isinstance(word, (dict, list)):
            return f"state gives {_shown(word)}, which is in no list" + (f", and {over}" if over else "")
        if over:
            return f"{over}, and no rule says how the job ended"
        return "no rule matches" + ("" if self._otherwise is None else ", so otherwise decides")

    def verdict_of_code(self, data: Any) -> Verdict | None:
        """What the vendor's error code in a refusal says about the job, or None if it says nothing."""
        code = None if self._code is None or not self._codes else self._code(data)
        return self._codes.get(_word_key(code)) if isinstance(code, (str, int)) else None

    def code(self, data: Any) -> str | None:
        """The vendor's error code, as text."""
        return text_or_none(None if self._code is None else self._code(data))

    def reason(self, data: Any) -> str | None:
        """The vendor's words for a failure."""
        return text_or_none(None if self._reason is None else self._reason(data))

    def fraction(self, data: Any) -> float | None:
        """The share of the work that is done, 0..1, or None."""
        if self._done is None:
            return None
        done = _number(self._done(data))
        of = self._of if isinstance(self._of, (int, float)) else _number(self._of(data))
        return done / of if done is not None and of is not None and 0.0 <= done <= of and of > 0 else None

    def poll_after_s(self, data: Any) -> float | None:
        """Seconds that the body asks to wait, or None."""
        wait = None if self._after is None else _number(self._after(data))
        return None if wait is None or wait < 0 else wait * self._after_unit_s

    @classmethod
    def of(cls, declared: Declaration, problems: Problems) -> Rules:
        """Compile the rules of a declaration. Problems are added to `problems`."""

        def expression(word: str, text: object) -> Expression | None:
            return None if text is None else problems.of(word, compiled, text)

        whens = [(name, expression(f"{name}_when", getattr(declared, f"{name}_when"))) for name in PHASES]
        progress, after = declared.progress, declared.after
        wait = None if after is None else after.s if after.s is not None else after.ms
        if after is not None and (after.s is None) == (after.ms is None):
            problems.add("after", "write one of s and ms, such as after = { s = 'retry_after' }")
        http = _http(declared, problems)
        codes = _listed("codes", declared.codes, problems)
        if codes and declared.code is None:
            problems.add("codes", "write code, too: an expression that gives the error code")
        outside = {status for status in http if not 200 <= status < 300}
        rules = cls(
            http=http,
            answer_statuses=frozenset(range(400, 600)) - NEVER_ANSWERS | outside if codes else frozenset(outside),
            expects=expression("expects", declared.expects),
            limited=expression("limited", declared.limited),
            when=tuple((f"{name}_when", when, _VERDICTS[PHASES[name]]) for name, when in whens if when is not None),
            state=expression("state", declared.state),
            words=_words(declared, problems),
            over=expression("over_when", declared.over_when),
            otherwise=_otherwise(declared, problems),
            done=None if progress is None else expression("progress.done", progress.done),
            of=_whole(progress.of if progress else 1, expression, problems),
            reason=expression("reason", declared.reason),
            code=expression("code", declared.code),
            codes=codes,
            after=expression("after", wait),
            after_unit_s=0.001 if after is not None and after.s is None else 1.0,
        )
        _check_ends(declared, problems)
        return rules


# --- compilation ------------------------------------------------------------------------------


def _words(declared: Declaration, problems: Problems) -> dict[Any, Verdict]:
    lists = {name: getattr(declared, name) for name in PHASES if getattr(declared, name)}
    found = _listed(None, lists, problems)
    if found and declared.state is None:
        problems.add("state", f"write the expression that gives the word which {next(iter(lists))} lists")
    for word in declared.unconfirmed:
        verdict = found.get(_word_key(word))
        if verdict is None or verdict.phase not in TERMINAL:
            problems.add("unconfirmed", f"{word!r} must be in succeeded, failed or cancelled, too")
        else:
            found[_word_key(word)] = Verdict(verdict.phase, unconfirmed=True)
    return found


def _listed(word: str | None, lists: Mapping[str, Any], problems: Problems) -> dict[Any, Verdict]:
    """The verdict of each listed word. `word` is the word of the declaration, or None if each phase is one."""
    found: dict[Any, Verdict] = {}
    for name, values in lists.items():
        place = name if word is None else f"{word}.{name}"
        if name not in PHASES:
            problems.add(place, f"there is no such phase; the phases are {', '.join(PHASES)}")
        elif not isinstance(values, (list, tuple)) or any(type(value) not in (str, int, bool) for value in values):
            problems.add(place, "write a list of texts, whole numbers or truth values")
        else:
            for value in values:
                verdict = found.setdefault(_word_key(value), _VERDICTS[PHASES[name]])
                if verdict.phase is not PHASES[name]:
                    problems.add(place, f"{value!r} is listed for {verdict.phase.value}, too; a word has one phase")
    return found


def _http(declared: Declaration, problems: Problems) -> dict[int, Verdict]:
    found = _listed("http", declared.http, problems)
    codes = {key[1]: verdict for key, verdict in found.items() if isinstance(key, tuple) and key[0] is int}
    wrong = [code for code in codes if not 200 <= code <= 599 or code in NEVER_ANSWERS]
    if wrong or len(codes) < len(found):
        problems.add("http", "write lists of status codes from 200 to 599, without 401 and 429")
    return codes


def _otherwise(declared: Declaration, problems: Problems) -> Verdict | None:
    if declared.otherwise is None:
        return None
    phase = _OTHERWISE.get(declared.otherwise)
    if phase is None:
        problems.add("otherwise", f"write 'running' or 'queued', not {declared.otherwise!r}")
    elif declared.expects is None and declared.state is None:
        problems.add(
            "expects",
            "write what every reply about a job has, because of otherwise: a reply such as {} would run for ever",
        )
    return None if phase is None else _VERDICTS[phase]


def _whole(of: str | float, expression: Any, problems: Problems) -> Expression | float:
    if isinstance(of, str):
        return expression("progress.of", of) or 1.0
    if isinstance(of, bool) or not 0 < of < math.inf:
        problems.add("progress.of", f"write a positive number such as 100, or an expression, not {of!r}")
    return of


def _check_ends(declared: Declaration, problems: Problems) -> None:
    """A declaration without an end would poll until each deadline."""
    ways = [
        declared.succeeded,
        declared.succeeded_when,
        declared.http.get("succeeded"),
        declared.codes.get("succeeded"),
    ]
    if not any(ways):
        problems.add(None, "nothing says that a job succeeded; write succeeded, succeeded_when or http.succeeded")


def _word_key(word: Word) -> Any:
    return word.casefold() if isinstance(word, str) else (type(word), word)


# --- values of replies ------------------------------------------------------------------------


def _shown(value: Any) -> str:
    return "nothing" if value is None else ascii(value)[:_LONGEST_SHOWN]


def _number(value: Any) -> float | None:
    number = float(value) if isinstance(value, str) and _NUMBER(value) else value
    return number if is_number(number) and math.isfinite(number) else None


def text_or_none(value: Any) -> str | None:
    """A value as a short text for a person, or None if it is empty."""
    if value is None or value in ("", [], {}):
        return None
    text = value if isinstance(value, str) else orjson.dumps(value).decode()
    return text[:_LONGEST_REASON]
