"""Desired rows as they go to the target: one row a key, numbered."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from sinks.upsert.statements.layout import Layout
from sinks.upsert.statements.target_tables import deactivated_column


@dataclass(frozen=True)
class DesiredRows:
    """Rows for a layout's `desired` table.

    Args:
        frame: key columns, columns, `_row`, `_deleted`, `_staged_seq`; first the rows to write,
            then one row for each key with several desired rows.
        rows: number of rows to write, with `_row` from the first on.
        doubled: number of keys that cannot be written.
    """

    frame: pl.DataFrame
    rows: int
    doubled: int


def numbered_rows(layout: Layout, desired: pl.DataFrame, *, first_row: int = 0) -> DesiredRows:
    """Prepare desired rows for COPY.

    A key that is both gone and desired is desired: another root has taken it over. A key with several
    desired rows cannot be written, because it would be undefined which one wins.

    Args:
        layout: the program over its target table.
        desired: key columns, columns, `_deleted`, `_staged_seq` of the program.
        first_row: number of the first row.
    """
    key = [column.name for column in layout.key]
    if layout.program.on_delete == "deactivate" and deactivated_column(layout.program) not in desired.columns:
        desired = desired.with_columns_seq(pl.lit(True).alias(deactivated_column(layout.program)))
    frame = desired.select_seq(*(column.name for column in layout.all_columns), "_deleted", "_staged_seq")
    if frame.height < 2 or frame.select_seq(key).is_unique().all():
        return DesiredRows(frame.with_row_index("_row", first_row), frame.height, 0)
    frame = frame.filter(~pl.col("_deleted") | pl.col("_deleted").all().over(key))
    values = [column.name for column in layout.all_columns] + ["_deleted"]
    frame = frame.sort("_staged_seq", maintain_order=True)
    frame = frame.unique(subset=values, keep="last", maintain_order=True)
    is_doubled = (pl.len().over(key) > 1) & ~pl.col("_deleted")
    doubled = frame.filter(is_doubled).unique(subset=key, keep="last", maintain_order=True)
    frame = frame.filter(~is_doubled).unique(subset=key, keep="last", maintain_order=True)
    numbered = pl.concat([frame, doubled]).with_row_index("_row", first_row)
    return DesiredRows(numbered, frame.height, doubled.height)
