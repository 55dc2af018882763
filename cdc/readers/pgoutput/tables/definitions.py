"""What a captured table was when it was read, compared with what it is now: pure but for one query.

The stream shows no rows when a table is rewritten, swapped for another, or taken out of the publication.
What tells is the catalog: the table's and its publication's object numbers, the numbers and types of its
columns, whether its file was replaced.

Source: PostgreSQL 17 documentation, catalogs pg_class, pg_attribute, pg_publication,
pg_publication_rel, pg_publication_namespace; ALTER TABLE, "Notes" (which forms rewrite a table).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Self

from cdc.changes import TableName
from cdc.ports import ColumnsRead
from cdc.readers.pgoutput.wire.messages import Relation

OPERATIONS = ("insert", "update", "delete", "truncate")

QUERY = """
-- the captured tables as they are now, with what the publication says of them
with captured (schema_name, table_name) as (select * from unnest(%(schemas)s::text[], %(names)s::text[]))
select w.schema_name, w.table_name, c.oid::bigint as oid, pg_relation_filenode(c.oid)::bigint as file,
    c.relreplident::text as identity,
    (select jsonb_object_agg(a.attname, jsonb_build_array(
            a.attnum, a.atttypid::bigint, a.atttypmod, a.xmin::text::bigint))
        from pg_attribute a
        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and a.attgenerated = '') as columns,
    array(select a.attname::text from pg_index i, unnest(i.indkey) with ordinality k (number, place)
        join pg_attribute a on a.attnum = k.number
        where i.indrelid = c.oid and a.attrelid = c.oid and k.place <= i.indnkeyatts
            and case c.relreplident when 'i' then i.indisreplident when 'd' then i.indisprimary else false end
        ) as identity_columns,
    to_jsonb(p) as publication, p.xmin::text::bigint as altered, to_jsonb(t) as published,
    (select m.oid::bigint from pg_publication_rel m where m.prpubid = p.oid and m.prrelid = c.oid) as member,
    {schema_member} as schema_member
from captured w
join pg_namespace n on n.nspname = w.schema_name
join pg_class c on c.relnamespace = n.oid and c.relname = w.table_name and c.relkind = 'r'
left join pg_publication p on p.pubname = %(publication)s
left join pg_publication_tables t
    on t.pubname = p.pubname and t.schemaname = w.schema_name and t.tablename = w.table_name
