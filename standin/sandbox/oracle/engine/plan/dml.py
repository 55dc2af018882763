"""INSERT, UPDATE, DELETE as plans: one run per row of binds, atomic each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from sandbox.oracle.cells import encode_number
from sandbox.oracle.engine.functions.conversions import Keeper, convert, keeper
from sandbox.oracle.engine.functions.expressions import Condition, Expr, Run, Scope, column_expr, literal
from sandbox.oracle.engine.plan.access import TableAccess
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.query import QueryPlan, QueryPlanner
from sandbox.oracle.engine.plan.sources import FromClause
from sandbox.oracle.engine.sql.syntax import (
    BindRef,
    Delete,
    Expression,
    Insert,
    Subquery,
    TableSource,
    Update,
)
from sandbox.oracle.engine.sql.trees import conjuncts
from sandbox.oracle.engine.state.context import Env, Session
from sandbox.oracle.engine.store.tables import StoredColumn, Table, row_id_text
from sandbox.oracle.interface import Cell, OracleFault, Row

RowChange = Callable[[Row, Env], list[tuple[int, Cell]]]


@dataclass
class Effect:
    """What one run changed."""

    row_count: int = 0
    last_row: tuple[Table, int] | None = None
    returned: list[list[Cell]] = field(default_factory=list)

    @property
    def last_row_id(self) -> str | None:
        """Row id of the last changed row."""
        return row_id_text(self.last_row[0].shape, self.last_row[1]) if self.last_row else None


def target(planner: QueryPlanner, source: TableSource, privilege: str) -> Table:
    """The table a statement changes.

    Raises:
        OracleFault: ORA-00942, ORA-01031; ORA-01732 for a view.
    """
    found = planner.finder.find(source.owner, source.name, privilege)
    if not isinstance(found, Table):
        raise OracleFault(1732, "data manipulation operation not legal on this view")
    return found


def place_of(table: Table, name: str) -> int:
    """Place of a column, ORA-00904 if there is none."""
    place = table.shape.place(name)
    if place is None:
        raise OracleFault(904, f'"{name}": invalid identifier', name=(name,))
    return place


def kept(expr: Expr, column: StoredColumn, table: Table) -> Run:
    """A value converted to a column's type, padded, rounded and checked."""
    run = convert(expr, column.type).run
    keep = keeper(column, table.owner, table.name)
    if keep is None:
        return run

    def kept_run(row: Row, env: Env) -> Cell:
        cell = run(row, env)
        return None if cell is None else keep(cell)

    return kept_run


def not_null(table: Table, row: Row, *, inserting: bool) -> None:
    """Check NOT NULL columns: ORA-01400 on insert, ORA-01407 on update."""
    for column, cell in zip(table.shape.columns, row, strict=True):
        if cell is None and not column.nullable:
            where = f'("{table.owner}"."{table.name}"."{column.name}")'
            if inserting:
                raise OracleFault(1400, f"cannot insert NULL into {where}")
            raise OracleFault(1407, f"cannot update {where} to NULL")


