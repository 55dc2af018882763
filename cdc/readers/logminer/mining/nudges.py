"""Commits on instances that are idle, so that what the others committed can be read.

A thread is nudged when it has stood still for a while, others have written more, and another session than
ours committed in that: our own commits cause no others, so a database at rest stays at rest. The nudge runs
in a thread of its own; an instance that hangs holds up nothing.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping

import structlog

from cdc.config import OracleSystem
from cdc.errors import CcbridgeError, LoginRefused
from cdc.readers.logminer.mining.instances import Instance

AFTER_S = 5.0
"""Longer than the 3 s between two heartbeats of the checkpoint process: a thread that works has moved."""
RETRY_S = 30.0
"""Between two tries of an instance that could not be nudged."""

log = structlog.get_logger(__name__)

_refused: set[tuple[str, str]] = set()
"""User and address whose login was refused: not tried again in this process, it could lock an account."""


class Nudge:
    """What is done about one instance; one try at a time.

    Args:
        system: name of the source.
        instance: which.
    """

    def __init__(self, system: str, instance: Instance) -> None:
        self._system, self._instance = system, instance
        self._lock = threading.Lock()
        self._begun_at = float("-inf")
        self._working = self._closed = False
        self._failure: CcbridgeError | None = None
        self._count = 0

    @property
    def _is_refused(self) -> bool:
        return (self._instance.user, self._instance.dsn) in _refused

    @property
    def has_failed(self) -> bool:
        """Did the last try fail, or is none made any more?"""
        return self._failure is not None or self._is_refused

    def is_due(self, now: float) -> bool:
        """May it be tried now?"""
        pause_s = RETRY_S if self._failure is not None else AFTER_S
        return not self._working and now - self._begun_at >= pause_s and not self._is_refused

    def begin(self, identity: Mapping[str, str]) -> None:
        """Commit there, in the background."""
        self._begun_at, self._working = time.monotonic(), True
        threading.Thread(target=self._run, args=[dict(identity)], name="ccbridge nudge", daemon=True).start()

    def _run(self, identity: Mapping[str, str]) -> None:
        failure: CcbridgeError | None = None
        try:
            self._instance.write(identity)
        except CcbridgeError as exc:
            failure = exc
        with self._lock:
            former, self._failure, self._working = self._failure, failure, False
            if self._closed:
                self._instance.close()
        if failure is None:
            self._count += 1
            if self._count == 1 or former is not None:
                log.info("redo_thread_nudged", system=self._system, thread=self._instance.thread)
            else:
                log.debug("redo_thread_nudged", system=self._system, thread=self._instance.thread)
            return
        if isinstance(failure, LoginRefused):
            _refused.add((self._instance.user, self._instance.dsn))
        if former is None or str(former) != str(failure):
            log.warning(
                "redo_thread_nudge_failed",
                system=self._system,
                thread=self._instance.thread,
                error_code=failure.code,
                reason=str(failure),
                hint=self._hint(failure),
            )

    def _hint(self, failure: CcbridgeError) -> str:
        """Of the error; one that passes has none, and what it holds back waits all the same."""
        return failure.hint or (
            f"it is tried again every {RETRY_S:.0f} s; until then commit something on the instance of "
            f"thread {self._instance.thread}"
        )

    def said(self) -> tuple[str, str]:
        """What came of it, and a hint."""
        ago_s = time.monotonic() - self._begun_at
        if self._failure is not None:
            return f"it cannot be nudged: {self._failure}", self._hint(self._failure)
        if self._working:
            return f"it has not answered a nudge for {ago_s:.0f} s", "see why its instance hangs"
        if self._count:
            return f"it was nudged {ago_s:.0f} s ago", "see why its instance writes no redo to disk"
        return "it is not nudged: its login was refused", f"correct {self._instance.subject}, then run again"

    def close(self) -> None:
        """Release the connection, now or when the current try ends."""
        with self._lock:
            self._closed = True
            if not self._working:
                self._instance.close()


class Nudges:
    """The nudges of one reader.

    Args:
        system: name of the source.
        settings: `instances` has the addresses.
    """

    def __init__(self, system: str, settings: OracleSystem) -> None:
        self._system = system
        self._by_thread = {
            thread: Nudge(system, Instance(system, settings, thread, dsn))
            for thread, dsn in settings.instances.items()
        }

    def due(self, behind: Mapping[int, float], now: float) -> list[int]:
        """Threads that have stood still for long enough and may be nudged now.

        Args:
            behind: seconds for which each thread has stood still while others have gone on.
            now: the time of that look.
        """
        return [
            thread
            for thread, seconds in behind.items()
            if seconds >= AFTER_S and thread in self._by_thread and self._by_thread[thread].is_due(now)
        ]

    def helps(self, thread: int) -> bool:
        """Is there an address for a thread, which did not fail?"""
        return thread in self._by_thread and not self._by_thread[thread].has_failed

    def begin(self, thread: int, identity: Mapping[str, str]) -> None:
        """Nudge a thread of `due`, in the background."""
        self._by_thread[thread].begin(identity)

    def said(self, thread: int) -> tuple[str, str]:
        """What was done about a thread, and a hint."""
        nudge = self._by_thread.get(thread)
        if nudge is not None:
            return nudge.said()
        return "it is not nudged: its address is not configured", (
            f"commit something on the instance of thread {thread}, or see why it hangs; ccbridge does so "
            f"itself where [systems.{self._system}.instances] has its address"
        )

    def close(self) -> None:
        """Release the connections."""
        for nudge in self._by_thread.values():
            nudge.close()
