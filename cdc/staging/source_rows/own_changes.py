"""Our own writes read back: no change log has them, and yet they are what the source's rows are now.

A batch notes their keys and digests in one row a table, which costs little more than computing them;
`staging.source_row` takes them from there. Without them every row that ccbridge delivered to a system that it
also reads would look changed behind its back.
"""

from __future__ import annotations

import polars as pl
import psycopg

from cdc.changes import AFTER, BEFORE, Operation, TableChanges
from cdc.digests.definition import RowDigest
from cdc.digests.frames import digests
from cdc.digests.sort_key import sort_key

_NOTE = """
insert into staging.own_change (system, schema_name, table_name, batch_id, definition_identity, keys, digests,
    gone, positions, ordinals, transactions)
values (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)
"""
_PLACE = ("position", "ordinal", "transaction_id")
_LIVES = [Operation.CREATE, Operation.UPDATE, Operation.READ]


def note_own_changes(
    cursor: psycopg.Cursor[tuple[object, ...]],
    system: str,
    changes: TableChanges,
    definition: RowDigest,
    batch_id: int,
) -> None:
    """Note the rows that our own writes left, in the batch's transaction.

    Args:
        cursor: to staging.
        system: that was written to and is read.
        changes: our own, of a table with a key.
        definition: of the table's digests.
        batch_id: goes into the record.
    """
    rows = own_rows(changes, definition)
    if rows.height:
        name = changes.table.name
        columns = [_array(rows[column]) for column in ("key", "digest", "gone", *_PLACE)]
        cursor.execute(_NOTE, [system, name.schema, name.name, batch_id, definition.identity, *columns])


def own_rows(changes: TableChanges, definition: RowDigest) -> pl.DataFrame:
    """Each row that was changed or is gone: its key as in staging.source_row, digest, gone, and its place.

    The digest is null where the after image is without a digested column. A change of key makes two rows.
    """
    table = changes.table
    without = [changes.absent(AFTER, column.name) for column in definition.columns]
    moved = [pl.col(BEFORE + name) != pl.col(AFTER + name) for name in table.key]
    frame = changes.frame.with_columns(
        digests(definition, changes.frame, AFTER),
        incomplete=pl.any_horizontal(pl.lit(False), *without),
        moved=(pl.col("operation") == Operation.UPDATE) & pl.any_horizontal(*moved),
    )
    now = frame.filter(pl.col("operation").is_in(_LIVES)).select(
        sort_key(table, AFTER).alias("key"),
        pl.when(~pl.col("incomplete")).then("digest").alias("digest"),
        pl.lit(value=False).alias("gone"),
        *_PLACE,
    )
    former = frame.filter(pl.col("moved") | (pl.col("operation") == Operation.DELETE)).select(
        sort_key(table, BEFORE).alias("key"),
        pl.lit(None, dtype=pl.Int64).alias("digest"),
        pl.lit(value=True).alias("gone"),
        *_PLACE,
    )
    return pl.concat([now, former]).drop_nulls("key").sort(*_PLACE, ~pl.col("gone"))


def _array(values: pl.Series) -> str:
    """PostgreSQL's literal of an array; ten times as fast as one value at a time."""
    texts = values.cast(pl.String)
    if values.dtype == pl.String:
        texts = '"' + texts.str.replace_all(r'([\\"])', r"\${1}") + '"'
    return "{" + ",".join(texts.fill_null("null").to_list()) + "}"
