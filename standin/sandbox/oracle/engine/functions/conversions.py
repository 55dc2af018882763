"""From one type to another: implicit conversions of expressions, and what a column accepts.

Text of dates follows the session's NLS formats, as in Oracle.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal, InvalidOperation
from functools import lru_cache

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.expressions import Expr, derived, strict
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.store.tables import StoredColumn
from sandbox.oracle.engine.values import intervals, sql_types
from sandbox.oracle.engine.values.formats import (
    date_to_text,
    local_cell,
    moment_of,
    text_to_date,
    zoned_cell,
)
from sandbox.oracle.engine.values.sql_types import SqlType, fits_number, pad, round_float, round_number
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

_NUMBER = re.compile(r"\s*[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*")


@lru_cache(maxsize=65536)
def number_of_text(cell: bytes) -> bytes:
    """NUMBER cell of a text.

    Raises:
        OracleFault: ORA-01722.
    """
    text = cell.decode()
    if not _NUMBER.fullmatch(text):
        raise OracleFault(1722, "invalid number")
    try:
        return cells.encode_number(Decimal(text.strip()))
    except (InvalidOperation, ValueError):
        raise OracleFault(1426, "numeric overflow") from None


def _binary_to_number(cell: bytes) -> bytes:
    return cells.encode_number(Decimal(repr(cells.decode_binary_double(cell))))


def to_number(expr: Expr) -> Expr:
    """Convert to NUMBER."""
    family = expr.type.family
    if family == "number":
        return expr
    if family == "text":
        return strict(sql_types.NUMBER, number_of_text, expr)
    if family == "binary":
        return strict(sql_types.NUMBER, _binary_to_number, expr)
    raise OracleFault(932, "inconsistent datatypes: expected NUMBER")


def to_text(expr: Expr) -> Expr:
    """Convert to VARCHAR2; dates and the decimal character follow NLS settings of the session."""
    family = expr.type.family
    if family == "text":
        return expr
    inner = expr.run
    if family == "number":

        def number(row: Row, env: Env) -> Cell:
            cell = inner(row, env)
            if cell is None:
                return None
            written, mark = cells.number_text(cell), env.session.nls["NLS_NUMERIC_CHARACTERS"][:1]
            return (written if mark == "." else written.replace(".", mark)).encode()

        return derived(sql_types.text(40), number, expr)
    if family == "binary":
        return strict(sql_types.text(40), lambda cell: repr(cells.decode_binary_double(cell)).encode(), expr)
    if family == "raw":
        return strict(
            sql_types.text(max(2, expr.type.size * 2)), lambda cell: cell.hex().upper().encode(), expr
        )
    if family in ("interval", "months"):
        return strict(sql_types.text(30), intervals.interval_text(expr.type), expr)
    name = {
        DbType.DATE: "NLS_DATE_FORMAT",
        DbType.TIMESTAMP_TZ: "NLS_TIMESTAMP_TZ_FORMAT",
    }.get(expr.type.base, "NLS_TIMESTAMP_FORMAT")

    def run(row: Row, env: Env) -> Cell:
        cell = inner(row, env)
        if cell is None:
            return None
        return date_to_text(moment_of(cell), cells.nanoseconds(cell), env.session.nls[name]).encode()

    return derived(sql_types.text(40), run, expr)


def to_time(expr: Expr, target: SqlType = sql_types.TIMESTAMP) -> Expr:
    """Convert to DATE or TIMESTAMP (no zone)."""
    family = expr.type.family
    if family == "time":
        if target.base is DbType.DATE and expr.type.base is not DbType.DATE:
            return strict(sql_types.DATE, lambda cell: cell[:7], expr)
        return expr
    if family == "zoned":
        local = strict(sql_types.TIMESTAMP, local_cell, expr)
        return to_time(local, target)
    if family != "text":
        raise OracleFault(932, "inconsistent datatypes: expected DATE")
    inner = expr.run
    is_date = target.base is DbType.DATE
    name = "NLS_DATE_FORMAT" if is_date else "NLS_TIMESTAMP_FORMAT"

    def run(row: Row, env: Env) -> Cell:
        cell = inner(row, env)
        if cell is None:
            return None
        moment, nanos, _ = text_to_date(cell.decode(), env.session.nls[name], this_month(env))
        return cells.encode_date(moment) if is_date else cells.encode_timestamp(moment, nanos)

    return derived(target, run, expr)


def this_month(env: Env) -> object:
    """First of the current month: what TO_DATE fills in."""
    local = env.session.local_time(env.now)
    return local.replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def to_zoned(expr: Expr) -> Expr:
    """Convert to TIMESTAMP WITH TIME ZONE in the session's zone."""
    if expr.type.family == "zoned":
        return expr
    inner = to_time(expr).run

    def run(row: Row, env: Env) -> Cell:
        cell = inner(row, env)
        if cell is None:
            return None
        offset = env.session.offset_minutes(env.now)
        return zoned_cell(cells.decode_date(cell), cells.nanoseconds(cell), offset)

    return derived(sql_types.TIMESTAMP_TZ, run, expr)


def to_raw(expr: Expr) -> Expr:
    """Convert hexadecimal text to RAW."""
    if expr.type.family == "raw":
        return expr

    def unhex(cell: bytes) -> bytes:
        try:
            return bytes.fromhex(cell.decode())
        except ValueError:
            raise OracleFault(1465, "invalid hex number") from None

    return strict(sql_types.raw(2000), unhex, to_text(expr))


