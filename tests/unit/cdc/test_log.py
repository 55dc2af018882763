"""What may appear in a log line, and that nothing depends on lines being written."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import threading
from collections.abc import MutableMapping
from typing import Any

import psycopg
import pytest
import structlog
from hypothesis import given
from hypothesis import strategies as st

from cdc.errors import OperatorError
from cdc.log import configuring
from cdc.log.configuring import redacted
from cdc.log.writer import MAX_WAITING, LogWriter
from cdc.printable import masked, printable, register_secret


@pytest.mark.parametrize(
    "event",
    [
        {"password": "canary"},
        {"dsn": "host=x password=canary dbname=y"},
        {"dsn": "host=x password = 'a b canary c' dbname=y"},
        {"dsn": r"host=x password='it\'s canary' dbname=y"},
        {"url": "postgresql://user:canary@host/db"},
        {"url": "postgresql://user:ca@canary@host/db"},
        {"url": "redis://:canary@host/0"},
        {"subject": "CCBRIDGE/canary@tcps://h:2484/CCB"},
        {"reason": '{"password": "canary"}'},
        {"reason": "connect(password=SecretStr('canary'), user=x)"},
        {"reason": "Authorization: Bearer canary.canary"},
        {"api_token": "canary"},
        {"token_value": "canary"},
        {"pwd": "canary"},
        {"PGPASSWORD": "canary"},
        {"private_key": "canary"},
        {"authorization": "Bearer canary"},
        {"detail": {"password": "canary"}},
        {"detail": [{"deep": ({"api_key": "canary"},)}]},
        {"arguments": ["password=canary"]},
        {"reason": ValueError("password=canary")},
    ],
)
def test_secrets_are_masked_by_key_and_by_form(event: dict[str, Any]) -> None:
    """No spelling of a password reaches a log, at any depth."""
    assert "canary" not in str(redacted(None, "info", dict(event)))


def test_a_configured_secret_is_masked_wherever_it_stands() -> None:
    """A driver may repeat a password in a text whose form no one expected."""
    register_secret("h0rse-battery")
    assert masked("could not use <h0rse-battery> here") == "could not use <***> here"


@given(st.text())
def test_no_text_steers_the_terminal_or_forges_a_line(text: str) -> None:
    """C0, C1, separators and bidirectional marks are gone, letters of any language stay."""
    shown = printable(text)
    assert len(shown) == len(text)
    assert not any(ord(c) < 32 or 0x7F <= ord(c) <= 0x9F for c in shown)
    assert not set(shown) & set("\u2028\u2029\u202a\u202e\u2066\u2069\u200b\ufeff")
    assert all(a == b or b == " " for a, b in zip(text, shown, strict=True))


def test_ordinary_text_is_left_as_it_is() -> None:
    """Names and messages are readable."""
    assert printable("Zoë Ngo'o 日本 : CI_PER 100 %") == "Zoë Ngo'o 日本 : CI_PER 100 %"


def test_control_characters_cannot_forge_a_line() -> None:
    """A value with a line break or a terminal escape stays one harmless line."""
    event = redacted(None, "info", {"reason": "x\n\x1b[31merror forged"})
    assert event["reason"] == "x  [31merror forged"


def logged(raised: Exception) -> dict[str, Any]:
    """The JSON line of an exception event."""
    stream = io.StringIO()
    writer = LogWriter(stream, print)
    try:
        raise raised
    except type(raised) as exc:
        event: MutableMapping[str, Any] = {"event": "x", "exc_info": exc}
        event = structlog.processors.ExceptionRenderer(configuring.traceback_text)(None, "error", event)
    writer.write_line(json.dumps(redacted(None, "error", event)))
    writer.drain()
    found: dict[str, Any] = json.loads(stream.getvalue())
    return found


@pytest.mark.parametrize(
    "raised",
    [
        psycopg.errors.UniqueViolation("duplicate key\nDETAIL:  Key (phone)=(690canary) exists."),
        psycopg.errors.InvalidTextRepresentation('invalid input syntax for type numeric: "690canary"'),
        ValueError("invalid literal for int() with base 10: '690canary'"),
        KeyError("690canary"),
        UnicodeDecodeError("utf-8", b"690canary", 0, 1, "invalid start byte"),
        ExceptionGroup("690canary", [ValueError("690canary")]),
    ],
)
def test_a_traceback_tells_places_and_classes_but_no_values(raised: Exception) -> None:
    """Messages of drivers and conversions repeat row values; a traceback leaves them out."""
    text = logged(raised)["exception"]
    assert "canary" not in text
    assert type(raised).__qualname__ in text
    assert 'File "' in text


def test_a_traceback_keeps_our_own_messages_and_the_cause() -> None:
    """What our errors say is made to be read; what they came from is named."""
    try:
        raise ValueError("canary")
    except ValueError as cause:
        error = OperatorError("staging: disk full")
        error.__cause__ = cause
    text = logged(error)["exception"]
    assert "OperatorError: staging: disk full" in text
    assert text.endswith("ValueError")


class Broken(io.StringIO):
    """A log that cannot be written until it is fixed."""

    broken = True

    def write(self, text: str) -> int:
        if self.broken:
            raise OSError(28, "No space left on device")
        return super().write(text)


def test_lines_that_cannot_be_written_are_counted_and_reported_later() -> None:
    """A full disk loses lines, says how many, and reaches no flow."""
    stream, reported = Broken(), list[int]()
    writer = LogWriter(stream, reported.append)
    for number in range(3):
        writer.write_line(f"lost {number}")
    writer.drain()
    stream.broken = False
    writer.write_line("there")
    writer.drain()
    assert (stream.getvalue(), reported) == ("there\n", [3])


class Unread(io.StringIO):
    """A pipe that no one reads: the first write does not come back until it is released."""

    def __init__(self) -> None:
        super().__init__()
        self.released = threading.Event()

    def write(self, text: str) -> int:
        self.released.wait(30)
        return super().write(text)


def test_a_log_that_no_one_reads_holds_no_one_up() -> None:
    """Lines wait up to a bound, then they are lost and counted; the writer's caller continues at once."""
    stream, reported = Unread(), list[int]()
    writer = LogWriter(stream, reported.append)
    for number in range(MAX_WAITING + 100):
        writer.write_line(str(number))
    stream.released.set()
    writer.drain(10)
    assert 99 <= reported[0] <= 100  # one line may have been taken out before the queue was full
    assert stream.getvalue().startswith("0\n1\n")


