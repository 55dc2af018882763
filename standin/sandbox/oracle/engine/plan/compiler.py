"""The syntax tree to compiled values: names, operators, CASE, casts, subqueries as values."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from decimal import Decimal, DivisionByZero, InvalidOperation
from typing import Protocol

from sandbox.oracle import cells
from sandbox.oracle.engine.functions import registered, time_arithmetic
from sandbox.oracle.engine.functions.conversions import convert, keeper, to_number, to_text
from sandbox.oracle.engine.functions.expressions import (
    Expr,
    Scope,
    derived,
    hoist,
    literal,
    strict,
    text_literal,
)
from sandbox.oracle.engine.plan.conditions import ConditionCompiler
from sandbox.oracle.engine.sql.syntax import (
    Binary,
    BindRef,
    Call,
    Case,
    Cast,
    ColumnRef,
    Expression,
    Literal,
    Negate,
    Query,
    RowValue,
    Star,
    Subquery,
)
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.store.tables import StoredColumn
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

ROW_NUMBER = ColumnRef(("ROWNUM",))
_SEQUENCE_WORDS = ("NEXTVAL", "CURRVAL")


class CompiledQuery(Protocol):
    """A planned query."""

    types: list[SqlType]
    uses: frozenset[int]

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """Run it; `outer` is the row of the query around."""


class SubqueryPlanner(Protocol):
    """Who plans queries, and knows sequences."""

    def plan(self, query: Query, parent: Scope | None) -> CompiledQuery:
        """Plan a query."""

    def sequence(self, parts: tuple[str, ...]) -> Callable[[Env], bytes] | None:
        """What yields the values of `[owner.]name.nextval`, None when there is no such sequence."""


class Compiler(ConditionCompiler):
    """Compiles the expressions of one query block."""

    def __init__(self, scope: Scope, planner: SubqueryPlanner) -> None:
        self.scope, self.planner = scope, planner

    def value(self, node: Expression) -> Expr:
        """Compile a value.

        Raises:
            OracleFault: unknown names, wrong types.
        """
        found = self._substitute(node)
        if found is not None:
            return found
        if isinstance(node, Literal):
            if node.type is DbType.CHAR:
                return text_literal(node.cell)
            return literal(node.cell, sql_types.NUMBER if node.cell else sql_types.text(1))
        if isinstance(node, BindRef):
            return self._bind(node)
        if isinstance(node, ColumnRef):
            return self._column(node)
        if isinstance(node, Binary):
            return self._binary(node)
        if isinstance(node, Negate):
            operand = self.value(node.operand)
            if operand.type.family in time_arithmetic.GAPS:
                return time_arithmetic.negated(operand)
            return strict(sql_types.NUMBER, _negate, to_number(operand))
        if isinstance(node, Case):
            return self._case(node)
        if isinstance(node, Cast):
            return self._cast(node)
        if isinstance(node, Call):
            return self._call(node)
        if isinstance(node, Subquery):
            return self._subquery(node.query)
        if isinstance(node, RowValue | Star):
            raise OracleFault(936, "missing expression")
        raise OracleFault(936, "missing expression")

    def _substitute(self, node: Expression) -> Expr | None:
        scope: Scope | None = self.scope
        while scope is not None:
            found = scope.substitutes.get(node)
            if found is not None:
                return found
            scope = scope.parent
        return None

    def _bind(self, node: BindRef) -> Expr:
        index = node.index
        kinds = self.scope.binds
        kind = kinds[index] if index < len(kinds) else sql_types.VARCHAR

        def run(row: Row, env: Env) -> Cell:
            return env.binds[index]

        return Expr(kind, run)

    def _column(self, node: ColumnRef) -> Expr:
        parts = node.parts
        found = self.scope.resolve(parts)
        if found is not None:
            if self.scope.grouped and found.place is not None:
                width = self.scope.parent.width if self.scope.parent else 0
                if found.place in self.scope.group_places:
                    return self.scope.group_places[found.place]
                if found.place >= width:
                    raise OracleFault(979, "not a GROUP BY expression")
            return found
        if parts == ("ROWNUM",):
            if self.scope.row_number is None:
                raise OracleFault(976, "Specified pseudocolumn or operator not allowed here.")
            place = self.scope.row_number
            return Expr(sql_types.NUMBER, lambda row, env: row[place], frozenset([place]), place)
        if len(parts) > 1 and parts[-1] in _SEQUENCE_WORDS:
            values = self.planner.sequence(parts)
            if values is not None:
                return Expr(sql_types.NUMBER, lambda row, env: values(env), volatile=True)
            raise OracleFault(2289, "sequence does not exist")
        shown = ".".join(f'"{part}"' for part in parts)
        raise OracleFault(904, f"{shown}: invalid identifier", name=node.parts)

    def _binary(self, node: Binary) -> Expr:
        left, right = self.value(node.left), self.value(node.right)
        if node.sign == "||":
            left, right = hoist(to_text(left)), hoist(to_text(right))
            first, second = left.run, right.run

            is_large = DbType.CLOB in (left.type.base, right.type.base)

            def concatenate(row: Row, env: Env) -> Cell:
                whole = (first(row, env) or b"") + (second(row, env) or b"")
                if len(whole) > 4000 and not is_large:
                    extended = env.session.database.parameters.get("max_string_size") == "EXTENDED"
                    if not extended or len(whole) > 32767:
                        raise OracleFault(1489, "result of string concatenation is too long")
                return whole or None

            chars = (left.type.chars or 1000) + (right.type.chars or 1000)
            kind = sql_types.CLOB if is_large else sql_types.text(chars)
            return derived(kind, concatenate, left, right)
        timed = time_arithmetic.combine(node.sign, left, right)
        if timed is not None:
            return timed
        operate = _OPERATORS[node.sign]
        return strict(sql_types.NUMBER, operate, to_number(left), to_number(right))

    def _case(self, node: Case) -> Expr:
        tests = []
        uses: frozenset[int] = frozenset()
        operand = self.value(node.operand) if node.operand is not None else None
        for test, _ in node.branches:
            condition = (
                self.condition(test) if operand is None else self.compare("=", operand, self.value(test))
            )
            uses |= condition.uses
            tests.append(condition.test)
        values = [self.value(value) for _, value in node.branches]
        values.append(
            self.value(node.otherwise) if node.otherwise is not None else literal(None, sql_types.text(1))
        )
        values = registered.same_type(values)
        pairs = list(zip(tests, [value.run for value in values], strict=False))
        otherwise = values[-1].run

        def run(row: Row, env: Env) -> Cell:
            for test, value in pairs:
                if test(row, env):
                    return value(row, env)
            return otherwise(row, env)

        result = derived(values[0].type, run, *values)
        result.uses |= uses
        return result

    def _cast(self, node: Cast) -> Expr:
        target = sql_types.from_name(node.type)
        operand = self.value(node.operand)
        converted = convert(operand, target)
        if target.base in (DbType.VARCHAR2, DbType.CHAR):
            chars = target.chars
            converted = strict(
                target,
                lambda cell: cell.decode(errors=cells.AS_IT_IS)[:chars].encode(errors=cells.AS_IT_IS),
                converted,
            )
        keep = keeper(StoredColumn("CAST", target), "", "")
        if keep is None:
            return Expr(target, converted.run, converted.uses, None, volatile=converted.volatile)
        return strict(target, keep, converted)

    def _call(self, node: Call) -> Expr:
        if registered.is_aggregate(node.name) or node.over is not None:
            raise OracleFault(934, "group function is not allowed here")
        if node.name == "DECODE":
            return self._decode(node)
        if node.name in ("NVL2", "GROUPING"):
            return registered.nvl2([self.value(arg) for arg in node.args])
        build = registered.FUNCTIONS.get(node.name.removeprefix("SYS."))
        if build is None:
            raise OracleFault(904, f'"{node.name}": invalid identifier', name=tuple(node.name.split(".")))
        return build([self.value(arg) for arg in node.args])

    def _decode(self, node: Call) -> Expr:
        if len(node.args) < 3:
            raise OracleFault(938, "not enough arguments for function")
        args = [self.value(arg) for arg in node.args]
        operand, rest = args[0], args[1:]
        searches = rest[0 : len(rest) // 2 * 2 : 2]
        values = rest[1 : len(rest) // 2 * 2 : 2]
        values.append(rest[-1] if len(rest) % 2 else literal(None, sql_types.text(1)))
        values = registered.same_type(values)
        subject = hoist(operand).run
        pairs = []
        for search, value in zip(searches, values, strict=False):
            equal = self.compare("=", operand, search).test
            pairs.append((equal, hoist(search).run, value.run))
        otherwise = values[-1].run

        def run(row: Row, env: Env) -> Cell:
            absent = subject(row, env) is None
            for equal, search, value in pairs:
                if search(row, env) is None if absent else equal(row, env):
                    return value(row, env)
            return otherwise(row, env)

        return derived(values[0].type, run, *args)

    def _subquery(self, query: Query) -> Expr:
        plan = self.planner.plan(query, self.scope)
        if len(plan.types) != 1:
            raise OracleFault(913, "too many values")

        # evaluated before there is a row (index bounds), it still expects one of this width
        blank = None if plan.uses else (None,) * self.scope.width

        def run(row: Row, env: Env) -> Cell:
            result: Cell = None
            for count, found in enumerate(plan.rows(env, row if blank is None else blank)):
                if count:
                    raise OracleFault(1427, "single-row subquery returns more than one row")
                result = found[0]
            return result

        return hoist(Expr(plan.types[0], run, plan.uses))


def _negate(cell: bytes) -> bytes:
    return cells.encode_number(_CONTEXT.minus(cells.decode_number(cell)))


def _arithmetic(operate: Callable[[Decimal, Decimal], Decimal]) -> Callable[[bytes, bytes], bytes]:
    def run(left: bytes, right: bytes) -> bytes:
        try:
            return cells.encode_number(operate(cells.decode_number(left), cells.decode_number(right)))
        except (DivisionByZero, InvalidOperation):
            raise OracleFault(1476, "divisor is equal to zero") from None
        except ValueError:
            raise OracleFault(1426, "numeric overflow") from None

    return run


_CONTEXT = cells.NUMBER_CONTEXT
_OPERATORS = {
    "+": _arithmetic(_CONTEXT.add),
    "-": _arithmetic(_CONTEXT.subtract),
    "*": _arithmetic(_CONTEXT.multiply),
    "/": _arithmetic(_CONTEXT.divide),
}
