"""Arithmetic of DATE, TIMESTAMP and intervals: days added, differences."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import to_number, to_time
from sandbox.oracle.engine.functions.expressions import Expr, strict
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import DATE, INTERVAL, MONTHS, TIMESTAMP, SqlType
from sandbox.oracle.interface import DbType, OracleFault

_SECONDS = Decimal(86400)


def combine(sign: str, left: Expr, right: Expr) -> Expr | None:
    """Compile an operator of which one side is a time or interval; None when neither is."""
    sides = left.type.family, right.type.family
    if not {*sides} & {*_TIMED, *GAPS}:
        return None
    if not {*sides} & {*_TIMED}:
        return _of_intervals(sign, left, right)
    if sign not in "+-":
        raise OracleFault(932, "inconsistent datatypes: expected NUMBER")
    if sides[0] in _TIMED and sides[1] in _TIMED:
        if sign == "+":
            raise OracleFault(975, "date + date not allowed")
        return _difference(left, right)
    if sides[0] not in _TIMED:
        if sign == "-":
            raise OracleFault(932, "inconsistent datatypes: expected INTERVAL")
        left, right = right, left
    base = to_time(left)
    if right.type.family in GAPS:
        shift = _shift(sign) if right.type.family == "interval" else _add_months(sign)
        return strict(TIMESTAMP if base.type.base is not DbType.DATE else DATE, shift, base, right)
    return strict(DATE, _add_days(sign), base, to_number(right))


def _of_intervals(sign: str, left: Expr, right: Expr) -> Expr:
    """Intervals of one kind added, or one times or through a number."""
    kinds = [expr.type.family for expr in (left, right)]
    if sign in "+-" and kinds[0] == kinds[1]:
        operate = {"+": operator.add, "-": operator.sub}[sign]
        return _interval(kinds[0], operate, left, right)
    if sign == "*" and kinds[1] in GAPS:
        left, right = right, left
    if sign in "*/" and left.type.family in GAPS and right.type.family not in GAPS:
        return _scaled(sign, left, to_number(right))
    raise OracleFault(932, "inconsistent datatypes: expected NUMBER got INTERVAL")


def negated(interval: Expr) -> Expr:
    """Compile `- interval`."""
    read, write, kind = _WHOLE[interval.type.family]
    return strict(kind, lambda cell: write(-read(cell)), interval)


def _interval(family: str, operate: Callable[[int, int], int], left: Expr, right: Expr) -> Expr:
    read, write, kind = _WHOLE[family]
    return strict(kind, lambda a, b: write(operate(read(a), read(b))), left, right)


def _scaled(sign: str, interval: Expr, factor: Expr) -> Expr:
    read, write, kind = _WHOLE[interval.type.family]

    def scale(cell: bytes, number: bytes) -> bytes:
        value, times = Decimal(read(cell)), cells.decode_number(number)
        if sign == "/" and not times:
            raise OracleFault(1476, "divisor is equal to zero")
        exact = value * times if sign == "*" else cells.NUMBER_CONTEXT.divide(value, times)
        return write(int(exact.to_integral_value(ROUND_HALF_UP)))

    return strict(kind, scale, interval, factor)


_TIMED = ("time", "zoned")
GAPS = ("interval", "months")
"""Families of intervals."""
_WHOLE: dict[str, tuple[Callable[[bytes], int], Callable[[int], bytes], SqlType]] = {
    "interval": (cells.interval_nanoseconds, cells.interval_of_nanoseconds, INTERVAL),
    "months": (cells.decode_interval_ym, cells.encode_interval_ym, MONTHS),
}


def _difference(left: Expr, right: Expr) -> Expr:
    if left.type.base is DbType.DATE and right.type.base is DbType.DATE:
        return strict(sql_types.NUMBER, _days_between, left, right)
    return strict(
        INTERVAL,
        lambda a, b: cells.encode_interval_ds(cells.decode_date(a) - cells.decode_date(b)),
        to_time(left),
        to_time(right),
    )


def _days_between(left: bytes, right: bytes) -> bytes:
    gap = cells.decode_date(left) - cells.decode_date(right)
    return cells.encode_number(
        Decimal(gap.days) + cells.NUMBER_CONTEXT.divide(Decimal(gap.seconds), _SECONDS)
    )


def _add_days(sign: str) -> Callable[[bytes, bytes], bytes]:
    def add(moment: bytes, days: bytes) -> bytes:
        seconds = (cells.decode_number(days) * _SECONDS).quantize(Decimal(1), rounding=ROUND_HALF_UP)
        gap = timedelta(seconds=int(seconds))
        try:
            return cells.encode_date(cells.decode_date(moment) + (gap if sign == "+" else -gap))
        except OverflowError:
            raise OracleFault(1841, "(full) year must be between -4713 and +9999, and not be 0") from None

    return add


def _add_months(sign: str) -> Callable[[bytes, bytes], bytes]:
    """Unlike ADD_MONTHS, a day that the month has not is an error."""

    def shift(moment: bytes, interval: bytes) -> bytes:
        months = cells.decode_interval_ym(interval) * (1 if sign == "+" else -1)
        value = cells.decode_date(moment)
        year, month = divmod(value.year * 12 + value.month - 1 + months, 12)
        try:
            return cells.encode_timestamp(value.replace(year=year, month=month + 1))
        except ValueError:
            raise OracleFault(1839, "date not valid for month specified") from None

    return shift


def _shift(sign: str) -> Callable[[bytes, bytes], bytes]:
    def shift(moment: bytes, interval: bytes) -> bytes:
        gap = cells.decode_interval_ds(interval)
        return cells.encode_timestamp(cells.decode_date(moment) + (gap if sign == "+" else -gap))

    return shift
