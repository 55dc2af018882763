"""GROUP BY, HAVING and group functions.

Group keys and group functions are worked out once per group; further expressions see them as columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from decimal import Decimal
from typing import TYPE_CHECKING

from sandbox.oracle import cells
from sandbox.oracle.engine.functions import registered
from sandbox.oracle.engine.functions.conversions import to_number, to_text
from sandbox.oracle.engine.functions.expressions import Expr, Run, Scope, column_expr
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.sql.syntax import Call, Item, Literal, Select, SetQuery, Star
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Cell, OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.query import QueryPlanner

Gather = Callable[[list[Cell]], Cell]
RowsOf = Callable[[Env, Row], Iterable[Row]]


def aggregates_in(node: object) -> Iterator[Call]:
    """Group functions of an expression, outside its subqueries and windows."""
    if isinstance(node, Call):
        if node.over is None and registered.is_aggregate(node.name):
            yield node
            return
        if node.over is not None:
            for part in (*node.args, *node.over.partition, *node.over.order):
                yield from aggregates_in(part)
            return
    if isinstance(node, Select | SetQuery) or not dataclasses.is_dataclass(node) or isinstance(node, type):
        return
    for name in node.__slots__:  # type: ignore[attr-defined]
        value = getattr(node, name)
        for part in value if isinstance(value, tuple) else (value,):
            for inner in part if isinstance(part, tuple) else (part,):
                yield from aggregates_in(inner)


def plan(
    query: Select,
    items: Sequence[Item],
    rows: RowsOf,
    scope: Scope,
    compiler: Compiler,
    planner: QueryPlanner,
) -> tuple[RowsOf, Compiler, frozenset[int]] | None:
    """Plan grouping; None when the query has none.

    Returns:
        What yields one row per group (behind the row of the query around: keys, then results), the
        compiler for expressions over them, and the places of the ungrouped row they used.
    """
    calls: dict[Call, None] = {}
    for item in items:
        calls.update(dict.fromkeys(aggregates_in(item.expression)))
    for order in query.order:
        calls.update(dict.fromkeys(aggregates_in(order.expression)))
    calls.update(dict.fromkeys(aggregates_in(query.having)))
    if not calls and not query.group:
        return None
    width = scope.parent.width if scope.parent else 0
    keys = [compiler.value(node) for node in query.group]
    gathered = [_gather(call, compiler) for call in calls]
    grouped = Scope(
        parent=scope.parent, width=width + len(keys) + len(gathered), binds=scope.binds, grouped=True
    )
    grouped.entries = scope.entries
    place = width
    for node, key in zip(query.group, keys, strict=True):
        expr = column_expr(place, key.type)
        grouped.substitutes[node] = expr
        if key.place is not None:
            grouped.group_places[key.place] = expr
        place += 1
    for call, (_, _, kind, _) in zip(calls, gathered, strict=True):
        grouped.substitutes[call] = column_expr(place, kind)
        place += 1
    result = Compiler(grouped, planner)
    having = result.condition(query.having) if query.having is not None else None
    key_runs = [key.run for key in keys]
    inputs = [value for value, _, _, _ in gathered]
    finishers = [finish for _, finish, _, _ in gathered]
    uses = frozenset().union(*(key.uses for key in keys), *(used for _, _, _, used in gathered))

    def produce(env: Env, outer: Row) -> Iterator[Row]:
        groups: dict[tuple[Cell, ...], list[list[Cell]]] = {}
        for row in rows(env, outer):
            key = tuple([run(row, env) for run in key_runs])
            columns = groups.get(key)
            if columns is None:
                columns = groups[key] = [[] for _ in inputs]
            for values, value in zip(columns, inputs, strict=True):
                cell = value(row, env)
                if cell is not None:
                    values.append(cell)
        if not groups and not key_runs:
            groups[()] = [[] for _ in inputs]
        for key, columns in groups.items():
            results = [finish(values) for finish, values in zip(finishers, columns, strict=True)]
            row = (*outer, *key, *results)
            if having is None or having.test(row, env):
                yield row

    return produce, result, uses


_ONE = cells.encode_number(1)


def _gather(call: Call, compiler: Compiler) -> tuple[Run, Gather, SqlType, frozenset[int]]:
    """What a group function takes of each row, and how it ends; NULLs never reach it."""
    name = call.name
    if name == "COUNT" and (not call.args or isinstance(call.args[0], Star)):
        return (lambda row, env: _ONE), _count, sql_types.NUMBER, frozenset()
    if not call.args:
        raise OracleFault(938, "not enough arguments for function")
    operand = compiler.value(call.args[0])
    if name == "COUNT":
        finish, kind = _count, sql_types.NUMBER
    elif name in ("MIN", "MAX"):
        finish, kind = (_least if name == "MIN" else _greatest), operand.type
    elif name in ("SUM", "AVG"):
        operand, finish, kind = to_number(operand), (_sum if name == "SUM" else _average), sql_types.NUMBER
    elif name == "LISTAGG":
        return _list_aggregate(call, operand)
    else:
        raise OracleFault(900, f"group function {name} is not simulated")
    if call.distinct:
        inner = finish
        finish = lambda values: inner(list(dict.fromkeys(values)))  # noqa: E731
    return operand.run, finish, kind, operand.uses


def _list_aggregate(call: Call, operand: Expr) -> tuple[Run, Gather, SqlType, frozenset[int]]:
    separator = call.args[1] if len(call.args) > 1 else None
    between = separator.cell or b"" if isinstance(separator, Literal) else b""
    text = to_text(operand)
    return text.run, (lambda values: between.join(sorted(values)) or None), sql_types.VARCHAR, text.uses


def _count(values: list[Cell]) -> Cell:
    return cells.encode_number(len(values))


def _least(values: list[Cell]) -> Cell:
    return min(values) if values else None  # type: ignore[type-var]


def _greatest(values: list[Cell]) -> Cell:
    return max(values) if values else None  # type: ignore[type-var]


def _total(values: list[Cell]) -> Decimal:
    total = Decimal(0)
    for cell in values:
        total = cells.NUMBER_CONTEXT.add(total, cells.decode_number(cell or cells.ZERO))
    return total


def _sum(values: list[Cell]) -> Cell:
    return cells.encode_number(_total(values)) if values else None


def _average(values: list[Cell]) -> Cell:
    if not values:
        return None
    return cells.encode_number(cells.NUMBER_CONTEXT.divide(_total(values), Decimal(len(values))))
