"""What the capturing user must be granted, and nothing more.

Read next: `cdc.readers.logminer.preflight`, which looks for each of these rights.

Source: Oracle Database Utilities 19c, "LogMiner requirements" and "Using LogMiner in a CDB".
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from cdc.changes import TableName
from cdc.config import OracleSystem
from cdc.readers.logminer.preflight import needed_views
from cdc.readers.logminer.snapshot import quoted


def mining_grants(settings: OracleSystem, user: str, *, root: bool) -> Iterator[str]:
    """Statements for the database that is mined; `root` for the root of a multitenant one."""
    everywhere = " container = all" if root else ""
    yield f"grant create session to {user}{everywhere};"
    if root:
        yield f"grant set container to {user}{everywhere};"
        yield f"alter user {user} set container_data = all container = current;"
    yield f"grant logmining to {user}{everywhere};"
    yield f"grant execute on sys.dbms_logmnr to {user};"
    for view in needed_views(settings):
        yield f"grant select on sys.{view.replace('V$', 'V_$')} to {user};"


def table_grants(tables: Sequence[TableName], user: str) -> Iterator[str]:
    """Statements for the captured tables: the snapshot reads them as of an SCN."""
    for table in sorted(tables):
        yield f"grant select, flashback on {quoted(table)} to {user};"
