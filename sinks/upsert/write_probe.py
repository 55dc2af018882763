"""Does the target take writes at all? A write that has nothing to do with any of its tables.

An error about the server that only a table's triggers raise, or meet on another server, is that table's. So
a small table of our own is made and filled wherever the table's rows are stored, and where temporary rows
are, and all of it is undone. More is written than a table grows by at once, so that a full disk is met.
"""

from __future__ import annotations

import psycopg
from psycopg import sql

from cdc.changes import TableName
from cdc.postgres.connect import Connection

_ROWS = 1_024
_ROW_BYTES = 1_024
"""Together 1 MiB: PostgreSQL adds at most 64 blocks of 8 kB to a table at once (17, `hio.c`,
RelationAddBlocks)."""

# The tablespaces of a table, its partitions, and the indexes of all of them.
_TABLESPACES = """
with parts as (
    select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace
    where n.nspname = %(schema)s and c.relname = %(table)s
    union
    select t.relid from pg_class c join pg_namespace n on n.oid = c.relnamespace,
        pg_partition_tree(c.oid) t
    where n.nspname = %(schema)s and c.relname = %(table)s
), stored as (
    select oid from parts union select i.indexrelid from parts p join pg_index i on i.indrelid = p.oid
)
select distinct s.spcname::text
from stored join pg_class c using (oid)
join pg_database d on d.datname = current_database()
join pg_tablespace s on s.oid = coalesce(nullif(c.reltablespace, 0), d.dattablespace)
"""


def takes_writes(connection: Connection, schema: str, table: TableName) -> bool:
    """True if the server takes a write in the place of a table's rows, in the open transaction.

    Args:
        connection: the session, in a transaction; nothing of the probe is left in it.
        schema: where we may make tables: that of the mark.
        table: whose tablespaces are tried.

    Returns:
        False also where it cannot be found out, for want of a right for example.
    """
    own = sql.Identifier(schema, "write_probe")
    try:
        with connection.transaction(force_rollback=True):
            for (space,) in connection.execute(
                _TABLESPACES, {"schema": table.schema, "table": table.name}
            ).fetchall():
                made = sql.SQL("create table {} (row text) tablespace {}").format(
                    own, sql.Identifier(str(space))
                )
                connection.execute(made)
                _fill(connection, own)
                connection.execute(sql.SQL("drop table {}").format(own))
            connection.execute("create temp table write_probe (row text)")
            _fill(connection, sql.Identifier("pg_temp", "write_probe"))
    except psycopg.Error:
        return False
    return True


def _fill(connection: Connection, table: sql.Identifier) -> None:
    connection.execute(
        sql.SQL("insert into {} select repeat('x', {}) from generate_series(1, {})").format(
            table, sql.Literal(_ROW_BYTES), sql.Literal(_ROWS)
        )
    )
