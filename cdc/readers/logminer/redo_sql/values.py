"""Cells and columns of text to the canonical text of `cdc.changes.SourceType`.

`cell_text` does one cell, whatever its form; `canonical` does a whole column of texts at once and
leaves texts that are canonical already as they are.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from contextlib import suppress
from decimal import Decimal
from enum import Enum

import polars as pl

from cdc.changes import NOT_TEXT, UNREADABLE, SourceColumn, SourceType, unreadable
from cdc.readers.logminer.redo_sql.formats import timestamp_text, timestamp_tz_text
from cdc.readers.logminer.redo_sql.interval_texts import PLAIN_INTERVAL, interval_text
from cdc.readers.logminer.redo_sql.redo_values import (
    Bare,
    Bind,
    Call,
    Cell,
    Concat,
    Hex,
    Hinted,
    RedoSyntaxError,
    Unsupported,
    text_of,
)


class Absent(Enum):
    """A value that the text does not tell; not NULL."""

    ABSENT = "absent"


ABSENT = Absent.ABSENT

EMPTY_LOB, UNKNOWN_LOB = "\0empty large value\0", "\0unknown large value\0"
"""Stand in a frame for the value of a large column that a text names and does not hold: LOB rows may
follow, which is none if the text says EMPTY_CLOB(); or it is in a form that does not tell the value."""

_TYPES = {
    "NUMBER": SourceType.NUMBER,
    "FLOAT": SourceType.NUMBER,
    "BINARY_FLOAT": SourceType.NUMBER,
    "BINARY_DOUBLE": SourceType.NUMBER,
    "CHAR": SourceType.TEXT,
    "VARCHAR2": SourceType.TEXT,
    "NCHAR": SourceType.TEXT,
    "NVARCHAR2": SourceType.TEXT,
    "ROWID": SourceType.TEXT,
    "UROWID": SourceType.TEXT,
    "DATE": SourceType.TIMESTAMP,
    "RAW": SourceType.BINARY,
    "CLOB": SourceType.TEXT,
    "NCLOB": SourceType.TEXT,
    "BLOB": SourceType.BINARY,
}
LOBS = frozenset(("CLOB", "NCLOB", "BLOB"))
_SPECIAL_NUMBERS = {
    "INF": "Infinity",
    "+INF": "Infinity",
    "INFINITY": "Infinity",
    "+INFINITY": "Infinity",
    "-INF": "-Infinity",
    "-INFINITY": "-Infinity",
    "NAN": "NaN",
    "~": "Infinity",
    "-~": "-Infinity",
}
_PLAIN_NUMBER = r"^(?:0|-?[1-9]\d*|-?(?:0|[1-9]\d*)\.\d*[1-9])$"
_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d{1,3})?[fFdD]?\s*\Z", re.ASCII)
"""Stricter than `Decimal`, which takes `1_000` and `sNaN`."""
_PLAIN_TIMESTAMP = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}$"
_FRACTION_TIMESTAMP = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}\.\d*$"
_UTC_TIMESTAMP = r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d*[1-9])?\+00$"
_PLAIN_HEX = r"^(?:[0-9a-f]{2})+$"
_TEXT_CALLS = frozenset(("UNISTR", "CHR", "NCHR", "TO_CLOB", "TO_NCLOB"))
_EMPTY_LOB = frozenset(("EMPTY_CLOB", "EMPTY_BLOB", "EMPTY_NCLOB"))


def source_type(data_type: str) -> SourceType | None:
    """The kind of an Oracle type as ALL_TAB_COLUMNS names it; None for LONG, XML, JSON, BFILE and objects."""
    if data_type.startswith("TIMESTAMP"):
        return SourceType.TIMESTAMP_TZ if data_type.endswith("TIME ZONE") else SourceType.TIMESTAMP
    if data_type.startswith("INTERVAL"):
        return SourceType.OTHER
    return _TYPES.get(data_type)


def number_text(text: str) -> str:
    """Plain decimal of a number text such as `-.01` or `2.5E+003`.

    Raises:
        RedoSyntaxError: no number.
    """
    special = _SPECIAL_NUMBERS.get(text.upper())
    if special:
        return special
    if not _NUMBER.match(text):
        raise RedoSyntaxError("not a number", 0)
    plain = f"{Decimal(text.rstrip('fFdD').strip()):f}"
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain in ("-0", "") else plain


def _binary(digits: str) -> str | None:
    if not digits:
        return None
    try:
        return bytes.fromhex(digits).hex()
    except ValueError as exc:
        raise RedoSyntaxError("hexadecimal digits are not bytes", 0) from exc


def cell_text(cell: Cell, column: SourceColumn) -> str | Absent | None:
    """Canonical text of a cell in a column; None for NULL, `ABSENT` where the value is unknown.

    A cell that is not a value of the column's type gives what `cdc.changes.unreadable` says.
    """
    try:
        text = _shown_text(cell, column)
    except RedoSyntaxError as exc:
        return unreadable(exc.reason, _raw(cell))
    if isinstance(text, str) and UNREADABLE in text and not text.startswith(UNREADABLE + "["):
        return unreadable(NOT_TEXT, text)
    return text


def _raw(cell: Cell) -> str:
    """The text of a cell that is not a value, as far as it has one."""
    with suppress(RedoSyntaxError):
        return cell.digits if isinstance(cell, Hex) else _argument(cell)[0].lstrip()
    return ""


def _shown_text(cell: Cell, column: SourceColumn) -> str | Absent | None:
    if cell is None:
        return None
    if column.large:
        if isinstance(cell, Call) and cell.name in _EMPTY_LOB:
            return EMPTY_LOB
        if (isinstance(cell, Call) and cell.name not in _TEXT_CALLS) or isinstance(cell, Unsupported | Bind):
            return UNKNOWN_LOB
        if isinstance(cell, Hex) != (column.type is SourceType.BINARY):
            return UNKNOWN_LOB  # a CLOB as bytes of a character set that the text does not name
    if isinstance(cell, Unsupported | Bind):
        return ABSENT
    if isinstance(cell, Hinted):
        return _shown_text(cell.cell, column)
    if isinstance(cell, Call) and (cell.name in _EMPTY_LOB or cell.name.endswith("XMLTYPE")):
        return ABSENT
    match column.type:
        case SourceType.TEXT:
            return cell.text if isinstance(cell, Bare) else text_of(cell)
        case SourceType.BINARY if isinstance(cell, Hex):
            return _binary(cell.digits)
        case SourceType.NUMBER:
            argument, _ = _argument(cell)
            return number_text(argument) if argument else None
        case SourceType.TIMESTAMP | SourceType.DATE:
            argument, model = _argument(cell)
            return timestamp_text(argument, model) if argument else None
        case SourceType.TIMESTAMP_TZ:
            argument, model = _argument(cell)
            return timestamp_tz_text(argument, model) if argument else None
        case SourceType.OTHER:
            return interval_text(_argument(cell)[0]) or None
        case _:
            raise RedoSyntaxError(f"no {column.type.value} value for column {column.name}", 0)


def _argument(cell: Cell) -> tuple[str, str | None]:
    """First argument and format of a conversion, or the text itself."""
    if isinstance(cell, Concat):
        return text_of(cell) or "", None
    if isinstance(cell, str):
        return cell, None
    if isinstance(cell, Bare):
        return cell.text, None
    if isinstance(cell, Call) and cell.args:
        first = cell.args[0]
        model = cell.args[1] if len(cell.args) > 1 else None
        if first is None:
            return "", None
        if isinstance(first, Bare):
            first = first.text
        if isinstance(first, str) and (model is None or isinstance(model, str)):
            return first, None if cell.literal else model
    raise RedoSyntaxError("a value in an unexpected form", 0)


def canonical(values: pl.Series, column: SourceColumn) -> pl.Series:
    """Canonical text of a whole column; texts that are canonical stay as they are.

    A text that is not a value of the column's type becomes what `cdc.changes.unreadable` says.
    """
    match column.type:
        case SourceType.TEXT:
            return _without_empty(values)
        case SourceType.OTHER:
            return _mapped(_without_empty(values), PLAIN_INTERVAL, interval_text)
        case SourceType.NUMBER:
            return _mapped(values, _PLAIN_NUMBER, number_text)
        case SourceType.TIMESTAMP | SourceType.DATE:
            return _timestamps(values)
        case SourceType.TIMESTAMP_TZ:
            return _mapped(_unsigned(values), _UTC_TIMESTAMP, timestamp_tz_text)
        case SourceType.BINARY:
            return _mapped(_without_empty(values.str.to_lowercase()), _PLAIN_HEX, _refused)
        case _:
            return values


def is_canonical(values: pl.Expr, column: SourceColumn) -> pl.Expr:
    """Expression: one True where every text of the column is canonical already."""
    match column.type:
        case SourceType.NUMBER:
            plain = values.str.contains(_PLAIN_NUMBER)
        case SourceType.TIMESTAMP | SourceType.DATE:
            plain = values.str.contains(_PLAIN_TIMESTAMP)
        case SourceType.TIMESTAMP_TZ:
            plain = values.str.contains(_UTC_TIMESTAMP)
        case SourceType.BINARY:
            plain = values.str.contains(_PLAIN_HEX)
        case SourceType.OTHER:
            plain = values.str.contains(PLAIN_INTERVAL)
        case _:
            plain = values != ""
    return plain.all()


def _without_empty(values: pl.Series) -> pl.Series:
    """Oracle has no empty text: '' is NULL."""
    empty = values == ""
    return values.set(empty.fill_null(value=False), None) if empty.any() else values


def _refused(_text: str) -> str:
    raise RedoSyntaxError("hexadecimal digits are not bytes", 0)


def marked(values: pl.Series) -> pl.Series:
    """Texts with bytes that are not text become what `cdc.changes.unreadable` says."""
    bad = values.str.contains(UNREADABLE, literal=True) & ~values.str.starts_with(UNREADABLE + "[")
    if not bad.any():
        return values
    texts = values.filter(bad).unique().to_list()
    return values.replace(texts, [unreadable(NOT_TEXT, text) for text in texts])


def _mapped(values: pl.Series, plain: str, convert: Callable[[str], str]) -> pl.Series:
    """Convert the texts that are not plain, each distinct one once."""
    odd = ~values.str.contains(plain).fill_null(value=True)
    if not odd.any():
        return values
    distinct = values.filter(odd).unique().to_list()
    return values.replace(distinct, [_converted(text, convert) for text in distinct])


def _converted(text: str, convert: Callable[[str], str]) -> str:
    if text.startswith(UNREADABLE + "["):
        return text
    try:
        return convert(text)
    except RedoSyntaxError as exc:
        return unreadable(NOT_TEXT if UNREADABLE in text else exc.reason, text)


def _unsigned(values: pl.Series) -> pl.Series:
    """Years without their sign's place: SYYYY writes a blank where no minus is."""
    return values.str.strip_chars_start(" ") if values.str.starts_with(" ").any() else values


def _timestamps(values: pl.Series) -> pl.Series:
    values = _unsigned(values)
    plain = values.str.contains(_PLAIN_TIMESTAMP).fill_null(value=True)
    if plain.all():
        return values
    fraction = values.str.contains(_FRACTION_TIMESTAMP).fill_null(value=False)
    trimmed = values.str.strip_chars_end("0").str.strip_chars_end(".")
    values = trimmed.zip_with(fraction, values)
    return _mapped(values, r"^\d{4}-\d{2}-\d{2} \d{2}:\d{2}:\d{2}(?:\.\d+)?$", timestamp_text)
