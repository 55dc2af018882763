"""The redo journal: one record per change, in SCN order, cut into online and archived logs.

Records keep references to the rows they changed, no text; `redo_text` renders them when they are mined.
"""

from __future__ import annotations

import bisect
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from operator import attrgetter

from sandbox.oracle.engine.store import Shape
from sandbox.oracle.engine.transactions import Transaction
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


class Record:
    """One change. `undo` marks compensation: then before and after are those of the undoing."""

    __slots__ = ("after", "before", "operation", "row", "scn", "shape", "transaction", "undo")

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
    ) -> None:
        self.scn, self.transaction, self.operation = scn, transaction, operation
        self.shape, self.row, self.before, self.after, self.undo = shape, row, before, after, undo


@dataclass
class LogFile:
    """One log sequence: records from `first_record` on, SCNs first <= scn < next."""

    sequence: int
    group: int
    first_scn: int
    first_time: float
    first_record: int
    next_scn: int | None = None
    next_time: float | None = None
    end_record: int | None = None
    deleted: bool = False

    @property
    def current(self) -> bool:
        """Is it still written to?"""
        return self.next_scn is None


GROUPS = 3
_scn_of = attrgetter("scn")


class Journal:
    """All redo since the database was made."""

    def __init__(self, first_scn: int, clock: Callable[[], float], *, records_per_log: int) -> None:
        self.clock = clock
        self.records_per_log = records_per_log
        self.records: list[Record] = []
        now = clock()
        self.logs: list[LogFile] = [LogFile(1, 1, first_scn, now, 0)]
        self._mark_scns: list[int] = [first_scn]
        self._mark_times: list[float] = [float(int(now))]
        self._room = records_per_log

    def append(self, record: Record) -> None:
        """Write a record; its SCN is not below the last one's."""
        self.mark(record.scn)
        if self._room <= 0:
            self.switch(record.scn)
        self._room -= 1
        self.records.append(record)

    def mark(self, scn: int) -> None:
        """Remember the time of an SCN, to the second."""
        second = int(self.clock())
        if second != self._mark_times[-1]:
            self._mark_scns.append(scn)
            self._mark_times.append(float(second))

    def switch(self, scn: int) -> LogFile:
        """Close the current log before an SCN and open the next one."""
        now = self.clock()
        last = self.logs[-1]
        last.next_scn, last.next_time, last.end_record = scn, now, len(self.records)
        opened = LogFile(last.sequence + 1, last.group % GROUPS + 1, scn, now, len(self.records))
        self.logs.append(opened)
        self._room = self.records_per_log
        return opened

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
        return self.logs[bisect.bisect_right(self.logs, place, key=attrgetter("first_record")) - 1]
