"""One open transaction: its captured rows, in memory or on disk, less those that were undone.

The newest rows are in memory; `spill` moves them to the transaction's file. Undone rows are cancelled
wherever they are.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import Code, LogRow
from cdc.readers.logminer.transactions.compensation import EndsStatement, Layer, undo
from cdc.readers.logminer.transactions.lob_filter import Located
from cdc.readers.logminer.transactions.spill import SpillFile
from cdc.readers.logminer.transactions.statement_rows import Statements
from cdc.readers.logminer.transactions.undo import Kept, Marked, Place, RowStack

ROW_BYTES = 1_000
"""Memory of a row beside its text: the tuple and its small values."""


@dataclass
class Transaction:
    """An open transaction with at least one captured row.

    Args:
        xid: as in V$LOGMNR_CONTENTS.
        start_scn: of its START row, or of the first row seen.
        start_seen: its START row was read.
        username, client_id: whose work it is, as far as known.
        marks: rows it has in our apply log.
        started_at: host-local time of its first row seen.
        unmatched: compensations whose row was made before reading began.
        file: the rows that are not in memory.
        on_disk_to: SCN up to which all its rows came from disk after a restart; read again, they are
            passed over.
        lob_rows: rows of LOBs and extended strings that were kept.
        lobs_changed: LOB rows were seen, kept or not.
        undone: a row was undone, or a LOB row was a compensation: LOB rows may belong to undone work.
        located: what LOB rows without a locator continue; None behind a data row.
        changed: a row was added or undone since the file was last complete.
        statements: puts its rows to statements.
    """

    xid: str
    start_scn: int
    start_seen: bool
    username: str | None = None
    client_id: str | None = None
    marks: int = 0
    started_at: object = None
    unmatched: int = 0
    file: SpillFile | None = None
    on_disk_to: int = -1
    changed: bool = True
    memory_bytes: int = 0
    lob_rows: int = 0
    lobs_changed: bool = False
    undone: bool = False
    statements: Statements = field(default_factory=Statements)
    located: Located | None = None
    first_seen_s: float = field(default_factory=time.monotonic)
    _tail: RowStack = field(default_factory=RowStack)

    @property
    def in_memory(self) -> int:
        """Live rows that are not on disk."""
        return self._tail.live

    @property
    def name(self) -> str:
        """Names its files; a transaction id is used again, never with the same start."""
        return f"{self.xid}-{self.start_scn}"

    def __len__(self) -> int:
        return self._tail.live + (len(self.file) if self.file is not None else 0)

    def __iter__(self) -> Iterator[Kept]:
        """Rows that were not undone, in order."""
        if self.file is not None:
            yield from self.file.kept()
        yield from self._tail.kept()

    def marked(self) -> Iterator[Marked]:
        """The same with what tells which of them make one statement, see `RowStack`."""
        if self.file is not None:
            yield from self.file.marked()
        yield from self._tail.marked()

    def append(self, table: TableName, row: LogRow) -> int:
        """Keep a forward row; returns the bytes of memory it takes, about."""
        self.changed, self.located = True, None
        self._tail.append((table, row), self.statements.mark(table, row))
        size = ROW_BYTES + len(row.sql_redo or "")
        self.memory_bytes += size
        return size

    def append_lob(self, table: TableName, row: LogRow) -> int:
        """Keep a row of a LOB; a compensation is only noted, its LOB is then not known from the redo."""
        self.lob_rows += 1
        self.lobs_changed = True
        if row.rollback:
            self.changed = self.undone = True
            return 0
        return self.append(table, row)

    def note_lob(self, table: TableName, row: LogRow) -> int:
        """A row of a LOB that no rule reads: only the statement it belongs to is kept."""
        self.changed = self.lobs_changed = True
        open_before = self.statements.open.get(table)
        mark = self.statements.mark(table, row)
        if self.statements.open[table] is open_before:
            return 0
        self._tail.append((table, replace(row, operation_code=Code.INTERNAL, sql_redo=None)), mark)
        self.memory_bytes += ROW_BYTES
        return ROW_BYTES

    def append_alone(self, table: TableName, row: LogRow) -> int:
        """Keep a row that nothing undoes but the end of the transaction."""
        self.changed = True
        self._tail.append((table, replace(row, row_id=None)))
        self.memory_bytes += ROW_BYTES
        return ROW_BYTES

    def undo(self, table: TableName, row: LogRow, ends: EndsStatement) -> bool:
        """Cancel what a ROLLBACK = 1 row compensates; False if there is nothing."""
        self.changed = self.undone = True
        return undo(self, self.statements, table, row, ends)

    def holding(self, place: Place) -> Iterator[Layer]:
        """Layers that may hold a row of a place, newest first."""
        yield Layer(0, self._tail, self._tail.cancel)
        if self.file is not None:
            yield from self.file.holding(place)

    def of_statement(self, statement: int) -> Iterator[Layer]:
        """Layers that may hold a row of a statement, newest first."""
        yield Layer(0, self._tail, self._tail.cancel)
        if self.file is not None:
            yield from self.file.of_statement(statement)

    def spill(self, path: Path) -> int:
        """Move the rows in memory to the file; returns the bytes of memory that are free now."""
        marks = self._tail.marks
        rows = [(kept, marks.get(index, 0)) for index, kept in enumerate(self._tail.rows) if kept is not None]
        if rows:
            if self.file is None:
                self.file = SpillFile(path)
            self.file.append(rows)
        freed, self.memory_bytes = self.memory_bytes, 0
        self._tail = RowStack()
        return freed
