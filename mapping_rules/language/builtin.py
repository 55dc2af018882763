"""Entities that ccbridge makes itself: outbound rules may read them, no rule set defines them."""

from __future__ import annotations

from mapping_rules.language.model import TEXT, Entity, EntityColumn, EntityType, Kind

_MONEY = EntityType(Kind.DECIMAL, 15, 2)
_TIME = EntityType(Kind.TIMESTAMP)

_RECEIPT_TYPES = {
    "recharge_id": TEXT,
    "account_id": TEXT,
    "amount": _MONEY,
    "currency": TEXT,
    "tender_type": TEXT,
    "accounting_date": EntityType(Kind.DATE),
    "external_source": TEXT,
    "transmission_id": TEXT,
    "batch_id": TEXT,
    "state": TEXT,
    "state_reason": TEXT,
    "tender_id": TEXT,
    "payment_event_id": TEXT,
    "payment_id": TEXT,
    "built_at": _TIME,
    "sent_at": _TIME,
    "accepted_at": _TIME,
    "posted_at": _TIME,
}

RECEIPT = Entity(
    name="receipt",
    key=("recharge_id",),
    columns={name: EntityColumn(name, kind) for name, kind in _RECEIPT_TYPES.items()},
    comment="each recharge's way into CC&B: built, sent, accepted, posted, suspense, error, reversed",
)

BUILT_IN = {RECEIPT.name: RECEIPT}

RESERVED_TABLES = frozenset(
    {
        "receipt",
        "change",
        "batch",
        "delivery",
        "dead_letter",
        "checkpoint",
        "lease",
        "rule_set",
        "operator_action",
        "conflict",
        "resync_run",
        "resync_difference",
        "control_total",
        "alembic_version",
        "target_binding",
        "installation",
    }
)
"""Names of ccbridge's own staging tables; no entity may take one."""

RESERVED_COLUMNS = frozenset(
    {
        "source_system",
        "source_position",
        "source_ordinal",
        "operation",
        "committed_at",
        "staged_at",
        "rule_set_id",
        "staged_seq",
        "tombstone",
        "superseded_seq",
        "valid_from",
        "valid_to",
        "absent",
    }
)
"""Columns every staged row carries besides those of its entity."""
