"""Committed transactions to change batches: one frame a table, positions and ordinals given.

Ordinals are given by `cdc.readers.logminer.streaming.batch_cutter`.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import accumulate, groupby, takewhile
from operator import itemgetter
from types import MappingProxyType

import polars as pl

from cdc.changes import META_SCHEMA, WHO, TableChanges, TableName, frame_schema
from cdc.errors import RedoUnreadable
from cdc.readers.logminer.lobs.large_values import LargeValues
from cdc.readers.logminer.mining.host_time import HostTime
from cdc.readers.logminer.mining.rows import Code, LogRow, place
from cdc.readers.logminer.redo_sql.canonical_columns import RedoRowError
from cdc.readers.logminer.redo_sql.row_images import ImageReader, Images
from cdc.readers.logminer.transactions.events import Committed
from cdc.readers.logminer.transactions.undo import Kept

_OF_TRANSACTION = ("position", "transaction_id", "committed_at", "ours")
OUR_CLIENT_ID = "ccbridge"
"""Client identifier that all our connections set; it marks our work where the user is unknown."""


@dataclass(frozen=True)
class Slice:
    """Rows of one committed transaction, whole or a part of a very large one."""

    transaction: Committed
    rows: Sequence[Kept]
    first_ordinal: int


@dataclass
class _TableRows:
    """What is collected for one table before its texts are read."""

    rows: list[LogRow] = field(default_factory=list)
    ordinals: list[int] = field(default_factory=list)
    transactions: list[tuple[int, Committed]] = field(default_factory=list)

    def before(self, index: int) -> _TableRows:
        """What was committed before the transaction that the row is of."""
        ends = list(accumulate(count for count, _ in self.transactions))
        of = self.transactions[bisect_right(ends, index)][1]
        runs = list(takewhile(lambda run: run[1] is not of, self.transactions))
        rows = sum(count for count, _ in runs)
        return _TableRows(self.rows[:rows], self.ordinals[:rows], runs)


Stop = Callable[[TableName, LogRow, str, bool], None]
"""Called for a table that is no longer read from a row's transaction on: the row, why, and whether the
table was altered."""


def refuse_all(table: TableName, row: LogRow, reason: str, altered: bool) -> None:
    """Where no table can be stopped, nothing is read on."""
    raise RedoUnreadable(
        f"{table}, row at SCN {row.scn}, {place(row)}: {reason}, {altered=}",
        hint='see "Not supported" in docs/oracle.md',
    )


class BatchMaker:
    """Makes frames of transactions.

    Args:
        system: name of the source, for messages.
        readers: the reader of each captured table's texts.
        our_user: user name in upper case whose work is ours.
        stop: called for a table with a row that cannot be read.
        stopped: SCN of each table that is no longer read, kept up to date by its owner: transactions that
            were open then may still hold rows of theirs, and are left out whole.
        has_apply_log: our work has rows in the apply log.
        large: fills large columns; None where no rule reads one.
        host_time: of the database; UTC by default.
    """

    def __init__(
        self,
        system: str,
        readers: Mapping[TableName, ImageReader],
        our_user: str,
        *,
        stop: Stop = refuse_all,
        stopped: Mapping[TableName, int] = MappingProxyType({}),
        has_apply_log: bool = False,
        large: LargeValues | None = None,
        host_time: HostTime | None = None,
    ) -> None:
        self._system, self._readers, self._our_user = system, readers, our_user
        self._host_time = host_time or HostTime()
        self._has_apply_log, self._large = has_apply_log, large
        self._stop, self._stopped = stop, stopped
        self._ended: set[TableName] = set()

    def tables(self, slices: Iterable[Slice]) -> dict[TableName, TableChanges]:
        """Changes by table in stream order; a table ends before the transaction of a row not to be read."""
        collected: dict[TableName, _TableRows] = {}
        for part in slices:
            at = part.first_ordinal
            for table, run in groupby(part.rows, key=itemgetter(0)):
                if table in self._ended or part.transaction.scn > self._stopped.get(
                    table, part.transaction.scn
                ):
                    at += sum(1 for _ in run)
                    continue
                into = collected.setdefault(table, _TableRows())
                rows = [row for _, row in run]
                into.rows += rows
                into.ordinals += range(at, at + len(rows))
                into.transactions.append((len(rows), part.transaction))
                at += len(rows)
        made = ((table, self._readable(table, rows)) for table, rows in collected.items())
        return {table: self._changes(table, *rows) for table, rows in made if rows is not None}

    def _readable(self, table: TableName, collected: _TableRows) -> tuple[_TableRows, Images] | None:
        """The rows up to the transaction with the first that cannot be read, and their images."""
        codes = [row.operation_code for row in collected.rows]
        if Code.UNSUPPORTED in codes:
            index = codes.index(Code.UNSUPPORTED)
            self._end(table, collected.rows[index], collected.rows[index].sql_redo or "")
            collected = collected.before(index)
        while collected.rows:
            try:
                return collected, self._readers[table].read([row.sql_redo or "" for row in collected.rows])
            except RedoRowError as exc:
                self._end(table, collected.rows[exc.index], exc.reason, altered=exc.altered)
                collected = collected.before(exc.index)
        return None

    def _end(self, table: TableName, row: LogRow, reason: str, *, altered: bool = False) -> None:
        self._ended.add(table)
        self._stop(table, row, reason, altered)

    def _changes(self, table: TableName, collected: _TableRows, images: Images) -> TableChanges:
        reader = self._readers[table]
        transactions = pl.DataFrame(
            {
                "position": [one.scn for _, one in collected.transactions],
                "transaction_id": [one.name for _, one in collected.transactions],
                "committed_at": [self._committed_at(one) for _, one in collected.transactions],
                "ours": [self.is_ours(one) for _, one in collected.transactions],
                "source_user": [one.username for _, one in collected.transactions],
                "source_client": [one.client_id or None for _, one in collected.transactions],
            },
            schema={**{name: META_SCHEMA[name] for name in _OF_TRANSACTION}, **dict.fromkeys(WHO, pl.String)},
        )
        counts = pl.Series([count for count, _ in collected.transactions], dtype=pl.UInt32)
        of_rows = pl.int_range(len(counts), dtype=pl.UInt32, eager=True).repeat_by(counts).explode()
        ordinals = pl.Series("ordinal", collected.ordinals, dtype=pl.Int64)
        names = (*frame_schema(reader.table), *WHO)
        frame = images.frame.with_columns(ordinals, *transactions[of_rows]).select(names)
        changes = TableChanges(reader.table, frame, images.shapes, images.unreadable)
        return self._large.fill(changes, collected.rows) if self._large is not None else changes

    def _committed_at(self, transaction: Committed) -> datetime:
        """The host's time of its COMMIT as an instant."""
        when = transaction.when
        if not isinstance(when, datetime):
            return datetime.now(UTC)
        return self._host_time.utc(transaction.scn, when)

    def is_ours(self, transaction: Committed) -> bool:
        """True for our own writes; what is not known to be ours is not.

        A row in the apply log is certain, so where there is one nothing else counts. Else it is the user,
        unless another client identifier was set, and the identifier alone where the user is unknown.
        """
        if self._has_apply_log:
            return transaction.marked
        if transaction.client_id not in (None, "", OUR_CLIENT_ID):
            return False
        if transaction.username is not None:
            return transaction.username.upper() == self._our_user
        return transaction.client_id == OUR_CLIENT_ID
