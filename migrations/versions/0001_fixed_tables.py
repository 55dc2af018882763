"""Fixed tables of the staging schema, empty to first release.

Why: change log, batches, deliveries, dead letters, receipts, checkpoints, leases and rule sets have
the same shape at every site; entity tables follow the rule set and are made by `ccbridge migrate`.
Locks: none that matter, every object is new. PUBLIC loses every right on the schema.
Previous release: there is none.

Revision ID: 0001
Revises: nothing
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0001"
down_revision = None

TABLES = (
    "receipt_history",
    "receipt",
    "flow_state",
    "operator_action",
    "rule_set",
    "lease",
    "checkpoint",
    "dead_letter",
    "delivery",
    "batch",
    "change",
)


def upgrade() -> None:
    """Create everything; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop everything, the audit trail included; entity tables stay."""
    for table in TABLES:
        op.drop_table(table, schema="staging")
    for sequence in ("staged_seq", "batch_id"):
        op.execute(f"drop sequence staging.{sequence}")
