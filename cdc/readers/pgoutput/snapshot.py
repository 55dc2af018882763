"""The snapshot: every captured table as it was where the stream will begin.

Creating the slot exports a snapshot of the database at the slot's consistent point; tables are
read under it, so the stream continues without gap or copy. Values come by COPY in CSV, where the
server writes them with the same output functions as in the stream (a cast to text would not:
`boolean` becomes `true`, `char(n)` loses its padding).

Source: PostgreSQL 17 documentation, "Streaming Replication Protocol", CREATE_REPLICATION_SLOT;
SET TRANSACTION SNAPSHOT; COPY.
"""

from __future__ import annotations

import select
import time
from collections.abc import Iterator, Mapping
from datetime import datetime

import polars as pl
import psycopg
import structlog
from psycopg import sql
from psycopg.conninfo import make_conninfo
from psycopg.errors import error_from_result
from psycopg.pq import ExecStatus

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
from cdc.config import PostgresSystem
from cdc.errors import TransientError
from cdc.ports import StopAsked
from cdc.positions import Lsn
from cdc.postgres.connect import conninfo
from cdc.postgres.errors import postgres_errors
from cdc.readers.pgoutput.session import WalSender, quoted
from cdc.readers.pgoutput.slot import check_slot_free, check_slot_use, find_slot
from cdc.readers.pgoutput.tables.catalog import Catalog
from cdc.readers.pgoutput.wire.canonical import SESSION_OPTIONS, canonical

MAX_CHUNK_BYTES = 32 * 1024 * 1024
SLOT_PATIENCE_S = 5.0
"""How long a slot may still be held by our own former session."""
_TURN_MS = 200

log = structlog.get_logger(__name__)


def create_slot(
    sender: WalSender, catalog: Catalog, settings: PostgresSystem, system: str, stop: StopAsked
) -> tuple[Lsn, str] | None:
    """Create the slot again and export the snapshot of its consistent point.

    The server first waits until all transactions that run now have ended. The snapshot stays
    valid until `sender` runs another command.

    Returns:
        The consistent point and the snapshot's name; None if `stop()` came first.

    Raises:
        TransientError: a running session holds the slot.
        OperatorError: the slot belongs to another plugin or database.
    """
    deadline = time.monotonic() + SLOT_PATIENCE_S
    while (slot := find_slot(catalog, settings.slot)) is not None:
        check_slot_use(slot, settings, system)
        if slot.holder is None:
            sender.command(f"DROP_REPLICATION_SLOT {quoted(slot.name)}")
            break
        if time.monotonic() > deadline:
            check_slot_free(slot, system)
        if stop():
            return None
        time.sleep(0.05)  # our own former session may just be ending
    log.info("slot_creation_started", system=system, slot=settings.slot)
    rows = sender.command_until(
        f"CREATE_REPLICATION_SLOT {quoted(settings.slot)} LOGICAL pgoutput EXPORT_SNAPSHOT", stop
    )
    if rows is None:
        return None
    return Lsn.parse(str(rows[0]["consistent_point"])), str(rows[0]["snapshot_name"])


def create_temporary_slot(sender: WalSender, slot: str) -> Iterator[tuple[Lsn, str] | None]:
    """Export a snapshot of a consistent point without a slot that stays.

    The slot ends with `sender`, the snapshot lives on in the session that has adopted it by then.

    Args:
        sender: a session for this alone.
        slot: name of the lasting slot, of which the name is made.

    Yields:
        None while the server waits for transactions that run; then the point and the snapshot's name.
    """
    name = quoted(f"{slot[:50]}_table")
    for rows in sender.command_in_turns(
        f"CREATE_REPLICATION_SLOT {name} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT"
    ):
        if rows is None:
            yield None
        else:
            yield Lsn.parse(str(rows[0]["consistent_point"])), str(rows[0]["snapshot_name"])


