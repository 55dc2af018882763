"""What the staging database must be before the schema is made: its encoding, and who has a hand in it."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from cdc.config import PostgresConnection
from cdc.ports import Finding
from cdc.postgres.connect import Connection
from cdc.postgres.strangers import strangers
from cdc.staging.schema.tables import SCHEMA

_PUBLIC = """
select from pg_database d, aclexplode(coalesce(datacl, acldefault('d', datdba))) a
where datname = current_database() and a.grantee = 0 and a.privilege_type = 'CONNECT'
"""


def findings(connection: Connection, settings: PostgresConnection) -> list[Finding]:
    """What is wrong with the database, and advice; read only."""
    wrong = list(_encoding(connection, settings.database))
    if wrong:
        return wrong  # it has to be created again
    return [*strangers(connection, SCHEMA, settings.user), *_open_to_all(connection, settings)]


def _encoding(connection: Connection, database: str) -> Iterator[Finding]:
    """Staging holds texts of every system: only UTF8 has all their characters."""
    row = connection.execute("select current_setting('server_encoding')").fetchone()
    if row != ("UTF8",):
        found = f"encoding {row[0] if row else 'unknown'}"
        fix = "create it again: create database .. encoding 'UTF8' template template0"
        yield Finding(f"staging {database}", found, "UTF8, which has every character", fix)


def _open_to_all(connection: Connection, settings: PostgresConnection) -> Iterator[Finding]:
    """A role that may connect may read catalogs, fill temporary space and hold locks of its own."""
    if connection.execute(_PUBLIC).fetchone() is None:
        return
    database, user = (sql.Identifier(name).as_string() for name in (settings.database, settings.user))
    fix = (
        f"grant connect, temporary on database {database} to {user};\n"
        f"revoke connect, temporary on database {database} from public;"
    )
    subject = f"database {settings.database}"
    yield Finding(subject, "every role may connect", "those that were granted it", fix, advice=True)
