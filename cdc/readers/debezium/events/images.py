"""Events of one table become its changes: images, absent values, canonical text.

All columnar: the JSON of many events is parsed at once into one struct a side. What an image holds
follows from the source's logging (`Connector.before_columns`) and from Debezium's placeholder for
values that the log does not hold. Debezium tells a changed key as a delete and a create of the same
log record; here they become one update again.

Source: Debezium 3.6 documentation, PostgreSQL connector, "Data change events".
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import reduce
from typing import Any

import polars as pl

from cdc.changes import AFTER, ALL_PRESENT, BEFORE, META_SCHEMA, SourceTable, TableChanges
from cdc.errors import OperatorError
from cdc.readers.debezium.engine.connector import Connector

_OPERATIONS = ["c", "u", "d", "r", "t"]
_NO_IMAGE = "none"
_OP, _MOVED = pl.col("op"), pl.col("_moved")


def table_changes(
    connector: Connector, table: SourceTable, lines: Sequence[str], places: pl.DataFrame
) -> TableChanges:
    """Decode events of one table.

    Args:
        connector: knows the form of the events.
        table: the table as the events' schema describes it.
        lines: the events' JSON in stream order.
        places: `position` and `ordinal`, one row a line.

    Returns:
        The changes in the same order; both halves of a changed key count as one, with the
        place of the first.

    Raises:
        OperatorError: an event is not a Debezium change event.
    """
    text = "\n".join(lines)
    events = places.hstack(_parsed(connector, table, text, len(lines)))
    events = _merged(_flat(connector, table, events), table)
    shapes: dict[frozenset[str], int] = {ALL_PRESENT: 0}
    unknown: list[str] = []
    if connector.form.absent in text or connector.form.absent.encode().hex() in text:
        events, unknown = _marked(connector, table, events)
    before = connector.before_columns(table.name)
    events = _before_from_after(table, events, before)
    frame = events.select(
        _OP.alias("operation"),
        "position",
        "ordinal",
        "transaction_id",
        pl.from_epoch("_committed_us", time_unit="us").dt.replace_time_zone("UTC").alias("committed_at"),
        "ours",
        _before_shape(table, before, shapes),
        _after_shape(table, events, unknown, shapes),
        *(f"{side}{name}" for side in (BEFORE, AFTER) for name in table.column_names),
    )
    frame = connector.canonical(frame, table, BEFORE, AFTER)
    return TableChanges(
        table,
        frame.with_columns(pl.col(name).cast(kind) for name, kind in META_SCHEMA.items()),
        tuple(shapes),
    )


def _parsed(connector: Connector, table: SourceTable, text: str, rows: int) -> pl.DataFrame:
    image = pl.Struct({name: connector.cell_type(table, name) for name in table.column_names})
    schema: dict[str, Any] = {
        "op": pl.String,
        "before": image,
        "after": image,
        "source": pl.Struct(dict(connector.form.source)),
    }
    try:
        events = pl.read_ndjson(text.encode(), schema=schema)
    except pl.exceptions.PolarsError as exc:
        raise _malformed(table, "json of another form") from exc
    wrong = events.filter(~_OP.is_in(_OPERATIONS).fill_null(False) | pl.col("source").is_null())
    if events.height != rows or wrong.height:
        raise _malformed(
            table, f"{wrong.height} without an operation or source, {rows - events.height} missing"
        )
    incomplete = events.filter(
        (_OP.is_in(["c", "u", "r"]) & pl.col("after").is_null()) | ((_OP == "d") & pl.col("before").is_null())
    )
    if incomplete.height:
        raise _malformed(table, f"{incomplete.height} without the image that its operation needs")
    return events


def _malformed(table: SourceTable, found: str) -> OperatorError:
    return OperatorError(
        f"{table.name}: events of an unexpected form: {found}, expected Debezium change events",
        hint="is the table's replica identity set? otherwise report it with the table's definition",
    )


def _flat(connector: Connector, table: SourceTable, events: pl.DataFrame) -> pl.DataFrame:
    form, source = connector.form, pl.col("source").struct
    return events.with_columns(source.field("*")).select(
        "op",
        "position",
        "ordinal",
        form.transaction.alias("transaction_id"),
        form.committed_us.alias("_committed_us"),
        form.ours.fill_null(False).alias("ours"),
        pl.concat_str([pl.col(name).cast(pl.String) for name in form.same_row], separator="/").alias("_row"),
        pl.col("before").is_not_null().alias("_has_before"),
        pl.lit(False).alias("_moved"),
        *(
            pl.col(side.rstrip(".")).struct.field(name).alias(f"{side}{name}")
            for side in (BEFORE, AFTER)
            for name in table.column_names
        ),
    )


def _merged(events: pl.DataFrame, table: SourceTable) -> pl.DataFrame:
    """Make one update of a delete and the create that came of the same log record."""
    first = (
        (_OP == "d")
        & (_OP.shift(-1) == "c")
        & (pl.col("_row") == pl.col("_row").shift(-1))
        & (pl.col("position") == pl.col("position").shift(-1))
        & (pl.col("ordinal") + 1 == pl.col("ordinal").shift(-1))
    ).fill_null(False)
    if not events.select(first.any()).item():
        return events
    after = [f"{AFTER}{name}" for name in table.column_names]
    marked = events.with_columns(first.alias("_moved"))
    second = pl.col("_moved").shift(1, fill_value=False)
    return marked.with_columns(
        pl.when("_moved").then(pl.lit("u")).otherwise(_OP).alias("op"),
        *(pl.when("_moved").then(pl.col(name).shift(-1)).otherwise(name).alias(name) for name in after),
    ).filter(~second)


def _marked(connector: Connector, table: SourceTable, events: pl.DataFrame) -> tuple[pl.DataFrame, list[str]]:
    """Find Debezium's placeholder; its cells become null, flagged in `_absent.<column>`."""
    flags = {}
    text = connector.form.absent
    codes = [str(code) for code in text.encode()]
    for name in table.column_names:
        cell = pl.col(f"{AFTER}{name}")
        if isinstance(connector.cell_type(table, name), pl.List):
            flag = cell.is_not_null() & (
                cell.list.join(",").is_in([text, ",".join(codes)]) & (cell.list.len() >= 1)
            )
        else:
            flag = cell.is_in([text, text.encode().hex()])
        flags[name] = flag.fill_null(False)
    found = events.select(flag.any().alias(name) for name, flag in flags.items()).row(0, named=True)
    names = [name for name, some in found.items() if some]
    old = {name: pl.col("_has_before") & pl.col(f"{BEFORE}{name}").is_not_null() for name in names}
    flagged = events.with_columns(flags[name].alias(f"_absent.{name}") for name in names)
    # a full before image may hold what is absent from the after image
    return flagged.with_columns(
        *(
            pl.when(f"_absent.{name}")
            .then(f"{BEFORE}{name}")
            .otherwise(f"{AFTER}{name}")
            .alias(f"{AFTER}{name}")
            for name in names
        ),
        *((pl.col(f"_absent.{name}") & ~old[name]).alias(f"_absent.{name}") for name in names),
    ), names


