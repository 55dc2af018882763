"""Reads a database through Debezium's own engine, inside this process.

`DebeziumReader` is the port; the work is done by `engine` (one run of Debezium), `schemas` (what a
record is), `transactions` (whole transactions out of records), `batches` and `images` (JSON into
columns), `snapshot`. What differs between databases is in `postgres` and `oracle`, behind `connector`.

A change's position is its transaction's commit position as the connector tells it; its ordinal
counts the events that share it. `resume` holds Debezium's offset after a transaction. Nothing is
committed to Debezium before `acknowledge`.
"""

from __future__ import annotations

import json
import time
from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import structlog

from cdc.changes import ChangeBatch, SourceTable, TableName
from cdc.config import OracleSystem, PostgresSystem
from cdc.errors import OperatorError, snapshot_hint
from cdc.ports import Finding, ReaderOpening, RereadValues, Resume, SourceKey, StopAsked
from cdc.readers.debezium.engine import jvm
from cdc.readers.debezium.engine.connector import Boundary, Connector
from cdc.readers.debezium.engine.runner import Block, Engine
from cdc.readers.debezium.events.batches import batches, resume
from cdc.readers.debezium.events.schemas import Kind, Schemas
from cdc.readers.debezium.events.transactions import TransactionBuffer
from cdc.readers.debezium.oracle import OracleConnector
from cdc.readers.debezium.postgres import PostgresConnector
from cdc.readers.debezium.snapshot import Snapshot

MAX_OPEN_BYTES = 32 * 1024 * 1024
"""Size of the open transaction above which it is kept on disk."""

_IDLE_BATCH_S = 1.0
_TURN_S = 0.1

log = structlog.get_logger(__name__)


CONNECTORS: Mapping[str, Callable[[str, Any, Sequence[TableName]], Connector]] = {
    "postgres": PostgresConnector,
    "oracle": OracleConnector,
}
"""By the kind of system."""


