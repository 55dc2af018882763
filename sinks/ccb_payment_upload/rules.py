"""What the payment upload adds to the rule language: entity `receipt`, and tables of CC&B that are closed.

CC&B's base tables are written by CC&B alone: keys come from its framework and a payment put in by
SQL has no segments, so the balance would not move. Its documented way in are the upload staging
tables; tables of the site's own (CM_) are free.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from mapping_rules.language.extension import RuleExtension
from mapping_rules.language.model import (
    TEXT,
    Conventions,
    Entity,
    EntityColumn,
    EntityType,
    Kind,
    Outbound,
    SystemRules,
)

SINK = "ccb_payment_upload"
UPLOAD_TABLE = "CI_PAY_TNDR_ST"
UPLOAD_KEY = "EXT_REFERENCE_ID"
UPLOAD_COLUMNS = ("CUST_ID", "TENDER_AMT", "TENDER_TYPE_CD", "ACCOUNTING_DT", "CURRENCY_CD")
UPLOAD_STAGING_TABLES = frozenset(
    {"CI_DEP_CTL_ST", "CI_TNDR_CTL_ST", UPLOAD_TABLE, "CI_PAY_ST", "CI_PEVT_DTL_ST"}
)
_BASE_TABLE = re.compile(r"(CI|C1|F1|SC|D1|D2|W1|XT)_", re.IGNORECASE)

_MONEY = EntityType(Kind.DECIMAL, 15, 2)
_TIME = EntityType(Kind.TIMESTAMP)
_TYPES = {
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
    columns={name: EntityColumn(name, kind) for name, kind in _TYPES.items()},
    comment="each recharge's way into CC&B: built, sent, accepted, posted, suspense, error, reversed",
)


def may_write(table: str) -> bool:
    """Whether a rule may write a table of that name in a CC&B database."""
    return not _BASE_TABLE.match(table) or table.upper() in UPLOAD_STAGING_TABLES


def _target_errors(rule: Outbound, system: SystemRules) -> Iterator[str]:
    in_ccb = system.conventions is Conventions.OUAF
    if in_ccb and not may_write(rule.table.name):
        yield (
            f"{rule.table} is a CC&B base table: only CC&B writes it, use a sink that goes through"
            " its upload staging tables"
        )
    if rule.sink != SINK:
        return
    if not in_ccb or rule.table.name != UPLOAD_TABLE:
        yield f"sink {SINK} writes {UPLOAD_TABLE} of a CC&B system"
    if tuple(rule.key) != (UPLOAD_KEY,) or set(rule.columns) != set(UPLOAD_COLUMNS):
        yield f"sink {SINK} needs the key {UPLOAD_KEY} and the columns {', '.join(UPLOAD_COLUMNS)}"


RULES = RuleExtension(entities=(RECEIPT,), target_errors=_target_errors)
