"""The FROM clause: sources found, conditions handed to them, joins put in an order."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from sandbox.oracle.engine.functions.conversions import to_number
from sandbox.oracle.engine.functions.expressions import Condition, Expr, Scope, ScopeEntry
from sandbox.oracle.engine.plan.access import Access, Narrowing, QueryAccess, TableAccess, ViewAccess
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.conditions import comparable
from sandbox.oracle.engine.plan.joins import JoinStep
from sandbox.oracle.engine.plan.narrowing import Narrower
from sandbox.oracle.engine.sql.syntax import (
    ColumnRef,
    Compare,
    Expression,
    Item,
    Join,
    Query,
    QuerySource,
    Source,
    Star,
    TableSource,
)
from sandbox.oracle.engine.sql.trees import conjuncts, mentions_row_number, walk
from sandbox.oracle.engine.state.context import Env, ScopeColumn, View
from sandbox.oracle.engine.store.storage import Storage
from sandbox.oracle.engine.store.tables import KeyIndex, Table
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.interface import OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.query import QueryPlanner

ROW_ID_COLUMNS = (
    ScopeColumn("ROWID", sql_types.ROWID, hidden=True),
    ScopeColumn("ORA_ROWSCN", sql_types.NUMBER, hidden=True),
)


class SourceFinder(Protocol):
    """What the planner asks about names; it checks privileges."""

    storage: Storage

    def find(self, owner: str | None, name: str, privilege: str) -> Table | View:
        """A table or view. Raises OracleFault ORA-00942."""

    def sequence(self, parts: tuple[str, ...]) -> Callable[[Env], bytes] | None:
        """What yields a sequence's values."""

    def conditions(self, table: Table, alias: str | None) -> Iterator[Expression]:
        """What rows of a table must meet to be shown: policies, row archival."""


@dataclass
class Planned:
    """A source with what was found out about it."""

    source: TableSource | QuerySource
    columns: Sequence[ScopeColumn]
    target: Table | View | Query
    on: list[Expression] | None = None
    entry: ScopeEntry | None = None
    access: Access | None = None
    owner: str | None = None

    @property
    def is_outer(self) -> bool:
        """Is it the optional side of an outer join?"""
        return self.on is not None