def _before_from_after(
    table: SourceTable, events: pl.DataFrame, before: frozenset[str] | None
) -> pl.DataFrame:
    """An update that left the key as it was has no before image: its key is that of the after image."""
    copied = (_OP == "u") & ~pl.col("_has_before")
    key = table.key if before is None else before
    return events.with_columns(
        pl.when(copied).then(f"{AFTER}{name}").otherwise(f"{BEFORE}{name}").alias(f"{BEFORE}{name}")
        for name in table.column_names
        if name in key
    )


def _before_shape(
    table: SourceTable, before: frozenset[str] | None, shapes: dict[frozenset[str], int]
) -> pl.Expr:
    names = frozenset(table.column_names)
    held = names if before is None else before & names
    whole, key, nothing = (
        shapes.setdefault(names - present, len(shapes))
        for present in (held, frozenset(table.key) if before is None else held, frozenset[str]())
    )
    has_old = pl.col("_has_before") & _OP.is_in(["u", "d"])
    number = pl.when(has_old).then(whole).when(_OP == "u").then(key).otherwise(nothing)
    return number.cast(pl.Int16).alias("before_shape")


def _after_shape(
    table: SourceTable, events: pl.DataFrame, unknown: Sequence[str], shapes: dict[frozenset[str], int]
) -> pl.Expr:
    nothing = shapes.setdefault(frozenset(table.column_names), len(shapes))
    has_new = _OP.is_in(["c", "u", "r"])
    if not unknown:
        return pl.when(has_new).then(0).otherwise(nothing).cast(pl.Int16).alias("after_shape")
    flags = [pl.when(f"_absent.{name}").then(pl.lit("1")).otherwise(pl.lit("0")) for name in unknown]
    mark = pl.when(has_new).then(reduce(lambda text, flag: text + flag, flags)).otherwise(pl.lit(_NO_IMAGE))
    numbers = {_NO_IMAGE: nothing}
    for text in events.select(mark.alias("mark")).get_column("mark").unique(maintain_order=True):
        if text != _NO_IMAGE:
            absent = frozenset(name for name, flag in zip(unknown, text, strict=True) if flag == "1")
            numbers[text] = shapes.setdefault(absent, len(shapes))
    return mark.replace_strict(numbers, return_dtype=pl.Int16).alias("after_shape")
