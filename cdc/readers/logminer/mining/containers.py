"""The container that a session is in: no root and no PDB, the root, or a pluggable database.

In a pluggable database LogMiner runs for that database alone. ADD_LOGFILE is refused there (ORA-65040):
START_LOGMNR is given SCNs and finds the logs itself, and refuses (ORA-01291) when one is missing. So a
session inside needs no list of logs; it needs the rights of DBMS_GOLDENGATE_AUTH. It is the only way where
the root cannot be entered.

Source: Oracle Database Utilities 19c, "Understanding how to run LogMiner sessions" (per-PDB capture, 19.10
and later); Database Reference 19c, SYS_CONTEXT; Amazon RDS User Guide, "Overview of RDS for Oracle CDBs".
"""

from __future__ import annotations

from dataclasses import dataclass

import oracledb

from cdc.oracle.errors import oracle_errors

ROOT = "CDB$ROOT"
CONTAINER = "select sys_context('USERENV', 'CDB_NAME'), sys_context('USERENV', 'CON_NAME') from dual"


@dataclass(frozen=True)
class Container:
    """Where a session is; `name` is None in a database without containers."""

    name: str | None

    @property
    def is_root(self) -> bool:
        """The root of a multitenant database."""
        return self.name == ROOT

    @property
    def is_pdb(self) -> bool:
        """A pluggable database: LogMiner finds the logs itself."""
        return self.name is not None and self.name != ROOT


def container_of(connection: oracledb.Connection, system: str) -> Container:
    """Ask a session where it is; no right is needed for that."""
    with oracle_errors(system), connection.cursor() as cursor:
        cursor.execute(CONTAINER)
        database, name = cursor.fetchone()
    return Container(str(name) if database is not None else None)