class InsertPlan:
    """Insert rows given by values or by a query."""

    def __init__(self, planner: QueryPlanner, statement: Insert) -> None:
        self.table = target(planner, statement.table, "INSERT")
        table = self.table
        names = statement.columns or tuple(
            column.name for column in table.shape.columns if not column.invisible
        )
        places = [place_of(table, name) for name in names]
        if len(set(places)) != len(places):
            raise OracleFault(957, "duplicate column name")
        compiler = Compiler(Scope(binds=planner.binds), planner)
        self._query: QueryPlan | None = None
        self._required = tuple(
            place for place, column in enumerate(table.shape.columns) if not column.nullable
        )
        self._bound: list[tuple[int, Keeper | None]] | None = None
        runs = [default_of(table, column, compiler) for column in table.shape.columns]
        if statement.query is not None:
            self._query = planner.plan(statement.query, None)
            _check_count(len(places), len(self._query.types))
            for at, (place, kind) in enumerate(zip(places, self._query.types, strict=True)):
                column = column_expr(at, kind)
                runs[place] = kept(column, table.shape.columns[place], table)
        else:
            _check_count(len(places), len(statement.values))
            for place, value in zip(places, statement.values, strict=True):
                if value is not None:
                    runs[place] = kept(compiler.value(value), table.shape.columns[place], table)
            self._bound = self._all_bound(planner, places, statement.values)
        self._runs = runs
        self._returning = _returning(planner, statement.table, table, statement.returning)

    def _all_bound(
        self, planner: QueryPlanner, places: Sequence[int], values: Sequence[Expression | None]
    ) -> list[tuple[int, Keeper | None]] | None:
        """The short way when every column takes a bind of its own family."""
        columns = self.table.shape.columns
        if len(places) != len(columns):
            return None
        bound: list[tuple[int, Keeper | None]] = [(0, None)] * len(columns)
        for place, value in zip(places, values, strict=True):
            if not isinstance(value, BindRef) or value.index >= len(planner.binds):
                return None
            column = columns[place]
            if planner.binds[value.index].family != column.type.family:
                return None
            bound[place] = (value.index, keeper(column, self.table.owner, self.table.name))
        return bound

    def run(self, session: Session, env: Env) -> Effect:
        """Insert."""
        effect = Effect()
        if self._query is not None:
            for found in list(self._query.rows(env, ())):
                self._insert(session, env, tuple([run(found, env) for run in self._runs]), effect)
            return effect
        if self._bound is not None:
            binds = env.binds
            row = tuple(
                [
                    cell if (cell := binds[index]) is None or keep is None else keep(cell)
                    for index, keep in self._bound
                ]
            )
        else:
            row = tuple([run((), env) for run in self._runs])
        self._insert(session, env, row, effect)
        return effect

    def _insert(self, session: Session, env: Env, row: Row, effect: Effect) -> None:
        for place in self._required:
            if row[place] is None:
                not_null(self.table, row, inserting=True)
        table = self.table
        number = session.storage.insert(session.begin(), table, row, env.check)
        effect.row_count += 1
        effect.last_row = (table, number)
        if self._returning:
            effect.returned.append(_returned(self._returning, table, number, row, env))


def _check_count(columns: int, values: int) -> None:
    if columns > values:
        raise OracleFault(947, "not enough values")
    if columns < values:
        raise OracleFault(913, "too many values")


def default_of(table: Table, column: StoredColumn, compiler: Compiler) -> Run:
    """What a column gets when nothing is given."""
    if column.default is None:
        return literal(None, column.type).run
    return kept(compiler.value(column.default), column, table)


def _returning(
    planner: QueryPlanner, source: TableSource, table: Table, items: Sequence[Expression]
) -> list[Run]:
    if not items:
        return []
    scope = Scope(binds=planner.binds)
    clause = FromClause(planner, scope, Compiler(scope, planner))
    clause.plan((source,), [])
    return [clause.compiler.value(item).run for item in items]


def _returned(runs: Sequence[Run], table: Table, number: int, row: Row, env: Env) -> list[Cell]:
    extended = (*row, row_id_text(table.shape, number).encode(), None)
    return [run(extended, env) for run in runs]


class _Changing:
    """What UPDATE and DELETE share: finding rows, locking them, running again when one has changed."""

    def __init__(
        self,
        planner: QueryPlanner,
        source: TableSource,
        where: Expression | None,
        returning: Sequence[Expression],
        privilege: str,
    ) -> None:
        self.table = target(planner, source, privilege)
        self.scope = Scope(binds=planner.binds)
        self.compiler = Compiler(self.scope, planner)
        clause = FromClause(planner, self.scope, self.compiler)
        rest = clause.plan((source,), conjuncts(where))
        if not isinstance(clause.first, TableAccess):
            raise OracleFault(1732, "data manipulation operation not legal on this view")
        self._access = clause.first
        self._rest = _with_row_number(self.compiler, self.scope, rest)
        self._returning = _returning(planner, source, self.table, returning)
        self.width = len(self.table.shape.columns)

    def matching(self, session: Session, env: Env) -> list[tuple[int, Row]]:
        """Rows to change, locked, as they are now."""
        found: list[tuple[int, Row]] = []
        for number, row in self._access.numbered(env, ()):
            if all(condition.test(row, env) for condition in self._rest):
                found.append((number, row))
        if found:
            transaction = session.begin()
            for number, _ in found:
                session.storage.lock_row(transaction, self.table, number, env.snapshot, env.check)
        return found

    def done(self, effect: Effect, number: int, row: Row, env: Env) -> None:
        """Count a changed row."""
        effect.row_count += 1
        effect.last_row = (self.table, number)
        if self._returning:
            effect.returned.append(_returned(self._returning, self.table, number, row, env))


