"""A staging schema for an empty database: the first of a rule set is migrated, the others are copies."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from cdc.config import PostgresConnection
from cdc.staging.schema.migrate import migrate
from mapping_rules import RuleSet


def settings_of(conninfo: str) -> PostgresConnection:
    """The configuration section for a server of the tests."""
    found = conninfo_to_dict(conninfo)
    return PostgresConnection(
        host=str(found["host"]),
        port=int(str(found["port"])),
        database=str(found["dbname"]),
        user=str(found["user"]),
        password=found["password"],
        sslmode="disable",
        insecure=True,
    )


def migrated(conninfo: str, rules: RuleSet) -> PostgresConnection:
    """Give a database the staging schema of a rule set.

    An empty one, to which no one is connected, becomes a copy: that takes a fifth of the time of the
    migrations. Tests of the migrations run them.
    """
    name, template = str(conninfo_to_dict(conninfo)["dbname"]), f"migrated_{rules.digest[:24]}"
    with psycopg.connect(make_conninfo(conninfo, dbname="postgres"), autocommit=True) as server:
        if server.execute("select from pg_database where datname = %s", [template]).fetchone() is None:
            server.execute(sql.SQL("create database {}").format(sql.Identifier(template)))
            migrate(settings_of(make_conninfo(conninfo, dbname=template)), rules)
        if server.execute("select from pg_stat_activity where datname = %s", [name]).fetchone() is not None:
            migrate(settings_of(conninfo), rules)
            return settings_of(conninfo)
        server.execute(sql.SQL("drop database {}").format(sql.Identifier(name)))
        server.execute(
            sql.SQL("create database {} template {} strategy file_copy").format(
                sql.Identifier(name), sql.Identifier(template)
            )
        )
    return settings_of(conninfo)
