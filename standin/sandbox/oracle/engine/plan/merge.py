"""MERGE: the source joined to the target, then update, delete or insert per joined row."""

from __future__ import annotations

from collections.abc import Sequence

from sandbox.oracle.engine.functions.expressions import Condition, Run, Scope
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.dml import Effect, assignments, default_of, kept, not_null, place_of, target
from sandbox.oracle.engine.plan.query import QueryPlanner
from sandbox.oracle.engine.plan.sources import FromClause
from sandbox.oracle.engine.sql.syntax import ColumnRef, Expression, Join, Merge
from sandbox.oracle.engine.sql.trees import walk
from sandbox.oracle.engine.state.context import Env, Session
from sandbox.oracle.engine.store.tables import row_number
from sandbox.oracle.interface import OracleFault, Row


class MergePlan:
    """Merge rows."""

    def __init__(self, planner: QueryPlanner, statement: Merge) -> None:
        updates = bool(statement.assignments)
        self.table = target(planner, statement.table, "UPDATE" if updates else "INSERT")
        if updates and statement.values:
            target(planner, statement.table, "INSERT")
        planner.words |= {"ROWID"}
        self._scope = Scope(binds=planner.binds)
        self._compiler = Compiler(self._scope, planner)
        clause = FromClause(planner, self._scope, self._compiler)
        rest = clause.plan((Join("left", statement.source, statement.table, statement.on),), [])
        if rest:
            raise OracleFault(969, "missing ON keyword")
        self._clause = clause
        found = self._scope.resolve((statement.table.alias, "ROWID"))
        if found is None or found.place is None:
            raise OracleFault(600, "internal error: target without row id")
        self._row_id = found.place
        self._base = found.place - len(self.table.shape.columns)
        self._changes = assignments(planner, self._compiler, self.table, statement.assignments)
        self._update_where = self._optional(statement.update_where)
        self._delete_where = self._optional(statement.delete_where)
        self._insert_where = self._optional(statement.insert_where)
        self._insert_runs = self._insert_values(statement) if statement.values else None
        changed = {name for names, _ in statement.assignments for name in names}
        alias = statement.table.alias
        for ref in _refs(statement.on):
            if ref.parts[-1] in changed and (len(ref.parts) < 2 or ref.parts[-2] == alias):
                raise OracleFault(
                    38104, f'Columns referenced in the ON Clause cannot be updated: "{ref.parts[-1]}"'
                )

    def _optional(self, node: Expression | None) -> Condition | None:
        return None if node is None else self._compiler.condition(node)

    def _insert_values(self, statement: Merge) -> list[Run]:
        columns = self.table.shape.columns
        names = statement.columns or tuple(column.name for column in columns)
        if len(names) != len(statement.values):
            raise OracleFault(947 if len(names) > len(statement.values) else 913, "not enough values")
        runs = [default_of(self.table, column, self._compiler) for column in columns]
        for name, value in zip(names, statement.values, strict=True):
            place = place_of(self.table, name)
            if value is not None:
                runs[place] = kept(self._compiler.value(value), columns[place], self.table)
        return runs

    def run(self, session: Session, env: Env) -> Effect:
        """Merge."""
        effect = Effect()
        touched: set[int] = set()
        self._moved: list[int] = []
        for joined in list(self._clause.produce(env, ())):
            row_id = joined[self._row_id]
            if row_id is None:
                self._insert(session, env, joined, effect)
                continue
            number = row_number(self.table.shape, row_id.decode())
            if number is None or not self._changes or not _holds(self._update_where, joined, env):
                continue
            if number in touched:
                raise OracleFault(30926, "unable to get a stable set of rows in the source tables")
            touched.add(number)
            self._update(session, env, number, joined, effect)
        if self._moved:
            session.storage.check_keys(session.begin(), self.table, self._moved, env.check)
        return effect

    def _insert(self, session: Session, env: Env, joined: Row, effect: Effect) -> None:
        if self._insert_runs is None or not _holds(self._insert_where, joined, env):
            return
        row = tuple([run(joined, env) for run in self._insert_runs])
        not_null(self.table, row, inserting=True)
        number = session.storage.insert(session.begin(), self.table, row, env.check)
        effect.row_count += 1
        effect.last_row = (self.table, number)

    def _update(self, session: Session, env: Env, number: int, joined: Row, effect: Effect) -> None:
        transaction = session.begin()
        storage = session.storage
        storage.lock_row(transaction, self.table, number, env.snapshot, env.check)
        width = len(self.table.shape.columns)
        row = list(joined[self._base : self._base + width])
        for change in self._changes:
            for place, cell in change(joined, env):
                row[place] = cell
        after = tuple(row)
        not_null(self.table, after, inserting=False)
        if storage.update(transaction, self.table, number, after):
            self._moved.append(number)
        effect.row_count += 1
        effect.last_row = (self.table, number)
        if self._delete_where is not None:
            changed = (*joined[: self._base], *after, *joined[self._base + width :])
            if self._delete_where.test(changed, env):
                storage.delete(transaction, self.table, number)


def _holds(condition: Condition | None, row: Row, env: Env) -> bool:
    return condition is None or condition.test(row, env) is True


def _refs(node: Expression) -> Sequence[ColumnRef]:
    return [each for each in walk(node) if isinstance(each, ColumnRef)]
