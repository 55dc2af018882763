"""Every captured table at one SCN, handed over to the stream without gap or copy.

Transactions open at the snapshot's SCN commit later, so their rows are in the stream only, and
mining begins before the oldest of them. The list of open transactions is taken *before* the SCN: one
that starts in between starts after the SCN of the first look. Values are converted to text by the
database, exactly.

Source: Oracle Database SQL Language Reference 19c, flashback query; Reference 19c, GV$TRANSACTION.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import oracledb
import polars as pl

from cdc.changes import (
    AFTER,
    ALL_PRESENT,
    BEFORE,
    META_SCHEMA,
    ChangeBatch,
    SourceTable,
    TableChanges,
    TableName,
)
from cdc.oracle.errors import oracle_errors
from cdc.ports import StopAsked
from cdc.positions import Scn
from cdc.readers.logminer.lobs.large_values import unreadable_columns
from cdc.readers.logminer.mining.host_time import HostTime, parsed_offset
from cdc.readers.logminer.redo_sql.values import canonical, marked
from cdc.readers.logminer.tables.selected import LARGE_ROWS, select_as_of, text_of_large

NOW = "select current_scn, cast(systimestamp as date), to_char(systimestamp, 'TZH:TZM') from v$database"
LARGE_CHARACTERS = 16 * 2**20
"""Values of one batch of such a table, about."""
OLDEST_OPEN = "select min(start_scn) from gv$transaction where start_scn > 1"


@dataclass(frozen=True)
class Point:
    """Where a snapshot is taken: its SCN, the SCN after which mining must begin, its time, the host's own."""

    scn: int
    read_from: int
    taken_at: datetime
    host_time: Mapping[str, Any] = field(default_factory=dict)

    @property
    def resume(self) -> Mapping[str, Any]:
        """Resume of the stream after this snapshot."""
        return {"read_from": self.read_from, "committed": self.position, **self.host_time}

    @property
    def position(self) -> int:
        """Of the rows read, and up to which everything is in them.

        A commit that is logged at the very SCN may become visible one later: it comes in the stream, and
        again if it was in the snapshot.
        """
        return self.scn - 1


def take_point(connection: oracledb.Connection, system: str) -> Point:
    """Choose the SCN of a snapshot."""
    with oracle_errors(system), connection.cursor() as cursor:
        cursor.execute(NOW, fetch_decimals=False)
        first = int(cursor.fetchone()[0])
        cursor.execute(OLDEST_OPEN, fetch_decimals=False)
        oldest = cursor.fetchone()[0]
        cursor.execute(NOW, fetch_decimals=False)
        scn, when, offset = cursor.fetchone()
    host_time = HostTime()
    host_time.look(int(scn), when, parsed_offset(str(offset)))
    return Point(
        int(scn),
        min(first, int(oldest) if oldest else first) - 1,
        host_time.utc(int(scn), when),
        host_time.resume(),
    )


class Snapshot:
    """Reads tables as of a point, batch by batch; `resume` is where the stream continues."""

    def __init__(
        self, connection: oracledb.Connection, system: str, point: Point, resume: Mapping[str, Any]
    ) -> None:
        self._connection, self._system, self._point, self._resume = connection, system, point, resume
        self._ordinal = 0

    def read(
        self, tables: Mapping[TableName, SourceTable], *, max_rows: int, stop: StopAsked
    ) -> Iterator[ChangeBatch]:
        """Yield READ changes of each table, `snapshot_done` in the batch that ends it.

        Raises:
            TransientError: undo no longer reaches back to the SCN (ORA-01555), or the table was
                changed by DDL since (ORA-01466): take a new snapshot.
        """
        for table in tables.values():
            for frame, last in self._frames(table, max_rows):
                changes = self._changes(table, frame)
                yield ChangeBatch(
                    self._system,
                    Scn(self._point.position),
                    {table.name: changes} if len(changes) else {},
                    self._resume,
                    snapshot_done=(table.name,) if last else (),
                )
                if stop():
                    return

    def _frames(self, table: SourceTable, max_rows: int) -> Iterator[tuple[pl.DataFrame, bool]]:
        """Frames of text columns, and whether the table ends with them."""
        names = [AFTER + name for name in table.column_names]
        waiting: pl.DataFrame | None = None
        large = any(column.large for column in table.columns)
        array_rows = min(LARGE_ROWS, max_rows) if large else max_rows
        subject = f"{self._system}: {table.name}"
        with oracle_errors(subject):
            cursor = self._connection.cursor()
        with cursor:
            with oracle_errors(subject):
                cursor.arraysize = cursor.prefetchrows = array_rows
                cursor.execute(select_as_of(table), scn=self._point.scn)
            while True:
                with oracle_errors(subject):
                    rows = _large_rows(cursor, max_rows) if large else cursor.fetchmany(max_rows)
                if not rows:
                    break
                if waiting is not None:
                    yield waiting, False
                columns = zip(names, zip(*rows, strict=True), strict=True)
                waiting = pl.DataFrame([pl.Series(name, values, dtype=pl.String) for name, values in columns])
        yield (waiting if waiting is not None else pl.DataFrame(schema=dict.fromkeys(names, pl.String))), True

    def _changes(self, table: SourceTable, frame: pl.DataFrame) -> TableChanges:
        first, self._ordinal = self._ordinal, self._ordinal + frame.height
        values = [
            canonical(marked(frame[AFTER + column.name]), column)
            if frame.height
            else frame[AFTER + column.name]
            for column in table.columns
        ]
        done = frame.with_columns(values).select(
            pl.lit("r").alias("operation"),
            pl.lit(self._point.position, pl.Int64).alias("position"),
            pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("ordinal"),
            pl.lit(None, pl.String).alias("transaction_id"),
            pl.lit(self._point.taken_at, META_SCHEMA["committed_at"]).alias("committed_at"),
            pl.lit(False).alias("ours"),
            pl.lit(1, pl.Int16).alias("before_shape"),
            pl.lit(0, pl.Int16).alias("after_shape"),
            *(pl.lit(None, pl.String).alias(BEFORE + name) for name in table.column_names),
            *(pl.col(AFTER + name) for name in table.column_names),
        )
        unread = unreadable_columns(done, table.columns)
        return TableChanges(table, done, (ALL_PRESENT, frozenset(table.column_names)), unread)


def _large_rows(cursor: oracledb.Cursor, max_rows: int) -> list[tuple[str | None, ...]]:
    """The next rows of a table with large columns: fewer, the larger their values are."""
    rows: list[tuple[str | None, ...]] = []
    characters = 0
    while len(rows) < max_rows and characters < LARGE_CHARACTERS:
        some = cursor.fetchmany(min(LARGE_ROWS, max_rows - len(rows)))
        if not some:
            break
        rows += [tuple(map(text_of_large, row)) for row in some]
        characters += sum(len(value or "") for row in rows[-len(some) :] for value in row)
    return rows
