"""The escape hatch: one Polars SQL expression over the columns of a source row.

Everything that could read files, look at other rows, differ from run to run or stop a whole batch
is refused when the rules are loaded. Columns are text, after the system's conventions. Which words may
stand in the text at all is decided in `expression_tokens`, before Polars sees it.
"""

from __future__ import annotations

from functools import lru_cache

import polars as pl

from mapping_rules.language.expression_tokens import ExpressionRefused, columns, tokens

_FAILURES = (pl.exceptions.PolarsError, pl.exceptions.PanicException, ValueError)
"""What Polars raises for an expression it cannot take. Its texts may hold values and are never repeated."""

_TRIED = (None, "", "0", "1.5", "x", "2024-02-29", "2024-02-29 10:11:12")


@lru_cache(maxsize=512)
def compiled(sql: str) -> pl.Expr:
    """The checked expression.

    Raises:
        ExpressionRefused: it is not a single, row by row, repeatable expression over columns.
    """
    named = columns(tokens(sql))
    try:
        expression = pl.sql_expr(sql)
    except _FAILURES as exc:
        raise ExpressionRefused(f"is not one Polars SQL expression ({type(exc).__name__})") from exc
    meta = expression.meta
    if meta.has_multiple_outputs() or meta.is_regex_projection():
        raise ExpressionRefused("expected one expression with one result")
    if not meta.root_names():
        raise ExpressionRefused("expected an expression over at least one column, use `value` for constants")
    if named != frozenset(meta.root_names()):
        raise ExpressionRefused(f"expected columns only, found {min(named ^ frozenset(meta.root_names()))!r}")
    _check_result(expression)
    _check_tried(expression)
    return expression


@lru_cache(maxsize=512)
def sources(sql: str) -> tuple[str, ...]:
    """The columns that a checked expression reads, in order of first use."""
    return tuple(dict.fromkeys(compiled(sql).meta.root_names()))


def _check_result(expression: pl.Expr) -> None:
    schema = dict.fromkeys(expression.meta.root_names(), pl.String)
    try:
        found = pl.LazyFrame(schema=schema).select(expression.alias("result")).collect_schema()["result"]
    except _FAILURES as exc:
        raise ExpressionRefused(
            "does not work on text columns, write TRY_CAST(column AS type) for numbers"
        ) from exc
    if found.is_float():
        raise ExpressionRefused("a floating point result is not exact, cast to DECIMAL(precision, scale)")
    if found.is_nested() or found == pl.Binary:
        raise ExpressionRefused(f"a result of type {found} cannot be stored")


def _check_tried(expression: pl.Expr) -> None:
    """What fails for texts of all kinds fails for every row."""
    for text in _TRIED:
        row = {name: [text] for name in expression.meta.root_names()}
        try:
            pl.DataFrame(row, schema=dict.fromkeys(row, pl.String)).select_seq(expression)
        except _FAILURES:
            continue
        if text is not None:
            return
    raise ExpressionRefused("fails for every row")


def evaluate(frame: pl.DataFrame, expression: pl.Expr) -> tuple[pl.Series, pl.Series]:
    """Result of a SQL expression as text, and the rows at which it stops.

    Polars stops a whole frame at a bad row, so a frame that fails is halved until the row is found.
    """
    try:
        result = frame.select_seq(expression.alias("result"))["result"]
    except _FAILURES:
        if frame.height == 1:
            return pl.Series([None], dtype=pl.String), pl.Series([True])
        half = frame.height // 2
        (first, first_failed), (second, second_failed) = (
            evaluate(frame.slice(0, half), expression),
            evaluate(frame.slice(half), expression),
        )
        return pl.concat([first, second]), pl.concat([first_failed, second_failed])
    return result, pl.Series([False], dtype=pl.Boolean).new_from_index(0, frame.height)