class _RowNumbered:
    """A condition with ROWNUM on the rows to change: it counts those that passed in this execution."""

    def __init__(self, condition: Condition, place: int) -> None:
        self._test, self._place = condition.test, place
        self._env: Env | None = None
        self._number = 0

    def test(self, row: Row, env: Env) -> bool | None:
        if self._env is not env:
            self._env, self._number = env, 0
        padding = (None,) * (self._place - len(row))
        outcome = self._test((*row, *padding, encode_number(self._number + 1)), env)
        self._number += bool(outcome)
        return outcome


def _with_row_number(compiler: Compiler, scope: Scope, rest: Sequence[Expression]) -> list[Condition]:
    """Conditions left over; those with ROWNUM last."""
    place = scope.row_number = scope.width
    conditions = [compiler.condition(node) for node in rest]
    plain = [condition for condition in conditions if place not in condition.uses]
    counted = [
        Condition(_RowNumbered(condition, place).test, condition.uses)
        for condition in conditions
        if place in condition.uses
    ]
    return plain + counted


class UpdatePlan(_Changing):
    """Update rows."""

    def __init__(self, planner: QueryPlanner, statement: Update) -> None:
        super().__init__(planner, statement.table, statement.where, statement.returning, "UPDATE")
        self._changes = assignments(planner, self.compiler, self.table, statement.assignments)

    def run(self, session: Session, env: Env) -> Effect:
        """Update."""
        effect = Effect()
        table = self.table
        changes = []
        for number, row in self.matching(session, env):
            changed = list(row[: self.width])
            for change in self._changes:
                for place, cell in change(row, env):
                    changed[place] = cell
            changes.append((number, tuple(changed)))
        moved = []
        for number, after in changes:
            not_null(table, after, inserting=False)
            if session.storage.update(session.begin(), table, number, after):
                moved.append(number)
            self.done(effect, number, after, env)
        if moved:
            session.storage.check_keys(session.begin(), table, moved, env.check)
        return effect


def assignments(
    planner: QueryPlanner,
    compiler: Compiler,
    table: Table,
    written: Sequence[tuple[tuple[str, ...], Expression | None]],
) -> list[RowChange]:
    """Compile SET: each entry yields places with their new cells."""
    result: list[RowChange] = []
    for names, value in written:
        places = [place_of(table, name) for name in names]
        columns = [table.shape.columns[place] for place in places]
        if isinstance(value, Subquery) and len(places) > 1:
            result.append(_from_query(planner.plan(value.query, compiler.scope), places, columns, table))
            continue
        if value is None:
            run = default_of(table, columns[0], compiler)
        else:
            run = kept(compiler.value(value), columns[0], table)
        result.append(_one(places[0], run))
    return result


def _one(place: int, run: Run) -> RowChange:
    return lambda row, env: [(place, run(row, env))]


def _from_query(
    plan: QueryPlan, places: Sequence[int], columns: Sequence[StoredColumn], table: Table
) -> RowChange:
    _check_count(len(places), len(plan.types))
    runs = [
        kept(column_expr(at, kind), column, table)
        for at, (kind, column) in enumerate(zip(plan.types, columns, strict=True))
    ]

    def change(row: Row, env: Env) -> list[tuple[int, Cell]]:
        found = list(plan.rows(env, row))
        if len(found) > 1:
            raise OracleFault(1427, "single-row subquery returns more than one row")
        if not found:
            return [(place, None) for place in places]
        return [(place, run(found[0], env)) for place, run in zip(places, runs, strict=True)]

    return change


class DeletePlan(_Changing):
    """Delete rows."""

    def __init__(self, planner: QueryPlanner, statement: Delete) -> None:
        super().__init__(planner, statement.table, statement.where, statement.returning, "DELETE")

    def run(self, session: Session, env: Env) -> Effect:
        """Delete."""
        effect = Effect()
        for number, row in self.matching(session, env):
            session.storage.delete(session.begin(), self.table, number)
            self.done(effect, number, row[: self.width], env)
        return effect