@pytest.mark.parametrize("form", ["json", "console"])
def test_a_closed_or_full_log_does_not_end_a_command(form: str) -> None:
    """`2>/dev/full` and a closed pipe change neither the result nor the exit code."""
    code = f"""if True:
        import structlog
        from cdc import log
        log.configure("{form}")
        structlog.get_logger().info("x")
        print("done")"""
    with open("/dev/full", "w") as full:
        ended = subprocess.run([sys.executable, "-c", code], stderr=full, stdout=subprocess.PIPE, check=False)
    assert (ended.returncode, ended.stdout) == (0, b"done\n")
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run([sys.executable, "-c", code], stderr=writing, stdout=subprocess.PIPE, check=False)
    os.close(writing)
    assert (ended.returncode, ended.stdout) == (0, b"done\n")


def test_warnings_of_libraries_are_events_and_colours_stay_on_terminals() -> None:
    """A log collector that expects JSON lines gets nothing else; a file gets no escapes."""
    code = """if True:
        import logging, sys
        from cdc import log
        log.configure(sys.argv[1])
        logging.getLogger("psycopg").warning("error ignored terminating %r: %s", "canary", "x")"""
    for form in ("json", "console"):
        ended = subprocess.run([sys.executable, "-c", code, form], capture_output=True, text=True, check=True)
        assert "library_warned" in ended.stderr
        assert "canary" not in ended.stderr
        assert "\x1b" not in ended.stderr
        if form == "json":
            assert json.loads(ended.stderr)["library"] == "psycopg"
