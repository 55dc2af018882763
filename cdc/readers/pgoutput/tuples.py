"""Row messages of one table into columns, in bulk.

A row message holds its cells one after the other, each as a kind, a length and the text. The
place of a cell depends on the cells before it, so a batch is decoded column by column over all rows
at once: Polars moves a cursor per row. No Python runs per row or cell.

Source: PostgreSQL 17 documentation, "Logical Replication Message Formats", TupleData.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce

import polars as pl

from cdc.changes import AFTER, ALL_PRESENT, BEFORE, META_SCHEMA, SourceTable, TableChanges
from cdc.errors import OperatorError
from cdc.readers.pgoutput.canonical import canonical
from cdc.readers.pgoutput.messages import HEADER_BYTES

MESSAGE = "message"
_KIND = HEADER_BYTES  # I, U, D or T
_TUPLE = HEADER_BYTES + 5  # after the kind and the relation's oid: N, K or O
_CELLS = _TUPLE + 3  # after the kind of tuple and the number of columns
_NULL, _TEXT, _UNCHANGED = (ord(kind) for kind in "ntu")
_NEW, _KEY, _OLD = (ord(kind) for kind in "NKO")
_OPERATIONS = {ord("I"): "c", ord("U"): "u", ord("D"): "d", ord("T"): "t"}


def table_changes(table: SourceTable, identity: frozenset[str], rows: pl.DataFrame) -> TableChanges:
    """Decode the row messages of one table.

    Args:
        table: the table as the stream describes it: the cells of a tuple in the order of its columns.
        identity: columns of the replica identity.
        rows: `message` (Binary) and the columns of META_SCHEMA but operation and shapes, in stream
            order.

    Returns:
        The changes in the same order. An insert has no before image and a delete no after image:
        all columns are absent there. An update that left the identity as it was comes without
        an old tuple; its identity columns are copied from the new one. An unchanged TOAST value is
        absent unless the old tuple holds it (REPLICA IDENTITY FULL).

    Raises:
        OperatorError: the number of cells is not the table's number of columns.
    """
    message = pl.col(MESSAGE)
    kind, variant = message.bin.get(_KIND), message.bin.get(_TUPLE, null_on_oob=True)
    rows = rows.with_columns(
        operation=kind.replace_strict(_OPERATIONS, return_dtype=pl.String),
        _variant=variant,
    )
    _check_cell_count(table, rows)
    width = range(len(table.columns))
    has_old = pl.col("_variant").is_in([_KEY, _OLD])
    with_old = bool(rows.select(has_old.any()).item())
    plan = rows.lazy()
    if with_old:
        plan = plan.with_columns(_at=pl.when(has_old).then(pl.lit(_CELLS, pl.UInt32)))
        for i in width:
            plan = _cell(plan, f"b{i}")
        # an update's new tuple follows: its kind and its number of columns are three bytes
        start = pl.when(has_old).then(pl.col("_at") + 3).otherwise(_CELLS)
    else:
        start = pl.lit(_CELLS, pl.UInt32)
    has_new = pl.col("operation").is_in(["c", "u"])
    plan = plan.with_columns(_at=pl.when(has_new).then(start).cast(pl.UInt32))
    for i in width:
        plan = _cell(plan, f"a{i}")
    cells = plan.collect()
    cells, unchanged = _fill_unchanged(cells, width, with_old=with_old)
    return _assemble(table, identity, cells, unchanged, with_old=with_old)


def _cell(plan: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Read the cell at the cursor `_at` into `name`, its kind into `name`k, and move the cursor on."""
    message, at = pl.col(MESSAGE), pl.col("_at")
    kind, length = f"{name}k", pl.col("_length")
    plan = plan.with_columns(
        message.bin.get("_at", null_on_oob=True).alias(kind),
        message.bin.slice(at + 1, 4).bin.reinterpret(dtype=pl.UInt32, endianness="big").alias("_length"),
    )
    is_text = pl.col(kind) == _TEXT
    return plan.with_columns(
        pl.when(is_text).then(message.bin.slice(at + 5, length)).cast(pl.String).alias(name),
        _at=pl.when(is_text).then(at + 5 + length).otherwise(at + 1),
    )


