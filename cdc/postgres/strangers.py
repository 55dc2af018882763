"""Who else could put code into a schema that we write to: triggers and functions there run as our role.

A role that may create in the database can make the schema before us, with tables of the names that we look
for. Trusted are superusers, our role and those whose rights it has, the database's owner, and the owner of
the application's tables: they can do as much without it.

Source: PostgreSQL 17 documentation, "Schemas and Privileges", "Predefined Roles" (pg_database_owner).
"""

from __future__ import annotations

from collections.abc import Sequence

from psycopg import sql

from cdc.changes import TableName
from cdc.ports import Finding
from cdc.postgres.connect import Connection

_STRANGERS = """
with me as (select oid, rolsuper from pg_roles where rolname = current_user),
schema as (select oid, nspname, nspowner, nspacl from pg_namespace where nspname = %(schema)s),
trusted as (
    select r.oid from pg_roles r, me
    where r.rolsuper or r.oid = me.oid or r.rolname = 'pg_database_owner'
        or not me.rolsuper and pg_has_role(me.oid, r.oid, 'usage')  -- a superuser has those of all roles
        or r.oid = (select datdba from pg_database where datname = current_database())
        or r.oid in (
            select c.relowner
            from unnest(%(schemas)s::text[], %(tables)s::text[]) as beside (schema, name)
                join pg_namespace n on n.nspname = beside.schema
                join pg_class c on c.relnamespace = n.oid and c.relname = beside.name)),
found as (
    select 1 as rank, 'owned' as how, null as name, nspowner as role from schema
    union all
    select 2, 'create', null, a.grantee
    from schema, lateral aclexplode(nspacl) a where a.privilege_type = 'CREATE'
    union all
    select 3, case relkind when 'S' then 'sequence' when 'v' then 'view' when 'm' then 'materialized view'
        else 'table' end, relname, relowner
    from pg_class where relnamespace = (select oid from schema) and relkind in ('r', 'p', 'v', 'm', 'f', 'S'))
select f.how, f.name, coalesce(r.rolname, 'public')
from found f left join pg_roles r on r.oid = f.role
where f.role not in (select oid from trusted) order by f.rank, f.name, 3
"""

_CREATORS = """
select n.nspname, coalesce(r.rolname, 'public')
from pg_namespace n cross join lateral aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) a
left join pg_roles r on r.oid = a.grantee
where n.nspname = any (%s) and n.nspname <> 'pg_catalog' and a.privilege_type = 'CREATE'
    and a.grantee <> n.nspowner and (r.oid is null or not r.rolsuper and r.rolname <> current_user)
order by 1, 2
"""


def creators(connection: Connection, schemas: Sequence[str], caller: str) -> list[Finding]:
    """Advice for each role that may create in these schemas what `caller` then finds by a plain name.

    Args:
        connection: to their database; nothing is written.
        schemas: of the search_path in question.
        caller: who calls it, as our user.
    """
    rows = connection.execute(_CREATORS, [list(schemas)]).fetchall()
    return [_of_path(str(schema), str(role), caller) for schema, role in rows]


def _of_path(schema: str, role: str, caller: str) -> Finding:
    grantee = "public" if role == "public" else sql.Identifier(role).as_string()
    return Finding(
        f"schema {schema}",
        f"{role} may create objects in it, which {caller} may then call as our user by a plain name",
        "create for the schema's owner alone",
        f"revoke create on schema {sql.Identifier(schema).as_string()} from {grantee};",
        advice=True,
    )


def strangers(
    connection: Connection, schema: str, user: str, *, beside: Sequence[TableName] = ()
) -> list[Finding]:
    """What of a schema that we write to belongs to others; nothing if there is no such schema.

    That others may create in it is advice: names of ours that they could take are ours already, or looked at.

    Args:
        connection: to its database; nothing is written.
        schema: its name.
        user: our role, for the statements that correct it.
        beside: tables whose owners are trusted; those that do not exist are left out.
    """
    names = {"schemas": [name.schema for name in beside], "tables": [name.name for name in beside]}
    rows = connection.execute(_STRANGERS, {"schema": schema, **names}).fetchall()
    place, ours = sql.Identifier(schema), sql.Identifier(user)
    return [_finding(place, ours, str(how), name, str(role)) for how, name, role in rows]


def _finding(schema: sql.Identifier, user: sql.Identifier, how: str, name: object, role: str) -> Finding:
    subject, shown = f"schema {schema.as_string()}", sql.Identifier(role).as_string()
    if how == "owned":
        fix = sql.SQL("alter schema {} owner to {};").format(schema, user).as_string()
        return Finding(subject, f"owned by {shown}, whose triggers would run as our user", "owned by us", fix)
    if how == "create":
        grantee = "public" if role == "public" else shown
        found = f"{grantee} may create objects in it, whose code would run as our user"
        fix = f"revoke create on schema {schema.as_string()} from {grantee};"
        return Finding(subject, found, "create for its owner alone", fix, advice=True)
    place = sql.SQL(".").join([schema, sql.Identifier(str(name))])
    fix = sql.SQL("alter {} {} owner to {};").format(sql.SQL(how), place, user).as_string()
    found = f"owned by {shown}, whose triggers would run as our user"
    return Finding(
        f"{how} {place.as_string()}", found, "owned by us", f"-- look what it is, then drop it or run:\n{fix}"
    )
