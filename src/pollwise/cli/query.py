"""`--query`: a JMESPath expression that is applied to each JSON document, as the AWS CLI does.

Rule 1: an expression that is not valid is a usage error before the first request. The message names the place.
Rule 2: a function that does not fit a document, such as `length(@)` of a number, is an error of that document. So is a result
that JSON cannot have: an infinite number, NaN, or an expression reference (`&name`).
Rule 3: JMESPath is imported when an expression is given, and not for `--help`.

The language is that of https://jmespath.org/specification.html.
"""

# ruff: noqa: PLC0415  rule 3

from __future__ import annotations

import json
import warnings
from typing import Any, Final

import attrs

from pollwise.cli.safe_text import safe

__all__ = ["Query", "QueryFailed", "parse_query"]

_LONGEST: Final = 4096


class QueryFailed(Exception):
    """The expression cannot be applied to a document. The text says why."""


@attrs.frozen
class Query:
    """A compiled expression."""

    text: str
    _parsed: Any = attrs.field(repr=False, eq=False)

    def of(self, document: Any) -> Any:
        """What the expression gives of a document: JSON. Raises QueryFailed."""
        from jmespath.exceptions import JMESPathError

        try:
            found = self._parsed.search(document)
        except (JMESPathError, ArithmeticError, RecursionError, TypeError, ValueError) as exc:
            why = safe(str(exc).partition("\n")[0], 300)
            raise QueryFailed(f"--query cannot be applied to this document: {why}") from exc
        try:
            json.dumps(found, allow_nan=False)
        except (RecursionError, TypeError, ValueError) as exc:
            raise QueryFailed(
                "--query gives what JSON cannot have: an infinite number, NaN, or &name without a function such as sort_by"
            ) from exc
        return found


def parse_query(text: str) -> Query:
    """The expression. Raises ValueError, whose text names the place of the mistake."""
    import jmespath
    from jmespath.exceptions import JMESPathError

    from pollwise.endpoints.declared.expressions import wrong_call

    if len(text) > _LONGEST:
        raise ValueError(f"expected at most {_LONGEST:,} characters, got {len(text):,}")
    try:
        with warnings.catch_warnings():  # of `text` as a literal, which many queries have
            warnings.simplefilter("ignore", PendingDeprecationWarning)
            parsed = jmespath.compile(text)
        wrong = wrong_call(parsed.parsed)
        if wrong is None:
            return Query(text, parsed)
    except RecursionError:
        wrong = "it is nested too deep"
    except JMESPathError as exc:
        wrong = _place(exc)
    raise ValueError(f"{wrong}; expected JMESPath, such as error.message or [?source=='file'].name")


def _place(error: Exception) -> str:
    from jmespath.exceptions import EmptyExpressionError, IncompleteExpressionError, ParseError

    match error:
        case EmptyExpressionError():
            return "it is empty"
        case IncompleteExpressionError():
            return f"something is missing at its end, column {error.lex_position + 1}"
        case ParseError():
            return f"{str(error.token_value)!r} at column {error.lex_position + 1} does not fit there"
        case _:
            return str(error).partition("\n")[0]
