"""Unique values that rows exchange: a meter that moves from one account to another and back.

PostgreSQL checks a unique index row by row, so an update that is right as a whole can be refused on
its way. Once an index has refused a write, its value is first taken from all rows of the range that
are about to lose it; then every row gets its new one. Meanwhile they have NULL, or a value that no other
row has where the column may not be null and nothing but the index looks at it: no trigger on updates,
check constraint, foreign key or domain. Otherwise the rows stay refused and are held.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.postgres.connect import Connection
from sinks.upsert.statements import comparison
from sinks.upsert.statements.layout import Layout, in_range

# The columns of a unique index: may it be null, its type, and whether only the index looks at its values.
_COLUMNS = """
select a.attname::text, not a.attnotnull and not i.indnullsnotdistinct,
    case when a.atttypmod = -1 then format_type(a.atttypid, -1) end,
    not exists (select from pg_trigger g where g.tgrelid = t.oid and not g.tgisinternal
        and g.tgenabled <> 'D' and g.tgtype & 16 <> 0)
    and not exists (select from pg_constraint k where k.contype in ('c', 'f') and k.conrelid = t.oid
        and a.attnum = any (k.conkey))
    and not exists (select from pg_constraint k where k.contype = 'f' and k.confrelid = t.oid
        and a.attnum = any (k.confkey))
from pg_index i
join pg_class c on c.oid = i.indexrelid
join pg_class t on t.oid = i.indrelid
join pg_namespace n on n.oid = t.relnamespace
cross join lateral unnest(i.indkey) with ordinality as part (number, place)
join pg_attribute a on a.attrelid = t.oid and a.attnum = part.number
where c.relname = %(index)s and n.nspname = %(schema)s and t.relname = %(table)s
    and i.indisunique and part.place <= i.indnkeyatts
order by 2 desc, part.place
"""
_UNIQUE_TEXT = "'ccbridge ' operator(pg_catalog.||) pg_catalog.gen_random_uuid()::pg_catalog.text"
_SMALLEST = (
    "(select pg_catalog.min({column}) from {target}) operator(pg_catalog.-) 1 operator(pg_catalog.-) x._row"
)
_STAND_INS = {
    "text": _UNIQUE_TEXT,
    "character varying": _UNIQUE_TEXT,
    "uuid": "pg_catalog.gen_random_uuid()",
    "smallint": _SMALLEST,
    "integer": _SMALLEST,
    "bigint": _SMALLEST,
    "numeric": _SMALLEST,
}
"""By type: a value that no other row has, for a column without length or scale."""


@dataclass(frozen=True)
class Exchange:
    """A unique index of a target table, the column by which its values are given up, and what it gets."""

    index: str
    column: str
    meanwhile: str = "null"


def violated_exchange(connection: Connection, layout: Layout, exc: psycopg.Error) -> Exchange | None:
    """The unique index that refused a write, if its values can be given up first.

    Returns:
        None for other errors, for an index of another table, and where the program writes no column
        of the index that may be null or have another value for a moment.
    """
    name, detail = layout.table.name, exc.diag
    if not isinstance(exc, psycopg.errors.UniqueViolation) or detail.constraint_name is None:
        return None
    rows = connection.execute(
        _COLUMNS, {"index": detail.constraint_name, "schema": name.schema, "table": name.name}
    ).fetchall()
    written = {column.name for column in layout.columns}
    for column, nullable, type_name, unobserved in rows:
        meanwhile = "null" if nullable else _STAND_INS.get(str(type_name)) if unobserved else None
        if meanwhile is not None and column in written:
            return Exchange(detail.constraint_name, str(column), meanwhile)
    return None


def release_values(layout: Layout, exchange: Exchange) -> sql.Composed:
    """Take the value from the rows of a range that are about to get another one."""
    return sql.SQL(
        "update {target} t set {column} = {meanwhile} from {decided} x "
        "join {typed} d on d.ctid operator(pg_catalog.=) x.place "
        "where x.decision operator(pg_catalog.=) {decision} and {in_range} and {match} "
        "and not (t.{column} is null and d.{column} is null) "
        "and (t.{column}::pg_catalog.text operator(pg_catalog.=) d.{column}::pg_catalog.text) is not true"
    ).format(
        target=layout.target,
        column=sql.Identifier(exchange.column),
        meanwhile=sql.SQL(exchange.meanwhile).format(
            target=layout.target, column=sql.Identifier(exchange.column)
        ),
        decided=layout.decided,
        typed=layout.typed,
        decision=sql.Literal(comparison.UPDATE),
        in_range=in_range("x"),
        match=layout.match,
    )
