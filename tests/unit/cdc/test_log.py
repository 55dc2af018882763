"""What may appear in a log line."""

from __future__ import annotations

import pytest

from cdc.log import redacted


@pytest.mark.parametrize(
    "event",
    [
        {"password": "canary"},
        {"dsn": "host=x password=canary dbname=y"},
        {"url": "postgresql://user:canary@host/db"},
        {"api_token": "canary"},
    ],
)
def test_secrets_are_masked_by_key_and_by_shape(event: dict[str, str]) -> None:
    """No spelling of a password reaches a log."""
    assert "canary" not in str(redacted(None, "info", dict(event)))


def test_control_characters_cannot_forge_a_line() -> None:
    """A value with a line break or a terminal escape stays one harmless line."""
    event = redacted(None, "info", {"reason": "x\n\x1b[31merror forged"})
    assert event["reason"] == "x  [31merror forged"


def test_a_traceback_keeps_its_lines_but_no_row_values() -> None:
    """PostgreSQL tells the values of the row in DETAIL; passwords appear in connection strings."""
    text = "Traceback\n  File x\nUniqueViolation: key\nDETAIL:  (canary) exists.\nhost=h password=canary"
    event = redacted(None, "error", {"exception": text})
    assert event["exception"] == "Traceback\n  File x\nUniqueViolation: key\nhost=h password=***"
