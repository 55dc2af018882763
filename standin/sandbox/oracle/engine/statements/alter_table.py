"""ALTER TABLE: what becomes of columns, keys, partitions and the name of a table with rows in it."""

from __future__ import annotations

from collections import abc
from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.functions.expressions import Scope, column_expr
from sandbox.oracle.engine.plan.compiler import Compiler
from sandbox.oracle.engine.plan.dml import kept, place_of
from sandbox.oracle.engine.sql.syntax import (
    AlterTable,
    ColumnDefinition,
    Modification,
)
from sandbox.oracle.engine.state.context import Env, Session
from sandbox.oracle.engine.statements.create_table import check_lengths, segments_of, stored_column
from sandbox.oracle.engine.statements.ddl_records import owned_table, require_idle, write_ddl
from sandbox.oracle.engine.statements.table_keys import alter_keys, fill, relog
from sandbox.oracle.engine.store.tables import (
    FastDefault,
    StoredColumn,
    Table,
)
from sandbox.oracle.engine.values.sql_types import from_name
from sandbox.oracle.interface import Cell, DbType, OracleFault, Row

if TYPE_CHECKING:
    from sandbox.oracle.engine.plan.query import QueryPlanner


_TEXTS = {DbType.CHAR, DbType.VARCHAR2}

_TOO_SMALL = {
    12899: (1441, "cannot decrease column length because some value is too big"),
    1438: (1440, "column to be modified must be empty to decrease precision or scale"),
}


def alter_table(session: Session, statement: AlterTable, planner: QueryPlanner, text: str) -> None:
    """Alter a table. Columns added get their default in all rows, which no redo shows then or later."""
    table = owned_table(session, statement.owner, statement.name, "ALTER")
    storage, catalog = session.storage, session.catalog
    with storage.lock:
        require_idle(session, table)
        before = table.shape
        alter_keys(session, table, statement)
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


def _split(session: Session, table: Table, names: abc.Sequence[str]) -> None:
    """Make two partitions of one: the first name's object is gone, those of the others are new."""
    old, *new = names
    if not any(segment.name == old for segment in table.shape.segments):
        raise OracleFault(2149, "Specified partition does not exist")
    kept_ones = [segment for segment in table.shape.segments if segment.name != old]
    made = segments_of(session, [(name, "TABLE PARTITION") for name in new])
    table.shape = replace(table.shape, segments=(*kept_ones, *made), version=table.shape.version + 1)


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
        column = stored_column(definition, table.next_identity)
        check_lengths(session, (column,))
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
        check_lengths(session, (column,))
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


def _exchange(session: Session, table: Table, other: Table) -> None:
    """Swap the rows of two tables: each table is its only partition."""
    require_idle(session, other)
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
            fill(session, each, index)


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
