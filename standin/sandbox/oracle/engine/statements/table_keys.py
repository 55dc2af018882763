"""Keys, other constraints and supplemental logging of a table."""

from __future__ import annotations

from collections.abc import Set
from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.plan.dml import place_of
from sandbox.oracle.engine.sql.syntax import (
    AlterTable,
    Constraint,
    Supplemental,
)
from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.store.tables import (
    ForeignKey,
    KeyIndex,
    Table,
)
from sandbox.oracle.interface import DbType, OracleFault

if TYPE_CHECKING:
    pass


UNLOGGED = (DbType.CLOB, DbType.BLOB, DbType.LONG, DbType.LONG_RAW)


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
    fill(session, table, index)
    table.indexes.append(index)
    if primary:
        columns = tuple(
            replace(column, nullable=False) if place in places and constraint.validated else column
            for place, column in enumerate(table.shape.columns)
        )
        table.shape = replace(table.shape, columns=columns, key=places)


def fill(session: Session, table: Table, index: KeyIndex) -> None:
    """Build an index over the rows that are there."""
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


def key_named(table: Table, name: str) -> KeyIndex:
    """A key by the name of its constraint."""
    for index in table.indexes:
        if index.constraint and index.name == name:
            return index
    raise OracleFault(2443, "Cannot drop constraint  - nonexistent constraint")


def drop_constraint(table: Table, name: str) -> None:
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
    table.indexes.remove(key_named(table, name) if name else primary)  # type: ignore[arg-type]
    primary = table.primary()
    table.shape = replace(table.shape, key=primary.places if primary else ())


def alter_keys(session: Session, table: Table, statement: AlterTable) -> None:
    """Do what ALTER TABLE says about keys, constraints and supplemental logging."""
    for change in statement.supplemental:
        change_supplemental(session, table, change)
    for constraint in statement.constraints:
        add_key(session, table, constraint)
    if statement.drop_constraint is not None:
        drop_constraint(table, statement.drop_constraint)
    if statement.rename_constraint:
        key_named(table, statement.rename_constraint[0]).name = statement.rename_constraint[1]
    if statement.key_state is not None:
        state = statement.key_state
        for index in table.indexes:
            if index.primary:
                index.enabled, index.validated = state.enabled, state.validated
                index.unique = state.enabled
