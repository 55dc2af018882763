"""LOB rows of a committed transaction, joined to the rows they belong to.

LOB rows follow the insert or update they are part of and name it by its key. Behind them an UPDATE with the
row id tells the large columns that lie in the row: both are one change, and come as one. LOB rows that name
another row changed it without an UPDATE row: an update is made up for it. Writes without a locator come
before their insert; they are given to the one column that can be meant, and where two can be, both are read
again. If anything of the transaction was undone, the redo is not trusted for its LOBs. A row whose LOB rows
cannot be put to it becomes one that cannot be read (`rows.refused`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from cdc.changes import SourceColumn, SourceType, TableName
from cdc.readers.logminer.lobs.large_values import FETCH, Fetch, LargeRow, Synthetic
from cdc.readers.logminer.lobs.lob_parts import LobParts
from cdc.readers.logminer.lobs.lobs import LobValue
from cdc.readers.logminer.lobs.unlocated_lob_writes import UnlocatedLobWrites
from cdc.readers.logminer.mining.rows import Code, LogRow, has_no_row_id, refused
from cdc.readers.logminer.redo_sql.blocks import LobText, read_extended_begin, read_lob, read_locator
from cdc.readers.logminer.redo_sql.redo_values import Call, RedoSyntaxError, Statement
from cdc.readers.logminer.redo_sql.row_images import ImageReader
from cdc.readers.logminer.redo_sql.values import EMPTY_LOB, UNKNOWN_LOB, cell_text
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.lob_filter import LOB_CODES
from cdc.readers.logminer.transactions.undo import Kept, Marked

MAX_EMPTY = 100_000
"""Rows inserted with an empty LOB that are remembered until their transaction writes to it."""

RESELECTED_CHARACTERS = 32_768
"""Room in a batch for the large values of one row."""

_WITHOUT_LOBS = frozenset((Code.DELETE, Code.UNSUPPORTED))

Key = tuple[str | None, ...]


def text_size(kept: Kept) -> int:
    """Characters of a row's text."""
    return len(kept[1].sql_redo or "")


@dataclass
class _Statement:
    """A data row, if there is one, the LOB rows behind it, and what the last of them said."""

    kept: Kept | None = None
    read: Statement | None = None
    last: dict[str, str | Fetch | None] = field(default_factory=dict)
    parts: dict[tuple[TableName, Key], LobParts] = field(default_factory=dict)


class LargeRows:
    """Joins the LOB rows of transactions.

    Args:
        system: name of the source, for messages.
        readers: the reader of each captured table's texts.
        large: large columns of each table of which rules read at least one, those not read too.
        from_redo: columns whose values come from the redo where it tells them.
        unplaced: called for each table of which a LOB was written to and nothing says in which row.
    """

    def __init__(
        self,
        system: str,
        readers: Mapping[TableName, ImageReader],
        large: Mapping[TableName, tuple[SourceColumn, ...]],
        from_redo: Mapping[TableName, frozenset[str]],
        *,
        unplaced: Callable[[TableName], None] = lambda table: None,
    ) -> None:
        self._system, self._readers, self._large, self._from_redo = system, readers, large, from_redo
        self._unplaced = unplaced

    @property
    def is_needed(self) -> bool:
        """Does any rule read a large column?"""
        return bool(self._large)

    def size(self, kept: Kept) -> int:
        """Characters of a row in a batch, about; values that will be read again are not known yet."""
        table, row = kept
        if table not in self._large:
            return text_size(kept)
        known = row.parts.values() if isinstance(row, LargeRow) else ()
        return (
            text_size(kept) + RESELECTED_CHARACTERS + sum(len(one) for one in known if isinstance(one, str))
        )

    def rows(self, committed: Committed) -> Iterable[Kept]:
        """The transaction's data rows in order; those with LOB rows are `LargeRow`."""
        transaction = committed.transaction
        if transaction is None or not (transaction.lob_rows or transaction.statements.last):
            return committed.rows
        trusted = not transaction.undone
        from_redo = self._from_redo if trusted else {}
        # of undone work the writes stay and their rows do not: nothing may be missing there
        unplaced = self._unplaced if trusted else lambda table: None
        joining = _Joining(
            self._system, self._readers, self._large, from_redo, trusted=trusted, unplaced=unplaced
        )
        return joining.join(transaction.marked())


