"""Frames into PostgreSQL, by COPY, and out of it: the fast ways, used by staging and sinks."""

from __future__ import annotations

import io
from collections.abc import Mapping

import polars as pl
import psycopg
from psycopg import postgres, sql
from psycopg.types.string import TextLoader

_TYPES = tuple(info.oid for info in postgres.types)


_FEW_ROWS = 150
"""Up to so many rows a plain loop takes less time than setting up Polars' writer."""


def copy_frame(
    cursor: psycopg.Cursor[tuple[object, ...]],
    table: sql.Composable,
    frame: pl.DataFrame,
    payload: bytes | None = None,
) -> None:
    """Append `frame` to `table`; the columns of the frame name the columns of the table.

    A null becomes SQL NULL, an empty text stays an empty text. Decimal, Boolean, Date and Datetime
    columns arrive exactly.

    Args:
        cursor: of the session.
        table: the table.
        frame: what to append; dates and times of the years 1 to 9999.
        payload: its `csv_bytes`, where the caller has them already.
    """
    if frame.is_empty():
        return
    if payload is None and frame.height <= _FEW_ROWS:
        _copy_rows(cursor, table, frame)
        return
    payload = payload or csv_bytes(frame)
    # a single character is found many times faster than a text, and backslashes are rare
    if b"\\" in payload and (b"\n\\.\n" in payload or b"\n\\.\r" in payload):
        # PostgreSQL 17 takes a line `\.` for the end of data even inside a quoted value
        _copy_rows(cursor, table, frame)
        return
    with cursor.copy(sql.SQL("copy {} ({}) from stdin (format csv)").format(table, _names(frame))) as copy:
        copy.write(payload)


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """The rows as COPY's csv format takes them, without header."""
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%z")
    return buffer.getvalue()


def execute_as_text(
    cursor: psycopg.Cursor[tuple[object, ...]],
    query: sql.SQL | sql.Composed,
    parameters: Mapping[str, object] | None = None,
) -> None:
    """Run a query whose result is to become a frame; in a pipeline it is only sent.

    It is planned each time: the tables such queries read hold one row or thousands.

    Args:
        cursor: of an open session; from now on its results are the server's texts.
        query: the query.
        parameters: of the query, by name.
    """
    for oid in _TYPES:
        cursor.adapters.register_loader(oid, TextLoader)
    cursor.execute(query, parameters, prepare=False)


def fetch_frame(
    cursor: psycopg.Cursor[tuple[object, ...]], schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    """The result of what was asked, in its order.

    COPY has no advantage here: its rows come one by one, which for a few rows takes five times as long
    as fetching them, and for 20,000 rows as long (measured).

    Args:
        cursor: after `execute_as_text`.
        schema: the columns of the query in its order, String, Int64 or Float64; a String holds the
            server's own text of any type.
    """
    rows = cursor.fetchall()
    columns = zip(*rows, strict=True) if rows else [()] * len(schema)
    return pl.DataFrame(
        [
            pl.Series(name, values, dtype=pl.String).cast(kind)
            for (name, kind), values in zip(schema.items(), columns, strict=True)
        ]
    )


def _copy_rows(
    cursor: psycopg.Cursor[tuple[object, ...]], table: sql.Composable, frame: pl.DataFrame
) -> None:
    with cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, _names(frame))) as copy:
        for row in frame.rows():
            copy.write_row(row)


def _names(frame: pl.DataFrame) -> sql.Composed:
    return sql.SQL(", ").join(map(sql.Identifier, frame.columns))
