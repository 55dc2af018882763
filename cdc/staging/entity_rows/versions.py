"""The versions of each row within one batch, as columns: pure functions, no database.

A batch may hold several changes of one key. `versions` puts them in order, fills in values that a
change does not know from the one before it, drops those that change nothing, and lays beside each
what `cdc.staging.entity_rows.merge` needs to put it between the staged row and its followers.
"""

from __future__ import annotations

import polars as pl

from mapping_rules import Entity

MERGE_SCHEMA = {
    "source_position": "bigint",
    "source_ordinal": "bigint",
    "operation": "text",
    "committed_at": "timestamptz",
    "tombstone": "boolean",
    "_absent": "text[]",
    "_row": "bigint",
    "_last": "boolean",
    "_next_committed_at": "timestamptz",
    "_prev_position": "bigint",
    "_prev_ordinal": "bigint",
}
"""Columns after those of the entity, with their PostgreSQL types.

`_absent`: columns whose value neither this change nor an earlier one of the batch holds. `_row`
counts the rows from 0, versions of one key stand next to each other. `_last`: newest of its key in
the batch; `_next_committed_at` is null there. `_prev_*`: of the version before it, null in the first.
"""


def versions(entity: Entity, rows: pl.DataFrame) -> pl.DataFrame:
    """Order and complete the mapped rows of one entity.

    A tombstone keeps the values of the version before it, so auditors see what was deleted. A commit
    time earlier than that of the version before (a clock set back) is raised to it: validity ranges
    of one key never overlap.

    Args:
        entity: its key and columns.
        rows: as in `mapping_rules.Mapped.rows`, any order, any number of versions of a key.

    Returns:
        Columns of the entity, then MERGE_SCHEMA; sorted by key, then by position and ordinal.
    """
    place = ["source_position", "source_ordinal"]
    frame = rows.sort([*entity.key, *place], maintain_order=True).with_columns_seq(_starts(entity.key))
    start, last = pl.col("_start"), pl.col("_start").shift(-1, fill_value=True)
    if bool(frame["_start"].all()):
        frame = frame.with_columns_seq(_unknown=_absent_columns(entity))
    else:
        frame = _drop_unchanged(entity, _fill(entity, frame))
        frame = frame.with_columns_seq(committed_at=pl.col("committed_at").cum_max().over(start.cum_sum()))
    return frame.select_seq(
        *entity.columns,
        *place,
        "operation",
        "committed_at",
        "tombstone",
        _array_text(pl.col("_unknown")).alias("_absent"),
        pl.int_range(pl.len(), dtype=pl.Int64).alias("_row"),
        last.alias("_last"),
        pl.when(~last).then(pl.col("committed_at").shift(-1)).alias("_next_committed_at"),
        pl.when(~start).then(pl.col("source_position").shift(1)).alias("_prev_position"),
        pl.when(~start).then(pl.col("source_ordinal").shift(1)).alias("_prev_ordinal"),
    )


def _starts(key: tuple[str, ...]) -> pl.Expr:
    """True in the first row of each key; rows are sorted by key."""
    differs = [pl.col(name).ne_missing(pl.col(name).shift(1)) for name in key]
    first = pl.int_range(pl.len()) == 0
    return pl.any_horizontal(first, *differs).alias("_start")


def _values(entity: Entity) -> list[str]:
    return [name for name in entity.columns if name not in entity.key]


def _absent_columns(entity: Entity) -> pl.Expr:
    """Columns a row does not know: as the rule said, and all of them in a tombstone."""
    everything = pl.lit(_values(entity), dtype=pl.List(pl.String))
    return pl.when(pl.col("tombstone")).then(everything).otherwise(pl.col("absent"))


def _fill(entity: Entity, frame: pl.DataFrame) -> pl.DataFrame:
    """Take what a row does not know from the nearest row before it of the same key that does."""
    row = pl.int_range(pl.len(), dtype=pl.Int64)
    frame = frame.with_columns_seq(
        _absent_columns(entity).alias("_unknown"),
        pl.when("_start").then(row).forward_fill().alias("_first"),
    )
    missing = frame.select_seq(
        pl.col("_unknown").list.contains(name).fill_null(False).alias(name) for name in _values(entity)
    )
    filled, unknown = [], []
    for name in _values(entity):
        if not bool(missing[name].any()):
            continue
        holder = frame.select_seq(
            pl.when(~missing[name]).then(row).forward_fill().alias("holder"), "_first"
        ).select_seq(pl.when(pl.col("holder") >= pl.col("_first")).then("holder"))["holder"]
        filled.append(frame[name].gather(holder).alias(name))
        unknown.append(pl.when(holder.is_null()).then(pl.lit(name)).otherwise(None))
    if not filled:
        return frame
    names = pl.concat_list(unknown).list.drop_nulls()
    return frame.with_columns_seq(filled).with_columns_seq(_unknown=pl.when(names.list.len() > 0).then(names))


def _drop_unchanged(entity: Entity, frame: pl.DataFrame) -> pl.DataFrame:
    """Keep the first of equal versions in a row, known to hold until the last of them."""
    compared = [*_values(entity), "tombstone", "_unknown"]
    same = pl.all_horizontal(pl.col(name).eq_missing(pl.col(name).shift(1)) for name in compared)
    run = (pl.col("_start") | ~same).cum_sum().alias("_run")
    others = pl.exclude("_run", "source_position", "source_ordinal").first()
    until = pl.col("source_position", "source_ordinal").last()
    return frame.with_columns_seq(run).group_by("_run", maintain_order=True).agg(others, until)


def _array_text(names: pl.Expr) -> pl.Expr:
    """A list of names as PostgreSQL writes an array; null stays null."""
    quoted = names.list.eval(pl.lit('"') + pl.element() + pl.lit('"'))
    return pl.when(names.list.len() > 0).then(pl.lit("{") + quoted.list.join(",") + pl.lit("}"))
