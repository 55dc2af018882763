"""Positions of sinks apart from the checkpoints of sources.

Why: the payment upload kept its own in staging.checkpoint, under the name of its rule and beside the sources;
whoever read checkpoints had to know. It goes to staging.sink_position under the name of the sink, as do its
open dead letters. Where no target was bound yet, its sink cannot be told: it starts at 0, and recharges that
have a receipt change nothing.
Locks: none for long; a row or two are moved.
Previous release: still runs; it takes every recharge once more and sends none twice, as each has its receipt.

Revision ID: 0007
Revises: 0005
"""

from __future__ import annotations

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0005"


def upgrade() -> None:
    """Create the table and move the rows; the statements are in the file of the same name."""
    statements = Path(__file__).with_suffix(".sql").read_text(encoding="utf-8")
    op.get_bind().execution_options(no_parameters=True).exec_driver_sql(statements)


def downgrade() -> None:
    """Drop the table; the payment upload takes every recharge once more, and sends none twice."""
    op.drop_table("sink_position", schema="staging")
