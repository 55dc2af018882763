"""One open transaction: its captured rows, and the cancelling of those that were undone.

A savepoint, a failed statement or a trigger error undoes rows inside a transaction that goes on to
commit. LogMiner shows each undone row again with ROLLBACK = 1, as the inverse operation on the same
row id. Rows are kept in memory; nothing else of the assembly depends on where they are kept.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from cdc.changes import TableName
from cdc.readers.logminer.rows import Code, LogRow

NO_ROW_ID = frozenset((None, "", "AAAAAAAAAAAAAAAAAA"))
_INVERSE = {Code.INSERT: Code.DELETE, Code.DELETE: Code.INSERT, Code.UPDATE: Code.UPDATE}


@dataclass
class Transaction:
    """An open transaction with at least one captured row."""

    xid: str
    start_scn: int
    start_seen: bool
    username: str | None = None
    client_id: str | None = None
    rows: list[tuple[TableName, LogRow] | None] = field(default_factory=list)
    unmatched: int = 0
    places: dict[tuple[object, str | None], list[int]] | None = None

    def live(self) -> Iterator[tuple[TableName, LogRow]]:
        """Rows that were not undone."""
        return (row for row in self.rows if row is not None)

    def append(self, table: TableName, row: LogRow) -> None:
        """Keep a forward row."""
        if self.places is not None:
            self.places.setdefault(_place(row), []).append(len(self.rows))
        self.rows.append((table, row))

    def undo(self, row: LogRow) -> bool:
        """Cancel the newest live row that a ROLLBACK = 1 row compensates; False if there is none."""
        if self.places is None:  # undone work is rare, so the index is made when first needed
            self.places = {}
            for index, kept in enumerate(self.rows):
                if kept is not None:
                    self.places.setdefault(_place(kept[1]), []).append(index)
        stack = self.places.get(_place(row), [])
        wanted = _INVERSE[Code(row.operation_code)]
        for depth in range(len(stack) - 1, -1, -1):
            kept = self.rows[stack[depth]]
            if kept is not None and kept[1].operation_code == wanted:
                self.rows[stack.pop(depth)] = None
                return True
        return row.operation_code == Code.DELETE and self._undo_lob_insert(row)

    def _undo_lob_insert(self, row: LogRow) -> bool:
        """An insert with a LOB has no row id; the update after it, which has one, is cancelled with it."""
        target, seen = _place(row), False
        for index in range(len(self.rows) - 1, -1, -1):
            kept = self.rows[index]
            if kept is None or _place(kept[1])[0] != target[0]:
                continue
            if _place(kept[1]) == target and kept[1].operation_code != Code.INSERT:
                self.rows[index], seen = None, True
            elif seen and kept[1].operation_code == Code.INSERT and kept[1].row_id in NO_ROW_ID:
                self.rows[index] = None
                return True
        return False


def _place(row: LogRow) -> tuple[object, str | None]:
    return (row.data_obj if row.data_obj is not None else (row.owner, row.table)), row.row_id
