"""One open transaction: its captured rows, in memory or on disk, less those that were undone.

The newest rows are in memory; `spill` moves them to the transaction's file. Undone rows are cancelled
wherever they are. Read next: `cdc.readers.logminer.undo`, `cdc.readers.logminer.spill`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cdc.changes import TableName
from cdc.readers.logminer.lob_filter import Located
from cdc.readers.logminer.rows import Code, LogRow
from cdc.readers.logminer.spill import SpillFile
from cdc.readers.logminer.undo import NO_ROW_ID, Kept, RowStack

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
        undone: a row was undone, or a LOB row was a compensation: LOB rows may belong to undone work.
        located: what LOB rows without a locator go on with; None behind a data row.
        changed: a row was added or undone since the file was last complete.
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
    without_row_id: int = 0
    lob_rows: int = 0
    undone: bool = False
    located: Located | None = None
    first_seen_s: float = field(default_factory=time.monotonic)
    _tail: RowStack = field(default_factory=RowStack)
    _tail_live: int = 0

    @property
    def in_memory(self) -> int:
        """Live rows that are not on disk."""
        return self._tail_live

    @property
    def name(self) -> str:
        """Names its files; a transaction id is used again, never with the same start."""
        return f"{self.xid}-{self.start_scn}"

    def __len__(self) -> int:
        return self._tail_live + (len(self.file) if self.file is not None else 0)

    def __iter__(self) -> Iterator[Kept]:
        """Rows that were not undone, in order."""
        if self.file is not None:
            yield from self.file.live()
        yield from (kept for kept in self._tail.rows if kept is not None)

    def append(self, table: TableName, row: LogRow) -> int:
        """Keep a forward row; returns the bytes of memory it takes, about."""
        self.changed, self.located = True, None
        self._tail.append((table, row))
        self._tail_live += 1
        if row.row_id in NO_ROW_ID:
            self.without_row_id += 1
        size = ROW_BYTES + len(row.sql_redo or "")
        self.memory_bytes += size
        return size

    def append_lob(self, table: TableName, row: LogRow) -> int:
        """Keep a row of a LOB; a compensation is only noted, its LOB is then not known from the redo."""
        self.lob_rows += 1
        if row.rollback:
            self.changed = self.undone = True
            return 0
        return self.append(table, row)

    def undo(self, row: LogRow) -> bool:
        """Cancel the newest live row that a ROLLBACK = 1 row compensates; False if there is none."""
        self.changed = self.undone = True
        if self._tail.undo(row) is not None:
            self._tail_live -= 1
            return True
        if self.file is not None and self.file.undo(row):
            return True
        return row.operation_code == Code.DELETE and self.without_row_id > 0 and self._undo_lob_insert(row)

    def _undo_lob_insert(self, row: LogRow) -> bool:
        cancelled, seen, done = self._tail.undo_lob_insert(row, seen=False)
        self._tail_live -= len(cancelled)
        return done or (self.file is not None and self.file.undo_lob_insert(row, seen=seen))

    def spill(self, path: Path) -> int:
        """Move the rows in memory to the file; returns the bytes of memory that are free now."""
        rows = [kept for kept in self._tail.rows if kept is not None]
        if rows:
            if self.file is None:
                self.file = SpillFile(path)
            self.file.append(rows)
        freed, self.memory_bytes = self.memory_bytes, 0
        self._tail, self._tail_live = RowStack(), 0
        return freed
