"""The comment on staging.target_binding.seen_at speaks of any target.

Why: the column is for every sink whose target keeps its own clock, not for the payment upload alone.
Locks: a short one of the table; nothing is rewritten.
Previous release: still runs.

Revision ID: 0010
Revises: 0009
"""

from __future__ import annotations

from alembic import op

revision = "0010"
down_revision = "0009"

_COMMENT = "comment on column staging.target_binding.seen_at is '{}'"
_NOW = "What the target had of us up to this time of its own clock was compared with staging"
_BEFORE = "Transmissions up to this time of CC&B''s clock were compared with receipts"


def upgrade() -> None:
    """Say what the column is for in general words."""
    op.execute(_COMMENT.format(_NOW))


def downgrade() -> None:
    """Say it in the words of the release before."""
    op.execute(_COMMENT.format(_BEFORE))
