"""PostgreSQL's types as Debezium hands them on, and which of them it does not hand on exactly.

Source: Debezium 3.6 documentation, PostgreSQL connector, "Data type
mappings"; what is said of infinity and BC was found by comparing with `cdc.readers.pgoutput`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import polars as pl

from cdc.changes import SourceColumn, SourceTable, SourceType
from cdc.readers.debezium.events import cells

_ARRAYS = {
    "text[]": "text",
    "character varying[]": "text",
    "uuid[]": "plain",
    "boolean[]": "boolean",
    "smallint[]": "plain",
    "integer[]": "plain",
    "bigint[]": "plain",
}
_EXACT_OTHERS = {
    "json",
    "jsonb",
    "uuid",
    "xml",
    "inet",
    "cidr",
    "macaddr",
    "int4range",
    "int8range",
    "numrange",
    "daterange",
    "tsrange",
}
"""Types of no canonical form whose own text Debezium hands on."""
_INFINITE = {
    "+294247-01-10 04:00:25.2": "infinity",
    "-290308-12-21 19:59:27.6": "-infinity",
    "+292278994-08-16": "infinity",  # a date in the snapshot
    "+292269055-12-02": "-infinity",
    "-5877611-06-21": "infinity",  # a date in the stream
    "-5877611-06-22": "-infinity",
}
"""What Debezium makes of infinity: moments that no PostgreSQL date or timestamp can have."""


def cell_type(table: SourceTable, column: str) -> Any:
    """Polars type in which a column's JSON value is read: arrays come as lists."""
    described = table.column(column)
    is_array = described is not None and described.declared in _ARRAYS
    return pl.List(pl.String) if is_array else pl.String


def canonical(frame: pl.DataFrame, table: SourceTable, sides: Sequence[str]) -> pl.DataFrame:
    """Turn Debezium's values into canonical text; columns are `<side><column>`."""
    written = [
        expression.alias(f"{side}{column.name}")
        for side in sides
        for column in table.columns
        if (expression := _canonical(column, pl.col(f"{side}{column.name}"))) is not None
    ]
    if not written:
        return frame
    dated = [
        f"{side}{column.name}"
        for side in sides
        for column in table.columns
        if column.type in (SourceType.DATE, SourceType.TIMESTAMP, SourceType.TIMESTAMP_TZ)
    ]
    return cells.exact_dates(frame.with_columns(written), dated, _INFINITE)


def is_exact(column: SourceColumn) -> bool:
    """Whether Debezium hands on a column's values exactly."""
    if column.declared == "name":  # comes in the snapshot but is null in the stream
        return False
    return (
        column.type is not SourceType.OTHER or column.declared in _EXACT_OTHERS or column.declared in _ARRAYS
    )


def _canonical(column: SourceColumn, cell: pl.Expr) -> pl.Expr | None:
    """Expression of the canonical text; None where Debezium's value already is."""
    if column.declared in _ARRAYS:
        return cells.array(cell, elements=_ARRAYS[column.declared])
    return {
        SourceType.BOOLEAN: cells.boolean,
        SourceType.NUMBER: cells.number,
        SourceType.DATE: cells.date,
        SourceType.TIMESTAMP: cells.timestamp,
        SourceType.TIMESTAMP_TZ: cells.timestamp_tz,
    }.get(column.type, lambda _: None)(cell)
