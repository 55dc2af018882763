"""CREATE TABLE and CREATE INDEX: columns, identity, segments, and rows from a query."""

from __future__ import annotations

from collections import abc
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.sql.syntax import (
    ColumnDefinition,
    ColumnRef,
    Constraint,
    CreateIndex,
    CreateTable,
    Literal,
)
from sandbox.oracle.engine.state.catalog import IDENTITY_SEQUENCE, Sequence
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements.clusters import cluster_of
from sandbox.oracle.engine.statements.ddl_records import owned_table, write_ddl
from sandbox.oracle.engine.statements.table_keys import add_key, change_supplemental, fill, relog
from sandbox.oracle.engine.store.tables import (
    ARCHIVE_STATE,
    KeyIndex,
    Segment,
    Shape,
    StoredColumn,
    Table,
)
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import from_name, is_extended
from sandbox.oracle.interface import DbType, OracleFault

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.query import QueryPlan


def create_table(session: Session, statement: CreateTable, plan: QueryPlan | None, text: str) -> None:
    """Create a table, with its keys, and fill it from a query if there is one."""
    catalog, storage = session.catalog, session.storage
    owner, name = statement.owner or session.schema, statement.name
    session.users.require(session.user, "CREATE TABLE" if owner == session.user else "CREATE ANY TABLE")
    if not session.users.exists(owner):
        raise OracleFault(1918, f"user '{owner}' does not exist")
    if (owner, name) in catalog.tables or (owner, name) in catalog.sequences:
        raise OracleFault(955, "name is already used by an existing object")
    columns = _columns(statement, plan)
    check_lengths(session, columns)
    number = catalog.new_object_id()
    segments = tuple(segments_of(session, statement.parts))
    shape = Shape(
        owner, name, columns, (), (), False, False, number, number, 1, statement.temporary, segments=segments
    )
    table = Table(shape, next_identity=len(columns) + 1)
    if statement.cluster is not None:
        table.cluster = cluster_of(session, *statement.cluster)
    for column in statement.columns:
        _add_column_keys(session, table, column)
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


def create_index(session: Session, statement: CreateIndex, text: str) -> None:
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
            index.object_id = session.catalog.new_object_id()
            fill(session, table, index)
            table.indexes.append(index)
        session.catalog.changed()
        write_ddl(session, text, table.shape, owner, statement.name)


def segments_of(session: Session, parts: abc.Sequence[tuple[str, str]]) -> abc.Iterator[Segment]:
    """Partitions and subpartitions, or the index that an index-organised table is."""
    for at, (name, kind) in enumerate(parts):
        # a partition of subpartitions holds no rows itself
        below = parts[at + 1][1] if at + 1 < len(parts) else ""
        composite = kind == "TABLE PARTITION" and below == "TABLE SUBPARTITION"
        yield Segment(name, kind, session.catalog.new_object_id(), stored=not composite)


def stored_column(written: ColumnDefinition, identity: int) -> StoredColumn:
    """A column as the table has it."""
    return StoredColumn(
        written.name, from_name(written.type), written.nullable, written.default, identity, written.invisible
    )


def check_lengths(session: Session, columns: abc.Iterable[StoredColumn]) -> None:
    """Long strings need MAX_STRING_SIZE=EXTENDED."""
    extended = session.database.parameters.get("max_string_size") == "EXTENDED"
    if not extended and any(is_extended(column.type) for column in columns):
        raise OracleFault(910, "specified length too long for its datatype")


def _add_column_keys(session: Session, table: Table, column: ColumnDefinition) -> None:
    """What a column's own clauses declare."""
    if column.identity:
        _add_identity(session, table, column.name)
    if column.references is not None:
        add_key(session, table, column.references)
    if column.primary:
        add_key(session, table, Constraint("primary", None, (column.name,)))
    elif column.unique:
        add_key(session, table, Constraint("unique", None, (column.name,)))


def _columns(statement: CreateTable, plan: QueryPlan | None) -> tuple[StoredColumn, ...]:
    if plan is not None:
        names = [column.name for column in statement.columns] or [column.name for column in plan.columns]
        return tuple(
            StoredColumn(name, kind, identity=at)
            for at, (name, kind) in enumerate(zip(names, plan.types, strict=True), 1)
        )
    columns = tuple(stored_column(column, at) for at, column in enumerate(statement.columns, 1))
    if statement.row_archival:
        state = StoredColumn(
            ARCHIVE_STATE,
            sql_types.text(4000),
            True,
            Literal(b"0", DbType.CHAR),
            len(columns) + 1,
            invisible=True,
            system=True,
        )
        columns = (*columns, state)
    if len({column.name for column in columns}) != len(columns):
        raise OracleFault(957, "duplicate column name")
    return columns


def _add_identity(session: Session, table: Table, name: str) -> None:
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
