"""A multitenant database with one pluggable database that holds all application tables.

The stand-in is not multitenant until somebody opens a pluggable database (`sandbox_faults.open_pdb`).
From then on logins to the database's own service are in the root, which sees no application table and
may mine; logins to the service named like the pluggable database are in it, see the tables, and may not
mine. Users and their rights are the same in both.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from sandbox.oracle.engine.expressions import Env
from sandbox.oracle.engine.views import FixedView, view
from sandbox.oracle.interface import OracleFault

if TYPE_CHECKING:
    from sandbox.oracle.engine.database import OracleDatabase
    from sandbox.oracle.engine.session import EngineSession

ROOT = "CDB$ROOT"
ROOT_ID, PDB_ID = 1, 3


def home(database: OracleDatabase, service: str) -> str:
    """Container in which a login to a service is; the database's name where it is not multitenant."""
    if not database.pdb:
        return database.name
    return database.pdb if service.upper() == database.pdb else ROOT


def container_id(session: EngineSession) -> int:
    """CON_ID of the container a session is in, 0 where the database is not multitenant."""
    if not session.database.pdb:
        return 0
    return ROOT_ID if session.container == ROOT else PDB_ID


def sees_tables(session: EngineSession) -> bool:
    """Are the application's tables in the session's container?"""
    return not session.database.pdb or session.container != ROOT


def open_pdb(database: OracleDatabase, name: str) -> None:
    """Make the database multitenant; sessions that are there stay with the tables."""
    database.pdb = name
    database.services = frozenset({*database.services, name})
    for session in list(database.sessions.values()):
        session.container = name
    database.catalog.changed()


def enter(session: EngineSession, name: str) -> None:
    """ALTER SESSION SET CONTAINER.

    Raises:
        OracleFault: ORA-65011 for an unknown one, ORA-01031 without the right, ORA-65023 inside a
            transaction.
    """
    database = session.database
    if not database.pdb:
        return
    if name not in (ROOT, database.pdb):
        raise OracleFault(65011, f"Pluggable database {name} does not exist.")
    if not database.users.has(session.user, "SET CONTAINER"):
        raise OracleFault(1031, "insufficient privileges")
    if session.in_transaction and name != session.container:
        raise OracleFault(65023, "active transaction exists in container " + session.container)
    session.container = name


def refuse_mining(session: EngineSession) -> None:
    """LogMiner runs in the root only, before release 19.10.

    Raises:
        OracleFault: ORA-65040.
    """
    if session.database.pdb and session.container != ROOT:
        raise OracleFault(65040, "operation not allowed from within a pluggable database")


def views(database: OracleDatabase) -> list[FixedView]:
    """V$CONTAINERS and V$PDBS."""

    def pluggable() -> Iterator[Sequence[object]]:
        yield (2, database.dbid + 2, "PDB$SEED", "READ ONLY")
        yield (PDB_ID, database.dbid + PDB_ID, database.pdb, "READ WRITE")

    def containers(env: Env) -> Iterator[Sequence[object]]:
        if not database.pdb:
            yield (0, database.dbid, database.name, "READ WRITE")
            return
        yield (ROOT_ID, database.dbid, ROOT, "READ WRITE")
        yield from pluggable()

    def pdbs(env: Env) -> Iterator[Sequence[object]]:
        if database.pdb:
            yield from pluggable()

    columns = "CON_ID:n DBID:n NAME:128 OPEN_MODE:10"
    return [view("V$CONTAINERS", columns, containers), view("V$PDBS", columns, pdbs)]
