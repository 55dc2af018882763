"""What the reader must know of one of Debezium's connectors; `postgres` and `oracle` implement it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import polars as pl

from cdc.changes import SourceTable, TableName
from cdc.ports import Finding, RereadValues, SourceKey, StopAsked
from cdc.positions import Position
from cdc.readers.debezium.engine.failures import SqlFailure

Offset = Mapping[str, Any]
"""Debezium's own offset, JSON types only."""

OffsetOf = Callable[[], Offset]
"""Gives the offset of a record; asked for only where it is needed, because it is not cheap."""


@dataclass(frozen=True)
class Boundary:
    """A place between transactions: its position, and the offset from which everything later comes."""

    position: int
    offset: Offset


@dataclass(frozen=True)
class EventForm:
    """How a connector's events are read.

    Args:
        source: members of the event's `source` and their Polars types.
        transaction: expression over `source` members: the transaction's id as text.
        committed_us: expression over `source` members: when it was committed, microseconds since 1970.
        ours: expression over `source` members: the change is our own write read back.
        same_row: members of `source` that are equal in both halves of a changed key, which
            Debezium tells as a delete and a create.
        absent: text that Debezium puts in place of a value which the log does not hold.
    """

    source: Mapping[str, Any]
    transaction: pl.Expr
    committed_us: pl.Expr
    ours: pl.Expr
    same_row: tuple[str, ...]
    absent: str


class Connector(Protocol):
    """One kind of source, reached through Debezium."""

    form: EventForm
    sql_failure: SqlFailure
    type_of_position: type[Position]

    def properties(self, tables: Sequence[TableName], *, snapshot: bool) -> dict[str, str]:
        """Debezium's settings for these tables, password included, to take a snapshot or to continue."""

    def preflight(self) -> list[Finding]:
        """Everything that would keep the connector from reading; read only."""

    def identity(self) -> Mapping[str, str]:
        """What a saved position is bound to."""

    def describe(self) -> Mapping[TableName, SourceTable]:
        """The captured tables, without columns whose values Debezium does not hand on exactly."""

    def before_columns(self, table: TableName) -> frozenset[str] | None:
        """Columns that a before image holds; None for all of them."""

    def cell_type(self, table: SourceTable, column: str) -> Any:
        """Polars type in which a column's JSON value is read; String for most."""

    def canonical(self, frame: pl.DataFrame, table: SourceTable, *sides: str) -> pl.DataFrame:
        """Turn Debezium's values into canonical text; columns are `<side><column>`."""

    def prepare_snapshot(self, stop: StopAsked) -> bool:
        """Make ready for Debezium's snapshot; False if `stop()` came first."""

    def check(self, start: Boundary) -> None:
        """Make sure that the source still holds everything later than `start`."""

    def end_of_transaction(self, metadata: Mapping[str, Any], offset: OffsetOf) -> Boundary:
        """The boundary that a transaction's END record stands for."""

    def end_of_snapshot(self, offset: Offset) -> Boundary:
        """The boundary at which a snapshot was taken."""

    def idle_boundary(self, value: Mapping[str, Any], offset: OffsetOf) -> Boundary | None:
        """The boundary that a record without changes (message, heartbeat) proves, if any."""

    def idle(self) -> None:
        """Nothing came for a while: provoke a record that proves how far the log was read."""

    def reread(
        self, table: SourceTable, columns: Sequence[str], rows: Mapping[int, Sequence[SourceKey]]
    ) -> RereadValues:
        """Columns of rows by key; see `cdc.ports.ChangeReader.reread`."""

    def source_lag(self, read_to: int) -> Mapping[str, float | int]:
        """Distance from `read_to` to the source's end, and what the source retains."""

    def close(self) -> None:
        """Release connections; safe to call twice."""
