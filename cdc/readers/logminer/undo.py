"""Which row of a transaction a compensation undoes.

A savepoint, a failed statement or a trigger error undoes rows inside a transaction that goes on to
commit. LogMiner shows each undone row again with ROLLBACK = 1, as the inverse operation on the same
object and row id: it cancels the newest live row there. Read next: `cdc.readers.logminer.transaction`.
"""

from __future__ import annotations

from cdc.changes import TableName
from cdc.readers.logminer.rows import Code, LogRow

NO_ROW_ID = frozenset((None, "", "AAAAAAAAAAAAAAAAAA"))
_INVERSE = {Code.INSERT: Code.DELETE, Code.DELETE: Code.INSERT, Code.UPDATE: Code.UPDATE}

Kept = tuple[TableName, LogRow]
"""A row with the captured table it belongs to."""
Place = tuple[object, str | None]


class RowStack:
    """Rows in order, None where one was cancelled."""

    __slots__ = ("_places", "rows")

    def __init__(self, rows: list[Kept | None] | None = None) -> None:
        self.rows: list[Kept | None] = rows if rows is not None else []
        self._places: dict[Place, list[int]] | None = None

    def append(self, kept: Kept) -> None:
        """Keep a forward row."""
        if self._places is not None:
            self._places.setdefault(place_of(kept[1]), []).append(len(self.rows))
        self.rows.append(kept)

    def undo(self, row: LogRow) -> int | None:
        """Cancel the newest live row that a ROLLBACK = 1 row compensates; its index, or None."""
        if self._places is None:  # undone work is rare, so the index is made when first needed
            self._places = {}
            for index, kept in enumerate(self.rows):
                if kept is not None:
                    self._places.setdefault(place_of(kept[1]), []).append(index)
        stack = self._places.get(place_of(row), [])
        wanted = _INVERSE.get(Code(row.operation_code))  # None: LogMiner cannot tell, the place must do
        for depth in range(len(stack) - 1, -1, -1):
            kept = self.rows[stack[depth]]
            if kept is not None and (wanted is None or kept[1].operation_code in (wanted, Code.UNSUPPORTED)):
                index = stack.pop(depth)
                self.rows[index] = None
                return index
        return None

    def undo_lob_insert(self, row: LogRow, *, seen: bool) -> tuple[list[int], bool, bool]:
        """An insert with a LOB has no row id; the update after it, which has one, is cancelled with it.

        Args:
            row: the compensation, a delete.
            seen: such an update was cancelled among newer rows.

        Returns:
            What was cancelled, whether an update was, and whether the insert was.
        """
        target, cancelled = place_of(row), []
        for index in range(len(self.rows) - 1, -1, -1):
            kept = self.rows[index]
            if kept is None or place_of(kept[1])[0] != target[0]:
                continue
            if place_of(kept[1]) == target and kept[1].operation_code != Code.INSERT:
                self.rows[index], seen = None, True
                cancelled.append(index)
            elif seen and kept[1].operation_code == Code.INSERT and kept[1].row_id in NO_ROW_ID:
                self.rows[index] = None
                return [*cancelled, index], seen, True
        return cancelled, seen, False


def place_of(row: LogRow) -> Place:
    """Object and row id: where the row lies in the database."""
    return (row.data_obj if row.data_obj is not None else (row.owner, row.table)), row.row_id
