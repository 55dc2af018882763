"""A row's key as one text whose order, by code point, is the order of the keys.

Ranges of keys mean the same rows wherever they are asked for: in staging, where the text is stored and
indexed, and in a source, whose own columns are compared with the parts that `decode` gives back.

The parts of a key stand one behind the other, each ended by U+0001 U+0001; U+0001 inside a part is followed
by U+0002. A part is the canonical text of `cdc.changes.SourceType`, except for numbers: their sign, how many
digits follow before the point (behind the number of digits that this takes), then the digits, complemented
for a negative number. So 5 is `1115`, 42 is `11242`, -5 is `0884~`, 0.5 is `110.5`.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from cdc.changes import SourceTable, SourceType
from cdc.digests.definition import RowDigest

END = "\x01\x01"
_ESCAPE, _ESCAPED = "\x01", "\x01\x02"
_NUL, _SYMBOL_FOR_NUL = "\0", "\u2400"
"""PostgreSQL cannot store U+0000; in `staging.change` it appears as this too."""
_DIGITS, _COMPLEMENTS = "0123456789", "9876543210"
_COMPLEMENT = str.maketrans(_DIGITS, _COMPLEMENTS)
_SPECIAL = {"-Infinity": "-", "Infinity": "2", "NaN": "3"}
"""Before all numbers, behind all, and behind those: as PostgreSQL sorts them."""
_PLAIN = {part: text for text, part in _SPECIAL.items()}


def keyed(digest: RowDigest) -> SourceTable:
    """A table as far as it is digested: those columns, and its key."""
    return SourceTable(digest.table, digest.columns, tuple(column.name for column in digest.key))


def sort_key(table: SourceTable, side: str) -> pl.Expr:
    """Expression: the sort key of each row; null where a part is null.

    Args:
        table: a table with a key.
        side: prefix of the columns that hold the canonical texts, BEFORE or AFTER.
    """
    return pl.concat_str([part(table, name, pl.col(side + name)) for name in table.key])


def part(table: SourceTable, name: str, texts: pl.Expr) -> pl.Expr:
    """Expression: one part of the sort key, with its end."""
    if _is_number(table, name):
        return _numbers(texts) + END
    safe = texts.str.replace_all(_NUL, _SYMBOL_FOR_NUL, literal=True)
    return safe.str.replace_all(_ESCAPE, _ESCAPED, literal=True) + END


def encode(table: SourceTable, key: Sequence[str]) -> str:
    """The sort key of one row."""
    return "".join(
        (_number(text) if _is_number(table, name) else _text(text)) + END
        for name, text in zip(table.key, key, strict=True)
    )


def decode(table: SourceTable, key: str) -> tuple[str, ...]:
    """Canonical texts of the key columns; numbers without zeros that say nothing."""
    parts = key.removesuffix(END).split(END)
    return tuple(
        _plain_number(part) if _is_number(table, name) else part.replace(_ESCAPED, _ESCAPE)
        for name, part in zip(table.key, parts, strict=True)
    )


def _is_number(table: SourceTable, name: str) -> bool:
    column = table.column(name)
    return column is not None and column.type is SourceType.NUMBER


def storable(text: str) -> str:
    """A text as staging holds it."""
    return text.replace(_NUL, _SYMBOL_FOR_NUL)


def _text(text: str) -> str:
    return storable(text).replace(_ESCAPE, _ESCAPED)


def _number(text: str) -> str:
    if text in _SPECIAL:
        return _SPECIAL[text]
    whole, _, fraction = text.removeprefix("-").partition(".")
    whole, fraction = whole.lstrip("0"), fraction.rstrip("0")
    count = str(len(whole))
    digits = f"{len(count)}{count}{whole}" + (f".{fraction}" if fraction else "")
    if text.startswith("-") and (whole or fraction):
        return f"0{digits.translate(_COMPLEMENT)}~"
    return f"1{digits}"


def _plain_number(part: str) -> str:
    if part in _PLAIN:
        return _PLAIN[part]
    is_negative = part.startswith("0")
    digits = part[1:].removesuffix("~").translate(_COMPLEMENT) if is_negative else part[1:]
    whole, _, fraction = digits[1 + int(digits[0]) :].partition(".")
    return ("-" if is_negative else "") + (whole or "0") + (f".{fraction}" if fraction else "")


def _numbers(texts: pl.Expr) -> pl.Expr:
    whole = texts.str.extract(r"^-?0*(\d*)")
    fraction = texts.str.extract(r"(\.\d*[1-9])0*$").fill_null("")
    count = whole.str.len_chars().cast(pl.String)
    digits = pl.concat_str(count.str.len_chars().cast(pl.String), count, whole, fraction)
    complement = digits.str.replace_many(list(_DIGITS), list(_COMPLEMENTS))
    is_negative = texts.str.starts_with("-") & (digits != "10")
    plain = pl.when(is_negative).then(pl.lit("0") + complement + "~").otherwise(pl.lit("1") + digits)
    return pl.when(texts.is_in(list(_SPECIAL))).then(texts.replace(_SPECIAL)).otherwise(plain)
