"""How CC&B writes a payment: event, tender, payments, segments, financial transactions.

Used by the simulated upload batch and by the cash desk of the workload. A payment is born Freezable
(30), or in Error (20) when its account has no agreement to distribute to; `freeze` makes it Frozen (50);
`cancel` makes a frozen one Canceled (60) and leaves the row; `remove` deletes an unfrozen one for real.
Nothing here commits.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from typing import Protocol
from zoneinfo import ZoneInfo

import oracledb

from sandbox.ccb.keys import Keys
from sandbox.ccb.schema import tables

SITE_ZONE = ZoneInfo("Africa/Douala")
"""CC&B's dates have no zone; they are meant in this one."""
FREEZABLE, IN_ERROR, FROZEN, CANCELED = "30", "20", "50", "60"


@dataclass(frozen=True)
class Share:
    """The part of an event that one account gets: a row of CI_PAY and what hangs below it."""

    payment_id: str
    segment_id: str
    transaction_id: str
    account_id: str
    agreement_id: str | None
    amount: Decimal


@dataclass(frozen=True)
class PaymentEvent:
    """One event with its one tender and its payments; amounts in `currency`, dates in SITE_ZONE."""

    event_id: str
    tender_id: str
    control_id: str
    paid_on: date
    created_at: datetime
    currency: str
    tender_type: str
    payer_account_id: str
    amount: Decimal
    shares: tuple[Share, ...]
    reference: str = " "
    customer: str = " "
    payer_name: str = " "


class AccountAgreement(Protocol):
    """What `pick_agreement` looks at."""

    @property
    def agreement_id(self) -> str: ...  # noqa: D102
    @property
    def type(self) -> str: ...  # noqa: D102
    @property
    def status(self) -> str: ...  # noqa: D102


def pick_agreement(agreements: Sequence[AccountAgreement], prepaid_type: str) -> str | None:
    """The agreement that gets the money: active prepaid first, then any by id; None without one."""
    ordered = sorted(
        agreements, key=lambda a: (a.type.rstrip() != prepaid_type, a.status != "20", a.agreement_id)
    )
    return ordered[0].agreement_id if ordered else None


def site_now() -> datetime:
    """The time on the site's wall, as CC&B stores it: without zone, whole seconds."""
    return datetime.now(SITE_ZONE).replace(tzinfo=None, microsecond=0)


def share(keys: Keys, account_id: str, agreement_id: str | None, amount: Decimal) -> Share:
    """A share with new ids."""
    return Share(keys.make(12), keys.make(12), keys.make(12), account_id, agreement_id, amount)


def insert(cursor: oracledb.Cursor, events: Sequence[PaymentEvent]) -> None:
    """Insert events with all that belongs to them, payments Freezable or in Error."""
    if not events:
        return
    cursor.executemany(_EVENT, [(e.event_id, e.paid_on, e.created_at) for e in events])
    cursor.executemany(
        _TENDER,
        [
            (
                e.tender_id,
                e.event_id,
                e.payer_account_id,
                e.tender_type,
                e.control_id,
                e.amount,
                e.currency,
                e.customer,
                e.payer_name,
                e.reference,
            )
            for e in events
        ],
    )
    shares = [(e, s) for e in events for s in e.shares]
    cursor.executemany(
        _PAYMENT,
        [
            (
                s.payment_id,
                e.event_id,
                s.account_id,
                s.amount,
                e.currency,
                FREEZABLE if s.agreement_id else IN_ERROR,
            )
            for e, s in shares
        ],
    )
    distributed = [(e, s) for e, s in shares if s.agreement_id]
    if not distributed:
        return
    cursor.executemany(
        _SEGMENT,
        [(s.segment_id, s.payment_id, s.agreement_id, s.amount, e.currency) for e, s in distributed],
    )
    cursor.executemany(
        _TRANSACTION,
        [
            (
                s.transaction_id,
                s.segment_id,
                s.payment_id,
                s.agreement_id,
                e.currency,
                "PS",
                -s.amount,
                e.created_at,
                e.paid_on,
            )
            for e, s in distributed
        ],
    )


def freeze(cursor: oracledb.Cursor, shares: Sequence[Share], at: datetime) -> None:
    """Freeze distributed payments: CI_PAY goes to 50, its financial transactions count from now."""
    frozen = [s for s in shares if s.agreement_id]
    if frozen:
        cursor.executemany(_FREEZE_TRANSACTION, [(at, s.transaction_id) for s in frozen])
        cursor.executemany(_SET_STATUS, [(FROZEN, " ", s.payment_id, FREEZABLE) for s in frozen])


