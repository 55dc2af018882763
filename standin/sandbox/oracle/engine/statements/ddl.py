"""CREATE, ALTER, DROP, TRUNCATE, GRANT: changes of the catalog, each written to the redo as DDL.

As in Oracle, a DDL statement commits what was open.
"""

from __future__ import annotations

from collections import abc
from collections.abc import Callable, Set
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.functions.expressions import Scope, column_expr
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.dml import kept, place_of
from sandbox.oracle.engine.sql.syntax import (
    AlterTable,
    ColumnDefinition,
    ColumnRef,
    Constraint,
    CreateIndex,
    CreateTable,
    Literal,
    Modification,
    Supplemental,
)
from sandbox.oracle.engine.state.catalog import IDENTITY_SEQUENCE, Sequence
from sandbox.oracle.engine.state.context import Env, Session
from sandbox.oracle.engine.store.journal import Operation, Record
from sandbox.oracle.engine.store.storage import WAIT_SLICE_S, within
from sandbox.oracle.engine.store.tables import (
    ARCHIVE_STATE,
    FastDefault,
    ForeignKey,
    KeyIndex,
    Segment,
    Shape,
    StoredColumn,
    Table,
)
from sandbox.oracle.engine.values import sql_types
from sandbox.oracle.engine.values.sql_types import from_name, is_extended
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.query import QueryPlan, QueryPlanner

"""Begins the names of the sequences behind identity columns."""

UNLOGGED = (DbType.CLOB, DbType.BLOB, DbType.LONG, DbType.LONG_RAW)
"""Never added by supplemental logging, whatever its level."""


def write_ddl(session: Session, text: str, shape: Shape | None, owner: str, name: str) -> None:
    """Write a DDL statement as a transaction of its own; the shape is that before the change."""
    storage = session.storage
    with storage.lock:
        transaction = session.new_transaction()
        storage.begin(transaction)
        scn = storage.next_scn()
        words = (text.encode(), owner.encode(), name.encode())
        storage.journal.append(Record(scn, transaction, Operation.DDL, shape, after=words))
        storage.commit(transaction)


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
    _check_lengths(session, columns)
    number = catalog.new_object_id()
    segments = tuple(_segments(session, statement.parts))
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


def _check_lengths(session: Session, columns: abc.Iterable[StoredColumn]) -> None:
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


def _segments(session: Session, parts: abc.Sequence[tuple[str, str]]) -> abc.Iterator[Segment]:
    """Partitions and subpartitions, or the index that an index-organised table is."""
    for at, (name, kind) in enumerate(parts):
        # a partition of subpartitions holds no rows itself
        below = parts[at + 1][1] if at + 1 < len(parts) else ""
        composite = kind == "TABLE PARTITION" and below == "TABLE SUBPARTITION"
        yield Segment(name, kind, session.catalog.new_object_id(), stored=not composite)


def _column(written: ColumnDefinition, identity: int) -> StoredColumn:
    return StoredColumn(
        written.name, from_name(written.type), written.nullable, written.default, identity, written.invisible
    )


def add_key(session: Session, table: Table, constraint: Constraint) -> None:
    """Add a primary or unique key; foreign keys and checks are accepted and not enforced."""
    if constraint.kind not in ("primary", "unique"):
        name = constraint.name or f"SYS_C{session.catalog.new_object_id():07d}"
        if constraint.table is None:
            table.other_constraints.add(name)
        else:
            owner, parent = constraint.table
            table.foreign_keys[name] = ForeignKey(
                owner or table.owner, parent, constraint.delete_rule, constraint.enabled
            )
        return
    places = tuple(place_of(table, name) for name in constraint.columns)
    primary = constraint.kind == "primary"
    if primary and table.primary() is not None:
        raise OracleFault(2260, "table can have only one primary key")
    name = constraint.name or f"SYS_C{session.catalog.new_object_id():07d}"
    index = KeyIndex(name, table.owner, places, unique=constraint.enabled, primary=primary)
    index.constraint, index.object_id = True, session.catalog.new_object_id()
    index.enabled, index.validated = constraint.enabled, constraint.validated
    _fill(session, table, index)
    table.indexes.append(index)
    if primary:
        columns = tuple(
            replace(column, nullable=False) if place in places and constraint.validated else column
            for place, column in enumerate(table.shape.columns)
        )
        table.shape = replace(table.shape, columns=columns, key=places)


