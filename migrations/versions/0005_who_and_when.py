"""Who made a change, how current each flow is, and what the active process runs.

Why: auditors ask who changed what (staging.change); `ccbridge status` tells the lag of capture and who is
active (staging.flow_state, staging.lease).
Locks: of three tables, for a moment; no row is touched.
Previous release: still runs; it leaves the columns empty.

Revision ID: 0005
Revises: 0004
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"

_COLUMNS = {
    "change": ("source_user", "source_client"),
    "flow_state": ("current_to", "changed_at", "status_since"),
    "lease": ("version", "rule_set"),
}


def upgrade() -> None:
    """Add the columns; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop them; who made the changes is lost, and their batches do not verify any more."""
    for table, names in _COLUMNS.items():
        for name in names:
            op.drop_column(table, name, schema="staging")
