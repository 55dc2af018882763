"""Captured changes as rows of `staging.change`: pure functions, no database.

Images become json objects without the columns that the log does not hold, so an auditor can tell
"not logged" from NULL. Members stand in the order in which jsonb keeps them: `cdc.staging.chain`
makes the same bytes from the stored rows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from cdc.changes import AFTER, BEFORE, Operation, TableChanges

COLUMNS = (
    "system", "schema_name", "table_name", "operation", "key", "before", "after", "source_position",
    "source_ordinal", "transaction_id", "committed_at", "batch_id",
)  # fmt: skip
SYMBOL_FOR_NULL = "\u2400"
"""Stands for the character U+0000, which PostgreSQL cannot store."""


def change_rows(
    system: str, changes: TableChanges, *, batch_id: int, left_out: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """The rows of `staging.change` for the changes of one table, in stream order, columns COLUMNS.

    Args:
        system: name of the source.
        changes: of one table.
        batch_id: goes into each row.
        left_out: columns that are never copied, because all rules of the table ignore them.
    """
    frame, table = changes.frame, changes.table
    names = [name for name in table.column_names if name not in left_out]
    holds_before = pl.col("operation").is_in([Operation.UPDATE, Operation.DELETE])
    holds_after = ~pl.col("operation").is_in([Operation.DELETE, Operation.TRUNCATE])
    images = frame.select(
        pl.lit(system).alias("system"),
        pl.lit(table.name.schema).alias("schema_name"),
        pl.lit(table.name.name).alias("table_name"),
        "operation",
        key_text(changes).alias("key"),
        pl.when(holds_before).then(_images(changes, BEFORE, names)).alias("before"),
        pl.when(holds_after).then(_images(changes, AFTER, names)).alias("after"),
        pl.col("position").alias("source_position"),
        pl.col("ordinal").alias("source_ordinal"),
        "transaction_id",
        "committed_at",
        pl.lit(batch_id, dtype=pl.Int64).alias("batch_id"),
    )
    return images.select(COLUMNS)


def in_stream_order(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Rows of all tables of a batch, by position and ordinal."""
    return pl.concat(tables).sort("source_position", "source_ordinal")


def key_text(changes: TableChanges) -> pl.Series:
    """The key of each changed row as json text: after the change, before it for a delete.

    Null where the table has no key or was truncated. A key column that the after image lacks is
    taken from the before image.
    """
    table = changes.table
    if not table.key:
        return pl.Series("key", [None] * len(changes), dtype=pl.String)
    deleted = pl.col("operation") == Operation.DELETE
    members = [
        pl.when(deleted | changes.absent(AFTER, name))
        .then(pl.col(BEFORE + name))
        .otherwise(pl.col(AFTER + name))
        .alias(name)
        for name in json_order(table.key)
    ]
    truncated = pl.col("operation") == Operation.TRUNCATE
    encoded = changes.frame.select(pl.when(~truncated).then(pl.struct(members).struct.json_encode()))
    return storable_json(encoded.to_series())


def json_order(names: Iterable[str]) -> list[str]:
    """Member names as jsonb orders them: by length in bytes, then by bytes."""
    return sorted(names, key=lambda name: (len(name.encode()), name.encode()))


def _images(changes: TableChanges, side: str, names: Sequence[str]) -> pl.Series:
    """One image of every row as json text; null where no column is known."""
    shape_column = f"{side}shape".replace(".", "_")
    shapes = changes.frame[shape_column].unique().to_list()
    parts = []
    for shape in shapes:
        held = changes.frame.with_row_index("_row").filter(pl.col(shape_column).eq_missing(shape))
        known = json_order(set(names) - changes.shapes[shape or 0])
        if known:
            members = [pl.col(side + name).alias(name) for name in known]
            encoded = pl.struct(members).struct.json_encode()
        else:
            encoded = pl.lit(None, dtype=pl.String)
        parts.append(held.select("_row", encoded.alias("image")))
    images = parts[0] if len(parts) == 1 else pl.concat(parts).sort("_row")
    return storable_json(images["image"])


def storable_json(encoded: pl.Series) -> pl.Series:
    r"""Json text without the character U+0000; an escaped backslash before `u0000` is left alone."""
    escaped = encoded.str.contains("\\u0000", literal=True)
    if not bool(escaped.any()):
        return encoded
    return encoded.str.replace_all(r"((?:^|[^\\])(?:\\\\)*)\\u0000", "${1}" + SYMBOL_FOR_NULL)
