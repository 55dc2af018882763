"""CREATE, ALTER, DROP, TRUNCATE, GRANT: changes of the catalog, each written to the redo as DDL.

As in Oracle, a DDL statement commits what was open. Read next: `catalog`, `store`.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.catalog import Sequence
from sandbox.oracle.engine.compiler import Compiler
from sandbox.oracle.engine.dml import kept, place_of
from sandbox.oracle.engine.expressions import Scope
from sandbox.oracle.engine.journal import Operation, Record
from sandbox.oracle.engine.redo_text import is_extended
from sandbox.oracle.engine.sql_types import from_name
from sandbox.oracle.engine.store import KeyIndex, Shape, StoredColumn, Table
from sandbox.oracle.engine.syntax import (
    AlterTable,
    ColumnDefinition,
    ColumnRef,
    Constraint,
    CreateIndex,
    CreateTable,
    Supplemental,
)
from sandbox.oracle.interface import DbType, OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.query import QueryPlan, QueryPlanner
    from sandbox.oracle.engine.session import EngineSession

IDENTITY_SEQUENCE = "ISEQ$$_"
"""Begins the names of the sequences behind identity columns."""

UNLOGGED = (DbType.CLOB, DbType.BLOB, DbType.LONG, DbType.LONG_RAW)
"""Never added by supplemental logging, whatever its level."""


def write_ddl(session: EngineSession, text: str, shape: Shape | None, owner: str, name: str) -> None:
    """Write a DDL statement as a transaction of its own; the shape is that before the change."""
    storage = session.storage
    with storage.lock:
        transaction = session.new_transaction()
        storage.begin(transaction)
        scn = storage.next_scn()
        words = (text.encode(), owner.encode(), name.encode())
        storage.journal.append(Record(scn, transaction, Operation.DDL, shape, after=words))
        storage.commit(transaction)


def create_table(session: EngineSession, statement: CreateTable, plan: QueryPlan | None, text: str) -> None:
    """Create a table, with its keys, and fill it from a query if there is one."""
    catalog, storage = session.catalog, session.storage
    owner, name = statement.owner or session.schema, statement.name
    session.users.require(session.user, "CREATE TABLE" if owner == session.user else "CREATE ANY TABLE")
    if not session.users.exists(owner):
        raise OracleFault(1918, f"user '{owner}' does not exist")
    if (owner, name) in catalog.tables or (owner, name) in catalog.sequences:
        raise OracleFault(955, "name is already used by an existing object")
    columns = _columns(statement, plan)
    _check_lengths(session, columns)
    number = catalog.new_object_id()
    shape = Shape(owner, name, columns, (), (), False, False, number, number, 1, statement.temporary)
    table = Table(shape, next_identity=len(columns) + 1)
    for column in statement.columns:
        if column.identity:
            _add_identity(session, table, column.name)
        if column.primary:
            add_key(session, table, Constraint("primary", None, (column.name,)))
        elif column.unique:
            add_key(session, table, Constraint("unique", None, (column.name,)))
    for constraint in statement.constraints:
        add_key(session, table, constraint)
    for supplemental in statement.supplemental:
        change_supplemental(session, table, supplemental)
    relog(table, session.database.containers.supplemental(session.container))
    with storage.lock:
        catalog.tables[owner, name] = table
        storage.tables[number] = table
        catalog.changed()
        write_ddl(session, text, table.shape, owner, name)
        table.created_at = table.defined_at = session.database.clock()
        table.defined_scn = storage.scn
    if plan is not None:
        env = session.env(())
        transaction = session.begin()
        for row in list(plan.rows(env, ())):
            storage.insert(transaction, table, row, env.check)
        session.commit()


def _check_lengths(session: EngineSession, columns: abc.Iterable[StoredColumn]) -> None:
    """Long strings need MAX_STRING_SIZE=EXTENDED."""
    extended = session.database.parameters.get("max_string_size") == "EXTENDED"
    if not extended and any(is_extended(column.type) for column in columns):
        raise OracleFault(910, "specified length too long for its datatype")


def _columns(statement: CreateTable, plan: QueryPlan | None) -> tuple[StoredColumn, ...]:
    if plan is not None:
        names = [column.name for column in statement.columns] or [column.name for column in plan.columns]
        return tuple(
            StoredColumn(name, kind, identity=at)
            for at, (name, kind) in enumerate(zip(names, plan.types, strict=True), 1)
        )
    columns = tuple(_column(column, at) for at, column in enumerate(statement.columns, 1))
    if len({column.name for column in columns}) != len(columns):
        raise OracleFault(957, "duplicate column name")
    return columns


def _add_identity(session: EngineSession, table: Table, name: str) -> None:
    """Fill a column from a sequence of the system, which everybody may use."""
    number = session.catalog.new_object_id()
    sequence = Sequence(table.owner, f"{IDENTITY_SEQUENCE}{number}", number)
    session.catalog.sequences[table.owner, sequence.name] = sequence
    session.users.get("PUBLIC").grants[table.owner, sequence.name] = {"SELECT"}
    default = ColumnRef((table.owner, sequence.name, "NEXTVAL"))
    columns = tuple(
        replace(column, default=default) if column.name == name else column for column in table.shape.columns
    )
    table.shape = replace(table.shape, columns=columns)


def _column(written: ColumnDefinition, identity: int) -> StoredColumn:
    return StoredColumn(written.name, from_name(written.type), written.nullable, written.default, identity)


def add_key(session: EngineSession, table: Table, constraint: Constraint) -> None:
    """Add a primary or unique key; foreign keys and checks are accepted and not enforced."""
    if constraint.kind not in ("primary", "unique"):
        return
    places = tuple(place_of(table, name) for name in constraint.columns)
    primary = constraint.kind == "primary"
    if primary and table.primary() is not None:
        raise OracleFault(2260, "table can have only one primary key")
    name = constraint.name or f"SYS_C{session.catalog.new_object_id():07d}"
    index = KeyIndex(name, table.owner, places, unique=True, primary=primary)
    index.constraint = True
    _fill(session, table, index)
    table.indexes.append(index)
    if primary:
        columns = tuple(
            replace(column, nullable=False) if place in places else column
            for place, column in enumerate(table.shape.columns)
        )
        table.shape = replace(table.shape, columns=columns, key=places)


def _fill(session: EngineSession, table: Table, index: KeyIndex) -> None:
    with session.storage.lock:
        seen: dict[object, int] = {}
        for number, version in table.rows.items():
            if version.cells is None:
                continue
            key = index.key(version.cells)
            if index.is_null(key):
                continue
            if index.unique and key in seen:
                raise OracleFault(1452, "cannot CREATE UNIQUE INDEX; duplicate keys found")
            seen[key] = number
            index.add(key, number)


def relog(table: Table, database_levels: Set[str]) -> None:
    """Work out anew which columns every update of a table logs besides the changed ones."""
    levels = set(table.supplemental) | database_levels
    shape = table.shape
    every = tuple(place for place, column in enumerate(shape.columns) if column.type.base not in UNLOGGED)
    logged: set[int] = set()
    if "ALL" in levels or ("PRIMARY KEY" in levels and not shape.key):
        logged.update(every)
    elif "PRIMARY KEY" in levels:
        logged.update(shape.key)
    for level, names in table.supplemental.items():
        if level not in ("ALL", "PRIMARY KEY"):
            logged.update(place for name in names if (place := shape.place(name)) in every)
    table.shape = replace(
        shape,
        logged=tuple(sorted(logged)),
        logged_all="ALL" in levels,
        logged_key="PRIMARY KEY" in levels,
        opaque=any(column.type.opaque for column in shape.columns),
    )


def change_supplemental(session: EngineSession, table: Table, change: Supplemental) -> None:
    """Switch supplemental logging of a table on or off."""
    level = change.group or {"PRIMARY": "PRIMARY KEY"}.get(change.level, change.level)
    if change.add:
        if level in table.supplemental:
            raise OracleFault(32588, "supplemental logging attribute all column exists")
        table.supplemental[level] = change.columns
    elif level in table.supplemental:
        del table.supplemental[level]
    else:
        raise OracleFault(32587, "Cannot drop nonexistent supplemental log data")


def alter_table(session: EngineSession, statement: AlterTable, planner: QueryPlanner, text: str) -> None:
    """Alter a table. Columns added get their default in all rows, which no redo shows."""
    table = owned_table(session, statement.owner, statement.name, "ALTER")
    storage, catalog = session.storage, session.catalog
    with storage.lock:
        _require_idle(table)
        before = table.shape
        for change in statement.supplemental:
            change_supplemental(session, table, change)
        if statement.constraint is not None:
            add_key(session, table, statement.constraint)
        if statement.drop_constraint is not None:
            table.indexes = [
                index
                for index in table.indexes
                if not (
                    index.name == statement.drop_constraint
                    or (not statement.drop_constraint and index.primary)
                )
            ]
            primary = table.primary()
            table.shape = replace(table.shape, key=primary.places if primary else ())
        if statement.add:
            _add_columns(table, statement.add, planner, session)
        if statement.modify:
            _modify_columns(table, statement.modify)
        for name in statement.drop:
            _drop_column(table, name)
        if statement.rename_column:
            old, new = statement.rename_column
            place = place_of(table, old)
            _reshape(table, lambda at, column: replace(column, name=new) if at == place else column)
        if statement.rename_to:
            del catalog.tables[table.owner, table.name]
            table.shape = replace(table.shape, name=statement.rename_to, version=table.shape.version + 1)
            catalog.tables[table.owner, table.name] = table
        relog(table, session.database.containers.supplemental(session.container))
        catalog.changed()
        write_ddl(session, text, before, before.owner, before.name)
        table.defined_at = session.database.clock()
        if table.shape.version != before.version:
            table.defined_scn = storage.scn


def owned_table(session: EngineSession, owner: str | None, name: str, privilege: str) -> Table:
    """A table that the session's user may define.

    Raises:
        OracleFault: ORA-00942, ORA-01031.
    """
    table = session.find(owner, name, "SELECT" if owner not in (None, session.user) else privilege)
    if not isinstance(table, Table):
        raise OracleFault(942, "table or view does not exist")
    if table.owner != session.user:
        held = session.users
        if not held.may(session.user, privilege, (table.owner, table.name)):
            raise OracleFault(1031, "insufficient privileges")
    return table


def _require_idle(table: Table) -> None:
    for version in table.rows.values():
        if version.transaction.is_open:
            raise OracleFault(54, "resource busy and acquire with NOWAIT specified or timeout expired")


def _reshape(table: Table, change: Callable[[int, StoredColumn], StoredColumn]) -> None:
    columns = tuple(change(at, column) for at, column in enumerate(table.shape.columns))
    table.shape = replace(table.shape, columns=columns, version=table.shape.version + 1)


def _rewrite(table: Table, change: Callable[[Row], Row]) -> None:
    """Change the cells of all versions in place; redo records keep the tuples they have."""
    for head in table.rows.values():
        version = head
        while version is not None:
            if version.cells is not None:
                version.cells = change(version.cells)
            version = version.previous  # type: ignore[assignment]


def _add_columns(
    table: Table, written: abc.Sequence[ColumnDefinition], planner: QueryPlanner, session: EngineSession
) -> None:
    compiler = Compiler(Scope(), planner)
    env = session.env(())
    added, cells = [], []
    for definition in written:
        if table.shape.place(definition.name) is not None:
            raise OracleFault(1430, "column being added already exists in table")
        column = _column(definition, table.next_identity)
        _check_lengths(session, (column,))
        table.next_identity += 1
        cell = None
        if definition.default is not None:
            cell = kept(compiler.value(definition.default), column, table)((), env)
        elif not column.nullable and table.rows:
            raise OracleFault(1758, "table must be empty to add mandatory (NOT NULL) column")
        added.append(column)
        cells.append(cell)
    extra = tuple(cells)
    _rewrite(table, lambda row: row + extra)
    table.shape = replace(
        table.shape, columns=(*table.shape.columns, *added), version=table.shape.version + 1
    )


def _modify_columns(table: Table, written: abc.Sequence[ColumnDefinition]) -> None:
    for definition in written:
        place = place_of(table, definition.name)
        kind = from_name(definition.type)

        def change(at: int, column: StoredColumn, place: int = place, kind: object = kind) -> StoredColumn:
            return replace(column, type=kind) if at == place else column  # type: ignore[arg-type]

        _reshape(table, change)


def _drop_column(table: Table, name: str) -> None:
    place = place_of(table, name)
    if place in table.shape.key:
        raise OracleFault(12991, "column is referenced in a multi-column constraint")
    _rewrite(table, lambda row: row[:place] + row[place + 1 :])
    columns = table.shape.columns[:place] + table.shape.columns[place + 1 :]
    table.indexes = [index for index in table.indexes if place not in index.places]
    for index in table.indexes:
        index.places = tuple(at - (at > place) for at in index.places)
    key = tuple(at - (at > place) for at in table.shape.key)
    table.shape = replace(table.shape, columns=columns, key=key, version=table.shape.version + 1)


def drop_table(session: EngineSession, owner: str | None, name: str, text: str) -> None:
    """Drop a table; its redo stays, and can no longer be decoded by name."""
    table = owned_table(session, owner, name, "DROP")
    catalog = session.catalog
    with session.storage.lock:
        _require_idle(table)
        del catalog.tables[table.owner, table.name]
        table.dropped = True
        catalog.changed()
        write_ddl(session, text, table.shape, table.owner, table.name)


def truncate(session: EngineSession, owner: str | None, name: str, text: str) -> None:
    """Empty a table: a DDL record, no deletes; its data object id changes."""
    table = owned_table(session, owner, name, "DROP")
    catalog = session.catalog
    with session.storage.lock:
        _require_idle(table)
        before = table.shape
        table.rows = {}
        table.next_row = 0
        for index in table.indexes:
            index.clear()
        table.shape = replace(before, data_object_id=catalog.new_object_id(), version=before.version + 1)
        write_ddl(session, text, before, table.owner, table.name)
        table.defined_scn, table.defined_at = session.storage.scn, session.database.clock()
        catalog.changed()


def create_index(session: EngineSession, statement: CreateIndex, text: str) -> None:
    """Create an index; the planner uses it for equality on all its columns."""
    table = owned_table(session, statement.table_owner, statement.table, "ALTER")
    owner = statement.owner or session.schema
    if any(index.name == statement.name for index in table.indexes):
        raise OracleFault(955, "name is already used by an existing object")
    places = [table.shape.place(name) for name in statement.columns]
    with session.storage.lock:
        if None not in places:  # an index on an expression is accepted and not used
            index = KeyIndex(
                statement.name,
                owner,
                tuple(place for place in places if place is not None),
                unique=statement.unique,
                primary=False,
            )
            _fill(session, table, index)
            table.indexes.append(index)
        session.catalog.changed()
        write_ddl(session, text, table.shape, owner, statement.name)
