"""Unique values that rows exchange: a meter that moves from one account to another and back.

PostgreSQL checks a unique index row by row, so an update that is right as a whole can be refused on
its way. Once an index has refused a write, its value is first taken from all rows of the range that
are about to lose it; then every row gets its new one. It takes a column of the index that may be
null; otherwise the rows stay refused and are held.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.postgres.connect import Connection
from sinks import comparison
from sinks.layout import Layout, in_range

# The columns of a unique index that may be null; none of one that takes NULL for a value.
_NULLABLE = """
select a.attname::text
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
cross join lateral unnest(i.indkey) with ordinality as part (number, place)
join pg_attribute a on a.attrelid = t.oid and a.attnum = part.number
where c.relname = %(index)s and n.nspname = %(schema)s and t.relname = %(table)s
    and i.indisunique and not i.indnullsnotdistinct and part.place <= i.indnkeyatts and not a.attnotnull
order by part.place
"""


@dataclass(frozen=True)
class Exchange:
    """A unique index of a target table and the column by which its values are given up."""

    index: str
    column: str


def refused_exchange(connection: Connection, layout: Layout, exc: psycopg.Error) -> Exchange | None:
    """The unique index that refused a write, if its values can be given up first.

    Returns:
        None for other errors, for an index of another table, and where the program writes no column
        of the index that may be null.
    """
    name, detail = layout.table.name, exc.diag
    if not isinstance(exc, psycopg.errors.UniqueViolation) or detail.constraint_name is None:
        return None
    rows = connection.execute(
        _NULLABLE, {"index": detail.constraint_name, "schema": name.schema, "table": name.name}
    ).fetchall()
    written = {column.name for column in layout.columns}
    column = next((str(column) for (column,) in rows if column in written), None)
    return None if column is None else Exchange(detail.constraint_name, column)


def give_up(layout: Layout, exchange: Exchange) -> sql.Composed:
    """Take the value from the rows of a range that are about to get another one."""
    return sql.SQL(
        "update {target} t set {column} = null from {decided} x join {typed} d on d.ctid = x.place "
        "where x.decision = {decision} and {in_range} and {match} and t.{column} is distinct from d.{column}"
    ).format(
        target=layout.target,
        column=sql.Identifier(exchange.column),
        decided=layout.decided,
        typed=layout.typed,
        decision=sql.Literal(comparison.UPDATE),
        in_range=in_range("x"),
        match=layout.match,
    )
