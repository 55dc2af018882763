"""Identity of an Oracle database: distinguishes it from others, from copies and from earlier states.

DBID stays the same in a copy of the files, in a standby and after a restore; the incarnation (RESETLOGS)
tells what was opened after an incomplete recovery or a failover. A pluggable database has a DBID of its own,
also as a clone in the same database.

Source: Oracle Database Reference 19c, V$DATABASE; SQL Language Reference 19c, CON_ID_TO_DBID.
"""

from __future__ import annotations

from contextlib import closing

import oracledb

from cdc.config import OracleSystem
from cdc.oracle.connect import connect

DATABASE = "select dbid, resetlogs_change#, to_char(resetlogs_time, 'YYYY-MM-DD HH24:MI:SS') from v$database"
CONTAINER = "select con_id_to_dbid(sys_context('USERENV', 'CON_ID')) from dual"


def database_identity(connection: oracledb.Connection) -> dict[str, str]:
    """DBID and incarnation.

    Raises:
        oracledb.Error: V$DATABASE may not be read, or the connection is lost.
    """
    with connection.cursor() as cursor:
        cursor.execute(DATABASE, fetch_decimals=False)
        dbid, resetlogs, at = cursor.fetchone()
    return {"dbid": str(dbid), "resetlogs_change": str(resetlogs), "resetlogs_time": str(at)}


def target_identity(settings: OracleSystem, connection: oracledb.Connection) -> dict[str, str]:
    """DBID and incarnation of the database, and DBID of the container that the session is in.

    In a pluggable database that was entered from the root V$DATABASE is granted in the root alone.

    Raises:
        CcbridgeError: the root cannot be reached.
        oracledb.Error: V$DATABASE may not be read, or the connection is lost.
    """
    with connection.cursor() as cursor:
        cursor.execute(CONTAINER, fetch_decimals=False)
        (container,) = cursor.fetchone()
    if settings.pdb is None:
        found = database_identity(connection)
    else:
        with closing(connect(settings, module="ccbridge identity", in_root=True)) as root:
            found = database_identity(root)
    return found | {"container_dbid": str(container)}
