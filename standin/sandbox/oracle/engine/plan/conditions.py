"""Conditions as functions of a row, with Oracle's three-valued logic and CHAR comparison.

Two CHAR values (literals are CHAR) compare blank-padded; as soon as a VARCHAR2 is on one side, every
blank counts: binding 'X' against a CHAR(10) finds nothing, here as there.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from sandbox.oracle.engine.functions.conversions import to_number, to_raw, to_text, to_time, to_zoned
from sandbox.oracle.engine.functions.expressions import Condition, Expr, Scope, column_expr, hoist, strict
from sandbox.oracle.engine.sql.syntax import (
    Between,
    Compare,
    Exists,
    Expression,
    InList,
    InQuery,
    IsNull,
    Like,
    Logical,
    Not,
    Query,
    RowValue,
    Subquery,
)
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.compiler import SubqueryPlanner

Test = Callable[[Row, Env], "bool | None"]


def comparable(left: Expr, right: Expr) -> tuple[Expr, Expr]:
    """Convert two values so that their cells compare as Oracle compares them."""
    families = {left.type.family, right.type.family}
    if families == {"text"}:
        if left.type.base is DbType.CHAR and right.type.base is DbType.CHAR:
            return unpadded(left), unpadded(right)
        return left, right
    if len(families) == 1:
        return left, right
    if left.literal and _is_null(left):
        return left, right
    if right.literal and _is_null(right):
        return left, right
    for family, change in (("number", to_number), ("binary", to_number), ("zoned", to_zoned)):
        if family in families:
            return change(left), change(right)
    if "time" in families:
        other = left.type if left.type.family == "time" else right.type
        return to_time(left, other), to_time(right, other)
    if "raw" in families:
        return to_raw(left), to_raw(right)
    return to_text(left), to_text(right)


def _is_null(expr: Expr) -> bool:
    return expr.run((), None) is None  # type: ignore[arg-type]


def unpadded(expr: Expr) -> Expr:
    """A CHAR value without its trailing blanks."""
    return strict(expr.type, lambda cell: cell.rstrip(b" "), expr)


class ConditionCompiler:
    """The part of the compiler that knows conditions."""

    scope: Scope
    planner: SubqueryPlanner

    @abstractmethod
    def value(self, node: Expression) -> Expr:
        """Compile a value."""

    def condition(self, node: Expression) -> Condition:
        """Compile a condition.

        Raises:
            OracleFault: ORA-00920 for something that is a value.
        """
        if isinstance(node, Logical):
            return _logical(node.word, [self.condition(item) for item in node.items])
        if isinstance(node, Not):
            inner = self.condition(node.operand)
            return Condition(_negated(inner.test), inner.uses, inner.volatile)
        if isinstance(node, Compare):
            if isinstance(node.left, RowValue):
                return self._row_compare(node)
            return self.compare(node.sign, self.value(node.left), self.value(node.right))
        if isinstance(node, Between):
            operand = self.value(node.operand)
            return _logical(
                "AND",
                [
                    self.compare(">=", operand, self.value(node.low)),
                    self.compare("<=", operand, self.value(node.high)),
                ],
            )
        if isinstance(node, InList):
            return self._in_list(node)
        if isinstance(node, InQuery):
            return self._in_query(node)
        if isinstance(node, Like):
            return self._like(node)
        if isinstance(node, IsNull):
            return _is_null_test(self.value(node.operand))
        if isinstance(node, Exists):
            return self._exists(node.query)
        raise OracleFault(920, "invalid relational operator")

    def compare(self, sign: str, left: Expr, right: Expr) -> Condition:
        """Compile a comparison of two values."""
        uses, volatile = left.uses | right.uses, left.volatile or right.volatile
        left, right = comparable(left, right)
        return Condition(_comparison(sign, hoist(left).run, hoist(right).run), uses, volatile)

    def _row_compare(self, node: Compare) -> Condition:
        if not isinstance(node.left, RowValue) or node.sign not in ("=", "<>"):
            raise OracleFault(920, "invalid relational operator")
        if isinstance(node.right, Subquery):
            result = self._in_query(InQuery(node.left, node.right.query))
        elif isinstance(node.right, RowValue) and len(node.left.items) == len(node.right.items):
            result = _logical(
                "AND",
                [
                    self.compare("=", self.value(a), self.value(b))
                    for a, b in zip(node.left.items, node.right.items, strict=True)
                ],
            )
        else:
            raise OracleFault(920, "invalid relational operator")
        return result if node.sign == "=" else Condition(_negated(result.test), result.uses, result.volatile)

    def _in_list(self, node: InList) -> Condition:
        if isinstance(node.operand, RowValue):
            return _logical(
                "OR", [self._row_compare(Compare("=", node.operand, item)) for item in node.items]
            )
        operand = self.value(node.operand)
        items = [self.value(item) for item in node.items]
        if len(items) > 1000:
            raise OracleFault(1795, "maximum number of expressions in a list is 1000")
        pairs = [comparable(operand, item) for item in items]
        same = len({id(left.run) for left, _ in pairs}) == 1
        if same and all(right.literal for _, right in pairs):
            wanted = {right.run((), None) for _, right in pairs}  # type: ignore[arg-type]
            return Condition(_member(pairs[0][0].run, wanted), operand.uses, operand.volatile)
        if len(items) == 1:
            return self.compare("=", operand, items[0])
        return _logical("OR", [self.compare("=", operand, item) for item in items])

    def _in_query(self, node: InQuery) -> Condition:
        operands = node.operand.items if isinstance(node.operand, RowValue) else (node.operand,)
        plan = self.planner.plan(node.query, self.scope)
        if len(plan.types) != len(operands):
            raise OracleFault(913 if len(plan.types) > len(operands) else 947, "too many values")
        lefts, rights = [], []
        for place, operand in enumerate(operands):
            kind = plan.types[place]
            column = column_expr(place, kind)
            left, right = comparable(self.value(operand), column)
            lefts.append(left)
            rights.append(right.run)
        runs = [left.run for left in lefts]
        uses = frozenset().union(plan.uses, *(left.uses for left in lefts))
        slot, correlated = id(plan), bool(plan.uses)

        def members(row: Row, env: Env) -> tuple[set[tuple[Cell, ...]], bool]:
            found = {tuple([run(inner, env) for run in rights]) for inner in plan.rows(env, row)}
            return found, any(None in key for key in found)

        def test(row: Row, env: Env) -> bool | None:
            cached = None if correlated else env.cache.get(slot)
            found, with_null = cached if isinstance(cached, tuple) else members(row, env)
            env.cache[slot] = (found, with_null)
            if not found:
                return False
            key = tuple([run(row, env) for run in runs])
            if None in key:
                return None
            return True if key in found else (None if with_null else False)

        return Condition(test, uses)

    def _exists(self, query: Query) -> Condition:
        plan = self.planner.plan(query, self.scope)
        slot, correlated = id(plan), bool(plan.uses)

        def test(row: Row, env: Env) -> bool | None:
            if not correlated and slot in env.cache:
                return bool(env.cache[slot])
            result = next(iter(plan.rows(env, row)), None) is not None
            env.cache[slot] = result
            return result

        return Condition(test, plan.uses)

    def _like(self, node: Like) -> Condition:
        operand, pattern = to_text(self.value(node.operand)), hoist(to_text(self.value(node.pattern)))
        escape = to_text(self.value(node.escape)) if node.escape is not None else None
        subject, model = operand.run, pattern.run
        mark = escape.run if escape else None

        def test(row: Row, env: Env) -> bool | None:
            cell, like = subject(row, env), model(row, env)
            if cell is None or like is None:
                return None
            return like_pattern(like, mark(row, env) if mark else None).fullmatch(cell.decode()) is not None

        return Condition(test, operand.uses | pattern.uses)


@lru_cache(maxsize=1024)
def like_pattern(like: bytes, mark: bytes | None) -> re.Pattern[str]:
    """Regular expression of a LIKE pattern."""
    text, escape = like.decode(), mark.decode() if mark else None
    result, at = [], 0
    while at < len(text):
        character = text[at]
        if character == escape:
            at += 1
            if at >= len(text):
                raise OracleFault(1424, "missing or illegal character following the escape character")
            result.append(re.escape(text[at]))
        else:
            result.append({"%": ".*", "_": "."}.get(character) or re.escape(character))
        at += 1
    return re.compile("".join(result), re.DOTALL)


def _member(run: Callable[[Row, Env], Cell], wanted: set[Cell]) -> Test:
    def test(row: Row, env: Env) -> bool | None:
        cell = run(row, env)
        return None if cell is None else cell in wanted

    return test


def _is_null_test(expr: Expr) -> Condition:
    run = expr.run
    return Condition(lambda row, env: run(row, env) is None, expr.uses, expr.volatile)


def _negated(test: Test) -> Test:
    def negated(row: Row, env: Env) -> bool | None:
        result = test(row, env)
        return None if result is None else not result

    return negated


def _comparison(sign: str, left: Callable[[Row, Env], Cell], right: Callable[[Row, Env], Cell]) -> Test:
    decide = _SIGNS[sign]

    def test(row: Row, env: Env) -> bool | None:
        first = left(row, env)
        if first is None:
            return None
        second = right(row, env)
        return None if second is None else decide(first, second)

    return test


_SIGNS: dict[str, Callable[[bytes, bytes], bool]] = {
    "=": bytes.__eq__,
    "<>": bytes.__ne__,
    "<": bytes.__lt__,
    "<=": bytes.__le__,
    ">": bytes.__gt__,
    ">=": bytes.__ge__,
}


def _logical(word: str, items: list[Condition]) -> Condition:
    tests = [item.test for item in items]
    uses = frozenset().union(*(item.uses for item in items))
    decisive = word == "OR"

    def test(row: Row, env: Env) -> bool | None:
        result: bool | None = not decisive
        for each in tests:
            outcome = each(row, env)
            if outcome is decisive:
                return decisive
            if outcome is None:
                result = None
        return result

    return Condition(test, uses, any(item.volatile for item in items))
