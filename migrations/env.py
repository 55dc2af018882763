"""Alembic environment: run by `ccbridge migrate`, which hands over a connection.

The version table lies in schema staging too, so the schema is made here, before Alembic looks.
"""

from __future__ import annotations

from alembic import context
from sqlalchemy import text

from cdc.staging.schema.tables import SCHEMA, fixed_tables

LOCK_TIMEOUT = "5s"
"""A migration that cannot get a lock gives up instead of queueing every reader behind it."""


def run() -> None:
    """Run the asked-for revisions, each in its own transaction."""
    connection = context.config.attributes["connection"]
    connection.execute(text(f"set lock_timeout = '{LOCK_TIMEOUT}'"))
    connection.execute(text(f"create schema if not exists {SCHEMA}"))
    connection.commit()
    context.configure(
        connection=connection,
        target_metadata=fixed_tables(),
        version_table_schema=SCHEMA,
        transaction_per_migration=True,
    )
    with context.begin_transaction():
        context.run_migrations()


run()
