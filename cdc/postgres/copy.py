"""Frames into PostgreSQL by COPY: the fast way in, used by staging and sinks."""

from __future__ import annotations

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
    if b"\n\\.\n" in payload or b"\n\\.\r" in payload:
        # PostgreSQL 17 takes a line `\.` for the end of data even inside a quoted value
        _copy_rows(cursor, table, columns, frame)
    else:
        statement = sql.SQL("copy {} ({}) from stdin (format csv)").format(table, columns)
        with cursor.copy(statement) as copy:
            copy.write(payload)
    return payload


def csv_bytes(frame: pl.DataFrame) -> bytes:
    """The rows as COPY's csv format takes them, without header."""
    return frame.write_csv(include_header=False, datetime_format="%Y-%m-%dT%H:%M:%S%.6f%z").encode()


def _copy_rows(
    cursor: psycopg.Cursor[tuple[object, ...]],
    table: sql.Composable,
    columns: sql.Composable,
    frame: pl.DataFrame,
) -> None:
    with cursor.copy(sql.SQL("copy {} ({}) from stdin").format(table, columns)) as copy:
        for row in frame.iter_rows():
            copy.write_row(row)
