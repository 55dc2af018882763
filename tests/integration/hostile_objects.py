"""Objects of a stranger who may create in a schema that others have in their search_path.

Each function and operator that PostgreSQL could take for one of pg_catalog, because its arguments fit better,
counts its calls in a sequence, which no rollback undoes. Tables, types and casts lie in wait likewise.
Source: PostgreSQL 17 documentation, "Operator Type Resolution", "Function Type Resolution".
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import psycopg
from psycopg import sql

import cdc
import sinks

TYPES = (
    "varchar",
    "bpchar",
    "text",
    "name",
    "uuid",
    "date",
    "timestamptz",
    "timestamp",
    "numeric",
    "int2",
    "int4",
    "int8",
    "bool",
    "json",
    "jsonb",
    "tid",
    "oid",
    "mood",
    "citext",
)
OPERATORS = ("=", "<>", "<", ">", "<=", ">=", "||", "-", "+", "|", "&", "~", "->>")
_RUN = """
create or replace function pg_temp.run(texts text[]) returns void language plpgsql as $$
declare one text;
begin
    foreach one in array texts loop
        begin execute one; exception when duplicate_function then null; end;  -- citext has some of its own
    end loop;
end $$
"""
_CALL = re.compile(r"\b([a-z_]+)\(")
_FOR_CREATE = (
    "text",
    "numeric",
    "boolean",
    "tid",
    "sink_mark",
    "checkpoint",
    "lease",
    "pg_settings",
    "pg_class",
)


def plant(info: str, schemas: list[str]) -> None:
    """Create the stranger, and as the stranger the objects in these schemas.

    Args:
        info: superuser of the database; types `mood` and `citext` are in it.
        schemas: where everyone may create, made where missing.
    """
    with psycopg.connect(info, autocommit=True) as owner:
        owner.execute("do $$ begin create role stranger; exception when duplicate_object then end $$")
        for schema in schemas:
            name = sql.Identifier(schema)
            owner.execute(sql.SQL("create schema if not exists {}").format(name))
            owner.execute(sql.SQL("grant all on schema {} to public").format(name))
        owner.execute("create schema bait; grant all on schema bait to public; create sequence bait.taken")
        owner.execute("grant usage on sequence bait.taken to public; set role stranger")
        own = {str(row[0]) for row in owner.execute("select proname from pg_proc where pronamespace = 11")}
        for schema in schemas:
            owner.execute(f'set search_path = pg_catalog, public, "{schema}"')
            texts = [text.replace("%schema%", f'"{schema}"') for text in _objects(sorted(called() & own))]
            owner.execute(_RUN)
            owner.execute("select pg_temp.run(%s)", [texts])


def taken(info: str) -> bool:
    """Whether anything of the stranger's was ever called."""
    with psycopg.connect(info) as connection:
        row = connection.execute("select is_called from bait.taken").fetchone()
    assert row is not None
    return bool(row[0])


def called() -> set[str]:
    """Words before a bracket in the texts of rooms that send to PostgreSQL."""
    rooms = [
        Path(cdc.__file__).parent / room for room in ("postgres", "staging", "readers/pgoutput", "flows")
    ]
    found: set[str] = set()
    for room in (*rooms, Path(sinks.__file__).parent):
        for path in room.rglob("*.py"):
            found |= set(_CALL.findall(path.read_text(encoding="utf-8")))
    return found


def _objects(functions: list[str]) -> Iterator[str]:
    arguments = [
        *((t,) for t in TYPES),
        *((t, t) for t in TYPES),
        *((t, "text") for t in TYPES if t != "text"),
        ("text[]", "text"),
        ("varchar[]", "text"),
        ("text", "varchar"),
        ("text", "numeric"),
    ]
    statements = [
        f"create function %schema%.{name}({', '.join(types)}) returns text language sql "
        "as 'select pg_catalog.nextval(''bait.taken''::regclass)::text'"
        for name in functions
        for types in arguments
    ]
    for left, right in (*((t, t) for t in TYPES), *((t, "text") for t in TYPES if t != "text")):
        statements.append(
            f"create function %schema%.trap({left}, {right}) returns boolean language sql "
            "as 'select pg_catalog.nextval(''bait.taken''::regclass) operator(pg_catalog.>) 0'"
        )
        statements += [
            f"create operator %schema%.{symbol} "
            f"(leftarg = {left}, rightarg = {right}, function = %schema%.trap)"
            for symbol in OPERATORS
        ]
    yield from statements
    for name in _FOR_CREATE:
        yield f"create table %schema%.{name} (name text, reset_val text, staged_seq bigint, oid oid)"
    yield "create type %schema%.lure as (v text)"
    yield (
        "create function %schema%.lured(varchar) returns %schema%.lure language sql "
        "as 'select row(pg_catalog.nextval(''bait.taken''::regclass)::text)::%schema%.lure'"
    )
    yield "create cast (varchar as %schema%.lure) with function %schema%.lured(varchar) as implicit"
