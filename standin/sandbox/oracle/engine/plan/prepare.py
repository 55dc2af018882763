"""Text to a runnable plan, kept per text, user, schema and bind types until the catalog changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from sandbox.oracle import cells
from sandbox.oracle.engine.plan.dml import DeletePlan, InsertPlan, UpdatePlan
from sandbox.oracle.engine.plan.merge import MergePlan
from sandbox.oracle.engine.plan.query import QueryPlan, QueryPlanner
from sandbox.oracle.engine.sql.read_statement import StatementReader
from sandbox.oracle.engine.sql.syntax import (
    ColumnRef,
    Compare,
    Delete,
    Expression,
    Insert,
    Literal,
    Merge,
    Select,
    SetQuery,
    Statement,
    Update,
)
from sandbox.oracle.engine.sql.tokens import Kind
from sandbox.oracle.engine.state.context import Env, Session
from sandbox.oracle.engine.store.tables import ARCHIVE_STATE, Table
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import SqlType
from sandbox.oracle.interface import Bind, DbType, OracleFault

DmlPlan = InsertPlan | UpdatePlan | DeletePlan | MergePlan
KEPT_PLANS = 400


@dataclass(frozen=True)
class Prepared:
    """A statement with its plan; neither for DDL and commands, which run from the tree."""

    statement: Statement
    query: QueryPlan | None = None
    dml: DmlPlan | None = None
    planner: QueryPlanner | None = None


def bind_type(bind: Bind) -> SqlType:
    """Type of a placeholder's values."""
    if bind.type in (DbType.VARCHAR2, DbType.LONG):
        return sql_types.text(max(1, bind.size or 1000))
    if bind.type is DbType.CHAR:
        return sql_types.text(max(1, bind.size or 1000), DbType.CHAR)
    kind = _BIND_TYPES.get(bind.type)
    if kind is None:
        raise OracleFault(932, f"inconsistent datatypes: bind of type {bind.type.name} is not simulated")
    return kind


_BIND_TYPES = {
    DbType.NUMBER: sql_types.NUMBER,
    DbType.DATE: sql_types.DATE,
    DbType.TIMESTAMP: sql_types.TIMESTAMP,
    DbType.TIMESTAMP_LTZ: sql_types.TIMESTAMP,
    DbType.TIMESTAMP_TZ: sql_types.TIMESTAMP_TZ,
    DbType.RAW: sql_types.raw(2000),
    DbType.LONG_RAW: sql_types.raw(2000),
    DbType.CLOB: sql_types.CLOB,
    DbType.BLOB: SqlType(DbType.BLOB, 4000, 0, 0, 0),
    DbType.ROWID: sql_types.ROWID,
    DbType.BINARY_DOUBLE: SqlType(DbType.BINARY_DOUBLE, 8, 0, 0, 0),
    DbType.BINARY_FLOAT: SqlType(DbType.BINARY_FLOAT, 4, 0, 0, 0),
    DbType.INTERVAL_DS: sql_types.INTERVAL,
    DbType.INTERVAL_YM: sql_types.MONTHS,
}


class Finder:
    """What the planner asks about names, for one session."""

    def __init__(self, session: Session) -> None:
        self.storage = session.storage
        self.find = session.find
        self._session = session

    def conditions(self, table: Table, alias: str | None) -> Iterator[Expression]:
        """Rows that are archived are left out unless the session asked for them; a policy hides all rows."""
        session = self._session
        exempt = session.user in ("SYS", table.owner) or session.users.has(
            session.user, "EXEMPT ACCESS POLICY"
        )
        if table.policies and not exempt:
            yield Compare("=", Literal(b"0", DbType.CHAR), Literal(b"1", DbType.CHAR))
        if not session.shows_archived and table.shape.place(ARCHIVE_STATE) is not None:
            column = ColumnRef((alias, ARCHIVE_STATE) if alias else (ARCHIVE_STATE,))
            yield Compare("=", column, Literal(b"0", DbType.CHAR))

    def sequence(self, parts: tuple[str, ...]) -> Callable[[Env], bytes] | None:
        """What yields a sequence's values; CURRVAL is the last one this session took."""
        session = self._session
        found = session.catalog.sequence(parts, session.user, session.schema)
        if found is None:
            return None
        key = (found.owner, found.name)
        if parts[-1] == "NEXTVAL":

            def take(env: Env) -> bytes:
                env.session.sequence_values[key] = value = cells.encode_number(found.take())
                return value

            return take

        def current(env: Env) -> bytes:
            value = env.session.sequence_values.get(key)
            if value is None:
                raise OracleFault(8002, f"sequence {found.name}.CURRVAL is not yet defined in this session")
            return value

        return current


class PlanCache:
    """The newest plans."""

    def __init__(self) -> None:
        self._plans: OrderedDict[tuple[object, ...], Prepared] = OrderedDict()

    def prepare(self, session: Session, text: str, kinds: Sequence[SqlType]) -> Prepared:
        """Plan a statement or find its plan.

        Raises:
            OracleFault: everything that parsing finds.
        """
        key = (
            *(text, session.user, session.schema, session.container.name),
            *(tuple(kinds), session.catalog.version, session.shows_archived),
        )
        found = self._plans.get(key)
        if found is None:
            found = _prepare(session, text, kinds)
            self._plans[key] = found
            while len(self._plans) > KEPT_PLANS:
                self._plans.popitem(last=False)
        return found


def prepared_for(session: Session, text: str, kinds: Sequence[SqlType]) -> Prepared:
    """The plan of a statement, from the database's cache if it is there.

    Raises:
        OracleFault: everything that parsing finds.
    """
    plans = session.database.plans
    if not isinstance(plans, PlanCache):
        raise TypeError(f"a database keeps its plans in a PlanCache, not in {type(plans).__name__}")
    return plans.prepare(session, text, kinds)


def _prepare(session: Session, text: str, kinds: Sequence[SqlType]) -> Prepared:
    reader = StatementReader(text)
    statement = reader.statement()
    words = frozenset(
        token.text for token in reader.tokens if token.kind in (Kind.NAME, Kind.QUOTED) or token.text == "*"
    )
    planner = QueryPlanner(Finder(session), kinds, words)
    if isinstance(statement, Select | SetQuery):
        return Prepared(statement, query=planner.plan(statement, None), planner=planner)
    if isinstance(statement, Insert):
        return Prepared(statement, dml=InsertPlan(planner, statement), planner=planner)
    if isinstance(statement, Update):
        return Prepared(statement, dml=UpdatePlan(planner, statement), planner=planner)
    if isinstance(statement, Delete):
        return Prepared(statement, dml=DeletePlan(planner, statement), planner=planner)
    if isinstance(statement, Merge):
        return Prepared(statement, dml=MergePlan(planner, statement), planner=planner)
    return Prepared(statement, planner=planner)
