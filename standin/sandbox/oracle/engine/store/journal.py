"""The redo journal: one record per change, in SCN order, cut into online and archived logs.

Records keep references to the rows they changed, no text; `redo_text` renders them when they are mined.
Each redo thread cuts its own records into logs with sequences of its own; all records stand in one list.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import IntEnum
from operator import attrgetter

from sandbox.oracle.engine.store.redo_threads import GROUPS, Flush, RedoThread
from sandbox.oracle.engine.store.tables import Shape
from sandbox.oracle.engine.store.transactions import Transaction
from sandbox.oracle.interface import Row


class Operation(IntEnum):
    """OPERATION_CODE of V$LOGMNR_CONTENTS."""

    INSERT = 1
    DELETE = 2
    UPDATE = 3
    DDL = 5
    START = 6
    COMMIT = 7
    ROLLBACK = 36


MORE_SCNS = 2
"""SCNs of a change with large values behind that of its first redo record."""


@dataclass(frozen=True)
class LobChange:
    """A LOB changed in place: `write` of data, `trim` to an amount, `erase` of an amount; offsets from 1."""

    kind: str
    place: int
    offset: int
    amount: int
    data: bytes


class Record:
    """One change. `undo` marks compensation: then before and after are those of the undoing.

    `lob` says how an update changed a LOB out of its row: then it has no UPDATE row in LogMiner. What changes
    large values has several redo records, the first at `first_scn`, the last at `scn`.
    """

    __slots__ = (
        "after",
        "before",
        "first_scn",
        "lob",
        "operation",
        "row",
        "scn",
        "shape",
        "transaction",
        "undo",
    )

    def __init__(
        self,
        scn: int,
        transaction: Transaction,
        operation: Operation,
        shape: Shape | None = None,
        row: int = -1,
        before: Row | None = None,
        after: Row | None = None,
        *,
        undo: bool = False,
        lob: LobChange | None = None,
        first_scn: int | None = None,
    ) -> None:
        self.first_scn = scn if first_scn is None else first_scn
        self.scn, self.transaction, self.operation = scn, transaction, operation
        self.shape, self.row, self.before, self.after, self.undo = shape, row, before, after, undo
        self.lob = lob


@dataclass
class LogFile:
    """One log sequence of a thread: its records from `first_record` on, SCNs first <= scn < next.

    `deleted` logs say so in V$ARCHIVED_LOG, `lost` ones are gone from the disk and nothing says it,
    `restored` ones are at no destination any more; `hidden_looks` counts down the looks at V$ARCHIVED_LOG
    that do not show a log yet.
    """

    sequence: int
    group: int
    first_scn: int
    first_time: float
    first_record: int
    next_scn: int | None = None
    next_time: float | None = None
    end_record: int | None = None
    deleted: bool = False
    thread: int = 1
    lost: bool = False
    restored: bool = False
    hidden_looks: int = 0

    @property
    def current(self) -> bool:
        """Is it still written to?"""
        return self.next_scn is None

    @property
    def on_disk(self) -> bool:
        """Is its archived copy there?"""
        return not (self.current or self.deleted or self.lost or self.hidden_looks)


_scn_of = attrgetter("scn")


class Journal:
    """All redo since the database was made."""

    def __init__(self, first_scn: int, clock: Callable[[], float], *, records_per_log: int) -> None:
        self.clock = clock
        self.records_per_log = records_per_log
        self.records: list[Record] = []
        now = clock()
        self.logs: list[LogFile] = []
        self.threads: dict[int, RedoThread] = {}
        self.archiver_looks = 0
        self.heartbeat_s = 0.0
        self.record_scns = 0
        self.loses_commits = False
        self.copies: list[LogFile] = []
        self.cleared_groups: set[int] = set()
        self._of_thread: dict[int, list[LogFile]] = {}
        self._rooms: dict[int, int] = {}
        self._mark_scns: list[int] = [first_scn]
        self._mark_times: list[float] = [float(int(now))]
        self.open_thread(1, first_scn)

    def open_thread(self, number: int, scn: int, *, private: bool = False, read_only: bool = False) -> None:
        """Open a redo thread, a new one or one that was closed; its first log begins at an SCN.

        What was written by others while it was closed is in no log of it.
        """
        found = self.threads.get(number)
        if found is None:
            found = self.threads[number] = RedoThread(number, scn, self.clock(), enabled_scn=scn)
            self._of_thread[number] = []
        found.is_open, found.is_private, found.shown = True, private, None
        found.read_only = read_only
        found.opened_scn, found.opened_at = scn, self.clock()
        self._open_log(number, scn)

    def close_thread(self, number: int, scn: int) -> None:
        """Close a thread: its last log ends before an SCN and no other is opened."""
        self._close_log(self.current(number), scn)
        thread = self.threads[number]
        thread.is_open, thread.closed_scn = False, scn

    def copy_current(self, number: int, scn: int) -> LogFile:
        """An archived copy of a thread's current log, which goes on to be written."""
        log = self.current(number)
        copy = replace(log, next_scn=scn, next_time=self.clock(), end_record=len(self.records))
        self.copies.append(copy)
        return copy

    def append(self, record: Record) -> None:
        """Write a record; its SCN is not below the last one's."""
        self.mark(record.scn)
        thread = record.transaction.thread
        if self._rooms[thread] <= 0:
            self.switch(record.first_scn, thread)
        self._rooms[thread] -= 1
        self.threads[thread].last_scn = record.scn
        self.records.append(record)

    def set_log_size(self, records: int) -> None:
        """Switch logs every so many records from now on."""
        self.records_per_log = records
        self._rooms = {thread: min(room, records) for thread, room in self._rooms.items()}

    def mark(self, scn: int) -> None:
        """Remember the time of an SCN, to the second."""
        second = int(self.clock())
        if second != self._mark_times[-1]:
            self._mark_scns.append(scn)
            self._mark_times.append(float(second))

    def switch(self, scn: int, thread: int = 1) -> LogFile:
        """Close the current log of a thread before an SCN and open the next one."""
        self._close_log(self.current(thread), scn)
        return self._open_log(thread, scn)

    def _close_log(self, log: LogFile, scn: int) -> None:
        log.next_scn, log.next_time, log.end_record = scn, self.clock(), len(self.records)
        log.hidden_looks = self.archiver_looks

    def _open_log(self, thread: int, scn: int) -> LogFile:
        logs = self._of_thread[thread]
        sequence = logs[-1].sequence + 1 if logs else 1
        group = (thread - 1) * GROUPS + (sequence - 1) % GROUPS + 1
        opened = LogFile(sequence, group, scn, self.clock(), len(self.records), thread=thread)
        logs.append(opened)
        self.logs.append(opened)
        self.cleared_groups.discard(group)
        self._rooms[thread] = self.records_per_log
        return opened

    def current(self, thread: int = 1) -> LogFile:
        """Newest log of a thread."""
        return self._of_thread[thread][-1]

    def of_thread(self, thread: int) -> list[LogFile]:
        """All logs of a thread, oldest first."""
        return self._of_thread[thread]

    def online(self) -> list[LogFile]:
        """Newest log of each group."""
        return [log for logs in self._of_thread.values() for log in logs[-GROUPS:]]

    def flush_point(self, scn: int) -> Flush:
        """Everything that is written up to now."""
        return Flush(len(self.records), scn)

    def time_of(self, scn: int) -> float:
        """Seconds since 1970 when an SCN was current."""
        at = bisect.bisect_right(self._mark_scns, scn) - 1
        return self._mark_times[max(at, 0)]

    def time_span(self, scn: int) -> tuple[int, int, float]:
        """SCNs from, before, that share the second of an SCN, and that second."""
        at = max(bisect.bisect_right(self._mark_scns, scn) - 1, 0)
        until = self._mark_scns[at + 1] if at + 1 < len(self._mark_scns) else scn + 1
        return min(self._mark_scns[at], scn), until, self._mark_times[at]

    def scn_at(self, seconds: float) -> int | None:
        """First SCN known for a time, None when it is before the first or after the last."""
        at = bisect.bisect_right(self._mark_times, seconds) - 1
        return self._mark_scns[at] if at >= 0 else None

    def span(self, low_scn: int, high_scn: int) -> tuple[int, int]:
        """Places of the records with low <= SCN <= high."""
        return (
            bisect.bisect_left(self.records, low_scn, key=_scn_of),
            bisect.bisect_right(self.records, high_scn, key=_scn_of),
        )

    def log_of(self, place: int) -> LogFile:
        """Log that holds the record at a place."""
        logs = self._of_thread[self.records[place].transaction.thread]
        return logs[bisect.bisect_right(logs, place, key=attrgetter("first_record")) - 1]
