"""A PostgreSQL database to capture, for the integration tests of the pgoutput reader."""

from __future__ import annotations

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from cdc.changes import TableName
from cdc.config import PostgresSystem
from cdc.readers.pgoutput import PgoutputReader
from tests.contract.reader_suite import Reading, snapshot


class Prepaid:
    """A database and a reader of the tables named."""

    def __init__(self, info: str) -> None:
        parts = conninfo_to_dict(info)
        self.info = info
        self.settings = PostgresSystem(
            kind="postgres",
            host=str(parts["host"]),
            port=int(str(parts["port"])),
            database=str(parts["dbname"]),
            user=str(parts["user"]),
            password=str(parts["password"]),
            sslmode="disable",
            insecure=True,
            slot=f"slot_{parts['dbname']}",
        )
        self.connection = psycopg.connect(info, autocommit=True)
        self.readers: list[PgoutputReader] = []
        self.execute("create publication ccbridge")

    def close(self) -> None:
        """Close the readers and the connection."""
        for reader in self.readers:
            reader.close()
        self.connection.close()

    def execute(self, *statements: str) -> None:
        """Run the statements, each on its own."""
        for statement in statements:
            self.connection.execute(statement.encode())

    def transaction(self, *statements: str) -> None:
        """Run the statements in one transaction."""
        with self.connection.transaction():
            self.execute(*statements)

    def publish(self, *tables: str) -> None:
        """Add tables of schema public to the publication."""
        for table in tables:
            self.connection.execute(
                sql.SQL("alter publication ccbridge add table {}").format(sql.Identifier("public", table))
            )

    def reader(self, *tables: str) -> PgoutputReader:
        """A new reader of tables of schema public."""
        self.readers.append(
            PgoutputReader("prepaid", self.settings, [TableName("public", table) for table in tables])
        )
        return self.readers[-1]

    def start(self, *tables: str, max_changes: int = 1_000) -> Reading:
        """Publish the tables, take a snapshot, continue from it."""
        self.publish(*tables)
        reader = self.reader(*tables)
        return Reading(reader, snapshot(reader)[-1].resume, max_changes=max_changes)

    def value(self, query: str) -> object:
        """The only value of a query's only row."""
        row = self.connection.execute(query.encode()).fetchone()
        assert row is not None
        return row[0]