class DebeziumReader:
    """Reads the committed changes of captured tables; see `cdc.ports.ChangeReader`.

    Args:
        system: name of the source system in the configuration.
        settings: how to reach it.
        tables: the captured tables.

    Raises:
        ConfigurationError: the extra `debezium` is not installed.
    """

    def __init__(
        self, system: str, settings: PostgresSystem | OracleSystem, tables: Sequence[TableName]
    ) -> None:
        jvm.require()
        self.system = system
        self._tables = tuple(tables)
        self._connector = CONNECTORS[settings.kind](system, settings, self._tables)
        self._engine: Engine | None = None
        self._records: deque[tuple[int, Any]] = deque()
        self._read_to = 0

    def preflight(self) -> list[Finding]:
        """Everything that would keep this reader from reading, all at once; read only."""
        return self._connector.preflight()

    def missing_log(self, resume: Resume) -> list[Finding]:
        """Not known: the engine checks its own offset when it starts."""
        return []

    def identity(self) -> Mapping[str, str]:
        """What a saved position is bound to; our other readers' positions are none of ours."""
        return {**self._connector.identity(), "reader": "debezium"}

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables, without columns that Debezium does not hand on exactly."""
        return self._connector.describe()

    def estimates(self) -> Mapping[TableName, int]:
        """None: the engine does not tell how much it will read."""
        return {}

    def snapshot(self, *, max_rows: int, stop: StopAsked) -> Generator[ChangeBatch, None, None]:
        """Let Debezium take its initial snapshot; see the port.

        All tables are named in `snapshot_done` of the last batch.

        Raises:
            TransientError: the connection was lost, or another session holds the slot.
            OperatorError: Debezium gave the snapshot up.
        """
        self._end()
        if not self._connector.prepare_snapshot(stop):
            return
        schemas = Schemas(self._connector, tables := self.describe())
        log.info("snapshot_started", system=self.system, tables=len(tables))
        engine = self._start(None)
        try:
            reading = Snapshot(self.system, self._connector, schemas, tuple(tables))
            yield from reading.read(engine, max_rows=max_rows, stop=stop)
        finally:
            self._end()

    def read(
        self, resume: Resume, *, max_changes: int, stop: StopAsked
    ) -> Generator[ChangeBatch, None, None]:
        """Yield batches of whole transactions later than `resume`; see the port.

        A transaction of more than twice `max_changes` events comes in slices. A batch ends where a
        table changes its columns.

        Raises:
            SlotMissing, SourceChanged, RedoNotAvailable: the source no longer holds what follows.
            TransientError: the connection was lost.
            OperatorError: Debezium stopped for another reason.
        """
        self._end()
        start = Boundary(int(resume["position"]), dict(resume["offset"]))
        self._connector.check(start)
        schemas = Schemas(self._connector, self.describe())
        buffer = TransactionBuffer(start, max_changes, MAX_OPEN_BYTES, int(resume.get("ordinal", 0)))
        self._read_to = start.position
        engine = self._start(start)
        log.info("stream_started", system=self.system, position=str(self._position(start.position)))
        try:
            yield from self._stream(engine, schemas, buffer, stop)
        finally:
            buffer.close()
            self._end()

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """Columns of rows, read as our own reader of that kind of source reads them; see the port."""
        return self._connector.reread(table, columns, rows)

    can_read_tables = False

    def read_tables(
        self, tables: Sequence[TableName], *, max_rows: int, stop: StopAsked
    ) -> Iterator[ChangeBatch | None]:
        """Not by this reader: the whole source is read again."""
        raise OperatorError(
            f"{self.system}: {', '.join(map(str, tables))} cannot be read alone",
            hint=snapshot_hint(self.system),
        )

    def acknowledge(self, resume: Resume) -> None:
        """Everything up to `resume` is durably staged: committed to Debezium, and so to the source."""
        newest = None
        while self._records and self._records[0][0] <= int(resume["position"]):
            newest = self._records.popleft()[1]
        if newest is not None and self._engine is not None:
            self._engine.commit(newest)

    def source_lag(self) -> Mapping[str, float | int]:
        """Distance to the source's end, in the source's own unit."""
        return self._connector.source_lag(self._read_to)

    def close(self) -> None:
        """End the engine and release connections; safe to call twice."""
        self._end()
        self._connector.close()

    # -- the stream ----------------------------------------------------------------------------

    def _stream(
        self, engine: Engine, schemas: Schemas, buffer: TransactionBuffer, stop: StopAsked
    ) -> Iterator[ChangeBatch]:
        yielded_at = marked_at = time.monotonic()
        while not stop():
            block = engine.take(_TURN_S)
            idle: tuple[Boundary, Any] | None = None
            if block is not None:
                schemas.learn(block)
                for found in self._sorted(block, schemas, buffer):
                    if isinstance(found, ChangeBatch):
                        yielded_at = time.monotonic()
                        yield found
                    else:
                        idle = found
            for portion in buffer.flush():
                yielded_at = time.monotonic()
                self._remember(portion.end, portion.record)
                yield from batches(self.system, self._connector, schemas, portion)
            if buffer.is_empty and buffer.start.position > self._read_to:
                idle = idle or (buffer.start, None)
            now = time.monotonic()
            if idle is not None and idle[0].position > self._read_to and now - yielded_at >= _IDLE_BATCH_S:
                yielded_at = now
                self._remember(*idle)
                yield ChangeBatch(self.system, self._position(self._read_to), {}, resume(idle[0]))
            elif now - max(yielded_at, marked_at) >= _IDLE_BATCH_S and buffer.is_empty:
                marked_at = now
                self._connector.idle()

    def _sorted(
        self, block: Block, schemas: Schemas, buffer: TransactionBuffer
    ) -> Iterator[ChangeBatch | tuple[Boundary, Any]]:
        """Put a block's records where they belong; yields full batches and idle boundaries."""
        for index, event in enumerate(zip(block.schemas, block.values, strict=True)):
            kind = schemas[event[0]].kind
            if kind is Kind.CHANGE:
                buffer.add(event)
            elif kind is Kind.TRANSACTION:
                metadata = json.loads(event[1])
                if metadata["status"] != "END":
                    continue
                boundary = self._connector.end_of_transaction(metadata, partial(block.offset, index))
                record = block.records.get(index)
                for portion in buffer.end(boundary, record):
                    self._remember(portion.end, portion.record)
                    yield from batches(self.system, self._connector, schemas, portion)
            elif kind is Kind.OTHER and buffer.is_empty:
                value = json.loads(event[1]) or {}
                idle = self._connector.idle_boundary(value, partial(block.offset, index))
                if idle is not None and idle.position > buffer.start.position:
                    buffer.start, buffer.first_ordinal = idle, 0
                    yield idle, block.records.get(index)

    def _remember(self, boundary: Boundary, record: Any) -> None:
        """Keep the record with which a boundary is committed later."""
        if record is not None:
            self._records.append((boundary.position, record))
        self._read_to = max(self._read_to, boundary.position)

    # -- the engine ----------------------------------------------------------------------------

    def _start(self, start: Boundary | None) -> Engine:
        self._engine = Engine(
            self.system,
            self._connector.properties(self._tables, snapshot=start is None),
            None if start is None else start.offset,
            self._connector.sql_failure,
        )
        return self._engine

    def _end(self) -> None:
        self._records.clear()
        if self._engine is not None:
            self._engine.close()
            self._engine = None

    def _position(self, position: int) -> Any:
        return self._connector.type_of_position(position)


def open_reader(opening: ReaderOpening) -> DebeziumReader:
    """The reader's entry in `cdc.kinds`; it connects when first used."""
    return DebeziumReader(opening.system, opening.source, opening.tables)
