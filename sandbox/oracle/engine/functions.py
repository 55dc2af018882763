"""Scalar functions by name; those of session and system are in `system_functions`.

Each entry takes compiled arguments and returns a compiled value.
"""

from __future__ import annotations

import calendar
import hashlib
import math
from collections.abc import Callable
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, ROUND_DOWN, ROUND_FLOOR, ROUND_HALF_UP, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine import sql_types
from sandbox.oracle.engine.conversions import (
    convert,
    number_of_text,
    this_month,
    to_number,
    to_raw,
    to_text,
    to_time,
)
from sandbox.oracle.engine.expressions import Env, Expr, derived, hoist, literal, strict
from sandbox.oracle.engine.formats import (
    date_to_text,
    moment_of,
    number_to_text,
    text_to_date,
    zoned_cell,
)
from sandbox.oracle.engine.sql_types import DATE, NUMBER, SqlType, text
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

Build = Callable[[list[Expr]], Expr]
FUNCTIONS: dict[str, Build] = {}
AGGREGATES = frozenset({"COUNT", "MIN", "MAX", "SUM", "AVG", "LISTAGG", "STDDEV", "MEDIAN"})


def is_aggregate(name: str) -> bool:
    """Is this a group function?"""
    return name in AGGREGATES


def function(name: str, low: int, high: int | None = None) -> Callable[[Build], Build]:
    """Register a function with its number of arguments."""

    def register(build: Build) -> Build:
        def checked(args: list[Expr]) -> Expr:
            if len(args) < low:
                raise OracleFault(938, "not enough arguments for function")
            if len(args) > (low if high is None else high):
                raise OracleFault(939, "too many arguments for function")
            return build(args)

        FUNCTIONS[name] = checked
        return build

    return register


def same_type(values: list[Expr]) -> list[Expr]:
    """Convert branches of CASE, DECODE, NVL to the type of the first that is not NULL."""
    real = [value for value in values if not (value.literal and value.nullable)]
    if not real:
        return values
    kind = real[0].type
    if kind.family == "text":
        if any(value.type.base is DbType.CLOB for value in real):
            kind = sql_types.CLOB
        else:
            kind = text(max(to_text(value).type.chars for value in real))
    converted = []
    for value in values:
        if value.literal and value.nullable:
            converted.append(literal(None, kind))
        else:
            changed = convert(value, kind)
            converted.append(Expr(kind, changed.run, changed.uses, volatile=changed.volatile))
    return converted


@function("NVL", 2)
def _nvl(args: list[Expr]) -> Expr:
    return FUNCTIONS["COALESCE"](args)


@function("COALESCE", 1, 1000)
def _coalesce(args: list[Expr]) -> Expr:
    values = same_type(args)
    runs = [hoist(value).run for value in values]

    def run(row: Row, env: Env) -> Cell:
        for each in runs:
            cell = each(row, env)
            if cell is not None:
                return cell
        return None

    return derived(values[0].type, run, *values)


def nvl2(args: list[Expr]) -> Expr:
    """NVL2(tested, if not null, if null)."""
    tested, present, absent = args[0], *same_type(args[1:])
    test, first, second = tested.run, present.run, absent.run
    return derived(
        present.type, lambda row, env: (second if test(row, env) is None else first)(row, env), *args
    )


@function("NULLIF", 2)
def _nullif(args: list[Expr]) -> Expr:
    left, right = args[0].run, convert(args[1], args[0].type).run

    def run(row: Row, env: Env) -> Cell:
        cell = left(row, env)
        return None if cell == right(row, env) else cell

    return derived(args[0].type, run, *args)


def _extreme(pick: Callable[[list[bytes]], bytes]) -> Build:
    def build(args: list[Expr]) -> Expr:
        values = same_type(args)
        return strict(values[0].type, lambda *found: pick(list(found)), *values, values[0], values[0])

    return build


function("GREATEST", 1, 1000)(_extreme(max))
function("LEAST", 1, 1000)(_extreme(min))


def _textual(change: Callable[[str], str]) -> Build:
    def build(args: list[Expr]) -> Expr:
        operand = to_text(args[0])
        return strict(_text_of(operand), lambda cell: change(cell.decode()).encode() or None, operand)

    return build


def _text_of(expr: Expr) -> SqlType:
    return sql_types.CLOB if expr.type.base is DbType.CLOB else text(expr.type.chars or 1000)


