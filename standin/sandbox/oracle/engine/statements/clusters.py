"""Clusters: the redo of what is done to one names the cluster alone, not the tables in it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sandbox.oracle.engine.state.context import Session
from sandbox.oracle.engine.statements.ddl_records import owned_table, require_idle, write_ddl
from sandbox.oracle.engine.statements.empty_tables import empty
from sandbox.oracle.interface import OracleFault

if TYPE_CHECKING:
    pass


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
            empty(session, owned_table(session, table.owner, table.name, "DROP"))
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
            require_idle(session, table)
            del session.catalog.tables[table.owner, table.name]
            table.dropped = True
        session.catalog.clusters.discard(key)
        session.catalog.changed()
        write_ddl(session, text, None, *key)
