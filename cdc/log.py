"""Structured logs to standard error: a console on a terminal, JSON lines otherwise.

`docs/events.md` lists the event names; a test keeps both equal.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any, Literal

import structlog

_SECRET_KEY = re.compile(r"passw|secret|token$|credential", re.IGNORECASE)
_SECRET_VALUE = re.compile(r"(password\s*=\s*)(\S+)|(://[^:/\s]+:)([^@\s]+)(@)", re.IGNORECASE)
_ROW_VALUES = re.compile(r"^(?:DETAIL|CONTEXT):.*\n?", re.MULTILINE)
"""What PostgreSQL adds to its errors; tracebacks hold it."""
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets by key and by shape of the value, and control characters (forged lines)."""
    for key, value in event.items():
        if _SECRET_KEY.search(key):
            event[key] = "***"
        elif isinstance(value, str):
            masked = _SECRET_VALUE.sub(lambda m: f"{m[1] or m[3]}***{m[5] or ''}", value)
            lines = key == "exception"  # a traceback keeps its lines
            event[key] = _ROW_VALUES.sub("", masked) if lines else _CONTROL.sub(" ", masked)
    return event


def configure(form: Literal["auto", "console", "json"] = "auto", *, verbose: bool = False) -> None:
    """Set up logging for this process; `verbose` adds debug events (one a row)."""
    console = form == "console" or (form == "auto" and sys.stderr.isatty())
    renderer: Any = (
        structlog.dev.ConsoleRenderer() if console else structlog.processors.JSONRenderer(default=str)
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )


def get() -> Any:
    """The logger; bind `flow` and `run_id` once."""
    return structlog.get_logger()
