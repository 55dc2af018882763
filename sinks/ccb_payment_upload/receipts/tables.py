"""The tables `staging.receipt` and `staging.receipt_history`: fixed ones, made by migrations.

Receipts are made by ccbridge itself; apart from that they are an entity like any other.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Column,
    Date,
    Index,
    MetaData,
    Numeric,
    PrimaryKeyConstraint,
    Table,
    Text,
)

from cdc.staging.schema.tables import column, history_columns, moment, trailing_columns

_STATES = "'built', 'sent', 'accepted', 'posted', 'suspense', 'error', 'reversed'"


def _columns() -> list[Column[Any]]:
    return [
        column("recharge_id", Text, "The recharge, by its id in prepaid"),
        column("account_id", Text, "CC&B account that is credited", null=True),
        column("amount", Numeric(15, 2), "Amount in the currency's units", null=True),
        column("currency", Text, "ISO 4217 code", null=True),
        column("tender_type", Text, "CC&B tender type sent", null=True),
        column("accounting_date", Date, "Accounting date sent", null=True),
        column("external_source", Text, "EXT_SOURCE_ID sent", null=True),
        column("transmission_id", Text, "EXT_TRANSMIT_ID sent; derived, so it is the same again", null=True),
        column("batch_id", Text, "EXT_BATCH_ID sent", null=True),
        column("state", Text, "built, sent, accepted, posted, suspense, error, reversed"),
        column("state_reason", Text, "Why, where the state needs a reason", null=True),
        column("tender_id", Text, "PAY_TENDER_ID given by CC&B", null=True),
        column("payment_event_id", Text, "PAY_EVENT_ID given by CC&B", null=True),
        column("payment_id", Text, "PAY_ID given by CC&B", null=True),
        moment("built_at", "When the receipt was made from the recharge", null=True),
        moment("sent_at", "When CC&B's upload tables held it", null=True),
        moment("accepted_at", "When CC&B's upload took it", null=True),
        moment("posted_at", "When CC&B had posted the payment", null=True),
    ]


COLUMNS = tuple(one.name for one in _columns())
"""What a receipt has besides the columns that every staged row carries."""


def add_tables(metadata: MetaData) -> None:
    """Put both tables into the metadata of schema `staging`."""
    Table(
        "receipt",
        metadata,
        *_columns(),
        *trailing_columns(),
        PrimaryKeyConstraint("recharge_id"),
        CheckConstraint(f"state in ({_STATES})", name="state"),
        Index(None, "staged_seq"),
        Index(None, "account_id"),
        Index(None, "transmission_id"),
        Index(None, "state"),
        comment="Each recharge's way into CC&B",
    )
    Table(
        "receipt_history",
        metadata,
        *_columns(),
        *trailing_columns(),
        *history_columns(),
        Index(None, "recharge_id", "valid_from"),
        Index(None, "superseded_seq"),
        Index(None, "account_id"),
        comment="Earlier versions of staging.receipt",
    )