def _fill(session: Session, table: Table, index: KeyIndex) -> None:
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


def change_supplemental(session: Session, table: Table, change: Supplemental) -> None:
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


def alter_table(session: Session, statement: AlterTable, planner: QueryPlanner, text: str) -> None:
    """Alter a table. Columns added get their default in all rows, which no redo shows then or later."""
    table = owned_table(session, statement.owner, statement.name, "ALTER")
    storage, catalog = session.storage, session.catalog
    with storage.lock:
        _require_idle(session, table)
        before = table.shape
        _alter_keys(session, table, statement)
        if statement.split:
            _split(session, table, statement.split)
        _alter_columns(session, table, statement, planner)
        if statement.exchange:
            _exchange(session, table, owned_table(session, *statement.exchange, "ALTER"))
        if statement.rename_to:
            _rename(session, table, statement.rename_to)
        relog(table, session.database.containers.supplemental(session.container))
        catalog.changed()
        write_ddl(session, text, before, before.owner, before.name)
        table.defined_at = session.database.clock()
        if table.shape.version != before.version:
            table.defined_scn = storage.scn


def _alter_keys(session: Session, table: Table, statement: AlterTable) -> None:
    for change in statement.supplemental:
        change_supplemental(session, table, change)
    for constraint in statement.constraints:
        add_key(session, table, constraint)
    if statement.drop_constraint is not None:
        _drop_constraint(table, statement.drop_constraint)
    if statement.rename_constraint:
        _constraint(table, statement.rename_constraint[0]).name = statement.rename_constraint[1]
    if statement.key_state is not None:
        state = statement.key_state
        for index in table.indexes:
            if index.primary:
                index.enabled, index.validated = state.enabled, state.validated
                index.unique = state.enabled


def _alter_columns(session: Session, table: Table, statement: AlterTable, planner: QueryPlanner) -> None:
    if statement.add:
        _add_columns(table, statement.add, planner, session)
    if statement.modify:
        _modify_columns(table, statement.modify, session, planner)
    for name in (*statement.drop, *statement.unused):
        _drop_column(table, name)
    if statement.rename_column:
        old, new = statement.rename_column
        place = place_of(table, old)
        _reshape(table, lambda at, column: replace(column, name=new) if at == place else column)


def _rename(session: Session, table: Table, name: str) -> None:
    tables = session.catalog.tables
    if (table.owner, name) in tables:
        raise OracleFault(955, "name is already used by an existing object")
    del tables[table.owner, table.name]
    table.shape = replace(table.shape, name=name, version=table.shape.version + 1)
    tables[table.owner, name] = table


def owned_table(session: Session, owner: str | None, name: str, privilege: str) -> Table:
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


def _split(session: Session, table: Table, names: abc.Sequence[str]) -> None:
    """Make two partitions of one: the first name's object is gone, those of the others are new."""
    old, *new = names
    if not any(segment.name == old for segment in table.shape.segments):
        raise OracleFault(2149, "Specified partition does not exist")
    kept_ones = [segment for segment in table.shape.segments if segment.name != old]
    made = _segments(session, [(name, "TABLE PARTITION") for name in new])
    table.shape = replace(table.shape, segments=(*kept_ones, *made), version=table.shape.version + 1)


def _require_idle(session: Session, table: Table) -> None:
    """Wait as long as DDL_LOCK_TIMEOUT says until nobody changes a table."""
    try:
        check = within(session.ddl_lock_timeout_s, session.check)
        while any(version.transaction.is_open for version in table.rows.values()):
            check()
            session.storage.ended.wait(WAIT_SLICE_S)
    except OracleFault as fault:
        if fault.code != _TIMED_OUT:
            raise
        raise OracleFault(54, "resource busy and acquire with NOWAIT specified or timeout expired") from fault


_TIMED_OUT = 30006


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
    table: Table, written: abc.Sequence[ColumnDefinition], planner: QueryPlanner, session: Session
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
    extra = tuple(None if cell is None else FastDefault(cell) for cell in cells)
    _rewrite(table, lambda row: row + extra)
    table.shape = replace(
        table.shape, columns=(*table.shape.columns, *added), version=table.shape.version + 1
    )


