"""Arithmetic of DATE, TIMESTAMP and intervals: days added, differences."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import ROUND_HALF_UP, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine import sql_types
from sandbox.oracle.engine.conversions import to_number, to_time
from sandbox.oracle.engine.expressions import Expr, strict
from sandbox.oracle.engine.sql_types import DATE, INTERVAL, TIMESTAMP
from sandbox.oracle.interface import DbType, OracleFault

_SECONDS = Decimal(86400)


def combine(sign: str, left: Expr, right: Expr) -> Expr | None:
    """Compile + or - where one side is a time or interval; None when neither is."""
    timed = ("time", "zoned")
    if left.type.family not in (*timed, "interval") and right.type.family not in (*timed, "interval"):
        return None
    if sign not in "+-":
        raise OracleFault(932, "inconsistent datatypes: expected NUMBER")
    if left.type.family in timed and right.type.family in timed:
        if sign == "+":
            raise OracleFault(975, "date + date not allowed")
        return _difference(left, right)
    if left.type.family not in timed:
        left, right = right, left
    if left.type.family not in timed:
        raise OracleFault(932, "inconsistent datatypes: interval arithmetic is not simulated")
    base = to_time(left)
    if right.type.family == "interval":
        return strict(TIMESTAMP if base.type.base is not DbType.DATE else DATE, _shift(sign), base, right)
    return strict(DATE, _add_days(sign), base, to_number(right))


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


def _shift(sign: str) -> Callable[[bytes, bytes], bytes]:
    def shift(moment: bytes, interval: bytes) -> bytes:
        gap = cells.decode_interval_ds(interval)
        return cells.encode_timestamp(cells.decode_date(moment) + (gap if sign == "+" else -gap))

    return shift
