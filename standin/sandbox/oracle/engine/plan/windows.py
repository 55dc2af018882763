"""Analytic functions: ROW_NUMBER, RANK, NTILE, COUNT, SUM, MIN, MAX, LAG, LEAD with OVER (...).

Each adds a column behind the row; a window with an order runs to the current row, as in Oracle.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import to_number
from sandbox.oracle.engine.functions.expressions import Expr, Run, column_expr
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.sorting import sort_rows
from sandbox.oracle.engine.sql.syntax import Call, Item, Order, Select, SetQuery, Star
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Cell, OracleFault, Row

RowsOf = Callable[[Env, Row], Iterable[Row]]
Partition = Callable[[list[Row], Env], list[Cell]]


def windows_in(node: object) -> Iterator[Call]:
    """Analytic calls of an expression."""
    if isinstance(node, Call) and node.over is not None:
        yield node
        return
    if isinstance(node, Select | SetQuery) or not dataclasses.is_dataclass(node) or isinstance(node, type):
        return
    for name in node.__slots__:  # type: ignore[attr-defined]
        value = getattr(node, name)
        for part in value if isinstance(value, tuple) else (value,):
            for inner in part if isinstance(part, tuple) else (part,):
                yield from windows_in(inner)


def apply(query: Select, items: Sequence[Item], rows: RowsOf, compiler: Compiler) -> tuple[RowsOf, Compiler]:
    """Add the columns of all analytic calls; the compiler then knows them."""
    calls: dict[Call, None] = {}
    for item in items:
        calls.update(dict.fromkeys(windows_in(item.expression)))
    for order in query.order:
        calls.update(dict.fromkeys(windows_in(order.expression)))
    for call in calls:
        rows = _add(call, rows, compiler)
    return rows, compiler


def _add(call: Call, rows: RowsOf, compiler: Compiler) -> RowsOf:
    window = call.over
    if window is None:
        raise OracleFault(30484, "missing window specification for this function")
    partition = [compiler.value(node).run for node in window.partition]
    order = [(compiler.value(item.expression).run, item) for item in window.order]
    work, kind = _work(call, compiler, order)
    place = compiler.scope.width
    compiler.scope.width += 1
    compiler.scope.substitutes[call] = column_expr(place, kind)

    def produce(env: Env, outer: Row) -> Iterator[Row]:
        groups: dict[tuple[Cell, ...], list[Row]] = {}
        for row in rows(env, outer):
            groups.setdefault(tuple([run(row, env) for run in partition]), []).append(row)
        for group in groups.values():
            ordered = sort_rows(group, order, env)
            for row, cell in zip(ordered, work(ordered, env), strict=True):
                yield (*row, *(None,) * (place - len(row)), cell)

    return produce


def _work(call: Call, compiler: Compiler, order: Sequence[tuple[Run, Order]]) -> tuple[Partition, SqlType]:
    name = call.name
    if name == "ROW_NUMBER":
        return (
            lambda rows, env: [cells.encode_number(at) for at in range(1, len(rows) + 1)]
        ), sql_types.NUMBER
    if name in ("RANK", "DENSE_RANK"):
        return _rank(order, dense=name == "DENSE_RANK"), sql_types.NUMBER
    if name == "NTILE":
        return _tile(compiler.value(call.args[0])), sql_types.NUMBER
    if name in ("LAG", "LEAD"):
        value = compiler.value(call.args[0])
        return _shifted(value, -1 if name == "LAG" else 1), value.type
    if name in ("COUNT", "SUM", "MIN", "MAX"):
        return _running(call, compiler, bool(order))
    raise OracleFault(900, f"analytic function {name} is not simulated")


def _rank(order: Sequence[tuple[Run, Order]], *, dense: bool) -> Partition:
    def rank(rows: list[Row], env: Env) -> list[Cell]:
        result: list[Cell] = []
        last: list[Cell] | None = None
        number = 0
        for at, row in enumerate(rows, 1):
            key = [run(row, env) for run, _ in order]
            if key != last:
                number, last = number + 1 if dense else at, key
            result.append(cells.encode_number(number))
        return result

    return rank


def _tile(buckets: Expr) -> Partition:
    def tile(rows: list[Row], env: Env) -> list[Cell]:
        count = cells.decode_integer(buckets.run((), env) or b"\xc1\x02")
        size, larger = divmod(len(rows), count)
        result: list[Cell] = []
        for bucket in range(count):
            result.extend([cells.encode_number(bucket + 1)] * (size + (bucket < larger)))
        return result

    return tile


def _shifted(value: Expr, step: int) -> Partition:
    def shift(rows: list[Row], env: Env) -> list[Cell]:
        found = [value.run(row, env) for row in rows]
        return [None, *found[:-1]] if step < 0 else [*found[1:], None]

    return shift


def _running(call: Call, compiler: Compiler, ordered: bool) -> tuple[Partition, SqlType]:
    counting = call.name == "COUNT"
    star = not call.args or isinstance(call.args[0], Star)
    operand = None if star else compiler.value(call.args[0])
    if call.name == "SUM" and operand is not None:
        operand = to_number(operand)
    kind = sql_types.NUMBER if counting or operand is None or call.name == "SUM" else operand.type

    def running(rows: list[Row], env: Env) -> list[Cell]:
        result: list[Cell] = []
        state: Cell = cells.ZERO if counting else None
        for row in rows:
            cell = operand.run(row, env) if operand is not None else b"\x80"
            if cell is not None:
                state = _next(call.name, state, cell)
            result.append(state)
        return result if ordered else [state] * len(rows)

    return running, kind


def _next(name: str, state: Cell, cell: bytes) -> bytes:
    if name == "COUNT":
        return cells.encode_number(cells.decode_integer(state or cells.ZERO) + 1)
    if state is None:
        return cell
    if name == "SUM":
        return cells.encode_number(
            cells.NUMBER_CONTEXT.add(cells.decode_number(state), cells.decode_number(cell))
        )
    return min(state, cell) if name == "MIN" else max(state, cell)
