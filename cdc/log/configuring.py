"""Structured logs to standard error or a file: a console on a terminal, JSON lines otherwise.

`docs/events.md` lists the event names; a test keeps both equal. Lines hold no secrets and no row values:
`cdc.printable` masks and cleans every text, and a traceback shows the message of our own errors only.

A module gets its logger with `log = structlog.get_logger(__name__)`: structlog's own way, which needs nothing
of this module, so that readers and sinks do not import it. `configure` is called once, by the command.
"""

from __future__ import annotations

import logging
import re
import sys
import traceback
from collections.abc import Mapping, MutableMapping, Sequence
from pathlib import Path
from typing import Any, Literal

import structlog

from cdc.errors import CcbridgeError, ConfigurationError
from cdc.log.file import LogFile
from cdc.log.writer import LineLogger, LogWriter
from cdc.printable import masked, printable

log = structlog.get_logger(__name__)

_SECRET_KEY = re.compile(
    r"passw|passwd|pwd|secret|token|credential|authorization|private_?key|api_?key", re.IGNORECASE
)
_SAFE_TEXT = (CcbridgeError, AttributeError, NameError, ImportError, NotImplementedError)
"""Errors whose message is ours or Python's own; those of drivers and conversions may repeat row values."""


def redacted(_logger: object, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Mask secrets by key, by value and by form, and make every text one printable line."""
    for key, value in event.items():
        event[key] = _clean(key, value)
    return event


def _clean(key: str, value: object) -> object:
    if _SECRET_KEY.search(key):
        return "***"
    if value is None or isinstance(value, bool | int | float):
        return value
    if isinstance(value, Mapping):
        return {printable(str(name)): _clean(str(name), one) for name, one in value.items()}
    if isinstance(value, Sequence | set | frozenset) and not isinstance(value, str | bytes):
        return [_clean(key, one) for one in value]
    return printable(masked(str(value)), lines=key == "exception")  # a traceback keeps its lines


def traceback_text(exc_info: tuple[type[BaseException], BaseException, Any]) -> str:
    """A traceback without values: places, error classes, and messages where they are known to be safe."""
    parts: list[str] = []
    exc: BaseException | None = exc_info[1]
    while exc is not None:
        frames = "".join(traceback.format_tb(exc.__traceback__)).rstrip()
        parts.append(f"Traceback (most recent call last):\n{frames}\n{_named(exc)}")
        exc = exc.__cause__ or (None if exc.__suppress_context__ else exc.__context__)
    return "\n\nwhich came from:\n\n".join(parts)


def _named(exc: BaseException) -> str:
    kind = f"{type(exc).__module__}.{type(exc).__qualname__}".removeprefix("builtins.")
    if isinstance(exc, _SAFE_TEXT):
        return f"{kind}: {exc}"
    number = getattr(exc, "sqlstate", None) or getattr(exc, "full_code", None) or getattr(exc, "errno", None)
    return f"{kind} ({number})" if number else kind


class _Foreign(logging.Handler):
    """Warnings of libraries as events of ours; their arguments may hold values and are left out."""

    def emit(self, record: logging.LogRecord) -> None:
        log.warning("library_warned", library=record.name, text=str(record.msg))


def configure(
    form: Literal["auto", "console", "json"] = "auto", *, verbose: bool = False, file: Path | None = None
) -> None:
    """Set up logging for this process.

    Args:
        form: of the lines; auto is console on a terminal, else json.
        verbose: debug events too (one a row).
        file: where the lines go instead of standard error.

    Raises:
        ConfigurationError: the file cannot be written.
    """
    terminal = file is None and sys.stderr.isatty()
    console = form == "console" or (form == "auto" and terminal)
    renderer: Any = (
        structlog.dev.ConsoleRenderer(colors=terminal)
        if console
        else structlog.processors.JSONRenderer(default=str)
    )
    writer = LogWriter(
        sys.stderr if file is None else _opened(file),
        lambda lost: log.warning("log_lines_lost", lines=lost),
    )
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.ExceptionRenderer(traceback_text),
            redacted,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.DEBUG if verbose else logging.INFO),
        logger_factory=lambda *_: LineLogger(writer),
    )
    logging.basicConfig(level=logging.WARNING, handlers=[_Foreign()], force=True)


def _opened(path: Path) -> LogFile:
    try:
        return LogFile(path)
    except OSError as exc:
        raise ConfigurationError([f"--log-file {path}: {exc.strerror}"], hint="give another file") from exc
