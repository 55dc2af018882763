"""Captured changes as rows of `staging.change`: pure functions, no database.

Images become json objects without the columns that the log does not hold, so an auditor can tell
"not logged" from NULL. Members stand in the order in which jsonb keeps them: `cdc.staging.audit.audit_chain`
makes the same bytes from the stored rows again.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import polars as pl

from cdc.changes import AFTER, BEFORE, WHO, Operation, TableChanges

COLUMNS = (
    "system",
    "schema_name",
    "table_name",
    "operation",
    "key",
    "before",
    "after",
    "source_position",
    "source_ordinal",
    "transaction_id",
    "committed_at",
    "batch_id",
)
_HAS_BEFORE = [Operation.UPDATE, Operation.DELETE]
_HAS_NO_AFTER = [Operation.DELETE, Operation.TRUNCATE]
SYMBOL_FOR_NULL = "\u2400"
"""Stands for the character U+0000, which PostgreSQL cannot store."""


def change_rows(
    system: str, changes: TableChanges, *, batch_id: int, left_out: frozenset[str] = frozenset()
) -> pl.DataFrame:
    """The rows of `staging.change` for the changes of one table, in stream order.

    The columns are COLUMNS, and WHO where the reader's log tells it.

    Args:
        system: name of the source.
        changes: of one table.
        batch_id: goes into each row.
        left_out: columns that are never copied, because all rules of the table ignore them.
    """
    frame, table = changes.frame, changes.table
    names = [name for name in table.column_names if name not in left_out]
    given = {
        "system": pl.lit(system),
        "schema_name": pl.lit(table.name.schema),
        "table_name": pl.lit(table.name.name),
        "key": _key(changes),
        "source_position": pl.col("position"),
        "source_ordinal": pl.col("ordinal"),
        "batch_id": pl.lit(batch_id, dtype=pl.Int64),
    }
    for side, column in ((BEFORE, "before_shape"), (AFTER, "after_shape")):
        shapes = frame[column]
        name = side.removesuffix(".")
        if shapes.min() == shapes.max():
            given[name] = _image(changes, side, names, shapes[0])
        else:
            # each row is encoded once, with the columns its image has
            given[name] = pl.lit(_images(changes, side, names, shapes.unique()))
    given["before"] = pl.when(pl.col("operation").is_in(_HAS_BEFORE)).then(given["before"])
    given["after"] = pl.when(~pl.col("operation").is_in(_HAS_NO_AFTER)).then(given["after"])
    columns = [*COLUMNS, *(name for name in WHO if name in frame.columns)]
    rows = frame.select_seq(given.get(name, pl.col(name)).alias(name) for name in columns)
    return storable_json(rows, ("key", "before", "after"))


def in_stream_order(tables: Iterable[pl.DataFrame]) -> pl.DataFrame:
    """Rows of all tables of a batch, by position and ordinal."""
    frames = list(tables)
    return frames[0] if len(frames) == 1 else pl.concat(frames).sort("source_position", "source_ordinal")


def storable_json(frame: pl.DataFrame, columns: Sequence[str]) -> pl.DataFrame:
    r"""Json texts without the character U+0000; an escaped backslash before `u0000` is left alone."""
    holds = frame.select_seq(pl.col(columns).str.contains("\\u0000", literal=True).any()).row(0)
    if not any(holds):
        return frame
    escape = r"((?:^|[^\\])(?:\\\\)*)\\u0000"
    # two escapes side by side share the character between them, so once is not enough
    once = pl.col(columns).str.replace_all(escape, "${1}" + SYMBOL_FOR_NULL)
    return frame.with_columns_seq(once).with_columns_seq(once)


def json_order(names: Iterable[str]) -> list[str]:
    """Member names as jsonb orders them: by length in bytes, then by bytes."""
    return sorted(names, key=lambda name: (len(name.encode()), name.encode()))


def _key(changes: TableChanges) -> pl.Expr:
    """The key of each changed row: after the change, before it for a delete.

    Null where the table has no key or was truncated. A key column that is absent from the after image is
    taken from the before image.
    """
    if not changes.table.key:
        return pl.lit(None, dtype=pl.String)
    deleted = pl.col("operation") == Operation.DELETE
    members = [
        pl.when(deleted | changes.absent(AFTER, name))
        .then(pl.col(BEFORE + name))
        .otherwise(pl.col(AFTER + name))
        .alias(name)
        for name in json_order(changes.table.key)
    ]
    return pl.when(pl.col("operation") != Operation.TRUNCATE).then(pl.struct(members).struct.json_encode())


def _image(changes: TableChanges, side: str, names: Iterable[str], shape: int | None) -> pl.Expr:
    """The image of rows that all have one shape; null where no column is known."""
    known = json_order(set(names) - changes.shapes[shape or 0])
    if not known:
        return pl.lit(None, dtype=pl.String)
    return pl.struct([pl.col(side + name).alias(name) for name in known]).struct.json_encode()


def _images(changes: TableChanges, side: str, names: Sequence[str], used: pl.Series) -> pl.Series:
    shape_column = f"{side}shape".replace(".", "_")
    numbered = changes.frame.with_row_index("_row")
    parts = [
        numbered.filter(pl.col(shape_column).eq_missing(shape)).select_seq(
            "_row", _image(changes, side, names, shape).alias("image")
        )
        for shape in used
    ]
    return pl.concat(parts).sort("_row")["image"]