def _modify_columns(
    table: Table, written: abc.Sequence[Modification], session: Session, planner: QueryPlanner
) -> None:
    """Change types, defaults and NOT NULL; existing values must fit."""
    env = session.env(())
    for change in written:
        place = place_of(table, change.name)
        old = table.shape.columns[place]
        column = old if change.type is None else replace(old, type=from_name(change.type))
        _check_lengths(session, (column,))
        if change.nullable is not None:
            column = replace(column, nullable=change.nullable)
        if change.new_default:
            column = replace(column, default=change.default)
        values = [head.cells[place] for head in table.rows.values() if head.cells is not None]
        if None in values and not column.nullable:
            raise OracleFault(2296, f"cannot enable ({table.owner}.{table.name}) - null values found")
        if column.type != old.type:
            _convert_column(table, place, old, column, values, planner, env)
        changed = column
        _reshape(table, lambda at, each, place=place, changed=changed: changed if at == place else each)  # type: ignore[misc]


def _convert_column(
    table: Table,
    place: int,
    old: StoredColumn,
    new: StoredColumn,
    values: abc.Sequence[Cell],
    planner: QueryPlanner,
    env: Env,
) -> None:
    """Pad or check the values of a column whose type changes; another kind of type needs an empty column."""
    held = [value for value in values if value is not None]
    if held and new.type.base is not old.type.base and {new.type.base, old.type.base} != _TEXTS:
        raise OracleFault(1439, "column to be modified must be empty to change datatype")
    run = kept(column_expr(place, old.type), new, table)
    try:
        for value in held:
            fitted = run((*(None,) * place, value), env)
            if new.type.family == "number" and fitted != value:
                raise OracleFault(1440, "column to be modified must be empty to decrease precision or scale")
    except OracleFault as fault:
        if fault.code in (12899, 1438):
            code, text = _TOO_SMALL[fault.code]
            raise OracleFault(code, text) from fault
        raise
    _rewrite(table, lambda row: (*row[:place], run(row, env), *row[place + 1 :]))


_TEXTS = {DbType.CHAR, DbType.VARCHAR2}
_TOO_SMALL = {
    12899: (1441, "cannot decrease column length because some value is too big"),
    1438: (1440, "column to be modified must be empty to decrease precision or scale"),
}


def _constraint(table: Table, name: str) -> KeyIndex:
    for index in table.indexes:
        if index.constraint and index.name == name:
            return index
    raise OracleFault(2443, "Cannot drop constraint  - nonexistent constraint")


def _drop_constraint(table: Table, name: str) -> None:
    """Drop a constraint by name, or the primary key."""
    if table.foreign_keys.pop(name, None) is not None:
        return
    known = table.other_constraints
    if name in known:
        known.discard(name)
        return
    primary = table.primary()
    if not name and primary is None:
        raise OracleFault(2441, "Cannot drop nonexistent primary key")
    table.indexes.remove(_constraint(table, name) if name else primary)  # type: ignore[arg-type]
    primary = table.primary()
    table.shape = replace(table.shape, key=primary.places if primary else ())


def _exchange(session: Session, table: Table, other: Table) -> None:
    """Swap the rows of two tables: each table is its only partition."""
    _require_idle(session, other)
    if [column.type for column in table.shape.columns] != [column.type for column in other.shape.columns]:
        raise OracleFault(14097, "column type or size mismatch in ALTER TABLE EXCHANGE PARTITION")
    if [index.places for index in table.indexes] != [index.places for index in other.indexes]:
        raise OracleFault(14098, "index mismatch for tables in ALTER TABLE EXCHANGE PARTITION")
    numbers = table.shape.data_object_id, other.shape.data_object_id
    table.rows, other.rows = other.rows, table.rows
    table.next_row, other.next_row = other.next_row, table.next_row
    for number, each in zip(reversed(numbers), (table, other), strict=True):
        each.shape = replace(each.shape, data_object_id=number, version=each.shape.version + 1)
        each.defined_scn = session.storage.scn
        for index in each.indexes:
            index.clear()
            _fill(session, each, index)


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


def drop_table(session: Session, owner: str | None, name: str, text: str) -> None:
    """Drop a table; its redo stays, and can no longer be decoded by name."""
    table = owned_table(session, owner, name, "DROP")
    catalog = session.catalog
    with session.storage.lock:
        _require_idle(session, table)
        del catalog.tables[table.owner, table.name]
        table.dropped = True
        catalog.changed()
        write_ddl(session, text, table.shape, table.owner, table.name)


