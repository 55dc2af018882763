"""Reads a PostgreSQL database through its logical replication stream (plugin pgoutput).

`PgoutputReader` is the port; the work is done by `session` (the wire), `transactions` (whole
transactions out of the stream), `tuples` (rows into columns), `snapshot`, `slot` and `preflight`.

Positions are explained in `transactions`: a row's position is the LSN of its transaction's commit
record, its ordinal counts the rows of the transaction over all published tables, and `resume` holds
the LSN from which everything later comes again.
"""

from __future__ import annotations

import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType

import structlog

from cdc.changes import ChangeBatch, SourceTable, TableName
from cdc.config import PostgresSystem
from cdc.errors import DatabaseUnreachable, TransientError
from cdc.ports import (
    ColumnsRead,
    Finding,
    ReaderOpening,
    RereadValues,
    Resume,
    SourceKey,
    StopAsked,
)
from cdc.positions import Lsn
from cdc.postgres.sessions import Holder
from cdc.readers.pgoutput import preflight
from cdc.readers.pgoutput.batches import Relations
from cdc.readers.pgoutput.reread import Reread
from cdc.readers.pgoutput.session import WalSender, wal_sender_name
from cdc.readers.pgoutput.slot import check_slot, find_slot
from cdc.readers.pgoutput.snapshot import Snapshot, create_slot, create_temporary_slot
from cdc.readers.pgoutput.tables.captured import CapturedTables
from cdc.readers.pgoutput.tables.catalog import Catalog, row_estimates
from cdc.readers.pgoutput.wire.transactions import Taken, TransactionBuffer

MAX_BATCH_BYTES = 32 * 1024 * 1024
"""Bound on the raw bytes of one batch, next to the bound on its rows."""

_IDLE_BATCH_S = 1.0
_TURN_S = 0.2
SLOT_PATIENCE_S = 3.0
"""How long the slot may still be held by our own former session."""

log = structlog.get_logger(__name__)


