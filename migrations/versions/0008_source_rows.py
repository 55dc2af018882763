"""Digests of source rows, for verification: staging.source_row and what belongs to it.

Why: a source and staging are compared by sums of row digests; staging adds up those that it keeps. They are
computed from the change log, on demand, so rows that were staged before this migration are there too as far
as their months of staging.change are attached.
Locks: none that matter, the tables are new.
Previous release: still runs. What it reads back of its own writes meanwhile is not noted: such rows differ
in the first verification after the upgrade and are then read again.

Revision ID: 0008
Revises: 0007
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    """Create the tables; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop them: they are made from the change log again."""
    for table in ("own_change", "source_row_state", "source_row", "digest_definition"):
        op.drop_table(table, schema="staging")
