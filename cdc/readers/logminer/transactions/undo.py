"""The rows of a transaction in order, and which of them a compensation can undo.

A savepoint, a failed statement or a trigger error undoes rows inside a transaction that continues to
commit. LogMiner shows each undone row again with ROLLBACK = 1, as the inverse operation on the same row
id.
"""

from __future__ import annotations

from collections.abc import Iterator

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import NO_ROW, Code, LogRow, has_no_row_id

Kept = tuple[TableName, LogRow]
"""A row with the captured table it belongs to."""
Place = tuple[TableName, str]
"""A table and a row id, which is empty for rows without one."""

Marked = tuple[Kept, int]
"""A row and its mark, see `RowStack`."""

DATA = frozenset((1, 2, 3))
INVERSE = {Code.INSERT: Code.DELETE, Code.DELETE: Code.INSERT, Code.UPDATE: Code.UPDATE}
ONLY_LOBS, ANY = 0, 2
"""What a statement of several rows is where that is not an operation code; a DELETE is always one row."""


class RowStack:
    """Rows in order, None where one was cancelled.

    Args:
        rows: rows kept before.
        marks: by index, the mark of each row that is one of several of its statement: the number of the
            statement times four, plus what it is (INSERT, UPDATE, `ONLY_LOBS` or `ANY`).

    Attributes:
        live: rows that are there, without those that only tell where a statement ends.
    """

    __slots__ = ("_indexed", "_members", "_places", "live", "marks", "rows")

    def __init__(self, rows: list[Kept | None] | None = None, marks: dict[int, int] | None = None) -> None:
        self.rows: list[Kept | None] = rows if rows is not None else []
        self.marks: dict[int, int] = marks if marks is not None else {}
        self.live = sum(kept is not None and is_change(kept) for kept in self.rows)
        self._places: dict[str | TableName, list[int]] = {}
        self._indexed = 0
        self._members: dict[int, list[int]] = {}

    def append(self, kept: Kept, mark: int = 0) -> None:
        """Keep a row."""
        if mark:
            self.marks[len(self.rows)] = mark
        self.rows.append(kept)
        if kept[1].operation_code:
            self.live += 1

    def cancel(self, index: int) -> None:
        """A row was undone."""
        kept, self.rows[index] = self.rows[index], None
        self.live -= kept is not None and is_change(kept)

    def newest(self, place: Place, undone: LogRow) -> int | None:
        """The newest live row there that a compensation can undo."""
        table, row_id = place
        self._index()
        stack = self._places.get(row_id or table, [])
        while stack and self.rows[stack[-1]] is None:
            stack.pop()
        for index in reversed(stack):
            kept = self.rows[index]
            if kept is None or kept[0] != table:
                continue
            if _fits(undone, kept[1].operation_code, self.marks.get(index, 0)):
                return index
        return None

    def kept(self) -> Iterator[Kept]:
        """Rows that are there."""
        return (kept for kept in self.rows if kept is not None and kept[1].operation_code)

    def marked(self) -> Iterator[Marked]:
        """Rows that are there, with their marks."""
        for index, kept in enumerate(self.rows):
            if kept is not None and kept[1].operation_code:
                yield kept, self.marks.get(index, 0)

    def members(self, statement: int) -> list[int]:
        """Live rows of a statement."""
        self._index()
        return [index for index in self._members.get(statement, ()) if self.rows[index] is not None]

    def _index(self) -> None:
        """Enter what was kept since the last look: undone work is rare.

        By row id alone, whose hash a text keeps; its table is compared when it is looked for. Rows
        without one are entered by their table.
        """
        places, marks = self._places, self.marks
        for index in range(self._indexed, len(self.rows)):
            kept = self.rows[index]
            if kept is None:
                continue
            table, row = kept
            row_id, mark = row.row_id, marks.get(index, 0)
            if row_id and not row_id.endswith(NO_ROW):
                places.setdefault(row_id, []).append(index)
            elif row.operation_code in DATA or (mark and row.operation_code == Code.UNSUPPORTED):
                places.setdefault(table, []).append(index)
            if mark:
                self._members.setdefault(mark >> 2, []).append(index)
        self._indexed = len(self.rows)


def _fits(undone: LogRow, code: int, mark: int) -> bool:
    """Can a compensation undo a row of that operation and mark?"""
    if mark:
        if mark & 3 == Code.INSERT and undone.operation_code == Code.UPDATE:
            return code == Code.UPDATE  # then it was not part of the insert
        return fits_statement(undone, mark & 3)
    if Code.UNSUPPORTED in (code, undone.operation_code):
        return True
    return (code or Code.UPDATE) == INVERSE[Code(undone.operation_code)]


def fits_statement(undone: LogRow, kind: int) -> bool:
    """Can a compensation undo a statement of that kind? What is not known fits everything."""
    if kind == ANY or undone.operation_code == Code.UNSUPPORTED:
        return True
    return (kind or Code.UPDATE) == INVERSE[Code(undone.operation_code)]


def is_change(kept: Kept) -> bool:
    """False for rows that only tell where a statement ends."""
    return kept[1].operation_code != Code.INTERNAL


def place_of(table: TableName, row: LogRow) -> Place:
    """Table and row id: where the row lies in the database."""
    return table, "" if has_no_row_id(row.row_id) else row.row_id or ""
