"""What the capturing user must be granted, and nothing more.

Each right is granted where it is used: in a multitenant database those of mining in the root alone, so that
the user can do nothing in other pluggable databases.

Source: Oracle Database Utilities 19c, "LogMiner requirements" and "Using LogMiner in a CDB"; Multitenant
Administrator's Guide 19c, "Enabling common users to view information about specific PDBs"; Amazon RDS User
Guide, "Granting SELECT or EXECUTE privileges to SYS objects".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.oracle.connect import identifier
from cdc.readers.logminer.tables.selected import quoted

VIEWS = (
    "V$DATABASE",
    "V$THREAD",
    "V$ARCHIVED_LOG",
    "V$LOGMNR_CONTENTS",
    "V$PARAMETER",
    "GV$TRANSACTION",
)
LOG_VIEWS = ("V$LOG", "V$LOGFILE", "V$LOG_HISTORY")
"""Needed where logs are listed for LogMiner; inside a pluggable database it finds them itself."""
ROOT_VIEWS = ("V$CONTAINERS", "DATABASE_PROPERTIES")
"""Needed in the root of a multitenant database."""
MEMORY_VIEWS = ("V$MYSTAT", "V$STATNAME")
"""Needed only with a limit of memory for LogMiner sessions."""
INSTANCE_VIEWS = ("V$INSTANCE",)
"""Needed only with addresses of instances: it tells which one was reached."""


DICTIONARY_VIEWS = ("DBA_OBJECTS",)
"""Needed where the tables are: ALL_OBJECTS leaves out subpartitions and indexes."""


def needed_views(settings: OracleSystem, *, root: bool, inside: bool = False) -> tuple[str, ...]:
    """The views of SYS that a reader with these settings selects from.

    Args:
        settings: its configuration.
        root: it mines in the root of a multitenant database.
        inside: it mines inside a pluggable database.
    """
    memory = MEMORY_VIEWS if settings.session_max_pga_bytes else ()
    instances = INSTANCE_VIEWS if settings.instances else ()
    return VIEWS + (() if inside else LOG_VIEWS) + memory + instances + (ROOT_VIEWS if root else ())


def sys_grant(name: str, user: str, *, right: str = "select", rds: bool = False) -> str:
    """Grant a right on a view or package of SYS, in Amazon RDS by its own procedure."""
    name = name.replace("V$", "V_$")
    if rds:
        values = f"'{name}', '{user.upper()}', '{right.upper()}'"
        return f"begin rdsadmin.rdsadmin_util.grant_sys_object({values}); end;"
    return f"grant {right} on sys.{name} to {user};"


def mining_rights(user: str, *, rds: bool = False, inside: bool = False) -> Iterator[str]:
    """What DBMS_LOGMNR needs, and more of it inside a pluggable database."""
    yield f"grant logmining to {user};"
    yield sys_grant("DBMS_LOGMNR", user, right="execute", rds=rds)
    if inside:
        package = "rdsadmin.rdsadmin_dbms_goldengate_auth" if rds else "dbms_goldengate_auth"
        yield (
            f"begin {package}.grant_admin_privilege(grantee => '{user.upper()}', "
            "privilege_type => 'CAPTURE', grant_select_privileges => false, do_grants => true); end;"
        )


def container_data(user: str, pdb: str) -> str:
    """Let V$ views in the root show what is open in the pluggable database."""
    return f"alter user {user} set container_data = (CDB$ROOT, {identifier(pdb)}) container = current;"


def mining_grants(
    settings: OracleSystem, user: str, *, pdb: str | None = None, rds: bool = False, inside: bool = False
) -> Iterator[str]:
    """Statements for the database that is mined.

    Args:
        settings: the reader's configuration.
        user: who is granted.
        pdb: the statements are for the root, and the tables in this pluggable database.
        rds: grant rights on objects of SYS as Amazon RDS does.
        inside: the statements are for a pluggable database that is mined from within.
    """
    yield f"grant create session to {user};"
    if pdb is not None:
        yield container_data(user, pdb)
    yield from mining_rights(user, rds=rds, inside=inside)
    for view in needed_views(settings, root=pdb is not None, inside=inside):
        yield sys_grant(view, user, rds=rds)


def enter_grant(user: str) -> str:
    """The right to enter a pluggable database, granted in it."""
    return f"grant set container to {user};"


def dictionary_grants(user: str, *, rds: bool = False) -> Iterator[str]:
    """Views of the dictionary, granted where the tables are."""
    for view in DICTIONARY_VIEWS:
        yield sys_grant(view, user, rds=rds)


def table_grants(tables: Sequence[TableName], user: str) -> Iterator[str]:
    """Statements for the captured tables: the snapshot reads them as of an SCN."""
    for table in sorted(tables):
        yield f"grant select, flashback on {quoted(table)} to {user};"
