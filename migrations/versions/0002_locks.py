"""Tables whose locks order flows and migrations.

Why: advisory locks can be taken by every role that may connect; a lock on a table needs a right on it. The
tables stay empty, so that nothing, autovacuum included, ever has another reason to lock them.
Locks: none that matter, every object is new.
Previous release: still runs, but does not wait for this one: stop it before (`ccbridge run` of both
releases at once was never allowed, the lease sees to that).

Revision ID: 0002
Revises: 0001
"""

from __future__ import annotations

from alembic import op

revision = "0002"
down_revision = "0001"

COMMENT = "Always empty. Locked by who takes numbers of staged_seq, until the transaction ends"


def upgrade() -> None:
    """Create the order's; the one of migrations is there already, as it is locked while this runs."""
    op.create_table("staged_order", schema="staging", comment=COMMENT)


def downgrade() -> None:
    """Drop both."""
    op.drop_table("staged_order", schema="staging")
    op.drop_table("migration", schema="staging")