function("UPPER", 1)(_textual(str.upper))
function("LOWER", 1)(_textual(str.lower))
function("INITCAP", 1)(_textual(str.title))
function("REVERSE", 1)(_textual(lambda value: value[::-1]))


@function("TRIM", 3)
def _trim(args: list[Expr]) -> Expr:
    strip = {b"BOTH": bytes.strip, b"LEADING": bytes.lstrip, b"TRAILING": bytes.rstrip}
    side = args[2].run((), None)  # type: ignore[arg-type]
    cut = strip[side or b"BOTH"]
    operand = to_text(args[0])
    return strict(_text_of(operand), lambda cell, marks: cut(cell, marks) or None, operand, to_text(args[1]))


def _side_trim(left: bool) -> Build:
    def build(args: list[Expr]) -> Expr:
        operand = to_text(args[0])
        marks = to_text(args[1]) if len(args) > 1 else sql_literal(" ")

        def cut(cell: bytes, unwanted: bytes) -> Cell:
            value, letters = cell.decode(), unwanted.decode()
            return (value.lstrip(letters) if left else value.rstrip(letters)).encode() or None

        return strict(_text_of(operand), cut, operand, marks)

    return build


function("LTRIM", 1, 2)(_side_trim(True))
function("RTRIM", 1, 2)(_side_trim(False))


def sql_literal(value: str) -> Expr:
    """A VARCHAR2 constant."""
    return literal(value.encode() or None, text(max(1, len(value))))


def sql_number(value: int) -> Expr:
    """A NUMBER constant."""
    return literal(cells.encode_number(value), NUMBER)