def truncate(session: Session, owner: str | None, name: str, text: str, *, cascade: bool) -> None:
    """Empty a table: a DDL record, no deletes; its data object id changes.

    With `cascade` so are those that refer to it ON DELETE CASCADE, and the record names the first alone.
    """
    table = owned_table(session, owner, name, "DROP")
    if table.cluster is not None:
        raise OracleFault(3292, "Table to be truncated is part of a cluster")
    with session.storage.lock:
        before = table.shape
        emptied = [table, *(_referring(session, table) if cascade else ())]
        for each in emptied:
            _empty(session, each)
        write_ddl(session, text, before, table.owner, table.name)
        for each in emptied:
            each.defined_scn, each.defined_at = session.storage.scn, session.database.clock()


def _referring(session: Session, table: Table) -> list[Table]:
    """The tables that refer to one, directly or through others.

    Raises:
        OracleFault: ORA-14705: one of them does not ON DELETE CASCADE.
    """
    found, waiting = [table], [table]
    while waiting:
        parent = waiting.pop()
        for child in session.catalog.tables.values():
            keys = [key for key in child.foreign_keys.values() if key.enabled]
            rules = {key.delete_rule for key in keys if (key.owner, key.table) == (parent.owner, parent.name)}
            if rules - {"CASCADE"}:
                raise OracleFault(
                    14705,
                    "unique or primary keys referenced by enabled foreign keys in table "
                    f'"{child.owner}"."{child.name}"',
                )
            if rules and child not in found:
                found.append(child)
                waiting.append(child)
    return found[1:]


def _empty(session: Session, table: Table) -> None:
    _require_idle(session, table)
    table.rows = {}
    table.next_row = 0
    for index in table.indexes:
        index.clear()
    number = session.catalog.new_object_id()
    table.shape = replace(table.shape, data_object_id=number, version=table.shape.version + 1)
    session.catalog.changed()


def create_cluster(session: Session, owner: str | None, name: str, text: str) -> None:
    """Create a cluster; the tables in it are stored as any others."""
    key = owner or session.schema, name
    session.users.require(session.user, "CREATE TABLE" if key[0] == session.user else "CREATE ANY TABLE")
    if key in session.catalog.clusters or key in session.catalog.tables:
        raise OracleFault(955, "name is already used by an existing object")
    session.catalog.clusters.add(key)
    write_ddl(session, text, None, *key)


def cluster_of(session: Session, owner: str | None, name: str) -> tuple[str, str]:
    """Owner and name of a cluster.

    Raises:
        OracleFault: ORA-00943.
    """
    key = owner or session.schema, name
    if key not in session.catalog.clusters:
        raise OracleFault(943, "cluster does not exist")
    return key


def truncate_cluster(session: Session, owner: str | None, name: str, text: str) -> None:
    """Empty all tables of a cluster: one DDL record, which names the cluster alone."""
    key = cluster_of(session, owner, name)
    with session.storage.lock:
        members = [table for table in session.catalog.tables.values() if table.cluster == key]
        for table in members:
            _empty(session, owned_table(session, table.owner, table.name, "DROP"))
        write_ddl(session, text, None, *key)
        for table in members:
            table.defined_scn, table.defined_at = session.storage.scn, session.database.clock()


def drop_cluster(session: Session, owner: str | None, name: str, text: str, *, tables: bool) -> None:
    """Drop a cluster with its tables: one DDL record, which names the cluster alone."""
    key = cluster_of(session, owner, name)
    with session.storage.lock:
        members = [table for table in session.catalog.tables.values() if table.cluster == key]
        if members and not tables:
            raise OracleFault(951, "cluster not empty")
        for table in members:
            owned_table(session, table.owner, table.name, "DROP")
            _require_idle(session, table)
            del session.catalog.tables[table.owner, table.name]
            table.dropped = True
        session.catalog.clusters.discard(key)
        session.catalog.changed()
        write_ddl(session, text, None, *key)


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
            _fill(session, table, index)
            table.indexes.append(index)
        session.catalog.changed()
        write_ddl(session, text, table.shape, owner, statement.name)
