"""The signal between capture and delivery inside one process."""

from __future__ import annotations

import threading


class StagedSignal:
    """Signals waiting sinks that rows were staged; one per process, many waiters."""

    def __init__(self) -> None:
        self._condition = threading.Condition()
        self._staged_seq = 0
        self._closed = False

    def set(self, staged_seq: int) -> None:
        """Rows up to `staged_seq` are committed in staging."""
        with self._condition:
            self._staged_seq = max(self._staged_seq, staged_seq)
            self._condition.notify_all()

    def close(self) -> None:
        """The process ends: all waits return."""
        with self._condition:
            self._closed = True
            self._condition.notify_all()

    def wait_past(self, staged_seq: int, timeout_s: float) -> None:
        """Return when something newer than `staged_seq` was staged, at `close`, or after `timeout_s`."""
        with self._condition:
            self._condition.wait_for(lambda: self._closed or self._staged_seq > staged_seq, timeout_s)
