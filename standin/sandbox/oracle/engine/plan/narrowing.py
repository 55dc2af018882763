"""What the conditions on a source say about its columns, so that an index can answer them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sandbox.oracle.engine.functions.expressions import Run
from sandbox.oracle.engine.plan.access import (
    Narrowing,
)
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.sql.syntax import (
    Between,
    ColumnRef,
    Compare,
    Expression,
    InList,
    Logical,
)
from sandbox.oracle.engine.sql.trees import conjuncts
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.interface import Cell, Row


class Narrower:
    """Reads conditions on one source.

    Args:
        own: compiles expressions over the source's own rows.
        base: width of the row of the query around, which comes first.
        is_own: does an expression speak of this query's sources?
    """

    def __init__(self, own: Compiler, base: int, is_own: Callable[[Expression], bool]) -> None:
        self._own, self._base, self._is_own = own, base, is_own

    def read(self, node: Expression, narrowing: Narrowing) -> None:
        """Note what a condition on this source says about its columns."""
        if isinstance(node, Compare):
            pairs = [(node.sign, node.left, node.right), (_TURNED[node.sign], node.right, node.left)]
        elif isinstance(node, Between):
            pairs = [(">=", node.operand, node.low), ("<=", node.operand, node.high)]
        elif isinstance(node, InList):
            self._read_list(node, narrowing)
            return
        elif isinstance(node, Logical) and node.word == "OR":
            self._read_alternatives(node, narrowing)
            return
        else:
            return
        for sign, column, value in pairs:
            if isinstance(column, ColumnRef) and self._is_own(column) and not self._is_own(value):
                left = self._own.value(column)
                if left.place is not None and left.place >= self._base:
                    narrowing.note(sign, left, self._own.value(value), left.place - self._base, self._base)

    def _read_list(self, node: InList, narrowing: Narrowing) -> None:
        if not isinstance(node.operand, ColumnRef) or any(self._is_own(item) for item in node.items):
            return
        left = self._own.value(node.operand)
        if left.place is None or left.place < self._base:
            return
        lists = Narrowing()
        runs = []
        for item in node.items:
            lists.equal.clear()
            lists.note("=", left, self._own.value(item), 0, self._base)
            if 0 not in lists.equal:
                return
            runs.extend(lists.equal[0])
        narrowing.equal.setdefault(left.place - self._base, runs)

    def _read_alternatives(self, node: Logical, narrowing: Narrowing) -> None:
        """(a > :1) or (a = :1 and b > :2), the way to page by a key, bounds `a` from below."""
        lows: dict[int, list[Run]] = {}
        for item in node.items:
            part = Narrowing()
            for condition in conjuncts(item):
                self.read(condition, part)
            bounds = {place: run for place, (run, _) in part.low.items()}
            bounds.update({place: runs[0] for place, runs in part.equal.items() if len(runs) == 1})
            for place, bound in bounds.items():
                lows.setdefault(place, []).append(bound)
        for place, found in lows.items():
            if len(found) == len(node.items):
                narrowing.low.setdefault(place, (_least(found), False))


def _least(runs: Sequence[Run]) -> Run:
    def least(row: Row, env: Env) -> Cell:
        values = [run(row, env) for run in runs]
        return None if None in values else min(values)  # type: ignore[type-var]

    return least


_TURNED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
