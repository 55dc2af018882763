"""From a query to a plan: which source first, which condition where, what comes out.

Conditions are cut at AND; each runs as early as the places it uses are there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import itemgetter

from sandbox.oracle import cells
from sandbox.oracle.engine.functions.conversions import convert, to_number
from sandbox.oracle.engine.functions.expressions import (
    Condition,
    Expr,
    Run,
    Scope,
    all_true,
    column_expr,
    hoist,
)
from sandbox.oracle.engine.plan import grouping, windows
from sandbox.oracle.engine.plan.access import TableAccess
from sandbox.oracle.engine.plan.compiler import ROW_NUMBER, Compiler
from sandbox.oracle.engine.plan.sorting import sort_rows
from sandbox.oracle.engine.plan.sources import FromClause, SourceFinder
from sandbox.oracle.engine.sql.syntax import (
    ColumnRef,
    Expression,
    Item,
    Literal,
    NamedQuery,
    Order,
    Query,
    Select,
    SetQuery,
)
from sandbox.oracle.engine.sql.trees import conjuncts, mentions
from sandbox.oracle.engine.state.context import Env
from sandbox.oracle.engine.store.tables import Table
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Cell, Column, DbType, OracleFault, Row

RowsOf = Callable[[Env, Row], Iterable[Row]]


@dataclass
class QueryPlan:
    """A planned query: its columns, and what yields its rows."""

    columns: tuple[Column, ...]
    types: list[SqlType]
    uses: frozenset[int]
    produce: RowsOf
    locks: TableAccess | None = None
    tables: list[Table] = field(default_factory=list)

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        """Run it."""
        return self.produce(env, outer)


class QueryPlanner:
    """Plans the queries of one statement; `words` are all names in its text."""

    def __init__(self, finder: SourceFinder, binds: Sequence[SqlType], words: frozenset[str]) -> None:
        self.finder, self.binds, self.words = finder, binds, words
        self.named: dict[str, NamedQuery] = {}
        self._within: list[NamedQuery] = []

    def sequence(self, parts: tuple[str, ...]) -> Callable[[Env], bytes] | None:
        """See `compiler.SubqueryPlanner`."""
        return self.finder.sequence(parts)

    def plan(self, query: Query, parent: Scope | None) -> QueryPlan:
        """Plan a query; `parent` is the scope of the query around."""
        before = dict(self.named)
        self.named.update((each.name, each) for each in query.named)
        try:
            if isinstance(query, SetQuery):
                return self._plan_set(query, parent)
            return self._plan_select(query, parent)
        finally:
            self.named = before

    def plan_named(self, named: NamedQuery, parent: Scope | None) -> QueryPlan:
        """Plan a name of a WITH clause.

        Raises:
            OracleFault: ORA-32039 and ORA-00900 when it reads itself, ORA-32038 for too few names.
        """
        if named in self._within:
            if not named.columns:
                raise OracleFault(32039, "recursive WITH clause must have column alias list")
            raise OracleFault(900, "a recursive WITH clause is not simulated")
        self._within.append(named)
        try:
            plan = self.plan(named.query, parent)
        finally:
            self._within.pop()
        if not named.columns:
            return plan
        if len(named.columns) != len(plan.columns):
            raise OracleFault(
                32038, "number of WITH clause column names does not match number of elements in select list"
            )
        renamed = [replace(old, name=new) for old, new in zip(plan.columns, named.columns, strict=True)]
        return replace(plan, columns=tuple(renamed))

    def _plan_set(self, query: SetQuery, parent: Scope | None) -> QueryPlan:
        left, right = self.plan(query.left, parent), self.plan(query.right, parent)
        if len(left.types) != len(right.types):
            raise OracleFault(1789, "query block has incorrect number of result columns")
        kinds = [_wider(a, b) for a, b in zip(left.types, right.types, strict=True)]
        first, second = _adapted(left, kinds), _adapted(right, kinds)
        word = query.word

        def produce(env: Env, outer: Row) -> Iterable[Row]:
            if word == "UNION ALL":
                yield from first(env, outer)
                yield from second(env, outer)
            elif word == "UNION":
                yield from dict.fromkeys([*first(env, outer), *second(env, outer)])
            else:
                others = set(second(env, outer))
                keep = word == "INTERSECT"
                yield from (row for row in dict.fromkeys(first(env, outer)) if (row in others) is keep)

        columns = tuple(kind.column(column.name) for kind, column in zip(kinds, left.columns, strict=True))
        result: RowsOf = produce
        if query.order:
            result = self._ordered_output(result, columns, query.order)
        result = self._limited(result, query, parent)
        return QueryPlan(columns, kinds, left.uses | right.uses, result, tables=left.tables + right.tables)

    def _ordered_output(self, produce: RowsOf, columns: Sequence[Column], order: Sequence[Order]) -> RowsOf:
        keys: list[tuple[Run, Order]] = []
        names = [column.name for column in columns]
        for item in order:
            place = _position(item.expression, len(columns))
            if (
                place is None
                and isinstance(item.expression, ColumnRef)
                and item.expression.parts[-1] in names
            ):
                place = names.index(item.expression.parts[-1])
            if place is None:
                raise OracleFault(1785, "ORDER BY item must be the number of a SELECT-list expression")
            keys.append((_place(place), item))
        return lambda env, outer: sort_rows(produce(env, outer), keys, env)

    def _plan_select(self, query: Select, parent: Scope | None) -> QueryPlan:
        width = parent.width if parent else 0
        scope = Scope(parent=parent, width=width, binds=self.binds)
        compiler = Compiler(scope, self)
        clause = FromClause(self, scope, compiler)
        rest = clause.plan(query.sources, conjuncts(query.where))
        row_numbered = [node for node in rest if mentions(node, ROW_NUMBER)]
        filters = [compiler.condition(node) for node in rest if node not in row_numbered]
        uses_row_number = bool(row_numbered) or any(
            mentions(item.expression, ROW_NUMBER) for item in query.items
        )
        rows = _filtered(clause.produce, filters)
        uses = [condition.uses for condition in filters] + [clause.uses]
        if uses_row_number:
            scope.row_number = scope.width
            scope.width += 1
            tests = [compiler.condition(node) for node in row_numbered]
            rows = _numbered(rows, tests, scope.row_number)
            uses.extend(test.uses for test in tests)
        items = clause.expand(query.items)
        rows, compiler, outputs_uses = self._grouped(query, items, rows, scope, compiler)
        uses.append(outputs_uses)
        rows, compiler = windows.apply(query, items, rows, compiler)
        outputs = [compiler.value(item.expression) for item in items]
        order = self._order(query, items, outputs, compiler)
        uses.extend(output.uses for output in outputs)
        rows, sort_after = self._sorted(query, rows, order, outputs, clause)
        produce = _projected(rows, outputs, compiler.scope.width)
        if query.distinct:
            inner = produce
            produce = lambda env, outer: dict.fromkeys(inner(env, outer))  # noqa: E731
        if sort_after:
            produce = self._ordered_output(produce, _columns(items, outputs), query.order)
        produce = self._limited(produce, query, parent)
        outer_uses = frozenset(place for used in uses for place in used if place < width)
        plan = QueryPlan(_columns(items, outputs), [output.type for output in outputs], outer_uses, produce)
        plan.tables = clause.tables
        if query.for_update:
            plan.locks = clause.locks()
        return plan

    def _grouped(
        self, query: Select, items: Sequence[Item], rows: RowsOf, scope: Scope, compiler: Compiler
    ) -> tuple[RowsOf, Compiler, frozenset[int]]:
        grouped = grouping.plan(query, items, rows, scope, compiler, self)
        return grouped if grouped is not None else (rows, compiler, frozenset())

    def _order(
        self, query: Select, items: Sequence[Item], outputs: Sequence[Expr], compiler: Compiler
    ) -> list[tuple[Expr, Order]]:
        """What to sort by: positions and aliases mean output columns."""
        result = []
        names = {_name(item): output for item, output in zip(reversed(items), reversed(outputs), strict=True)}
        for order in query.order:
            place = _position(order.expression, len(outputs))
            node = order.expression
            if place is not None:
                result.append((outputs[place], order))
            elif isinstance(node, ColumnRef) and len(node.parts) == 1 and node.parts[0] in names:
                result.append((names[node.parts[0]], order))
            else:
                result.append((compiler.value(node), order))
        return result

    def _sorted(
        self,
        query: Select,
        rows: RowsOf,
        order: list[tuple[Expr, Order]],
        outputs: Sequence[Expr],
        clause: FromClause,
    ) -> tuple[RowsOf, bool]:
        if not order:
            return rows, False
        if query.distinct:
            return rows, True
        if not query.group and clause.sorted_by([(expr, item.descending) for expr, item in order]):
            return rows, False
        keys = [(hoist(expr).run, item) for expr, item in order]
        return (lambda env, outer: sort_rows(rows(env, outer), keys, env)), False

    def _limited(self, produce: RowsOf, query: Query, parent: Scope | None) -> RowsOf:
        if query.offset is None and query.limit is None:
            return produce
        compiler = Compiler(Scope(parent=parent, width=parent.width if parent else 0, binds=self.binds), self)
        offset = to_number(compiler.value(query.offset)).run if query.offset is not None else None
        limit = to_number(compiler.value(query.limit)).run if query.limit is not None else None

        def limited(env: Env, outer: Row) -> Iterable[Row]:
            start = max(0, _whole(offset(outer, env))) if offset else 0
            stop = start + max(0, _whole(limit(outer, env))) if limit else None
            return islice(produce(env, outer), start, stop)

        return limited


def _whole(cell: Cell) -> int:
    return cells.decode_integer(cell) if cell is not None else 0


def _place(place: int) -> Run:
    return lambda row, env: row[place]


def _position(node: Expression, count: int) -> int | None:
    if isinstance(node, Literal) and node.type is DbType.NUMBER and node.cell is not None:
        position = cells.decode_integer(node.cell)
        if not 1 <= position <= count:
            raise OracleFault(1785, "ORDER BY item must be the number of a SELECT-list expression")
        return position - 1
    return None


def _wider(left: SqlType, right: SqlType) -> SqlType:
    if left.family != right.family:
        if left.family == "text" and left.chars <= 1:
            return right
        return left
    return right if (right.size, right.chars) > (left.size, left.chars) and left.base is right.base else left


def _adapted(plan: QueryPlan, kinds: Sequence[SqlType]) -> RowsOf:
    if all(a.family == b.family for a, b in zip(plan.types, kinds, strict=True)):
        return plan.rows
    runs = [
        convert(column_expr(place, kind), wanted).run
        for place, (kind, wanted) in enumerate(zip(plan.types, kinds, strict=True))
    ]
    return lambda env, outer: (tuple([run(row, env) for run in runs]) for row in plan.rows(env, outer))


def _filtered(produce: RowsOf, filters: Sequence[Condition]) -> RowsOf:
    if not filters:
        return produce
    tests = [condition.test for condition in filters]
    return lambda env, outer: (row for row in produce(env, outer) if all_true(tests, row, env))


def _numbered(produce: RowsOf, tests: Sequence[Condition], place: int) -> RowsOf:
    """Append ROWNUM; a condition on it alone that fails once fails for good."""
    checks = [test.test for test in tests]
    only_number = all(test.uses <= {place} for test in tests)

    def rows(env: Env, outer: Row) -> Iterator[Row]:
        number = 1
        for row in produce(env, outer):
            candidate = (*row, cells.encode_number(number))
            if all_true(checks, candidate, env):
                number += 1
                yield candidate
            elif only_number:
                return

    return rows


def _projected(rows: RowsOf, outputs: Sequence[Expr], width: int) -> RowsOf:
    """Choose the fastest way from a row to its output."""
    places = [output.place for output in outputs]
    whole = [place for place in places if place is not None]
    if len(whole) == len(places):
        if whole == list(range(width)):
            return rows
        if len(whole) > 1:
            pick = itemgetter(*whole)
            return lambda env, outer: map(pick, rows(env, outer))
    runs = [hoist(output).run for output in outputs]
    return lambda env, outer: (tuple([run(row, env) for run in runs]) for row in rows(env, outer))


def _name(item: Item) -> str:
    if item.alias:
        return item.alias
    if isinstance(item.expression, ColumnRef):
        return item.expression.parts[-1]
    return "".join(item.text.split()).upper()[:128]


def _columns(items: Sequence[Item], outputs: Sequence[Expr]) -> tuple[Column, ...]:
    return tuple(
        output.type.column(_name(item), nullable=output.nullable)
        for item, output in zip(items, outputs, strict=True)
    )