"""
SCHEMA_MEMBER = (
    "(select m.oid::bigint from pg_publication_namespace m where m.pnpubid = p.oid and m.pnnspid = n.oid)"
)
"""Schemas are published since PostgreSQL 15."""


@dataclass(frozen=True)
class Definition:
    """A table; JSON types only, so that a checkpoint can hold it.

    Args:
        oid: of the table.
        file: number of its file; another one after a rewrite.
        columns: name -> number, type, type modifier, transaction that last changed its description.
        identity: columns of the replica identity; None for all of them.
        publication: oid of the publication, None where there is none.
        members: the entries by which it is published; each lasts until it is taken out.
        operations: what is published of insert, update, delete, truncate.
        row_filter: of the publication.
        published: columns published; None where the server does not say.
        altered: transaction that last altered the publication itself, its tables aside; None where it was
            not noted.
        options: of the publication, its owner among them.
    """

    oid: int
    file: int | None
    columns: Mapping[str, tuple[int, int, int, int]]
    identity: tuple[str, ...] | None
    publication: int | None
    members: tuple[str, ...]
    operations: tuple[str, ...]
    row_filter: str | None
    published: tuple[str, ...] | None
    altered: int | None = None
    options: Mapping[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, row: Mapping[str, Any]) -> Self:
        """From a row of `QUERY`."""
        publication, published = row["publication"] or {}, row["published"] or {}
        entries = {f"{kind} {row[kind]}": row[kind] is not None for kind in ("member", "schema_member")}
        members = {"all": publication.get("puballtables"), **entries}
        identity = None if row["identity"] == "f" else tuple(row["identity_columns"])
        columns = published.get("attnames")
        return cls(
            row["oid"],
            row["file"],
            {name: (of[0], of[1], of[2], of[3]) for name, of in (row["columns"] or {}).items()},
            identity,
            int(publication["oid"]) if "oid" in publication else None,
            tuple(name for name, is_one in members.items() if is_one and published),
            tuple(verb for verb in OPERATIONS if publication.get(f"pub{verb}")),
            published.get("rowfilter"),
            None if columns is None else tuple(columns),
            row["altered"],
            publication,
        )

    @classmethod
    def stored(cls, found: Mapping[str, Any]) -> Self:
        """From what `as_json` made."""
        columns = {name: tuple(of) for name, of in found["columns"].items()}
        lists = {
            name: None if found[name] is None else tuple(found[name])
            for name in ("identity", "members", "operations", "published")
        }
        return cls(**{**found, "columns": columns, **lists})

    def as_json(self) -> dict[str, Any]:
        """For the checkpoint."""
        return asdict(self)


def lost(then: Definition, now: Definition | None, read: ColumnsRead) -> list[str]:
    """What a table had and has no more: its rows, or changes of them, may be lost.

    Args:
        then: when it was last found good.
        now: None where there is no such table.
        read: what rules read of it.
    """
    if now is None:
        return ["the table"]
    if now.oid != then.oid:
        return ["its rows: the name is that of another table now"]
    return [
        *(text for name in sorted(read.names) for text in _lost_column(name, then, now)),
        *_lost_identity(now.identity, read),
        *_lost_publication(then, now, read),
    ]


def _lost_column(name: str, then: Definition, now: Definition) -> Iterator[str]:
    if name not in then.columns:
        return  # rules read it since, see `cdc.flows.source_tables`
    if name not in now.columns:
        yield f"column {name}"
        return
    (number, type_, modifier, changed), (number_now, type_now, modifier_now, changed_now) = (
        one.columns[name] for one in (then, now)
    )
    rewritten = then.file != now.file
    if number != number_now:
        yield f"column {name}, which was dropped and added again"
    elif type_ != type_now:
        yield f"the type of column {name}"
    elif rewritten and (modifier != modifier_now or changed != changed_now):
        yield f"the values of column {name}, which ALTER TABLE has written again"


def _lost_identity(identity: tuple[str, ...] | None, read: ColumnsRead) -> Iterator[str]:
    missing = sorted(read.key.difference(identity)) if identity is not None else []
    if missing:
        yield f"key column {', '.join(missing)} in the replica identity"


def _lost_publication(then: Definition, now: Definition, read: ColumnsRead) -> Iterator[str]:
    if now.publication is None:
        yield "the publication"
    elif now.publication != then.publication:
        yield "changes while its publication was dropped and created again"
    elif not now.members:
        yield "its place in the publication"
    elif not set(now.members) & set(then.members):
        yield "changes while it was taken out of the publication"
    missing = [verb for verb in then.operations if verb not in now.operations]
    if now.publication is not None and missing:
        yield f"{', '.join(missing)} in the publication"
    if then.altered not in (None, now.altered) and now.options == then.options:
        yield "changes while the publication had other options"  # altered, and altered back since
    if now.row_filter != then.row_filter:
        yield "rows by a row filter of the publication that changed"
    unpublished = (
        [] if now.published is None else sorted(read.names.difference(now.published) & now.columns.keys())
    )
    if now.members and unpublished:
        yield f"column {', '.join(unpublished)} in the column list of the publication"


def lost_in_stream(then: Definition, relation: Relation, read: ColumnsRead) -> list[str]:
    """What the description that comes with the rows says is gone; the catalog may be further on."""
    if relation.oid != then.oid:
        return ["its rows: the name is that of another table now"]
    now = {column.name: column.type_oid for column in relation.columns}
    found = [
        f"column {name}" if name not in now else f"the type of column {name}"
        for name in sorted(read.names & then.columns.keys())
        if now.get(name) != then.columns[name][1]
    ]
    return [*found, *_lost_identity(tuple(relation.identity), read)]


def name_of(row: Mapping[str, Any]) -> TableName:
    """The table that a row of `QUERY` is about."""
    return TableName(row["schema_name"], row["table_name"])
