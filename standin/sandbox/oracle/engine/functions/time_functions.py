"""Functions of dates, and ROUND and TRUNC, which serve dates and numbers."""

from __future__ import annotations

import calendar
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import ROUND_DOWN, ROUND_HALF_UP, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import (
    to_number,
    to_text,
    to_time,
    to_zoned,
)
from sandbox.oracle.engine.functions.expressions import Expr, literal, strict
from sandbox.oracle.engine.functions.registered import Build, function, sql_literal, sql_number
from sandbox.oracle.engine.values import intervals, sql_types
from sandbox.oracle.engine.values.sql_types import DATE, NUMBER
from sandbox.oracle.interface import DbType, OracleFault


def _rounding(mode: str) -> Build:
    def build(args: list[Expr]) -> Expr:
        if args[0].type.family in ("time", "zoned"):
            return _truncated_date(args)

        def cut(cell: bytes, places: bytes) -> bytes:
            step = Decimal(1).scaleb(-cells.decode_integer(places))
            value = cells.decode_number(cell)
            return cells.encode_number(value.quantize(step, rounding=mode, context=cells.NUMBER_CONTEXT))

        places = to_number(args[1]) if len(args) > 1 else sql_number(0)
        return strict(NUMBER, cut, to_number(args[0]), places)

    return build


function("ROUND", 1, 2)(_rounding(ROUND_HALF_UP))
function("TRUNC", 1, 2)(_rounding(ROUND_DOWN))

_CUTS: dict[str, Callable[[datetime], datetime]] = {
    "DD": lambda m: m.replace(hour=0, minute=0, second=0),
    "MM": lambda m: m.replace(day=1, hour=0, minute=0, second=0),
    "YYYY": lambda m: m.replace(month=1, day=1, hour=0, minute=0, second=0),
    "Q": lambda m: m.replace(month=(m.month - 1) // 3 * 3 + 1, day=1, hour=0, minute=0, second=0),
    "HH": lambda m: m.replace(minute=0, second=0),
    "MI": lambda m: m.replace(second=0),
    "IW": lambda m: (m - timedelta(days=m.weekday())).replace(hour=0, minute=0, second=0),
}
_CUT_NAMES = {"DDD": "DD", "J": "DD", "MONTH": "MM", "MON": "MM", "YEAR": "YYYY", "YY": "YYYY", "Y": "YYYY"}
_CUT_NAMES |= {"HH24": "HH", "HH12": "HH"}


def _truncated_date(args: list[Expr]) -> Expr:
    unit = to_text(args[1]) if len(args) > 1 else sql_literal("DD")

    def cut(cell: bytes, name: bytes) -> bytes:
        word = name.decode().upper()
        change = _CUTS.get(_CUT_NAMES.get(word, word))
        if change is None:
            raise OracleFault(1898, "too many precision specifiers")
        return cells.encode_date(change(cells.decode_date(cell).replace(microsecond=0)))

    return strict(DATE, cut, to_time(args[0]), unit)


@function("ADD_MONTHS", 2)
def _add_months(args: list[Expr]) -> Expr:
    def add(cell: bytes, months: bytes) -> bytes:
        moment = cells.decode_date(cell).replace(microsecond=0)
        year, month = divmod(moment.year * 12 + moment.month - 1 + cells.decode_integer(months), 12)
        last = calendar.monthrange(year, month + 1)[1]
        was_last = moment.day == calendar.monthrange(moment.year, moment.month)[1]
        day = last if was_last else min(moment.day, last)
        return cells.encode_date(moment.replace(year=year, month=month + 1, day=day))

    return strict(DATE, add, to_time(args[0]), to_number(args[1]))


@function("LAST_DAY", 1)
def _last_day(args: list[Expr]) -> Expr:
    def last(cell: bytes) -> bytes:
        moment = cells.decode_date(cell)
        return cells.encode_date(moment.replace(day=calendar.monthrange(moment.year, moment.month)[1]))

    return strict(DATE, last, to_time(args[0]))


@function("EXTRACT", 2)
def _extract(args: list[Expr]) -> Expr:
    part = (args[0].run((), None) or b"").decode()  # type: ignore[arg-type]
    source = args[1]
    if source.type.family in ("interval", "months"):
        months = source.type.family == "months"

        def of_interval(cell: bytes) -> bytes:
            found = intervals.field(cell, part, months=months)
            if found is None:
                raise _NO_FIELD
            return cells.encode_number(found)

        return strict(NUMBER, of_interval, source)
    if part not in ("YEAR", "MONTH", "DAY", "HOUR", "MINUTE", "SECOND"):
        raise _NO_FIELD
    if source.type.base is DbType.DATE and part in ("HOUR", "MINUTE", "SECOND"):
        raise _NO_FIELD

    def of_time(cell: bytes) -> bytes:
        value = Decimal(getattr(cells.decode_date(cell), part.lower()))
        return cells.encode_number(
            value + Decimal(cells.nanoseconds(cell)) / intervals.NANOSECONDS if part == "SECOND" else value
        )

    return strict(NUMBER, of_time, to_time(source))


_NO_FIELD = OracleFault(30076, "invalid extract field for extract source")

function("NUMTODSINTERVAL", 2)(
    lambda args: strict(sql_types.INTERVAL, intervals.of_number, to_number(args[0]), to_text(args[1]))
)
function("NUMTOYMINTERVAL", 2)(
    lambda args: strict(sql_types.MONTHS, intervals.of_months, to_number(args[0]), to_text(args[1]))
)
function("TO_DSINTERVAL", 1)(
    lambda args: strict(sql_types.INTERVAL, intervals.nanoseconds_of_text, to_text(args[0]))
)
function("TO_YMINTERVAL", 1)(
    lambda args: strict(sql_types.MONTHS, intervals.months_of_text, to_text(args[0]))
)


@function("INTERVAL", 3)
def _literal(args: list[Expr]) -> Expr:
    text, first, last = [(each.run((), None) or b"").decode() for each in args]  # type: ignore[arg-type]
    cell = intervals.interval_literal(text, first, last)
    return literal(cell, sql_types.MONTHS if first in ("YEAR", "MONTH") else sql_types.INTERVAL)


@function("SYS_EXTRACT_UTC", 1)
def _sys_extract_utc(args: list[Expr]) -> Expr:
    def extract(cell: bytes) -> bytes:
        moment = cells.decode_timestamp_tz(cell).astimezone(UTC)
        return cells.encode_timestamp(moment.replace(tzinfo=None), cells.nanoseconds(cell))

    return strict(sql_types.TIMESTAMP, extract, to_zoned(args[0]))
