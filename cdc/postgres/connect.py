"""Connections to PostgreSQL: staging, sources and targets, all the same way."""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import psycopg
from psycopg.conninfo import make_conninfo

from cdc.config import PostgresConnection
from cdc.errors import LoginRefused
from cdc.postgres.errors import postgres_errors
from cdc.postgres.sessions import Holder

Connection = psycopg.Connection[tuple[object, ...]]


def conninfo(settings: PostgresConnection, *, application: str, replication: bool = False) -> str:
    """The libpq connection string, password included: never log it."""
    options: dict[str, str | int] = {
        "host": settings.host,
        "port": settings.port,
        "dbname": settings.database,
        "user": settings.user,
        "sslmode": settings.sslmode,
        "connect_timeout": settings.connect_timeout_s,
        "application_name": application,
        "client_encoding": "UTF8",
        # half-open connections are noticed in under a minute
        "keepalives_idle": 20,
        "keepalives_interval": 10,
        "keepalives_count": 3,
        "tcp_user_timeout": 50_000,
        # with a Kerberos ticket at hand libpq would encrypt by GSSAPI and not look at sslmode
        "gssencmode": "disable",
    }
    if not settings.insecure:
        # a server, even one with the right certificate, is never given the password in clear
        options["require_auth"] = "!password,!md5"
    if settings.sslrootcert is not None:
        options["sslrootcert"] = str(settings.sslrootcert)
    if replication:
        options["replication"] = "database"
    password = settings.secret()
    if password is not None:
        options["password"] = password
    return make_conninfo("", **options)


_SETTINGS = """
set search_path = pg_catalog, pg_temp; set time zone 'UTC'; set datestyle = 'ISO, YMD'; set jit = off;
set default_transaction_isolation = 'read committed'; set idle_in_transaction_session_timeout = '10min';
set standard_conforming_strings = on; set array_nulls = on; set xmloption = content;
set work_mem = '32MB'; set lock_timeout = '30s';
set tcp_keepalives_idle = 20; set tcp_keepalives_interval = 10; set tcp_keepalives_count = 3;
select set_config(name, '0', false) from pg_settings
where name in ('statement_timeout', 'transaction_timeout', 'idle_session_timeout')
"""
"""Why each: names and operators of ours are those of pg_catalog, whatever else is in the database; a batch is
joined and sorted in memory; compiling a statement takes longer than running it once; no lock is awaited
without limit; a batch may be mapped inside a transaction for longer than a site allows a session to be idle
in one; the server notices a lost client within a minute too; limits that a database or role sets for
interactive users are not ours."""


def connect(
    settings: PostgresConnection, *, application: str, autocommit: bool = False, holder: Holder | None = None
) -> Connection:
    """Open a session with pinned search_path, UTC and ISO dates.

    Args:
        settings: where and as whom.
        application: shown as application_name in pg_stat_activity, for example `ccbridge sink prepaid`.
        autocommit: each statement its own transaction; otherwise the caller commits.
        holder: the lease under which the session works. Sessions that earlier holders left behind, and an
            earlier one of this name, are ended first.

    Raises:
        DatabaseUnreachable: no connection.
        LoginRefused: user or password refused.
        OperatorError: no such database.
    """
    subject = f"{settings.user}@{settings.host}:{settings.port}/{settings.database}"
    name = application if holder is None else holder.name(application)
    with postgres_errors(subject):
        try:
            connection = psycopg.connect(conninfo(settings, application=name), autocommit=True)
        except psycopg.OperationalError as exc:
            if settings.secret() is None and "no password supplied" in str(exc):
                raise LoginRefused(f"{subject}: no password", hint=settings.password_hint) from exc
            raise
        try:
            connection.execute(_SETTINGS)
            if holder is not None:
                holder.end_former(connection, application)
            connection.autocommit = autocommit
        except BaseException:
            connection.close()
            raise
    return connection


def one_statement(connection: Connection) -> AbstractContextManager[object]:
    """Around a single statement: a transaction of its own, whatever the connection's mode.

    In autocommit the statement is one already, and BEGIN and COMMIT would cost a round trip each.
    """
    return nullcontext() if connection.autocommit else connection.transaction()
