"""Which database each sink writes: staging.installation, staging.target_binding.

Why: a sink that is pointed at another database, or whose staging is older than its target, is recognised
before it writes.
Locks: none that matter, the tables are new.
Previous release: still runs; it does not know the tables, and does not count its writes: stop it before.

Revision ID: 0004
Revises: 0003
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0004"
down_revision = "0003"


def upgrade() -> None:
    """Create the tables; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop them: targets are bound anew by the first start after the next upgrade."""
    op.drop_table("target_binding", schema="staging")
    op.drop_table("installation", schema="staging")