class PgoutputReader:
    """Reads the committed changes of captured tables; see `cdc.ports.ChangeReader`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it; its slot, publication and origin.
        tables: the captured tables; other published tables are skipped.
        read: what rules read of each; a table that loses any of it is stopped.
        holder: the lease under which it reads; sessions of former holders are ended, as they keep the slot.
    """

    can_read_tables = True

    def __init__(
        self,
        system: str,
        settings: PostgresSystem,
        tables: Sequence[TableName],
        read: Mapping[TableName, ColumnsRead] = MappingProxyType({}),
        holder: Holder | None = None,
    ) -> None:
        self.system = system
        self._settings = settings
        self._tables = tuple(tables)
        self._holder = holder
        self._catalog = Catalog(settings, system, self._tables, holder)
        self._reread = Reread(settings, system)
        self._captured = CapturedTables(self._catalog, settings, system, self._tables, read)
        self._relations: Relations | None = None
        self._reading = False
        self._sender: WalSender | None = None
        self._read_to = Lsn(0)
        self._acknowledged = Lsn(0)

    def preflight(self) -> list[Finding]:
        """Everything that would keep this reader from reading, all at once; read only."""
        return preflight.findings(self._catalog, self._settings, self.system)

    def missing_log(self, resume: Resume) -> list[Finding]:
        """None: the slot keeps its log, and one that lost it is a finding of `preflight`."""
        return []

    def identity(self) -> Mapping[str, str]:
        """System identifier, timeline, database and slot."""
        with WalSender(self._settings, self.system, self._holder) as sender:
            (row,) = sender.command("IDENTIFY_SYSTEM")
        return {
            "system_identifier": str(row["systemid"]),
            "timeline": str(row["timeline"]),
            "database": self._settings.database,
            "slot": self._settings.slot,
        }

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables that exist, with their published columns."""
        return self._catalog.describe()

    def estimates(self) -> Mapping[TableName, int]:
        """Row counts as the planner estimates them; never analysed tables are left out."""
        return row_estimates(self._catalog.facts())

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Generator[ChangeBatch, None, None]:
        """Create the slot again and read every captured table at its consistent point.

        An existing free slot of the same name is dropped: without a complete snapshot its position
        cannot be used.

        Raises:
            TransientError: a running session holds the slot, or a connection was lost.
            OperatorError: the slot belongs to something else; a right is missing.
        """
        self._end_stream()
        self._captured.begin_snapshot()
        tables = self.describe()
        self._catalog.end_former(wal_sender_name(self.system))
        with WalSender(self._settings, self.system, self._holder) as sender:
            created = create_slot(sender, self._catalog, self._settings, self.system, stop)
            if created is None:
                return
            consistent_point, name = created
            log.info(
                "snapshot_started", system=self.system, position=str(consistent_point), tables=len(tables)
            )
            snapshot = Snapshot(self._settings, self.system, name, consistent_point)
        try:
            for batch in snapshot.read(tables, max_rows=max_rows, stop=stop):
                yield replace(batch, definitions=self._captured.take_news())
        finally:
            snapshot.close()

    def read_tables(
        self, tables: Sequence[TableName], *, max_rows: int, stop: StopAsked
    ) -> Generator[ChangeBatch | None, None, None]:
        """Read some tables at a position of their own while `read` continues; see the port.

        A temporary slot exports the snapshot; the server waits for the transactions that run now.

        Raises:
            TransientError: no slot or session is free, or the connection was lost.
            OperatorError: a table is not there, or a right is missing.
        """
        self._reading = True
        try:
            self._captured.begin_reading(tables)
            if self._relations is not None:
                self._relations.read_again(tables)
            with WalSender(self._settings, self.system, self._holder) as sender:
                for created in create_temporary_slot(sender, self._settings.slot):
                    if created is None:
                        yield None
                        continue
                    consistent_point, name = created
                    snapshot = Snapshot(self._settings, self.system, name, consistent_point)
            self._captured.reading_from(tables, snapshot.position)
            try:
                described = {name: table for name, table in self.describe().items() if name in tables}
                for batch in snapshot.read(described, max_rows=max_rows, stop=stop):
                    yield replace(batch, definitions=self._captured.take_news())
            finally:
                snapshot.close()
        finally:
            self._reading = False

    def read(
        self, resume: Resume, *, max_changes: int, stop: StopAsked
    ) -> Generator[ChangeBatch, None, None]:
        """Yield batches of whole transactions later than `resume`; see the port.

        A transaction of more than about `max_changes` rows or 32 MiB comes in slices. A batch ends
        where a table changes its columns.

        Raises:
            SlotMissing: the slot is gone, invalidated, or later than `resume`.
            SourceChanged: the server's WAL ends before `resume`.
            TransientError: the connection was lost, or another session holds the slot.
        """
        start = Lsn.parse(str(resume["lsn"]))
        self._end_stream()
        self._captured.begin(resume)
        sender = self._open(start, stop)
        if sender is None:
            return
        try:
            yield from self._stream(sender, start, max_changes, stop)
        finally:
            self._end_stream()

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """Columns of rows as they are now; see the port."""
        return self._reread.values(table, columns, rows)

    def acknowledge(self, resume: Resume) -> None:
        """Everything up to `resume` is durably staged: the server may discard WAL before it."""
        self._acknowledged = max(self._acknowledged, Lsn.parse(str(resume["lsn"])))
        if self._sender is not None:
            self._sender.flushed = max(self._sender.flushed, self._acknowledged)
            self._sender.keep_alive(now=True)

    def source_lag(self) -> Mapping[str, float | int]:
        """`lag_bytes` of WAL not yet read and `retained_bytes` of WAL that the slot keeps."""
        (row,) = self._catalog.query(
            "select case when pg_is_in_recovery() then pg_last_wal_replay_lsn() "
            "else pg_current_wal_flush_lsn() end::text as wal_end"
        )
        wal_end = Lsn.parse(str(row["wal_end"]))
        slot = find_slot(self._catalog, self._settings.slot)
        confirmed = slot.confirmed if slot is not None and slot.confirmed is not None else wal_end
        kept_from = slot.restart if slot is not None and slot.restart is not None else wal_end
        return {
            "lag_bytes": max(0, wal_end - max(self._read_to, confirmed)),
            "retained_bytes": max(0, wal_end - kept_from),
        }

    def close(self) -> None:
        """Release connections; safe to call twice."""
        self._end_stream()
        self._reread.close()
        self._catalog.close()

    def _open(self, start: Lsn, stop: StopAsked) -> WalSender | None:
        """Check the slot and start the stream; None if `stop()` came first."""
        self._catalog.end_former(wal_sender_name(self.system))
        sender = WalSender(self._settings, self.system, self._holder)
        try:
            (row,) = sender.command("IDENTIFY_SYSTEM")
            deadline = time.monotonic() + SLOT_PATIENCE_S
            while True:
                slot = check_slot(
                    self._catalog, self._settings, self.system, start, Lsn.parse(str(row["xlogpos"]))
                )
                try:
                    sender.start(slot.name, self._settings.publication, start)
                except TransientError as exc:
                    if isinstance(exc, DatabaseUnreachable) or time.monotonic() > deadline:
                        raise
                    if stop():
                        sender.close()
                        return None
                    time.sleep(0.05)  # our own former session may just be ending
                else:
                    break
        except BaseException:
            sender.close()
            raise
        self._sender = sender
        self._read_to = start
        log.info("stream_started", system=self.system, slot=slot.name, position=str(start))
        return sender

    def _stream(
        self, sender: WalSender, start: Lsn, max_changes: int, stop: StopAsked
    ) -> Iterator[ChangeBatch]:
        relations = self._relations = Relations(self._catalog, self.system, self._captured)
        buffer = TransactionBuffer(
            start,
            origin=self._settings.origin,
            max_rows=max_changes,
            max_bytes=MAX_BATCH_BYTES,
            known=relations.known,
        )
        idle_since = time.monotonic()
        while not stop():
            self._captured.watch()
            with sender.lock:
                taken = buffer.take(sender.get)
                sender.received = max(sender.received, buffer.wal_end)
                sender.keep_alive(now=buffer.reply_requested)
                buffer.reply_requested = False
                dry = taken is Taken.DRY and not sender.receive(0)
            if taken is Taken.ENDED:
                sender.ended()
            if taken is Taken.DRY and not dry:
                continue
            for portion in buffer.portions(taken):
                batch = relations.batch(portion)
                if batch.tables or portion.ends_slices:
                    self._read_to, idle_since = portion.resume, time.monotonic()
                    yield batch
            if taken is Taken.RELATION:
                relations.adopt(buffer)
            if buffer.settle() > self._read_to and time.monotonic() - idle_since >= _IDLE_BATCH_S:
                self._read_to, idle_since = buffer.resume, time.monotonic()
                yield relations.nothing(buffer.resume)
            elif dry and self._reading:
                yield relations.nothing(buffer.resume)  # a snapshot of single tables need not wait
            elif dry:
                with sender.lock:
                    sender.receive(_TURN_S)

    def _end_stream(self) -> None:
        if self._sender is not None:
            self._sender.close()
            self._sender = None


def open_reader(opening: ReaderOpening) -> PgoutputReader:
    """The reader's entry in `cdc.kinds`; it connects when first used."""
    return PgoutputReader(opening.system, opening.source, opening.tables, opening.read, opening.holder)