def convert(expr: Expr, target: SqlType) -> Expr:
    """Implicit conversion to a type, without checking its limits."""
    family = target.family
    if family == "number":
        return to_number(expr)
    if family == "text":
        return to_text(expr)
    if family == "time":
        return to_time(expr, target)
    if family == "zoned":
        return to_zoned(expr)
    if family == "raw":
        return to_raw(expr)
    if family == "binary":
        if expr.type.family == "binary":
            return expr
        encode = cells.encode_binary_float if target.size == 4 else cells.encode_binary_double
        return strict(target, lambda cell: encode(float(cells.decode_number(cell))), to_number(expr))
    if expr.type.family == "text" and family in ("interval", "months"):
        read = intervals.nanoseconds_of_text if family == "interval" else intervals.months_of_text
        return strict(intervals.MOST_PRECISE[target.base], read, expr)
    if expr.type.family != family and not (expr.literal and expr.run((), None) is None):  # type: ignore[arg-type]
        raise OracleFault(
            932, f"inconsistent datatypes: expected {target.base.name} got {expr.type.base.name}"
        )
    return expr


Keeper = Callable[[bytes], bytes]


def keeper(column: StoredColumn, owner: str, table: str) -> Keeper | None:
    """What a column does to a cell of its family: padding, rounding, limits; None when nothing.

    The function raises ORA-12899 and ORA-01438 with the column's name.
    """
    kind = column.type
    if kind.opaque == "JSON":
        return _json
    if kind.base is DbType.CHAR:
        return _text_keeper(column, owner, table, padded=True)
    if kind.base is DbType.VARCHAR2:
        return _text_keeper(column, owner, table, padded=False)
    if kind.base is DbType.NUMBER and kind.scale == -127 and kind.precision:
        bits = kind.precision
        return lambda cell: round_float(cell, bits)
    if kind.family in ("interval", "months"):
        return intervals.keeper(kind)
    if kind.family == "binary":
        return _binary_keeper(kind)
    if kind.base is DbType.NUMBER and kind.scale != -127:
        precision, scale = kind.precision, kind.scale

        def keep_number(cell: bytes) -> bytes:
            if fits_number(cell, precision, scale):
                return cell
            rounded = round_number(cell, precision, scale)
            if rounded is None:
                raise OracleFault(1438, "value larger than specified precision allowed for this column")
            return rounded

        return keep_number
    if kind.base is DbType.DATE:
        return lambda cell: cell if len(cell) == 7 else cell[:7]
    if kind.base in (DbType.TIMESTAMP, DbType.TIMESTAMP_LTZ, DbType.TIMESTAMP_TZ) and kind.scale < 9:
        return _fraction_keeper(kind.scale)
    if kind.base is DbType.RAW:
        size = kind.size

        def keep_raw(cell: bytes) -> bytes:
            if len(cell) > size:
                raise too_long(column, owner, table, len(cell), size)
            return cell

        return keep_raw
    return None


def _json(cell: bytes) -> bytes:
    try:
        json.loads(cell)
    except ValueError:
        raise OracleFault(40441, "JSON syntax error") from None
    return cell


def _binary_keeper(kind: SqlType) -> Keeper:
    """A BINARY_FLOAT bound for a BINARY_DOUBLE column, and the other way round."""
    size = kind.size
    encode = cells.encode_binary_float if size == _FLOAT_BYTES else cells.encode_binary_double
    return lambda cell: cell if len(cell) == size else encode(cells.decode_binary_double(cell))


_FLOAT_BYTES = 4


def _fraction_keeper(digits: int) -> Keeper:
    """Round the fraction of a second to so many digits."""
    step: int = 10 ** (9 - digits)

    def keep(cell: bytes) -> bytes:
        if len(cell) == 7:
            return cell
        fraction, head, tail = cells.nanoseconds(cell), cell[:7], cell[11:]
        rounded = (fraction + step // 2) // step * step
        if rounded >= 1_000_000_000:
            head = cells.encode_date(cells.decode_date(head) + timedelta(seconds=1))
            rounded = 0
        if not rounded and not tail:
            return head
        return head + rounded.to_bytes(4, "big") + tail

    return keep


def _text_keeper(column: StoredColumn, owner: str, table: str, *, padded: bool) -> Keeper:
    chars = column.type.chars

    def keep(cell: bytes) -> bytes:
        length = len(cell)
        if length > chars:
            length = len(cell.decode())
            if length > chars:
                trimmed = cell.rstrip(b" ")
                if not padded or len(trimmed.decode()) > chars:
                    raise too_long(column, owner, table, length, chars)
                cell = pad(trimmed, chars)
        return pad(cell, chars) if padded and length < chars else cell

    return keep


def too_long(column: StoredColumn, owner: str, table: str, actual: int, maximum: int) -> OracleFault:
    """ORA-12899."""
    return OracleFault(
        12899,
        f'value too large for column "{owner}"."{table}"."{column.name}"'
        f" (actual: {actual}, maximum: {maximum})",
    )


def local_now(env: Env) -> bytes:
    """DATE cell of the database host's time."""
    return cells.encode_date(env.session.database.local_time(env.now))
