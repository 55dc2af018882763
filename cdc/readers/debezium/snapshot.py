"""Debezium's initial snapshot: every captured table as it was where the stream will begin.

Debezium reads the tables one after the other; which one is complete it tells too early by a row, so all
tables count as done with the last batch.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import polars as pl

from cdc.changes import ChangeBatch, TableName
from cdc.errors import OperatorError
from cdc.ports import StopAsked
from cdc.readers.debezium.engine.connector import Boundary, Connector
from cdc.readers.debezium.engine.runner import Engine
from cdc.readers.debezium.events.batches import changes, resume
from cdc.readers.debezium.events.schemas import Kind, Schemas
from cdc.readers.debezium.events.transactions import Event

_TURN_S = 0.1
_ENDS = ("COMPLETED", "ABORTED", "SKIPPED")


class Snapshot:
    """One snapshot, taken by an engine that runs for it alone.

    Args:
        system: name of the system.
        connector: knows the source.
        schemas: learns what the engine's records are.
        tables: the tables that are done at the end.
    """

    def __init__(
        self, system: str, connector: Connector, schemas: Schemas, tables: tuple[TableName, ...]
    ) -> None:
        self._system = system
        self._connector = connector
        self._schemas = schemas
        self._tables = tables
        self._events: list[Event] = []
        self._ordinal = 0

    def read(self, engine: Engine, *, max_rows: int, stop: StopAsked) -> Iterator[ChangeBatch]:
        """Yield the rows in batches of `max_rows`; ends early once `stop()` is true.

        Raises:
            OperatorError: Debezium gave the snapshot up.
        """
        offsets: dict[str, Any] = {}  # what Debezium's offsets said on the way, no longer in its last one
        while not stop():
            block = engine.take(_TURN_S)
            if block is None:
                continue
            self._schemas.learn(block)
            offsets |= block.offset(0)
            for index, event in enumerate(zip(block.schemas, block.values, strict=True)):
                kind = self._schemas[event[0]].kind
                if kind is Kind.CHANGE:
                    self._events.append(event)
                elif kind is Kind.NOTIFICATION and (end := _end(event[1])) is not None:
                    if end != "COMPLETED":
                        raise OperatorError(
                            f"{self._system}: debezium ended its snapshot as {end.lower()}",
                            hint="check the lines of debezium in the log; then start ccbridge run again",
                        )
                    boundary = self._connector.end_of_snapshot(offsets | block.offset(index))
                    yield from self._full(boundary, max_rows)
                    yield self._batch(boundary, self._events, self._tables)
                    return
            if len(self._events) > max_rows:
                offsets |= block.offset(len(block.values) - 1)
                yield from self._full(self._connector.end_of_snapshot(offsets), max_rows)

    def _full(self, boundary: Boundary, max_rows: int) -> Iterator[ChangeBatch]:
        while len(self._events) > max_rows:
            rows, self._events = self._events[:max_rows], self._events[max_rows:]
            yield self._batch(boundary, rows)

    def _batch(
        self, boundary: Boundary, events: Sequence[Event], done: tuple[TableName, ...] = ()
    ) -> ChangeBatch:
        first, self._ordinal = self._ordinal, self._ordinal + len(events)
        places = pl.select(
            pl.repeat(boundary.position, len(events), dtype=pl.Int64).alias("position"),
            pl.int_range(first, self._ordinal, dtype=pl.Int64).alias("ordinal"),
        )
        found = changes(self._connector, self._schemas, events, places) if events else {}
        position = self._connector.type_of_position(boundary.position)
        return ChangeBatch(self._system, position, found, resume(boundary), snapshot_done=done)


def _end(text: str) -> str | None:
    """How the initial snapshot ended, if the notification tells its end."""
    value = json.loads(text)
    ends = value.get("aggregate_type") == "Initial Snapshot" and value.get("type") in _ENDS
    return str(value["type"]) if ends else None
