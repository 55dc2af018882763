"""Statements that LogMiner could not decode: `COL n` for names, internal bytes for values.

After DDL the online dictionary no longer fits older rows, so LogMiner shows what is in the block. The
number is that of the column in the row, where hidden and unused columns count.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from cdc.changes import SourceTable
from cdc.readers.logminer.redo_sql.internal import decode
from cdc.readers.logminer.redo_sql.redo_values import Cell, Hex, RedoSyntaxError, Statement
from cdc.readers.logminer.redo_sql.values import LOBS

_NUMBERED = re.compile(r"COL (\d+)\Z")


class UnknownColumn(RedoSyntaxError):
    """The row has a column that the table does not have today: it lost it since, or got it and lost it."""


class Undecoded:
    """Gives names and texts to the statements of one table.

    Args:
        table: the table with its captured columns.
        segment_columns: name and data type by segment column number.
        charset: Python codec of the database character set.
    """

    def __init__(
        self, table: SourceTable, segment_columns: Mapping[int, tuple[str, str]], charset: str
    ) -> None:
        self._table, self._segment_columns, self._charset = table, segment_columns, charset
        self._names = frozenset(table.column_names)

    def named(self, statement: Statement) -> Statement:
        """The statement itself if it is decoded, else one with names and texts.

        Raises:
            UnknownColumn: a number without a column.
            RedoSyntaxError: bytes that are not a value of the column's type: so the columns are not those.
        """
        names = {*statement.values, *statement.where}
        if not names or names & self._names or not all(map(_NUMBERED.match, names)):
            return statement
        return Statement(
            statement.operation,
            self._table.name.schema,
            self._table.name.name,
            self._decoded(statement.values),
            self._decoded(statement.where),
            statement.rowid,
        )

    def _decoded(self, cells: Mapping[str, Cell]) -> dict[str, Cell]:
        decoded: dict[str, Cell] = {}
        for undecoded, cell in cells.items():
            match = _NUMBERED.match(undecoded)
            known = self._segment_columns.get(int(match.group(1))) if match else None
            if known is None:
                raise UnknownColumn(f"no column is behind {undecoded}", 0)
            name, data_type = known
            if name in self._names:
                decoded[name] = self._text(name, data_type, cell)
        return decoded

    def _text(self, name: str, data_type: str, cell: Cell) -> Cell:
        """The text of a cell, RAW as its digits."""
        if not isinstance(cell, Hex) or data_type == "RAW" or data_type in LOBS:
            return cell
        try:
            return decode(data_type, cell.digits, charset=self._charset)
        except RedoSyntaxError as exc:
            raise UnknownColumn(f"{name}: {exc.reason}", exc.offset) from exc
