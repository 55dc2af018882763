"""Rows of V$LOGMNR_CONTENTS put together into committed transactions.

LogMiner shows all work in the order it was logged: transactions interleaved, work that is not yet
committed, and work that was undone. The assembly keeps each open transaction's live rows and hands
them out at its COMMIT row. It is a plain object without a connection, so every rule here has a test
with recorded rows.

Rules that lose data when forgotten: a row with ROLLBACK = 1 undoes an earlier one; a text with
CSF = 1 continues in the next row; a transaction id ending in `ffffffff` is one whose start LogMiner
did not see; STATUS and INFO say when the text is not to be trusted.

A row of one table that cannot be read is kept as such (`rows.refused`): if its transaction commits, that
table stops there, and the others continue.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace

from cdc.changes import TableName
from cdc.errors import RedoNotAvailable, RedoUnreadable, snapshot_hint
from cdc.oracle.decoding import healed
from cdc.readers.logminer.mining.rows import (
    Code,
    LogRow,
    has_no_row_id,
    is_child,
    place,
    refused,
    transaction_key,
    transaction_name,
)
from cdc.readers.logminer.transactions.compensation import EndsStatement
from cdc.readers.logminer.transactions.events import Committed, DdlSeen, RolledBack
from cdc.readers.logminer.transactions.lob_filter import LOB_CODES, LobFilter
from cdc.readers.logminer.transactions.transaction import Transaction
from cdc.readers.logminer.transactions.undo import DATA

TableOf = Callable[[LogRow], TableName | None]
"""The captured table a data row belongs to; None for rows of other tables."""

UNKNOWN_SEQUENCE = "ffffffff"
DEFAULT_MAX_BYTES = 128 * 2**20
_LOB = frozenset((9, 10, 11, 28, 29, 68, 70, 71, 91, 92, 93))
_NO_CHANGE = frozenset((Code.SELECT_FOR_UPDATE, Code.REPLICATION_MARKER))
_GOOD_STATUS = frozenset((0, 2, 5))  # 2: to be decoded by us, 5: assembly needed
_UNKNOWN_USERS = frozenset((None, "", "UNKNOWN"))


class Assembly:
    """Open transactions of one source.

    Args:
        source: the system's name, for messages.
        table_of: which captured table a row belongs to.
        has_large: has a table LOB, XML or LONG columns or extended strings, read by rules or not?
        ends_statement: may an UPDATE be the last row of a statement on such columns?
        lobs: which rows of LOBs and extended strings are kept with their transaction; none without it.
        apply_log: table whose rows mark transactions as ours.
        restored: open transactions whose rows are on disk from before a restart.
        max_bytes: memory for the rows of all open transactions together.
        spill: moves a transaction's rows out of memory, returns the bytes freed; None to keep all.
    """

    def __init__(
        self,
        source: str,
        table_of: TableOf,
        *,
        has_large: Callable[[TableName], bool] = lambda table: True,
        ends_statement: EndsStatement = lambda table, row: True,
        lobs: LobFilter | None = None,
        apply_log: TableName | None = None,
        restored: Iterable[Transaction] = (),
        max_bytes: int = DEFAULT_MAX_BYTES,
        spill: Callable[[Transaction], int] | None = None,
    ) -> None:
        self._source, self._table_of = source, table_of
        self._has_large, self._ends_statement, self._lobs = has_large, ends_statement, lobs
        self._apply_log = apply_log and (apply_log.schema, apply_log.name)
        self._open: dict[str, Transaction] = {one.xid: one for one in restored}
        self._max_bytes, self._spill, self._bytes = max_bytes, spill, 0
        self._started: dict[str, LogRow] = {}
        self._pieces: dict[str, list[LogRow]] = {}
        self.counts: Counter[str] = Counter()

    @property
    def open(self) -> tuple[Transaction, ...]:
        """Open transactions with captured rows, oldest first."""
        return tuple(sorted(self._open.values(), key=lambda transaction: transaction.start_scn))

    @property
    def started(self) -> tuple[int, ...]:
        """START SCNs of open transactions without captured rows so far."""
        return tuple(row.scn for key, row in self._started.items() if key not in self._open)

    def forget(self, transaction: Transaction) -> None:
        """Drop an open transaction that came to nothing."""
        self._started.pop(transaction.xid, None)
        self._pieces.pop(transaction.xid, None)
        if self._open.pop(transaction.xid, None) is not None:
            self._bytes -= transaction.memory_bytes

    def add(self, row: LogRow) -> Committed | RolledBack | DdlSeen | None:
        """Take the next row.

        Returns:
            A transaction with captured rows that this row ends, or the DDL that it is.

        Raises:
            RedoNotAvailable: the row says that redo is missing.
            RedoUnreadable: what was read cannot be trusted, whatever the table.
        """
        code = row.operation_code
        if code in DATA and row.status in _GOOD_STATUS and not (row.csf or self._pieces):
            self._data(row)  # most rows
            return None
        if (row.status not in _GOOD_STATUS or code == Code.MISSING_SCN) and self._refused_status(row):
            return None
        if row.csf or self._pieces:
            joined = self._join(row)
            if joined is None:
                return None
            row = joined
        if code in DATA:
            self._data(row)
        elif code == Code.START:
            self._start(row)
        elif code == Code.COMMIT:
            return self._commit(row)
        elif code == Code.ROLLBACK or (
            code == Code.REPLICATION_MARKER and not self._open.get(transaction_key(row))
        ):
            return self._forget(row)  # a marker's own transaction never ends; one with changes does
        elif code == Code.DDL:
            return None if (row.info or "").startswith("INTERNAL") else DdlSeen(row, self._table_of(row))
        elif code == Code.INTERNAL:
            self._internal(row)
        elif code in _LOB:
            self._lob(row)
        elif code not in _NO_CHANGE:
            self._unknown(row)
        return None

    # -- rows ----------------------------------------------------------------------------------

    def _data(self, row: LogRow) -> None:
        table = self._table_of(row)
        if table is None:
            self._other(row)
            return
        text = row.sql_redo
        if text is None:
            if not row.rollback:  # what undoes a row needs no text
                self._refuse(row, table, "row without SQL_REDO")
                return
        elif text.startswith("/* No SQL_REDO for temporary tables"):
            self.counts["rows of temporary tables"] += 1
            return
        transaction = self._transaction(row)
        if row.scn <= transaction.on_disk_to:
            return  # kept before a restart
        if not row.rollback:
            self._append(transaction, table, row)  # most rows
        elif not transaction.undo(table, row, self._ends_statement):
            # what changed a LOB alone may have no row of its own, its compensation has one
            only_lob = (
                row.operation_code == Code.UPDATE and transaction.lobs_changed and self._has_large(table)
            )
            if transaction.start_seen and not only_lob:
                self._refuse(row, table, "a rolled back row undoes nothing that was read")
                return
            transaction.unmatched += 1
            self.counts["unmatched rolled back rows"] += 1

    def _other(self, row: LogRow) -> None:
        """A row of a table that is not captured; one of our apply log marks the transaction."""
        if (row.owner, row.table) != self._apply_log:
            self.counts["rows of other tables"] += 1
            return
        transaction = self._transaction(row)
        if row.scn > transaction.on_disk_to:
            inserted, undone = row.operation_code == Code.INSERT, row.operation_code == Code.DELETE
            transaction.marks += (inserted and not row.rollback) - (undone and bool(row.rollback))
            transaction.changed = True

    def _internal(self, row: LogRow) -> None:
        """The end of a statement on a table with large columns; other internal rows tell nothing."""
        if row.rollback or row.sequence == 1 or has_no_row_id(row.row_id):
            return
        opened = self._open.get(transaction_key(row))
        continued = opened.statements.table_of(row.data_obj) if opened is not None else None
        table = continued or self._table_of(row)
        if table is None or not (continued or self._has_large(table)):
            return
        opened = self._transaction(row)
        if row.scn > opened.on_disk_to:
            self._append(opened, table, replace(row, sql_redo=None))

    def _lob(self, row: LogRow) -> None:
        table = self._table_of(row)
        opened = self._open.get(transaction_key(row))
        kept = located = None
        if self._lobs is not None and row.operation_code in LOB_CODES:
            kept, located = self._lobs.look(row, table, opened.located if opened is not None else None)
        owner = kept or table
        if owner is not None:
            opened = self._transaction(row)
            if row.scn > opened.on_disk_to:
                if kept is not None:
                    self._bytes += opened.append_lob(kept, row)
                elif not row.rollback:
                    self._bytes += opened.note_lob(owner, row)
                self._spill_if_full()
        if opened is not None:
            opened.located = located
        if kept is None and table is not None:
            self.counts["LOB rows left out"] += 1

    def _unsupported(self, row: LogRow, table: TableName) -> None:
        """A row that LogMiner does not put into words; a compensation still says what it undoes."""
        if row.rollback:
            transaction = self._transaction(row)
            if row.scn <= transaction.on_disk_to or transaction.undo(table, row, self._ends_statement):
                return
        info = f" ({row.info})" if row.info else ""
        self._refuse(row, table, f"LogMiner does not support this row{info}")

    def _unknown(self, row: LogRow) -> None:
        """An operation of no code we know, which may be a change."""
        if row.operation == "CORRUPTED_BLOCKS":
            raise self._unreadable(row, f"corrupt redo blocks ({row.info})")
        table = self._table_of(row)
        if row.operation_code == Code.UNSUPPORTED:
            if table is not None:
                self._unsupported(row, table)
        elif table is None:
            self.counts["rows of unknown operations"] += 1
        elif row.operation == "DIRECT INSERT":
            self._data(replace(row, operation_code=Code.INSERT))
        else:
            self._refuse(row, table, f"unknown operation {row.operation_code} ({row.operation})")

    def _start(self, row: LogRow) -> None:
        if is_child(row):
            return
        key = transaction_key(row)
        earlier = self._open.get(key)
        if earlier is not None and earlier.start_scn == row.scn:
            return  # known from before a restart
        if earlier is not None or key in self._started:
            # an id with its sequence is given once, so this is the same transaction, shown again
            self.counts["second START rows"] += 1
            return
        self._started[key] = row

    def _append(self, transaction: Transaction, table: TableName, row: LogRow) -> None:
        self._bytes += transaction.append(table, row)
        if self._bytes > self._max_bytes:
            self._spill_if_full()

    def _spill_if_full(self) -> None:
        if self._bytes > self._max_bytes and self._spill is not None:
            self._free(self._spill)

    def _free(self, spill: Callable[[Transaction], int]) -> None:
        """Spill the largest transactions, the oldest of equal ones, until a quarter of the memory is free."""
        self._bytes = sum(
            one.memory_bytes for one in self._open.values()
        )  # less where rows were written down
        for transaction in sorted(self.open, key=lambda one: -one.memory_bytes):
            if self._bytes <= self._max_bytes * 3 // 4 or not transaction.memory_bytes:
                return
            self.counts["spilled rows"] += transaction.in_memory
            self._bytes -= spill(transaction)

    def _commit(self, row: LogRow) -> Committed | RolledBack | None:
        if is_child(row):
            return None
        transaction = self._take(row)
        if transaction is None:
            return None
        known = row.username if transaction.username in _UNKNOWN_USERS else transaction.username
        if not len(transaction):
            return RolledBack(row.scn, transaction)
        return Committed(
            transaction.xid,
            transaction_name(transaction.xid),
            row.scn,
            transaction.start_scn,
            row.when,
            None if known in _UNKNOWN_USERS else known,
            transaction.client_id or row.client_id,
            transaction,
            transaction,
            transaction.marks > 0,
            row.rs_id or "",
        )

    def _forget(self, row: LogRow) -> RolledBack | None:
        transaction = None if is_child(row) else self._take(row)
        return RolledBack(row.scn, transaction) if transaction is not None else None

    # -- transactions --------------------------------------------------------------------------

    def _transaction(self, row: LogRow) -> Transaction:
        key = row.xid if row.pxid == row.xid else transaction_key(row)
        transaction = self._open.get(key)
        if transaction is None:
            found = self._alike(key, self._open)
            transaction = self._open[found] if found else None
        if transaction is None:
            started = self._started.get(key)
            transaction = Transaction(key, started.scn if started else row.scn, started is not None)
            transaction.started_at = started.when if started else row.when
            if started:
                transaction.username, transaction.client_id = started.username, started.client_id
            self._open[key] = transaction
        if transaction.username in _UNKNOWN_USERS:
            transaction.username = row.username
        if transaction.client_id is None:
            transaction.client_id = row.client_id
        return transaction

    def _take(self, row: LogRow) -> Transaction | None:
        """Remove and return the transaction that the row ends."""
        key = transaction_key(row)
        if self._started.pop(key, None) is None and key not in self._open:
            alike = self._alike(key, self._open) or self._alike(key, self._started)
            key = alike or key
            self._started.pop(key, None)
        self._pieces.pop(key, None)
        transaction = self._open.pop(key, None)
        if transaction is not None:
            self._bytes -= transaction.memory_bytes
        return transaction

    def _alike(self, key: str, among: dict[str, Transaction] | dict[str, LogRow]) -> str | None:
        """The one open transaction with the same segment and slot, where a sequence is unknown."""
        if key[8:] == UNKNOWN_SEQUENCE:
            found = [other for other in among if other[:8] == key[:8]]
        else:
            found = [other for other in among if other == key[:8] + UNKNOWN_SEQUENCE]
        if len(found) > 1:
            self.counts["transaction ids matching several"] += 1
        return found[-1] if found else None

    def _join(self, row: LogRow) -> LogRow | None:
        """The row with its CSF pieces joined; None while pieces are missing."""
        key = transaction_key(row)
        pieces = self._pieces.get(key)
        if pieces and (pieces[0].rs_id, pieces[0].ssn) != (row.rs_id, row.ssn):
            table = self._table_of(pieces[0])
            if table is not None:
                self._refuse(pieces[0], table, "the continuation of a long SQL_REDO is missing")
            del self._pieces[key]
            pieces = None
        if row.csf:
            self._pieces.setdefault(key, []).append(row)
            return None
        if not pieces:
            return row
        del self._pieces[key]
        text = healed("".join(piece.sql_redo or "" for piece in (*pieces, row)))
        return replace(pieces[0], sql_redo=text, csf=0)

    # -- errors ------------------------------------------------------------------------------

    def _refuse(self, row: LogRow, table: TableName, reason: str) -> None:
        """Keep a row that cannot be read with its transaction."""
        transaction = self._transaction(row)
        if row.scn > transaction.on_disk_to:
            keep = transaction.append_alone if row.rollback else transaction.append
            self._bytes += keep(table, refused(row, reason))
            self._spill_if_full()

    def _refused_status(self, row: LogRow) -> bool:
        """Whether the row's state makes it one that cannot be read; what undoes a row need not be read.

        Raises:
            RedoNotAvailable, RedoUnreadable: the state says that redo is missing or corrupt.
        """
        if row.status == 1291 or row.operation_code == Code.MISSING_SCN:
            raise RedoNotAvailable(
                f"{self._source}: LogMiner reports a hole in the redo at SCN {row.scn}: {row.info}",
                hint="restore the archived logs of that range; reading then continues",
            )
        if row.status == 1343 or row.operation == "CORRUPTED_BLOCKS":
            raise self._unreadable(row, f"corrupt redo blocks ({row.info})")
        table = self._table_of(row) if row.operation_code in DATA and not row.rollback else None
        if table is not None:
            self._refuse(
                row, table, f"STATUS {row.status}: the row is not guaranteed; is supplemental logging on"
            )
        return table is not None

    def _unreadable(self, row: LogRow, reason: str) -> RedoUnreadable:
        table = f" of {row.owner}.{row.table}" if row.table else ""
        return RedoUnreadable(
            f"{self._source}: row{table} at SCN {row.scn}, {place(row)}, STATUS {row.status}: {reason}",
            hint=f"check the row in V$LOGMNR_CONTENTS; to continue without it: {snapshot_hint(self._source)}",
        )
