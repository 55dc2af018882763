"""Which rows of a transaction make one statement.

What changes a LOB, XML or extended string comes as several rows: one without row id that holds the plain
columns, the rows of the LOBs, and at the end one with the row id, an UPDATE of what lies in the row or an
INTERNAL row without text. One compensation undoes them all.

Source: recorded rows of 26ai Free 23.26 (debezium/dbz#1960) and the comments of its pull requests 7425,
7427 and 7472.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, insort
from dataclasses import dataclass, field
from typing import Any

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import NO_ROW, Code, LogRow, has_no_row_id
from cdc.readers.logminer.transactions.undo import ANY, DATA, ONLY_LOBS, fits_statement

_NO_LOB = DATA | {Code.INTERNAL, Code.UNSUPPORTED}
_ALONE = frozenset((Code.DELETE, Code.INTERNAL))
_ENDS = frozenset((Code.UPDATE, Code.INTERNAL))
_BEGINS = frozenset((Code.XML_BEGIN, Code.LONG_BEGIN))


@dataclass
class OpenStatement:
    """A statement whose last row was not seen yet.

    Args:
        number: names it within its transaction; a later statement has a larger one.
        kind: INSERT, UPDATE, `ANY` for a row that LogMiner does not support, `ONLY_LOBS`.
        row_id: as far as a row of its LOBs has it.
        data_obj: object that its rows are of.
        begun: rows that begin an XML document or an extended string, while there is no data row: code, text.
    """

    number: int
    kind: int = ONLY_LOBS
    row_id: str | None = None
    data_obj: int | None = None
    begun: set[tuple[int, str | None]] = field(default_factory=set)

    @property
    def mark(self) -> int:
        """What its rows are marked with."""
        return self.number * 4 + self.kind


@dataclass
class Statements:
    """Puts the rows of one transaction to statements.

    A data row without row id begins one. LOB rows continue it, or begin one: where a LOB alone is
    changed there is no data row. The next UPDATE or INTERNAL row of the table that has a row id ends it.
    One that never ends so (it failed, or its last row is not shown) is `loose` from the next one on.

    Attributes:
        last: number of the newest one.
        open: by table, the one that continues.
        loose: marks of those without a last row, oldest first. Rows of index-organised tables have no row
            id at all, so each of them is one.
    """

    last: int = 0
    open: dict[TableName, OpenStatement] = field(default_factory=dict)
    loose: dict[TableName, array[int]] = field(default_factory=dict)

    def mark(self, table: TableName, row: LogRow) -> int:
        """What the next row is marked with, 0 for a statement of its own."""
        code, row_id = row.operation_code, row.row_id
        has_row_id = row_id and not row_id.endswith(NO_ROW)
        if has_row_id and not self.open and code in DATA:
            return 0  # most rows
        if code not in _NO_LOB:
            return self._lob(table, row).mark
        if has_row_id:
            return self._end(table, code, row_id)
        if code in _ALONE:
            return 0
        statement = self.open.get(table)
        if statement is None or statement.kind:
            statement = self._begin(table, row)
        statement.kind = code if code in DATA else ANY
        return statement.mark

    def table_of(self, data_obj: int | None) -> TableName | None:
        """The table whose open statement changes an object."""
        if data_obj is None:
            return None
        return next((table for table, one in self.open.items() if one.data_obj == data_obj), None)

    def newest_loose(self, table: TableName, undone: LogRow) -> int | None:
        """Mark of the newest loose statement that a compensation can undo."""
        marks = self.loose.get(table, ())
        return next((mark for mark in reversed(marks) if fits_statement(undone, mark & 3)), None)

    def forget(self, table: TableName, statement: int) -> None:
        """A statement was undone."""
        continued = self.open.get(table)
        if continued is not None and continued.number == statement:
            del self.open[table]
            return
        marks = self.loose.get(table, array("q"))
        index = bisect_left(marks, statement * 4)
        if index < len(marks) and marks[index] >> 2 == statement:
            del marks[index]

    def had_no_end(self, table: TableName, mark: int) -> None:
        """What was taken for the last row of a statement was none."""
        insort(self.loose.setdefault(table, array("q")), mark)

    def written(self) -> dict[str, Any]:
        """For a manifest; JSON types."""
        return {
            "last": self.last,
            "open": [
                [table.schema, table.name, one.number, one.kind, one.row_id, one.data_obj]
                for table, one in self.open.items()
            ],
            "loose": [[table.schema, table.name, *marks] for table, marks in self.loose.items() if marks],
        }

    @classmethod
    def read(cls, written: dict[str, Any]) -> Statements:
        """From a manifest."""
        return cls(
            int(written["last"]),
            {TableName(schema, name): OpenStatement(*rest) for schema, name, *rest in written["open"]},
            {TableName(schema, name): array("q", marks) for schema, name, *marks in written["loose"]},
        )

    def _begin(self, table: TableName, row: LogRow) -> OpenStatement:
        self._leave(table)
        self.last += 1
        self.open[table] = begun = OpenStatement(self.last, data_obj=row.data_obj)
        return begun

    def _lob(self, table: TableName, row: LogRow) -> OpenStatement:
        row_id = None if has_no_row_id(row.row_id) else row.row_id
        statement = self.open.get(table)
        begins = row.operation_code in _BEGINS
        if (
            statement is None
            or (row_id and statement.row_id not in (None, row_id))
            # a statement writes a column once: the INTERNAL row before has SEQUENCE# 1 and was not asked for
            or (begins and not statement.kind and (row.operation_code, row.sql_redo) in statement.begun)
        ):
            statement = self._begin(table, row)
        statement.row_id = row_id or statement.row_id
        if begins and not statement.kind:
            statement.begun.add((row.operation_code, row.sql_redo))
        return statement

    def _end(self, table: TableName, code: int, row_id: str | None) -> int:
        statement = self.open.get(table)
        if statement is None:
            return 0
        if code not in _ENDS or statement.row_id not in (None, row_id):
            self._leave(table)
            return 0
        del self.open[table]
        statement.kind = statement.kind or Code.UPDATE
        return statement.mark

    def _leave(self, table: TableName) -> None:
        statement = self.open.pop(table, None)
        if statement is not None:
            self.loose.setdefault(table, array("q")).append(statement.mark)
