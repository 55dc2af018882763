"""The logs of one redo thread, and the proof that none of them is missing.

Needed is every log that may hold a change behind the start. A thread's logs are numbered without a gap, so
the ones that are there prove themselves complete from their first to their last number. What comes before
the first is proved by its SCN, by the log before it having ended, or by its being number 1; what comes after
the last by its being the current one or, in a thread that is closed, the one it was closed with.

Source: Oracle Database Reference 19c: V$THREAD, V$LOG, V$LOG_HISTORY; sequences begin with 1 in each thread
and each incarnation (Backup and Recovery User's Guide 19c, "About RESETLOGS").
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property


@dataclass(frozen=True)
class LogFile:
    """An online or archived log; `next_scn` is None while it is written to.

    It holds the changes with first_scn <= SCN < next_scn. `usable` is False for archived logs whose file was
    deleted, and for what is only known to have been written (`known_only`: V$LOG_HISTORY, groups that are
    being cleared); `destination` is DEST_ID of an archived one, 0 where it was restored. An online log is
    there once for each member of its group, `doubtful` if V$LOGFILE has a status for it.
    """

    name: str
    thread: int
    sequence: int
    first_scn: int
    next_scn: int | None
    archived: bool
    usable: bool = True
    destination: int = 0
    doubtful: bool = False
    known_only: bool = False


@dataclass(frozen=True)
class RedoThread:
    """A redo thread of V$THREAD; 0 and None are for what the view leaves open.

    `last_redo_scn` may be 0 once the thread is closed. A `private` one belongs to the instance that names it.
    """

    thread: int
    is_open: bool
    last_redo_scn: int
    enabled_scn: int | None = None
    sequence: int = 0
    private: bool = False
    checkpoint_scn: int = 0
    disabled_scn: int = 0


@dataclass(frozen=True)
class Gap:
    """Logs of one thread that are needed and not there."""

    thread: int
    first_sequence: int | None
    last_sequence: int | None
    deleted: bool = False

    def __str__(self) -> str:
        if self.first_sequence is None:
            older = f", sequences below {self.last_sequence} are missing" if self.last_sequence else ""
            return f"thread {self.thread}: no log reaches back to the start{older}"
        span = f"{self.first_sequence}"
        if self.last_sequence != self.first_sequence:
            span += f" to {self.last_sequence}" if self.last_sequence else " and later"
        what = "was archived and its file deleted since (RMAN)" if self.deleted else "was never archived"
        return f"thread {self.thread} sequence {span} {what}"


class ThreadLogs:
    """Judges one thread.

    Args:
        start: SCN behind which redo is needed.
        thread: the thread.
        logs: what is known of its logs, one entry for each number, in any order.
        ended: sequence of its newest log that ended before the redo that is needed; 0 if none is known.
    """

    def __init__(self, start: int, thread: RedoThread, logs: Sequence[LogFile], ended: int = 0) -> None:
        self._first_needed = start + 1
        self._thread, self._logs = thread, sorted(logs, key=lambda log: log.sequence)
        self._by_number = {log.sequence: log for log in logs}
        self._ended = ended

    @property
    def files(self) -> list[LogFile]:
        """Logs to mine, oldest first; none of a thread without redo behind the start."""
        return [log for log in self._logs if log.usable] if self._is_needed else []

    def gaps(self) -> Iterator[Gap]:
        """What is missing, oldest first."""
        if not self._is_needed:
            return
        if not self._needed:
            yield Gap(self._thread.thread, self._ended + 1 if self._ended else None, None)
            return
        yield from self._before()
        yield from self._between()
        yield from self._behind()

    @cached_property
    def _needed(self) -> list[LogFile]:
        """Logs that may hold a change behind the start."""
        return [log for log in self._logs if log.next_scn is None or log.next_scn > self._first_needed]

    @cached_property
    def _is_needed(self) -> bool:
        """May the thread have written anything behind the start?"""
        thread = self._thread
        if thread.is_open:
            return True
        if any(log.next_scn is not None or log.first_scn >= self._first_needed for log in self._needed):
            return True
        if not self._needed and self._ended >= thread.sequence > 0:
            return False  # the log it was closed with has ended
        return self._closed_at >= self._first_needed if self._closed_at else bool(self._needed)

    @property
    def _closed_at(self) -> int:
        """SCN behind which a closed thread has nothing; 0 if the view does not tell."""
        thread = self._thread
        written = max(thread.last_redo_scn, thread.checkpoint_scn)
        return written or (thread.disabled_scn if thread.sequence else 0)

    def _before(self) -> Iterator[Gap]:
        """Does anything come before the first log?"""
        head, thread = self._needed[0], self._thread
        if head.first_scn <= self._first_needed or head.sequence == 1:
            return
        if self._logs[0].sequence < head.sequence:
            return  # the one before ended in time, or is missed between the two
        if 0 < self._ended < head.sequence:
            if self._ended + 1 < head.sequence:
                yield Gap(thread.thread, self._ended + 1, head.sequence - 1)
            return
        was_disabled = 0 < thread.disabled_scn <= self._first_needed < (thread.enabled_scn or 0)
        if not (was_disabled and head.first_scn >= (thread.enabled_scn or 0)):
            yield Gap(thread.thread, None, head.sequence)

    def _between(self) -> Iterator[Gap]:
        """Numbers without a log that can be mined, runs of the same kind together."""
        run: Gap | None = None
        for number in range(self._logs[0].sequence, self._logs[-1].sequence + 1):
            log = self._by_number.get(number)
            if log is not None and (log.usable or log not in self._needed):
                continue
            deleted = log is not None and not log.known_only
            if run is not None and run.last_sequence == number - 1 and run.deleted == deleted:
                run = Gap(run.thread, run.first_sequence, number, deleted)
                continue
            if run is not None:
                yield run
            run = Gap(self._thread.thread, number, number, deleted)
        if run is not None:
            yield run

    def _behind(self) -> Iterator[Gap]:
        """Does anything come after the last log?"""
        last, thread = self._logs[-1], self._thread
        later = thread.sequence if thread.sequence > last.sequence else None
        if last.next_scn is None:
            complete = later is None
        elif thread.is_open:
            complete = False
        elif thread.sequence:
            complete = later is None and last.next_scn > thread.last_redo_scn
        else:
            complete = last.next_scn > thread.last_redo_scn and last.next_scn >= self._closed_at
        if not complete:
            yield Gap(thread.thread, last.sequence + 1, later)
