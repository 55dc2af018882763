"""Debezium's values become canonical text, column by column.

With `time.precision.mode=isostring` and `decimal.handling.mode=string` nearly every value is text
already. `cdc.changes.SourceType` says what canonical means.

Source: Debezium 3.6 documentation, PostgreSQL and Oracle connectors, "Data type mappings".
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

_SPECIAL_NUMBERS = {"NAN": "NaN", "POSITIVE_INFINITY": "Infinity", "NEGATIVE_INFINITY": "-Infinity"}
_PLAIN_ARRAY_TEXT = r'^[^{}",\\\s]+$'


def boolean(column: pl.Expr) -> pl.Expr:
    """`t` or `f`."""
    return column.replace_strict({"true": "t", "false": "f"}, default=column)


def number(column: pl.Expr) -> pl.Expr:
    """Plain decimal; the names that Debezium gives to values that are not numbers become PostgreSQL's."""
    return column.replace(_SPECIAL_NUMBERS)


def short_number(column: pl.Expr) -> pl.Expr:
    """A number without zeros at the end of its fraction: Debezium writes as many as the column's scale."""
    return _short_fraction(column)


def date(column: pl.Expr) -> pl.Expr:
    """`2024-02-29` out of `2024-02-29Z`."""
    return column.str.strip_suffix("Z")


def timestamp(column: pl.Expr) -> pl.Expr:
    """`2024-02-29 10:11:12.5` out of `2024-02-29T10:11:12.500Z`."""
    return _short_fraction(column.str.strip_suffix("Z").str.replace("T", " ", literal=True))


def timestamp_tz(column: pl.Expr) -> pl.Expr:
    """`2024-02-29 10:11:12.5+00` out of `2024-02-29T10:11:12.500000Z`; other texts (infinity) as they are."""
    text = _short_fraction(column.str.strip_suffix("Z").str.replace("T", " ", literal=True))
    return pl.when(column.str.ends_with("Z")).then(text + "+00").otherwise(column)


def timestamp_with_offset(column: pl.Expr) -> pl.Expr:
    """`2024-02-29 09:11:12.5+00` out of `2024-02-29T10:11:12.500000+01:00`."""
    moment = pl.concat_str(
        column.str.slice(0, 19), column.str.extract(r"(Z|[+-]\d\d:\d\d)$").replace("Z", "+00:00")
    )
    utc = moment.str.to_datetime("%Y-%m-%dT%H:%M:%S%:z", time_zone="UTC").dt.strftime("%Y-%m-%d %H:%M:%S")
    return _short_fraction(utc + column.str.extract(r"(\.\d+)").fill_null("")) + "+00"


def array(column: pl.Expr, *, elements: str) -> pl.Expr:
    """PostgreSQL's text of a one-dimensional array, out of a list of texts.

    Args:
        column: List(String).
        elements: `text` quotes where PostgreSQL does, `plain` never, `boolean` writes t and f.
    """
    item = pl.element()
    if elements == "text":
        bare = item.str.contains(_PLAIN_ARRAY_TEXT) & (item.str.to_uppercase() != "NULL")
        escaped = item.str.replace_all("\\", "\\\\", literal=True).str.replace_all('"', '\\"', literal=True)
        item = pl.when(bare).then(item).otherwise(pl.lit('"') + escaped + pl.lit('"'))
    elif elements == "boolean":
        item = item.replace({"true": "t", "false": "f"})
    written = column.list.eval(pl.when(pl.element().is_null()).then(pl.lit("NULL")).otherwise(item))
    return pl.when(column.is_not_null()).then(pl.lit("{") + written.list.join(",") + pl.lit("}"))


def exact_dates(frame: pl.DataFrame, columns: Sequence[str], infinite: dict[str, str]) -> pl.DataFrame:
    """Write dates and timestamps as PostgreSQL does where ISO 8601 writes a sign: BC and infinity.

    Args:
        frame: has the columns, already canonical but for the years.
        columns: names to look at; only those with a signed year take the slow way.
        infinite: canonical text of what Debezium gives for an infinite value.
    """
    if not columns:
        return frame
    signed = frame.select(pl.col(columns).str.contains(r"^[+-]").any()).row(0, named=True)
    slow = [name for name, found in signed.items() if found]
    return frame.with_columns(
        pl.col(slow).map_elements(lambda text: _signed_year(text, infinite), return_dtype=pl.String)
    )


def _short_fraction(column: pl.Expr) -> pl.Expr:
    return column.str.replace(r"(\.\d*?)0+$", "${1}").str.strip_suffix(".")


def _signed_year(text: str, infinite: dict[str, str]) -> str:
    if text in infinite:
        return infinite[text]
    if text.startswith("+"):
        return text[1:]
    if not text.startswith("-") or text == "-infinity":
        return text
    year, _, rest = text[1:].partition("-")
    day, zone, _ = rest.partition("+00")
    return f"{int(year) + 1:04d}-{day}{zone} BC"
