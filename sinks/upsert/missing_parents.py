"""Rows whose parent the target does not have, all found at once.

When a foreign key refuses a write, halving would take a pair of attempts for each orphan, and the
children of one late parent can be thousands. So the constraint is looked up, and from then on the
rows without parent are rejected by one statement before the write.
"""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from cdc.postgres.connect import Connection
from sinks.upsert.statements.layout import Layout, in_range

CODE = "foreign_key_violation"

# The columns on both sides of a foreign key, if we may read the parent.
_FOREIGN_KEY = """
select n.nspname, p.relname, array_agg(own.attname::text order by part.place),
       array_agg(parent.attname::text order by part.place),
       array_agg(quote_ident(q.nspname) || '.' || o.oprname order by part.place)
from pg_constraint f
join pg_class p on p.oid = f.confrelid
join pg_namespace n on n.oid = p.relnamespace
cross join lateral unnest(f.conkey, f.confkey, f.conpfeqop) with ordinality
    as part (own, parent, equal, place)
join pg_operator o on o.oid = part.equal
join pg_namespace q on q.oid = o.oprnamespace
join pg_attribute own on own.attrelid = f.conrelid and own.attnum = part.own
join pg_attribute parent on parent.attrelid = f.confrelid and parent.attnum = part.parent
join pg_class t on t.oid = f.conrelid
join pg_namespace s on s.oid = t.relnamespace
where f.contype = 'f' and f.conname = %(constraint)s and s.nspname = %(schema)s and t.relname = %(table)s
group by n.nspname, p.relname
having bool_and(has_column_privilege(p.oid, parent.attnum, 'select'))
"""


@dataclass(frozen=True)
class ForeignKey:
    """A foreign key of a target table; columns in the order of their counterparts.

    `operators` are those by which the server compares parent and child, with their schemas.
    """

    constraint: str
    parent: sql.Identifier
    columns: tuple[str, ...]
    parent_columns: tuple[str, ...]
    operators: tuple[str, ...]


def violated_key(connection: Connection, layout: Layout, exc: psycopg.Error) -> ForeignKey | None:
    """The foreign key that refused a write, if its rows can be found by a statement.

    Returns:
        None for other errors, for a foreign key of another table that refers to this one, for
        columns the program does not write, and where we may not read the parent.
    """
    name = layout.table.name
    detail = exc.diag
    if not isinstance(exc, psycopg.errors.ForeignKeyViolation) or detail.constraint_name is None:
        return None
    row = connection.execute(
        _FOREIGN_KEY, {"constraint": detail.constraint_name, "schema": name.schema, "table": name.name}
    ).fetchone()
    if row is None:
        return None
    schema, parent, columns, parent_columns, operators = row
    assert isinstance(columns, list)  # noqa: S101 - array_agg
    assert isinstance(parent_columns, list)  # noqa: S101
    assert isinstance(operators, list)  # noqa: S101
    if not set(columns) <= {column.name for column in layout.all_columns}:
        return None
    return ForeignKey(
        detail.constraint_name,
        sql.Identifier(str(schema), str(parent)),
        tuple(columns),
        tuple(parent_columns),
        tuple(operators),
    )


def reject_orphans(layout: Layout, key: ForeignKey) -> sql.Composed:
    """Mark the rows of a range without parent as rejected; yields (row, code)."""
    conditions = sql.SQL(" and ").join(
        sql.SQL("p.{} operator({}) d.{}").format(
            sql.Identifier(parent), sql.SQL(operator), sql.Identifier(own)
        )
        for own, parent, operator in zip(key.columns, key.parent_columns, key.operators, strict=True)
    )
    filled = sql.SQL(" and ").join(
        sql.SQL("d.{} is not null").format(sql.Identifier(own)) for own in key.columns
    )
    return sql.SQL(
        "update {typed} d set _rejection = {rejection} "
        "where {in_range} and d._rejection is null and not d._deleted and {filled} "
        "and not exists (select from {parent} p where {conditions}) returning d._row, d._rejection"
    ).format(
        typed=layout.typed,
        rejection=sql.Literal(f"{CODE}:{key.constraint}"),
        in_range=in_range("d"),
        filled=filled,
        parent=key.parent,
        conditions=conditions,
    )
