"""What the source's catalog says about tables, the publication and the slot.

One ordinary session, opened when first needed; read only.

Source: PostgreSQL 17 documentation, chapter "System Catalogs" and "System Views".
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.rows import dict_row

from cdc.changes import SourceColumn, SourceTable, TableName
from cdc.config import PostgresSystem
from cdc.postgres.connect import Connection, connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.sessions import Holder
from cdc.readers.pgoutput.wire.canonical import source_column
from cdc.readers.pgoutput.wire.messages import Relation, RelationColumn

_TABLES = """
-- the captured tables with what decides whether their changes can be read
with captured (schema_name, table_name) as (select * from unnest(%(schemas)s::text[], %(names)s::text[]))
select w.schema_name, w.table_name, c.oid, c.relkind::text as kind, c.reltuples::bigint as row_estimate,
    c.relreplident::text as replica_identity, c.relpersistence::text as persistence,
    has_table_privilege(c.oid, 'select') as may_select,
    has_schema_privilege(n.oid, 'usage') as may_use_schema,
    row_security_active(c.oid) as row_security,
    array(select format('%%s.%%s', cn.nspname, ch.relname) from pg_inherits i
        join pg_class ch on ch.oid = i.inhrelid join pg_namespace cn on cn.oid = ch.relnamespace
        where i.inhparent = c.oid and c.relkind = 'r' order by 1) as children,
    -- columns behind indnkeyatts are included ones, not part of the key
    array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality k (number, place)
        join pg_attribute a on a.attnum = k.number
        where i.indrelid = c.oid and i.indisprimary and a.attrelid = c.oid and k.place <= i.indnkeyatts
        order by k.place) as key,
    array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality k (number, place)
        join pg_attribute a on a.attnum = k.number
        where i.indrelid = c.oid and i.indisreplident and a.attrelid = c.oid and k.place <= i.indnkeyatts
        order by k.place) as identity_index
from captured w
left join pg_namespace n on n.nspname = w.schema_name
left join pg_class c on c.relnamespace = n.oid and c.relname = w.table_name
    and c.relkind in ('r', 'p', 'v', 'm', 'f')
order by w.schema_name, w.table_name
"""

_COLUMNS = """
-- columns of the tables as published: no generated ones; domains resolved to the type under them
with recursive type_chain as (
    select a.attrelid, a.attnum, a.atttypid as type_oid, a.atttypmod as modifier
    from pg_attribute a where a.attrelid = any (%(oids)s) and a.attnum > 0 and not a.attisdropped
    union all
    select c.attrelid, c.attnum, t.typbasetype, greatest(c.modifier, t.typtypmod)
    from type_chain c join pg_type t on t.oid = c.type_oid where t.typtype = 'd')
select a.attrelid as oid, a.attname as name, a.atttypid as own_type_oid, a.atttypmod as own_modifier,
    b.type_oid, b.modifier, format_type(a.atttypid, a.atttypmod) as declared, not a.attnotnull as nullable
from pg_attribute a
join type_chain b on b.attrelid = a.attrelid and b.attnum = a.attnum
join pg_type t on t.oid = b.type_oid and t.typtype <> 'd'
where a.attgenerated = ''
order by a.attrelid, a.attnum
"""

_PUBLISHED = """
-- tables of the publication, with its column lists and row filters where the server knows them
select to_jsonb(p) ->> 'schemaname' as schema_name, to_jsonb(p) ->> 'tablename' as table_name,
    to_jsonb(p) -> 'attnames' as columns, to_jsonb(p) ->> 'rowfilter' as row_filter