@dataclass
class FromClause:
    """Plans the sources of one query block."""

    planner: QueryPlanner
    scope: Scope
    compiler: Compiler
    planned: list[Planned] = field(default_factory=list)
    steps: list[JoinStep] = field(default_factory=list)
    uses: frozenset[int] = frozenset()
    tables: list[Table] = field(default_factory=list)
    first: Access | None = None
    merged: dict[int, tuple[str, ...]] = field(default_factory=dict)

    def plan(self, sources: Sequence[Source], where: list[Expression]) -> list[Expression]:
        """Plan all sources; returns the conditions that are left to run on joined rows."""
        pool = list(where)
        for source in sources:
            self._flatten(source, pool)
        self._old_outer_joins(pool)
        aliases = [planned.source.alias for planned in self.planned if planned.source.alias]
        if len(set(aliases)) != len(aliases) and len(self.planned) > 1:
            raise OracleFault(918, "column ambiguously defined")
        textual = list(self.planned)
        self._arrange(pool)
        base = self.scope.width
        self.scope.entries = []
        for planned in self.planned:
            planned.entry = ScopeEntry(planned.source.alias, planned.owner, planned.columns, base)
            base += len(planned.columns)
        order = {id(planned): planned for planned in textual}
        done: set[int] = set()
        for at, planned in enumerate(self.planned):
            self._add(at, planned, pool, done)
        self.scope.entries = [planned.entry for planned in order.values() if planned.entry]
        self.planned = textual
        return [node for place, node in enumerate(pool) if place not in done]

    def _flatten(self, source: Source, pool: list[Expression], on: list[Expression] | None = None) -> None:
        if not isinstance(source, Join):
            planned = self._find(source, on)
            if isinstance(planned.target, Table):
                pool.extend(self.planner.finder.conditions(planned.target, planned.source.alias))
            merged = self.merged.get(id(source), ())
            planned.columns = [
                dataclasses.replace(column, hidden=column.hidden or column.name in merged)
                for column in planned.columns
            ]
            self.planned.append(planned)
            return
        if source.kind == "full":
            raise OracleFault(900, "full outer joins are not simulated")
        left, right = (source.left, source.right) if source.kind != "right" else (source.right, source.left)
        self._flatten(left, pool, on)
        condition = conjuncts(source.on)
        if source.using:
            condition = self._using(left, right, source.using)
            self.merged.setdefault(id(right), source.using)
        if source.kind in ("left", "right"):
            if isinstance(right, Join):
                raise OracleFault(900, "an outer join to a join is not simulated: use an inline view")
            self._flatten(right, pool, condition)
        else:
            self._flatten(right, pool, on)
            pool.extend(condition)

    def _using(self, left: Source, right: Source, names: Sequence[str]) -> list[Expression]:
        while isinstance(left, Join):
            left = left.left
        if isinstance(right, Join):
            raise OracleFault(900, "USING with a nested join is not simulated")
        return [Compare("=", ColumnRef((left.alias, name)), ColumnRef((right.alias, name))) for name in names]

    def _find(self, source: TableSource | QuerySource, on: list[Expression] | None) -> Planned:
        if isinstance(source, TableSource):
            named = self.planner.named.get(source.name) if source.owner is None else None
            if named is None:
                target = self.planner.finder.find(source.owner, source.name, "SELECT")
                if isinstance(target, Table):
                    columns = [
                        ScopeColumn(column.name, column.type, column.nullable, column.invisible)
                        for column in target.shape.columns
                    ]
                    self.tables.append(target)
                    if self.planner.words & _ROW_ID_WORDS:
                        columns.extend(ROW_ID_COLUMNS)
                    return Planned(source, columns, target, on, owner=target.owner)
                return Planned(source, list(target.columns), target, on, owner="SYS")
            plan = self.planner.plan_named(named, self.scope.parent)
            source = QuerySource(named.query, source.alias)
        else:
            plan = self.planner.plan(source.query, self.scope.parent)
        self.tables.extend(plan.tables)
        columns = [
            ScopeColumn(column.name, kind, column.nullable)
            for column, kind in zip(plan.columns, plan.types, strict=True)
        ]
        self.uses |= plan.uses
        planned = Planned(source, columns, source.query, on)
        planned.access = QueryAccess(plan.rows, [])
        return planned

    def _old_outer_joins(self, pool: list[Expression]) -> None:
        """Move conditions with (+) to the join of the source they mark as optional."""
        for node in list(pool):
            marked = {ref.parts for ref in walk(node) if isinstance(ref, ColumnRef) and ref.outer}
            if not marked:
                continue
            places = {self._place_of(ColumnRef(parts)) for parts in marked}
            place = places.pop() if len(places) == 1 else None
            if place is None:
                raise OracleFault(1417, "a table may be outer joined to at most one other table")
            pool.remove(node)
            planned = self.planned[place]
            planned.on = [*(planned.on or []), node]

    def _place_of(self, ref: ColumnRef) -> int | None:
        for place, planned in enumerate(self.planned):
            if len(ref.parts) > 1:
                if planned.source.alias == ref.parts[-2]:
                    return place
            elif any(column.name == ref.parts[0] for column in planned.columns):
                return place
        return None

    def _places(self, node: Expression) -> set[int]:
        """Sources that a condition speaks of."""
        places = {self._place_of(ref) for ref in walk(node) if isinstance(ref, ColumnRef)}
        return {place for place in places if place is not None}

    def _arrange(self, pool: list[Expression]) -> None:
        """Sources with known values first, then those linked to them; outer joins keep their place."""
        if len(self.planned) < 2:
            return
        links = [self._places(node) for node in pool if isinstance(node, Compare) and node.sign == "="]
        waiting = [place for place, planned in enumerate(self.planned) if not planned.is_outer]
        order: list[int] = []
        while waiting:
            best = max(waiting, key=lambda place: (self._score(place, links, order), -place))
            waiting.remove(best)
            order.append(best)
        order.extend(place for place, planned in enumerate(self.planned) if planned.is_outer)
        self.planned = [self.planned[place] for place in order]

    def _score(self, place: int, links: Sequence[set[int]], placed: Sequence[int]) -> int:
        linked = any(place in link and link - {place} and link - {place} <= set(placed) for link in links)
        fixed = sum(link == {place} for link in links)
        return (100 if linked else 0) + fixed

    def _add(self, at: int, planned: Planned, pool: list[Expression], done: set[int]) -> None:
        entry = planned.entry
        if entry is None:
            raise OracleFault(600, "internal error")
        parent_width = self.scope.parent.width if self.scope.parent else 0
        here = Scope(parent=self.scope.parent, width=parent_width, binds=self.scope.binds)
        here.entries = [ScopeEntry(entry.alias, entry.owner, entry.columns, parent_width)]
        here.width = parent_width + len(entry.columns)
        own = Compiler(here, self.planner)
        seen = set(range(at + 1))
        candidates = list(enumerate(planned.on)) if planned.on is not None else []
        if planned.on is None:
            candidates = [(place, node) for place, node in enumerate(pool) if place not in done]
        step = JoinStep(_nothing, len(entry.columns), outer_join=planned.is_outer)
        filters: list[Condition] = []
        narrowing = Narrowing()
        narrower = Narrower(own, parent_width, lambda node: bool(self._places(node)))
        late = any(each.is_outer for each in self.planned)
        self.scope.entries.append(entry)
        self.scope.width = entry.base + len(entry.columns)
        for place, node in candidates:
            spoken = self._places(node)
            if not spoken <= seen or mentions_row_number(node):
                continue
            if planned.on is None and late and any(self.planned[each].is_outer for each in spoken):
                continue
            if spoken == {at}:
                condition = own.condition(node)
                filters.append(condition)
                narrower.read(node, narrowing)
            elif at == 0 or (planned.on is None and at not in spoken):
                continue
            elif not self._link(node, at, own, step, parent_width):
                condition = self.compiler.condition(node)
                (step.on if planned.on is not None else step.filters).append(condition)
                self.uses |= condition.uses
            if planned.on is None:
                done.add(place)
        for condition in filters:
            self.uses |= frozenset(used for used in condition.uses if used < parent_width)
        access = self._access(planned, filters, narrowing, parent_width)
        step.access = access
        if at == 0:
            self.first = access
        else:
            self.steps.append(step)

    def _link(self, node: Expression, at: int, own: Compiler, step: JoinStep, base: int) -> bool:
        """Use `left = right` as a join key if one side is this source's and the other is not."""
        if not isinstance(node, Compare) or node.sign != "=":
            return False
        sides = [(node.left, node.right), (node.right, node.left)]
        for mine, other in sides:
            if self._places(mine) == {at} and at not in self._places(other):
                column, value = own.value(mine), self.compiler.value(other)
                right, left = comparable(column, value)
                place = column.place - base if right is column and column.place is not None else None
                step.right_keys.append(right.run)
                step.left_keys.append(left.run)
                step.right_places.append(place)
                self.uses |= value.uses | column.uses
                return True
        return False

    def _access(self, planned: Planned, filters: list[Condition], narrowing: Narrowing, base: int) -> Access:
        if planned.access is not None:
            planned.access.filters = filters  # type: ignore[attr-defined]
            return planned.access
        source, target = planned.source, planned.target
        if isinstance(target, Table):
            as_of = None
            if isinstance(source, TableSource) and source.as_of is not None:
                outside = Scope(parent=self.scope.parent, width=base, binds=self.scope.binds)
                as_of = to_number(Compiler(outside, self.planner).value(source.as_of)).run
            planned.access = TableAccess(
                self.planner.finder.storage,
                target,
                filters,
                narrowing,
                bool(self.planner.words & _ROW_ID_WORDS),
                as_of,
            )
        else:
            words = self.planner.words
            used = {
                place for place, column in enumerate(planned.columns) if "*" in words or column.name in words
            }
            planned.access = ViewAccess(target, filters, narrowing, base, used)  # type: ignore[arg-type]
        return planned.access

    def produce(self, env: Env, outer: Row) -> Iterable[Row]:
        """Joined rows, each beginning with the row of the query around."""
        if self.first is None:
            return iter(())
        rows: Iterable[Row] = self.first.rows(env, outer)
        if outer:
            rows = (outer + row for row in rows)
        for step in self.steps:
            rows = step.rows(rows, env, outer)
        return rows

    def expand(self, items: Sequence[Item]) -> list[Item]:
        """Replace `*` and `alias.*` by their columns."""
        result: list[Item] = []
        for item in items:
            if not isinstance(item.expression, Star):
                result.append(item)
                continue
            found = False
            for planned in self.planned:
                alias = planned.source.alias
                if item.expression.qualifier not in (None, alias):
                    continue
                found = True
                result.extend(
                    Item(ColumnRef((alias, column.name) if alias else (column.name,)), None, column.name)
                    for column in planned.columns
                    if not column.hidden
                )
            if not found:
                raise OracleFault(904, f'"{item.expression.qualifier}": invalid identifier')
        return result

    def sorted_by(self, order: Sequence[tuple[Expr, bool]]) -> bool:
        """Let the primary key's order answer ORDER BY, if it can."""
        if self.steps or not isinstance(self.first, TableAccess):
            return False
        index: KeyIndex | None = self.first.table.primary()
        base = self.scope.parent.width if self.scope.parent else 0
        if index is None or len(order) > len(index.places):
            return False
        for (expr, descending), place in zip(order, index.places, strict=False):
            if descending or expr.place != base + place:
                return False
        self.first.ordered_by = index
        return True

    def locks(self) -> TableAccess:
        """The table that FOR UPDATE locks: one, without joins."""
        if len(self.planned) != 1 or not isinstance(self.first, TableAccess):
            raise OracleFault(2014, "cannot select FOR UPDATE from view with DISTINCT, GROUP BY, etc.")
        return self.first


class _Nothing:
    """Stands for an access until it is planned."""

    def rows(self, env: Env, outer: Row) -> Iterable[Row]:
        return iter(())


_nothing = _Nothing()
_ROW_ID_WORDS = frozenset({"ROWID", "ORA_ROWSCN"})
