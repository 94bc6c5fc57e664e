"""What an OperationOutcome says: issues with codes and words.

Rule: an OperationOutcome without an issue that can be read still is one.
"""

from __future__ import annotations

from typing import Any

import attrs

from pollwise.endpoints._reader import clipped, json_object_in
from pollwise.errors import Problem
from pollwise.model.messages import Reply

__all__ = ["OutcomeIssue", "issues_in", "problem_in", "reason_of"]


@attrs.frozen(kw_only=True)
class OutcomeIssue:
    """An issue of an OperationOutcome. A field that is absent is None. The texts are untrusted.

    Attributes:
        severity: fatal, error, warning, information or success.
        code: The kind of the issue, of the code system issue-type.
        diagnostics: Words for developers.
        details: Words for people (`details.text`).
    """

    severity: str | None = None
    code: str | None = None
    diagnostics: str | None = None
    details: str | None = None


def issues_in(reply: Reply) -> tuple[OutcomeIssue, ...]:
    """The issues of an OperationOutcome in the body. One without issues counts as one without words."""
    body = json_object_in(reply)
    if body is None or body.get("resourceType") != "OperationOutcome":
        return ()
    issues = body.get("issue")
    found = [_issue(issue) for issue in issues if isinstance(issue, dict)] if isinstance(issues, list) else []
    return tuple(found) or (OutcomeIssue(),)


def problem_in(reply: Reply) -> Problem | None:
    """The codes and words of an OperationOutcome."""
    issues = issues_in(reply)
    if not issues:
        return None
    words = [issue.diagnostics or issue.details for issue in issues]
    return Problem(codes=clipped(issue.code for issue in issues), descriptions=clipped(words))


def _issue(data: dict[str, Any]) -> OutcomeIssue:
    details = data.get("details")
    return OutcomeIssue(
        severity=_text(data.get("severity")),
        code=_text(data.get("code")),
        diagnostics=_text(data.get("diagnostics")),
        details=_text(details.get("text")) if isinstance(details, dict) else None,
    )


def _text(value: object) -> str | None:
    return value if isinstance(value, str) else None


def reason_of(issues: tuple[OutcomeIssue, ...]) -> str | None:
    """The words of the issues, or else their codes. None if they have neither."""
    words = clipped(issue.diagnostics or issue.details or issue.code for issue in issues)
    return "; ".join(words) or None