class Snapshot:
    """Reads tables under an exported snapshot.

    Args:
        settings: the system.
        system: its name.
        name: the exported snapshot.
        consistent_point: LSN from which the stream continues.

    Raises:
        TransientError: the snapshot is gone, because the session that exported it ended.
    """

    def __init__(self, settings: PostgresSystem, system: str, name: str, consistent_point: Lsn) -> None:
        self._system = system
        self._resume = {"lsn": consistent_point.text}
        # the first commit record may start right at the consistent point and must be later than us
        self._position = Lsn(consistent_point - 1)
        self._ordinal = 0
        with postgres_errors(system):
            self._connection = psycopg.connect(
                make_conninfo(
                    conninfo(settings, application=f"ccbridge snapshot {system}"), options=SESSION_OPTIONS
                )
            )
        self._poll = select.poll()
        self._poll.register(self._connection.fileno(), select.POLLIN)
        try:
            with postgres_errors(system):
                self._taken_at = self._adopt(name)
        except BaseException:
            self._connection.close()
            raise

    def read(
        self, tables: Mapping[TableName, SourceTable], *, max_rows: int, stop: StopAsked
    ) -> Iterator[ChangeBatch]:
        """Yield the rows of each table in key order, in batches of at most about `max_rows`."""
        for table in tables.values():
            for changes, last in self._chunks(table, max_rows, stop):
                done = (table.name,) if last else ()
                yield ChangeBatch(
                    self._system,
                    self._position,
                    {table.name: changes} if len(changes) else {},
                    self._resume,
                    snapshot_done=done,
                )
            if stop():
                return

    @property
    def position(self) -> Lsn:
        """The rows are those of this position; later commits are not in them."""
        return self._position

    def close(self) -> None:
        """End the session; safe to call twice."""
        self._connection.close()

    def _adopt(self, name: str) -> datetime:
        execute = self._connection.execute
        execute("set transaction isolation level repeatable read, read only")
        try:
            execute(sql.SQL("set transaction snapshot {}").format(sql.Literal(name)))
        except (psycopg.errors.InvalidParameterValue, psycopg.errors.UndefinedObject) as exc:
            raise TransientError(
                f"{self._system}: the exported snapshot {name} no longer exists",
                hint="start the snapshot again",
            ) from exc
        (taken_at,) = execute("select transaction_timestamp()").fetchone() or (None,)
        if not isinstance(taken_at, datetime):
            raise TransientError(
                f"{self._system}: the snapshot's session was lost", hint="it is read again from its beginning"
            )
        return taken_at

    def _chunks(
        self, table: SourceTable, max_rows: int, stop: StopAsked
    ) -> Iterator[tuple[TableChanges, bool]]:
        """Chunks of one table, and whether it is the last one; ends early once `stop()` is true."""
        pg = self._connection.pgconn
        with postgres_errors(f"{self._system}: {table.name}"):
            result = pg.exec_(_copy_statement(table).as_bytes(self._connection))
            if result.status != ExecStatus.COPY_OUT:
                raise error_from_result(result)
        last = False
        while not last and not stop():
            with postgres_errors(f"{self._system}: {table.name}"):
                lines, last = self._lines(max_rows, stop)
            if lines or last:
                yield self._changes(table, lines), last

    def _lines(self, max_rows: int, stop: StopAsked) -> tuple[list[bytes], bool]:
        """CSV lines, one a row (a value may hold line ends), and whether the table ends with them."""
        pg = self._connection.pgconn
        lines: list[bytes] = []
        held = 0
        while len(lines) < max_rows and held < MAX_CHUNK_BYTES:
            size, view = pg.get_copy_data(1)
            if size > 0:
                lines.append(bytes(view))
                held += size
            elif size == 0:
                if self._poll.poll(_TURN_MS):
                    pg.consume_input()
                elif stop():
                    return [], False
            else:
                result = pg.get_result()
                if result is not None and result.status != ExecStatus.COMMAND_OK:
                    raise error_from_result(result)
                while pg.get_result() is not None:
                    pass
                return lines, True
        return lines, False

    def _changes(self, table: SourceTable, lines: list[bytes]) -> TableChanges:
        names = [f"{AFTER}{name}" for name in table.column_names]
        frame = read_lines(lines, names)
        first, self._ordinal = self._ordinal, self._ordinal + frame.height
        everything = frozenset(table.column_names)
        frame = canonical(frame, table, AFTER).select(
            pl.lit("r").alias("operation"),
            pl.lit(int(self._position), pl.Int64).alias("position"),
            pl.int_range(first, first + pl.len(), dtype=pl.Int64).alias("ordinal"),
            pl.lit(None, pl.String).alias("transaction_id"),
            pl.lit(self._taken_at, META_SCHEMA["committed_at"]).alias("committed_at"),
            pl.lit(False).alias("ours"),
            pl.lit(1, pl.Int16).alias("before_shape"),
            pl.lit(0, pl.Int16).alias("after_shape"),
            *(pl.lit(None, pl.String).alias(f"{BEFORE}{name}") for name in table.column_names),
            *names,
        )
        return TableChanges(table, frame, (ALL_PRESENT, everything))


def _copy_statement(table: SourceTable) -> sql.Composed:
    """`only`: rows of tables that inherit from this one come in the stream under their own names."""
    return sql.SQL("copy (select {} from only {} {}) to stdout (format csv, force_quote *)").format(
        sql.SQL(", ").join(map(sql.Identifier, table.column_names)),
        sql.Identifier(table.name.schema, table.name.name),
        sql.SQL("order by {}").format(sql.SQL(", ").join(map(sql.Identifier, table.key)))
        if table.key
        else sql.SQL(""),
    )


def read_lines(lines: list[bytes], names: list[str]) -> pl.DataFrame:
    """Parse CSV lines with every value quoted: an empty field is NULL, `""` an empty text."""
    schema = dict.fromkeys(names, pl.String)
    if not lines:
        return pl.DataFrame(schema=schema)
    return pl.read_csv(b"".join(lines), has_header=False, schema=schema, encoding="utf8")
