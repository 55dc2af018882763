"""The escape hatch: one Polars SQL expression over the columns of a source row.

Everything that could read files, look at other rows, differ from run to run or stop a whole batch
is refused when the rules are loaded. Columns are text, after the system's conventions.
"""

from __future__ import annotations

import re
from functools import lru_cache

import polars as pl

_STRING = re.compile(r"'(?:[^']|'')*'")
_REFUSED_WORDS = re.compile(
    r"\b(now|current_date|current_time|current_timestamp|localtime|localtimestamp|today"
    r"|random|rand|uuid|select|over)\b",
    re.IGNORECASE,
)
_STRICT = re.compile(r"\b(cast|strptime|to_date|to_timestamp)\s*\(|(::)", re.IGNORECASE)

_TRIED = (None, "", "0", "1.5", "x", "2024-02-29", "2024-02-29 10:11:12")


class ExpressionRefused(ValueError):
    """The expression cannot be used in a rule; the text says why."""


@lru_cache(maxsize=512)
def compiled(sql: str) -> pl.Expr:
    """The checked expression.

    Raises:
        ExpressionRefused: it is no single, row by row, repeatable expression over columns.
    """
    outside_strings = _STRING.sub("''", sql)
    if refused := _REFUSED_WORDS.search(outside_strings):
        raise ExpressionRefused(f"{refused.group(0)!r} is not allowed in an expression")
    if strict := _STRICT.search(outside_strings):
        word = strict.group(0).strip("( ")
        raise ExpressionRefused(f"{word!r} stops at the first bad value, write TRY_CAST(column AS type)")
    try:
        expression = pl.sql_expr(sql)
    except (pl.exceptions.PolarsError, ValueError) as exc:
        raise ExpressionRefused(f"no Polars SQL expression: {str(exc).splitlines()[0]}") from exc
    meta = expression.meta
    if meta.has_multiple_outputs() or meta.is_regex_projection():
        raise ExpressionRefused("expected one expression with one result")
    if not meta.root_names():
        raise ExpressionRefused("expected an expression over at least one column, use `value` for constants")
    if not _row_by_row(expression):
        raise ExpressionRefused("expected an expression over one row, found one that looks at other rows")
    _check_result(expression)
    _check_tried(expression)
    return expression


@lru_cache(maxsize=512)
def sources(sql: str) -> tuple[str, ...]:
    """The columns that a checked expression reads, in order of first use."""
    return tuple(dict.fromkeys(compiled(sql).meta.root_names()))


def _check_result(expression: pl.Expr) -> None:
    columns = dict.fromkeys(expression.meta.root_names(), pl.String)
    try:
        found = pl.LazyFrame(schema=columns).select(expression.alias("result")).collect_schema()["result"]
    except pl.exceptions.PolarsError as exc:
        raise ExpressionRefused(f"no expression over text columns: {str(exc).splitlines()[0]}") from exc
    if found.is_float():
        raise ExpressionRefused("a floating point result is not exact, cast to DECIMAL(precision, scale)")
    if found.is_nested() or found == pl.Binary:
        raise ExpressionRefused(f"a result of type {found} cannot be stored")


def _row_by_row(expression: pl.Expr) -> bool:
    """Whether no part of the expression looks at other rows, as aggregates do."""
    meta = expression.meta
    parts = meta.pop()
    if not parts:
        return meta.is_column() or meta.is_literal()
    if meta.root_names() and (meta.is_scalar() or not meta.is_length_preserving()):
        return False
    return meta.is_row_separable() and all(_row_by_row(part) for part in parts)


def _check_tried(expression: pl.Expr) -> None:
    """What fails for texts of all kinds fails for every row."""
    failure = ""
    for text in _TRIED:
        row = {name: [text] for name in expression.meta.root_names()}
        try:
            pl.DataFrame(row, schema=dict.fromkeys(row, pl.String)).select_seq(expression)
        except pl.exceptions.PolarsError as exc:
            failure = str(exc).splitlines()[0]
        else:
            if text is not None:
                return
    raise ExpressionRefused(f"fails for every row: {failure}")


def evaluate(columns: pl.DataFrame, expression: pl.Expr) -> tuple[pl.Series, pl.Series]:
    """Result of a SQL expression as text, and the rows at which it stops.

    Polars stops a whole frame at a bad row, so a frame that fails is halved until the row is found.
    """
    try:
        result = columns.select_seq(expression.alias("result"))["result"]
    except pl.exceptions.PolarsError:
        if columns.height == 1:
            return pl.Series([None], dtype=pl.String), pl.Series([True])
        half = columns.height // 2
        (first, first_failed), (second, second_failed) = (
            evaluate(columns.slice(0, half), expression),
            evaluate(columns.slice(half), expression),
        )
        return pl.concat([first, second]), pl.concat([first_failed, second_failed])
    return result, pl.Series([False], dtype=pl.Boolean).new_from_index(0, columns.height)
