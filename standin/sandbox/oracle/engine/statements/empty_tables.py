"""DROP TABLE and TRUNCATE TABLE."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements.ddl_records import owned_table, require_idle, write_ddl
from sandbox.oracle.engine.store.tables import (
    Table,
)
from sandbox.oracle.interface import OracleFault

if TYPE_CHECKING:
    pass


def drop_table(session: Session, owner: str | None, name: str, text: str) -> None:
    """Drop a table; its redo stays, and can no longer be decoded by name."""
    table = owned_table(session, owner, name, "DROP")
    catalog = session.catalog
    with session.storage.lock:
        require_idle(session, table)
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
            empty(session, each)
        write_ddl(session, text, before, table.owner, table.name)
        for each in emptied:
            each.defined_scn, each.defined_at = session.storage.scn, session.database.clock()


def empty(session: Session, table: Table) -> None:
    """Take all rows out of a table, which gets a new data object."""
    require_idle(session, table)
    table.rows = {}
    table.next_row = 0
    for index in table.indexes:
        index.clear()
    number = session.catalog.new_object_id()
    table.shape = replace(table.shape, data_object_id=number, version=table.shape.version + 1)
    session.catalog.changed()


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
