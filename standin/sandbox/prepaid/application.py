"""The prepaid application's database: tables, publication, roles and rights.

`create` makes it on a running `sandbox.postgres.PostgresServer`. What the tables mean is in
`schema.sql`, who may do what in `grants.sql`; `sandbox.workload` plays the people who use it.
"""

from __future__ import annotations

from dataclasses import dataclass
from importlib import resources

import psycopg
from psycopg import sql

from sandbox.postgres import PostgresServer

APPLICATION_USER = "prepaid_app"
BRIDGE_USER = "ccbridge"


@dataclass(frozen=True)
class PrepaidDatabase:
    """Where the prepaid database is, and as whom to reach it. Passwords are of the sandbox only."""

    host: str
    port: int
    name: str
    application_password: str
    bridge_password: str

    def conninfo(self, user: str = APPLICATION_USER, **options: str | int) -> str:
        """Connection string of the application (or of BRIDGE_USER)."""
        password = self.bridge_password if user == BRIDGE_USER else self.application_password
        return psycopg.conninfo.make_conninfo(
            "", host=self.host, port=self.port, dbname=self.name, user=user, password=password, **options
        )


def create(
    server: PostgresServer,
    name: str = "prepaid",
    *,
    application_password: str = "prepaid_app",  # noqa: S107 - servers of the sandbox only
    bridge_password: str = "bridge-sandbox",  # noqa: S107
) -> PrepaidDatabase:
    """Create database `name` with its tables, its publication `ccbridge` and the two roles.

    Raises:
        psycopg.errors.DuplicateDatabase: the server has a database of that name.
    """
    create_role(server, APPLICATION_USER, application_password)
    create_role(server, BRIDGE_USER, bridge_password, replication=True)
    conninfo = server.create_database(name)
    with psycopg.connect(conninfo) as connection:
        for part in ("schema.sql", "grants.sql"):
            connection.execute(resources.files(__package__).joinpath(part).read_bytes())
    return PrepaidDatabase("127.0.0.1", server.port, name, application_password, bridge_password)


def create_role(server: PostgresServer, name: str, password: str, *, replication: bool = False) -> None:
    """Create a login role, or give an existing one this password."""
    with psycopg.connect(server.conninfo()) as connection:
        known = connection.execute("select 1 from pg_roles where rolname = %s", [name]).fetchone()
        connection.execute(
            sql.SQL("{} role {} login {} password {}").format(
                sql.SQL("alter" if known else "create"),
                sql.Identifier(name),
                sql.SQL("replication" if replication else ""),
                sql.Literal(password),
            )
        )
