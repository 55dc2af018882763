"""Which LOB rows are kept with their transaction: those of columns that rules read, without data not needed.

A locator row names the column; the writes behind it are kept only if the value is to come from the redo.
Writes without a locator are kept, because only the whole transaction tells what they belong to.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from cdc.changes import TableName
from cdc.readers.logminer.mining.rows import Code, LogRow

_LOCATOR = re.compile(r'\bselect\s+"((?:[^"]|"")+)"\s+into\s', re.IGNORECASE)
_FROM = re.compile(r'\sfrom\s+"((?:[^"]|"")+)"\."((?:[^"]|"")+)"', re.IGNORECASE)
_EXTENDED = re.compile(
    r'\'\s*update\s+"((?:[^"]|"")+)"\."((?:[^"]|"")+)"\s.*?\sset\s+(?:\w+\s*\.\s*)?"((?:[^"]|"")+)"\s*=\s*:',
    re.IGNORECASE | re.DOTALL,
)
_NUMBERED = re.compile(r"COL \d+\Z")
LOB_CODES = frozenset(
    (
        Code.SELECT_LOB_LOCATOR,
        Code.LOB_WRITE,
        Code.LOB_TRIM,
        Code.LOB_ERASE,
        Code.LONG_BEGIN,
        Code.LONG_WRITE,
        Code.LONG_END,
    )
)
"""Rows of LOBs and extended strings."""


@dataclass(frozen=True)
class Located:
    """The column that LOB rows without a locator of their own continue; `keep` their data."""

    table: TableName
    keep: bool


class LobFilter:
    """Decides row by row.

    Args:
        large: large columns of the tables of which rules read at least one.
        from_redo: columns whose values come from the redo.
    """

    def __init__(
        self, large: Mapping[TableName, object], from_redo: Mapping[TableName, frozenset[str]]
    ) -> None:
        self._large, self._from_redo = large, from_redo

    def look(
        self, row: LogRow, table: TableName | None, before: Located | None
    ) -> tuple[TableName | None, Located | None]:
        """The table to keep the row under, None to leave it out; and what rows behind it continue.

        Args:
            row: a LOB row.
            table: the captured table it names; None for another table, or if it names none.
            before: what the LOB row before it in the same statement left.
        """
        located = self._locator(row, table)
        if located is not None:
            return (located.table if located.table in self._large else None), located
        table = table or (before.table if before is not None and row.table is None else None)
        unwanted = row.operation_code == Code.LONG_END or (before is not None and not before.keep)
        if table is None or table not in self._large or unwanted:
            return None, before
        return table, before

    def _locator(self, row: LogRow, table: TableName | None) -> Located | None:
        text = row.sql_redo or ""
        if row.operation_code == Code.LONG_BEGIN:
            begin = _EXTENDED.search(text)
            if begin is None:
                return None
            owner, name, column = begin.groups()
        else:
            head = text.partition("'")[0]
            selected, source = _LOCATOR.search(head), _FROM.search(head)
            if selected is None:
                return None
            column = selected.group(1)
            owner, name = source.groups() if source else ("", "")
        if table is None and row.table is None:
            table = TableName(owner.replace('""', '"'), name.replace('""', '"'))
        if table is None:
            return Located(TableName("", ""), keep=False)
        columns = self._from_redo.get(table, frozenset())
        # what the column's number means is known where the rows are joined
        return Located(
            table, column.replace('""', '"') in columns or bool(columns and _NUMBERED.match(column))
        )
