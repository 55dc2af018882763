"""Functions from one type to another: TO_CHAR, TO_DATE, TO_NUMBER, hashes; see also `raw_functions`."""

from __future__ import annotations

import hashlib
from dataclasses import replace

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import (
    convert,
    number_of_text,
    this_month,
    to_number,
    to_raw,
    to_text,
    to_time,
)
from sandbox.oracle.engine.functions.expressions import Expr, derived, hoist, literal, strict
from sandbox.oracle.engine.functions.registered import FUNCTIONS, Build, function, sql_literal, sql_number
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.formats import (
    date_to_text,
    moment_of,
    number_to_text,
    text_to_date,
    zoned_cell,
)
from sandbox.oracle.engine.values.sql_types import DATE, NUMBER, SqlType, text
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row


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
    if args[0].type.base in sql_types.LOBS:
        raise OracleFault(932, f"inconsistent datatypes: expected - got {args[0].type.base.name}")
    names = to_text(args[1]) if len(args) > 1 else sql_literal("SHA1")

    def digest(cell: bytes, name: bytes) -> bytes:
        return hashlib.new(name.decode().lower(), cell, usedforsecurity=False).digest()

    return strict(sql_types.raw(64), digest, args[0], names)


function("HEXTORAW", 1)(lambda args: to_raw(args[0]))
function("TO_CLOB", 1)(lambda args: replace(to_text(args[0]), type=sql_types.CLOB))
function("ROWIDTOCHAR", 1)(lambda args: args[0])
function("CHARTOROWID", 1)(lambda args: args[0])
function("EMPTY_CLOB", 0)(lambda args: literal(b"", sql_types.CLOB))
