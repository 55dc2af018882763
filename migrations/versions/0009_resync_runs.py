"""What verification found: staging.resync_run, resync_chunk and resync_difference.

Why: a run is continued where it ended, and what it found is evidence.
Locks: none that matter, the tables are new.
Previous release: still runs.

Revision ID: 0009
Revises: 0008
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0009"
down_revision = "0008"


def upgrade() -> None:
    """Create the tables; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop them, with what was found."""
    for table in ("resync_difference", "resync_chunk", "resync_run"):
        op.drop_table(table, schema="staging")
