"""Intervals: texts to cells and back, the functions that make them, what a column accepts.

INTERVAL YEAR TO MONTH is a number of months, INTERVAL DAY TO SECOND one of nanoseconds; both have a sign
for the whole.

Source: Oracle Database SQL Language Reference 19c, "Interval Literals", TO_DSINTERVAL, TO_YMINTERVAL.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import DbType, OracleFault

NANOSECONDS = 1_000_000_000
_SIZES = {"DAY": 86400, "HOUR": 3600, "MINUTE": 60, "SECOND": 1}
_FIELDS = tuple(_SIZES)
_ISO = re.compile(
    r"(-?)P(?:(\d+)Y)?(?:(\d+)M)?(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+)(?:[.,](\d{1,9}))?S)?)?",
    re.IGNORECASE,
)
_YEARS = re.compile(r"\s*([+-]?)(\d{1,9})\s*-\s*(\d{1,2})\s*")
_INVALID = OracleFault(1867, "the interval is invalid")


def interval_text(kind: SqlType) -> Callable[[bytes], bytes]:
    """What writes an interval as TO_CHAR and LogMiner do: `+02-03`, `+01 02:03:04.500000`."""
    leading, fraction = kind.precision, kind.scale
    if kind.base is DbType.INTERVAL_YM:

        def years(cell: bytes) -> bytes:
            months = cells.decode_interval_ym(cell)
            whole, rest = divmod(abs(months), 12)
            return f"{'-' if months < 0 else '+'}{whole:0{leading}d}-{rest:02d}".encode()

        return years

    def days(cell: bytes) -> bytes:
        value = cells.interval_nanoseconds(cell)
        seconds, nanos = divmod(abs(value), NANOSECONDS)
        minutes, second = divmod(seconds, 60)
        hours, minute = divmod(minutes, 60)
        day, hour = divmod(hours, 24)
        text = f"{'-' if value < 0 else '+'}{day:0{leading}d} {hour:02d}:{minute:02d}:{second:02d}"
        return f"{text}.{nanos:09d}"[: len(text) + 1 + fraction if fraction else len(text)].encode()

    return days


def months_of_text(cell: bytes) -> bytes:
    """TO_YMINTERVAL: `[+|-]years-months` or an ISO 8601 duration.

    Raises:
        OracleFault: ORA-01867, ORA-01843.
    """
    text = cell.decode().strip()
    if found := _YEARS.fullmatch(text):
        sign, years, months = found.groups()
    elif (found := _ISO.fullmatch(text)) and not any(found.group(4, 5, 6, 7)):
        sign, years, months = found.group(1), found.group(2) or "0", found.group(3) or "0"
    else:
        raise _INVALID
    if int(months) > 11:
        raise OracleFault(1843, "not a valid month")
    return cells.encode_interval_ym((-1 if sign == "-" else 1) * (int(years) * 12 + int(months)))


def nanoseconds_of_text(cell: bytes) -> bytes:
    """TO_DSINTERVAL: `[+|-]days hours:minutes:seconds[.fraction]` or an ISO 8601 duration.

    Raises:
        OracleFault: ORA-01867, ORA-01850 and kin.
    """
    text = cell.decode().strip()
    if (found := _ISO.fullmatch(text)) and not any(found.group(2, 3)):
        sign, parts = found.group(1), [int(part or 0) for part in found.group(4, 5, 6, 7)]
        seconds = sum(part * size for part, size in zip(parts, _SIZES.values(), strict=True))
        value = seconds * NANOSECONDS + int((found.group(8) or "").ljust(9, "0"))
        return cells.interval_of_nanoseconds(-value if sign == "-" else value)
    return interval_literal(text, "DAY", "SECOND")


def interval_literal(text: str, first: str, last: str) -> bytes:
    """The cell of `INTERVAL 'text' first [TO last]`.

    Raises:
        OracleFault: ORA-00946 and ORA-30089 for fields there are not, ORA-01867 for a text of another form.
    """
    if first in ("YEAR", "MONTH"):
        return _years_literal(text, first, last)
    if first not in _FIELDS or last not in _FIELDS or _FIELDS.index(first) > _FIELDS.index(last):
        raise OracleFault(30089, "missing or invalid <datetime field>")
    fields = _FIELDS[_FIELDS.index(first) : _FIELDS.index(last) + 1]
    body = text.strip()
    sign = -1 if body.startswith("-") else 1
    parts = re.split(r"(?<=\d)[ :]+(?=\d)", body.lstrip("+-").strip())
    if len(parts) != len(fields):
        raise _INVALID
    value = 0
    for at, (field, part) in enumerate(zip(fields, parts, strict=True)):
        if not re.fullmatch(r"\d+(\.\d*)?" if field == "SECOND" else r"\d+", part):
            raise _INVALID
        amount = Decimal(part)
        if at and field in _MOST and amount >= _MOST[field][0]:
            code, message = _MOST[field][1:]
            raise OracleFault(code, message)
        value += int((amount * _SIZES[field] * NANOSECONDS).to_integral_value(ROUND_HALF_UP))
    return cells.interval_of_nanoseconds(sign * value)


_MOST = {
    "HOUR": (24, 1850, "hour must be between 0 and 23"),
    "MINUTE": (60, 1851, "minutes must be between 0 and 59"),
    "SECOND": (60, 1852, "seconds must be between 0 and 59"),
}


def _years_literal(text: str, first: str, last: str) -> bytes:
    if (first, last) == ("YEAR", "MONTH"):
        return months_of_text(text.encode())
    if first != last or not re.fullmatch(r"\s*[+-]?\d+\s*", text):
        raise _INVALID if first == last else OracleFault(30089, "missing or invalid <datetime field>")
    return cells.encode_interval_ym(int(text) * (12 if first == "YEAR" else 1))


def of_number(cell: bytes, unit: bytes) -> bytes:
    """NUMTODSINTERVAL.

    Raises:
        OracleFault: ORA-01760 for another unit.
    """
    size = _SIZES.get(unit.decode().strip().upper())
    if size is None:
        raise OracleFault(1760, "illegal argument for function")
    value = cells.decode_number(cell) * size * NANOSECONDS
    return cells.interval_of_nanoseconds(int(value.to_integral_value(ROUND_HALF_UP)))


def of_months(cell: bytes, unit: bytes) -> bytes:
    """NUMTOYMINTERVAL.

    Raises:
        OracleFault: ORA-01760 for another unit.
    """
    size = {"YEAR": 12, "MONTH": 1}.get(unit.decode().strip().upper())
    if size is None:
        raise OracleFault(1760, "illegal argument for function")
    return cells.encode_interval_ym(int((cells.decode_number(cell) * size).to_integral_value(ROUND_HALF_UP)))


def field(cell: bytes, name: str, *, months: bool) -> Decimal | None:
    """EXTRACT of a field, with the sign of the whole; None when the interval has not that field."""
    if months:
        value = cells.decode_interval_ym(cell)
        sign, (years, rest) = (-1 if value < 0 else 1), divmod(abs(value), 12)
        found = {"YEAR": years, "MONTH": rest}.get(name)
        return None if found is None else Decimal(sign * found)
    value = cells.interval_nanoseconds(cell)
    sign, (seconds, nanos) = (-1 if value < 0 else 1), divmod(abs(value), NANOSECONDS)
    if name == "SECOND":
        return sign * (Decimal(seconds % 60) + Decimal(nanos) / NANOSECONDS)
    found = {"DAY": seconds // 86400, "HOUR": seconds // 3600 % 24, "MINUTE": seconds // 60 % 60}.get(name)
    return None if found is None else Decimal(sign * found)


def keeper(kind: SqlType) -> Callable[[bytes], bytes]:
    """What a column does to an interval: the fraction is rounded, the leading field has its digits.

    The function raises ORA-01873.
    """
    leading = 10**kind.precision
    step = 10 ** (9 - kind.scale)
    months = kind.base is DbType.INTERVAL_YM

    def keep(cell: bytes) -> bytes:
        if months:
            too_large = abs(cells.decode_interval_ym(cell)) // 12 >= leading
        else:
            value = cells.interval_nanoseconds(cell)
            rounded = (abs(value) + step // 2) // step * step
            too_large = rounded // (86400 * NANOSECONDS) >= leading
            cell = cells.interval_of_nanoseconds(-rounded if value < 0 else rounded)
        if too_large:
            raise OracleFault(1873, "the leading precision of the interval is too small")
        return cell

    return keep


MOST_PRECISE = {DbType.INTERVAL_YM: sql_types.MONTHS, DbType.INTERVAL_DS: sql_types.INTERVAL}
"""Types of intervals that an expression made."""
