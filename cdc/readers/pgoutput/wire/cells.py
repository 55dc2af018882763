"""The cells of row messages, as columns.

A row message holds its cells one after the other, each as a kind, and for a text its length and
the bytes. The place of a cell depends on the cells before it. Many rows are decoded column by
column: Polars moves a cursor per row, and no Python runs per row or cell. For a handful of rows
setting that up costs more than a plain loop, so those are decoded row by row.

Both give the same frame: `a0, a0k, a1, a1k, ...` for the new tuple, texts and kinds, and `b0, b0k, ...`
for the old one.

Source: PostgreSQL 17 documentation, "Logical Replication Message Formats", TupleData.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cdc.readers.pgoutput.wire.messages import HEADER_BYTES

BULK_FROM_ROWS = 300
"""From so many rows on columns are cheaper than a loop (8 to 50 columns)."""

KIND = HEADER_BYTES  # I, U, D or T
VARIANT = HEADER_BYTES + 5  # after the kind and the relation's oid: N, K or O
_CELLS = VARIANT + 3  # after the kind of tuple and the number of columns
NEW, KEY, OLD = (ord(kind) for kind in "NKO")
NULL, TEXT, UNCHANGED = (ord(kind) for kind in "ntu")
_INSERT, _UPDATE = ord("I"), ord("U")

_AT, _LENGTH, _MESSAGE = "_at", "_length", "_message"


def cells(messages: Sequence[bytes], width: int, *, with_old: bool) -> pl.DataFrame:
    """Decode the tuples of row messages of one table.

    Args:
        messages: XLogData messages of kind insert, update, delete, or a truncate's stand-in.
        width: number of columns of the table.
        with_old: whether any message has an old tuple; without it there are no `b` columns.

    Returns:
        One row a message; text and kind are null where the message does not have that tuple, the text is
        null where the kind is not TEXT.
    """
    if len(messages) < BULK_FROM_ROWS:
        return cells_by_row(messages, width, with_old=with_old)
    return cells_in_bulk(messages, width, with_old=with_old)


def cells_in_bulk(messages: Sequence[bytes], width: int, *, with_old: bool) -> pl.DataFrame:
    """Decode column by column."""
    message = pl.col(_MESSAGE)
    plan = pl.Series(_MESSAGE, messages, dtype=pl.Binary).to_frame().lazy()
    start = pl.lit(_CELLS, pl.UInt32)
    if with_old:
        has_old = message.bin.get(VARIANT).is_in([KEY, OLD])
        plan = plan.with_columns(pl.when(has_old).then(start).alias(_AT))
        for i in range(width):
            plan = _cell(plan, f"b{i}")
        # an update's new tuple follows: its kind and its number of columns are three bytes
        start = pl.coalesce(pl.col(_AT) + 3, start)
    has_new = message.bin.get(KIND).is_in([_INSERT, _UPDATE])
    plan = plan.with_columns(pl.when(has_new).then(start).cast(pl.UInt32).alias(_AT))
    for i in range(width):
        plan = _cell(plan, f"a{i}")
    return plan.drop(_MESSAGE, _AT, _LENGTH).collect(optimizations=pl.QueryOptFlags.none())


def _cell(plan: pl.LazyFrame, name: str) -> pl.LazyFrame:
    """Read the cell at the cursor into `name`, its kind into `name`k, and move the cursor on."""
    message, at, length, kind = pl.col(_MESSAGE), pl.col(_AT), pl.col(_LENGTH), f"{name}k"
    plan = plan.with_columns(
        message.bin.get(at, null_on_oob=True).alias(kind),
        message.bin.slice(at + 1, 4).bin.reinterpret(dtype=pl.UInt32, endianness="big").alias(_LENGTH),
    )
    is_text = pl.col(kind) == TEXT
    return plan.with_columns(
        pl.when(is_text).then(message.bin.slice(at + 5, length)).cast(pl.String).alias(name),
        pl.when(is_text).then(at + 5 + length).otherwise(at + 1).alias(_AT),
    )


def cells_by_row(messages: Sequence[bytes], width: int, *, with_old: bool) -> pl.DataFrame:
    """Decode row by row."""
    old: list[list[bytes | int | None]] = [[] for _ in range(2 * width)]
    new: list[list[bytes | int | None]] = [[] for _ in range(2 * width)]
    for raw in messages:
        at = _CELLS
        if with_old and raw[VARIANT] in (KEY, OLD):
            at = _append(raw, at, old) + 3
        elif with_old:
            _append_nothing(old)
        if raw[KIND] in (_INSERT, _UPDATE):
            _append(raw, at, new)
        else:
            _append_nothing(new)
    sides = [("b", old), ("a", new)] if with_old else [("a", new)]
    return pl.DataFrame(
        [
            series
            for side, lists in sides
            for i in range(width)
            for series in (
                pl.Series(f"{side}{i}k", lists[2 * i + 1], dtype=pl.UInt8),
                pl.Series(f"{side}{i}", lists[2 * i], dtype=pl.Binary).cast(pl.String),
            )
        ]
    )


def _append(raw: bytes, at: int, columns: Sequence[list[bytes | int | None]]) -> int:
    """Append the tuple's texts and kinds, alternately; returns where it ends."""
    for i in range(0, len(columns), 2):
        kind = raw[at]
        columns[i + 1].append(kind)
        if kind == TEXT:
            start = at + 5
            at = start + int.from_bytes(raw[at + 1 : start])
            columns[i].append(raw[start:at])
        else:
            columns[i].append(None)
            at += 1
    return at


def _append_nothing(columns: Sequence[list[bytes | int | None]]) -> None:
    for column in columns:
        column.append(None)