def _fill_unchanged(
    cells: pl.DataFrame, width: Iterable[int], *, with_old: bool
) -> tuple[pl.DataFrame, list[int]]:
    """Take unchanged TOAST values from the old tuple; returns columns where some stay absent."""
    flags = cells.select(((pl.col(f"a{i}k") == _UNCHANGED).any()).alias(str(i)) for i in width).row(0)
    columns = [i for i, flag in enumerate(flags) if flag]
    if with_old and columns:
        known = {i: (pl.col(f"a{i}k") == _UNCHANGED) & (pl.col(f"b{i}k") == _TEXT) for i in columns}
        cells = cells.with_columns(
            *(pl.when(known[i]).then(f"b{i}").otherwise(f"a{i}").alias(f"a{i}") for i in columns),
            *(pl.when(known[i]).then(_TEXT).otherwise(f"a{i}k").alias(f"a{i}k") for i in columns),
        )
    return cells, columns


def _assemble(
    table: SourceTable, identity: frozenset[str], cells: pl.DataFrame, unchanged: list[int], *, with_old: bool
) -> TableChanges:
    names = table.column_names
    everything, others = frozenset(names), frozenset(names) - identity
    shapes: dict[frozenset[str], int] = {ALL_PRESENT: 0}

    def shape(absent: frozenset[str]) -> int:
        return shapes.setdefault(absent, len(shapes))

    copied = (pl.col("operation") == "u") & (pl.col("_variant") == _NEW)
    before_shape = (
        pl.when(pl.col("_variant") == _OLD)
        .then(shape(ALL_PRESENT))
        .when(copied | (pl.col("_variant") == _KEY))
        .then(shape(others))
        .otherwise(shape(everything))
    )
    absent = reduce(
        lambda text, i: (
            text + pl.when(pl.col(f"a{i}k") == _UNCHANGED).then(pl.lit("1")).otherwise(pl.lit("0"))
        ),
        unchanged,
        pl.lit(""),
    )
    is_new = pl.col("operation").is_in(["c", "u"])
    marks = cells.select(marks=pl.when(is_new).then(absent).otherwise(pl.lit("none"))).get_column("marks")
    numbers = {
        text: shape(everything if text == "none" else _marked(text, unchanged, names))
        for text in marks.unique(maintain_order=True)
    }
    before = []
    after = []
    for i, column in enumerate(table.columns):
        old = pl.col(f"b{i}") if with_old else pl.lit(None, pl.String)
        if column.name in identity:
            old = pl.when(copied).then(f"a{i}").otherwise(old)
        before.append(old.alias(f"{BEFORE}{column.name}"))
        after.append(pl.col(f"a{i}").alias(f"{AFTER}{column.name}"))
    frame = cells.with_columns(
        before_shape=before_shape.cast(pl.Int16),
        after_shape=marks.replace_strict(numbers, return_dtype=pl.Int16),
    ).select(*META_SCHEMA, *before, *after)
    return TableChanges(table, canonical(frame, table, BEFORE, AFTER), tuple(shapes))


def _marked(text: str, columns: list[int], names: tuple[str, ...]) -> frozenset[str]:
    return frozenset(names[i] for i, mark in zip(columns, text, strict=True) if mark == "1")


def _check_cell_count(table: SourceTable, rows: pl.DataFrame) -> None:
    """A tuple with another number of cells would shift columns: better to stop."""
    counts = rows.filter(pl.col("operation") != "t").select(
        pl.col(MESSAGE).bin.slice(_TUPLE + 1, 2).bin.reinterpret(dtype=pl.UInt16, endianness="big").unique()
    )
    found = counts.get_column(MESSAGE).to_list()
    if found and found != [len(table.columns)]:
        raise OperatorError(
            f"{table.name}: the stream holds rows of {sorted(found)} columns, expected {len(table.columns)}",
            hint="start the reader again; if it stays, report it with the table's definition",
        )
