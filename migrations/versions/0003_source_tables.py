"""A row for each captured table: staging.source_table.

Why: a table that changed under us, that was never read or that is to be read again is known by name,
over restarts, and visible to `ccbridge status` and to auditors.
Locks: none that matter, the table is new.
Previous release: still runs; it does not know the table.

Revision ID: 0003
Revises: 0002
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    """Create the table; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop it: which tables were stopped, and why, is lost."""
    op.drop_table("source_table", schema="staging")
