"""Errors from a ledger: restored from the row, and shown as the command's sentence."""

from __future__ import annotations

from typing import Any

from pollwise.cli.stored_error import NO_REASON, StoredError

KEYS = {"task_id": "t-1"}


def stored(**fields: Any) -> StoredError:
    usual: dict[str, Any] = {"endpoint": "document360", "keys": KEYS, "outcome": "abandoned", "message": "as it stood"}
    return StoredError(**(usual | fields))


def test_an_error_is_restored_from_its_data() -> None:
    """Its sentence names the option of the command, whatever the stored message says."""
    data = b'{"version":1,"type":"DeadlineExceeded","fields":{"job":true,"timeout_s":60.0,"last_error":null}}'
    text = stored(kind="DeadlineExceeded", data=data).text()
    assert "60 s" in text
    assert "--timeout" in text
    assert "as it stood" not in text


def test_the_stored_message_is_shown_if_the_error_cannot_be_restored() -> None:
    """An unknown endpoint, other keys, an unknown class, and data that is not a JSON document."""
    for unknown in (
        stored(kind="DeadlineExceeded", endpoint="other"),
        stored(kind="DeadlineExceeded", keys={"id": "7"}),
        stored(kind="Invented", data=b'{"version":1,"type":"Invented","fields":{}}'),
        stored(kind="DeadlineExceeded", data=b"\xff"),
    ):
        assert "as it stood" in unknown.text()


def test_a_reason_is_safe_to_print() -> None:
    """Escape codes in a damaged or foreign row do not reach the terminal."""
    assert "\x1b" not in stored(kind="Invented", endpoint="other", message="\x1b[2J").reason()


def test_a_failure_without_a_reason_says_so() -> None:
    """A failure without a reason of the vendor gets the text `NO_REASON`."""
    data = b'{"version":1,"type":"JobFailed","fields":{"job":true,"status":null,"reason":null}}'
    assert stored(kind="JobFailed", outcome="failed", data=data).reason() == NO_REASON


def test_a_success_has_no_error() -> None:
    """An exported row without an error gives None."""
    assert (
        StoredError.of_export({"endpoint": "document360", "job": KEYS, "outcome": "succeeded", "error": None}) is None
    )
