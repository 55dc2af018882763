"""Target tables of PostgreSQL as their catalog describes them.

What a sink must know before it writes: which columns there are, what they can hold without
rounding or cutting, and which sets of columns are unique.
"""

from __future__ import annotations

from dataclasses import dataclass

from cdc.changes import TableName
from cdc.postgres.connect import Connection
from mapping_rules import OutboundProgram

_TEXT_CATEGORY = "S"  # pg_type.typcategory of text, varchar, bpchar, citext
_EQUAL_IF_SAME = frozenset(
    (
        "smallint",
        "integer",
        "bigint",
        "numeric",
        "money",
        "boolean",
        "date",
        "uuid",
        "bytea",
        "jsonb",
        "timestamp without time zone",
        "timestamp with time zone",
        "time without time zone",
    )
)
"""Types of which `is distinct from` sees every difference. Others have no equality (json), or one that
compares sizes (box) or hides a difference (interval), or one outside the search path: those are compared by
their text."""


def deactivated_column(program: OutboundProgram) -> str:
    """The column that `on_delete: deactivate` sets to false."""
    return program.deactivate_column or "active"


@dataclass(frozen=True)
class TargetColumn:
    """A column of a target table; domains are resolved to their base type.

    Args:
        name: as the catalog spells it.
        base: SQL name of the type without length or scale.
        declared: SQL name of the type with length and scale.
        category: `pg_type.typcategory`, S for text kinds.
        length: characters that a text column holds at most, None without bound.
        rounds: True where the declared type keeps less than its base type (numeric, timestamps).
        not_null: the column or its domain refuses NULL.
        filled: has a default or an identity, so it may be left out of an insert.
        generated: computed by the server, so it cannot be written.
        element: SQL name of the elements' type, for an array.
        is_enum: an enumeration.
        collation: quoted name of the column's collation, None for the default of its type.
        deterministic: False where the collation takes different texts for equal.
        operators: schema of the type's `=`.
        always: an identity that only takes values of its own unless overridden.
    """

    name: str
    base: str
    declared: str
    category: str
    length: int | None
    rounds: bool
    not_null: bool
    filled: bool
    generated: bool
    element: str | None = None
    is_enum: bool = False
    collation: str | None = None
    deterministic: bool = True
    operators: str = "pg_catalog"
    always: bool = False

    @property
    def is_text(self) -> bool:
        """True for text kinds, compared byte by byte whatever their collation."""
        return self.category == _TEXT_CATEGORY

    @property
    def has_equality(self) -> bool:
        """False for types that are compared by their text."""
        return self.base in _EQUAL_IF_SAME


@dataclass(frozen=True)
class TargetTable:
    """A target table: columns in table order, the column sets of its unique indexes, and its triggers.

    `has_row_triggers`: a trigger of the table or of a partition may alter rows before they are stored.
    """

    name: TableName
    columns: tuple[TargetColumn, ...]
    unique: tuple[frozenset[str], ...]
    has_row_triggers: bool = False

    def column(self, name: str) -> TargetColumn | None:
        """The column of that name, or None."""
        return next((column for column in self.columns if column.name == name), None)

    def is_unique(self, key: tuple[str, ...]) -> bool:
        """True if at most one row can have the same values in `key`."""
        return any(columns <= frozenset(key) for columns in self.unique)


# Columns with domains resolved to their base type; the innermost length or scale given counts.
_COLUMNS = """
with recursive resolved (attnum, type, modifier, not_null, depth) as (
    select attnum, atttypid, atttypmod, attnotnull, 0
    from pg_attribute where attrelid = %(table)s and attnum > 0 and not attisdropped
    union all
    select r.attnum, t.typbasetype, case when r.modifier = -1 then t.typtypmod else r.modifier end,
           r.not_null or t.typnotnull, r.depth + 1
    from resolved r join pg_type t on t.oid = r.type where t.typtype = 'd'
)
select a.attname, format_type(r.type, -1), format_type(r.type, r.modifier), t.typcategory::text,
       case when t.typcategory = 'S' and r.modifier > 4 then r.modifier - 4 end,
       r.modifier <> -1 and t.typcategory <> 'S', r.not_null,
       a.atthasdef or a.attidentity <> '', a.attgenerated <> '',
       case when t.typcategory = 'A' and t.typelem <> 0 then format_type(t.typelem, -1) end,
       t.typtype = 'e',
       case when a.attcollation <> t.typcollation
            then (select quote_ident(s.nspname) || '.' || quote_ident(l.collname)
                  from pg_collation l join pg_namespace s on s.oid = l.collnamespace
                  where l.oid = a.attcollation) end,
       coalesce((select l.collisdeterministic from pg_collation l where l.oid = a.attcollation), true),
       coalesce((select s.nspname from pg_opclass c join pg_am m on m.oid = c.opcmethod and m.amname = 'btree'
                 join pg_amop o on o.amopfamily = c.opcfamily and o.amopstrategy = 3
                     and o.amoplefttype = t.oid and o.amoprighttype = t.oid
                 join pg_operator p on p.oid = o.amopopr join pg_namespace s on s.oid = p.oprnamespace
                 where c.opcdefault and c.opcintype = t.oid), 'pg_catalog'),
       a.attidentity = 'a'
from resolved r
join pg_attribute a on a.attrelid = %(table)s and a.attnum = r.attnum
join pg_type t on t.oid = r.type and t.typtype <> 'd'
order by a.attnum
"""
_UNIQUE = """
select array_agg(a.attname::text)
from pg_index i
cross join lateral unnest(i.indkey::int2[]) with ordinality as part (attnum, place)
join pg_attribute a on a.attrelid = i.indrelid and a.attnum = part.attnum
where i.indrelid = %(table)s and i.indisunique and i.indisvalid
  and i.indpred is null and i.indexprs is null and part.place <= i.indnkeyatts
group by i.indexrelid
"""
# An enabled trigger FOR EACH ROW (1) BEFORE (2) an INSERT (4) or UPDATE (16), on the table or a partition.
_ROW_TRIGGERS = """
select exists (select from pg_trigger t where not t.tgisinternal and t.tgenabled <> 'D'
    and t.tgtype & 3 = 3 and t.tgtype & 20 <> 0
    and (t.tgrelid = %(table)s
        or exists (select from pg_partition_tree(%(table)s) p where p.relid = t.tgrelid)))
"""


def describe(connection: Connection, name: TableName) -> TargetTable | None:
    """Read a table's description from the catalog.

    Returns:
        None if there is no such ordinary or partitioned table.

    Source: PostgreSQL 17 documentation, chapter "System Catalogs" (pg_attribute, pg_type, pg_index).
    """
    found = connection.execute(
        "select c.oid from pg_class c join pg_namespace n on n.oid = c.relnamespace "
        "where n.nspname = %s and c.relname = %s and c.relkind in ('r', 'p')",
        [name.schema, name.name],
    ).fetchone()
    if found is None:
        return None
    table = {"table": found[0]}
    columns = [TargetColumn(*row) for row in connection.execute(_COLUMNS, table)]  # type: ignore[arg-type]
    unique = [frozenset(names) for (names,) in connection.execute(_UNIQUE, table)]  # type: ignore[call-overload]
    triggers = connection.execute(_ROW_TRIGGERS, table).fetchone()
    return TargetTable(name, tuple(columns), tuple(unique), triggers is not None and triggers[0] is True)