def cancel(cursor: oracledb.Cursor, event: PaymentEvent, keys: Keys, at: datetime) -> None:
    """Cancel the tender and every frozen payment of the event; the rows stay."""
    cursor.execute(_CANCEL_TENDER, ("NSF", event.tender_id))
    for one in event.shares:
        cursor.execute(_SET_STATUS, (CANCELED, "NSF", one.payment_id, FROZEN))
        if one.agreement_id:
            reversal = keys.make(12)
            cursor.execute(
                _TRANSACTION,
                (
                    reversal,
                    one.segment_id,
                    one.payment_id,
                    one.agreement_id,
                    event.currency,
                    "PX",
                    one.amount,
                    at,
                    at.date(),
                ),
            )
            cursor.execute(_FREEZE_TRANSACTION, (at, reversal))


def remove(cursor: oracledb.Cursor, event: PaymentEvent) -> None:
    """Delete an event whose payments are not frozen, with everything below it."""
    for one in event.shares:
        cursor.execute("delete from CISADM.CI_FT where FT_ID = :1", (one.transaction_id,))
        cursor.execute("delete from CISADM.CI_PAY_SEG where PAY_SEG_ID = :1", (one.segment_id,))
        cursor.execute("delete from CISADM.CI_PAY where PAY_ID = :1", (one.payment_id,))
    cursor.execute("delete from CISADM.CI_PAY_TNDR where PAY_TENDER_ID = :1", (event.tender_id,))
    cursor.execute("delete from CISADM.CI_PAY_EVENT where PAY_EVENT_ID = :1", (event.event_id,))


_EVENT = tables()["CI_PAY_EVENT"].insert_statement(("PAY_EVENT_ID", "PAY_DT", "CRE_DTTM"))
_TENDER = tables()["CI_PAY_TNDR"].insert_statement(
    (
        "PAY_TENDER_ID",
        "PAY_EVENT_ID",
        "PAYOR_ACCT_ID",
        "TENDER_TYPE_CD",
        "TNDR_CTL_ID",
        "TENDER_AMT",
        "CURRENCY_CD",
        "CUST_ID",
        "NAME1",
        "EXT_REFERENCE_ID",
    ),
    TNDR_STATUS_FLG="25",
    IN_TNDR_CTL_BAL_SW="Y",
)
_PAYMENT = tables()["CI_PAY"].insert_statement(
    ("PAY_ID", "PAY_EVENT_ID", "ACCT_ID", "PAY_AMT", "CURRENCY_CD", "PAY_STATUS_FLG")
)
_SEGMENT = tables()["CI_PAY_SEG"].insert_statement(
    ("PAY_SEG_ID", "PAY_ID", "SA_ID", "PAY_SEG_AMT", "CURRENCY_CD")
)
# a prepaid agreement's payment leaves the current amount alone: CUR_AMT stays 0, TOT_AMT is the credit
_TRANSACTION = tables()["CI_FT"].insert_statement(
    (
        "FT_ID",
        "SIBLING_ID",
        "PARENT_ID",
        "SA_ID",
        "CURRENCY_CD",
        "FT_TYPE_FLG",
        "TOT_AMT",
        "CRE_DTTM",
        "ACCOUNTING_DT",
    ),
    GL_DIVISION="CM",
    CIS_DIVISION="CM",
    FREEZE_SW="N",
    CORRECTION_SW="N",
    REDUNDANT_SW="N",
    NEW_DEBIT_SW="N",
    SHOW_ON_BILL_SW="Y",
    NOT_IN_ARS_SW="N",
    XFERRED_OUT_SW="N",
    GL_DISTRIB_STATUS="N",
)
_FREEZE_TRANSACTION = (
    "update CISADM.CI_FT set FREEZE_SW = 'Y', FREEZE_USER_ID = 'BATCH', FREEZE_DTTM = :1,"
    " VERSION = VERSION + 1 where FT_ID = :2"
)
_SET_STATUS = (
    "update CISADM.CI_PAY set PAY_STATUS_FLG = :1, CAN_RSN_CD = :2, VERSION = VERSION + 1"
    " where PAY_ID = :3 and PAY_STATUS_FLG = :4"
)
_CANCEL_TENDER = (
    "update CISADM.CI_PAY_TNDR set TNDR_STATUS_FLG = '60', CAN_RSN_CD = :1, VERSION = VERSION + 1"
    " where PAY_TENDER_ID = :2"
)
