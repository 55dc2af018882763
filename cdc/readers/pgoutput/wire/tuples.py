"""Row messages of one table become its changes: images, absent values, canonical text.

The cells come from `cells`. What an image holds follows from the replica identity: by default an
update or delete logs only the key, and the key of an update only if it changed.

Source: PostgreSQL 17 documentation, "Logical Replication Message Formats"; ALTER TABLE, REPLICA
IDENTITY.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import reduce

import polars as pl

from cdc.changes import AFTER, ALL_PRESENT, BEFORE, META_SCHEMA, SourceTable, TableChanges
from cdc.errors import OperatorError
from cdc.readers.pgoutput.wire.canonical import canonical
from cdc.readers.pgoutput.wire.cells import KEY, KIND, NEW, OLD, TEXT, UNCHANGED, VARIANT, cells

_OPERATIONS = {ord("I"): "c", ord("U"): "u", ord("D"): "d", ord("T"): "t"}
_WITH_NEW = (ord("I"), ord("U"))
_UPDATE = ord("U")
_FORM = pl.col("_form")
"""Kind and variant of a message as one number; most batches of a table have one or two forms."""
_NO_IMAGE = "none"


def table_changes(
    table: SourceTable, identity: frozenset[str], messages: Sequence[bytes], meta: pl.DataFrame
) -> TableChanges:
    """Decode the row messages of one table.

    Args:
        table: the table as the stream describes it: the cells of a tuple in the order of its columns.
        identity: columns of the replica identity.
        messages: row messages in stream order.
        meta: the columns of META_SCHEMA but operation and shapes, one row a message.

    Returns:
        The changes in the same order. An insert has no before image and a delete no after image:
        all columns are absent there. An update that left the identity as it was comes without
        an old tuple; its identity columns are copied from the new one. An unchanged TOAST value is
        absent unless the old tuple holds it (REPLICA IDENTITY FULL).

    Raises:
        OperatorError: the number of cells is not the table's number of columns.
    """
    width = len(table.columns)
    variants = {raw[VARIANT : VARIANT + 3] for raw in messages}
    _check_cell_count(table, variants)
    with_old = any(variant[0] in (KEY, OLD) for variant in variants)
    form = pl.Series("_form", [raw[KIND] << 8 | raw[VARIANT] for raw in messages], dtype=pl.UInt16)
    forms = set(form)
    rows = meta.hstack([form, *cells(messages, width, with_old=with_old)])
    unchanged = _unchanged(rows, width)
    if with_old and unchanged:
        rows = _fill_from_old(rows, unchanged)

    names = table.column_names
    shapes: dict[frozenset[str], int] = {ALL_PRESENT: 0}
    after_shape = _after_shape(rows, forms, unchanged, names, shapes)
    frame = rows.select_seq(
        _by_form({form: _OPERATIONS[form >> 8] for form in forms}, pl.String).alias("operation"),
        *(name for name in META_SCHEMA if name in meta.columns),
        _before_shape(forms, frozenset(names), identity, shapes),
        after_shape,
        *(_before(i, name, name in identity, with_old, forms) for i, name in enumerate(names)),
        *(pl.col(f"a{i}").alias(f"{AFTER}{name}") for i, name in enumerate(names)),
    )
    return TableChanges(table, canonical(frame, table, BEFORE, AFTER), tuple(shapes))


def _by_form(values: Mapping[int, object], kind: type[pl.DataType]) -> pl.Expr:
    """A value for each form; a literal where all rows have one."""
    if len(set(values.values())) == 1:
        return pl.lit(next(iter(values.values())), dtype=kind)
    return _FORM.replace_strict(values, return_dtype=kind)


def _without_old(form: int) -> bool:
    """An update that left the identity as it was: its old tuple is not in the log."""
    return form == _UPDATE << 8 | NEW


def _before(i: int, name: str, is_identity: bool, with_old: bool, forms: set[int]) -> pl.Expr:
    old = pl.col(f"b{i}") if with_old else pl.lit(None, pl.String)
    if is_identity and any(map(_without_old, forms)):
        new = pl.col(f"a{i}")
        one = len(forms) == 1
        old = new if one else pl.when(_FORM == (_UPDATE << 8 | NEW)).then(new).otherwise(old)
    return old.alias(f"{BEFORE}{name}")


def _unchanged(rows: pl.DataFrame, width: int) -> list[int]:
    """Columns in which some new tuple says: unchanged TOAST value, not sent."""
    return [i for i in range(width) if (rows[f"a{i}k"] == UNCHANGED).any()]


def _fill_from_old(rows: pl.DataFrame, columns: Sequence[int]) -> pl.DataFrame:
    """Take unchanged values from the old tuple where it has them."""
    known = {i: (pl.col(f"a{i}k") == UNCHANGED) & (pl.col(f"b{i}k") == TEXT) for i in columns}
    return rows.with_columns_seq(
        *(pl.when(known[i]).then(f"b{i}").otherwise(f"a{i}").alias(f"a{i}") for i in columns),
        *(pl.when(known[i]).then(TEXT).otherwise(f"a{i}k").alias(f"a{i}k") for i in columns),
    )


def _before_shape(
    forms: set[int], names: frozenset[str], identity: frozenset[str], shapes: dict[frozenset[str], int]
) -> pl.Expr:
    whole, key, nothing = (
        shapes.setdefault(absent, len(shapes)) for absent in (ALL_PRESENT, names - identity, names)
    )
    numbers = {
        form: whole if form & 255 == OLD else key if form & 255 == KEY or _without_old(form) else nothing
        for form in forms
    }
    return _by_form(numbers, pl.Int16).alias("before_shape")


def _after_shape(
    rows: pl.DataFrame,
    forms: set[int],
    unchanged: Sequence[int],
    names: Sequence[str],
    shapes: dict[frozenset[str], int],
) -> pl.Expr:
    nothing = shapes.setdefault(frozenset(names), len(shapes))
    if not unchanged:
        numbers = {form: 0 if form >> 8 in _WITH_NEW else nothing for form in forms}
        return _by_form(numbers, pl.Int16).alias("after_shape")
    flags = (
        pl.when(pl.col(f"a{i}k") == UNCHANGED).then(pl.lit("1")).otherwise(pl.lit("0")) for i in unchanged
    )
    has_new = _by_form({form: form >> 8 in _WITH_NEW for form in forms}, pl.Boolean)
    mark = pl.when(has_new).then(reduce(lambda text, flag: text + flag, flags)).otherwise(pl.lit(_NO_IMAGE))
    marks = rows.select_seq(mark.alias("mark")).get_column("mark")
    by_mark = {_NO_IMAGE: nothing}
    for text in marks.unique(maintain_order=True):
        if text != _NO_IMAGE:
            absent = frozenset(names[i] for i, flag in zip(unchanged, text, strict=True) if flag == "1")
            by_mark[text] = shapes.setdefault(absent, len(shapes))
    return mark.replace_strict(by_mark, return_dtype=pl.Int16).alias("after_shape")


def _check_cell_count(table: SourceTable, variants: set[bytes]) -> None:
    """A tuple with another number of cells would shift columns: better to stop."""
    found = {int.from_bytes(variant[1:]) for variant in variants if len(variant) == 3}
    if found - {len(table.columns)}:
        raise OperatorError(
            f"{table.name}: the stream holds rows of {sorted(found)} columns, expected {len(table.columns)}",
            hint="start the reader again; if it persists, report it with the table's definition",
        )