def _side_pad(left: bool) -> Build:
    def build(args: list[Expr]) -> Expr:
        marks = to_text(args[2]) if len(args) > 2 else sql_literal(" ")

        def fill(cell: bytes, length: bytes, mark: bytes) -> Cell:
            value, letters, wanted = cell.decode(), mark.decode(), cells.decode_integer(length)
            if len(value) >= wanted:
                return value[: max(0, wanted)].encode() or None
            missing = wanted - len(value)
            filler = (letters * (missing // len(letters) + 1))[:missing]
            return (filler + value if left else value + filler).encode()

        return strict(text(4000), fill, to_text(args[0]), to_number(args[1]), marks)

    return build


function("LPAD", 2, 3)(_side_pad(True))
function("RPAD", 2, 3)(_side_pad(False))


def _substring(characters: str, start: int, length: int | None) -> str:
    if start < 0:
        start += len(characters) + 1
        if start < 1:
            return ""
    start = max(start, 1) - 1
    if length is None:
        return characters[start:]
    return characters[start : start + length] if length > 0 else ""


@function("SUBSTR", 2, 3)
def _substr(args: list[Expr]) -> Expr:
    operand, start = to_text(args[0]), to_number(args[1])
    if len(args) == 2:
        return strict(
            _text_of(operand),
            lambda cell, at: _substring(cell.decode(), cells.decode_integer(at), None).encode() or None,
            operand,
            start,
        )
    return strict(
        _text_of(operand),
        lambda cell, at, size: (
            _substring(cell.decode(), cells.decode_integer(at), cells.decode_integer(size)).encode() or None
        ),
        operand,
        start,
        to_number(args[2]),
    )


FUNCTIONS["DBMS_LOB.SUBSTR"] = lambda args: FUNCTIONS["SUBSTR"](
    [args[0], args[2] if len(args) > 2 else sql_number(1), args[1]]
)


def _length(measure: Callable[[bytes], int]) -> Build:
    return lambda args: strict(NUMBER, lambda cell: cells.encode_number(measure(cell)), to_text(args[0]))


function("LENGTH", 1)(_length(lambda cell: len(cell.decode())))
function("LENGTHB", 1)(_length(len))
function("ASCII", 1)(_length(lambda cell: ord(cell.decode()[0])))
FUNCTIONS["DBMS_LOB.GETLENGTH"] = FUNCTIONS["LENGTH"]
function("CHR", 1)(
    lambda args: strict(text(1), lambda cell: chr(cells.decode_integer(cell)).encode(), to_number(args[0]))
)


@function("INSTR", 2, 3)
def _instr(args: list[Expr]) -> Expr:
    start = to_number(args[2]) if len(args) > 2 else sql_number(1)

    def find(cell: bytes, part: bytes, at: bytes) -> bytes:
        return cells.encode_number(cell.decode().find(part.decode(), cells.decode_integer(at) - 1) + 1)

    return strict(NUMBER, find, to_text(args[0]), to_text(args[1]), start)


@function("REPLACE", 2, 3)
def _replace(args: list[Expr]) -> Expr:
    runs = [hoist(to_text(arg)).run for arg in args]

    def run(row: Row, env: Env) -> Cell:
        cell, old = runs[0](row, env), runs[1](row, env)
        if cell is None or old is None:
            return cell
        new = runs[2](row, env) if len(runs) > 2 else None
        return cell.replace(old, new or b"") or None

    return derived(text(4000), run, *args)


@function("TRANSLATE", 3)
def _translate(args: list[Expr]) -> Expr:
    def change(cell: bytes, old: bytes, new: bytes) -> Cell:
        olds, news = old.decode(), new.decode()
        table = {ord(letter): news[at] if at < len(news) else None for at, letter in enumerate(olds)}
        return cell.decode().translate(table).encode() or None

    return strict(text(4000), change, *(to_text(arg) for arg in args))


@function("CONCAT", 2)
def _concat(args: list[Expr]) -> Expr:
    left, right = to_text(args[0]).run, to_text(args[1]).run
    return derived(
        text(4000), lambda row, env: (left(row, env) or b"") + (right(row, env) or b"") or None, *args
    )


def _numeric(change: Callable[[Decimal], Decimal]) -> Build:
    def build(args: list[Expr]) -> Expr:
        return strict(
            NUMBER, lambda cell: cells.encode_number(change(cells.decode_number(cell))), to_number(args[0])
        )

    return build


function("ABS", 1)(_numeric(abs))
function("SIGN", 1)(_numeric(lambda value: Decimal((value > 0) - (value < 0))))
function("FLOOR", 1)(_numeric(lambda value: value.to_integral_value(ROUND_FLOOR)))
function("CEIL", 1)(_numeric(lambda value: value.to_integral_value(ROUND_CEILING)))
function("SQRT", 1)(_numeric(lambda value: cells.NUMBER_CONTEXT.sqrt(value)))


@function("POWER", 2)
def _power(args: list[Expr]) -> Expr:
    return strict(
        NUMBER,
        lambda a, b: cells.encode_number(
            cells.NUMBER_CONTEXT.power(cells.decode_number(a), cells.decode_number(b))
        ),
        to_number(args[0]),
        to_number(args[1]),
    )


@function("MOD", 2)
def _mod(args: list[Expr]) -> Expr:
    def modulo(a: bytes, b: bytes) -> bytes:
        left, right = cells.decode_number(a), cells.decode_number(b)
        return a if right == 0 else cells.encode_number(cells.NUMBER_CONTEXT.remainder(left, right))

    return strict(NUMBER, modulo, to_number(args[0]), to_number(args[1]))


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
    part = (args[0].run((), None) or b"").decode().lower()  # type: ignore[arg-type]
    if part not in ("year", "month", "day", "hour", "minute", "second"):
        raise OracleFault(30076, "invalid extract field for extract source")
    return strict(
        NUMBER,
        lambda cell: cells.encode_number(int(getattr(cells.decode_date(cell), part))),
        to_time(args[1]),
    )


@function("TO_CHAR", 1, 3)
def _to_char(args: list[Expr]) -> Expr:
    if len(args) == 1 or args[0].type.family == "text":
        return to_text(args[0])
    form = to_text(args[1])
    if args[0].type.family in ("time", "zoned"):
        return strict(
            text(100),
            lambda cell, model: date_to_text(
                moment_of(cell), cells.nanoseconds(cell), model.decode()
            ).encode(),
            args[0],
            form,
        )
    return strict(
        text(64),
        lambda cell, model: number_to_text(cells.decode_number(cell), model.decode()).encode(),
        to_number(args[0]),
        form,
    )


FUNCTIONS["TO_NCHAR"] = FUNCTIONS["TO_CHAR"]


@function("TO_NUMBER", 1, 3)
def _to_number(args: list[Expr]) -> Expr:
    if len(args) == 1:
        return to_number(args[0])

    def read(cell: bytes, form: bytes) -> bytes:
        if set(form.decode().upper()) <= {"X"}:
            return cells.encode_number(int(cell.decode().strip(), 16))
        return number_of_text(cell.replace(b",", b"").replace(b"$", b""))

    return strict(NUMBER, read, to_text(args[0]), to_text(args[1]))


def _dated(name: str, kind: SqlType) -> Build:
    def build(args: list[Expr]) -> Expr:
        if len(args) == 1 or args[0].type.family in ("time", "zoned"):
            return to_time(args[0], kind) if kind.family == "time" else convert(args[0], kind)
        subject, form = to_text(args[0]).run, hoist(to_text(args[1])).run

        def run(row: Row, env: Env) -> Cell:
            cell, model = subject(row, env), form(row, env)
            if cell is None or model is None:
                return None
            moment, nanos, zone = text_to_date(cell.decode(), model.decode(), this_month(env))
            if kind.base is DbType.DATE:
                return cells.encode_date(moment)
            if kind.base is DbType.TIMESTAMP:
                return cells.encode_timestamp(moment, nanos)
            return zoned_cell(
                moment, nanos, zone if zone is not None else env.session.offset_minutes(env.now)
            )

        return derived(kind, run, *args[:2])

    return function(name, 1, 3)(build)


_dated("TO_DATE", DATE)
_dated("TO_TIMESTAMP", sql_types.TIMESTAMP)
_dated("TO_TIMESTAMP_TZ", sql_types.TIMESTAMP_TZ)


@function("ORA_HASH", 1, 3)
def _ora_hash(args: list[Expr]) -> Expr:
    buckets = to_number(args[1]) if len(args) > 1 else sql_number(4294967295)
    seed = to_number(args[2]) if len(args) > 2 else sql_number(0)

    def digest(cell: bytes, most: bytes, salt: bytes) -> bytes:
        number = int.from_bytes(hashlib.blake2b(salt + cell, digest_size=8).digest(), "big")
        return cells.encode_number(number % (cells.decode_integer(most) + 1))

    operand = args[0] if args[0].type.family != "zoned" else to_text(args[0])
    run = operand.run

    def null_is_zero(row: Row, env: Env) -> Cell:
        return run(row, env) or b"\x00"

    return strict(NUMBER, digest, derived(operand.type, null_is_zero, operand), buckets, seed)


@function("STANDARD_HASH", 1, 2)
def _standard_hash(args: list[Expr]) -> Expr:
    names = to_text(args[1]) if len(args) > 1 else sql_literal("SHA1")

    def digest(cell: bytes, name: bytes) -> bytes:
        return hashlib.new(name.decode().lower(), cell, usedforsecurity=False).digest()

    return strict(sql_types.raw(64), digest, args[0], names)


function("HEXTORAW", 1)(lambda args: to_raw(args[0]))
function("RAWTOHEX", 1)(lambda args: to_text(args[0]))
function("TO_CLOB", 1)(lambda args: convert(to_text(args[0]), sql_types.CLOB))
function("ROWIDTOCHAR", 1)(lambda args: args[0])
function("CHARTOROWID", 1)(lambda args: args[0])
function("UTL_RAW.CAST_TO_VARCHAR2", 1)(lambda args: strict(text(2000), bytes, args[0]))
function("EMPTY_CLOB", 0)(lambda args: literal(b"", sql_types.CLOB))
function("DUMP", 1)(
    lambda args: strict(
        text(200),
        lambda cell: f"Len={len(cell)}: {','.join(map(str, cell))}".encode(),
        args[0],
    )
)
function("BITAND", 2)(
    lambda args: strict(
        NUMBER,
        lambda a, b: cells.encode_number(cells.decode_integer(a) & cells.decode_integer(b)),
        to_number(args[0]),
        to_number(args[1]),
    )
)


@function("NUMTODSINTERVAL", 2)
def _interval(args: list[Expr]) -> Expr:
    units = {"DAY": 86400, "HOUR": 3600, "MINUTE": 60, "SECOND": 1}

    def make(cell: bytes, unit: bytes) -> bytes:
        size = units.get(unit.decode().upper())
        if size is None:
            raise OracleFault(1760, "illegal argument for function")
        seconds = cells.decode_number(cell) * size
        whole = math.floor(seconds)
        return cells.encode_interval_ds(
            timedelta(seconds=whole, microseconds=int((seconds - whole) * 1_000_000))
        )

    return strict(sql_types.INTERVAL, make, to_number(args[0]), to_text(args[1]))
