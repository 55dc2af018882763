"""What keeps a sink from writing a PostgreSQL target, found before it tries, with the SQL that fixes it.

Used by `ccbridge check`. Nothing here writes, except `prepare`, which creates the sink's own mark
table and replication origin where the user may.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import cast

from psycopg import sql

from cdc.config import PostgresSystem
from cdc.ports import Finding
from cdc.postgres.connect import Connection, connect
from cdc.postgres.errors import postgres_errors
from cdc.postgres.strangers import creators, strangers
from mapping_rules import OutboundProgram
from sinks.upsert.checks import column_checks
from sinks.upsert.mark import ADDED, TABLE, SinkMark
from sinks.upsert.statements.layout import is_loose
from sinks.upsert.statements.target_tables import TargetTable, deactivated_column, describe
from sinks.upsert.target_session import REMEMBER_PATH, as_application

_ORIGIN_FUNCTIONS = (
    "pg_catalog.pg_replication_origin_session_setup(text)",
    "pg_catalog.pg_replication_origin_xact_setup(pg_lsn, timestamptz)",
)


def findings(system: str, settings: PostgresSystem, programs: Sequence[OutboundProgram]) -> list[Finding]:
    """Everything that would keep the sink from writing, all at once; read only.

    Raises:
        CcbridgeError: the target cannot be reached or refuses the login.
    """
    with (
        connect(settings, application=f"ccbridge check {system}", autocommit=True) as connection,
        postgres_errors(subject(settings)),
    ):
        found = [
            *_mark_findings(connection, settings),
            *strangers(
                connection,
                settings.mark_schema,
                settings.user,
                beside=[program.table for program in programs],
            ),
            *_origin_findings(connection, settings),
            *_temporary_findings(connection, settings),
            *column_checks.encoding_findings(connection),
            *_path_findings(connection),
        ]
        may_write = not any("temporary" in finding.expected for finding in found)
        for program in programs:
            table = describe(connection, program.table)
            of_table = list(_table_findings(connection, settings, program, table))
            if table is not None and may_write and not of_table:
                of_table += column_checks.tried(connection, settings, table, program)
            found += of_table
        return found


def prepare(system: str, settings: PostgresSystem, mark: SinkMark) -> None:
    """Create the mark table and the replication origin where they are missing.

    Raises:
        TargetRefused: the target may not be written; nothing was made in it.
        NotGranted: the user may not; `findings` has the statements for an administrator.
    """
    with (
        connect(settings, application=f"ccbridge migrate {system}", autocommit=True) as connection,
        postgres_errors(subject(settings)),
    ):
        mark.require(connection)
        if not _schema_exists(connection, settings.mark_schema):
            connection.execute(sql.SQL("create schema {}").format(sql.Identifier(settings.mark_schema)))
        if not mark.exists(connection):
            mark.create(connection)
        if not _origin_exists(connection, settings.origin):
            connection.execute("select pg_replication_origin_create(%s)", [settings.origin])


def subject(settings: PostgresSystem) -> str:
    """How errors name the target."""
    return f"{settings.user}@{settings.host}:{settings.port}/{settings.database}"


def _mark_findings(connection: Connection, settings: PostgresSystem) -> Iterator[Finding]:
    schema, user = settings.mark_schema, settings.user
    if not _schema_exists(connection, schema):
        may = _holds(connection, "select has_database_privilege(current_database(), 'create')")
        if not may:
            yield Finding(
                f"schema {schema}",
                "missing",
                "a schema of its own for the sink's mark",
                _rendered(connection, "create schema {} authorization {};", schema, user),
            )
        return
    table = sql.Identifier(schema, TABLE).as_string(connection)
    if not _holds(connection, "select to_regclass(%s) is not null", table):
        if not _holds(connection, "select has_schema_privilege(%s, 'create, usage')", schema):
            yield Finding(
                f"schema {schema}",
                f"{user} may not create tables in it",
                "create and usage",
                _rendered(connection, "grant create, usage on schema {} to {};", schema, user),
            )
        return
    owned = "select pg_has_role(relowner, 'usage') from pg_class where oid = %s::regclass"
    missing = [name for name in ADDED if not _has_column(connection, table, name)]
    if missing and not _holds(connection, owned, table):
        added = ", ".join(f"add column if not exists {name} {ADDED[name]}" for name in missing)
        yield Finding(
            f"table {schema}.{TABLE}",
            f"no column {', '.join(missing)}, and {user} is not its owner",
            "the columns of this release",
            f"alter table {table} {added};",
        )
    for right in ("select", "insert", "update"):
        if not _holds(connection, "select has_table_privilege(%s, %s)", table, right):
            yield Finding(
                f"table {schema}.{TABLE}",
                f"{user} may not {right}",
                "select, insert, update",
                f"grant select, insert, update on {table} to {_rendered(connection, '{}', user)};",
            )


def _origin_findings(connection: Connection, settings: PostgresSystem) -> Iterator[Finding]:
    user = _rendered(connection, "{}", settings.user)
    create = "pg_catalog.pg_replication_origin_create(text)"
    if not _origin_exists(connection, settings.origin) and not _holds(
        connection, "select has_function_privilege(%s, 'execute')", create
    ):
        yield Finding(
            f"replication origin {settings.origin}",
            "missing",
            "one that marks the sink's writes",
            sql.SQL("select pg_replication_origin_create({});")
            .format(sql.Literal(settings.origin))
            .as_string(connection),
        )
    for function in _ORIGIN_FUNCTIONS:
        if not _holds(connection, "select has_function_privilege(%s, 'execute')", function):
            yield Finding(
                f"function {function}",
                f"{settings.user} may not execute it",
                "execute",
                f"grant execute on function {function} to {user};",
            )


def _temporary_findings(connection: Connection, settings: PostgresSystem) -> Iterator[Finding]:
    if not _holds(connection, "select has_database_privilege(current_database(), 'temporary')"):
        yield Finding(
            f"database {settings.database}",
            f"{settings.user} may not create temporary tables",
            "temporary",
            _rendered(connection, "grant temporary on database {} to {};", settings.database, settings.user),
        )


def _path_findings(connection: Connection) -> list[Finding]:
    """Who may create what triggers of the target find by a plain name: it runs as our user when we write."""
    with connection.transaction():
        connection.execute(REMEMBER_PATH)
        with as_application(connection):
            path = connection.execute("select pg_catalog.current_schemas(false)")
        (schemas,) = path.fetchone() or ([],)
    return creators(connection, cast(list[str], schemas), "triggers")


def _table_findings(
    connection: Connection, settings: PostgresSystem, program: OutboundProgram, table: TargetTable | None
) -> Iterator[Finding]:
    subject = f"table {program.table}"
    if table is None:
        yield Finding(
            subject,
            "missing",
            f"the target of outbound rule {program.name}",
            "create the table, or take the rule out of the rule set",
        )
        return
    names = _written(program)
    for name in dict.fromkeys([*program.key, *names]):
        column = table.column(name)
        if column is None:
            yield Finding(
                f"column {program.table}.{name}",
                "missing",
                f"written by outbound rule {program.name}",
                "add the column, or take it out of the rule",
            )
        elif column.generated:
            yield Finding(
                f"column {program.table}.{name}",
                "generated by the server",
                "a column that can be written",
                f"take it out of outbound rule {program.name}",
            )
    if not table.is_unique(program.key) and all(table.column(name) for name in program.key):
        yield Finding(
            subject,
            f"no unique constraint on {', '.join(program.key)}",
            "the rule's key is unique",
            _rendered(
                connection,
                "alter table {}.{} add constraint {} unique ",
                table.name.schema,
                table.name.name,
                f"{table.name.name}_ccbridge_key",
            )
            + f"({', '.join(_rendered(connection, '{}', name) for name in program.key)});",
        )
    yield from column_checks.pair_findings(table, program)
    yield from _unfilled(table, program)
    yield from _privilege_findings(connection, settings, table, program)


def _unfilled(table: TargetTable, program: OutboundProgram) -> Iterator[Finding]:
    if program.update_only:
        return
    names = {*program.key, *_written(program)}
    for column in table.columns:
        if column.not_null and not column.filled and not column.generated and column.name not in names:
            yield Finding(
                f"column {table.name}.{column.name}",
                "not null without default, and no rule fills it",
                "a value for every new row",
                f"map it in outbound rule {program.name}, or give it a default",
            )


def _privilege_findings(
    connection: Connection, settings: PostgresSystem, table: TargetTable, program: OutboundProgram
) -> Iterator[Finding]:
    known = [name for name in (*program.key, *_written(program)) if table.column(name)]
    written = [name for name in _written(program) if table.column(name)]
    if not program.update_only:  # a key that keeps its spelling is brought up to date, too
        written += [c.name for c in map(table.column, program.key) if c and c.is_text and is_loose(c)]
    needed = {"select": known, "update": written, "insert": [] if program.update_only else known}
    target = sql.Identifier(table.name.schema, table.name.name).as_string(connection)
    user = _rendered(connection, "{}", settings.user)
    if not _holds(connection, "select has_schema_privilege(%s, 'usage')", table.name.schema):
        yield Finding(
            f"schema {table.name.schema}",
            f"{settings.user} may not use it",
            "usage",
            f"grant usage on schema {_rendered(connection, '{}', table.name.schema)} to {user};",
        )
        return
    for right, names in needed.items():
        missing = [
            name
            for name in names
            if not _holds(connection, "select has_column_privilege(%s, %s, %s)", target, name, right)
        ]
        if missing:
            columns = ", ".join(_rendered(connection, "{}", name) for name in missing)
            yield Finding(
                f"table {table.name}",
                f"{settings.user} may not {right} {', '.join(missing)}",
                right,
                f"grant {right} ({columns}) on {target} to {user};",
            )
    if program.on_delete == "delete" and not _holds(
        connection, "select has_table_privilege(%s, 'delete')", target
    ):
        yield Finding(
            f"table {table.name}",
            f"{settings.user} may not delete",
            "delete",
            f"grant delete on {target} to {user};",
        )


def _written(program: OutboundProgram) -> list[str]:
    flags = [deactivated_column(program)] if program.on_delete == "deactivate" else []
    return list(dict.fromkeys([*program.columns, *flags]))


def _has_column(connection: Connection, table: str, name: str) -> bool:
    return _holds(
        connection,
        "select exists (select from pg_attribute where attrelid = %s::regclass and attname = %s)",
        table,
        name,
    )


def _schema_exists(connection: Connection, schema: str) -> bool:
    return _holds(connection, "select exists (select from pg_namespace where nspname = %s)", schema)


def _origin_exists(connection: Connection, origin: str) -> bool:
    return _holds(connection, "select exists (select from pg_replication_origin where roname = %s)", origin)


def _holds(connection: Connection, question: str, *values: str) -> bool:
    row = connection.execute(question, values).fetchone()
    return row is not None and row[0] is True


def _rendered(connection: Connection, statement: str, *names: str) -> str:
    return sql.SQL(statement).format(*map(sql.Identifier, names)).as_string(connection)
