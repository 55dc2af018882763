"""Scalar functions by name: the register, and those that choose between values.

Each entry takes compiled arguments and returns a compiled value. The others are in `text_functions`,
`number_functions`, `time_functions`, `conversion_functions`, `raw_functions` and `system_functions`, which
register themselves when they are imported.
"""

from __future__ import annotations

from collections.abc import Callable

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import (
    convert,
    to_text,
)
from sandbox.oracle.engine.functions.expressions import Expr, derived, hoist, literal, strict
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import NUMBER, text
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


def sql_literal(value: str) -> Expr:
    """A VARCHAR2 constant."""
    return literal(value.encode() or None, text(max(1, len(value))))


def sql_number(value: int) -> Expr:
    """A NUMBER constant."""
    return literal(cells.encode_number(value), NUMBER)
