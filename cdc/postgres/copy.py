"""Frames into PostgreSQL and out of it by COPY: the fast way, used by staging and sinks."""

from __future__ import annotations

import io
from collections.abc import Mapping

import polars as pl
import psycopg
from psycopg import sql


def copy_frame(
    cursor: psycopg.Cursor[tuple[object, ...]], table: sql.Composable, frame: pl.DataFrame
) -> bytes:
    """Append `frame` to `table`; the columns of the frame name the columns of the table.

    A null becomes SQL NULL, an empty text stays an empty text (CSV quotes it). Decimal, Boolean,
    Date and Datetime columns arrive exactly.

    Returns:
        The bytes sent, for a digest; empty for an empty frame.
    """
    if frame.is_empty():
        return b""
    payload = csv_bytes(frame)
    columns = sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    # a single character is found many times faster than a text, and backslashes are rare
    if b"\\" in payload and (b"\n\\.\n" in payload or b"\n\\.\r" in payload):
        # PostgreSQL 17 takes a line `\.` for the end of data even inside a quoted value
        _copy_rows(cursor, table, columns, frame)
    else:
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(table, columns)
        with cursor.copy(statement) as copy:
            copy.write(payload)
    return payload


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """The rows as COPY's csv format takes them, without header."""
    buffer = io.BytesIO()
    frame.write_csv(buffer, include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%z")
    return buffer.getvalue()


def frame_of(
    cursor: psycopg.Cursor[tuple[object, ...]],
    query: sql.Composable,
    schema: Mapping[str, pl.DataType | type[pl.DataType]],
    parameters: Mapping[str, object] | None = None,
) -> pl.DataFrame:
    """The result of a query, in its order.

    Args:
        cursor: of an open session.
        query: yields the columns of `schema`, in that order.
        schema: String, Int64 or Float64 columns; a NULL becomes null, an empty text stays one.
        parameters: of the query, by name.
    """
    text = io.BytesIO()
    with cursor.copy(sql.SQL("copy ({}) to stdout (format csv)").format(query), parameters) as copy:
        for part in copy:
            text.write(part)
    if not text.tell():
        return pl.DataFrame(schema=schema)
    text.seek(0)
    return pl.read_csv(text, has_header=False, new_columns=list(schema), schema=schema)


def _copy_rows(
    cursor: psycopg.Cursor[tuple[object, ...]],
    table: sql.Composable,
    columns: sql.Composable,
    frame: pl.DataFrame,
) -> None:
    with cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, columns)) as copy:
        for row in frame.iter_rows():
            copy.write_row(row)
