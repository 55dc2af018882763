"""Writes log lines without ever holding up, or ending, who logs.

Replication must not depend on its log: a full disk, a closed pipe or a pipe without a reader may lose lines,
and nothing else. A thread of its own writes; when it cannot keep up, the oldest lines wait, new ones are
counted and left out, and the count is reported once lines go through again.
"""

from __future__ import annotations

import atexit
import queue
import threading
import time
from collections.abc import Callable
from typing import Protocol

MAX_WAITING = 10_000
"""Lines kept for a reader that is slow; about 5 MB."""
_DRAIN_S = 2.0


class Stream(Protocol):
    """What is needed of a text stream."""

    def write(self, text: str, /) -> object:
        """Append a text."""

    def flush(self) -> object:
        """Hand it on."""


class LogWriter:
    """A stream for `structlog.PrintLogger` and others; thread-safe, raises nothing.

    Args:
        stream: where lines go.
        report_lost: called with the number of lost lines, after a line could be written again.
    """

    def __init__(self, stream: Stream, report_lost: Callable[[int], None]) -> None:
        self._stream, self._report_lost = stream, report_lost
        self._lines: queue.Queue[str] = queue.Queue(MAX_WAITING)
        self._lock = threading.Lock()
        self._lost = 0
        threading.Thread(target=self._work, name="log", daemon=True).start()
        atexit.register(self.drain)

    def write_line(self, line: str) -> None:
        """Take a line; it is written soon, or counted as lost."""
        try:
            self._lines.put_nowait(line)
        except queue.Full:
            with self._lock:
                self._lost += 1

    def drain(self, timeout_s: float = _DRAIN_S) -> None:
        """Wait until the lines taken so far are written, but no longer than the timeout."""
        deadline = time.monotonic() + timeout_s
        with self._lines.all_tasks_done:
            while self._lines.unfinished_tasks and (left := deadline - time.monotonic()) > 0:
                self._lines.all_tasks_done.wait(left)

    def _work(self) -> None:
        while True:
            line = self._lines.get()
            try:
                self._write(line)
            finally:
                self._lines.task_done()

    def _write(self, line: str) -> None:
        try:
            self._stream.write(f"{line}\n")
            self._stream.flush()
        except (OSError, ValueError):  # ValueError: the stream is closed
            with self._lock:
                self._lost += 1
            return
        with self._lock:
            lost, self._lost = self._lost, 0
        if lost:
            self._report_lost(lost)


class LineLogger:
    """What structlog calls for each level; hands the rendered line to the writer."""

    def __init__(self, writer: LogWriter) -> None:
        self._writer = writer

    def msg(self, message: str) -> None:
        """Write one line."""
        self._writer.write_line(message)

    log = debug = info = warn = warning = msg
    fatal = failure = err = error = critical = exception = msg
