"""How current each flow is, and what the active process runs: staging.flow_state, staging.lease.

Why: `ccbridge status` tells the lag of capture and who is active.
Locks: of two small tables, for a moment.
Previous release: still runs; it leaves the columns empty.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"

_COLUMNS = {"flow_state": ("current_to", "changed_at", "status_since"), "lease": ("version", "rule_set")}


def upgrade() -> None:
    """Add the columns; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop them; nothing of the record is in them."""
    for table, names in _COLUMNS.items():
        for name in names:
            op.drop_column(table, name, schema="staging")