class _Joining:
    """One transaction."""

    def __init__(
        self,
        system: str,
        readers: Mapping[TableName, ImageReader],
        large: Mapping[TableName, tuple[SourceColumn, ...]],
        from_redo: Mapping[TableName, frozenset[str]],
        *,
        trusted: bool,
        unplaced: Callable[[TableName], None],
    ) -> None:
        self._system, self._readers, self._large, self._from_redo = system, readers, large, from_redo
        self._made_up = Synthetic.FROM_LOCATOR if trusted else Synthetic.FROM_SOURCE
        self._statement = _Statement()
        self._current: tuple[LobParts, str] | None = None
        self._located = False
        self._number = 0
        self._first: Kept | None = None
        self._empty: set[tuple[TableName, Key, str]] = set()
        self._loose = UnlocatedLobWrites(system, readers, from_redo, unplaced)

    def join(self, rows: Iterable[Marked]) -> Iterator[Kept]:
        """The data rows, each behind those before it."""
        for kept, mark in rows:
            table, row = kept
            number, code = mark >> 2, row.operation_code
            if mark and number == self._number and self._is_last(kept):
                continue
            if number != self._number:
                if self._first is not None and self._number and code in LOB_CODES:
                    yield from self._end_statement()
                self._number, self._first = number, None
            if code in LOB_CODES:
                try:
                    yield from self._lob(table, row)
                except RedoSyntaxError as exc:
                    yield table, refused(row, str(exc))
                continue
            yield from self._end_statement()
            self._current, self._located = None, False
            self._first = kept
            if code not in _WITHOUT_LOBS and table in self._large:
                self._statement.kept = kept
            else:
                yield from self._loose.give(kept)
        yield from self._end_statement()
        yield from self._loose.end()

    def _is_last(self, kept: Kept) -> bool:
        """Take the UPDATE that ends the statement before it: it tells nothing but large columns."""
        table, row = kept
        if row.operation_code != Code.UPDATE or has_no_row_id(row.row_id):
            return False
        if self._first is None and self._statement.kept is None:
            self._statement.kept = self._first = kept  # LOBs changed alone, one of them in the row
            return True
        if self._first is None:
            return False
        try:
            last = self._readers[table].changed_large(row.sql_redo or "")
        except RedoSyntaxError:
            return False  # it is refused as any row
        if last is None:
            return False
        if self._statement.kept is None:
            return True  # no rule reads them
        is_new = self._first[1].operation_code == Code.INSERT
        for column, cell in last:
            name, text = column.name, cell_text(cell, column)
            if name in self._from_redo.get(table, ()) and text != UNKNOWN_LOB:
                self._statement.last[name] = None if text in (None, EMPTY_LOB) else str(text)
            elif not (is_new and text is None):
                self._statement.last[name] = FETCH
        return True

    # -- LOB rows ------------------------------------------------------------------------------

    def _lob(self, table: TableName, row: LogRow) -> Iterator[Kept]:
        """Take a LOB row; a write without a locator belongs to no statement before it, which ends."""
        reader = self._readers[table]
        if row.operation_code == Code.LONG_BEGIN:
            self._locate(table, reader, row, read_extended_begin(row.sql_redo or ""))
            return
        lob: LobText | None
        try:
            lob = read_lob(row.sql_redo or "")
        except RedoSyntaxError:
            lob = None
        if lob is None and row.operation_code == Code.SELECT_LOB_LOCATOR:
            lob = read_locator(row.sql_redo or "")
        if lob is None:  # an erase, or a form that is not known: the value is unknown
            self._forget(table, reader, row)
            if not self._located:
                yield from self._loose_write(table, None)
            return
        if lob.column is not None:
            self._locate(table, reader, row, lob)
        if not lob.writes and lob.trim is None:
            return
        if self._current is not None:
            parts, column = self._current
            parts.apply(column, lob)
        elif not self._located:
            yield from self._loose_write(table, lob)

    def _loose_write(self, table: TableName, lob: LobText | None) -> Iterator[Kept]:
        yield from self._end_statement()
        self._loose.write(table, lob)

    def _forget(self, table: TableName, reader: ImageReader, row: LogRow) -> None:
        located: LobText | None = None
        with suppress(RedoSyntaxError):
            located = read_locator(row.sql_redo or "")
        if located is not None:
            self._locate(table, reader, row, located)
        if self._current is not None:
            parts, column = self._current
            parts.forget(column)

    def _locate(self, table: TableName, reader: ImageReader, row: LogRow, lob: LobText) -> None:
        """The LOB that this row and those behind it speak of."""
        named = reader.named(
            Statement("UPDATE", lob.owner, lob.table or "", {lob.column or "": None}, lob.where)
        )
        self._current, self._located = None, True
        column = next((one for name in named.values if (one := reader.table.column(name))), None)
        if column is None:
            return  # read by no rule
        key = reader.key_of(named.where)
        if key is None:
            raise RedoSyntaxError("the locator does not name the row's key", 0)
        parts = self._statement.parts.setdefault((table, key), LobParts(row, lob))
        self._current = parts, column.name
        if column.name not in self._from_redo.get(table, ()):
            parts.values[column.name] = None
        elif lob.kind == "EXTENDED_STRING":
            parts.values[column.name] = LobValue("", binary=_is_binary(column), charset=reader.charset)
        elif column.name not in parts.values:
            before = self._before(table, reader, key, column)
            parts.values[column.name] = LobValue(before, binary=_is_binary(column), charset=reader.charset)

    def _before(self, table: TableName, reader: ImageReader, key: Key, column: SourceColumn) -> str | None:
        """The column's value before its LOB rows; None if it is not known."""
        at = table, key, column.name
        was_empty = at in self._empty
        self._empty.discard(at)
        statement = self._own_statement(table, reader, key)
        if statement is not None and column.name in statement.values:
            text = cell_text(statement.values[column.name], column)
            if text in (None, EMPTY_LOB):
                return ""
            return text if isinstance(text, str) and text != UNKNOWN_LOB else None
        is_new = statement is not None and statement.operation == "INSERT"
        return "" if is_new or was_empty else None

    def _own_statement(self, table: TableName, reader: ImageReader, key: Key) -> Statement | None:
        """The statement of the data row if it is the row with that key."""
        kept = self._statement.kept
        if kept is None or kept[0] != table:
            return None
        if self._statement.read is None:
            self._statement.read = reader.statement(kept[1].sql_redo or "")
        read = self._statement.read
        return read if key in (reader.key_of(read.after), reader.key_of(read.before)) else None

    # -- data rows -----------------------------------------------------------------------------

    def _end_statement(self) -> Iterable[Kept]:
        """The data row with its LOBs, then updates of other rows whose LOBs alone changed."""
        statement = self._statement
        if statement.kept is None and not statement.parts:
            return ()
        self._statement = _Statement()
        return self._ended(statement)

    def _ended(self, statement: _Statement) -> Iterator[Kept]:
        try:
            yield from self._joined(statement)
        except RedoSyntaxError as exc:
            if statement.kept is None:
                raise
            table, row = statement.kept
            yield table, refused(row, str(exc))

    def _joined(self, statement: _Statement) -> Iterator[Kept]:
        own = statement.last
        others: list[Kept] = []
        keys = self._keys(statement) if statement.parts else ()
        for (table, key), parts in statement.parts.items():
            values = parts.known()
            if statement.kept is not None and statement.kept[0] == table and key in keys:
                own |= values
            elif values:
                others.append((table, LargeRow.of(parts.made_up(table), values, self._made_up)))
        if statement.kept is not None:
            table, row = statement.kept
            kept = (table, LargeRow.of(row, own)) if own else (table, row)
            columns = self._unlocated(table, statement, own)
            yield from self._loose.give(kept, columns)
        for kept in others:
            yield from self._loose.give(kept)

    def _keys(self, statement: _Statement) -> tuple[Key | None, ...]:
        if statement.kept is None:
            return ()
        table, row = statement.kept
        reader = self._readers[table]
        read = statement.read or reader.statement(row.sql_redo or "")
        statement.read = read
        return reader.key_of(read.after), reader.key_of(read.before)

    def _unlocated(
        self, table: TableName, statement: _Statement, own: Mapping[str, object]
    ) -> tuple[SourceColumn, ...]:
        """Large columns whose value may be in writes without a locator; remembers which are empty."""
        remembers = len(self._empty) < MAX_EMPTY and bool(self._from_redo.get(table))
        if statement.kept is None or not (remembers or self._loose.waits_for(table)):
            return ()
        row, reader = statement.kept[1], self._readers[table]
        text = row.sql_redo or ""
        is_new = row.operation_code == Code.INSERT
        if not self._loose.waits_for(table) and not (is_new and "EMPTY_" in text):
            return ()
        read = statement.read or reader.statement(text)
        found = []
        for column in self._large[table]:
            name = column.name
            if name in own:
                continue
            cell = read.values.get(name)
            is_empty = isinstance(cell, Call) and cell.name.startswith("EMPTY_")
            if is_empty or name not in read.values:
                found.append(column)
            if is_empty and is_new and remembers and (key := reader.key_of(read.after)) is not None:
                self._empty.add((table, key, name))
        return tuple(found)


def _is_binary(column: SourceColumn) -> bool:
    return column.type is SourceType.BINARY
