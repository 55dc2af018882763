"""What would keep the pgoutput reader from reading, all at once, with the SQL that fixes it.

Read only. `ccbridge check` shows the findings; a flow does not start while there are any.

Source: PostgreSQL 17 documentation, chapter "Logical Replication", section "Configuration
Settings" and "Security".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.errors import snapshot_hint
from cdc.ports import Finding
from cdc.readers.pgoutput.session import literal, quoted
from cdc.readers.pgoutput.slot import Slot, find_slot
from cdc.readers.pgoutput.tables.catalog import Catalog, Published, TableFacts

_SERVER = """
-- the server's side: settings, what is in use, our role, the publication
select current_setting('wal_level') as wal_level,
    current_setting('max_replication_slots')::int as max_slots,
    (select count(*) from pg_replication_slots) as slots,
    current_setting('max_wal_senders')::int as max_senders,
    (select count(*) from pg_stat_activity where backend_type = 'walsender') as senders,
    current_setting('server_version_num')::int as version,
    current_setting('server_encoding') as encoding,
    r.rolreplication or r.rolsuper as may_replicate, r.rolname as role,
    to_jsonb(p) as publication
from pg_roles r left join pg_publication p on p.pubname = %(publication)s
where r.rolname = current_user
"""
_OLDEST_VERSION = 140000


def findings(catalog: Catalog, settings: PostgresSystem, system: str) -> list[Finding]:
    """Every finding.

    Args:
        catalog: the source's catalog, which knows the captured tables.
        settings: the system.
        system: its name.

    Raises:
        DatabaseUnreachable, LoginRefused: nothing can be checked.
    """
    (server,) = catalog.query(_SERVER, publication=settings.publication)
    slot = find_slot(catalog, settings.slot)
    facts = catalog.facts()
    found = [*_server(server, slot), *_slot(slot, settings, system)]
    for fact in facts:
        of_table = [*_table(fact, str(server["role"])), *_children(fact, {str(one.name) for one in facts})]
        found += [replace(one, table=fact.name) for one in of_table]
    publication = server["publication"]
    if publication is None:
        tables = ", ".join(_name(fact.name) for fact in facts if fact.oid is not None)
        found.append(
            Finding(
                f"publication {settings.publication}",
                "does not exist",
                "a publication of the captured tables",
                f"create publication {quoted(settings.publication)} for table {tables};",
            )
        )
    else:
        found += _publication(publication, settings)
        published = catalog.published()
        for fact in facts:
            if fact.oid is not None and fact.kind == "r":
                of_table = [*_published(fact, published.get(fact.name), settings)]
                found += [replace(one, table=fact.name) for one in of_table]
    return found


def _server(server: dict[str, object], slot: Slot | None) -> Iterator[Finding]:
    restart = "-- then restart the server"
    if int(str(server["version"])) < _OLDEST_VERSION:
        yield Finding(
            "server version", str(server["version"]), f"{_OLDEST_VERSION} or later", "upgrade the server"
        )
    if server["wal_level"] != "logical":
        yield Finding(
            "wal_level",
            str(server["wal_level"]),
            "logical",
            f"alter system set wal_level = 'logical'; {restart}",
        )
    if server["encoding"] == "SQL_ASCII":
        yield Finding(
            "server_encoding",
            "SQL_ASCII, in which any bytes may be stored as text",
            "a known encoding",
            "create a database with encoding UTF8 and move the data; a value that is not valid UTF-8 "
            "would end the stream",
        )
    if not server["may_replicate"]:
        yield Finding(
            f"role {server['role']}",
            "no REPLICATION attribute",
            "REPLICATION",
            f"alter role {quoted(str(server['role']))} replication;",
        )
    if slot is None:
        for setting, used, limit in (
            ("max_replication_slots", "slots", "max_slots"),
            ("max_wal_senders", "senders", "max_senders"),
        ):
            in_use, most = int(str(server[used])), int(str(server[limit]))
            if in_use >= most:
                yield Finding(
                    setting,
                    f"all {most} in use",
                    f"at least {in_use + 1}",
                    f"alter system set {setting} = {in_use + 5}; {restart}",
                )


def _slot(slot: Slot | None, settings: PostgresSystem, system: str) -> Iterator[Finding]:
    if slot is None:
        return  # made by the first snapshot
    subject = f"replication slot {slot.name}"
    if slot.plugin != "pgoutput" or slot.database != settings.database:
        yield Finding(
            subject,
            f"plugin {slot.plugin} on database {slot.database}",
            f"pgoutput on {settings.database}",
            "configure another slot name for this system",
        )
    elif slot.lost:
        yield Finding(
            subject,
            slot.lost,
            "a slot that still holds our WAL",
            f"select pg_drop_replication_slot({literal(slot.name)}); -- {snapshot_hint(system)}",
        )
    elif slot.holder is not None and "ccbridge read" not in slot.holder:
        yield Finding(
            subject,
            f"in use by {slot.holder}",
            "free",
            "stop that consumer, or configure another slot name for this system",
        )


def _publication(publication: object, settings: PostgresSystem) -> Iterator[Finding]:
    if not isinstance(publication, dict):
        return
    missing = [
        verb for verb in ("insert", "update", "delete", "truncate") if not publication.get(f"pub{verb}")
    ]
    if missing:
        yield Finding(
            f"publication {settings.publication}",
            f"does not publish {', '.join(missing)}",
            "all operations",
            f"alter publication {quoted(settings.publication)} "
            "set (publish = 'insert, update, delete, truncate');",
        )


def _published(fact: TableFacts, published: Published | None, settings: PostgresSystem) -> Iterator[Finding]:
    subject = f"table {fact.name}"
    publication, table = quoted(settings.publication), _name(fact.name)
    if published is None:
        yield Finding(
            subject,
            f"not in publication {settings.publication}",
            "published",
            f"alter publication {publication} add table {table};",
        )
        return
    if published.row_filter is not None:
        yield Finding(
            subject,
            "published with a row filter",
            "all rows published",
            f"alter publication {publication} drop table {table}; "
            f"alter publication {publication} add table {table};",
        )


def _table(fact: TableFacts, role: str) -> Iterator[Finding]:
    subject = f"table {fact.name}"
    table = _name(fact.name)
    if fact.oid is None:
        yield Finding(subject, "does not exist", "a table", "create the table, or take its rules away")
        return
    if fact.kind != "r":
        yield Finding(
            subject,
            f"relation of kind {fact.kind}",
            "an ordinary table",
            "capture the tables or partitions under it",
        )
        return
    if fact.persistence != "p":
        yield Finding(subject, "unlogged or temporary", "logged", f"alter table {table} set logged;")
    if not fact.may_select:
        yield Finding(
            subject,
            f"role {role} may not select",
            "select for the snapshot",
            f"grant usage on schema {quoted(fact.name.schema)} to {quoted(role)}; "
            f"grant select on {table} to {quoted(role)};",
        )
    if fact.row_security:
        yield Finding(
            subject,
            f"row security hides rows from role {role}",
            "a role that sees every row",
            f"alter role {quoted(role)} bypassrls;",
        )
    if not fact.key:
        yield Finding(
            subject,
            "no primary key",
            "a primary key",
            f"alter table {table} add primary key (<key columns>);",
        )
    identity_is_enough = {
        "d": True,
        "f": True,
        "n": False,
        "i": set(fact.key) <= set(fact.identity_index),
    }.get(fact.replica_identity, False)
    if fact.key and not identity_is_enough:
        yield Finding(
            subject,
            "replica identity without the primary key",
            "replica identity default or full",
            f"alter table {table} replica identity default;",
        )


def _children(fact: TableFacts, captured: set[str]) -> Iterator[Finding]:
    """Rows of a child are the parent's too for who reads the parent, and never in the parent's stream."""
    others = [child for child in fact.children if child not in captured]
    if others:
        yield Finding(
            f"table {fact.name}",
            f"inherited by {', '.join(others)}, which no rule reads",
            "rules for each table that inherits from it",
            f"write rules for {', '.join(others)}; the rows of {fact.name} itself are read alone",
        )


def _name(name: TableName) -> str:
    return f"{quoted(name.schema)}.{quoted(name.name)}"
