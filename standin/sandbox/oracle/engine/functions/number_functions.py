"""Functions of numbers; ROUND and TRUNC also take dates, see `time_functions`."""

from __future__ import annotations

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import (
    to_number,
)
from sandbox.oracle.engine.functions.expressions import Expr, strict
from sandbox.oracle.engine.functions.registered import Build, function
from sandbox.oracle.engine.values.sql_types import NUMBER


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


function("BITAND", 2)(
    lambda args: strict(
        NUMBER,
        lambda a, b: cells.encode_number(cells.decode_integer(a) & cells.decode_integer(b)),
        to_number(args[0]),
        to_number(args[1]),
    )
)