from pg_publication_tables p where p.pubname = %(publication)s
"""


@dataclass(frozen=True)
class TableFacts:
    """A captured table in the catalog; `oid` is None where there is no such table.

    `row_security`: policies hide rows from our role. `children`: tables that inherit from it, as
    `schema.name`; partitions are not among them.
    """

    name: TableName
    oid: int | None
    kind: str
    row_estimate: int
    replica_identity: str
    persistence: str
    may_select: bool
    key: tuple[str, ...]
    identity_index: tuple[str, ...]
    row_security: bool = False
    children: tuple[str, ...] = ()


@dataclass(frozen=True)
class Published:
    """A table of the publication; `columns` is None where the server does not say (before 15)."""

    columns: tuple[str, ...] | None
    row_filter: str | None


class Catalog:
    """Catalog queries over one session, which is opened when first needed.

    Args:
        settings: the system.
        system: its name, for messages.
        tables: the captured tables.
        holder: the lease under which it works, if any.
    """

    def __init__(
        self,
        settings: PostgresSystem,
        system: str,
        tables: Sequence[TableName],
        holder: Holder | None = None,
    ) -> None:
        self._holder = holder
        self._settings = settings
        self._system = system
        self._tables = tuple(tables)
        self._connection: Connection | None = None

    def end_former(self, application: str) -> None:
        """End the sessions of that name which former holders of the lease, or we ourselves, left behind."""
        if self._holder is not None:
            self._holder.end_former(self._session(), application)

    def query(self, text: str, **parameters: object) -> list[dict[str, Any]]:
        """Run one query; rows as column name -> value.

        Raises:
            DatabaseUnreachable: no connection.
        """
        while True:
            used = self._connection
            session = self._session()
            with postgres_errors(self._system):
                try:
                    with session.cursor(row_factory=dict_row) as cursor:
                        return cursor.execute(text.encode(), parameters or None).fetchall()
                except psycopg.OperationalError:
                    if not session.broken or session is not used:
                        raise
                    self.close()  # it was lost while it lay idle: once more with a new one

    def facts(self) -> list[TableFacts]:
        """What the catalog holds of each captured table, missing ones included."""
        rows = self.query(
            _TABLES, schemas=[t.schema for t in self._tables], names=[t.name for t in self._tables]
        )
        return [
            TableFacts(
                TableName(row["schema_name"], row["table_name"]),
                row["oid"],
                row["kind"] or "",
                max(row["row_estimate"] or 0, -1),
                row["replica_identity"] or "",
                row["persistence"] or "",
                bool(row["may_select"] and row["may_use_schema"]),
                tuple(row["key"]),
                tuple(row["identity_index"]),
                bool(row["row_security"]),
                tuple(row["children"]),
            )
            for row in rows
        ]

    def published(self) -> dict[TableName, Published]:
        """Tables of the publication."""
        rows = self.query(_PUBLISHED, publication=self._settings.publication)
        return {
            TableName(row["schema_name"], row["table_name"]): Published(
                None if row["columns"] is None else tuple(row["columns"]), row["row_filter"]
            )
            for row in rows
        }

    def describe(self) -> dict[TableName, SourceTable]:
        """The captured tables that exist, with their published columns in table order."""
        facts = {fact.oid: fact for fact in self.facts() if fact.oid is not None}
        published = self.published()
        columns: dict[int, list[SourceColumn]] = {oid: [] for oid in facts}
        for row in self.query(_COLUMNS, oids=list(facts)):
            in_list = published.get(facts[row["oid"]].name)
            if in_list is None or in_list.columns is None or row["name"] in in_list.columns:
                columns[row["oid"]].append(_column(row))
        return {
            fact.name: SourceTable(fact.name, tuple(columns[oid]), fact.key) for oid, fact in facts.items()
        }

    def table_of(self, relation: Relation) -> SourceTable:
        """The table as the stream describes it, types and key looked up in the catalog."""
        facts = self.facts()
        key = next((fact.key for fact in facts if fact.name == relation.name), ())
        rows = self.query(_COLUMNS, oids=[relation.oid])
        known = {(row["name"], row["own_type_oid"], row["own_modifier"]): _column(row) for row in rows}
        columns = [
            known.get((c.name, c.type_oid, c.type_modifier)) or self._former_column(c)
            for c in relation.columns
        ]
        return SourceTable(relation.name, tuple(columns), key)

    def close(self) -> None:
        """Close the session; safe to call twice."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _session(self) -> Connection:
        if self._connection is None or self._connection.closed:
            self._connection = connect(
                self._settings,
                application=f"ccbridge read {self._system} catalog",
                autocommit=True,
                holder=self._holder,
            )
        return self._connection

    def _former_column(self, column: RelationColumn) -> SourceColumn:
        """A column that the catalog has no more, or has with another type by now."""
        (row,) = self.query(
            "select format_type(%(type)s, %(modifier)s) as declared",
            type=column.type_oid,
            modifier=column.type_modifier,
        )
        return source_column(
            column.name,
            type_oid=column.type_oid,
            modifier=column.type_modifier,
            declared=row["declared"] or "unknown",
            nullable=True,
        )


def row_estimates(facts: Sequence[TableFacts]) -> Mapping[TableName, int]:
    """The planner's row counts; tables that were never analysed are left out."""
    return {fact.name: fact.row_estimate for fact in facts if fact.oid is not None and fact.row_estimate >= 0}


def _column(row: Mapping[str, Any]) -> SourceColumn:
    return source_column(
        row["name"],
        type_oid=row["type_oid"],
        modifier=row["modifier"],
        declared=row["declared"],
        nullable=row["nullable"],
    )
